/* SPDX-License-Identifier: Apache-2.0
 *
 * Where to begin: first what the group has committed, then, if that is nothing, what
 * auto.offset.reset says. Shares that need the same are asked for together. */
#include "client/consumer.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

/* One question under way. Shares that wait for its answer point to it. */
struct lookup {
    TAILQ_ENTRY(lookup) link;
    struct leat_consumer *consumer;
    struct call call;
};

static void look_later(leat_consumer *c)
{
    task_queue(consumer_engine(c), &c->lookup_task);
}

static void look_again(leat_consumer *c, enum conf_key pause)
{
    const int64_t at_ms = engine_now_ms() + conf_number(c->conf, pause);

    if (!timer_is_set(&c->lookup_timer) || c->lookup_timer.node.at_ms > at_ms)
        timer_set_at(consumer_engine(c), &c->lookup_timer, at_ms);
}

static void look_after_pause(leat_consumer *c)
{
    look_again(c, CONF_RETRY_BACKOFF);
}

void share_ask_nothing(struct share *s)
{
    s->asks_committed = NULL;
    s->asks_time = NULL;
}

static void share_read_from(leat_consumer *c, struct share *s, int64_t offset)
{
    progress_seek(&s->progress, offset);
    s->stage = SHARE_READING;
    fetcher_seek(&c->fetcher, &s->source, offset);
}

static void share_look(leat_consumer *c, struct share *s, enum share_stage stage,
                       int64_t time_ms)
{
    s->stage = stage;
    s->time_ms = time_ms;
    look_later(c);
}

void share_reset(leat_consumer *c, struct share *s)
{
    const char *reset = conf_text(c->conf, CONF_AUTO_OFFSET_RESET);

    progress_seek(&s->progress, -1);
    if (strcmp(reset, "latest") == 0)
        share_look(c, s, SHARE_TIME, LEAT_OFFSET_LATEST);
    else if (reset[0] == '@')
        share_look(c, s, SHARE_TIME, strtoll(reset + 1, NULL, 10));
    else
        share_look(c, s, SHARE_TIME, LEAT_OFFSET_EARLIEST);
}

void share_begin(leat_consumer *c, struct share *s, int64_t offset)
{
    s->asks_time = NULL;
    progress_seek(&s->progress, offset >= 0 ? offset : -1);
    fetcher_seek(&c->fetcher, &s->source, offset >= 0 ? offset : -1);
    if (offset >= 0) {
        s->stage = SHARE_READING;
        look_later(c);
    } else if (offset != LEAT_OFFSET_COMMITTED) {
        share_look(c, s, SHARE_TIME, offset);
    } else if (c->grouped) {
        s->committed_known = false;
        s->asks_committed = NULL;
        share_look(c, s, SHARE_COMMITTED, 0);
    } else {
        share_reset(c, s);
    }
}

/* ---- answers ---- */

/* What a share was told: true if that was an answer to its question. */
static bool result_ok(struct lookup *l, const struct share *s, int32_t error)
{
    struct leat_consumer *c = l->consumer;

    if (!error)
        return true;
    if (status_retry(error) == STATUS_RETRY_REFRESH)
        cluster_refresh(&c->client->cluster);
    if (error == STATUS_UNKNOWN_TOPIC_OR_PARTITION || !status_is_retriable(error))
        consumer_report(c, (enum status)error, NULL, "look up", s->source.topic->name);
    return false;
}

static void committed_is(leat_consumer *c, struct share *s, int64_t offset)
{
    s->committed_known = true;
    s->progress.committed = offset >= 0 ? offset : -1;
    if (s->stage != SHARE_COMMITTED)
        return; /* sought meanwhile */
    if (offset >= 0)
        share_read_from(c, s, offset);
    else
        share_reset(c, s);
}

static void committed_apply(struct lookup *l, const Leat__OffsetFetchResponse *m)
{
    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__OffsetFetchTopic *t = m->topics[i];

        for (size_t k = 0; k < t->n_partitions; k++) {
            const Leat__OffsetFetchResult *r = t->partitions[k];
            struct share *s = consumer_share(l->consumer, t->name, r->partition);

            if (!s || s->asks_committed != l || !result_ok(l, s, r->error))
                continue;
            s->asks_committed = NULL;
            committed_is(l->consumer, s, r->offset);
        }
    }
}

