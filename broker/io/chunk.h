/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that sockets are read into. Chunks are shared, refcounted bufs: many frames lie
 * in one, and each request holds on to the chunk its payload is in. When the last one
 * lets go, on whatever thread, the chunk comes back here, so that a busy shard touches
 * the same pages again and again instead of asking the kernel for fresh ones. */
#pragma once

#include "proto/base/buf.h"

enum {
    CHUNK_SMALL = 64 * 1024,
    CHUNK_LARGE = 256 * 1024,
    CHUNK_HUGE = 1088 * 1024, /* a batch of the default max.message.bytes */
};

struct chunk_pool;

struct chunk_pool *chunk_pool_new(void);
/* Chunks that are still out die with their last reference. */
void chunk_pool_free(struct chunk_pool *p);

/* A chunk of at least `bytes`; what is larger than the sizes above is made to measure
 * and not kept. NULL without memory. */
struct buf *chunk_take(struct chunk_pool *p, size_t bytes);

/* Give back to the system what was not needed since the last call; nothing is kept. */
bool chunk_pool_is_bare(struct chunk_pool *p);
void chunk_pool_trim(struct chunk_pool *p);
