/* SPDX-License-Identifier: Apache-2.0
 *
 * What a leader demands of a batch, in Kafka's order, then the append, then the wait
 * until it is as safe as the producer asked for. */
#include "broker/core/api/produce.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/base/mark.h"
#include "proto/record/batch.h"

/* The broker's clock instead of the producer's: the attribute says so, the checksum
 * covers it. */
static void stamp_append_time(struct produce_part *part, struct batch *b, int64_t wall_ms)
{
    b->attributes |= BATCH_LOG_APPEND_TIME;
    b->max_timestamp = wall_ms;
    store_u16(part->batch + BATCH_AT_ATTRIBUTES, b->attributes);
    store_u64(part->batch + BATCH_AT_MAX_TIMESTAMP, (uint64_t)wall_ms);
    b->crc = crc32c(0, part->batch + BATCH_AT_ATTRIBUTES,
                    part->batch_bytes - BATCH_AT_ATTRIBUTES);
    store_u32(part->batch + BATCH_AT_CRC, b->crc);
}

static enum status admit(struct produce_part *part, const struct topic *topic,
                         const struct topic_config *defaults, struct batch *b)
{
    const int64_t size = (int64_t)part->batch_bytes;

    part->limit = topic_config_get(&topic->config, defaults, TOPIC_KEY_MAX_MESSAGE_BYTES);
    if (size > part->limit)
        return STATUS_MESSAGE_TOO_LARGE;
    part->limit = topic_config_get(&topic->config, defaults, TOPIC_KEY_SEGMENT_BYTES);
    if (size > part->limit)
        return STATUS_RECORD_LIST_TOO_LARGE;
    return batch_verify((struct bytes){part->batch, part->batch_bytes}, b);
}

static void count(struct node *n, const struct batch *b)
{
    metric_add(n->o.metrics, METRIC_BATCHES_IN, 1);
    metric_add(n->o.metrics, METRIC_RECORDS_IN, (uint64_t)b->count);
    metric_add(n->o.metrics, METRIC_RECORD_BYTES_IN, b->size);
}

static void store(struct node *n, struct partition *p, struct produce_part *part,
                  const struct topic *topic, struct batch *b)
{
    if (topic_config_get(&topic->config, &n->o.config->topic_defaults,
                         TOPIC_KEY_MESSAGE_TIMESTAMP_TYPE) == TIMESTAMP_LOG_APPEND_TIME)
        stamp_append_time(part, b, n->now.wall_ms);
    log_append(p->log, b, part->batch, p->leader_epoch, n->now.wall_ms);
    partition_appended(p);
    count(n, b);
    part->base_offset = b->base_offset;
}

static void on_safe(struct ack_waiter *w, enum status status)
{
    struct produce_part *part = container_of(w, struct produce_part, waiter);
    struct produce_group *g = part->group;

    part->status = status;
    CHECK(g->waiting > 0);
    if (--g->waiting > 0)
        return;
    timer_stop(g->node, &g->deadline);
    metric_set(g->node->o.metrics, METRIC_PRODUCES_WAITING, --g->node->producing);
    produce_group_done(g);
}

static void on_deadline(struct node *n, struct timer *t)
{
    struct produce_group *g = container_of(t, struct produce_group, deadline);

    MARK("produce timed out in wait for the watermark");
    for (size_t i = 0; i < g->count; i++) {
        struct produce_part *part = g->parts[i];

        if (part->waiter.partition == NULL)
            continue;
        partition_forget(part->waiter.partition, g->produce->ack, &part->waiter);
        part->status = STATUS_REQUEST_TIMED_OUT;
    }
    g->waiting = 0;
    metric_set(n->o.metrics, METRIC_PRODUCES_WAITING, --n->producing);
    produce_group_done(g);
}

/* The part is answered when everything before `upto` is as safe as the producer asked
 * for. */
static void await_safety(struct produce_group *g, struct produce_part *part,
                         struct partition *p, int64_t upto)
{
    int64_t safe = g->produce->ack == ACK_ALL ? p->high_watermark : log_durable(p->log);

    if (upto <= safe)
        return;
    part->waiter.upto = upto;
    part->waiter.done = on_safe;
    partition_await(p, g->produce->ack, &part->waiter);
    g->waiting++;
}

static enum status append(struct node *n, struct produce_group *g,
                          struct produce_part *part)
{
    const struct topic_config *defaults = &n->o.config->topic_defaults;
    const struct topic *topic = image_topic_by_id(&n->image, part->topic_id);
    struct partition *p = node_partition(n, part->topic_id, part->partition);
    int64_t next;
    struct batch b;
    enum status st;

    if (p == NULL)
        return node_absent(n, part->topic_id, part->partition);
    if (!node_is_heard(n)) {
        MARK("a leader that is not heard refuses produce");
        return STATUS_NOT_LEADER;
    }
    st = partition_ready(p);
    if (!st)
        st = admit(part, topic, defaults, &b);
    if (!st && g->produce->ack == ACK_ALL && p->in_sync_count < p->min_in_sync) {
        MARK("produce refused: too few in sync");
        st = STATUS_NOT_ENOUGH_REPLICAS;
    }
    if (!st)
        st = log_check_producer(p->log, &b, &part->base_offset, &next);
    /* Sent once more: it is answered as the first one was, or would have been. */
    if (st && st != STATUS_DUPLICATE_SEQUENCE)
        return st;
    if (!st) {
        store(n, p, part, topic, &b);
        next = batch_next_offset(&b);
    }
    if (st && next > p->high_watermark)
        MARK("duplicate while the first one is not committed");
    else if (st)
        MARK("duplicate of what is committed");
    part->log_start = log_start(p->log);
    if (st && PLANT(8))
        return STATUS_OK;
    if (g->produce->wait &&
        topic_config_get(&topic->config, defaults, TOPIC_KEY_FLUSH_MESSAGES) == 1)
        await_safety(g, part, p, next);
    return STATUS_OK;
}

/* A request may carry several batches of one partition: they are stored in its order or
 * not at all, so what stands behind a refused one is refused as well. */
static bool follows_refused(const struct produce_group *g, size_t i)
{
    const struct produce_part *part = g->parts[i], *before;

    if (i == 0)
        return false;
    before = g->parts[i - 1];
    return before->refused && before->partition == part->partition &&
           uuid_equal(before->topic_id, part->topic_id);
}

bool produce_append(struct node *n, struct produce_group *g)
{
    enum status admitted = n->stopping ? STATUS_SHUTTING_DOWN
                           : n->failed ? STATUS_STORAGE_FAILED
                                       : store_admit(n->store);

    g->node = n;
    for (size_t i = 0; i < g->count; i++) {
        struct produce_part *part = g->parts[i];

        part->status = admitted                ? admitted
                       : follows_refused(g, i) ? STATUS_AFTER_REFUSED
                                               : append(n, g, part);
        part->refused = part->status != STATUS_OK;
        if (part->refused)
            metric_add(n->o.metrics, METRIC_BATCHES_REFUSED, 1);
    }
    if (g->waiting == 0)
        return true;
    g->deadline.fire = on_deadline;
    timer_set(n, &g->deadline, n->now.mono_ms + g->produce->timeout_ms);
    metric_set(n->o.metrics, METRIC_PRODUCES_WAITING, ++n->producing);
    return false;
}
