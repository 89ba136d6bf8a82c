/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a log, for the files of storage that move its bytes: log.c appends and
 * cuts, log_read.c reads, flush.c writes behind, log_load.c opens.
 *
 * A log owns its segments, oldest first, at least one. `hot` is a ring of the newest
 * batches as slices of journal buffers; they are numbered from the log's first append on.
 *
 *     hot_first        oldest batch in memory; all before it are in segment files
 *     hot_flush        first batch that is not in a segment file (hot_part of its bytes
 *                      may be there already)
 *     hot_end          next number
 *
 * `flushing` is the segment that the write-behind works on: those before it are complete
 * in their files, those after it have no file yet. */
#pragma once

#include "storage/checkpoint.h"
#include "storage/log.h"
#include "storage/segment.h"

struct store;
struct flush;

struct hot {
    struct buf *buf;
    const uint8_t *data;
    int64_t base; /* offset of the batch */
    journal_seq seq;
    uint32_t len;
};

/* Segment files must be cut to where the log ends now, once the journal's word for it is
 * durable; until then nothing may be written behind. */
struct cut {
    journal_seq seq;
    struct segment *keep; /* the segment that the log ended in */
    int64_t offset;
    uint64_t position; /* in `keep`; LOG_UNKNOWN: to be found by reading */
    struct segment **gone;
    uint32_t gone_count;
};

#define LOG_UNKNOWN UINT64_MAX

struct log {
    struct store *store;
    struct log_id id;
    struct log_config config;
    void *owner;
    unsigned refs;
    bool closed;

    int64_t start;
    int64_t flushed;
    int64_t durable;
    int64_t end;
    int64_t held_from; /* retention stays before it */
    int64_t last_append_ms;
    struct epochs epochs;
    struct producers *producers; /* NULL: none */
    int32_t tail_epoch; /* of the newest record; epochs may know a newer, empty one */

    struct segment **segments;
    uint32_t segment_count;
    uint32_t segment_capacity;
    struct segment *flushing;

    struct hot *hot;
    uint32_t hot_mask; /* capacity - 1; hot NULL: no capacity */
    uint64_t hot_first;
    uint64_t hot_flush;
    uint64_t hot_end;
    uint64_t hot_part;

    /* Bytes ever appended, durable, flushed: their differences drive the write-behind. */
    uint64_t bytes_appended;
    uint64_t bytes_durable;
    uint64_t bytes_flushed;

    journal_seq promised;    /* the group of its newest promise */
    uint64_t promise_number; /* that promise */
    journal_seq begun;       /* the group that says where it begins; 0: before this run */
    unsigned cuts;           /* how often it was truncated: reads in flight compare */
    struct cut *cut;
    struct flush *flush; /* the job that works on it */
    bool has_dir;
    bool dir_unsynced; /* names in its directory came or went */
    bool dirty;        /* in the store's list */
    bool queued;       /* in the store's flush queue */
    bool in_cycle;     /* the checkpoint under way waits for it */
    TAILQ_ENTRY(log) dirty_link;
    TAILQ_ENTRY(log) queue_link;
};

TAILQ_HEAD(log_list, log);

static inline struct segment *log_active(const struct log *log)
{
    return log->segments[log->segment_count - 1];
}

static inline struct hot *log_hot(const struct log *log, uint64_t number)
{
    return &log->hot[number & log->hot_mask];
}

/* The first offset in memory; `end` when there is none. */
static inline int64_t log_hot_offset(const struct log *log)
{
    return log->hot_first < log->hot_end ? log_hot(log, log->hot_first)->base : log->end;
}

struct log *log_new(struct store *store, const struct log_id *id,
                    const struct log_config *config);
struct log *log_ref(struct log *log);
void log_unref(struct log *log);

/* A new, empty log begins at `offset`, its only segment's base; the journal is told. */
void log_begin_at(struct log *log, int64_t offset, int32_t epoch);

/* Its end has come: forget what is in memory, let go of the segments. Reads and flushes
 * under way notice `closed`. */
void log_shut(struct log *log);

/* Add a segment behind all others. */
struct segment *log_add_segment(struct log *log, int64_t base);
/* The number of the newest segment whose base is at or below `offset`. */
uint32_t log_find_segment(const struct log *log, int64_t offset);
/* The segment after `s`, which is not the active one. */
struct segment *log_segment_after(const struct log *log, const struct segment *s);

/* The group `upto` is durable; `end` and `bytes` are what this log had then. True if
 * `durable` moved. */
bool log_on_durable(struct log *log, int64_t end, uint64_t bytes);
/* Let go of hot batches of groups up to `upto`. */
void log_evict(struct log *log, journal_seq upto);

/* Begin a new segment if the active one is too old; drop segments that retention or the
 * start offset make superfluous. */
void log_keep_house(struct log *log, int64_t wall_ms);

/* Where it stands in its files, for a checkpoint. No cut may be pending. */
struct log_state log_file_state(const struct log *log);

/* A cold read that begins in `segment`, whatever the log's start is. */
void log_read_segment(struct log *log, struct segment *segment, struct log_read *read);

/* Bring a new log to the state that `known` tells (NULL: nobody knows, so read the
 * files), and take its producers. Synchronous. CORRUPT, IO. */
STATUS_MUST_CHECK enum status log_load(struct log *log, struct disk *d,
                                       struct checkpoint_log *known);
