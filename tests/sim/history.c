/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/history.h"

#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct entry entry_of(const struct batch *b)
{
    return (struct entry){.base = b->base_offset,
                          .next = batch_next_offset(b),
                          .producer = b->producer_id,
                          .crc = b->crc,
                          .epoch = b->leader_epoch,
                          .sequence = b->base_sequence,
                          .producer_epoch = b->producer_epoch};
}

bool entry_same(const struct entry *a, const struct entry *b)
{
    return a->base == b->base && a->next == b->next && a->crc == b->crc;
}

void history_release(struct history *h)
{
    free(h->entries);
    *h = (struct history){0};
}

int64_t history_end(const struct history *h)
{
    return h->count > 0 ? h->entries[h->count - 1].next : h->start;
}

void history_begin(struct history *h, int64_t start)
{
    h->count = 0;
    h->start = start;
}

void history_add(struct history *h, const struct entry *e)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : 64;
        h->entries = must_realloc(h->entries, h->capacity * sizeof *h->entries);
    }
    if (h->count == 0)
        h->start = e->base;
    h->entries[h->count++] = *e;
}

void history_cut(struct history *h, int64_t end)
{
    while (h->count > 0 && h->entries[h->count - 1].next > end)
        h->count--;
    if (h->count == 0 && h->start > end)
        h->start = end;
}

const struct entry *history_at(const struct history *h, int64_t offset)
{
    size_t low = 0, high = h->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (h->entries[middle].next <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < h->count && h->entries[low].base <= offset ? &h->entries[low] : NULL;
}

static size_t slot_of(const struct seen *s, int64_t base, int32_t epoch)
{
    uint64_t hash =
        ((uint64_t)base * 2654435761u ^ (uint64_t)epoch) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (hash >> 20) & (s->capacity - 1);

    while (s->slots[at].next > 0 &&
           (s->slots[at].base != base || s->slots[at].epoch != epoch))
        at = (at + 1) & (s->capacity - 1);
    return at;
}

static void seen_grow(struct seen *s)
{
    struct seen grown = {.capacity = s->capacity ? s->capacity * 2 : 256};

    grown.slots = must_zalloc(grown.capacity * sizeof *grown.slots);
    grown.count = s->count;
    for (size_t i = 0; i < s->capacity; i++)
        if (s->slots[i].next > 0)
            grown.slots[slot_of(&grown, s->slots[i].base, s->slots[i].epoch)] =
                s->slots[i];
    free(s->slots);
    *s = grown;
}

const struct entry *seen_put(struct seen *s, const struct entry *e)
{
    size_t at;

    if (s->count * 2 >= s->capacity)
        seen_grow(s);
    at = slot_of(s, e->base, e->epoch);
    if (s->slots[at].next > 0)
        return &s->slots[at];
    s->slots[at] = *e;
    s->count++;
    return NULL;
}

bool sequences_follow(struct sequences *s, const struct entry *e, int64_t trimmed_to)
{
    const int32_t next = e->sequence + (int32_t)(e->next - e->base);

    if (e->producer < 0)
        return true;
    for (size_t i = 0; i < s->count; i++)
        if (s->of[i].producer == e->producer) {
            bool follows = e->producer_epoch == s->of[i].epoch
                               ? e->sequence == s->of[i].next
                               : e->producer_epoch > s->of[i].epoch && e->sequence == 0;

            follows |= s->of[i].end <= trimmed_to;
            s->of[i].epoch = e->producer_epoch;
            s->of[i].next = next;
            s->of[i].end = e->next;
            return follows;
        }
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 16;
        s->of = must_realloc(s->of, s->capacity * sizeof *s->of);
    }
    s->of[s->count++] = (struct sequence){e->producer, e->producer_epoch, next, e->next};
    return e->sequence == 0 || trimmed_to > 0;
}
