/* SPDX-License-Identifier: Apache-2.0 */
#include "client/producer.h"

#include "proto/base/check.h"
#include "proto/base/murmur2.h"

#include <string.h>

/* The cluster may be told of a new topic a moment before its brokers are. */
enum { MISSES_MAX = 3 };

/* ---- topics ---- */

struct lanes *producer_lanes(struct leat_producer *p, const char *name)
{
    struct lanes *t = p->last;
    struct topic *topic;

    if (t != NULL && strcmp(t->name, name) == 0)
        return t;
    t = map_get(&p->topics, bytes_of(name));
    if (t != NULL)
        return p->last = t;
    topic = cluster_topic(&p->client->cluster, name);
    t = topic != NULL ? lanes_new(&p->accumulator, name) : NULL;
    if (t == NULL)
        return NULL;
    if ((topic->known && !topic->status && lanes_grow(t, topic->partition_count)) ||
        !map_put(&p->topics, bytes_of(t->name), t)) {
        lanes_free(t);
        return NULL;
    }
    return p->last = t;
}

bool lanes_unsettled(const struct lanes *t)
{
    return t->count == 0 || t->moving || !TAILQ_EMPTY(&t->stage);
}

/* Records without a key stay together until a batch is full or has left. */
static int32_t stick(struct leat_producer *p, struct lanes *t)
{
    size_t open = lane_open_bytes(t->at[t->sticky]);

    if (open == 0 || open >= p->accumulator.batch_bytes)
        t->sticky = (t->sticky + 1) % t->count;
    return t->sticky;
}

int32_t producer_pick(struct leat_producer *p, struct lanes *t, struct bytes key)
{
    CHECK(t->count > 0);
    if (key.data == NULL)
        return stick(p, t);
    return murmur2_partition(key.data, key.len, t->count);
}

/* ---- into a lane ---- */

static void wake_by(struct leat_producer *p, int64_t at_ms)
{
    if (!timer_is_set(&p->timer) || at_ms < p->timer.node.at_ms)
        timer_set_at(&p->client->engine, &p->timer, at_ms);
}

enum status producer_append(struct leat_producer *p, struct lane *lane,
                            const struct item *item, int64_t opened_ms)
{
    struct parcel *opened;
    enum status st = accumulator_append(&p->accumulator, lane, item, &opened);

    if (st)
        return st;
    if (opened != NULL) {
        opened->opened_ms = opened_ms > 0 ? opened_ms : engine_now_ms();
        if (lane->sending)
            return STATUS_OK; /* the answer will look at what has gathered */
        if (p->linger_ms > 0 && opened == lane_first(lane))
            wake_by(p, opened->opened_ms + p->linger_ms);
        else
            task_queue(&p->client->engine, &p->task);
    } else if (!lane->sending && lane_open_bytes(lane) >= p->accumulator.batch_bytes) {
        task_queue(&p->client->engine, &p->task);
    }
    return STATUS_OK;
}

/* ---- the stage ---- */

enum status producer_stage(struct leat_producer *p, struct lanes *t, int32_t partition,
                           const struct item *item)
{
    struct staged *s = staged_new(&p->accumulator, t, partition, item);

    if (s == NULL)
        return STATUS_NO_MEMORY;
    s->staged_ms = engine_now_ms();
    if (s->ticket != NULL)
        s->ticket->queued = true;
    if (t->count == 0)
        cluster_refresh(&p->client->cluster);
    wake_by(p, s->staged_ms + p->delivery_ms);
    return STATUS_OK;
}

/* `s` is in no list. */
static void fail_staged(struct leat_producer *p, struct staged *s, int code)
{
    struct ticket *ticket = s->ticket;

    s->code = code;
    if (ticket != NULL) {
        ticket->queued = false;
        ticket->done = true;
        ticket->code = code;
        ticket->partition = s->partition;
        ticket->offset = -1;
        ticket->text[0] = '\0';
    }
    if (ticket != NULL || p->delivered == NULL) {
        staged_free(&p->accumulator, s);
        producer_freed(p);
        return;
    }
    TAILQ_INSERT_TAIL(&p->failed, s, link);
    notice_post(&p->client->engine, &p->failed_notice);
}

