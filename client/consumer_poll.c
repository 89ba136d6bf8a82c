/* SPDX-License-Identifier: Apache-2.0
 *
 * Handing out records, and noting what became of them. */
#include "client/consumer.h"

#include "proto/base/check.h"

#include <limits.h>

enum { TURN_EVERY_MS = 50 };

/* ---- what the program works on ---- */

static bool out_is_done(const leat_consumer *c)
{
    return !c->out || c->out->progress.done == c->out->progress.position;
}

static void rest(leat_consumer *c)
{
    c->out = NULL;
    c->out_since_ms = 0;
}

/* The program asks for more: what it has is done. */
static void finish(leat_consumer *c)
{
    if (c->out)
        progress_finish(&c->out->progress);
    rest(c);
}

static void hand_out(leat_consumer *c, struct share *s, int64_t next)
{
    const int64_t interval_ms = conf_number(c->conf, CONF_MAX_POLL_INTERVAL);

    progress_hand_out(&s->progress, next);
    c->out = s;
    c->out_since_ms = engine_now_ms();
    if (c->topic_count > 0 && !timer_is_set(&c->idle_timer))
        timer_set_at(consumer_engine(c), &c->idle_timer, c->out_since_ms + interval_ms);
}

void consumer_idle_timer(struct engine_timer *t)
{
    leat_consumer *c = container_of(t, leat_consumer, idle_timer);
    const int64_t interval_ms = conf_number(c->conf, CONF_MAX_POLL_INTERVAL);

    if (c->out_since_ms == 0 || c->membership.state != MEMBER_IN)
        return;
    if (engine_now_ms() < c->out_since_ms + interval_ms) {
        timer_set_at(consumer_engine(c), t, c->out_since_ms + interval_ms);
        return;
    }
    rest(c);
    consumer_report(c, STATUS_UNKNOWN_MEMBER,
                    "max.poll.interval.ms went by without a poll: the group was left",
                    "poll", conf_text(c->conf, CONF_GROUP_ID));
    consumer_lose_all(c);
    membership_leave(&c->membership);
}

/* ---- waiting ---- */

static bool something_to_return(void *arg)
{
    const leat_consumer *c = arg;

    return atomic_load(&c->woken) || c->failed || !TAILQ_EMPTY(&c->fetcher.ready);
}

bool consumer_arrived_notice(struct notice *n, int max, int *ran)
{
    ++*ran;
    return true;
}

void consumer_arrived(struct fetcher *f)
{
    leat_consumer *c = container_of(f, leat_consumer, fetcher);

    notice_post(consumer_engine(c), &c->arrived);
    engine_changed(consumer_engine(c));
}

/* ---- decoding ---- */

static void read_failed(leat_consumer *c, struct share *s, enum status why)
{
    source_retry(&c->fetcher, &s->source, s->progress.position);
    consumer_report(c, why, NULL, "read", s->source.topic->name);
}

/* The chunk was decoded without the lock, so much may have happened. True if the batch
 * still is what comes next. */
static bool decoded(leat_consumer *c, const struct topic *topic, int32_t partition,
                    uint32_t epoch, struct chunk *chunk, enum status st,
                    struct leat_batch *batch)
{
    struct share *s = consumer_share(c, topic->name, partition);
    int64_t next;

    if (!s || s->source.epoch != epoch) {
        fetcher_drop(&c->fetcher, chunk);
        return false;
    }
    if (st) {
        fetcher_drop(&c->fetcher, chunk);
        read_failed(c, s, st);
        return false;
    }
    next = batch ? batch->next : chunk->next;
    source_give_back(&c->fetcher, &s->source, chunk);
    if (!batch) {
        /* Nothing for the program in it, so nothing that it could leave undone. */
        hand_out(c, s, next);
        finish(c);
    }
    return batch != NULL;
}

/* The next batch, or NULL if it came to nothing. Lets go of the lock meanwhile. */
static struct leat_batch *decode_next(leat_consumer *c, uint32_t *epoch)
{
    struct source *source = fetcher_next(&c->fetcher);
    struct share *s = container_of(source, struct share, source);
    const struct topic *topic = source->topic;
    const int32_t partition = source->partition;
    const int64_t from = s->progress.position;
    struct chunk *chunk = source_take(&c->fetcher, source);
    struct leat_batch *batch = NULL;
    enum status st;
    bool valid;

    *epoch = source->epoch;
    engine_unlock(consumer_engine(c));
    st = chunk_decode(chunk, from, topic->name, partition, &batch);
    engine_lock(consumer_engine(c));
    valid = decoded(c, topic, partition, *epoch, chunk, st, batch);
    if (!valid && batch) {
        engine_unlock(consumer_engine(c));
        leat_batch_free(batch);
        engine_lock(consumer_engine(c));
    }
    return valid ? batch : NULL;
}

