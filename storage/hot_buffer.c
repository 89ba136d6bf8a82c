/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/hot_buffer.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct hot_pool {
    _Atomic(struct hot_buffer *) returned; /* pushed by any thread */
    struct hot_buffer *free;               /* the owner's */
    atomic_size_t holders;                 /* buffers outside, and the owner */
};

static struct hot_buffer *memory_new(size_t bytes)
{
    struct hot_buffer *b = must_zalloc(sizeof *b);
    void *memory = NULL;

    CHECK(posix_memalign(&memory, DISK_ALIGN, bytes) == 0);
    b->buf.data = memory;
    b->buf.capacity = bytes;
    return b;
}

static void memory_free(struct hot_buffer *b)
{
    free(b->buf.data);
    free(b);
}

static void let_go(struct hot_pool *p)
{
    struct hot_buffer *b, *next;

    if (atomic_fetch_sub_explicit(&p->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (b = atomic_load(&p->returned); b != NULL; b = next) {
        next = b->next_free;
        memory_free(b);
    }
    free(p);
}

static void come_home(struct buf *buf)
{
    struct hot_buffer *b = container_of(buf, struct hot_buffer, buf);
    struct hot_pool *p = b->pool;

    if (p == NULL) {
        memory_free(b);
        return;
    }
    b->next_free = atomic_load_explicit(&p->returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &p->returned, &b->next_free, b, memory_order_release, memory_order_relaxed))
        continue;
    let_go(p);
}

struct hot_pool *hot_pool_open(void)
{
    struct hot_pool *p = must_zalloc(sizeof *p);

    atomic_init(&p->holders, 1);
    return p;
}

void hot_pool_close(struct hot_pool *p)
{
    struct hot_buffer *b, *next;

    for (b = p->free; b != NULL; b = next) {
        next = b->next_free;
        memory_free(b);
    }
    let_go(p);
}

struct hot_buffer *hot_buffer_new(struct hot_pool *p, size_t bytes)
{
    struct hot_buffer *b = NULL;

    if (bytes > JOURNAL_BUFFER) {
        b = memory_new(bytes);
    } else {
        /* All that came home at once: no other thread ever takes from the list. */
        if (p->free == NULL)
            p->free = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
        b = p->free;
        if (b != NULL)
            p->free = b->next_free;
        else
            b = memory_new(JOURNAL_BUFFER);
        b->pool = p;
        atomic_fetch_add_explicit(&p->holders, 1, memory_order_relaxed);
    }
    buf_init(&b->buf, b->buf.data, b->buf.capacity, come_home);
    b->used = 0;
    b->last = 0;
    return b;
}
