/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/buf.h"

#include "proto/base/check.h"

#include <stdlib.h>

/* The header and its bytes share one allocation. */
static void free_whole(struct buf *b)
{
    free(b);
}

struct buf *buf_new(size_t capacity)
{
    const size_t head = (sizeof(struct buf) + 15) & ~(size_t)15;
    struct buf *b;

    if (capacity > SIZE_MAX - head)
        return NULL;
    b = malloc(head + capacity);
    if (b == NULL)
        return NULL;
    buf_init(b, (uint8_t *)b + head, capacity, free_whole);
    return b;
}

void buf_init(struct buf *b, void *data, size_t capacity, void (*free_buf)(struct buf *))
{
    atomic_init(&b->refs, 1);
    b->capacity = capacity;
    b->data = data;
    b->free = free_buf;
}

struct buf *buf_ref(struct buf *b)
{
    unsigned before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

    CHECK(before > 0);
    return b;
}

void buf_unref(struct buf *b)
{
    unsigned before;

    if (b == NULL)
        return;
    before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        b->free(b);
}

bool buf_is_unique(const struct buf *b)
{
    return atomic_load_explicit(&b->refs, memory_order_acquire) == 1;
}

struct slice slice_of(struct buf *b, const void *data, size_t len)
{
    CHECK((const uint8_t *)data >= b->data);
    CHECK((const uint8_t *)data + len <= b->data + b->capacity);
    return (struct slice){buf_ref(b), data, len};
}

void slice_release(struct slice *s)
{
    buf_unref(s->buf);
    *s = (struct slice){0};
}
