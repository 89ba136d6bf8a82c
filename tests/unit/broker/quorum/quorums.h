/* SPDX-License-Identifier: Apache-2.0
 *
 * A few quorums as they are in a broker, each with real storage on a simulated disk, and
 * between them a network that is late, loses messages and can be cut. What is committed
 * anywhere is compared with what was committed elsewhere, record by record. */
#pragma once

#include "broker/core/quorum/quorum.h"

enum { QUORUMS_MAX = 5 };

struct quorums;

/* The first `voters` nodes are the configured controllers of all; 0: each node is alone.
 */
struct quorums *quorums_new(unsigned nodes, unsigned voters, uint64_t seed);
void quorums_free(struct quorums *s);

struct instant quorums_now(const struct quorums *s);
void quorums_run_ms(struct quorums *s, int64_t ms);
void quorums_lose(struct quorums *s, unsigned per_mille);
void quorums_cut_off(struct quorums *s, unsigned node, bool cut);

/* Power is cut; a clean end. Then start again on the same disk, or on a new one. */
void quorums_crash(struct quorums *s, unsigned node);
void quorums_stop(struct quorums *s, unsigned node);
enum status quorums_try_start(struct quorums *s, unsigned node, char why[static 256]);
void quorums_start(struct quorums *s, unsigned node);
void quorums_wipe(struct quorums *s, unsigned node);
bool quorums_is_up(const struct quorums *s, unsigned node);
/* Another list of first controllers for a node that is not up. */
void quorums_misconfigure(struct quorums *s, unsigned node, unsigned voters);

unsigned quorums_leader(const struct quorums *s); /* active; 0: none */
struct quorum *quorums_at(const struct quorums *s, unsigned node);
struct simdisk *quorums_disk(const struct quorums *s, unsigned node);
const char *quorums_failure(const struct quorums *s, unsigned node);
unsigned quorums_replaced(const struct quorums *s,
                          unsigned node); /* images, by snapshots */
unsigned quorums_warnings(const struct quorums *s, unsigned node);

/* Propose at a node a record of a new topic; `records` big ones instead. */
void quorums_propose(struct quorums *s, unsigned node);
void quorums_propose_bulk(struct quorums *s, unsigned node, unsigned records);
void quorums_propose_registration(struct quorums *s, unsigned node, unsigned broker);
unsigned quorums_accepted(const struct quorums *s); /* proposals that were told OK */
unsigned quorums_refused(const struct quorums *s);
unsigned quorums_open(const struct quorums *s); /* that were told nothing yet */

/* Ask a node to change the voters. The answer: its status, AGAIN while there is none. */
void quorums_alter(struct quorums *s, unsigned node, int32_t add, int32_t remove);
enum status quorums_altered(const struct quorums *s);
/* The voters, by DESCRIBE_QUORUM at a node: "1,2,3 (4)", observers in brackets. */
const char *quorums_describe(struct quorums *s, unsigned node);

/* Every accepted proposal is in the image of every node that is up, and all images are
 * the same. */
void quorums_check(struct quorums *s);
