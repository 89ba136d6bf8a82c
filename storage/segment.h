/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment is one run of a log's batches in one file, named by its base offset: batches
 * verbatim and nothing else. The log's newest segment grows, all others are sealed and
 * never change again. Its log owns it; reads and writes under way hold a reference, so
 * that a segment which was dropped in the meantime ends only after them.
 *
 * Files are opened when they are first needed. `struct files` keeps the number of open
 * ones bounded and closes those that have rested longest. */
#pragma once

#include "storage/disk.h"
#include "storage/index.h"
#include "storage/paths.h"

enum { FILES_OPEN_MAX = 256 };

struct segment;
TAILQ_HEAD(segment_list, segment);

/* The open files of one store. */
struct files {
    struct disk *disk;
    unsigned open;
    struct segment_list resting; /* open, unused; the longest rested first */
    size_t under_way;            /* operations whose end must be waited for */
};

void files_init(struct files *f, struct disk *d);
/* Close what rests. */
void files_close(struct files *f);

/* Waits for the file to be open. `ready` runs inside segment_use if it is already. */
struct segment_wait {
    void (*ready)(struct segment_wait *w, enum status status);
    TAILQ_ENTRY(segment_wait) link;
};

struct segment_opening;

struct segment {
    struct files *files;
    struct log_id id;
    int64_t base;
    int64_t next;     /* the offset after its last batch */
    uint64_t size;    /* bytes of its batches, those in memory only included */
    uint64_t flushed; /* of them in the file, whole batches */
    uint64_t written; /* the file may hold bytes up to here, a write under way included */
    uint64_t reserved; /* the file's length */
    int64_t max_timestamp;
    int64_t begun_ms; /* wall time of its first append; -1: not known */
    struct index index;
    uint64_t index_saved;  /* positions below are in the .index file */
    uint64_t index_length; /* of the .index file */
    uint8_t *tail;         /* the file's last, partial block, while the file is open */
    uint64_t tail_at;      /* position of the end of `tail` */

    /* Where the last read ended: the next one of the same reader begins there. */
    int64_t hint_offset;
    uint64_t hint_position;

    disk_file file;
    bool exists;   /* there is a file */
    bool direct;   /* DISK_DIRECT was granted */
    bool unsynced; /* in its store's list of segments to be synced */
    bool dropped;
    unsigned refs;
    unsigned users;
    struct segment_opening *opening;
    TAILQ_ENTRY(segment) link;      /* resting */
    TAILQ_ENTRY(segment) sync_link; /* unsynced */
};

struct segment *segment_new(struct files *f, const struct log_id *id, int64_t base);
struct segment *segment_ref(struct segment *s);
void segment_unref(struct segment *s);

/* Open the file, making it if there is none, and keep it open until segment_leave. */
void segment_use(struct segment *s, struct segment_wait *w);
void segment_leave(struct segment *s);

/* Its bytes end at `position` now; what was known beyond is forgotten. */
void segment_cut(struct segment *s, int64_t next, uint64_t position);

/* Remember the last `position % DISK_ALIGN` bytes before `position`. */
void segment_keep_tail(struct segment *s, uint64_t position, const uint8_t *bytes);
/* Whether the partial block before `position` is remembered. */
bool segment_has_tail(const struct segment *s, uint64_t position);

/* Index entries that are not in the .index file yet, up to `flushed`, encoded: the last
 * one tells where the flushed bytes end. Empty if there is nothing new. */
struct bytes segment_index_news(struct segment *s, struct writer *w);
