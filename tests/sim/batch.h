/* SPDX-License-Identifier: Apache-2.0
 *
 * Many seeds, in processes of their own, some of them at a time: what one run leaks or
 * breaks does not meet the next. Progress and the sum of everything are printed. */
#pragma once

#include "tests/sim/run.h"

enum { SETTINGS_MAX = 64 };

struct batch_options {
    bool on, keep_going;
    uint64_t first, last;
    unsigned jobs;
    int minutes; /* 0: no limit */
    const char *setting[SETTINGS_MAX];
    size_t settings;
};

/* What seed to run, with the settings on top of what it draws. False: one is wrong. */
bool batch_prepare(const struct batch_options *b, uint64_t seed, struct run_options *o);
/* True when no seed violated anything. */
bool batch_run(const struct batch_options *b);
