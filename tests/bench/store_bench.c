/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast a store takes batches on this machine's disk, how long until they are durable,
 * and how fast memory gives them back. Not a test: it prints figures.
 *
 *     store_bench DIR [MIB [BATCH_BYTES [IN_FLIGHT]]]
 *
 * For 1, 100 and 1000 partitions: MIB of batches, IN_FLIGHT of them not durable at a
 * time, one group commit after the other. DIR must exist and be empty; it is left behind
 * with the data of the last run. */
#include "proto/base/memory.h"
#include "proto/record/build.h"
#include "storage/disk_posix.h"
#include "storage/disk_uring.h"
#include "storage/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOGS_MAX = 1000, SAMPLES_MAX = 1 << 20, PER_TURN = 16, READ_BYTES = 1 << 20 };

struct bench {
    struct disk *disk;
    struct store *store;
    struct log *logs[LOGS_MAX];
    unsigned partitions;
    uint64_t in_flight_max;
    double *begun; /* by batch, in the order of appending */
    uint64_t appended, durable;
    uint64_t due[LOGS_MAX]; /* number of the log's oldest batch that is not durable */
    float *latency;
    uint64_t samples;
    bool failed;
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Partitions take turns, so batch number n lies in log n % partitions, at offset
 * n / partitions batches. */
static void on_durable(void *ctx, struct log *log)
{
    struct bench *b = ctx;
    uint64_t p = (uint64_t)(uintptr_t)log_owner(log);
    uint64_t upto = (uint64_t)log_durable(log);
    double now = now_s();

    for (; b->due[p] < upto; b->due[p]++) {
        uint64_t number = b->due[p] * b->partitions + p;

        if (b->samples < SAMPLES_MAX)
            b->latency[b->samples++] = (float)((now - b->begun[number]) * 1e6);
        b->durable++;
    }
}

static void on_failed(void *ctx, enum status status, const char *what)
{
    struct bench *b = ctx;

    b->failed = true;
    fprintf(stderr, "%s: %s\n", what, status_text(status));
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, c = *(const float *)right;

    return (a > c) - (a < c);
}

static bool open_store(struct bench *b, unsigned partitions)
{
    struct store_options o = store_options_default;
    struct log_config config = log_config_default;
    struct store_recovery recovery;
    struct log_id id = {.topic = {1}};
    char why[256];

    id.topic[1] = (uint8_t)(partitions % 251);
    id.topic[2] = (uint8_t)(partitions / 251);
    b->partitions = partitions;
    b->appended = b->durable = b->samples = 0;
    memset(b->due, 0, sizeof b->due);
    o.on_durable = on_durable;
    o.on_failed = on_failed;
    o.ctx = b;
    if (store_recover(b->disk, &recovery, why) != STATUS_OK ||
        store_open(&b->store, b->disk, &o) != STATUS_OK)
        return false;
    for (unsigned p = 0; p < partitions; p++) {
        id.partition = (int32_t)p;
        if (store_log_open(b->store, id, &config, true, &b->logs[p]) != STATUS_OK)
            return false;
        log_set_owner(b->logs[p], (void *)(uintptr_t)p);
    }
    return true;
}

static struct bytes make_batch(struct build *build, size_t bytes)
{
    uint8_t *value = must_zalloc(bytes);
    struct bytes data;

