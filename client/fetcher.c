/* SPDX-License-Identifier: Apache-2.0 */
#include "client/fetcher.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    FETCHES_PER_NODE = 3,
    SILENT_MS = 1000, /* beyond the time that the broker was given */
};

/* One request under way. Sources that lost their interest leave a hole. */
struct fetch {
    TAILQ_ENTRY(fetch) link;
    struct fetcher *fetcher;
    int32_t node_id;
    struct request *request; /* NULL: being put together, or being answered */
    int64_t silent_ms;       /* from then on the broker is silent */
    size_t reserved;
    size_t live; /* sources without the holes */
    size_t count;
    size_t capacity;
    struct source **sources;
};

/* ---- membership of sources in fetches ---- */

static void fetch_free(struct fetch *x)
{
    TAILQ_REMOVE(&x->fetcher->fetches, x, link);
    x->fetcher->reserved -= x->reserved;
    free(x->sources);
    free(x);
}

static struct fetch *fetch_new(struct fetcher *f, int32_t node_id)
{
    struct fetch *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->fetcher = f;
    x->node_id = node_id;
    TAILQ_INSERT_TAIL(&f->fetches, x, link);
    return x;
}

static enum status fetch_add(struct fetch *x, struct source *s)
{
    if (x->count == x->capacity) {
        const size_t capacity = x->capacity ? 2 * x->capacity : 8;
        struct source **grown = realloc(x->sources, capacity * sizeof *grown);

        if (!grown)
            return STATUS_NO_MEMORY;
        x->sources = grown;
        x->capacity = capacity;
    }
    s->asked = x;
    s->asked_at = x->count;
    x->sources[x->count++] = s;
    x->live++;
    return STATUS_OK;
}

static void source_leave_fetch(struct source *s)
{
    struct fetch *x = s->asked;

    if (!x)
        return;
    s->asked = NULL;
    x->sources[s->asked_at] = NULL;
    x->live--;
    if (x->live == 0 && x->request) {
        request_abandon(x->request);
        fetch_free(x);
    }
}

/* ---- asking ---- */

static void pump_later(struct fetcher *f)
{
    task_queue(f->cluster->engine, &f->task);
}

static bool source_wants(const struct fetcher *f, const struct source *s)
{
    return s->offset >= 0 && !s->paused && !s->asked &&
           s->buffered < (size_t)conf_number(f->conf, CONF_PARTITION_FETCH_BYTES);
}

/* How much a new request may bring; 0: none now. */
static size_t room(struct fetcher *f)
{
    const size_t limit = (size_t)conf_number(f->conf, CONF_FETCH_BUFFER_BYTES);
    const size_t most = (size_t)conf_number(f->conf, CONF_FETCH_MAX_BYTES);
    size_t used, left;

    /* Ask first, look second: what is given back in between is not missed. */
    atomic_store(&f->budget->wanted, true);
    used = atomic_load(&f->budget->used) + f->reserved;
    left = used < limit ? limit - used : 0;
    /* Many tiny requests would serve nobody. */
    if (used > 0 && left < limit / 8)
        return 0;
    atomic_store(&f->budget->wanted, false);
    return left < most ? left : most;
}

/* The request to `node_id` that is being put together, or a new one. AGAIN if there must
 * be none now: then whatever ends that also pumps. */
static enum status draft(struct fetcher *f, int32_t node_id, struct fetch **out)
{
    struct fetch *x;
    size_t under_way = 0, bytes;

    TAILQ_FOREACH (x, &f->fetches, link) {
        if (x->node_id != node_id)
            continue;
        if (!x->request) {
            *out = x;
            return STATUS_OK;
        }
        under_way++;
    }
    bytes = under_way < FETCHES_PER_NODE ? room(f) : 0;
    if (bytes == 0)
        return STATUS_AGAIN;
    x = fetch_new(f, node_id);
    if (!x)
        return STATUS_NO_MEMORY;
    x->reserved = bytes;
    f->reserved += bytes;
    *out = x;
    return STATUS_OK;
}

