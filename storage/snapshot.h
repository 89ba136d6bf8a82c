/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine's state in one file: `machines/<name>-<offset>.snapshot`, the records that
 * build the state as it was when everything before `offset` was applied, and the epoch of
 * the last of those. It is written whole under another name, synced, and renamed; the
 * newest one that is whole counts. The same state at the same offset gives the same
 * bytes, so that replicas can be compared. */
#pragma once

#include "proto/base/bytes.h"
#include "storage/disk.h"

#define SNAPSHOT_DIR "machines"

enum { SNAPSHOT_PATH = 160 };

/* Encoding: begin, any number of records, finish. */
void snapshot_begin(struct writer *w, int64_t offset, int32_t epoch);
void snapshot_add(struct writer *w, struct bytes record);
void snapshot_finish(struct writer *w);

void snapshot_path(char out[static SNAPSHOT_PATH], const char *name, int64_t offset);

/* What a snapshot says of itself. Offset 0: there is none. */
struct snapshot_head {
    int64_t offset;
    int32_t epoch;
    uint64_t size; /* of the file */
};

/* CORRUPT unless `data` is a whole snapshot. */
STATUS_MUST_CHECK enum status snapshot_check(struct bytes data,
                                             struct snapshot_head *head);
/* Its records, one after the other. */
STATUS_MUST_CHECK enum status snapshot_each(
    struct bytes data,
    enum status (*apply)(void *ctx, int64_t offset, struct bytes record), void *ctx);

/* Find the newest whole snapshot of `name`, hand its records to `apply` and remove all
 * others. CORRUPT when there are some but none is whole. Synchronous. */
STATUS_MUST_CHECK enum status snapshot_load(struct disk *d, const char *name,
                                            enum status (*apply)(void *ctx,
                                                                 int64_t offset,
                                                                 struct bytes record),
                                            void *ctx, struct snapshot_head *head);

/* A snapshot on its way to disk. The content is taken. `done` runs once, later. */
struct snapshot_write {
    void (*done)(struct snapshot_write *w, enum status status);
    struct disk *disk;
    struct writer content;
    char path[SNAPSHOT_PATH];
    char tmp[SNAPSHOT_PATH + 8];
    disk_file file;
    struct disk_op op;
    struct iovec iov;
};

/* Remove the one at `offset`, durably. */
void snapshot_remove(struct snapshot_write *w, struct disk *d, const char *name,
                     int64_t offset);

void snapshot_write(struct snapshot_write *w, struct disk *d, const char *name,
                    int64_t offset, struct writer content);
