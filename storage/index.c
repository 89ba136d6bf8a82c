/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/index.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/base/memory.h"

#include <stdlib.h>

void index_init(struct index *x)
{
    *x = (struct index){0};
}

void index_release(struct index *x)
{
    free(x->entries);
    index_init(x);
}

static void thin(struct index *x)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < x->count; i += 2)
        x->entries[kept++] = x->entries[i];
    x->count = kept;
    x->spacing *= 2;
}

void index_add(struct index *x, uint64_t interval, struct index_entry e)
{
    if (x->spacing < interval)
        x->spacing = interval;
    if (x->spacing == 0)
        x->spacing = 1;
    if (x->count > 0) {
        if (e.position == index_last(x).position)
            return; /* known as the end of what came before it */
        CHECK(e.position > index_last(x).position);
        CHECK(e.offset > index_last(x).offset);
    }
    if (e.position - index_last(x).position < x->spacing)
        return;
    if (x->count == INDEX_ENTRIES_MAX)
        thin(x);
    if (x->count == x->capacity) {
        x->capacity = x->capacity ? x->capacity * 2 : 4;
        x->entries = must_realloc(x->entries, x->capacity * sizeof *x->entries);
    }
    x->entries[x->count++] = e;
}

struct index_entry index_last(const struct index *x)
{
    return x->count ? x->entries[x->count - 1] : (struct index_entry){.time_before = -1};
}

/* How many entries are at or below the relative offset. */
static uint32_t count_upto(const struct index *x, uint64_t offset)
{
    uint32_t low = 0, high = x->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (x->entries[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct index_entry index_find(const struct index *x, uint64_t offset)
{
    uint32_t n = count_upto(x, offset);

    return n ? x->entries[n - 1] : (struct index_entry){.time_before = -1};
}

struct index_entry index_find_time(const struct index *x, int64_t time)
{
    uint32_t low = 0, high = x->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (x->entries[middle].time_before < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? x->entries[low - 1] : (struct index_entry){.time_before = -1};
}

void index_cut(struct index *x, uint64_t offset)
{
    x->count = offset ? count_upto(x, offset - 1) : 0;
}

/* The base offset takes part in the checksum: a file of another segment gives nothing. */
static uint32_t entry_checksum(const uint8_t *entry, int64_t base)
{
    uint8_t seed[8];

    store_u64(seed, (uint64_t)base);
    return crc32c(crc32c(0, seed, sizeof seed), entry, INDEX_ENTRY_BYTES - 4);
}

void index_entry_encode(uint8_t out[static INDEX_ENTRY_BYTES], int64_t base,
                        struct index_entry e)
{
    store_u32(out, e.offset);
    store_u32(out + 4, e.position);
    store_u64(out + 8, (uint64_t)e.time_before);
    store_u32(out + 16, entry_checksum(out, base));
}

void index_decode(struct index *x, struct bytes file, int64_t base, uint64_t interval,
                  uint64_t position_max)
{
    struct index_entry before = {.time_before = -1};

    for (size_t at = 0; at + INDEX_ENTRY_BYTES <= file.len; at += INDEX_ENTRY_BYTES) {
        const uint8_t *p = file.data + at;
        struct index_entry e = {load_u32(p), load_u32(p + 4), (int64_t)load_u64(p + 8)};

        if (load_u32(p + 16) != entry_checksum(p, base) || e.position > position_max)
            return;
        if (e.position == before.position && e.offset == before.offset)
            continue; /* the end of an earlier piece, and the batch that came there */
        if (e.position <= before.position || e.offset <= before.offset ||
            e.time_before < before.time_before)
            return;
        before = e;
        index_add(x, interval, e);
    }
}
