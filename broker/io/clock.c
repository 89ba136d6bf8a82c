/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct instant clock_now(void)
{
    return (struct instant){
        .mono_ms = read_us(CLOCK_MONOTONIC) / 1000,
        .wall_ms = read_us(CLOCK_REALTIME) / 1000,
    };
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}