void producer_fail_staged(struct leat_producer *p, struct lanes *t, int64_t before_ms,
                          int code)
{
    struct staged *s;

    while ((s = TAILQ_FIRST(&t->stage)) != NULL && s->staged_ms < before_ms) {
        TAILQ_REMOVE(&t->stage, s, link);
        fail_staged(p, s, code);
    }
}

/* The program's partitioner is called without the lock. */
static int32_t ask_partitioner(struct leat_producer *p, struct lanes *t, struct bytes key)
{
    int32_t count = t->count;
    int32_t partition;

    engine_unlock(&p->client->engine);
    partition = p->partitioner(t->name, (leat_bytes){key.data, key.len}, count,
                               p->partitioner_arg);
    engine_lock(&p->client->engine);
    return partition;
}

static enum status settle(struct leat_producer *p, struct lanes *t, struct staged *s)
{
    struct item item = {
        .timestamp_ms = s->timestamp_ms,
        .key = s->key,
        .value = s->value,
        .headers = s->headers,
        .header_count = s->header_count,
        .arg = s->arg,
        .ticket = s->ticket,
    };

    if (s->partition == LEAT_PARTITION_ANY)
        s->partition = p->partitioner != NULL ? ask_partitioner(p, t, s->key)
                                              : producer_pick(p, t, s->key);
    if (s->partition < 0 || s->partition >= t->count)
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    return producer_append(p, t->at[s->partition], &item, s->staged_ms);
}

static void unstage(struct leat_producer *p, struct lanes *t)
{
    struct staged *s;

    while (t->count > 0 && (s = TAILQ_FIRST(&t->stage)) != NULL) {
        enum status st;

        TAILQ_REMOVE(&t->stage, s, link);
        t->moving = true;
        st = settle(p, t, s);
        t->moving = false;
        if (st)
            fail_staged(p, s, (int)st);
        else
            staged_free(&p->accumulator, s);
    }
}

bool producer_unstage_notice(struct notice *n, int max, int *ran)
{
    struct leat_producer *p = container_of(n, struct leat_producer, stage_notice);
    struct lanes *t;

    engine_lock(&p->client->engine);
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;)
        unstage(p, t);
    engine_unlock(&p->client->engine);
    ++*ran;
    return true;
}

/* ---- metadata ---- */

static void topic_is_known(struct leat_producer *p, struct lanes *t,
                           const struct topic *topic)
{
    t->misses = 0;
    if (lanes_grow(t, topic->partition_count))
        cluster_refresh(&p->client->cluster);
    if (TAILQ_EMPTY(&t->stage))
        return;
    if (p->partitioner != NULL)
        notice_post(&p->client->engine, &p->stage_notice);
    else
        unstage(p, t);
}

static void topic_is_missed(struct leat_producer *p, struct lanes *t, enum status status)
{
    bool waits = !TAILQ_EMPTY(&t->stage);

    for (int32_t i = 0; i < t->count; i++)
        waits = waits || t->at[i]->active;
    if (!waits)
        return;
    if (status_is_retriable((int)status) && ++t->misses < MISSES_MAX) {
        cluster_refresh(&p->client->cluster);
        return;
    }
    producer_fail_staged(p, t, INT64_MAX, (int)status);
    for (int32_t i = 0; i < t->count; i++)
        while (t->at[i]->active && !t->at[i]->sending)
            producer_fail_first(p, t->at[i], (int)status, "");
}

void producer_on_metadata(struct cluster_listener *l, enum status status)
{
    struct leat_producer *p = container_of(l, struct leat_producer, listener);
    struct lanes *t;

    if (status)
        return;
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;) {
        const struct topic *topic = cluster_topic(&p->client->cluster, t->name);

        if (topic == NULL || !topic->known)
            continue;
        if (topic->status)
            topic_is_missed(p, t, topic->status);
        else
            topic_is_known(p, t, topic);
    }
    producer_leave_former_leaders(p);
    task_queue(&p->client->engine, &p->task);
}
