/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"

#include "proto/base/check.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096 - 64, ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t capacity;
    _Alignas(ALIGN) unsigned char data[];
};

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){.limit = limit};
}

void arena_lift(struct arena *a)
{
    a->limit = 0;
}

void arena_release(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;

        a->chunks = c->next;
        free(c);
    }
    a->used = 0;
}

static struct arena_chunk *add_chunk(struct arena *a, size_t size)
{
    size_t left = a->limit > 0 ? a->limit - a->used : SIZE_MAX;
    size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct arena_chunk *c;

    if (size > left)
        return NULL;
    if (capacity > left)
        capacity = left; /* the last chunk before the wall */
    c = malloc(sizeof *c + capacity);
    if (c == NULL) {
        a->dry = true;
        return NULL;
    }
    c->used = 0;
    c->capacity = capacity;
    a->used += capacity;

    /* A chunk of its own for a large piece goes behind the one that is still filling. */
    if (a->chunks != NULL && size > CHUNK_BYTES) {
        c->next = a->chunks->next;
        a->chunks->next = c;
    } else {
        c->next = a->chunks;
        a->chunks = c;
    }
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_chunk *c = a->chunks;
    void *p;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (c == NULL || c->capacity - c->used < size)
        c = add_chunk(a, size);
    if (c == NULL)
        return NULL;
    p = c->data + c->used;
    c->used += size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);

    if (p != NULL)
        memset(p, 0, size);
    return p;
}

char *arena_text(struct arena *a, const void *data, size_t len)
{
    char *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

    if (p == NULL)
        return NULL;
    if (len > 0)
        memcpy(p, data, len);
    p[len] = '\0';
    return p;
}

char *arena_format(struct arena *a, const char *format, ...)
{
    va_list args;
    int len;
    char *p;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    p = arena_alloc(a, (size_t)len + 1);
    if (p == NULL)
        return NULL;
    va_start(args, format);
    vsnprintf(p, (size_t)len + 1, format, args);
    va_end(args);
    return p;
}