static void pause_at(struct fetcher *f, int64_t at_ms)
{
    if (!timer_is_set(&f->timer) || f->timer.node.at_ms > at_ms)
        timer_set_at(f->cluster->engine, &f->timer, at_ms);
}

static void source_pause(struct fetcher *f, struct source *s)
{
    const int64_t most = conf_number(f->conf, CONF_RETRY_BACKOFF_MAX);
    int64_t pause = conf_number(f->conf, CONF_RETRY_BACKOFF)
                    << (s->failures < 10 ? s->failures : 10);

    if (pause > most)
        pause = most;
    s->failures++;
    s->not_before_ms = engine_now_ms() + pause;
    pause_at(f, s->not_before_ms);
}

static int32_t source_leader(const struct source *s)
{
    return s->partition < s->topic->partition_count
               ? s->topic->partitions[s->partition].leader
               : -1;
}

static void draft_all(struct fetcher *f)
{
    const int64_t now_ms = engine_now_ms();
    bool leaderless = false;
    struct source *s;

    TAILQ_FOREACH (s, &f->sources, link) {
        const int32_t leader = source_leader(s);
        struct fetch *x;
        enum status st;

        if (!source_wants(f, s))
            continue;
        if (s->not_before_ms > now_ms) {
            pause_at(f, s->not_before_ms);
            continue;
        }
        if (leader < 0 || !cluster_node(f->cluster, leader)) {
            leaderless = true;
            continue;
        }
        st = draft(f, leader, &x);
        if (!st)
            st = fetch_add(x, s);
        if (st == STATUS_NO_MEMORY)
            source_pause(f, s);
    }
    if (leaderless)
        cluster_refresh(f->cluster);
}

static void fetch_done(void *owner, const struct answer *answer);

static enum status fetch_send(struct fetch *x)
{
    const struct leat_conf *conf = x->fetcher->conf;
    const int64_t due_ms = engine_now_ms() + conf_number(conf, CONF_FETCH_MAX_WAIT);
    const int64_t expires_ms = due_ms + conf_number(conf, CONF_REQUEST_TIMEOUT);
    struct connection *connection = cluster_node(x->fetcher->cluster, x->node_id);
    struct writer header = writer_growing();
    enum status st;

    st = fetch_request_pack(conf, x->sources, x->count, x->reserved, &header);
    if (!st)
        st = connection_send(connection, RPC_FETCH, 0,
                             (struct bytes){header.data, header.len}, NULL, 0, expires_ms,
                             x, fetch_done, &x->request);
    writer_release(&header);
    x->silent_ms = due_ms + SILENT_MS;
    return st;
}

/* Who owes an answer for long may lead no more: the metadata tells (on_metadata). */
static void watch_silence(struct fetcher *f, struct fetch *x)
{
    const int64_t now_ms = engine_now_ms();

    if (now_ms >= x->silent_ms) {
        cluster_refresh(f->cluster);
        x->silent_ms = now_ms + SILENT_MS;
    }
    pause_at(f, x->silent_ms);
}

/* All sources are free again, and wait a little. */
static void fetch_give_up(struct fetch *x)
{
    for (size_t i = 0; i < x->count; i++) {
        struct source *s = x->sources[i];

        if (!s)
            continue;
        s->asked = NULL;
        source_pause(x->fetcher, s);
    }
    fetch_free(x);
}

static void pump(struct engine_task *t)
{
    struct fetcher *f = container_of(t, struct fetcher, task);
    struct fetch *x, *next;

    draft_all(f);
    for (x = TAILQ_FIRST(&f->fetches); x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (!x->request && (x->count == 0 || fetch_send(x)))
            fetch_give_up(x);
        else
            watch_silence(f, x);
    }
}

/* ---- answers ---- */

static void source_rotate(struct fetcher *f, struct source *s)
{
    TAILQ_REMOVE(&f->sources, s, link);
    TAILQ_INSERT_TAIL(&f->sources, s, link);
}

static enum status source_fill(struct fetcher *f, struct source *s, struct haul *haul,
                               struct bytes data)
{
    struct chunk *c;
    enum status st;

