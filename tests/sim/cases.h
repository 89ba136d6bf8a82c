/* SPDX-License-Identifier: Apache-2.0
 *
 * A case is a seed with everything that it drew, written down, so that it can be changed:
 *
 *     seed 17
 *     brokers=3
 *     fault 3200000000 kill 1 0 500000000
 *
 * Cases that once failed live in tests/sim/regressions and are run for ever. */
#pragma once

#include "tests/sim/run.h"

bool case_read(const char *path, struct run_options *o);
void case_print(const struct run_options *o);
/* Run it; if it violates something, find fewer faults and a shorter time that violate the
 * same, and print that case. True if nothing was violated. */
bool case_shrink(const struct run_options *o);
