/* SPDX-License-Identifier: Apache-2.0
 *
 * Many seeds, in processes of their own, some of them at a time: what one run leaks or
 * breaks does not meet the next. Progress and the sum of everything are printed.
 *
 * A sweep runs one seed again and again: its first broker dies at its first disk
 * operation, at the next one, and so on to the last, each time before, within and after
 * it, by itself and with the power. Every other time it dies once more while it comes
 * back. */
#pragma once

#include "tests/sim/run.h"

enum { SETTINGS_MAX = 64 };

struct batch_options {
    bool on, keep_going;
    uint64_t first, last; /* seeds */
    uint64_t sweep;       /* instead: each so manieth disk operation of seed `first` */
    unsigned jobs;
    int seconds;        /* 0: no limit */
    const char *wanted; /* stop only at these violations, "S1,S2"; the exit status is 0
                         * when one was found */
    const char *setting[SETTINGS_MAX];
    size_t settings;
};

/* What to run, with the settings on top of what the seed draws: `number` is the seed, or
 * a step of the sweep. False: a setting is wrong. */
bool batch_prepare(const struct batch_options *b, uint64_t number, struct run_options *o);
/* True when no seed violated anything, or one violated what was wanted. */
bool batch_run(const struct batch_options *b);
