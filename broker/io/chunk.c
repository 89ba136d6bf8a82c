/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/chunk.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { SIZES = 3, KEPT_MAX = 12 };

struct chunk {
    struct buf buf;
    struct chunk_pool *pool;
    unsigned size; /* index into sizes */
    SLIST_ENTRY(chunk) link;
    _Alignas(64) uint8_t data[];
};

struct shelf {
    SLIST_HEAD(, chunk) free;
    size_t count;
    size_t spare; /* least count since the last trim: so many were never needed */
};

struct chunk_pool {
    pthread_mutex_t lock;
    struct shelf shelves[SIZES];
    size_t out;
    bool closed;
};

static const size_t sizes[SIZES] = {CHUNK_SMALL, CHUNK_LARGE, CHUNK_HUGE};

struct chunk_pool *chunk_pool_new(void)
{
    struct chunk_pool *p = must_zalloc(sizeof *p);

    pthread_mutex_init(&p->lock, NULL);
    for (unsigned i = 0; i < SIZES; i++)
        SLIST_INIT(&p->shelves[i].free);
    return p;
}

static void free_some(struct shelf *s, size_t count)
{
    while (count-- > 0) {
        struct chunk *c = SLIST_FIRST(&s->free);

        SLIST_REMOVE_HEAD(&s->free, link);
        s->count--;
        free(c);
    }
}

static void pool_destroy(struct chunk_pool *p)
{
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void chunk_pool_free(struct chunk_pool *p)
{
    bool last;

    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < SIZES; i++)
        free_some(&p->shelves[i], p->shelves[i].count);
    p->closed = true;
    last = p->out == 0;
    pthread_mutex_unlock(&p->lock);
    if (last)
        pool_destroy(p);
}

/* Runs where the last reference went, perhaps on another shard. */
static void come_back(struct buf *b)
{
    struct chunk *c = container_of(b, struct chunk, buf);
    struct chunk_pool *p = c->pool;
    struct shelf *s = &p->shelves[c->size];
    bool keep, last;

    pthread_mutex_lock(&p->lock);
    p->out--;
    keep = !p->closed && s->count < KEPT_MAX;
    if (keep) {
        SLIST_INSERT_HEAD(&s->free, c, link);
        s->count++;
    }
    last = p->closed && p->out == 0;
    pthread_mutex_unlock(&p->lock);
    if (!keep)
        free(c);
    if (last)
        pool_destroy(p);
}

static struct chunk *from_shelf(struct chunk_pool *p, unsigned size)
{
    struct shelf *s = &p->shelves[size];
    struct chunk *c;

    pthread_mutex_lock(&p->lock);
    c = SLIST_FIRST(&s->free);
    if (c != NULL) {
        SLIST_REMOVE_HEAD(&s->free, link);
        s->count--;
        if (s->count < s->spare)
            s->spare = s->count;
    }
    p->out++;
    pthread_mutex_unlock(&p->lock);
    return c;
}

struct buf *chunk_take(struct chunk_pool *p, size_t bytes)
{
    unsigned size = 0;
    struct chunk *c;

    while (size < SIZES && sizes[size] < bytes)
        size++;
    if (size == SIZES)
        return buf_new(bytes);
    c = from_shelf(p, size);
    if (c == NULL)
        c = malloc(sizeof *c + sizes[size]);
    if (c == NULL) {
        pthread_mutex_lock(&p->lock);
        p->out--;
        pthread_mutex_unlock(&p->lock);
        return NULL;
    }
    c->pool = p;
    c->size = size;
    buf_init(&c->buf, c->data, sizes[size], come_back);
    return &c->buf;
}

bool chunk_pool_is_bare(struct chunk_pool *p)
{
    size_t count = 0;

    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < SIZES; i++)
        count += p->shelves[i].count;
    pthread_mutex_unlock(&p->lock);
    return count == 0;
}

void chunk_pool_trim(struct chunk_pool *p)
{
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < SIZES; i++) {
        struct shelf *s = &p->shelves[i];

        free_some(s, s->spare < s->count ? s->spare : s->count);
        s->spare = s->count;
    }
    pthread_mutex_unlock(&p->lock);
}
