/* SPDX-License-Identifier: Apache-2.0
 *
 * Durations in microseconds, counted in buckets that are at most 1.6 % wide (64 linear
 * buckets per power of two), so percentiles are honest at any scale and memory is fixed.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 64 * 34 };

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max_us;
};

void histogram_add(struct histogram *h, uint64_t us);
/* The duration that `percent` of all are not above; 0 when empty. */
uint64_t histogram_at(const struct histogram *h, double percent);
