/* SPDX-License-Identifier: Apache-2.0
 *
 * What storage needs from a disk, and nothing else of the world. There are three behind
 * this port: io_uring (disk_uring.h), plain system calls where io_uring is refused
 * (disk_posix.h), and the simulated one of the tests, which forgets what was not synced.
 *
 * An operation is a request structure that the caller embeds in whatever waits for it. It
 * belongs to the disk from disk_submit until `done` runs; so do its path and buffers.
 * `done` runs exactly once, inside a later disk_poll, never inside disk_submit.
 * Operations are not ordered among each other: who needs order starts the second when the
 * first is done.
 *
 * Paths are relative to the root directory that the disk was opened on. A write is
 * durable when it was submitted with `sync`, or when a DISK_SYNC that was submitted after
 * its completion has completed. A name (create, rename, remove) is durable once its
 * directory was synced: open the directory, DISK_SYNC it. A failed write or sync leaves
 * its bytes in an unknown state: the owner of a failed sync must stop. */
#pragma once

#include "proto/base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

struct disk;
struct disk_op;

enum disk_kind {
    DISK_OPEN,     /* path, flags, -> file */
    DISK_CLOSE,    /* file */
    DISK_READ,     /* file, offset, iov -> bytes read (short at the end of the file) */
    DISK_WRITE,    /* file, offset, iov, sync; all of it or an error */
    DISK_SYNC,     /* file: its data, its size and, of a directory, its names */
    DISK_ALLOCATE, /* file, offset, length: reserve blocks, growing the file */
    DISK_TRUNCATE, /* file, offset: the new length */
    DISK_STAT,     /* path -> length; NOT_FOUND */
    DISK_MAKE_DIR, /* path; EXISTS */
    DISK_RENAME,   /* path -> path2, replacing it */
    DISK_REMOVE,   /* path: a file or an empty directory */
    DISK_LIST,     /* path -> names, see disk_names */
    DISK_SPACE,    /* -> free bytes of the file system in `length` */
};

enum disk_flag {
    DISK_CREATE = 1,    /* make the file if there is none */
    DISK_EXCLUSIVE = 2, /* with DISK_CREATE: EXISTS if there is one */
    DISK_READ_ONLY = 4,
    DISK_DIRECT = 8, /* past the page cache: offsets, lengths and memory must be
                      * multiples of DISK_ALIGN. Where the file system refuses, the file
                      * is opened without and `direct` says so */
    DISK_DIRECTORY = 16,
};

enum { DISK_ALIGN = 4096, DISK_IOV_MAX = 64 };

/* An open file. Negative: none. */
typedef int32_t disk_file;
enum { DISK_NO_FILE = -1 };

typedef void disk_done(struct disk_op *op);

struct disk_op {
    /* Set by the caller. */
    enum disk_kind kind;
    unsigned flags; /* DISK_OPEN */
    disk_file file; /* in; DISK_OPEN: out */
    bool sync;      /* DISK_WRITE: durable when done */
    const char *path;
    const char *path2;
    uint64_t offset;
    uint64_t length;   /* in: DISK_ALLOCATE; out: DISK_STAT, DISK_SPACE */
    struct iovec *iov; /* at most DISK_IOV_MAX */
    unsigned iov_count;
    disk_done *done;

    /* Set by the disk, valid in `done`. IO, NOT_FOUND, EXISTS, NO_SPACE, NO_MEMORY. */
    enum status status;
    size_t bytes; /* DISK_READ: read; DISK_WRITE: written */
    bool direct;  /* DISK_OPEN: DISK_DIRECT was granted */
    char *names;  /* DISK_LIST: NUL-terminated names one after the other, an
                   * empty one last; the caller frees it */

    /* The disk's own. */
    TAILQ_ENTRY(disk_op) link;
    uint64_t progress;
    int error;
};

struct disk_verbs {
    void (*submit)(struct disk *d, struct disk_op *op);
    size_t (*poll)(struct disk *d, bool wait);
    void (*close)(struct disk *d);
};

struct disk {
    const struct disk_verbs *verbs;
    const char *kind; /* "io_uring", "posix", "simulated" */
};

/* Hand over one operation. It may be held back until the next disk_poll. */
void disk_submit(struct disk *d, struct disk_op *op);

/* Pass on what was submitted, run `done` of what has completed; with `wait`, block until
 * at least one has. Returns how many ran. With `wait` there must be one under way. */
size_t disk_poll(struct disk *d, bool wait);

/* Submit, then poll until it is done: for start, stop and offline tools only. Other
 * operations' `done` may run meanwhile. Returns op->status. */
STATUS_MUST_CHECK enum status disk_call(struct disk *d, struct disk_op *op);

/* Nothing may be under way. */
void disk_close(struct disk *d);

/* Make the names in a directory durable; "." is the root. For start and stop. */
STATUS_MUST_CHECK enum status disk_sync_dir(struct disk *d, const char *dir);

/* Replace a small file as a whole: write path.tmp, sync, rename, sync the directory. What
 * a crash leaves is the old or the new content, never a mixture. For start and stop; the
 * asynchronous form is checkpoint.c's business. */
STATUS_MUST_CHECK enum status disk_replace(struct disk *d, const char *dir,
                                           const char *path, const void *data,
                                           size_t len);

/* The whole file in memory that the caller frees; `limit` bytes at most (TOO_MANY). */
STATUS_MUST_CHECK enum status disk_read_all(struct disk *d, const char *path,
                                            size_t limit, uint8_t **data, size_t *len);
