/* SPDX-License-Identifier: Apache-2.0 */
#include "client/batch.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

/* ---- budget ---- */

struct budget *budget_new(void *owner, void (*freed)(void *owner))
{
    struct budget *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    if (pthread_mutex_init(&b->lock, NULL)) {
        free(b);
        return NULL;
    }
    atomic_init(&b->refs, 1);
    b->owner = owner;
    b->freed = freed;
    return b;
}

static void budget_unref(struct budget *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void budget_hush(struct budget *b)
{
    atomic_store(&b->wanted, false);
}

void budget_leave(struct budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->owner = NULL;
    pthread_mutex_unlock(&b->lock);
    budget_unref(b);
}

static void budget_give_back(struct budget *b, size_t bytes)
{
    atomic_fetch_sub(&b->used, bytes);
    if (!atomic_exchange(&b->wanted, false))
        return;
    pthread_mutex_lock(&b->lock);
    if (b->owner)
        b->freed(b->owner);
    pthread_mutex_unlock(&b->lock);
}

/* ---- haul and chunk ---- */

struct haul *haul_new(struct budget *budget, struct buf *buf, size_t bytes)
{
    struct haul *h = malloc(sizeof *h);

    if (!h)
        return NULL;
    atomic_init(&h->refs, 1);
    atomic_fetch_add_explicit(&budget->refs, 1, memory_order_relaxed);
    atomic_fetch_add(&budget->used, bytes);
    h->budget = budget;
    h->buf = buf_ref(buf);
    h->bytes = bytes;
    return h;
}

static struct haul *haul_ref(struct haul *h)
{
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void haul_unref(struct haul *h)
{
    if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
        return;
    buf_unref(h->buf);
    budget_give_back(h->budget, h->bytes);
    budget_unref(h->budget);
    free(h);
}

/* How far whole batches that a reader at `from` can use go; `next` is the offset after
 * them. */
static enum status batches_walk(struct bytes data, int64_t from, size_t *len,
                                int64_t *next)
{
    size_t at = 0;
    int64_t low = -1;

    while (at < data.len) {
        const struct bytes rest = {data.data + at, data.len - at};
        const int64_t size = batch_size(rest);
        struct batch b;

        /* The broker may cut the last one where the answer ends. */
        if (at > 0 && (size == 0 || size > (int64_t)rest.len))
            break;
        if (batch_parse(rest, &b) || b.base_offset < 0 || b.last_offset_delta < 0 ||
            b.base_offset > INT64_MAX - INT32_MAX - 1 || b.base_offset < low)
            return STATUS_CORRUPT_MESSAGE;
        low = batch_next_offset(&b);
        at += b.size;
    }
    if (low <= from)
        return STATUS_CORRUPT_MESSAGE;
    *len = at;
    *next = low;
    return STATUS_OK;
}

enum status chunk_new(struct haul *haul, struct bytes data, int64_t from,
                      struct chunk **out)
{
    struct chunk *c;
    size_t len;
    int64_t next;
    enum status st;

    st = batches_walk(data, from, &len, &next);
    if (st)
        return st;
    c = calloc(1, sizeof *c);
    if (!c)
        return STATUS_NO_MEMORY;
    c->haul = haul_ref(haul);
    c->data = (struct bytes){data.data, len};
    c->next = next;
    *out = c;
    return STATUS_OK;
}

void chunk_free(struct chunk *c)
{
    haul_unref(c->haul);
    free(c);
}

/* ---- batch ---- */

static struct leat_batch *leat_batch_new(struct haul *haul, const char *topic,
                                         int32_t partition)
{
    const size_t len = strlen(topic) + 1;
    struct leat_batch *b = malloc(sizeof *b + len);

    if (!b)
        return NULL;
    *b = (struct leat_batch){.haul = haul_ref(haul), .partition = partition};
    arena_init(&b->headers, 0);
    memcpy(b->topic, topic, len);
    return b;
}

void leat_batch_free(leat_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->unfolded_count; i++)
        iterate_end(&batch->unfolded[i]);
    atomic_fetch_sub(&batch->haul->budget->used, batch->unfolded_bytes);
    free(batch->unfolded);
    arena_release(&batch->headers);
    free(batch->records);
    haul_unref(batch->haul);
    free(batch);
}

size_t leat_batch_len(const leat_batch *batch)
{
    return batch->count - batch->first;
}

const leat_record *leat_batch_at(const leat_batch *batch, size_t index)
{
    return index < leat_batch_len(batch) ? &batch->records[batch->first + index] : NULL;
}

static enum status headers_decode(struct leat_batch *b, const struct record *in,
                                  leat_record *out)
{
    struct bytes rest = in->headers;
    struct record_header h;
    leat_header *headers;
    size_t count = 0;

    headers = arena_alloc(&b->headers, (size_t)in->header_count * sizeof *headers);
    if (!headers)
        return STATUS_NO_MEMORY;
    while (count < (size_t)in->header_count && record_header_next(&rest, &h)) {
        headers[count].name = (leat_bytes){h.name.data, h.name.len};
        headers[count].value = (leat_bytes){h.value.data, h.value.len};
        count++;
    }
    out->headers = headers;
    out->header_count = count;
    return STATUS_OK;
}

static enum status record_decode(struct leat_batch *b, const struct record *in,
                                 leat_record *out)
{
    *out = (leat_record){
        .size = sizeof *out,
        .topic = b->topic,
        .partition = b->partition,
        .offset = in->offset,
        .timestamp_ms = in->timestamp,
        .key = {in->key.data, in->key.len},
        .value = {in->value.data, in->value.len},
    };
    return in->header_count > 0 ? headers_decode(b, in, out) : STATUS_OK;
}

/* Room for the records of one more batch. What a header claims is believed only as far as
 * the bytes can hold: a record has at least seven. */
static enum status records_reserve(struct leat_batch *b, const struct iterate *it)
{
    const size_t possible = reader_left(&it->reader) / 7 + 1;
    const size_t claimed = it->batch.count < 0 ? 0 : (size_t)it->batch.count;
    const size_t need = b->count + (claimed < possible ? claimed : possible);
    leat_record *grown;

    if (need <= b->capacity)
        return STATUS_OK;
    /* The first one fits exactly; where there are many small ones, double. */
    const size_t capacity = need < 2 * b->capacity ? 2 * b->capacity : need;
    grown = realloc(b->records, capacity * sizeof *grown);
    if (!grown)
        return STATUS_NO_MEMORY;
    b->records = grown;
    b->capacity = capacity;
    return STATUS_OK;
}

static enum status records_decode(struct leat_batch *b, struct iterate *it, int64_t from)
{
    const int64_t end = batch_next_offset(&it->batch);
    int64_t low = it->batch.base_offset;
    struct record r;
    enum status st;

    while ((st = iterate_next(it, &r)) == STATUS_OK) {
        if (r.offset < low || r.offset >= end || b->count == b->capacity)
            return STATUS_CORRUPT_MESSAGE;
        low = r.offset + 1;
        if (r.offset < from)
            continue;
        st = record_decode(b, &r, &b->records[b->count]);
        if (st)
            return st;
        b->count++;
    }
    return st == STATUS_AGAIN ? STATUS_OK : st;
}

/* Records of a compressed batch live in the iterator's memory: keep it. */
static enum status unfolded_keep(struct leat_batch *b, const struct iterate *it)
{
    const size_t bytes = (size_t)(it->reader.end - it->memory);
    struct iterate *grown =
        realloc(b->unfolded, (b->unfolded_count + 1) * sizeof *b->unfolded);

    if (!grown)
        return STATUS_NO_MEMORY;
    b->unfolded = grown;
    b->unfolded[b->unfolded_count++] = *it;
    b->unfolded_bytes += bytes;
    atomic_fetch_add(&b->haul->budget->used, bytes);
    return STATUS_OK;
}

/* The records of one record batch, all or none of them. */
static enum status one_decode(struct leat_batch *b, struct bytes data,
                              const struct batch *header, int64_t from)
{
    const size_t before = b->count;
    struct iterate it;
    enum status st;

    if (!batch_checksum_ok(header, data))
        return STATUS_CORRUPT_MESSAGE;
    if (header->attributes & BATCH_CONTROL || batch_next_offset(header) <= from)
        return STATUS_OK;
    st = iterate_begin(&it, (struct bytes){data.data, header->size},
                       BATCH_DECOMPRESSED_MAX);
    if (st)
        return st;
    st = records_reserve(b, &it);
    if (!st)
        st = records_decode(b, &it, from);
    if (!st && it.memory) {
        st = unfolded_keep(b, &it);
        if (!st)
            return STATUS_OK;
    }
    iterate_end(&it);
    if (st)
        b->count = before;
    return st;
}

enum status chunk_decode(struct chunk *c, int64_t from, const char *topic,
                         int32_t partition, struct leat_batch **out)
{
    struct leat_batch *b = leat_batch_new(c->haul, topic, partition);
    enum status st = STATUS_OK;

    if (!b)
        return STATUS_NO_MEMORY;
    while (c->data.len > 0 && b->count < BATCH_RECORDS_WANTED) {
        struct batch header;

        st = batch_parse(c->data, &header);
        CHECK(!st); /* chunk_new has walked over it */
        st = one_decode(b, c->data, &header, from);
        if (st)
            break;
        b->next = batch_next_offset(&header);
        c->data.data += header.size;
        c->data.len -= header.size;
    }
    if (b->count > 0) {
        *out = b;
        return STATUS_OK;
    }
    leat_batch_free(b);
    if (!st)
        *out = NULL;
    return st;
}
