#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shape of the code: sizes, words and calls that we do not use, and its formatting."""
import pathlib
import re
import shutil
import subprocess
import sys

LINES_MAX = 800      # of a file; past that look for the missing noun
FUNCTION_MAX = 100   # lines of a function
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|gets|alloca|atoi|atol)\s*\(")
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK|not implemented|unimplemented|placeholder)\b")


def functions(lines):
    """(first line, length) of each top-level brace block that follows a parameter list."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{" and number > 1 and lines[number - 2].rstrip().endswith(")"):
            start = number
        elif line == "}" and start is not None:
            yield start, number - start
            start = None


def main(root):
    root = pathlib.Path(root)
    names = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=root, text=True,
                           capture_output=True).stdout.split()
    if not names:  # not a checkout: a release archive
        names = [str(p.relative_to(root)) for p in [*root.rglob("*.c"), *root.rglob("*.h")]
                 if not p.relative_to(root).parts[0].startswith("build")]
    bad = []
    for name in names:
        if not (root / name).exists():
            continue
        text = (root / name).read_text()
        lines = text.splitlines()
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:2]):
            bad.append(f"{name}:1: no SPDX line")
        if name.endswith(".h") and "#pragma once" not in text and "_H\n" not in text:
            bad.append(f"{name}:1: no include guard")
        if len(lines) > LINES_MAX:
            bad.append(f"{name}: {len(lines)} lines, at most {LINES_MAX}")
        for number, line in enumerate(lines, 1):
            if BANNED.search(line):
                bad.append(f"{name}:{number}: a call that we do not use: {line.strip()}")
            if LEFTOVER.search(line):
                bad.append(f"{name}:{number}: unfinished business: {line.strip()}")
        for number, length in functions(lines):
            if length > FUNCTION_MAX:
                bad.append(f"{name}:{number}: a function of {length} lines")
    if shutil.which("clang-format"):
        run = subprocess.run(["clang-format", "--dry-run", "-Werror", *names], cwd=root,
                             text=True, capture_output=True)
        bad += sorted({line.split(": error")[0] + ": not formatted"
                       for line in run.stderr.splitlines() if ": error" in line})
    print("\n".join(bad[:60]))
    print(f"{len(names)} files, {len(bad)} findings")
    return 1 if bad or not names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
