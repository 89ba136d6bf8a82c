/* SPDX-License-Identifier: Apache-2.0
 *
 * The files that a journal writes to, one after the other. A file is *free* (everything
 * in it was released, or it was just found), then *ready* (a header with a new generation
 * is durable on it), *active* (being written), *full*, and free again. One file is made
 * ready ahead of need, so that going on in the next one costs a commit nothing; new files
 * are pre-written with zeros behind the scenes, in strides that commits never overlap. */
#pragma once

#include "storage/journal_format.h"

enum journal_file_state {
    JOURNAL_FILE_FREE,
    JOURNAL_FILE_PREPARING,
    JOURNAL_FILE_READY,
    JOURNAL_FILE_ACTIVE,
    JOURNAL_FILE_FULL,
};

/* How a file is prepared, in this order; one that was there before needs the header only.
 */
enum journal_step {
    STEP_OPEN,
    STEP_ALLOCATE,
    STEP_HEADER,
    STEP_SYNC,
    STEP_DIR,
    STEP_DIR_SYNC,
    STEP_DIR_CLOSE,
};

struct journal_file {
    enum journal_file_state state;
    disk_file file;
    uint32_t number;
    uint64_t generation; /* of its header */
    uint64_t position;   /* where the next group goes */
    uint64_t written;    /* blocks before this were written once */
    bool settled;        /* its name and size are durable */
    journal_seq last;    /* the newest group in it */
    TAILQ_ENTRY(journal_file) link;
};

struct journal_files {
    struct disk *disk;
    char *dir;
    uint64_t file_bytes;
    unsigned count, count_max;
    uint64_t epoch, generation;
    journal_seq released;
    TAILQ_HEAD(journal_file_list, journal_file)
    list; /* by generation: free first, then full, active, ready */
    struct journal_file *active;
    struct journal_file *preparing; /* or NULL */
    struct journal_file *zeroing;   /* the file of the stride in flight, or NULL */
    uint64_t zero_from;
    uint32_t next_number;
    bool failed_to_grow; /* no space for another file: tried again after a release, and
                          * when journal_files_retry says so */
    uint8_t *block;      /* the header that is being written */
    char *path;          /* of the file that is being made */
    struct iovec block_iov, zero_iov;
    struct disk_op prepare_op, zero_op;
    enum journal_step step;
};

/* Open what is in `dir`, make one file active under a new epoch. Synchronous. */
STATUS_MUST_CHECK enum status journal_files_open(struct journal_files *f, struct disk *d,
                                                 const char *dir, uint64_t file_bytes,
                                                 unsigned count_max, bool activate);
/* Waits for what is in flight. */
void journal_files_close(struct journal_files *f);

/* The active file, if `bytes` more fit into it, or the next one if that is ready. NULL:
 * wait (a turn or two) until one is, or until segments let one go. */
struct journal_file *journal_files_for(struct journal_files *f, uint64_t bytes);

/* Whether these blocks may be written now: no zeros are on their way to them. */
bool journal_files_clear(const struct journal_files *f, const struct journal_file *file,
                         uint64_t from, uint64_t bytes);

/* Whether `bytes` fit into no file, nor into one that can still be made. */
bool journal_files_are_full(const struct journal_files *f, uint64_t bytes);

/* One more file than the most: what would free the others waits for a group that has no
 * place yet. */
void journal_files_exceed(struct journal_files *f);

/* Get on with preparing and pre-writing; call once a turn while there is traffic. */
void journal_files_work(struct journal_files *f);

/* There may be space for another file again. */
void journal_files_retry(struct journal_files *f);

/* Everything before `oldest` is in segments: whole files of that are free again. */
void journal_files_release(struct journal_files *f, journal_seq oldest);

/* Bytes that can still be written without any release. */
uint64_t journal_files_room(const struct journal_files *f);
unsigned journal_files_used(const struct journal_files *f); /* full or active */
/* The newest group of the oldest full file; 0 if there is none. */
journal_seq journal_files_oldest_full(const struct journal_files *f);
