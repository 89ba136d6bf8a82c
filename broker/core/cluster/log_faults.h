/* SPDX-License-Identifier: Apache-2.0
 *
 * The replicas of one broker whose logs do not open. The broker tells the controller with
 * each heartbeat, all of them each time; the controller lets others lead, and remembers
 * them for as long as it hears the broker. */
#pragma once

#include "proto/base/uuid.h"

struct log_fault {
    struct uuid topic_id;
    int32_t partition;
    bool damaged; /* what it had is not there any more; else it may open later */
};

struct log_faults {
    struct log_fault *list; /* by topic and partition */
    size_t count;
};

void log_faults_release(struct log_faults *f);
/* In any order; a partition that is there already stays as it is. */
void log_faults_add(struct log_faults *f, struct log_fault fault);
bool log_faults_equal(const struct log_faults *a, const struct log_faults *b);
const struct log_fault *log_faults_find(const struct log_faults *f, struct uuid topic_id,
                                        int32_t partition);