    st = chunk_new(haul, data, s->offset, &c);
    if (st)
        return st;
    STAILQ_INSERT_TAIL(&s->chunks, c, link);
    s->buffered += c->data.len;
    s->offset = c->next;
    source_rotate(f, s);
    if (!s->ready) {
        s->ready = true;
        TAILQ_INSERT_TAIL(&f->ready, s, ready_link);
    }
    return STATUS_OK;
}

static void source_fail(struct fetcher *f, struct source *s, enum status why)
{
    if (why == STATUS_OFFSET_OUT_OF_RANGE)
        s->offset = -1;
    else
        source_pause(f, s);
    if (status_retry(why) == STATUS_RETRY_REFRESH)
        cluster_refresh(f->cluster);
    f->failed(f, s, why);
}

/* The fetch's source that a result speaks of: usually the one at `*cursor`. */
static struct source *fetch_find(struct fetch *x, const char *topic, int32_t partition,
                                 size_t *cursor)
{
    for (size_t i = 0; i < x->count; i++) {
        const size_t at = (*cursor + i) % x->count;
        struct source *s = x->sources[at];

        if (s && s->partition == partition && strcmp(s->topic->name, topic) == 0) {
            *cursor = at + 1;
            return s;
        }
    }
    return NULL;
}

static void result_apply(struct fetch *x, const char *topic, const Leat__FetchResult *r,
                         struct haul *haul, struct bytes data, size_t *cursor)
{
    struct source *s = fetch_find(x, topic, r->partition, cursor);
    enum status st = (enum status)r->error;

    if (!s)
        return;
    source_leave_fetch(s);
    if (!st) {
        s->high_watermark = r->high_watermark;
        if (data.len > 0)
            st = haul ? source_fill(x->fetcher, s, haul, data) : STATUS_NO_MEMORY;
    }
    if (st)
        source_fail(x->fetcher, s, st);
    else
        s->failures = 0;
}

static void answer_apply(struct fetch *x, const struct answer *answer, struct haul *haul)
{
    const Leat__FetchResponse *m = (const Leat__FetchResponse *)answer->message;
    size_t at = 0, cursor = 0;

    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__FetchTopicResult *t = m->topics[i];

        for (size_t k = 0; k < t->n_partitions; k++) {
            const Leat__FetchResult *r = t->partitions[k];
            struct bytes data;

            /* A peer that contradicts itself: what is left is asked for again. */
            if (r->batch_bytes > answer->payload.len - at)
                return;
            data = (struct bytes){answer->payload.data + at, r->batch_bytes};
            at += r->batch_bytes;
            result_apply(x, t->name, r, haul, data, &cursor);
        }
    }
}

static void fetch_done(void *owner, const struct answer *answer)
{
    struct fetch *x = owner;
    struct fetcher *f = x->fetcher;
    struct haul *haul = NULL;

    x->request = NULL;
    if (!answer->status) {
        if (answer->payload.len > 0)
            haul = haul_new(f->budget, answer->payload.buf, answer->payload.len);
        answer_apply(x, answer, haul);
    } else if (status_retry(answer->status) != STATUS_RETRY_NEVER) {
        cluster_refresh(f->cluster);
    }
    fetch_give_up(x);
    budget_hush(f->budget);
    if (haul)
        haul_unref(haul);
    if (!TAILQ_EMPTY(&f->ready))
        f->arrived(f);
    pump_later(f);
}

/* ---- life ---- */

static void on_timer(struct engine_timer *t)
{
    pump_later(container_of(t, struct fetcher, timer));
}

static void leave_former_leaders(struct fetcher *f)
{
    struct source *s;

    TAILQ_FOREACH (s, &f->sources, link) {
        const int32_t leader = source_leader(s);

        if (s->asked && leader >= 0 && leader != s->asked->node_id)
            source_leave_fetch(s);
    }
}

static void on_metadata(struct cluster_listener *l, enum status status)
{
    struct fetcher *f = container_of(l, struct fetcher, listener);

    if (status)
        return;
    leave_former_leaders(f);
    pump_later(f);
}

