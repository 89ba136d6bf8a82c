/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/probe.h"

#include "tools/leat/histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, PIECE = 1 << 20, PIECES = 32, MESSAGE = 64, STREAM_PIECE = 65536 };

uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- disk ----------------------------------------------------------------------------
 */

static bool write_durably(int fd, void *data, size_t len, off_t at)
{
    struct iovec iov = {data, len};

    return pwritev2(fd, &iov, 1, at, RWF_DSYNC) == (ssize_t)len;
}

static bool measure_disk(struct probe *p, int fd, void *memory, int64_t ms)
{
    static struct histogram writes;
    uint64_t from = now_us(), end = from + (uint64_t)ms * 500, bytes = 0, at;

    memset(&writes, 0, sizeof writes);
    for (off_t piece = 0; piece < PIECES; piece++)
        if (pwrite(fd, memory, PIECE, piece * PIECE) != PIECE)
            return false;
    if (fsync(fd) != 0)
        return false;
    for (off_t n = 0; (at = now_us()) < end; n++) {
        if (!write_durably(fd, memory, BLOCK, n % (PIECES * PIECE / BLOCK) * BLOCK))
            return false;
        histogram_add(&writes, now_us() - at);
    }
    p->write_p50_us = histogram_at(&writes, 50);
    p->write_p99_us = histogram_at(&writes, 99);
    from = now_us();
    for (off_t n = 0; now_us() < from + (uint64_t)ms * 250; n++) {
        if (!write_durably(fd, memory, PIECE, n % PIECES * PIECE))
            return false;
        bytes += PIECE;
    }
    p->disk_bytes_per_s = (double)bytes * 1e6 / (double)(now_us() - from);
    return true;
}

static void probe_disk(struct probe *p, const char *dir, int64_t ms)
{
    char path[4096];
    void *memory = NULL;
    int fd;

    if ((size_t)snprintf(path, sizeof path, "%s/.leat-probe-XXXXXX", dir) >=
            sizeof path ||
        (fd = mkostemp(path, O_CLOEXEC)) < 0) {
        snprintf(p->why, sizeof p->why, "%.100s: %s", dir, strerror(errno));
        return;
    }
    p->direct = fcntl(fd, F_SETFL, O_DIRECT) == 0;
    if (posix_memalign(&memory, BLOCK, PIECE) == 0) {
        memset(memory, 0x5a, PIECE);
        p->disk = measure_disk(p, fd, memory, ms);
        if (!p->disk)
            snprintf(p->why, sizeof p->why, "%.100s: %s", dir, strerror(errno));
    }
    free(memory);
    unlink(path);
    close(fd);
}

/* ---- loopback ------------------------------------------------------------------------
 */

static bool read_all(int fd, char *data, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, data + got, len - got);

        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static void *echo(void *fd)
{
    char message[MESSAGE];

    while (read_all((int)(intptr_t)fd, message, MESSAGE) &&
           write((int)(intptr_t)fd, message, MESSAGE) == MESSAGE)
        continue;
    return NULL;
}

static void *swallow(void *fd)
{
    static char memory[1 << 18];

    while (read((int)(intptr_t)fd, memory, sizeof memory) > 0)
        continue;
    return NULL;
}

/* A connected pair of TCP sockets over 127.0.0.1. */
static bool tcp_pair(int fds[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fds[0] = fds[1] = -1;
    if (listener >= 0 && bind(listener, (struct sockaddr *)&a, len) == 0 &&
        listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&a, &len) == 0) {
        fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[0] >= 0 && connect(fds[0], (struct sockaddr *)&a, len) == 0)
            fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    if (listener >= 0)
        close(listener);
    for (int n = 0; n < 2 && fds[1] >= 0; n++)
        setsockopt(fds[n], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fds[1] < 0 && fds[0] >= 0)
        close(fds[0]);
    return fds[1] >= 0;
}

static void measure_round_trips(struct probe *p, int fd, int64_t ms)
{
    static struct histogram trips;
    char message[MESSAGE] = {0};
    uint64_t end = now_us() + (uint64_t)ms * 150, at;

    memset(&trips, 0, sizeof trips);
    while ((at = now_us()) < end && write(fd, message, MESSAGE) == MESSAGE &&
           read_all(fd, message, MESSAGE))
        histogram_add(&trips, now_us() - at);
    p->round_trip_p50_us = histogram_at(&trips, 50);
    p->round_trip_p99_us = histogram_at(&trips, 99);
}

static void measure_stream(struct probe *p, int fd, int64_t ms)
{
    static char piece[STREAM_PIECE];
    uint64_t from = now_us(), bytes = 0;

    while (now_us() < from + (uint64_t)ms * 100) {
        ssize_t n = write(fd, piece, sizeof piece);

        if (n <= 0)
            return;
        bytes += (uint64_t)n;
    }
    p->loopback_bytes_per_s = (double)bytes * 1e6 / (double)(now_us() - from);
}

static void probe_loopback(struct probe *p, int64_t ms,
                           void (*measure)(struct probe *, int, int64_t),
                           void *(*peer)(void *))
{
    pthread_t thread;
    int fds[2];

    if (!tcp_pair(fds))
        return;
    if (pthread_create(&thread, NULL, peer, (void *)(intptr_t)fds[1]) == 0) {
        measure(p, fds[0], ms);
        shutdown(fds[0], SHUT_RDWR);
        pthread_join(thread, NULL);
    }
    close(fds[0]);
    close(fds[1]);
}

void probe_run(struct probe *p, const char *dir, int64_t ms)
{
    *p = (struct probe){0};
    probe_disk(p, dir, ms);
    probe_loopback(p, ms, measure_round_trips, echo);
    probe_loopback(p, ms, measure_stream, swallow);
}
