/* SPDX-License-Identifier: Apache-2.0
 *
 * What is safe, decided from evidence: only what a replica has on its disk counts, the
 * leader's own included. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replica_end {
    int64_t durable; /* everything before it is on that replica's disk */
    bool in_sync;
};

/* Whatever lies below the watermark is held by every in-sync replica, so it survives the
 * loss of all of them but one. At least one must be in sync. Never below `before`: what
 * consumers have seen is not taken back. */
int64_t watermark(const struct replica_end *replicas, size_t n, int64_t before);

/* What a majority of the voters of a quorum has on disk. */
int64_t majority_end(const int64_t *durable, size_t voters);
