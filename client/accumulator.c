/* SPDX-License-Identifier: Apache-2.0 */
#include "client/accumulator.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

char entry_silent;

/* ---- parcels ---- */

static void free_parcel(struct buf *buf)
{
    struct parcel *p = container_of(buf, struct parcel, buf);

    build_release(&p->build);
    free(p->entries);
    free(p);
}

/* Spare parcels come back oldest first: requests have let go of those by now. */
static struct parcel *reuse(struct accumulator *a)
{
    struct parcel *p = TAILQ_FIRST(&a->spare);

    if (p == NULL || !buf_is_unique(&p->buf))
        return NULL;
    TAILQ_REMOVE(&a->spare, p, link);
    a->spare_count--;
    return p;
}

static struct parcel *parcel_new(struct accumulator *a, struct lane *lane)
{
    struct parcel *p = reuse(a);

    if (p == NULL) {
        p = calloc(1, sizeof *p);
        if (p == NULL)
            return NULL;
        build_init(&p->build);
    }
    buf_init(&p->buf, NULL, 0, free_parcel);
    p->lane = lane;
    p->batch = (struct bytes){0};
    p->count = p->told = 0;
    LIST_INIT(&p->tickets);
    p->opened_ms = 0;
    p->bytes = 0;
    p->tries = 0;
    p->maybe_sent = false;
    p->numbered = false;
    p->code = 0;
    p->base_offset = -1;
    p->text[0] = '\0';
    build_begin(&p->build);
    if (p->build.out.failed) {
        buf_unref(&p->buf);
        return NULL;
    }
    return p;
}

void parcel_retire(struct accumulator *a, struct parcel *p)
{
    CHECK(a->bytes >= p->bytes && a->records >= (size_t)p->count);
    CHECK(LIST_EMPTY(&p->tickets));
    a->bytes -= p->bytes;
    a->records -= (size_t)p->count;
    if (a->spare_count == PARCELS_SPARE) {
        buf_unref(&p->buf);
        return;
    }
    TAILQ_INSERT_TAIL(&a->spare, p, link);
    a->spare_count++;
}

/* Sequence numbers go from 0 to INT32_MAX and then begin anew (KAFKA-7692). */
static int32_t sequence_after(int32_t sequence, int32_t count)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)count) & INT32_MAX);
}

static struct build_producer number(struct parcel *p)
{
    struct lane *lane = p->lane;

    if (lane->producer_id < 0)
        return (struct build_producer){-1, -1, -1};
    if (!p->numbered) {
        p->numbered = true;
        p->sequence = lane->next_sequence;
        lane->next_sequence = sequence_after(lane->next_sequence, p->count);
    }
    return (struct build_producer){lane->producer_id, lane->producer_epoch, p->sequence};
}

void lane_number(struct lane *lane, int64_t producer_id, int16_t producer_epoch)
{
    struct parcel *p;

    CHECK(!lane->sending);
    lane->producer_id = producer_id;
    lane->producer_epoch = producer_epoch;
    lane->next_sequence = 0;
    lane->renumber = false;
    TAILQ_FOREACH (p, &lane->parcels, link) {
        struct build_producer now;

        CHECK(!p->maybe_sent);
        p->numbered = false;
        if (p->batch.data == NULL)
            continue;
        now = number(p);
        batch_stamp_producer((uint8_t *)(uintptr_t)p->batch.data, p->batch.len, now.id,
                             now.epoch, now.base_sequence);
    }
}

enum status parcel_finish(struct parcel *p, enum codec codec)
{
    enum status st;

    if (p->batch.data != NULL)
        return STATUS_OK;
    st = build_finish(&p->build, codec, number(p), &p->batch);
    if (st) {
        p->build.squeezed.failed = false; /* the next attempt may find memory */
        return st;
    }
    p->buf.data = (uint8_t *)p->batch.data;
    p->buf.capacity = p->batch.len;
    return STATUS_OK;
}

