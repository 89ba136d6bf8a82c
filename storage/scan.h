/* SPDX-License-Identifier: Apache-2.0
 *
 * Walk the batch headers of a segment file from a known position: for rebuilding an index
 * and for finding where a segment ends. Synchronous: at start only. */
#pragma once

#include "proto/record/batch.h"
#include "storage/disk.h"

enum scan_end {
    SCAN_LIMIT, /* everything up to the limit was good */
    SCAN_ZEROS, /* zeros begin: the clean end of a segment that was being written */
    SCAN_STOP,  /* the visitor has seen enough */
    SCAN_BAD,   /* something that is no batch */
};

struct scan {
    struct disk *disk;
    const char *path;
    uint64_t position;
    uint64_t limit;
    int64_t base; /* offset that the next batch must have at least */
    bool checksums;
    /* A good batch at `position`; false to stop before it. */
    bool (*visit)(void *ctx, uint64_t position, const struct batch *b);
    void *ctx;
};

/* On return scan->position is where it stopped. IO when the file cannot be read. */
STATUS_MUST_CHECK enum status scan_run(struct scan *scan, enum scan_end *end);
