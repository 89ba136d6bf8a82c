/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out on demand: the n-th allocation of this thread fails, all others
 * succeed. Programs link with fail_alloc_args, so that calls of malloc, calloc, realloc
 * and strdup in our own code come here. */
#pragma once

#include <stdbool.h>

/* From now on count this thread's allocations, and let the `n`-th (from 1) fail. */
void fail_alloc_arm(long n);
/* Stop counting. True if an allocation failed since. */
bool fail_alloc_disarm(void);
