/* SPDX-License-Identifier: Apache-2.0
 *
 * A store on a disk that forgets, and beside it a model of what its logs must hold: every
 * batch that was appended, byte for byte, less what was truncated, trimmed or deleted. */
#pragma once

#include "storage/store.h"
#include "tests/support/simdisk.h"

enum { SCENE_LOGS = 8, SCENE_PRODUCERS = 3 };

struct model_batch {
    int64_t base;
    int64_t next;
    size_t size;
    uint8_t *bytes;
};

struct model_log {
    struct log *log; /* NULL: not open */
    bool exists;
    bool deleted; /* at least asked for: it may be there or not after a crash */
    struct model_batch *batches;
    size_t count, capacity;
    int64_t start;
    int64_t durable; /* was reported */
    /* What a truncation took away, until it is known to be durable: after a crash before
     * that, the log may be either. */
    struct model_batch *old;
    size_t old_count;
    int64_t old_cut;
    unsigned old_known[SCENE_PRODUCERS];
    /* The same for a log that was begun anew: after a crash it may be its former self,
     * all that was durable of it. */
    bool begun_anew;
    int64_t old_start, old_durable;
    unsigned reports;
    unsigned version; /* makes records at one offset differ after a truncation */
    /* How many of a producer's newest batches the log knows at least. More was cut off at
     * `adrift`: what it may send next is open, until it has sent something. */
    unsigned known[SCENE_PRODUCERS];
    int64_t adrift[SCENE_PRODUCERS];
};

struct scene {
    struct simdisk *sim;
    struct disk *disk;
    struct store *store;
    struct store_options options;
    struct log_config config;
    struct model_log logs[SCENE_LOGS];
    struct instant now;
    bool anonymous; /* what is appended has no producer: more of it may be in flight */
    unsigned failures;
};

/* A new disk and an open store with small files on it. */
void scene_begin(struct scene *s, uint64_t seed);
void scene_end(struct scene *s);

enum status scene_open(struct scene *s);
enum status scene_close(struct scene *s);
/* Close, recover, open; all must succeed. */
void scene_restart(struct scene *s);
/* The store goes as it is: what was under way never completes. */
void scene_crash(struct scene *s, enum simdisk_crash_kind kind);

struct log_id scene_id(unsigned n);
struct log *scene_log(struct scene *s, unsigned n);
/* Append a batch of `count` records of `size` bytes; its timestamps are `time`. A few
 * producers take turns, and sometimes there is none. */
void scene_append_at(struct scene *s, unsigned n, int count, size_t size, int32_t epoch,
                     int64_t time);
void scene_append(struct scene *s, unsigned n, int count, size_t size);
void scene_truncate(struct scene *s, unsigned n, int64_t offset);
void scene_trim(struct scene *s, unsigned n, int64_t offset);
void scene_delete(struct scene *s, unsigned n);
/* Delete it and begin it anew at `offset`. Once at a time: until something of the new log
 * is durable it may not be cut or begun anew. */
void scene_begin_anew(struct scene *s, unsigned n, int64_t offset);

void scene_turn(struct scene *s);
/* Turns until everything that was appended is durable, or the store failed. */
void scene_settle(struct scene *s);
/* Time passes until nothing is dirty: everything lies in segment files. */
void scene_flush(struct scene *s);

/* One read, hot or cold. Release it. */
void scene_read(struct scene *s, unsigned n, int64_t from, int64_t upto, size_t max,
                struct log_read *out);
/* Read log `n` from its start to its end and compare with the model, which must agree on
 * the end as well. */
void scene_verify(struct scene *s, unsigned n);
/* The log knows what each producer sent last and may send next. */
void scene_verify_producers(struct scene *s, unsigned n);
/* After a crash: the log holds at least what was durable and nothing that the model does
 * not know; the model then forgets what was lost. A log whose deletion was asked for may
 * be there or not; it is deleted once more. */
void scene_verify_survivors(struct scene *s, unsigned n);