bool parcel_tell_tickets(struct parcel *p)
{
    bool any = !LIST_EMPTY(&p->tickets);
    struct ticket *t;

    while ((t = LIST_FIRST(&p->tickets)) != NULL) {
        LIST_REMOVE(t, link);
        t->queued = false;
        t->done = true;
        t->code = p->code;
        t->partition = p->lane->partition;
        t->offset = p->base_offset < 0 ? -1 : p->base_offset + t->index;
        memcpy(t->text, p->text, sizeof t->text);
    }
    return any;
}

/* Room for one more entry. */
static bool reserve_entry(struct parcel *p)
{
    size_t max = p->entries_max > 0 ? p->entries_max * 2 : 64;
    struct entry *entries;

    if ((size_t)p->count < p->entries_max)
        return true;
    entries = realloc(p->entries, max * sizeof entries[0]);
    if (entries == NULL)
        return false;
    p->entries = entries;
    p->entries_max = max;
    return true;
}

static enum status parcel_add(struct accumulator *a, struct parcel *p,
                              const struct item *item)
{
    size_t before = build_size(&p->build);
    size_t bytes;

    if (a->keep_entries && !reserve_entry(p))
        return STATUS_NO_MEMORY;
    build_add(&p->build, item->timestamp_ms, item->key, item->value, item->headers,
              item->header_count);
    if (p->build.out.failed) {
        /* What was there before is still whole. */
        p->build.out.failed = false;
        p->build.out.len = before;
        return STATUS_NO_MEMORY;
    }
    if (a->keep_entries)
        p->entries[p->count] = (struct entry){
            item->ticket != NULL ? &entry_silent : item->arg, item->timestamp_ms};
    if (item->ticket != NULL) {
        item->ticket->index = p->count;
        item->ticket->queued = true;
        LIST_INSERT_HEAD(&p->tickets, item->ticket, link);
    }
    bytes = build_size(&p->build) - before + (a->keep_entries ? sizeof(struct entry) : 0);
    p->count++;
    p->bytes += bytes;
    a->bytes += bytes;
    a->records++;
    return STATUS_OK;
}

/* ---- lanes ---- */

struct parcel *lane_first(const struct lane *lane)
{
    return TAILQ_FIRST(&lane->parcels);
}

/* The parcel that takes records: the last, unless it is on its way. */
static struct parcel *open_parcel(const struct lane *lane)
{
    struct parcel *last = TAILQ_LAST(&lane->parcels, parcels);

    if (last == NULL || (lane->sending && last == TAILQ_FIRST(&lane->parcels)))
        return NULL; /* what is on its way may be worked on without the lock */
    return last->batch.data == NULL ? last : NULL;
}

size_t lane_open_bytes(const struct lane *lane)
{
    const struct parcel *p = open_parcel(lane);

    return p != NULL ? build_size(&p->build) : 0;
}

static void activate(struct accumulator *a, struct lane *lane)
{
    if (!lane->active)
        TAILQ_INSERT_TAIL(&a->active, lane, link);
    lane->active = true;
}

enum status accumulator_append(struct accumulator *a, struct lane *lane,
                               const struct item *item, struct parcel **opened)
{
    struct parcel *p = open_parcel(lane);
    size_t size =
        build_record_bound(item->key, item->value, item->headers, item->header_count);
    enum status st;

    *opened = NULL;
    if (p != NULL && build_size(&p->build) + size <= lane->parcel_max)
        return parcel_add(a, p, item);
    p = parcel_new(a, lane);
    if (p == NULL)
        return STATUS_NO_MEMORY;
    st = parcel_add(a, p, item);
    if (st) {
        buf_unref(&p->buf);
        return st;
    }
    TAILQ_INSERT_TAIL(&lane->parcels, p, link);
    activate(a, lane);
    *opened = p;
    return STATUS_OK;
}

struct parcel *lane_take(struct accumulator *a, struct lane *lane)
{
    struct parcel *p = TAILQ_FIRST(&lane->parcels);

    CHECK(p != NULL);
    TAILQ_REMOVE(&lane->parcels, p, link);
    lane->sending = false;
    if (TAILQ_EMPTY(&lane->parcels)) {
        TAILQ_REMOVE(&a->active, lane, link);
        lane->active = false;
    }
    return p;
}

/* ---- splitting ---- */

static struct ticket *ticket_of(struct parcel *p, int32_t index)
{
    struct ticket *t;

