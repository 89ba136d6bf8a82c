/* SPDX-License-Identifier: Apache-2.0 */
#include "client/producer.h"

#include "proto/base/check.h"

/* ---- room in the buffer ---- */

/* A program that was told QUEUE_FULL waits for callbacks: there must be one even if it
 * wants no deliveries. */
void producer_freed(struct leat_producer *p)
{
    engine_changed(&p->client->engine);
    if (!p->space_wanted || p->accumulator.bytes > p->accumulator.bytes_max / 2)
        return;
    p->space_wanted = false;
    notice_post(&p->client->engine, &p->space_notice);
}

bool producer_tell_space(struct notice *n, int max, int *ran)
{
    ++*ran;
    return true;
}

/* ---- parcels ---- */

static void describe(const struct parcel *p, leat_error *error)
{
    error_set(error, p->code, p->text, "produce %s/%d", p->lane->topic->name,
              p->lane->partition);
}

static bool tell_parcel(struct notice *n, int max, int *ran)
{
    struct parcel *parcel = container_of(n, struct parcel, notice);
    struct accumulator *a = parcel->lane->topic->accumulator;
    struct leat_producer *p = container_of(a, struct leat_producer, accumulator);
    struct engine *engine = &p->client->engine;
    leat_error error;
    leat_delivery d = {
        .code = parcel->code,
        .topic = parcel->lane->topic->name,
        .partition = parcel->lane->partition,
        .offset = -1,
        .error = parcel->code ? &error : NULL,
    };

    if (parcel->code)
        describe(parcel, &error);
    for (; max > 0 && parcel->told < parcel->count; parcel->told++) {
        const struct entry *e = &parcel->entries[parcel->told];

        if (e->arg == &entry_silent)
            continue;
        if (parcel->base_offset >= 0)
            d.offset = parcel->base_offset + parcel->told;
        d.timestamp_ms = e->timestamp_ms;
        d.arg = e->arg;
        p->delivered(&d, p->arg);
        max--;
        ++*ran;
    }
    if (parcel->told < parcel->count)
        return false;
    engine_lock(engine);
    parcel_retire(a, parcel);
    producer_freed(p);
    engine_unlock(engine);
    return true;
}

void producer_tell(struct leat_producer *p, struct parcel *parcel)
{
    if (parcel_tell_tickets(parcel))
        engine_changed(&p->client->engine);
    if (p->delivered == NULL) {
        parcel_retire(&p->accumulator, parcel);
        producer_freed(p);
        return;
    }
    notice_init(&parcel->notice, tell_parcel);
    notice_post(&p->client->engine, &parcel->notice);
}

/* ---- staged records that failed ---- */

static void tell_one(struct leat_producer *p, const struct staged *s)
{
    leat_error error;
    leat_delivery d = {
        .code = s->code,
        .topic = s->topic->name,
        .partition = s->partition,
        .offset = -1,
        .timestamp_ms = s->timestamp_ms,
        .arg = s->arg,
        .error = &error,
    };

    error_set(&error, s->code, NULL, "produce %s", s->topic->name);
    p->delivered(&d, p->arg);
}

bool producer_tell_failed(struct notice *n, int max, int *ran)
{
    struct leat_producer *p = container_of(n, struct leat_producer, failed_notice);
    struct engine *engine = &p->client->engine;
    struct staged *s;
    bool finished;

    engine_lock(engine);
    while (max-- > 0 && (s = TAILQ_FIRST(&p->failed)) != NULL) {
        TAILQ_REMOVE(&p->failed, s, link);
        engine_unlock(engine);
        tell_one(p, s);
        ++*ran;
        engine_lock(engine);
        staged_free(&p->accumulator, s);
        producer_freed(p);
    }
    finished = TAILQ_EMPTY(&p->failed);
    engine_unlock(engine);
    return finished;
}