static void times_apply(struct lookup *l, const Leat__ListOffsetsResponse *m)
{
    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__ListOffsetsTopicResult *t = m->topics[i];

        for (size_t k = 0; k < t->n_partitions; k++) {
            const Leat__ListOffsetsResult *r = t->partitions[k];
            struct share *s = consumer_share(l->consumer, t->name, r->partition);

            if (!s || s->asks_time != l || !result_ok(l, s, r->error) || r->offset < 0)
                continue;
            s->asks_time = NULL;
            share_read_from(l->consumer, s, r->offset);
        }
    }
}

static void lookup_free(struct lookup *l)
{
    TAILQ_REMOVE(&l->consumer->lookups, l, link);
    call_release(&l->call);
    free(l);
}

/* Whoever got no answer asks again, after a pause. */
static void lookup_end(struct lookup *l)
{
    struct leat_consumer *c = l->consumer;
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));) {
        if (s->asks_committed != l && s->asks_time != l)
            continue;
        if (s->asks_committed == l)
            s->asks_committed = NULL;
        else
            s->asks_time = NULL;
        look_after_pause(c);
    }
    lookup_free(l);
}

static void lookup_done(struct call *call, const struct answer *answer)
{
    struct lookup *l = container_of(call, struct lookup, call);

    if (answer->status) {
        cluster_refresh(&l->consumer->client->cluster);
        if (!status_is_retriable(answer->status))
            consumer_report(l->consumer, answer->status, answer->text, "look up offsets",
                            "");
    } else if (call->target == CALL_COORDINATOR) {
        committed_apply(l, (const Leat__OffsetFetchResponse *)answer->message);
    } else {
        times_apply(l, (const Leat__ListOffsetsResponse *)answer->message);
    }
    lookup_end(l);
}

/* ---- questions ---- */

static struct lookup *lookup_new(leat_consumer *c)
{
    struct lookup *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    if (call_init(&l->call, &c->client->cluster, lookup_done)) {
        free(l);
        return NULL;
    }
    l->consumer = c;
    TAILQ_INSERT_TAIL(&c->lookups, l, link);
    return l;
}

static int32_t share_leader(const struct share *s)
{
    const struct topic *t = s->source.topic;

    return s->source.partition < t->partition_count
               ? t->partitions[s->source.partition].leader
               : -1;
}

static bool needs_committed(const leat_consumer *c, const struct share *s)
{
    return c->grouped && !s->committed_known && !s->asks_committed && !s->leaving &&
           s->stage != SHARE_ARRIVED;
}

static bool needs_time(const struct share *s)
{
    return s->stage == SHARE_TIME && !s->asks_time && !s->leaving;
}

static Leat__TopicPartitions *committed_topic(const struct share *s, struct arena *arena)
{
    Leat__TopicPartitions *t = arena_alloc(arena, sizeof *t);

    if (!t)
        return NULL;
    leat__topic_partitions__init(t);
    t->topic = s->source.topic->name;
    t->partitions = arena_alloc(arena, sizeof *t->partitions);
    if (!t->partitions)
        return NULL;
    t->partitions[t->n_partitions++] = s->source.partition;
    return t;
}

static enum status committed_ask(struct lookup *l, struct arena *arena,
                                 int64_t deadline_ms)
{
    Leat__OffsetFetchRequest m = LEAT__OFFSET_FETCH_REQUEST__INIT;
    struct leat_consumer *c = l->consumer;
    struct share *s;

    m.group = (char *)conf_text(c->conf, CONF_GROUP_ID);
    m.topics = arena_alloc(arena, c->shares.count * sizeof(void *));
    if (!m.topics)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; (s = map_next(&c->shares, &i));) {
        if (!needs_committed(c, s))
            continue;
        m.topics[m.n_topics] = committed_topic(s, arena);
        if (!m.topics[m.n_topics++])
            return STATUS_NO_MEMORY;
        s->asks_committed = l;
    }
    l->call.target = CALL_COORDINATOR;
    l->call.group = m.group;
    l->call.repeat = true;
    return call_start(&l->call, RPC_OFFSET_FETCH, &m.base, deadline_ms);
}

