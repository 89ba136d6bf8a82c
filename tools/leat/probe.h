/* SPDX-License-Identifier: Apache-2.0
 *
 * Limit probes: what this machine can do at best, measured beside the broker in the same
 * run, so that a result can be read as a ratio and compared between machines. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct probe {
    bool disk;             /* false: the directory could not be used, see `why` */
    bool direct;           /* O_DIRECT was granted */
    uint64_t write_p50_us; /* 4 KiB durable write onto written blocks */
    uint64_t write_p99_us;
    double disk_bytes_per_s;    /* 1 MiB durable writes onto written blocks */
    uint64_t round_trip_p50_us; /* 64 B over loopback TCP and back, two threads */
    uint64_t round_trip_p99_us;
    double loopback_bytes_per_s; /* one way, 64 KiB writes */
    char why[160];
};

/* About `ms` milliseconds of work; a file of 32 MiB in `dir` that is removed again. */
void probe_run(struct probe *p, const char *dir, int64_t ms);

uint64_t now_us(void); /* monotonic */
