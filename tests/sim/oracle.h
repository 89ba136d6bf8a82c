/* SPDX-License-Identifier: Apache-2.0
 *
 * The oracle sees everything: the logs of all brokers, alive or dead, what the metadata
 * says, what clients were told. It keeps, per partition, the one history that committed
 * records form, and compares everybody with it after every turn. What it checks carries
 * the numbers of tests/sim/README.md: S1 to S17 of safety, L1 to L5 of liveness.
 *
 * It reads nodes through their own accessors and changes nothing; only when records are
 * not in a node's memory any more it reads them as a consumer of the log would. */
#pragma once

#include "tests/sim/broker.h"

struct oracle;

struct oracle *oracle_new(struct world *w, const struct swarm *s,
                          struct sim_broker *brokers,
                          void (*violated)(void *ctx, const char *id, const char *text),
                          void *ctx);
void oracle_violation(struct oracle *o, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void oracle_turned(struct oracle *o, struct sim_broker *b);
/* In the middle of a turn: what it says to be committed is, even if the turn goes on to
 * take it away. Who is in sync is judged at its end, when all its parts know the same. */
void oracle_promises(struct oracle *o, struct sim_broker *b);
void oracle_started(struct oracle *o, struct sim_broker *b);
/* A VOTE is being answered. */
void oracle_voted(struct oracle *o, struct sim_broker *b, const struct request *r);
void oracle_wiped(struct oracle *o, struct sim_broker *b);

/* A client was told that its batch is stored; with `all`, on all in-sync replicas. */
void oracle_acked(struct oracle *o, struct uuid topic, int32_t partition, int64_t base,
                  const struct batch *sent, bool all);
/* A consumer got these batches, asking for `from`. */
void oracle_consumed(struct oracle *o, struct uuid topic, int32_t partition, int64_t from,
                     struct bytes batches);
/* An operator wants the topic gone: whatever was called t<topic> until now, or will be
 * while the request is under way, holds no promise any more. */
void oracle_topic_removed(struct oracle *o, int topic);
/* Somebody wants the records before `upto` gone. */
void oracle_trimmed(struct oracle *o, int topic, int32_t partition, int64_t upto);
bool oracle_may_go(const struct oracle *o, int topic); /* ever since */

/* The newest metadata that any broker has; NULL while all are down. */
const struct image *oracle_image(const struct oracle *o);
/* The end of what is committed, as far as any broker knew. */
int64_t oracle_committed(struct oracle *o, struct uuid topic, int32_t partition);

/* Everything is well again: partitions are led, replicas in sync, watermarks at the end.
 * If not, `why` says what is missing. */
bool oracle_is_settled(struct oracle *o, char why[static 200]);
/* All logs are to be read and compared again, from their beginnings. */
void oracle_forget_logs(struct oracle *o);
/* At the very end: all that was acknowledged is there. */
void oracle_finish(struct oracle *o);

/* Whether the cluster can do without this broker's disk. */
bool oracle_can_lose(const struct oracle *o, const struct sim_broker *b);
/* An operator wants a voter gone, which may come late: no disk is lost meanwhile, and
 * nobody wants it (false) as long as a lost disk's successor is not known. The leader
 * cannot tell a moment's silence from a voter that is no more. */
bool oracle_voter_may_go(struct oracle *o);

/* What it knows of all partitions, for a report. */
void oracle_print(const struct oracle *o);

uint64_t oracle_acked_records(const struct oracle *o);
uint64_t oracle_leader_changes(const struct oracle *o);