    LIST_FOREACH (t, &p->tickets, link)
        if (t->index == index)
            return t;
    return NULL;
}

/* All headers of a record in one array, to be freed; NULL if there are none or there is
 * no memory. */
static struct record_header *headers_of(const struct record *r)
{
    struct bytes left = r->headers;
    struct record_header *all;

    if (r->header_count == 0)
        return NULL;
    all = calloc((size_t)r->header_count, sizeof all[0]);
    for (int32_t i = 0; all != NULL && i < r->header_count; i++)
        CHECK(record_header_next(&left, &all[i]));
    return all;
}

static enum status copy_record(struct accumulator *a, struct parcel *from,
                               const struct record *r, int32_t index, struct parcel *to)
{
    struct record_header *headers = headers_of(r);
    struct item item = {
        .timestamp_ms = r->timestamp,
        .key = r->key,
        .value = r->value,
        .headers = headers,
        .header_count = (size_t)r->header_count,
        .arg = a->keep_entries ? from->entries[index].arg : NULL,
    };
    enum status st = STATUS_NO_MEMORY;

    if (headers != NULL || r->header_count == 0)
        st = parcel_add(a, to, &item);
    free(headers);
    return st;
}

/* The records of `from` into two halves. Tickets stay where they are: only when all went
 * well are they moved. */
static enum status copy_halves(struct accumulator *a, struct parcel *from,
                               struct parcel *half[2])
{
    const struct build_producer nobody = {-1, -1, -1};
    struct iterate it;
    struct record r;
    struct bytes plain;
    enum status st = build_finish(&from->build, CODEC_NONE, nobody, &plain);

    if (st)
        return st;
    st = iterate_begin(&it, plain, plain.len);
    if (st)
        return st;
    for (int32_t i = 0; i < from->count && !st; i++) {
        st = iterate_next(&it, &r);
        CHECK(st == STATUS_OK);
        st = copy_record(a, from, &r, i, half[i >= from->count / 2]);
    }
    iterate_end(&it);
    return st;
}

static void discard(struct accumulator *a, struct parcel *p)
{
    if (p != NULL)
        parcel_retire(a, p);
}

enum status lane_split(struct accumulator *a, struct lane *lane)
{
    struct parcel *from = TAILQ_FIRST(&lane->parcels);
    struct parcel *half[2] = {parcel_new(a, lane), parcel_new(a, lane)};
    enum status st = STATUS_NO_MEMORY;

    CHECK(from->count > 1);
    if (half[0] != NULL && half[1] != NULL)
        st = copy_halves(a, from, half);
    if (st) {
        discard(a, half[0]);
        discard(a, half[1]);
        return st;
    }
    for (int32_t i = 0; !LIST_EMPTY(&from->tickets) && i < from->count; i++) {
        struct ticket *t = ticket_of(from, i);

        if (t == NULL)
            continue;
        LIST_REMOVE(t, link);
        t->index = i < from->count / 2 ? i : i - from->count / 2;
        LIST_INSERT_HEAD(&half[i >= from->count / 2]->tickets, t, link);
    }
    half[0]->opened_ms = half[1]->opened_ms = from->opened_ms;
    half[0]->maybe_sent = half[1]->maybe_sent = from->maybe_sent;
    half[0]->numbered = half[1]->numbered = from->numbered;
    half[0]->sequence = from->sequence;
    half[1]->sequence = sequence_after(from->sequence, half[0]->count);
    TAILQ_INSERT_HEAD(&lane->parcels, half[0], link);
    TAILQ_INSERT_AFTER(&lane->parcels, half[0], half[1], link);
    TAILQ_REMOVE(&lane->parcels, from, link);
    lane->sending = false;
    lane->parcel_max = build_size(&from->build) / 2 + BATCH_HEADER;
    parcel_retire(a, from);
    return STATUS_OK;
}

/* ---- topics ---- */

