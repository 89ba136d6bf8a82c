/* SPDX-License-Identifier: Apache-2.0
 *
 * One simulated life of a cluster, from empty disks to the last check: a phase with
 * faults, in which nothing wrong may ever happen (safety), then everything is healed and
 * all must become well within a bounded time (liveness). A run never returns after a
 * violation: it reports and ends its process. */
#pragma once

#include "tests/sim/faults.h"

struct run_options {
    uint64_t seed;
    struct swarm swarm;
    struct fault_list faults;
    uint64_t until; /* event to stop at; 0: run to the end */
    bool loud, show_faults, quiet;
};

enum { MARKS_MAX = 128, VIOLATION_ID = 8 };

struct run_result {
    bool violated;
    char id[VIOLATION_ID];
    char text[400];
    uint64_t hash, events, messages, losses, acked, leader_changes;
    uint64_t disk_ops; /* of broker 1, in the phase with faults */
    moment at;         /* virtual time reached */
    uint64_t faults[SWARM_COUNT - SWARM_kill];
};

/* Fills `result` as it goes; returns true when every invariant held. */
bool run_once(const struct run_options *o, struct run_result *result);
