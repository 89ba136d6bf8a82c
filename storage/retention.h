/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of a log's segments have outlived their use: a pure choice by age and size. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct retention_segment {
    uint64_t bytes;
    int64_t max_timestamp; /* -1: no record carries a time, so age says nothing */
};

struct retention {
    int64_t bytes; /* -1: no limit */
    int64_t ms;    /* -1: no limit */
};

/* How many of the oldest segments may go, the last (active) one never. By size only while
 * what stays is still at least `bytes`; by age only when the newest record in the segment
 * is older than `ms`. */
size_t retention_choose(const struct retention *r, const struct retention_segment *s,
                        size_t count, int64_t wall_ms);
