/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines in order: an intrusive binary min-heap of (time, serial), so that equal times
 * come out in the order in which they went in. The node is embedded in the thing that
 * waits; `index` 0 means it is in no heap. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t at_ms;
    uint64_t serial; /* private */
    size_t index;    /* private: position + 1 */
};

struct heap {
    struct heap_node **nodes;
    size_t len;
    size_t capacity;
    uint64_t serial;
};

void heap_init(struct heap *h);
void heap_release(struct heap *h); /* the nodes are the caller's */

/* Put `n` in, or move it, to `at_ms`. False when memory ran out (only when it grows). */
bool heap_set(struct heap *h, struct heap_node *n, int64_t at_ms);
void heap_remove(struct heap *h, struct heap_node *n); /* no harm if it is in none */
struct heap_node *heap_first(const struct heap *h);    /* NULL when empty */
bool heap_contains(const struct heap_node *n);
