/* SPDX-License-Identifier: Apache-2.0
 *
 * The one thing of the quorum that is not in its log: in which epoch this node is and
 * whom it gave its vote. The file `quorum-state` has two slots that are written in turn,
 * so a torn write leaves the state before it, on which nothing was said yet that needed
 * the new one. */
#pragma once

#include "broker/core/quorum/raft.h"
#include "storage/disk.h"

enum { VOTE_SLOT = 4096 };

struct vote_file {
    struct disk *disk;
    disk_file file;
    uint64_t sequence; /* of the newest slot */
    bool busy;
    void (*done)(struct vote_file *f, enum status status);
    struct disk_op op;
    struct iovec iov;
    uint8_t slot[VOTE_SLOT];
};

/* Read the file, or make one that says nothing (`*fresh`). CORRUPT: no slot is whole, so
 * nobody knows whom this node voted for. Synchronous, at start. */
STATUS_MUST_CHECK enum status vote_file_open(struct vote_file *f, struct disk *d,
                                             struct raft_state *state, bool *fresh);
/* Make it durable; one at a time. `done` runs once, later. */
void vote_file_write(struct vote_file *f, const struct raft_state *state,
                     void (*done)(struct vote_file *f, enum status status));
void vote_file_close(struct vote_file *f);
