/* SPDX-License-Identifier: Apache-2.0
 *
 * All connections of a shard, and whose turn it is. */
#include "broker/io/connection_inner.h"

#include "broker/io/log_sink.h"
#include "proto/base/check.h"

#include <stdlib.h>
#include <unistd.h>

void connections_init(struct connections *s, const struct connections_options *o)
{
    *s = (struct connections){.o = *o};
    s->chunks = chunk_pool_new();
    s->frame_max = (size_t)config_number(o->config, CONFIG_FRAME_BYTES_MAX);
    s->connection_max = (size_t)config_number(o->config, CONFIG_CONNECTION_BYTES);
    s->memory_max = (size_t)config_number(o->config, CONFIG_MEMORY_REQUESTS);
    TAILQ_INIT(&s->all);
    TAILQ_INIT(&s->runnable);
    TAILQ_INIT(&s->dirty);
    TAILQ_INIT(&s->paused);
    SLIST_INIT(&s->spare_calls);
}

void connections_release(struct connections *s)
{
    struct call *call;

    CHECK(TAILQ_EMPTY(&s->all) && s->calls == 0);
    while ((call = SLIST_FIRST(&s->spare_calls)) != NULL) {
        SLIST_REMOVE_HEAD(&s->spare_calls, link);
        free(call);
    }
    buf_unref(s->spare);
    chunk_pool_free(s->chunks);
}

void connections_add(struct connections *s, int fd, const char *host)
{
    struct connection *c;

    if (s->stopping) {
        close(fd);
        atomic_fetch_sub(s->o.total, 1);
        return;
    }
    c = connection_new(s, fd, host);
    metric_add(s->o.metrics, METRIC_CONNECTIONS, 1);
    metric_add(s->o.metrics, METRIC_CONNECTIONS_TOTAL, 1);
    event_add(&c->read, NULL);
}

static void run_one(struct connection *c)
{
    c->is_runnable = false;
    TAILQ_REMOVE(&c->set->runnable, c, runnable_link);
    if (c->state == CONNECTION_LINGERING) {
        connection_linger_on(c);
        return;
    }
    if (!connection_reads(c))
        return;
    c->running = true;
    connection_read(c);
    c->running = false;
    if (c->state == CONNECTION_GONE) {
        connection_free_when_done(c);
        return;
    }
    connection_account(c);
    connection_touch(c);
}

/* Sending may find that the peer is gone. */
static void settle_one(struct connection *c)
{
    c->running = true;
    connection_settle(c);
    c->running = false;
    connection_free_when_done(c);
}

void connections_run(struct connections *s, struct instant now)
{
    struct connection *last = TAILQ_LAST(&s->runnable, connection_list);
    struct connection *c;
    bool more = last != NULL;

    s->now = now;
    /* Who becomes runnable meanwhile has to wait for the next turn. */
    while (more && (c = TAILQ_FIRST(&s->runnable)) != NULL) {
        more = c != last;
        run_one(c);
    }
}

/* Memory is there again: everybody who waited for it may go on. */
static void resume_paused(struct connections *s)
{
    struct connection *last = TAILQ_LAST(&s->paused, connection_list);
    struct connection *c;
    bool more = last != NULL && !s->over;

    while (more && (c = TAILQ_FIRST(&s->paused)) != NULL) {
        more = c != last;
        TAILQ_REMOVE(&s->paused, c, paused_link);
        TAILQ_INSERT_TAIL(&s->paused, c, paused_link);
        settle_one(c);
    }
}

void connections_flush(struct connections *s)
{
    bool was_over = s->over;
    struct connection *c;

    while ((c = TAILQ_FIRST(&s->dirty)) != NULL) {
        TAILQ_REMOVE(&s->dirty, c, dirty_link);
        c->is_dirty = false;
        settle_one(c);
    }
    if (was_over && !s->over)
        resume_paused(s);
}

bool connections_are_runnable(const struct connections *s)
{
    return !TAILQ_EMPTY(&s->runnable) || !TAILQ_EMPTY(&s->dirty);
}

static void sweep_one(struct connection *c, struct instant now, int64_t idle_ms)
{
    const char *why;

    if (c->state == CONNECTION_GONE)
        return;
    why = connection_overdue(c, now.mono_ms, idle_ms);
    if (why != NULL) {
        connection_abort(c, c->state == CONNECTION_LINGERING ? NULL : why);
        return;
    }
    if (c->frame_ms > 0 && now.mono_ms - c->traffic_ms >= 1000) {
        connection_shrink(c);
        connection_account(c);
    }
    if (now.mono_ms - c->traffic_ms >= 1000)
        c->whole_seen = 0;
}

bool connections_need_sweep(const struct connections *s)
{
    return !TAILQ_EMPTY(&s->all) || s->spare != NULL || !chunk_pool_is_bare(s->chunks);
}

void connections_sweep(struct connections *s, struct instant now)
{
    int64_t idle_ms = config_number(s->o.config, CONFIG_IDLE_TIMEOUT);
    struct connection *c = TAILQ_FIRST(&s->all);

    s->now = now;
    while (c != NULL) {
        struct connection *next = TAILQ_NEXT(c, all_link);

        sweep_one(c, now, idle_ms);
        c = next;
    }
    if (s->spare != NULL && buf_is_unique(s->spare)) {
        buf_unref(s->spare);
        s->spare = NULL;
    }
    if (!s->over)
        resume_paused(s);
    chunk_pool_trim(s->chunks);
}

void connections_stop(struct connections *s, struct instant now)
{
    struct connection *c;

    s->now = now;
    s->stopping = true;
    TAILQ_FOREACH (c, &s->all, all_link)
        connection_finish(c, NULL);
}

bool connections_are_drained(const struct connections *s)
{
    return TAILQ_EMPTY(&s->all) && s->calls == 0;
}

void connections_drop(struct connections *s)
{
    struct connection *c = TAILQ_FIRST(&s->all);

    while (c != NULL) {
        struct connection *next = TAILQ_NEXT(c, all_link);

        connection_drop(c);
        c = next;
    }
}
