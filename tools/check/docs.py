#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages that are read from tables: settings, metrics, the example configuration.

`docs.py ROOT` writes them, `docs.py --check ROOT` fails if one is not what it would write.
"""
import pathlib
import re
import sys

SCALES = {
    "BYTES": [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)],
    "DURATION": [("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1)],
}
UNBOUNDED = (1 << 63) - 1
NAMES = {"INT64_MAX": str(UNBOUNDED), "INT32_MAX": str((1 << 31) - 1)}


def number(text):
    """A constant expression of the tables: INT64_C(1) << 30, INT64_MAX, -1."""
    text = re.sub(r"INT64_C\((\d+)\)", r"\1", text)
    for name, value in NAMES.items():
        text = text.replace(name, value)
    if not re.fullmatch(r"[-\d <]+", text):
        sys.exit(f"not a constant: {text}")
    return eval(text)  # digits, minus and shifts only


def rows(path, macro):
    """The arguments of each MACRO(...) line, strings without their quotes."""
    found = []
    for line in path.read_text().splitlines():
        if line.startswith(macro + "("):
            parts = re.findall(r'\s*("(?:[^"\\]|\\.)*"|[^,]+)', line[len(macro) + 1:line.rindex(")")])
            found.append([p.strip().strip('"') for p in parts])
    if not found:
        sys.exit(f"no rows in {path}")
    return found


def choices(path, prefix):
    """The alternatives of each CHOICE row, from the arrays beside the table's reader."""
    text = path.read_text()
    arrays = {name: re.findall(r'"([^"]*)"', body) for name, body in
              re.findall(r"\*const (\w+)\[\] = \{(.*?)\};", text, re.S)}
    return {key: arrays[name] for key, name in
            re.findall(prefix + r"_(\w+)\)?\s*\?\s*(\w+)", text) if name in arrays}


def quantity(value, unit):
    if unit == "BYTES" and value > 0:
        for suffix, factor in SCALES[unit]:
            if value % factor == 0:
                return f"{value // factor}{suffix}"
    if unit == "DURATION" and value > 0:
        text = ""
        for suffix, factor in SCALES[unit]:
            if value >= factor:
                text += f"{value // factor}{suffix}"
                value %= factor
        return text
    return str(value)


def span(unit, low, high, alternatives):
    if unit == "CHOICE":
        return " \\| ".join(f"`{a}`" for a in alternatives)
    if unit in ("TEXT", "LIST"):
        return ""
    if number(high) == UNBOUNDED:
        return f"{quantity(number(low), unit)} or more"
    return f"{quantity(number(low), unit)} .. {quantity(number(high), unit)}"


def config_page(config, topic):
    out = ["# Settings", "",
           "Written by `tools/check/docs.py` from `core/config.def` and `core/topic_config.def`.", "",
           "A setting is looked for on the command line (`--name value`), in the environment",
           "(`LEAT_` and the name in capitals, `.` as `_`), in the file that `--config` names, and",
           "has a default otherwise. Bytes are written with K, M, G or T (powers of 1024), durations",
           "with ms, s, m, h or d, several of them in a row if need be (`1h30m`); plain numbers are",
           "bytes and milliseconds.", "",
           "## The broker", "",
           "Those marked * can be changed while the broker runs (`leat config set`); such a change is",
           "kept in the data directory and beats all of the above.", "",
           "| name | type | range | default | |", "|---|---|---|---|---|"]
    for name, unit, where, fallback, dynamic, text in config:
        star = "*" if dynamic else ""
        out.append(f"| `{name}`{star} | {unit.lower()} | {where} | "
                   f"{'`' + fallback + '`' if fallback else ''} | {text} |")
    out += ["", "## Topics", "",
            "Set on a topic when it is created or later (`leat topic set`). The same names in the",
            "broker's file say what holds for topics on which they are not set.", "",
            "| name | type | range | default | |", "|---|---|---|---|---|"]
    for name, unit, where, fallback, text in topic:
        out.append(f"| `{name}` | {unit.lower()} | {where} | `{fallback}` | {text} |")
    return "\n".join(out) + "\n"


def example_page(config, topic):
    out = ["# leatd.conf: every setting with its default. Nothing needs to be set.",
           "# Read with: leatd --config FILE.   Written by tools/check/docs.py.", ""]
    for name, unit, where, fallback, _, text in config:
        out += [f"# {text}", f"#{name} = {fallback}".rstrip(), ""]
    out += ["# ---- what topics follow unless they are told otherwise ----", ""]
    for name, unit, where, fallback, text in topic:
        out += [f"# {text}", f"#{name} = {fallback}", ""]
    return "\n".join(out).rstrip() + "\n"


def metrics_page(metrics):
    out = ["# Metrics", "",
           "Written by `tools/check/docs.py` from `core/metrics.def`. Served as `/metrics` on",
           "`http.listen`, summed over the shards.", "",
           "| name | kind | |", "|---|---|---|"]
    out += [f"| `{name}` | {kind.lower()} | {text} |" for _, name, kind, text in metrics]
    return "\n".join(out) + "\n"


def pages(root):
    core = root / "broker/core"
    config_choices = choices(core / "config.c", "CONFIG")
    topic_choices = choices(core / "topic_config.c", "TOPIC_KEY")
    config = [(name, unit, span(unit, low, high, config_choices.get(key)), fallback,
               dynamic == "true", text)
              for key, name, unit, low, high, fallback, dynamic, text
              in rows(core / "config.def", "CONFIG")]
    topic = [(name, unit, span(unit, low, high, topic_choices.get(key)),
              topic_choices[key][number(fallback)] if unit == "CHOICE"
              else quantity(number(fallback), unit), text)
             for key, name, unit, low, high, fallback, text
             in rows(core / "topic_config.def", "TOPIC_KEY")]
    return {"broker/CONFIG.md": config_page(config, topic),
            "deploy/leatd.conf.example": example_page(config, topic),
            "broker/METRICS.md": metrics_page(rows(core / "metrics.def", "METRIC"))}


def main(arguments):
    check = "--check" in arguments
    root = pathlib.Path(next((a for a in arguments if not a.startswith("-")), "."))
    stale = 0
    for name, text in pages(root).items():
        path = root / name
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{name} is not what the tables say: run tools/check/docs.py")
            stale += 1
    print(f"3 pages, {stale} out of date" if check else "3 pages written")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
