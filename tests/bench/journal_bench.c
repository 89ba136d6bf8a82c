/* SPDX-License-Identifier: Apache-2.0
 *
 * What a durable group costs, against the least that it can cost on this disk: the same
 * bytes with one pwritev2(RWF_DSYNC) on a direct, pre-written file. Not a test: it prints
 * figures.
 *
 *     journal_bench DIR [COMMITS [io_uring|posix]]
 *
 * One group in flight at a time. Probe and journal take turns in short rounds, so that
 * both meet the same disk. DIR must exist; 128 MiB of journal and 64 MiB of probe are
 * left behind in it. */
#include "proto/base/memory.h"
#include "storage/disk_posix.h"
#include "storage/disk_uring.h"
#include "storage/journal.h"
#include "storage/journal_format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS = 10,
    PROBE_BYTES = 64 * JOURNAL_BUFFER,
    FILE_BYTES = 32 * JOURNAL_BUFFER,
    FILES = 4,
    OVERHEAD = JOURNAL_GROUP_HEADER + JOURNAL_FRAME_HEADER,
};

struct series {
    float *us;
    size_t count;
    double seconds;
};

struct bench {
    struct disk *disk;
    struct journal *journal;
    journal_seq durable;
    bool failed;
    int probe;
    uint64_t probe_at;
    uint8_t *memory; /* aligned, JOURNAL_BUFFER of it */
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_durable(void *ctx, journal_seq durable, enum status status)
{
    struct bench *b = ctx;

    b->durable = durable;
    b->failed = status != STATUS_OK;
}

static void on_evict(void *ctx, journal_seq upto)
{
}

static bool open_journal(struct bench *b)
{
    struct journal_options o = {"journal",  FILE_BYTES, FILES, 4 * JOURNAL_BUFFER,
                                on_durable, on_evict,   b};

    return journal_open(&b->journal, b->disk, &o) == STATUS_OK;
}

static bool journal_once(struct bench *b, size_t payload)
{
    struct journal_frame f = {.kind = JOURNAL_APPEND, .payload = {b->memory, payload}};
    journal_seq group = journal_append(b->journal, &f, NULL);

    while (b->durable < group && !b->failed) {
        journal_commit(b->journal);
        disk_poll(b->disk, true);
    }
    if (!b->failed)
        journal_release(b->journal, b->durable + 1);
    return !b->failed;
}

static bool probe_once(struct bench *b, size_t payload)
{
    size_t bytes = (size_t)journal_padded(payload + OVERHEAD);
    struct iovec iov = {b->memory, bytes};

    if (b->probe_at + bytes > PROBE_BYTES)
        b->probe_at = 0;
    if (pwritev2(b->probe, &iov, 1, (off_t)b->probe_at, RWF_DSYNC) != (ssize_t)bytes)
        return false;
    b->probe_at += bytes;
    return true;
}

static bool open_probe(struct bench *b, const char *dir)
{
    int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    b->probe = openat(root, "probe", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0640);
    close(root);
    for (uint64_t at = 0; b->probe >= 0 && at < PROBE_BYTES; at += JOURNAL_BUFFER)
        if (pwrite(b->probe, b->memory, JOURNAL_BUFFER, (off_t)at) != JOURNAL_BUFFER)
            return false;
    return b->probe >= 0 && fsync(b->probe) == 0;
}

/* Once around all files and a little more, so that only recycled blocks are measured. */
static bool warm_up(struct bench *b)
{
    for (int n = 0; n < (FILES + 1) * (FILE_BYTES / JOURNAL_BUFFER); n++)
        if (!journal_once(b, JOURNAL_BUFFER - OVERHEAD))
            return false;
    return true;
}

static bool run(struct bench *b, bool (*once)(struct bench *, size_t), size_t payload,
                size_t times, struct series *out)
{
    double begun = now_s(), last = begun;

    for (size_t n = 0; n < times; n++) {
        double now;

        if (!once(b, payload))
            return false;
        now = now_s();
        out->us[out->count++] = (float)((now - last) * 1e6);
        last = now;
    }
    out->seconds += last - begun;
    return true;
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, c = *(const float *)right;

    return (a > c) - (a < c);
}

static void sort(struct series *s)
{
    qsort(s->us, s->count, sizeof *s->us, by_value);
}

static double part(const struct series *s, double share)
{
    return (double)s->us[(size_t)((double)(s->count - 1) * share)];
}

static void print_side(const struct series *s)
{
    printf(" %9.0f %8.0f %8.0f |", (double)s->count / s->seconds, part(s, 0.5),
           part(s, 0.99));
}

static bool measure(struct bench *b, const char *name, size_t payload, size_t commits)
{
    struct series probe = {must_alloc(commits * sizeof *probe.us), 0, 0};
    struct series journal = {must_alloc(commits * sizeof *journal.us), 0, 0};
    bool fine = true;

    for (int round = 0; round < ROUNDS && fine; round++)
        fine = run(b, probe_once, payload, commits / ROUNDS, &probe) &&
               run(b, journal_once, payload, commits / ROUNDS, &journal);
    if (fine) {
        sort(&probe);
        sort(&journal);
        printf("%8s |", name);
        print_side(&probe);
        print_side(&journal);
        printf(" %6.2f %6.2f\n", part(&journal, 0.5) / part(&probe, 0.5),
               probe.seconds / journal.seconds);
    }
    free(probe.us);
    free(journal.us);
    return fine;
}

static bool measure_all(struct bench *b, size_t commits)
{
    static const struct {
        const char *name;
        size_t payload, share; /* of the commits: the large ones take longer */
    } sizes[] = {{"100 B", 100, 1},
                 {"16 KiB", 16 * 1024 - OVERHEAD, 1},
                 {"128 KiB", 128 * 1024 - OVERHEAD, 2},
                 {"1 MiB", JOURNAL_BUFFER - OVERHEAD, 4}};

    printf(
        "         |            probe            |           journal           | ratio\n"
        "   group | commits/s   p50 us   p99 us | commits/s   p50 us   p99 us |"
        "    p50   rate\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!measure(b, sizes[i].name, sizes[i].payload, commits / sizes[i].share))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    size_t commits = argc > 2 ? strtoul(argv[2], NULL, 10) : 4000;
    bool posix = argc > 3 && strcmp(argv[3], "posix") == 0;
    struct bench b = {0};
    bool fine;

    if (argc < 2 || commits < 4 * ROUNDS) {
        fprintf(stderr, "usage: journal_bench DIR [COMMITS [io_uring|posix]]\n");
        return 2;
    }
    if (posix || disk_uring_open(argv[1], &b.disk) != STATUS_OK)
        if (disk_posix_open(argv[1], &b.disk) != STATUS_OK) {
            fprintf(stderr, "%s cannot be opened\n", argv[1]);
            return 1;
        }
    if (posix_memalign((void **)&b.memory, DISK_ALIGN, JOURNAL_BUFFER) != 0)
        return 1;
    memset(b.memory, 'x', JOURNAL_BUFFER);
    printf("disk: %s\n", b.disk->kind);
    fine = open_probe(&b, argv[1]) && open_journal(&b) && warm_up(&b) &&
           measure_all(&b, commits);
    if (!fine)
        fprintf(stderr, "the disk failed\n");
    if (b.journal != NULL)
        journal_close(b.journal);
    disk_close(b.disk);
    close(b.probe);
    free(b.memory);
    return fine ? 0 : 1;
}
