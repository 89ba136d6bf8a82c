/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking again and again, for commands with --watch. A terminal shows the newest look in
 * the place of the one before; anywhere else each line is printed when it is new, so that
 * a file tells what changed and when it did not. */
#pragma once

#include "tools/leat/command.h"

/* Prints to stdout; `*over` ends the watch with the code returned. */
typedef int watch_look(struct invocation *i, bool *over);

/* Look once; with --watch every second, until it is over or somebody interrupts. */
int watch(struct invocation *i, watch_look *look);
