/* SPDX-License-Identifier: Apache-2.0
 *
 * A produce request comes apart into parts, one batch for one partition each. Parts of
 * one shard form a group, which is appended there and waits there until all of it is
 * safe; the request is answered when its groups are home. Everything lies in the
 * request's arena; a group and its parts are touched only by the shard that has them. */
#pragma once

#include "broker/core/api/api.h"

struct produce;
struct produce_group;

struct produce_part {
    struct uuid topic_id;
    int32_t partition;
    uint32_t topic; /* its place in the request */
    uint8_t *batch; /* NULL when `status` was known at the door */
    size_t batch_bytes;
    struct produce_group *group;
    struct ack_waiter waiter;

    enum status status;
    bool refused;  /* not appended */
    int64_t limit; /* that the batch exceeded */
    int64_t base_offset;
    int64_t log_start;
};

struct produce_group {
    struct errand errand;
    struct produce *produce;
    struct node *node; /* where it is appended */
    unsigned shard;
    struct produce_part **parts;
    size_t count;
    size_t waiting; /* parts that are not safe yet */
    struct timer deadline;
};

struct produce {
    struct request *request;
    bool wait;
    enum ack ack;
    int64_t timeout_ms;
    struct produce_part *parts; /* in the order of the request */
    size_t count;
    struct produce_group *groups;
    size_t group_count;
    size_t away; /* groups that are not done */
};

/* produce_plan.c: take the request apart. INVALID_REQUEST with a sentence in `why`, or
 * THROTTLED without memory. */
STATUS_MUST_CHECK enum status produce_plan(struct node *n, struct produce *p,
                                           const char **why);

/* produce_plain.c: build batches of plain records, a part each, at `parts`; returns how
 * many (at most produce_plain_parts), or -1 without memory. */
size_t produce_plain_parts(const struct topic *topic, const Leat__ProducePartition *in);
int produce_plain(struct node *n, struct arena *arena, const struct topic *topic,
                  const Leat__ProducePartition *in, struct produce_part *parts);

/* produce_append.c: append a group on this shard. True when nothing has to wait; else
 * produce_group_done comes later. */
bool produce_append(struct node *n, struct produce_group *g);
void produce_group_done(struct produce_group *g);
