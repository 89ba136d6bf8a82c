/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters from one table (metrics.def: name, kind, unit, sentence): the structure, the
 * Prometheus page, the documentation and the dashboard are read from it. Each shard has
 * its own structure, written by that shard alone; the reader sums them, so a counter
 * costs one plain addition. Values are atomics only so that the reader may look at any
 * time. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum metric_id {
#define METRIC(id, name, kind, text) METRIC_##id,
#include "broker/core/metrics.def"
#undef METRIC
    METRIC_COUNT
};

enum { METRIC_API_MAX = 96 };

struct metrics {
    _Atomic uint64_t value[METRIC_COUNT];
    /* Per api number, counted by the node: requests, errors, time between arrival and
     * answer (to the millisecond: the core has no finer clock). */
    _Atomic uint64_t requests[METRIC_API_MAX];
    _Atomic uint64_t errors[METRIC_API_MAX];
    _Atomic uint64_t micros[METRIC_API_MAX];
};

/* Only the owning shard writes, so no read-modify-write is needed. */
static inline void metrics_add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

static inline void metric_add(struct metrics *m, enum metric_id id, uint64_t n)
{
    metrics_add(&m->value[id], n);
}

static inline void metric_set(struct metrics *m, enum metric_id id, uint64_t v)
{
    atomic_store_explicit(&m->value[id], v, memory_order_relaxed);
}

static inline uint64_t metric_get(const struct metrics *m, enum metric_id id)
{
    return atomic_load_explicit(&m->value[id], memory_order_relaxed);
}
