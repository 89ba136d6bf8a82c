/* SPDX-License-Identifier: Apache-2.0
 *
 * What the oracle remembers of a log: its batches, without their bytes. */
#pragma once

#include "proto/record/batch.h"

struct entry {
    int64_t base, next, producer;
    uint32_t crc;
    int32_t epoch, sequence;
    int16_t producer_epoch;
};

struct entry entry_of(const struct batch *b);
bool entry_same(const struct entry *a, const struct entry *b); /* but for the epoch */

struct history {
    struct entry *entries;
    size_t count, capacity;
    int64_t start; /* where it begins, if that is not its first entry */
};

void history_release(struct history *h);
int64_t history_end(const struct history *h);
void history_begin(struct history *h, int64_t start); /* empty */
void history_add(struct history *h, const struct entry *e);
void history_cut(struct history *h, int64_t end);
/* The batch that holds the offset, or NULL. */
const struct entry *history_at(const struct history *h, int64_t offset);

/* All batches that were ever seen at an offset in a leader epoch. */
struct seen {
    struct entry *slots;
    size_t count, capacity;
};

/* The one that was seen there before, NULL if none was. */
const struct entry *seen_put(struct seen *s, const struct entry *e);

/* How far each producer has come. */
struct sequences {
    struct sequence {
        int64_t producer;
        int16_t epoch;
        int32_t next;
        int64_t end; /* behind its last batch */
    } * of;
    size_t count, capacity;
};

/* Whether a committed batch may follow what its producer committed before. The first that
 * is known of a producer may have any sequence once records of the log were trimmed, and
 * so may the next one when all that it had committed was: a replica that was begun anew
 * since does not know who was there before. */
bool sequences_follow(struct sequences *s, const struct entry *e, int64_t trimmed_to);
