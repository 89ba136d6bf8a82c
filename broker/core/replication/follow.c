/* SPDX-License-Identifier: Apache-2.0
 *
 * A follower does what its leader's answer says, if that can be true: cuts, begins anew,
 * appends, and learns what is safe. */
#include "broker/core/replication/fetcher_inner.h"

#include "broker/core/replication/snapshot_link.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "storage/machine.h"

int64_t fetcher_cut(const struct log *log, int32_t leader_found, int64_t leader_end)
{
    int32_t epoch;
    int64_t end;

    log_end_for_epoch(log, leader_found, &epoch, &end);
    if (epoch < 0)
        return log_start(log);
    return epoch == leader_found && leader_end < end ? leader_end : end;
}

static void pause(struct following *g, int64_t ms)
{
    struct node *n = g->fetcher->all->node;

    g->retry_ms =
        n->now.mono_ms + ms / 2 + (int64_t)prng_below(&n->random, (uint64_t)ms / 2 + 1);
}

/* What it has contradicts what was committed: a broken promise, here or at the leader.
 * Its bytes are kept for whoever will look into it. */
static void get_stuck(struct following *g, const char *what)
{
    const struct partition *p = g->partition;
    const struct topic *topic =
        image_topic_by_id(&g->fetcher->all->node->image, p->topic_id);

    g->stuck = true;
    node_log(g->fetcher->all->node, LOG_LEVEL_ERROR, "replica_stuck",
             "%s/%d %s broker %d (epoch %d); it is not followed until it has another "
             "leader",
             topic ? topic->name : "?", p->number, what, g->fetcher->leader,
             p->leader_epoch);
}

/* Others count on what it has: it must not give it up. Whoever is eligible only has all
 * that was committed, and none of it is in its leader's log: it was trimmed. */
static bool is_counted_on(const struct node *n, const struct partition *p)
{
    const struct topic *topic = image_topic_by_id(&n->image, p->topic_id);
    const struct image_partition *ip = &topic->partitions[p->number];

    return image_has(ip->in_sync, ip->in_sync_count, n->o.node_id);
}

static void begin_anew(struct following *g, int64_t log_start)
{
    struct partition *p = g->partition;
    struct node *n = g->fetcher->all->node;

    pause(g, BACKOFF_MOST_MS);
    if (is_counted_on(n, p)) {
        MARK("follower must leave the set before it begins anew");
        return; /* leave first, truncate second */
    }
    if (p->machine != NULL) {
        MARK("group state is fetched as a snapshot");
        snapshot_link_start(n, p, g->fetcher->leader);
    } else if (log_start < 0) {
        get_stuck(g, "was given no beginning by");
    } else {
        MARK("follower begins anew at its leader's start");
        partition_reset(p, n->store, log_start);
        g->retry_ms = 0;
        g->acked = -1;
    }
}

/* After an unclean election of the groups' partition: everything comes again, the
 * leader's log from its beginning or, where that is gone, its snapshot. */
static void forget(struct following *g)
{
    struct partition *p = g->partition;
    struct node *n = g->fetcher->all->node;

    if (is_counted_on(n, p)) {
        pause(g, BACKOFF_MOST_MS); /* leave first, truncate second */
        return;
    }
    MARK("group state is forgotten");
    snapshot_link_forget(n, p);
    g->acked = -1;
}

/* The end of an epoch is a batch's end, here as there: what both have under one epoch and
 * offset is the same. */
static void cut(struct following *g, const Leat__ReplicaFetchResult *r)
{
    struct partition *p = g->partition;
    int64_t offset = fetcher_cut(p->log, r->diverging_epoch, r->diverging_end);

    if (r->diverging_epoch >= 0 && log_tail_epoch(p->log) > r->diverging_epoch + 1)
        MARK("follower cuts more than one epoch");
    if (p->recovering)
        MARK("follower cuts for an unclean leader");
    if (offset < log_start(p->log))
        offset = log_start(p->log);
    if (offset >= log_end(p->log)) {
        get_stuck(g, "cannot find where it differs from");
    } else if (offset < p->high_watermark && !p->recovering) {
        get_stuck(g, "would have to give up committed records to follow");
    } else if (p->machine != NULL && offset < machine_applied(p->machine)) {
        forget(g); /* what was applied cannot be taken back one by one */
    } else {
        MARK("follower cuts its log");
        partition_truncate(p, offset);
        g->acked = -1;
    }
}

/* A leader whose log was trimmed within a batch gives the whole of it, and a log that
 * began anew where the leader's begins has to take it. */
static bool begins_within(const struct partition *p, const struct batch *b)
{
    const int64_t end = log_end(p->log);

    return p->machine == NULL && log_start(p->log) == end && b->base_offset < end &&
           batch_next_offset(b) > end;
}

/* Batches must be whole and right, go on where the log ends, and be of no epoch that the
 * leader cannot have, nor of one before ours. */
static bool append_all(struct following *g, struct bytes data)
{
    struct partition *p = g->partition;
    struct node *n = g->fetcher->all->node;

    while (data.len > 0) {
        struct batch b;

        if (batch_parse(data, &b) || !batch_checksum_ok(&b, data))
            return false;
        if (begins_within(p, &b)) {
            MARK("follower begins within a batch");
            partition_reset(p, n->store, b.base_offset);
            g->acked = -1;
        }
        if (b.base_offset != log_end(p->log) || b.leader_epoch > g->leader_epoch ||
            b.leader_epoch < log_tail_epoch(p->log))
            return false;
        partition_append_replica(p, &b, data.data, n->now);
        data = (struct bytes){data.data + b.size, data.len - b.size};
    }
    return true;
}

static void follow_start(struct partition *p, int64_t start)
{
    int64_t upto = start < p->high_watermark ? start : p->high_watermark;

    if (p->machine == NULL && upto > log_start(p->log))
        log_trim(p->log, upto);
}

void following_take(struct following *g, const Leat__ReplicaFetchResult *r,
                    struct bytes data)
{
    struct partition *p = g->partition;

    if (r->error == STATUS_OFFSET_OUT_OF_RANGE) {
        begin_anew(g, r->log_start);
    } else if (r->error) {
        pause(g, BACKOFF_LEAST_MS * 2);
    } else if (r->diverging_end >= 0) {
        if (PLANT(7))
            partition_told(p, r->high_watermark);
        cut(g, r);
    } else if (!append_all(g, data)) {
        node_log(g->fetcher->all->node, LOG_LEVEL_ERROR, "replica_bad_batch",
                 "broker %d sent a batch that does not follow; asking again",
                 g->fetcher->leader);
        pause(g, BACKOFF_MOST_MS);
    } else {
        g->validated = true;
        partition_matches(p);
        partition_told(p, r->high_watermark);
        follow_start(p, r->log_start);
        fetchers_durable(g->fetcher->all, p);
    }
}