static Leat__ListOffsetsTopic *time_topic(const struct share *s, struct arena *arena)
{
    Leat__ListOffsetsTopic *t = arena_alloc(arena, sizeof *t);
    Leat__ListOffsetsPartition *p = arena_alloc(arena, sizeof *p);

    if (!t || !p)
        return NULL;
    leat__list_offsets_topic__init(t);
    leat__list_offsets_partition__init(p);
    t->name = s->source.topic->name;
    t->partitions = arena_alloc(arena, sizeof(void *));
    if (!t->partitions)
        return NULL;
    p->partition = s->source.partition;
    p->timestamp_ms = s->time_ms;
    t->partitions[t->n_partitions++] = p;
    return t;
}

static enum status times_ask(struct lookup *l, int32_t leader, struct arena *arena,
                             int64_t deadline_ms)
{
    Leat__ListOffsetsRequest m = LEAT__LIST_OFFSETS_REQUEST__INIT;
    struct leat_consumer *c = l->consumer;
    struct share *s;

    m.topics = arena_alloc(arena, c->shares.count * sizeof(void *));
    if (!m.topics)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; (s = map_next(&c->shares, &i));) {
        if (!needs_time(s) || share_leader(s) != leader)
            continue;
        m.topics[m.n_topics] = time_topic(s, arena);
        if (!m.topics[m.n_topics++])
            return STATUS_NO_MEMORY;
        s->asks_time = l;
    }
    l->call.target = CALL_NODE;
    l->call.node = leader;
    l->call.once = true; /* the leader may be another one when we ask again */
    return call_start(&l->call, RPC_LIST_OFFSETS, &m.base, deadline_ms);
}

/* Ask for all shares that need the same: what is committed (`leader` -1), or offsets that
 * this leader knows. */
static void ask(leat_consumer *c, int32_t leader)
{
    const int64_t deadline_ms =
        engine_now_ms() + conf_number(c->conf, CONF_REQUEST_TIMEOUT);
    struct lookup *l = lookup_new(c);
    struct arena arena;
    enum status st;

    if (!l) {
        look_after_pause(c);
        return;
    }
    arena_init(&arena, 0);
    st = leader < 0 ? committed_ask(l, &arena, deadline_ms)
                    : times_ask(l, leader, &arena, deadline_ms);
    arena_release(&arena);
    if (st) {
        look_after_pause(c);
        lookup_end(l);
    }
}

/* A subscription waits for topics that do not exist yet; so does an assignment. */
static bool topics_missing(leat_consumer *c)
{
    bool missing = false;

    for (size_t i = 0; i < c->topic_count; i++) {
        const struct topic *t = cluster_topic(&c->client->cluster, c->topics[i]);

        if (!t || !t->known || !t->status)
            continue;
        missing = true;
        consumer_report(c, t->status, NULL, "subscribe", t->name);
    }
    return missing;
}

void consumer_lookup_task(struct engine_task *t)
{
    leat_consumer *c = container_of(t, leat_consumer, lookup_task);
    bool waiting = topics_missing(c);
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));) {
        if (s->source.topic->known && s->source.topic->status) {
            waiting = true;
            consumer_report(c, s->source.topic->status, NULL, "read",
                            s->source.topic->name);
        }
        if (needs_committed(c, s))
            ask(c, -1);
        if (needs_time(s) && share_leader(s) < 0)
            waiting = true;
        else if (needs_time(s))
            ask(c, share_leader(s));
    }
    if (waiting)
        look_again(c, CONF_RETRY_BACKOFF_MAX);
}

void consumer_lookup_timer(struct engine_timer *t)
{
    leat_consumer *c = container_of(t, leat_consumer, lookup_timer);
    struct share *s;
    bool stale = topics_missing(c);

    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        stale = stale || share_leader(s) < 0;
    if (stale)
        cluster_refresh(&c->client->cluster);
    look_later(c);
}

void consumer_metadata(struct cluster_listener *l, enum status status)
{
    leat_consumer *c = container_of(l, leat_consumer, listener);

    if (status)
        consumer_report(c, status, c->client->cluster.last_text, "metadata", "");
    look_later(c);
}

void lookup_cancel_all(leat_consumer *c)
{
    while (!TAILQ_EMPTY(&c->lookups)) {
        struct lookup *l = TAILQ_FIRST(&c->lookups);

        call_cancel(&l->call);
        lookup_end(l);
    }
}
