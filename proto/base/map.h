/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash map from bytes to pointers that is walked in the order of insertion, so that
 * nothing in the core ever depends on hash order. Keys are borrowed: they usually live in
 * the value. Writing to the map while walking it is allowed for removals only. */
#pragma once

#include "proto/base/bytes.h"

struct map_entry {
    struct bytes key;
    void *value; /* NULL: removed */
    uint32_t hash;
};

struct map {
    struct map_entry *entries; /* in insertion order, with holes */
    uint32_t *index;           /* entry number + 1, open addressing; 0 is free */
    size_t len;                /* entries in use, holes included */
    size_t count;              /* live entries */
    size_t slots;              /* a power of two, or 0 */
};

void map_init(struct map *m);
void map_release(struct map *m); /* the values are the caller's */
void *map_get(const struct map *m, struct bytes key);
/* Add under a key that is not there yet (a CHECK). False when memory ran out. */
bool map_put(struct map *m, struct bytes key, void *value);
void *map_remove(struct map *m, struct bytes key); /* the value, NULL if absent */

/* The first live value at or after `*at`, moving `*at` past it; NULL at the end:
 *     for (size_t i = 0; (v = map_next(m, &i));) ... */
void *map_next(const struct map *m, size_t *at);
