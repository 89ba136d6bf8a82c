/* SPDX-License-Identifier: Apache-2.0
 *
 * The page that Prometheus reads. Pure: numbers in, text out. */
#pragma once

#include "broker/core/metrics.h"
#include "broker/io/process.h"
#include "proto/base/bytes.h"

struct metrics_view {
    const struct metrics *const *shards;
    unsigned shard_count;
    struct process process;
    const char *disk; /* "io_uring" */
    bool ready;
};

void metrics_page(const struct metrics_view *view, struct writer *out);
