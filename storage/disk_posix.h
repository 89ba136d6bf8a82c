/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk port on plain system calls: a helper thread carries the operations out in the
 * order of submission, so that a sync never blocks the event loop. */
#pragma once

#include "storage/disk.h"

STATUS_MUST_CHECK enum status disk_posix_open(const char *root, struct disk **out);

/* Readable when completions wait: for the event loop. */
int disk_posix_fd(struct disk *d);
