/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/epochs.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

void epochs_release(struct epochs *e)
{
    free(e->list);
    *e = (struct epochs){0};
}

void epochs_note(struct epochs *e, int32_t epoch, int64_t offset)
{
    if (e->count > 0) {
        const struct epoch_start *last = &e->list[e->count - 1];

        if (epoch <= last->epoch)
            return;
        CHECK(offset >= last->offset);
        if (offset == last->offset) /* the older one brought no record */
            e->count--;
    }
    if (e->count == e->capacity) {
        e->capacity = e->capacity ? e->capacity * 2 : 1;
        e->list = must_realloc(e->list, e->capacity * sizeof *e->list);
    }
    e->list[e->count++] = (struct epoch_start){epoch, offset};
}

void epochs_truncate(struct epochs *e, int64_t offset)
{
    while (e->count > 0 && e->list[e->count - 1].offset >= offset)
        e->count--;
}

void epochs_trim(struct epochs *e, int64_t offset)
{
    uint32_t gone = 0;

    while (gone + 1 < e->count && e->list[gone + 1].offset <= offset)
        gone++;
    if (gone > 0) {
        e->count -= gone;
        memmove(e->list, e->list + gone, e->count * sizeof *e->list);
    }
    if (e->count > 0 && e->list[0].offset < offset)
        e->list[0].offset = offset;
}

int32_t epochs_last(const struct epochs *e)
{
    return e->count ? e->list[e->count - 1].epoch : -1;
}

void epochs_end(const struct epochs *e, int32_t epoch, int64_t end, int32_t *found,
                int64_t *end_offset)
{
    *found = -1;
    *end_offset = -1;
    for (uint32_t i = 0; i < e->count && e->list[i].epoch <= epoch; i++) {
        *found = e->list[i].epoch;
        *end_offset = i + 1 < e->count ? e->list[i + 1].offset : end;
    }
}
