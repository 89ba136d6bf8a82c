/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/heap.h"

#include "proto/base/check.h"

#include <stdlib.h>

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_release(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){0};
}

bool heap_contains(const struct heap_node *n)
{
    return n->index != 0;
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->len > 0 ? h->nodes[0] : NULL;
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->serial < b->serial;
}

static void place(struct heap *h, size_t i, struct heap_node *n)
{
    h->nodes[i] = n;
    n->index = i + 1;
}

static void rise(struct heap *h, size_t i)
{
    struct heap_node *n = h->nodes[i];

    while (i > 0 && before(n, h->nodes[(i - 1) / 2])) {
        place(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, n);
}

static void sink(struct heap *h, size_t i)
{
    struct heap_node *n = h->nodes[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= h->len)
            break;
        if (child + 1 < h->len && before(h->nodes[child + 1], h->nodes[child]))
            child++;
        if (!before(h->nodes[child], n))
            break;
        place(h, i, h->nodes[child]);
        i = child;
    }
    place(h, i, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    size_t i;
    struct heap_node *last;

    if (!heap_contains(n))
        return;
    i = n->index - 1;
    CHECK(i < h->len && h->nodes[i] == n);
    last = h->nodes[--h->len];
    n->index = 0;
    if (last == n)
        return;
    place(h, i, last);
    rise(h, i);
    sink(h, last->index - 1);
}

bool heap_set(struct heap *h, struct heap_node *n, int64_t at_ms)
{
    heap_remove(h, n);
    if (h->len == h->capacity) {
        size_t capacity = h->capacity > 0 ? h->capacity * 2 : 16;
        struct heap_node **nodes =
            realloc(h->nodes, capacity * sizeof(struct heap_node *));

        if (nodes == NULL)
            return false;
        h->nodes = nodes;
        h->capacity = capacity;
    }
    n->at_ms = at_ms;
    n->serial = ++h->serial;
    h->nodes[h->len++] = n;
    rise(h, h->len - 1);
    return true;
}
