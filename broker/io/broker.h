/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker as a whole, as the main thread sees it: shards that are started one after
 * the other, served by, stopped together; signals; the operators' port. It runs from
 * broker_run to the process's exit status. */
#pragma once

#include "broker/io/options.h"

/* Take over the options and run until a signal ends it. Returns the exit status. */
int broker_run(struct options *o, int64_t started_us);
