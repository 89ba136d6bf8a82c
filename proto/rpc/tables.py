#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of PROTOCOL.md come from status.def and api.def.

    tables.py           fail if the page says anything else
    tables.py --write   write them into the page
"""
import pathlib
import re
import sys

PROTO = pathlib.Path(__file__).resolve().parent.parent
PAGE = PROTO / "PROTOCOL.md"

STATUS = re.compile(r'^STATUS\((\w+), (-?\d+), (\w+),\s*"((?:[^"\\]|\\.)*)"\)', re.M)
API = re.compile(r"^API\((\w+), (\d+), (\w+)\)", re.M)


def statuses():
    rows = STATUS.findall((PROTO / "base/status.def").read_text())
    rows.sort(key=lambda row: (int(row[1]) < -1, abs(int(row[1]))))
    yield "| code | name | class | |\n|---|---|---|---|\n"
    for name, code, retry, sentence in rows:
        yield f"| {code} | `{name}` | {retry} | {sentence} |\n"


def apis():
    messages = re.findall(r"^message (\w+) \{", (PROTO / "rpc/leat.proto").read_text(), re.M)
    yield "| api | name | request and answer |\n|---|---|---|\n"
    for name, number, stem in API.findall((PROTO / "rpc/api.def").read_text()):
        camel = "".join(part.capitalize() for part in stem.split("_"))
        for message in (camel + "Request", camel + "Response"):
            if message not in messages:
                sys.exit(f"leat.proto has no message {message}")
        yield f"| {number} | {name} | `{camel}Request`, `{camel}Response` |\n"


def main(write):
    before = PAGE.read_text()
    page = before
    for name, rows in (("statuses", list(statuses())), ("apis", list(apis()))):
        if len(rows) < 10:
            sys.exit(f"the table of {name} cannot be read")
        page, found = re.subn(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)",
                              lambda m: m[1] + "".join(rows) + m[2], page, flags=re.S)
        if found != 1:
            sys.exit(f"{PAGE.name} has no place for the table of {name}")
        print(f"{name}: {len(rows) - 1} rows")
    if write:
        PAGE.write_text(page)
    elif page != before:
        sys.exit(f"{PAGE.name} is out of date: run proto/rpc/tables.py --write")


if __name__ == "__main__":
    main(sys.argv[1:] == ["--write"])
