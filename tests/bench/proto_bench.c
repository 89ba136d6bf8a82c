/* SPDX-License-Identifier: Apache-2.0
 *
 * What proto costs per record and per byte, for people who change its hot loops: build,
 * verify, iterate, checksum, LZ4. Every figure is the best of several rounds, so that a
 * busy machine disturbs it least. Not a test: nothing here can fail for being slow.
 *
 *     proto_bench [crc|record|lz4]... */
#include "proto/base/crc32c.h"
#include "proto/base/prng.h"
#include "proto/record/batch.h"
#include "proto/record/build.h"
#include "proto/record/iterate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, TEXT = 256 << 10, LIMIT = 64 << 20 };

static const struct build_producer nobody = {-1, -1, -1};

/* What the compiler must not think away. */
static volatile uint64_t sink;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void require(enum status st)
{
    if (st == STATUS_OK)
        return;
    fprintf(stderr, "proto_bench: %s\n", status_text(st));
    exit(1);
}

/* Nanoseconds of one call: the best round, each of about 20 ms. */
static double best_ns(void (*run)(void *), void *arg)
{
    double best = 1e18, from = now_ns(), took;
    unsigned calls = 1;

    run(arg);
    for (took = now_ns() - from; took * calls < 20e6;)
        calls *= 2;
    for (int round = 0; round < ROUNDS; round++) {
        from = now_ns();
        for (unsigned n = 0; n < calls; n++)
            run(arg);
        took = (now_ns() - from) / calls;
        best = took < best ? took : best;
    }
    return best;
}

/* ---- checksum ---- */

struct checksum {
    struct crc32c_way way;
    const uint8_t *data;
    size_t len;
};

static void run_checksum(void *arg)
{
    const struct checksum *c = arg;

    sink += c->way.run(0, c->data, c->len);
}

static void bench_crc(void)
{
    static const size_t sizes[] = {100, 1024, 4096, 16384, 1 << 20};
    uint8_t *data = calloc(1, 1 << 20);
    struct checksum c = {.data = data};

    if (data == NULL)
        exit(1);
    for (unsigned w = 0; crc32c_way_at(w, &c.way); w++)
        for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
            double ns;

            c.len = sizes[n];
            ns = best_ns(run_checksum, &c);
            printf("crc32c   %-14s %8zu B %9.1f ns %7.2f GB/s\n", c.way.name, c.len, ns,
                   (double)c.len / ns);
        }
    free(data);
}

/* ---- records ---- */

struct shape {
    const char *name;
    size_t key, value, headers;
    size_t records; /* of a batch */
};

struct work {
    const struct shape *shape;
    struct build build;
    struct bytes batch;
    enum codec codec;
    uint8_t text[TEXT];
};

static void run_build(void *arg)
{
    struct work *w = arg;
    const struct record_header headers[2] = {{bytes_of("trace"), bytes_of("0123456789")},
                                             {bytes_of("kind"), bytes_of("created")}};

    build_begin(&w->build);
    for (size_t n = 0; n < w->shape->records; n++)
        build_add(&w->build, 1700000000000 + (int64_t)(n / 10),
                  (struct bytes){w->text + n % 64, w->shape->key},
                  (struct bytes){w->text + n * w->shape->value % (TEXT - 1024),
                                 w->shape->value},
                  headers, w->shape->headers);
    require(build_finish(&w->build, w->codec, nobody, &w->batch));
}

static void run_verify(void *arg)
{
    struct work *w = arg;
    struct batch b;

    require(batch_verify(w->batch, &b));
    sink += b.crc;
}

static void run_checksum_of_batch(void *arg)
{
    struct work *w = arg;

    sink += crc32c(0, w->batch.data + BATCH_AT_ATTRIBUTES,
                   w->batch.len - BATCH_AT_ATTRIBUTES);
}

static void run_iterate(void *arg)
{
    struct work *w = arg;
    struct iterate it;
    struct record r;
    enum status st;

    require(iterate_begin(&it, w->batch, LIMIT));
    while ((st = iterate_next(&it, &r)) == STATUS_OK)
        sink += r.value.len;
    iterate_end(&it);
    if (st != STATUS_AGAIN)
        require(st);
}

/* Half text, half chance: LZ4 makes a bit more than half of it. */
static void work_init(struct work *w, const struct shape *shape, enum codec codec)
{
    static const char words[] = "status installed configure unpacked amd64 ";
    struct prng random;

    w->shape = shape;
    w->codec = codec;
    build_init(&w->build);
    prng_init(&random, 1);
    for (size_t n = 0; n < sizeof w->text; n++)
        w->text[n] = n / 32 % 2 ? (uint8_t)prng_next(&random)
                                : (uint8_t)words[n % (sizeof words - 1)];
}

static void bench_record(void)
{
    static const struct shape shapes[] = {
        {"100 B value", 0, 100, 0, 1000},
        {"10 B key, 100 B value", 10, 100, 0, 1000},
        {"the same, 2 headers", 10, 100, 2, 1000},
        {"1 KiB value", 0, 1024, 0, 1000},
    };

    for (size_t n = 0; n < sizeof shapes / sizeof shapes[0]; n++) {
        static struct work w;
        double records = (double)shapes[n].records, build, verify, checksum, walk;

        work_init(&w, &shapes[n], CODEC_NONE);
        build = best_ns(run_build, &w) / records;
        verify = best_ns(run_verify, &w) / records;
        checksum = best_ns(run_checksum_of_batch, &w) / records;
        walk = best_ns(run_iterate, &w) / records;
        printf("record   %-22s build %6.1f  verify %6.1f (checksum %5.1f)  "
               "iterate %6.1f ns\n",
               w.shape->name, build, verify, checksum, walk);
        build_release(&w.build);
    }
}

/* ---- lz4 ---- */

static void bench_lz4(void)
{
    static const struct shape shapes[] = {{"1000 of 100 B", 0, 100, 0, 1000},
                                          {"10 of 100 B", 0, 100, 0, 10},
                                          {"1000 of 1 KiB", 0, 1024, 0, 1000}};

    for (size_t n = 0; n < sizeof shapes / sizeof shapes[0]; n++) {
        static struct work w;
        double records = (double)shapes[n].records;
        double plain = records * (double)shapes[n].value, build, walk;

        work_init(&w, &shapes[n], CODEC_LZ4);
        build = best_ns(run_build, &w);
        walk = best_ns(run_iterate, &w);
        printf("lz4      %-14s %.2f of its size; build %6.1f ns/record %5.2f GB/s, "
               "iterate %6.1f ns/record %5.2f GB/s\n",
               w.shape->name, (double)w.batch.len / plain, build / records, plain / build,
               walk / records, plain / walk);
        build_release(&w.build);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"crc", bench_crc}, {"record", bench_record}, {"lz4", bench_lz4}};

    for (size_t n = 0; n < sizeof parts / sizeof parts[0]; n++) {
        bool wanted = argc < 2;

        for (int i = 1; i < argc; i++)
            wanted |= strcmp(argv[i], parts[n].name) == 0;
        if (wanted)
            parts[n].run();
    }
    return 0;
}
