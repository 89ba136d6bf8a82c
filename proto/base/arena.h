/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory with the lifetime of one request: taken piece by piece, given back at once. An
 * arena has a limit, so a hostile message that decodes into much more than it weighs
 * runs into a wall and not into the machine's memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes taken by all chunks */
    size_t limit;               /* bytes; 0 for none */
    bool dry;                   /* the machine, not the limit, refused a piece */
};

void arena_init(struct arena *a, size_t limit);
void arena_release(struct arena *a);
void arena_lift(struct arena *a); /* no limit from now on */

/* `size` bytes aligned to 16, not cleared; NULL past the limit or without memory. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* `len` bytes of `data` followed by a NUL. */
char *arena_text(struct arena *a, const void *data, size_t len);
char *arena_format(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
