#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The include graph: arrows point down, and nothing else is included.

Each row of MAY says what the files below a folder may include of ours. `proto` knows
nobody, `client` never sees storage or broker, `broker/core` never sees `broker/io`.
"""
import pathlib
import re
import sys

MAY = {
    "proto": ["proto"],
    "storage": ["storage", "proto"],
    "broker/core": ["broker/core", "storage", "proto"],
    "broker/io": ["broker/io", "broker/core", "storage", "proto"],
    "client": ["client", "leat", "proto"],
    "tools": ["tools", "leat", "storage", "proto"],
    "tests": ["tests", "proto", "storage", "broker", "client", "leat", "tools"],
}

# The core decides; only these words of the outside may appear in it, in proto and storage.
PLAIN = set("""assert.h ctype.h errno.h inttypes.h limits.h stdarg.h stdatomic.h stdbool.h
stddef.h stdint.h stdio.h stdlib.h string.h strings.h sys/queue.h sys/uio.h math.h
protobuf-c/protobuf-c.h lz4frame.h lz4.h immintrin.h nmmintrin.h wmmintrin.h
arm_acle.h cpuid.h stdalign.h""".split())
PURE = ("proto", "storage", "broker/core")
BACK_ENDS = re.compile(r"storage/disk_(uring|posix|files)\.[ch]$")


def folder_of(path):
    for folder in sorted(MAY, key=len, reverse=True):
        if str(path).startswith(folder + "/"):
            return folder
    return None


def main(root):
    root = pathlib.Path(root)
    bad = files = 0
    for path in sorted([*root.rglob("*.c"), *root.rglob("*.h")]):
        where = path.relative_to(root)
        folder = folder_of(where)
        if folder is None or where.parts[0].startswith("build"):
            continue
        files += 1
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not match:
                continue
            quoted, name = match[1] == '"', match[2]
            if quoted and not any(name.startswith(f + "/") for f in MAY[folder]):
                print(f"{where}:{number}: {folder} may not include {name}")
                bad += 1
            if (not quoted and folder in PURE and name not in PLAIN
                    and not BACK_ENDS.search(str(where))):
                print(f"{where}:{number}: {folder} is deterministic and may not use <{name}>")
                bad += 1
    print(f"{files} files, {bad} wrong includes")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
