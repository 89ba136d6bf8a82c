/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection still has to send: a queue of slices, written with writev. Small
 * pieces are copied together, large ones are sent from where they lie. An empty output
 * holds no memory. */
#pragma once

#include "proto/base/buf.h"

enum { OUTPUT_COPY_BELOW = 1024 };

struct output {
    struct slice *slices; /* from `first`, `count` of them */
    size_t first, count, capacity;
    struct buf *tail; /* small pieces gather here; the last slice may end in it */
    size_t tail_used;
    size_t bytes; /* unsent */
};

void output_init(struct output *o);
void output_release(struct output *o);

/* Room for `len` bytes that the caller fills before the next call. */
uint8_t *output_reserve(struct output *o, size_t len);
void output_bytes(struct output *o, const void *data, size_t len);
/* Takes the slice over. */
void output_slice(struct output *o, struct slice *s);

/* Write as much as the socket takes. False when the peer is gone; `*written` counts. */
STATUS_MUST_CHECK bool output_write(struct output *o, int fd, size_t *written);