struct lanes *lanes_new(struct accumulator *a, const char *name)
{
    struct lanes *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->accumulator = a;
    TAILQ_INIT(&t->stage);
    t->name = strdup(name);
    if (t->name == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void lanes_free(struct lanes *t)
{
    CHECK(TAILQ_EMPTY(&t->stage));
    for (int32_t i = 0; i < t->count; i++) {
        CHECK(!t->at[i]->active);
        free(t->at[i]);
    }
    free(t->at);
    free(t->name);
    free(t);
}

static size_t parcel_max(const struct accumulator *a)
{
    size_t grown = a->batch_bytes * PARCEL_GROWTH;

    if (grown > PARCEL_GROWN_MAX)
        grown = PARCEL_GROWN_MAX;
    return grown > a->batch_bytes ? grown : a->batch_bytes;
}

enum status lanes_grow(struct lanes *t, int32_t count)
{
    struct lane **at;

    if (count <= t->count)
        return STATUS_OK;
    at = realloc(t->at, (size_t)count * sizeof at[0]);
    if (at == NULL)
        return STATUS_NO_MEMORY;
    t->at = at;
    while (t->count < count) {
        struct lane *lane = calloc(1, sizeof *lane);

        if (lane == NULL)
            return STATUS_NO_MEMORY;
        lane->topic = t;
        lane->partition = t->count;
        lane->parcel_max = parcel_max(t->accumulator);
        lane->producer_id = -1;
        TAILQ_INIT(&lane->parcels);
        t->at[t->count++] = lane;
    }
    return STATUS_OK;
}

/* ---- staging ---- */

static size_t item_bytes(const struct item *item)
{
    size_t n = item->key.len + item->value.len;

    for (size_t i = 0; i < item->header_count; i++)
        n += item->headers[i].name.len + item->headers[i].value.len;
    return n;
}

static struct bytes copy_bytes(uint8_t **at, struct bytes b)
{
    struct bytes copy = {b.data == NULL ? NULL : *at, b.len};

    if (b.len > 0)
        memcpy(*at, b.data, b.len);
    *at += b.len;
    return copy;
}

struct staged *staged_new(struct accumulator *a, struct lanes *t, int32_t partition,
                          const struct item *item)
{
    size_t head = sizeof(struct staged) + item->header_count * sizeof item->headers[0];
    size_t bytes = head + item_bytes(item);
    struct staged *s = malloc(bytes);
    uint8_t *at = (uint8_t *)s + head;

    if (s == NULL)
        return NULL;
    *s = (struct staged){
        .topic = t,
        .partition = partition,
        .arg = item->arg,
        .ticket = item->ticket,
        .timestamp_ms = item->timestamp_ms,
        .headers = (struct record_header *)(s + 1),
        .header_count = item->header_count,
        .bytes = bytes,
    };
    s->key = copy_bytes(&at, item->key);
    s->value = copy_bytes(&at, item->value);
    for (size_t i = 0; i < item->header_count; i++) {
        s->headers[i].name = copy_bytes(&at, item->headers[i].name);
        s->headers[i].value = copy_bytes(&at, item->headers[i].value);
    }
    a->bytes += bytes;
    a->records++;
    TAILQ_INSERT_TAIL(&t->stage, s, link);
    return s;
}

void staged_free(struct accumulator *a, struct staged *s)
{
    a->bytes -= s->bytes;
    a->records--;
    free(s);
}

/* ---- the whole ---- */

void accumulator_init(struct accumulator *a, size_t batch_bytes, size_t bytes_max,
                      bool keep_entries)
{
    *a = (struct accumulator){
        .batch_bytes = batch_bytes,
        .bytes_max = bytes_max,
        .keep_entries = keep_entries,
    };
    TAILQ_INIT(&a->active);
    TAILQ_INIT(&a->spare);
}

void accumulator_release(struct accumulator *a)
{
    struct parcel *p;

    CHECK(TAILQ_EMPTY(&a->active) && a->bytes == 0 && a->records == 0);
    while ((p = TAILQ_FIRST(&a->spare)) != NULL) {
        TAILQ_REMOVE(&a->spare, p, link);
        buf_unref(&p->buf);
    }
}

enum status accumulator_admit(const struct accumulator *a, size_t size)
{
    if (size > a->bytes_max)
        return STATUS_MESSAGE_TOO_LARGE;
    return a->bytes + size > a->bytes_max ? STATUS_QUEUE_FULL : STATUS_OK;
}
