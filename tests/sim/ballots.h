/* SPDX-License-Identifier: Apache-2.0
 *
 * The oracle's part for the metadata quorum: who voted for whom, what a leader may call
 * committed, and whether everybody makes the same of the same metadata. That logs match
 * and who writes in which epoch the oracle sees itself; for it the metadata log is one
 * more partition. */
#pragma once

#include "tests/sim/oracle.h"

struct ballots;

struct ballots *ballots_new(struct oracle *o);

/* A vote that was asked for is answered. */
void ballots_voted(struct ballots *l, const struct sim_broker *b,
                   const struct request *r);
/* A process opened its disk: what it said before must be known to it (S14). */
void ballots_started(struct ballots *l, const struct sim_broker *b);

/* What the oracle knows of one broker's metadata log. */
struct metadata_replica {
    int64_t durable;
    bool lost; /* its disk was replaced */
};

/* A leader has moved its watermark; `epoch` is that of the newest record below it. When
 * the turn began its log ended at `end_before`. */
void ballots_committed(struct ballots *l, const struct sim_broker *b, int32_t epoch,
                       int64_t end_before,
                       const struct metadata_replica all[static BROKERS_MAX]);
/* After a turn: the voters that count, and the image. */
void ballots_turned(struct ballots *l, const struct sim_broker *b);
