/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk port on io_uring: one ring, owned by one thread. Writes to pre-written blocks
 * of files that were granted DISK_DIRECT never leave that thread; everything that would
 * need a kernel worker (opening, removing, syncing) is rare. */
#pragma once

#include "storage/disk.h"

/* Open on the directory `root`, which must exist. UNSUPPORTED_VERSION when this kernel or
 * this container refuses io_uring: use disk_posix then. */
STATUS_MUST_CHECK enum status disk_uring_open(const char *root, struct disk **out);

/* Readable when completions wait: for the event loop. */
int disk_uring_fd(struct disk *d);
