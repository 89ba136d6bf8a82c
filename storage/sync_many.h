/* SPDX-License-Identifier: Apache-2.0
 *
 * Sync many files and directories at start, a number of them at a time: file systems
 * commit what is synced together as one. A missing one has nothing to sync. */
#pragma once

#include "storage/disk.h"

struct sync_many {
    struct disk *disk;
    unsigned in_flight;
    enum status status; /* the first failure */
};

void sync_many_init(struct sync_many *m, struct disk *d);
/* Begin; waits for others if too many are under way. `path` is copied; `flags` is
 * DISK_DIRECTORY or 0. */
void sync_many_add(struct sync_many *m, const char *path, unsigned flags);
/* Wait for all. IO and the like if any failed. */
STATUS_MUST_CHECK enum status sync_many_wait(struct sync_many *m);
