/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment's sparse index: some of its batches, by offset, position and time. It never
 * outgrows INDEX_ENTRIES_MAX entries: when full, every second one is dropped and the
 * spacing doubled, so a segment of any size costs at most 64 KiB.
 *
 * An entry carries the largest timestamp of all batches *before* it. So the last entry
 * whose `time_before` is smaller than T is a safe place to begin looking for T.
 *
 * The `.index` file beside the segment holds entries in the order in which they were
 * added, each with its own checksum. It is a hint: what is missing, damaged or out of
 * order is ignored and found again by reading the segment. */
#pragma once

#include "proto/base/bytes.h"

enum { INDEX_ENTRIES_MAX = 4096, INDEX_ENTRY_BYTES = 20 };

struct index_entry {
    uint32_t offset; /* of the batch, from the segment's base */
    uint32_t position;
    int64_t time_before; /* largest timestamp before `position`; -1: none */
};

struct index {
    struct index_entry *entries;
    uint32_t count;
    uint32_t capacity;
    uint64_t spacing; /* bytes between entries, at least; grows by thinning */
};

void index_init(struct index *x);
void index_release(struct index *x);

/* Consider the batch at `position`, which lies behind all that were added; `interval` is
 * the spacing wished for. */
void index_add(struct index *x, uint64_t interval, struct index_entry e);

/* The last entry at or before the relative offset; {0, 0, -1} if there is none. */
struct index_entry index_find(const struct index *x, uint64_t offset);
/* The last entry before which everything is older than `time`. */
struct index_entry index_find_time(const struct index *x, int64_t time);
struct index_entry index_last(const struct index *x);

/* Forget entries at or above the relative offset. */
void index_cut(struct index *x, uint64_t offset);

void index_entry_encode(uint8_t out[static INDEX_ENTRY_BYTES], int64_t base,
                        struct index_entry e);

/* Take the good entries of an index file: those before the first that is damaged, out of
 * order or beyond `position_max`. */
void index_decode(struct index *x, struct bytes file, int64_t base, uint64_t interval,
                  uint64_t position_max);
