/* SPDX-License-Identifier: Apache-2.0
 *
 * A buf is a reference-counted block of memory: whoever creates it fills it, after that
 * everybody shares it read-only, and the last one to let go frees it. Counts are atomic,
 * because a fetch answer may leave through another shard's connection. A slice is a view
 * into a buf together with one reference to it. */
#pragma once

#include "proto/base/bytes.h"

#include <stdatomic.h>

struct buf {
    atomic_uint refs;
    size_t capacity;
    uint8_t *data;
    void (*free)(struct buf *); /* runs once, when the last reference goes */
};

/* Memory of `capacity` bytes with one reference; NULL when there is none left. `data` is
 * aligned to 16 bytes, and not cleared. */
struct buf *buf_new(size_t capacity);

/* Adopt caller-managed memory: `free` gets the buf back when the last reference goes. */
void buf_init(struct buf *b, void *data, size_t capacity, void (*free)(struct buf *));

struct buf *buf_ref(struct buf *b);
void buf_unref(struct buf *b); /* NULL is fine */

/* True when the caller's reference is the only one, so it may write again. */
bool buf_is_unique(const struct buf *b);

struct slice {
    struct buf *buf; /* NULL: borrowed or static memory */
    const uint8_t *data;
    size_t len;
};

/* A view of `len` bytes at `data`, which lies in `b`; takes its own reference. */
struct slice slice_of(struct buf *b, const void *data, size_t len);
void slice_release(struct slice *s);
