/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator looks after consumer groups: who is a member, which partitions each
 * member works on, and which offsets are committed. All of that is a state machine over
 * the group log (leat.group.Record): a request is checked against the state, becomes
 * records, and is answered when these are committed and applied; so what a client was
 * told survives a crash, and (later) the loss of the broker. Sessions are soft state:
 * after a restart every member has its full session time again.
 *
 * One coordinator runs on shard 0. Deciding is done by pure functions (group.h,
 * assign.h); this is the part that reads and writes the log and answers requests. */
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
    void *ctx;
};

STATUS_MUST_CHECK enum status coordinator_open(struct coordinator **out,
                                               const struct coordinator_options *o,
                                               struct instant now);
void coordinator_close(struct coordinator *c);

/* A request whose api is one of GROUP_* or OFFSET_*. */
void coordinator_request(struct coordinator *c, struct request *r, struct instant now);

/* The group log, for telling its on_durable apart; and that call. */
struct log *coordinator_log(const struct coordinator *c);
void coordinator_durable(struct coordinator *c, struct instant now);

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
