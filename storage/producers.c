/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/producers.h"

#include "proto/base/check.h"
#include "proto/base/map.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Sequences count records and wrap to 0 after INT32_MAX (KAFKA-7692). */
struct sent {
    int32_t first; /* sequence of the first record */
    int64_t base;
    int64_t next;
};

struct producer {
    int64_t id;
    int16_t epoch;
    bool older;            /* of this epoch, batches came before those in `sent` */
    uint8_t count;         /* of `sent`, oldest first */
    int32_t last_sequence; /* of its newest batch */
    int64_t heard_ms;      /* wall time of the newest batch; -1: not known */
    struct sent sent[PRODUCER_BATCHES];
    TAILQ_ENTRY(producer) link;
};

struct producers {
    bool late; /* it does not know the log from its beginning */
    struct map by_id;
    TAILQ_HEAD(, producer) by_age; /* silent for longest first */
};

static struct bytes key_of(const int64_t *id)
{
    return (struct bytes){(const uint8_t *)id, sizeof *id};
}

static int32_t sequence_after(int32_t sequence, int64_t records)
{
    return (int32_t)(((int64_t)sequence + records) & INT32_MAX);
}

static int32_t sequence_before(int32_t sequence)
{
    return sequence == 0 ? INT32_MAX : sequence - 1;
}

static int32_t last_of(const struct sent *s)
{
    return sequence_after(s->first, s->next - s->base - 1);
}

static struct producers *table_new(void)
{
    struct producers *t = must_zalloc(sizeof *t);

    map_init(&t->by_id);
    TAILQ_INIT(&t->by_age);
    return t;
}

static struct producer *find(const struct producers *t, int64_t id)
{
    return t != NULL ? map_get(&t->by_id, key_of(&id)) : NULL;
}

static struct producer *add(struct producers *t, int64_t id)
{
    struct producer *p = must_zalloc(sizeof *p);

    p->id = id;
    CHECK(map_put(&t->by_id, key_of(&p->id), p));
    TAILQ_INSERT_TAIL(&t->by_age, p, link);
    return p;
}

static void forget(struct producers *t, struct producer *p)
{
    map_remove(&t->by_id, key_of(&p->id));
    TAILQ_REMOVE(&t->by_age, p, link);
    free(p);
}

void producers_free(struct producers *t)
{
    if (t == NULL)
        return;
    while (!TAILQ_EMPTY(&t->by_age))
        forget(t, TAILQ_FIRST(&t->by_age));
    map_release(&t->by_id);
    free(t);
}

size_t producers_count(const struct producers *t)
{
    return t != NULL ? t->by_id.count : 0;
}

static bool is_sequenced(const struct batch *b)
{
    return b->producer_id >= 0 && b->base_sequence >= 0;
}

void producers_begin_late(struct producers **t)
{
    if (*t == NULL)
        *t = table_new();
    (*t)->late = true;
}

enum status producers_check(const struct producers *t, const struct batch *b,
                            int64_t *base, int64_t *next)
{
    const struct producer *p;

    if (!is_sequenced(b))
        return STATUS_OK;
    p = find(t, b->producer_id);
    if (p == NULL)
        return b->base_sequence == 0 || (t != NULL && t->late) ? STATUS_OK
                                                               : STATUS_UNKNOWN_PRODUCER;
    if (b->producer_epoch < p->epoch)
        return STATUS_INVALID_PRODUCER_EPOCH;
    if (b->producer_epoch > p->epoch)
        return b->base_sequence == 0 ? STATUS_OK : STATUS_OUT_OF_ORDER_SEQUENCE;
    for (unsigned i = 0; i < p->count; i++) {
        const struct sent *s = &p->sent[i];

        if (s->first != b->base_sequence || s->next - s->base != b->last_offset_delta + 1)
            continue;
        *base = s->base;
        *next = s->next;
        return STATUS_DUPLICATE_SEQUENCE;
    }
    return b->base_sequence == sequence_after(p->last_sequence, 1)
               ? STATUS_OK
               : STATUS_OUT_OF_ORDER_SEQUENCE;
}

static void remember(struct producer *p, struct sent s)
{
    if (p->count == PRODUCER_BATCHES) {
        memmove(p->sent, p->sent + 1, (PRODUCER_BATCHES - 1) * sizeof *p->sent);
        p->count--;
        p->older = true;
    }
    p->sent[p->count++] = s;
    p->last_sequence = last_of(&s);
}