static void on_room(void *owner)
{
    struct fetcher *f = owner;
    struct engine *e = f->cluster->engine;

    if (engine_forked(e))
        return;
    engine_lock(e);
    pump_later(f);
    engine_unlock(e);
}

enum status fetcher_init(struct fetcher *f, struct cluster *cluster,
                         const struct leat_conf *conf)
{
    *f = (struct fetcher){.cluster = cluster, .conf = conf};
    TAILQ_INIT(&f->sources);
    TAILQ_INIT(&f->ready);
    TAILQ_INIT(&f->fetches);
    f->budget = budget_new(f, on_room);
    if (!f->budget)
        return STATUS_NO_MEMORY;
    if (timer_init(cluster->engine, &f->timer, on_timer)) {
        budget_leave(f->budget);
        return STATUS_NO_MEMORY;
    }
    task_init(&f->task, pump);
    f->listener.changed = on_metadata;
    cluster_listen(cluster, &f->listener);
    return STATUS_OK;
}

void fetcher_release(struct fetcher *f)
{
    struct engine *e = f->cluster->engine;

    CHECK(TAILQ_EMPTY(&f->sources));
    budget_leave(f->budget);
    if (engine_forked(e))
        return;
    engine_lock(e);
    CHECK(TAILQ_EMPTY(&f->fetches));
    cluster_unlisten(f->cluster, &f->listener);
    task_cancel(e, &f->task);
    timer_release(e, &f->timer);
    engine_unlock(e);
}

/* ---- sources ---- */

void fetcher_add(struct fetcher *f, struct source *s, struct topic *topic,
                 int32_t partition)
{
    *s = (struct source){
        .topic = topic,
        .partition = partition,
        .epoch = ++f->epoch,
        .offset = -1,
        .high_watermark = -1,
    };
    STAILQ_INIT(&s->chunks);
    TAILQ_INSERT_TAIL(&f->sources, s, link);
}

static void source_unready(struct fetcher *f, struct source *s)
{
    if (!s->ready)
        return;
    s->ready = false;
    TAILQ_REMOVE(&f->ready, s, ready_link);
}

static void source_forget(struct fetcher *f, struct source *s)
{
    struct chunk *c;

    s->epoch = ++f->epoch;
    source_leave_fetch(s);
    source_unready(f, s);
    budget_hush(f->budget);
    while ((c = STAILQ_FIRST(&s->chunks))) {
        STAILQ_REMOVE_HEAD(&s->chunks, link);
        chunk_free(c);
    }
    s->buffered = 0;
}

void fetcher_remove(struct fetcher *f, struct source *s)
{
    source_forget(f, s);
    TAILQ_REMOVE(&f->sources, s, link);
    pump_later(f);
}

void fetcher_seek(struct fetcher *f, struct source *s, int64_t offset)
{
    source_forget(f, s);
    s->offset = offset;
    s->failures = 0;
    s->not_before_ms = 0;
    pump_later(f);
}

struct source *fetcher_next(struct fetcher *f)
{
    return TAILQ_FIRST(&f->ready);
}

struct chunk *source_take(struct fetcher *f, struct source *s)
{
    struct chunk *c = STAILQ_FIRST(&s->chunks);

    CHECK(s->ready);
    source_unready(f, s);
    STAILQ_REMOVE_HEAD(&s->chunks, link);
    s->buffered -= c->data.len;
    return c;
}

void fetcher_drop(struct fetcher *f, struct chunk *rest)
{
    budget_hush(f->budget);
    chunk_free(rest);
    pump_later(f);
}

void source_give_back(struct fetcher *f, struct source *s, struct chunk *rest)
{
    if (rest->data.len > 0) {
        STAILQ_INSERT_HEAD(&s->chunks, rest, link);
        s->buffered += rest->data.len;
    } else {
        fetcher_drop(f, rest);
    }
    if (!STAILQ_EMPTY(&s->chunks)) {
        source_unready(f, s);
        s->ready = true;
        TAILQ_INSERT_TAIL(&f->ready, s, ready_link);
    }
}

void source_retry(struct fetcher *f, struct source *s, int64_t offset)
{
    source_forget(f, s);
    s->offset = offset;
    source_pause(f, s);
}