    build_init(build);
    build_begin(build);
    build_add(build, 1700000000000, (struct bytes){0},
              (struct bytes){value, bytes - BATCH_HEADER - 12}, NULL, 0);
    if (build_finish(build, CODEC_NONE, (struct build_producer){-1, -1, -1}, &data))
        abort();
    free(value);
    return data;
}

static void append_some(struct bench *b, struct bytes data, uint64_t count)
{
    for (unsigned i = 0; i < PER_TURN && b->appended < count; i++) {
        struct batch batch;

        if (b->appended - b->durable >= b->in_flight_max ||
            store_admit(b->store) != STATUS_OK || batch_parse(data, &batch) != STATUS_OK)
            return;
        b->begun[b->appended] = now_s();
        log_append(b->logs[b->appended % b->partitions], &batch, data.data, 1,
                   1700000000000);
        b->appended++;
    }
}

static double run_appends(struct bench *b, struct bytes data, uint64_t count)
{
    double begun = now_s(), ticked = begun;

    while (b->durable < count && !b->failed) {
        uint64_t before = b->appended;

        append_some(b, data, count);
        store_turn_end(b->store);
        disk_poll(b->disk, b->appended == before);
        if (now_s() - ticked > 1) {
            ticked = now_s();
            store_tick(b->store,
                       (struct instant){(int64_t)(ticked * 1000), 1700000000000});
        }
    }
    return now_s() - begun;
}

static void never(struct log_read *read)
{
}

/* Read the newest batches from memory, over and over, and copy them once, as sending them
 * would. */
static double run_hot_reads(struct bench *b, uint64_t *bytes)
{
    uint8_t *copy = must_alloc(READ_BYTES);
    double begun = now_s();

    *bytes = 0;
    for (unsigned round = 0; now_s() - begun < 0.5; round++) {
        struct log *log = b->logs[round % b->partitions];
        struct log_read r = {.from = log_end(log) > 64 ? log_end(log) - 64 : 0,
                             .upto = INT64_MAX,
                             .max_bytes = READ_BYTES,
                             .first_whole = true,
                             .done = never};

        while (!log_read_hot(log, &r))
            r.from += (log_end(log) - r.from + 1) / 2;
        for (size_t i = 0; i < r.slice_count; i++)
            memcpy(copy, r.slices[i].data, r.slices[i].len);
        *bytes += r.bytes;
        log_read_release(&r);
    }
    free(copy);
    return now_s() - begun;
}

static bool run(struct bench *b, unsigned partitions, uint64_t total, size_t batch_bytes)
{
    struct build build;
    struct bytes data = make_batch(&build, batch_bytes);
    uint64_t count = total / data.len, hot;
    struct store_stats stats;
    double appending, reading, closing;

    if (!open_store(b, partitions))
        return false;
    b->begun = must_alloc(count * sizeof *b->begun);
    b->latency = must_alloc(SAMPLES_MAX * sizeof *b->latency);
    appending = run_appends(b, data, count);
    qsort(b->latency, b->samples, sizeof *b->latency, by_value);
    reading = run_hot_reads(b, &hot);
    store_stats(b->store, &stats);
    closing = now_s();
    if (b->failed || store_close(b->store) != STATUS_OK)
        return false;
    closing = now_s() - closing;
    printf("%5u partitions: %8.0f batches/s %7.0f MB/s  durable p50 %6.0f us p99 %6.0f us"
           "  groups/s %6.0f  hot reads %6.1f GB/s  close %.2f s\n",
           partitions, (double)count / appending,
           (double)(count * data.len) / appending / 1e6,
           (double)b->latency[b->samples / 2], (double)b->latency[b->samples * 99 / 100],
           (double)stats.journal.groups / appending, (double)hot / reading / 1e9,
           closing);
    free(b->begun);
    free(b->latency);
    build_release(&build);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 512;
    size_t batch_bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 16 * 1024;
    static struct bench b;
    static const unsigned partitions[] = {1, 100, 1000};

    if (argc < 2 || batch_bytes < 128) {
        fprintf(stderr, "usage: store_bench DIR [MIB [BATCH_BYTES [IN_FLIGHT]]]\n");
        return 2;
    }
    b.in_flight_max = argc > 4 ? strtoull(argv[4], NULL, 10) : 256;
    if (disk_uring_open(argv[1], &b.disk) != STATUS_OK &&
        disk_posix_open(argv[1], &b.disk) != STATUS_OK) {
        fprintf(stderr, "store_bench: cannot open %s\n", argv[1]);
        return 1;
    }
    printf("disk %s, %zu-byte batches, %llu in flight, %llu MiB each\n", b.disk->kind,
           batch_bytes, (unsigned long long)b.in_flight_max, (unsigned long long)mib);
    for (size_t i = 0; i < 3; i++)
        if (!run(&b, partitions[i], mib << 20, batch_bytes))
            return 1;
    disk_close(b.disk);
    return 0;
}
