/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a store, for the files of storage that share its work. What waits for the
 * journal is a ring of promises: one entry for each log and group, read by two cursors,
 * the durable one (tell the owner) and the evicting one (forget hot batches). */
#pragma once

#include "storage/log_inner.h"
#include "storage/store.h"

enum {
    FLUSH_JOBS = 4,
    FLUSH_BYTES = 1024 * 1024, /* one write, and what a log gathers before it is queued */
    SYNCS_IN_FLIGHT = 32,
    IDLE_FLUSH_MS = 5000,
};

struct promise {
    struct log *log; /* with a reference */
    journal_seq seq;
    int64_t end;
    uint64_t bytes;
};

/* A directory or file to be removed in the background once `after` is durable. */
struct removal {
    TAILQ_ENTRY(removal) link;
    journal_seq after;
    struct log *log; /* a deleted log whose directory must be renamed first, or NULL */
    struct log_id id;
    bool directory;
    char path[PATH_BYTES];
};
TAILQ_HEAD(removal_list, removal);

struct reaper {
    struct removal_list renames; /* deleted logs, in order */
    struct removal_list queue;   /* files and directories to be removed */
    bool renaming;
    bool removing;
    uint64_t serial;
    struct disk_op rename_op;
    char rename_path[PATH_BYTES];
    char rename_path2[PATH_BYTES];
    struct disk_op op;
    char *names; /* of the directory that is being emptied */
    const char *name;
    char path[PATH_BYTES * 2 + 256];
};

struct sync;

enum cycle_step {
    CYCLE_IDLE,
    CYCLE_FLUSH, /* logs bring what is durable to their files */
    CYCLE_SYNC,  /* files and directories are synced */
    CYCLE_WRITE, /* the checkpoint is replaced */
};

struct cycle {
    enum cycle_step step;
    journal_seq target; /* groups up to it are released at the end */
    unsigned logs_left; /* that must be flushed */
    unsigned syncs;     /* in flight */
    struct segment_list unsynced;
    struct writer content;
    int64_t begun_ms;
    TAILQ_HEAD(, sync) syncs_left; /* directories */
    struct disk_op op;
    struct iovec iov;
    disk_file file;
    char path[40];
    char tmp[48];
};

struct flush {
    struct store *store;
    struct log *log; /* NULL: the job is free */
    struct segment *segment;
    uint8_t *staging;
    struct segment_wait wait;
    struct disk_op op;
    struct iovec iov;
    char path[PATH_BYTES];
    struct cut *cut;
    uint32_t gone;
    bool gone_index;
    bool creates; /* the segment's file did not exist */
    unsigned cuts;
    unsigned pieces;
    /* The piece under way: from `at` (aligned) the staging's first `used` bytes. */
    uint64_t at;
    size_t used;
    uint64_t hot_flush;
    uint64_t hot_part;
    struct log_read find;
    struct writer index;
    disk_file index_file;
};

struct store {
    struct disk *disk;
    struct store_options options;
    char journal_dir[32];
    struct journal *journal;
    struct files files;
    struct map logs;        /* open ones, by id */
    struct map known;       /* struct checkpoint_log of those that are not open */
    struct log_id *deleted; /* in this run: the checkpoint says so */
    size_t deleted_count;

    struct promise *promises;
    uint64_t promise_mask;
    uint64_t promise_first; /* oldest that is not evicted */
    uint64_t promise_due;   /* oldest that is not durable */
    uint64_t promise_end;
    journal_seq durable;

    struct log_list dirty;
    struct log_list queue;
    struct flush jobs[FLUSH_JOBS];
    struct segment_list unsynced;
    struct cycle cycle;
    struct reaper reaper;
    journal_seq released; /* groups up to it are in segments and checkpoint */
    journal_seq last_seq; /* newest group that anything was put into */
    bool logs_dir_made;
    bool logs_dir_unsynced;
    bool failed;
    bool no_space; /* a write met a full disk; tried again at the next tick */
    bool closing;
    size_t under_way; /* operations besides those of `files` */
    size_t house_at;  /* the log that the next tick's house-keeping begins with */
    struct instant now;
    disk_file root; /* the data directory, for syncing names in it */
    struct disk_op space_op;
    bool space_asked;
    uint64_t free_bytes;     /* when the disk was last asked */
    uint64_t free_written;   /* bytes that segments had been given by then */
    uint64_t bytes_appended; /* since the store was opened: segments must take them */
    struct store_stats stats;
};

/* Stop for good; the owner hears of it once. */
void store_fail(struct store *s, enum status status, const char *what);
void store_submit(struct store *s, struct disk_op *op);
/* At the head of each `done`. */
void store_done(struct store *s);

/* Put a frame into the journal. */
journal_seq store_journal(struct store *s, const struct journal_frame *frame,
                          struct slice *hot);
/* `log` has a newest batch in group `seq` now. */
void store_promise(struct store *s, struct log *log, journal_seq seq);
/* `log` was cut to `end`: what it was promised above is void. */
void store_promise_cut(struct store *s, struct log *log, int64_t end, uint64_t bytes);

/* `log` has something that a checkpoint must learn. */
void store_mark_dirty(struct store *s, struct log *log);
void store_mark_unsynced(struct store *s, struct segment *segment);

/* flush.c: queue a log for the write-behind; start jobs. */
void flush_queue(struct log *log);
void flush_unqueue(struct log *log);
bool flush_is_wanted(const struct log *log);
void flush_run(struct store *s);
bool flush_is_idle(const struct store *s);
void flush_release(struct store *s);

/* cycle.c: flush, sync, write the checkpoint, release the journal. */
bool cycle_is_due(const struct store *s);
void cycle_begin(struct store *s);
/* The newest group that must be durable before the cycle goes on; 0: it waits for none.
 */
journal_seq cycle_awaits(const struct store *s);
/* A job has left `log`, or it is gone. */
void cycle_log_flushed(struct log *log);
/* Forget what was planned; nothing may be under way. */
void cycle_release(struct store *s);
/* Something that the cycle may wait for has happened. */
void cycle_advance(struct store *s);

/* reaper.c: files and directories on their way out. */
void reaper_init(struct reaper *r);
void reaper_release(struct reaper *r);
void reaper_add_segment(struct store *s, struct segment *segment, journal_seq after);
void reaper_add_log(struct store *s, struct log *log, journal_seq after);
void reaper_add_directory(struct store *s, const char *path);
void reaper_run(struct store *s);
/* Whether a deleted log of this id still holds the directory's name. */
bool reaper_holds(const struct store *s, const struct log_id *id);
