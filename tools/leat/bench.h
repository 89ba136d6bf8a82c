/* SPDX-License-Identifier: Apache-2.0
 *
 * What the benchmarks share: the topic to measure on, the limit probe, the broker's cost,
 * and how the result is printed. */
#pragma once

#include "tools/leat/histogram.h"
#include "tools/leat/probe.h"
#include "tools/leat/session.h"

#include <sys/types.h>

struct bench {
    struct invocation *i;
    leat_client *client;
    char topic[256];
    bool made; /* the topic is ours: delete it afterwards */
    int64_t size, duration_ms, partitions, records;
    char *value; /* `size` bytes */
    struct probe probe;
    pid_t broker;              /* 0: not on this machine */
    uint64_t cpu_us, resident; /* of the broker, over the measured time */
    char data[512];
};

struct bench_result {
    const char *what; /* "produce" */
    uint64_t records, bytes, failed;
    uint64_t elapsed_us;
    const struct histogram *latency; /* NULL: none */
    double ratio;                    /* to the probe; 0: not comparable */
    const char *ratio_text;          /* what is compared */
};

/* Read the flags, run the probe, find or make the topic. Prints its own errors. */
int bench_open(struct bench *b, struct invocation *i);
/* The measured time begins, ends. */
void bench_start(struct bench *b);
void bench_stop(struct bench *b);
void bench_print(const struct bench *b, const struct bench_result *r);
/* Delete the topic if it is ours (unless --keep), and forget all. */
void bench_close(struct bench *b);

/* A producer with the settings of the flags and `linger`. NULL with the error printed. */
leat_producer *bench_producer(struct bench *b, const char *linger,
                              leat_delivery_fn *delivered, void *arg);
/* A consumer over all partitions of the topic, from `where`. NULL with the error printed.
 */
leat_consumer *bench_consumer(struct bench *b, int64_t where);
