#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh SHARED STATIC: the names that libleat shows are leat_*, and there are some.
set -eu
shown=$({ nm -D --defined-only "$1"; nm -g --defined-only "$2"; } |
    awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }')
others=$(echo "$shown" | grep -v '^leat_' || true)
if [ -n "$others" ]; then
    echo "not ours to show: $others" >&2
    exit 1
fi
[ "$(echo "$shown" | wc -l)" -gt 100 ]
