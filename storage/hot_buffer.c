/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/hot_buffer.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct hot_pool {
    _Atomic(struct hot_buffer *) returned; /* pushed by any thread */
    struct hot_buffer *free;               /* the owner's */
    size_t free_count;
    size_t free_least;     /* since the last trim */
    atomic_size_t holders; /* buffers outside, and the owner */
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

/* All that came home, at once: no other thread ever takes from that list. */
static void collect(struct hot_pool *p)
{
    struct hot_buffer *b =
        atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    struct hot_buffer *next;

    for (; b != NULL; b = next) {
        next = b->next_free;
        b->next_free = p->free;
        p->free = b;
        p->free_count++;
    }
}

void hot_pool_trim(struct hot_pool *p)
{
    for (; p->free_least > 0; p->free_least--) {
        struct hot_buffer *b = p->free;

        p->free = b->next_free;
        p->free_count--;
        memory_free(b);
    }
    collect(p);
    p->free_least = p->free_count;
}

struct hot_buffer *hot_buffer_new(struct hot_pool *p, size_t bytes)
{
    struct hot_buffer *b = NULL;

    if (bytes > JOURNAL_BUFFER) {
        b = memory_new(bytes);
    } else {
        if (p->free == NULL)
            collect(p);
        b = p->free;
        if (b != NULL) {
            p->free = b->next_free;
            p->free_count--;
        } else {
            b = memory_new(JOURNAL_BUFFER);
        }
        if (p->free_count < p->free_least)
            p->free_least = p->free_count;
        b->pool = p;
        atomic_fetch_add_explicit(&p->holders, 1, memory_order_relaxed);
    }
    buf_init(&b->buf, b->buf.data, b->buf.capacity, come_home);
    b->used = 0;
    b->last = 0;
    return b;
}
