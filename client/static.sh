#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# static.sh OUTPUT DIR ARCHIVE...: link the archives into one object, make its hidden
# symbols local, and put it into an archive of its own.
set -eu
output=$1
dir=$2
shift 2
mkdir -p "$dir"
"${LD:-ld}" -r -o "$dir/leat.o" --whole-archive "$@"
"${OBJCOPY:-objcopy}" --localize-hidden "$dir/leat.o"
rm -f "$output"
"${AR:-ar}" rcs "$output" "$dir/leat.o"
