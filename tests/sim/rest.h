/* SPDX-License-Identifier: Apache-2.0
 *
 * What a cluster does that is well and has nothing to do: keep its leaders (L1), say
 * little (L5), and hold no more than it needs (S18). What repeats itself for ever, waits
 * for ever or was forgotten shows here, however harmless each single one of it is. */
#pragma once

#include "tests/sim/broker.h"
#include "tests/sim/oracle.h"

enum { REST_SECONDS = 10 };

/* As it is when the rest begins. */
struct rest {
    struct oracle *oracle;
    const struct sim_broker *brokers;
    const struct swarm *swarm;
    int32_t epoch, leader; /* of the quorum, by who knows most */
    uint64_t questions;
};

void rest_begin(struct rest *t, uint64_t questions);
/* REST_SECONDS later. */
void rest_judge(const struct rest *t, uint64_t questions);
