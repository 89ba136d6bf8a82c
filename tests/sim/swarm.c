/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/swarm.h"

#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
    const char *name;
    int64_t min, max;
    const char *text;
} rows[] = {
#define SWARM(name, min, max, text) {#name, min, max, text},
#include "tests/sim/swarm.def"
#undef SWARM
};

static int64_t *value_of(struct swarm *s, size_t row)
{
    return (int64_t *)(void *)s + row;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void draw_cluster(struct swarm *s, struct prng *p)
{
    static const int8_t sizes[] = {1, 3, 3, 3, 3, 4, 5};

    s->brokers = sizes[prng_below(p, sizeof sizes)];
    s->voters = s->brokers < 3 ? 1 : s->brokers < 5 ? 3 : 3 + 2 * chance_range(p, 0, 1);
    if (s->brokers == 3 && chance_one_in(p, 12))
        s->voters = 1;
    s->shards = chance_range(p, 1, 2);
    s->topics = chance_range(p, 1, 3);
    s->partitions = chance_range(p, 1, 4);
    s->replication = min_of(chance_one_in(p, 8) ? chance_range(p, 1, 3) : 3, s->brokers);
    s->min_in_sync = min_of(chance_one_in(p, 4) ? 1 : 2, s->replication);
    s->segment_kb = chance_one_in(p, 2) ? 64 : chance_log(p, 64, 1024);
}

static void draw_clients(struct swarm *s, struct prng *p)
{
    s->producers = chance_range(p, 1, 3);
    s->careless = chance_one_in(p, 3);
    s->readers = chance_range(p, 0, 2);
    s->keepers = chance_one_in(p, 2) ? 0 : chance_range(p, 1, 3);
    s->admins = chance_one_in(p, 2);
    s->think_us = chance_log(p, 8000, 200000);
    s->window = chance_range(p, 1, 5);
    s->value_bytes = chance_log(p, 16, 1500);
}

static void draw_machines(struct swarm *s, struct prng *p)
{
    s->latency_us = chance_log(p, 50, 5000);
    s->loss_ppm = chance_one_in(p, 2) ? 0 : chance_log(p, 10, 3000);
    s->disk_us = chance_log(p, 40, 4000);
    s->patience = chance_range(p, 1, 4);
    s->chaotic = chance_one_in(p, 2);
    s->drift_ppm = chance_one_in(p, 2) ? 0 : chance_log(p, 100, 50000);
}

void swarm_draw(struct swarm *s, uint64_t seed)
{
    struct prng p = world_stream(seed, "swarm", 0);

    memset(s, 0, sizeof *s);
    draw_cluster(s, &p);
    draw_clients(s, &p);
    draw_machines(s, &p);
    s->seconds = chance_range(&p, 15, 40);
    s->calm = chance_one_in(&p, 20);
    s->fault_ms = chance_log(&p, 300, 6000);
    for (size_t i = SWARM_kill; i < SWARM_rot; i++)
        *value_of(s, i) = chance_one_in(&p, 2) ? 0 : chance_log(&p, 1, 8);
    s->absent = chance_one_in(&p, 3);
    if (s->absent && s->brokers >= 3 && chance_one_in(&p, 2)) {
        s->replication = 2; /* then who is left leads alone */
        s->min_in_sync = 1;
    }
    s->dark_end = chance_one_in(&p, 2);
    s->members = chance_one_in(&p, 2) ? 0 : chance_range(&p, 1, 4);
    /* Last, so that a seed without it lives as ever. */
    s->rot = chance_one_in(&p, 2) ? 0 : chance_log(&p, 1, 8);
    if (s->calm) {
        s->loss_ppm = 0;
        s->admins = 0;
        s->drift_ppm = 0;
    }
}

bool swarm_set(struct swarm *s, const char *text)
{
    const char *equals = strchr(text, '=');
    char *end;
    int64_t v;

    if (equals == NULL)
        return false;
    v = strtoll(equals + 1, &end, 10);
    for (size_t i = 0; i < SWARM_COUNT; i++)
        if (strlen(rows[i].name) == (size_t)(equals - text) &&
            strncmp(rows[i].name, text, (size_t)(equals - text)) == 0) {
            *value_of(s, i) = v;
            return *end == '\0' && v >= rows[i].min && v <= rows[i].max;
        }
    return false;
}

void swarm_format(const struct swarm *s, char *out, size_t size)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < SWARM_COUNT && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s=%" PRId64, i ? " " : "",
                                rows[i].name, *((const int64_t *)(const void *)s + i));
}

void swarm_help(void)
{
    for (size_t i = 0; i < SWARM_COUNT; i++)
        printf("  %-12s %6" PRId64 " .. %-8" PRId64 " %s\n", rows[i].name, rows[i].min,
               rows[i].max, rows[i].text);
}

const char *swarm_name(size_t row)
{
    return rows[row].name;
}

int64_t swarm_get(const struct swarm *s, size_t row)
{
    return *((const int64_t *)(const void *)s + row);
}
