/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator looks after consumer groups: who is a member, which partitions each
 * member works on, and which offsets are committed. All of that is a state machine over
 * the group log (leat.group.Record): a request is checked against the state, becomes
 * records, and is answered when these are committed and applied; so what a client was
 * told survives a crash and the loss of the broker. Sessions are soft state: after a
 * restart or a change of leader every member has its full session time again.
 *
 * The group log is the only partition of the internal topic `__groups`, replicated like
 * any other. Every broker that has a replica keeps the state up to date as records are
 * committed, and stands by; the one that leads the partition serves. Elected is not
 * ready: it begins to serve once everything that it had when it was elected is committed
 * and applied.
 *
 * Runs on shard 0. Deciding is done by pure functions (group.h, assign.h); this is the
 * part that writes the log and answers requests. */
#pragma once

#include "broker/core/image.h"
#include "broker/core/request.h"
#include "storage/machine.h"

struct coordinator;
struct config;
struct metrics;
struct offset_query;

struct coordinator_options {
    const struct image *image;
    const struct config *config;
    struct metrics *metrics;
    struct store *store;
    struct disk *disk;
    struct prng random; /* for member ids */
    int32_t node_id;
    /* offset_query_start on the node. */
    void (*query)(void *ctx, struct offset_query *q);
    /* Something was appended to the group log: followers wait for it. */
    void (*appended)(void *ctx);
    void *ctx;
};

/* The topic of the group log. Random ids are of version 4, so it is nobody else's. */
#define GROUPS_TOPIC "__groups"
extern const struct uuid groups_topic_id;

STATUS_MUST_CHECK enum status coordinator_open(struct coordinator **out,
                                               const struct coordinator_options *o,
                                               struct instant now);
void coordinator_close(struct coordinator *c);

/* A request whose api is one of GROUP_* or OFFSET_*. NOT_COORDINATOR while this broker
 * does not lead, COORDINATOR_LOADING while it is not ready. */
void coordinator_request(struct coordinator *c, struct request *r, struct instant now);

/* The machine over the group log; whoever keeps the partition tells it what is committed.
 */
struct machine *coordinator_machine(const struct coordinator *c);

/* This broker leads the group log under `leader_epoch` from now on; and: everything that
 * the log held then is committed. */
void coordinator_lead(struct coordinator *c, int32_t leader_epoch, struct instant now);
void coordinator_ready(struct coordinator *c, struct instant now);
/* It does not lead any more: what waits is answered NOT_COORDINATOR. No harm if it did
 * not. */
void coordinator_resign(struct coordinator *c, struct instant now);
/* The epoch under which it leads, -1 if it does not; and whether it is ready. */
int32_t coordinator_epoch(const struct coordinator *c);
bool coordinator_is_ready(const struct coordinator *c);
/* Records are about to be committed: the time is now. */
void coordinator_clock(struct coordinator *c, struct instant now);

/* Topics came, went or grew: groups that subscribe to them get a new target; offsets of
 * removed topics go. */
void coordinator_topic_changed(struct coordinator *c, const struct topic *topic,
                               bool removed, struct instant now);

/* Sessions and rebalance deadlines, expiry of idle groups' offsets, snapshots. */
void coordinator_tick(struct coordinator *c, struct instant now);
int64_t coordinator_deadline(const struct coordinator *c);

/* Answer everything that waits with SHUTTING_DOWN. */
void coordinator_stop(struct coordinator *c);

struct coordinator_stats {
    uint64_t groups, members, offsets, rebalances;
};

void coordinator_stats(const struct coordinator *c, struct coordinator_stats *out);
/* For the metrics page: each group's lag is computed by the reader from these. */
void coordinator_each_offset(const struct coordinator *c,
                             void (*each)(void *to, const char *group, struct uuid topic,
                                          int32_t partition, int64_t offset),
                             void *to);