void producers_record(struct producers **table, const struct batch *b, int64_t wall_ms)
{
    struct producers *t = *table;
    struct producer *p;

    if (!is_sequenced(b))
        return;
    if (t == NULL)
        t = *table = table_new();
    p = find(t, b->producer_id);
    if (p == NULL) {
        p = add(t, b->producer_id);
        p->older = b->base_sequence != 0;
    } else {
        if (p->epoch != b->producer_epoch) {
            p->count = 0;
            p->older = false;
        }
        TAILQ_REMOVE(&t->by_age, p, link);
        TAILQ_INSERT_TAIL(&t->by_age, p, link);
    }
    p->epoch = b->producer_epoch;
    p->heard_ms = wall_ms;
    remember(p, (struct sent){b->base_sequence, b->base_offset, batch_next_offset(b)});
    if (t->by_id.count > PRODUCERS_MAX)
        forget(t, TAILQ_FIRST(&t->by_age));
}

/* False if nothing of the producer is left. A producer waits for its oldest batches
 * before it sends more, so those that have left the table are not sent again. */
static bool cut_producer(struct producer *p, int64_t offset)
{
    int32_t oldest = -1;

    while (p->count > 0 && p->sent[p->count - 1].next > offset)
        oldest = p->sent[--p->count].first;
    if (oldest < 0)
        return true;
    p->last_sequence =
        p->count > 0 ? last_of(&p->sent[p->count - 1]) : sequence_before(oldest);
    return p->count > 0 || p->older;
}

void producers_cut(struct producers *t, int64_t offset)
{
    struct producer *p, *next;

    if (t == NULL)
        return;
    for (p = TAILQ_FIRST(&t->by_age); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        if (!cut_producer(p, offset))
            forget(t, p);
    }
}

void producers_expire(struct producers *t, int64_t silent_ms, int64_t wall_ms)
{
    struct producer *p, *next;

    if (t == NULL)
        return;
    for (p = TAILQ_FIRST(&t->by_age); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        if (p->heard_ms < 0 || p->heard_ms > wall_ms)
            p->heard_ms = wall_ms;
        else if (wall_ms - p->heard_ms >= silent_ms)
            forget(t, p);
    }
}

/* ---- as bytes -----------------------------------------------------------------------
 */

static void write_producer(struct writer *w, const struct producer *p)
{
    int64_t before = 0;

    write_i64(w, p->id);
    write_i16(w, p->epoch);
    write_u8(w, p->older);
    write_i64(w, p->heard_ms);
    write_i32(w, p->last_sequence);
    write_u8(w, p->count);
    for (unsigned i = 0; i < p->count; i++) {
        const struct sent *s = &p->sent[i];

        write_i32(w, s->first);
        write_varlong(w, s->base - before);
        write_varlong(w, s->next - s->base);
        before = s->next;
    }
}

void producers_write(struct writer *w, const struct producers *t, int64_t upto)
{
    size_t at = w->len + 1;
    uint32_t count = 0;
    const struct producer *p;

    write_u8(w, t != NULL && t->late);
    write_u32(w, 0);
    if (t == NULL)
        return;
    TAILQ_FOREACH (p, &t->by_age, link) {
        struct producer then = *p;

        if (!cut_producer(&then, upto))
            continue;
        write_producer(w, &then);
        count++;
    }
    if (!w->failed)
        store_u32(w->data + at, count);
}

static bool read_producer(struct reader *r, int64_t upto, struct producers *t)
{
    int64_t id = read_i64(r), before = 0;
    struct producer *p;

    if (r->failed || id < 0 || find(t, id) != NULL)
        return false;
    p = add(t, id);
    p->epoch = read_i16(r);
    p->older = read_u8(r) != 0;
    p->heard_ms = read_i64(r);
    p->last_sequence = read_i32(r);
    p->count = read_u8(r);
    if (p->count > PRODUCER_BATCHES || p->last_sequence < 0)
        return false;
    for (unsigned i = 0; i < p->count; i++) {
        struct sent *s = &p->sent[i];
        int64_t gap, records;

        s->first = read_i32(r);
        gap = read_varlong(r);
        records = read_varlong(r);
        if (s->first < 0 || gap < 0 || gap > upto - before || records <= 0 ||
            records > upto - before - gap)
            return false;
        s->base = before + gap;
        before = s->next = s->base + records;
    }
    return !r->failed;
}

bool producers_read(struct reader *r, int64_t upto, struct producers **out)
{
    bool late = read_u8(r) != 0;
    uint32_t count = read_u32(r);
    struct producers *t;

    *out = NULL;
    if (r->failed || (count == 0 && !late))
        return !r->failed;
    t = table_new();
    t->late = late;
    for (uint32_t i = 0; i < count; i++)
        if (!read_producer(r, upto, t)) {
            producers_free(t);
            return false;
        }
    *out = t;
    return true;
}
