/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/housekeeping.h"

#include "broker/core/node_state.h"

enum { EVERY_MS = 1000 };

static void gauges(struct node *n)
{
    struct metrics *m = n->o.metrics;
    struct store_stats s;

    store_stats(n->store, &s);
    metric_set(m, METRIC_LOG_BYTES, s.log_bytes);
    metric_set(m, METRIC_SEGMENTS, s.segments);
    metric_set(m, METRIC_SEGMENTS_DELETED, s.segments_deleted);
    metric_set(m, METRIC_JOURNAL_GROUPS, s.journal.groups);
    metric_set(m, METRIC_JOURNAL_FRAMES, s.journal.frames);
    metric_set(m, METRIC_JOURNAL_BYTES, s.journal.bytes_written);
    metric_set(m, METRIC_SEGMENT_BYTES, s.segment_bytes_written);
    metric_set(m, METRIC_COLD_READS, s.cold_reads);
    metric_set(m, METRIC_HOT_READS, s.hot_reads);
    /* Facts of the whole process are told by one shard, for the reader adds them up. */
    if (n->o.shard == 0) {
        metric_set(m, METRIC_DISK_FREE, s.free_bytes);
        metric_set(m, METRIC_TOPICS, image_topic_count(&n->image));
        metric_set(m, METRIC_PARTITIONS, (uint64_t)n->image.partition_count);
    }
}

/* What this shard's replicas are like. */
static void look_at_replicas(struct node *n)
{
    uint64_t leaders = 0, under = 0, lag = 0;
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));)
        for (int32_t k = 0; k < topic->partition_count; k++) {
            const struct image_partition *ip = &topic->partitions[k];
            const struct partition *p = ip->local;

            if (p == NULL)
                continue;
            leaders += p->role == ROLE_LEADER;
            under += p->role == ROLE_LEADER &&
                     ip->in_sync_count < ip->replica_count - ip->adding_count;
            if (p->role == ROLE_FOLLOWER && p->told_watermark > log_end(p->log))
                lag += (uint64_t)(p->told_watermark - log_end(p->log));
        }
    metric_set(n->o.metrics, METRIC_LEADERS, leaders);
    metric_set(n->o.metrics, METRIC_LEADERS_UNDER_REPLICATED, under);
    metric_set(n->o.metrics, METRIC_REPLICA_LAG, lag);
}

static void fire(struct node *n, struct timer *t)
{
    store_tick(n->store, n->now);
    if (n->offline > 0)
        node_retry_partitions(n);
    if (n->quorum != NULL)
        node_look_behind(n);
    gauges(n);
    look_at_replicas(n);
    timer_set(n, t, n->now.mono_ms + EVERY_MS);
}

void housekeeping_start(struct node *n)
{
    n->housekeeping.fire = fire;
    fire(n, &n->housekeeping);
}
