/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/retention.h"

#include <stdbool.h>

static bool too_old(const struct retention *r, const struct retention_segment *s,
                    int64_t wall_ms)
{
    return r->ms >= 0 && s->max_timestamp >= 0 && s->max_timestamp < wall_ms &&
           wall_ms - s->max_timestamp > r->ms;
}

size_t retention_choose(const struct retention *r, const struct retention_segment *s,
                        size_t count, int64_t wall_ms)
{
    uint64_t total = 0;
    size_t gone = 0;

    for (size_t i = 0; i < count; i++)
        total += s[i].bytes;
    while (gone + 1 < count) {
        bool too_much = r->bytes >= 0 && total - s[gone].bytes >= (uint64_t)r->bytes;

        if (!too_much && !too_old(r, &s[gone], wall_ms))
            break;
        total -= s[gone].bytes;
        gone++;
    }
    return gone;
}
