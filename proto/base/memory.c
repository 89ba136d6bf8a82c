/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/memory.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    CHECK(p != NULL && "out of memory");
    return p;
}

void *must_alloc(size_t size)
{
    return must(malloc(size > 0 ? size : 1));
}

void *must_zalloc(size_t size)
{
    return must(calloc(1, size > 0 ? size : 1));
}

void *must_realloc(void *p, size_t size)
{
    return must(realloc(p, size > 0 ? size : 1));
}

char *must_text(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(must_alloc(size), text, size);
}
