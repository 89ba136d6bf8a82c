/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls behind disk operations, for both real back ends: io_uring uses them
 * for what the ring cannot do, posix for everything. A disk_file is a file descriptor. */
#pragma once

#include "storage/disk.h"

/* Carry one operation out, now, on this thread; fills the op's results but runs nothing.
 */
void disk_carry_out(int root, struct disk_op *op);

enum status disk_status_of(int error_number);
/* O_ flags of a DISK_OPEN. */
int disk_open_flags(unsigned flags);
/* An operation went through `done` bytes so far: the rest of its iov in `rest`. Returns
 * how many there are. */
unsigned disk_rest(const struct disk_op *op, uint64_t done, struct iovec *rest);
