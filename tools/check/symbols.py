#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The symbol audit: what the deterministic layers call of the world is on a short list.

`nm -u` over the static libraries of proto, storage (without its disk back ends) and
broker/core, less what they define themselves, must be within ALLOWED: memory and text, the
libraries that compute, and nothing that knows time, chance, threads, files or sockets.
Run on a plain build: sanitizers and profilers add symbols of their own.
"""
import re
import subprocess
import sys

ALLOWED = re.compile(r"""^(
    mem(cpy|cmp|move|set|chr|rchr|mem) | __mem\w+_chk | bcmp
  | str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|tol|toll|toul|toull|dup|ndup)
  | __isoc\d+_strto\w+ | strto\w+
  | malloc | calloc | realloc | free | aligned_alloc | posix_memalign
  | v?snprintf | __v?snprintf_chk | qsort | bsearch | abort | __stack_chk_fail
  | fprintf | __fprintf_chk | stderr            # check_failed's last words
  | __ctype_\w+ | tolower | toupper | __errno_location
  | protobuf_c_\w+ | LZ4F?_\w+ | __cpu_model | __cpu_indicator_init
  | _GLOBAL_OFFSET_TABLE_ | __popcountdi2 | __udivti3 | __umodti3 | __assert_fail
)$""", re.X)


def symbols(library, flag):
    text = subprocess.run(["nm", flag, "-g", library], check=True, text=True,
                          capture_output=True).stdout
    return {line.split()[-1] for line in text.splitlines()
            if line.strip() and not line.endswith(":")}


def main(libraries):
    defined = set().union(*(symbols(l, "--defined-only") for l in libraries))
    bad = 0
    for library in libraries:
        for name in sorted(symbols(library, "-u") - defined):
            if not ALLOWED.match(name):
                print(f"{library}: calls {name}")
                bad += 1
    print(f"{len(libraries)} libraries, {bad} calls out of the allowed")
    return 1 if bad or not libraries else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