/* ---- the batch that is handed out record by record ---- */

void consumer_drop_current(leat_consumer *c)
{
    struct leat_batch *batch = c->current;

    if (!batch)
        return;
    c->current = NULL;
    engine_unlock(consumer_engine(c));
    leat_batch_free(batch);
    engine_lock(consumer_engine(c));
}

/* The share whose records are left in `current`; drops it if nothing is, or if they have
 * been overtaken. */
static struct share *current_share(leat_consumer *c)
{
    struct share *s;

    if (!c->current)
        return NULL;
    s = consumer_share(c, c->current->topic, c->current->partition);
    if (s && s->source.epoch == c->current_epoch && leat_batch_len(c->current) > 0)
        return s;
    consumer_drop_current(c);
    return NULL;
}

/* ---- polling ---- */

static int give_error(leat_consumer *c, leat_error *error)
{
    c->failed = false;
    if (error)
        *error = c->error;
    return -1;
}

/* Go on until there is a batch in `current`. 1, 0 or -1. */
static int fill_current(leat_consumer *c, int64_t deadline_ms, leat_error *error)
{
    struct engine *e = consumer_engine(c);

    for (;;) {
        engine_unlock(e);
        engine_wait_for(e, something_to_return, c, deadline_ms);
        engine_lock(e);
        if (atomic_exchange(&c->woken, false)) {
            error_clear(error);
            return 0;
        }
        if (c->failed)
            return give_error(c, error);
        if (!fetcher_next(&c->fetcher)) {
            error_clear(error);
            return 0;
        }
        c->current = decode_next(c, &c->current_epoch);
        if (c->current)
            return 1;
    }
}

/* Let happen what waits: heartbeats without a thread, rebalances in any case. */
static void look_around(leat_consumer *c)
{
    struct engine *e = consumer_engine(c);
    const int64_t now_ms = e->threaded ? 0 : engine_now_ms();

    if (TAILQ_EMPTY(&e->outbox) && (e->threaded || now_ms < c->turned_ms + TURN_EVERY_MS))
        return;
    c->turned_ms = now_ms;
    engine_unlock(e);
    engine_dispatch(e, INT_MAX);
    engine_lock(e);
}

/* Common to poll and next: 1 if there are records in `current`. */
static int next_records(leat_consumer *c, int timeout_ms, leat_error *error)
{
    const int64_t deadline_ms = engine_deadline(timeout_ms);

    finish(c);
    look_around(c);
    if (current_share(c))
        return 1;
    return fill_current(c, deadline_ms, error);
}

static int enter_to_read(leat_consumer *c, leat_error *error)
{
    if (consumer_enter(c, error))
        return -1;
    if (c->depth == 1 && !consumer_is_calling(c))
        return 0;
    consumer_exit(c);
    error_set(error, LEAT_E_BAD_STATE, "records cannot be read inside a callback",
              "poll");
    return -1;
}

int leat_consumer_poll(leat_consumer *c, leat_batch **batch, int timeout_ms,
                       leat_error *error)
{
    int n;

    *batch = NULL;
    if (enter_to_read(c, error))
        return -1;
    n = next_records(c, timeout_ms, error);
    if (n > 0) {
        hand_out(c, current_share(c), c->current->next);
        *batch = c->current;
        c->current = NULL;
        n = (int)leat_batch_len(*batch);
        error_clear(error);
    }
    consumer_exit(c);
    return n;
}

int leat_consumer_next(leat_consumer *c, const leat_record **record, int timeout_ms,
                       leat_error *error)
{
    int n;

    *record = NULL;
    if (enter_to_read(c, error))
        return -1;
    n = next_records(c, timeout_ms, error);
    if (n > 0) {
        struct share *s = current_share(c);

        *record = leat_batch_at(c->current, 0);
        c->current->first++;
        hand_out(c, s,
                 leat_batch_len(c->current) > 0 ? (*record)->offset + 1
                                                : c->current->next);
        error_clear(error);
    }
    consumer_exit(c);
    return n;
}

int leat_consumer_ack(leat_consumer *c, const leat_record *record)
{
    struct share *s;
    int code = consumer_enter(c, NULL);

    if (code)
        return code;
    s = consumer_share(c, record->topic, record->partition);
    if (!s || c->lost) {
        code = LEAT_E_NOT_ASSIGNED;
    } else {
        progress_ack(&s->progress, record->offset);
        if (out_is_done(c))
            c->out_since_ms = 0;
    }
    consumer_exit(c);
    return code;
}

void leat_consumer_wakeup(leat_consumer *c)
{
    atomic_store(&c->woken, true);
    engine_kick(consumer_engine(c));
}
