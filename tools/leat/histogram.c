/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/histogram.h"

#include <stddef.h>

enum { LINEAR = 64, SHIFT = 6 };

static size_t bucket_of(uint64_t us)
{
    unsigned top;
    size_t bucket;

    if (us < LINEAR)
        return us;
    top = 63u - (unsigned)__builtin_clzll(us);
    bucket = (size_t)(top - SHIFT + 1) * LINEAR + (size_t)(us >> (top - SHIFT)) - LINEAR;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest duration that falls into the bucket. */
static uint64_t bucket_top(size_t bucket)
{
    unsigned power = (unsigned)(bucket / LINEAR);

    if (power == 0)
        return bucket;
    return ((bucket % LINEAR + LINEAR + 1) << (power - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->buckets[bucket_of(us)]++;
    h->count++;
    if (us > h->max_us)
        h->max_us = us;
}

uint64_t histogram_at(const struct histogram *h, double percent)
{
    uint64_t rank = (uint64_t)((double)h->count * percent / 100.0 + 0.999999), seen = 0;

    for (size_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += h->buckets[b];
        if (seen >= rank && seen > 0)
            return bucket_top(b) < h->max_us ? bucket_top(b) : h->max_us;
    }
    return h->max_us;
}
