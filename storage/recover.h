/* SPDX-License-Identifier: Apache-2.0
 *
 * store_recover's workshop: journal frames repeated onto segment files. Every frame says
 * exactly where its bytes belong, so repeating what was done already changes nothing, and
 * a crash in the middle of recovery is answered by recovering again.
 *
 * Small frames are gathered per log before they are written. Where a log stands is
 * tracked in memory and becomes the new checkpoint at the end. */
#pragma once

#include "storage/checkpoint.h"
#include "storage/disk.h"
#include "storage/store.h"

struct recover_log;

struct recover {
    struct disk *disk;
    struct map states; /* struct checkpoint_log */
    struct map logs;   /* struct recover_log: those that a frame spoke of */
    uint64_t staged;   /* bytes gathered in all logs */
    bool logs_unsynced;
};

void recover_init(struct recover *r, struct disk *d);
void recover_release(struct recover *r);

/* Repeat one frame. */
STATUS_MUST_CHECK enum status recover_frame(struct recover *r,
                                            const struct journal_frame *f);
/* Write what is gathered, give sealed segments their length, sync all that was touched.
 */
STATUS_MUST_CHECK enum status recover_finish(struct recover *r);
