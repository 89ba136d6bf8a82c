/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "proto/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TIE_BITS = 10 };

struct prng world_stream(uint64_t seed, const char *component, int number)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)number;
    struct prng p;

    for (; *component; component++)
        hash = (hash ^ (uint8_t)*component) * UINT64_C(1099511628211);
    prng_init(&p, seed ^ hash);
    return p;
}

void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    heap_init(&w->events);
    w->ties = world_stream(seed, "ties", 0);
    w->hash = seed;
}

void world_set(struct world *w, struct event *e, moment at)
{
    if (at < w->now)
        at = w->now;
    CHECK(heap_set(&w->events, &e->node,
                   at << TIE_BITS |
                       (int64_t)prng_below(&w->ties, UINT64_C(1) << TIE_BITS)));
}

void world_unset(struct world *w, struct event *e)
{
    heap_remove(&w->events, &e->node);
}

bool world_is_set(const struct event *e)
{
    return heap_contains(&e->node);
}

static void fold(struct world *w, uint64_t v)
{
    w->hash = (w->hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    w->hash ^= w->hash >> 29;
}

bool world_step(struct world *w)
{
    struct heap_node *first = heap_first(&w->events);
    struct event *e;
    moment at;

    if (first == NULL || (w->until != 0 && w->event_count >= w->until))
        return false;
    e = container_of(first, struct event, node);
    at = first->at_ms >> TIE_BITS;
    heap_remove(&w->events, first);
    if (at > w->now)
        w->now = at;
    w->event_count++;
    fold(w, (uint64_t)w->now);
    e->run(e);
    return true;
}

static void print(const struct note *n)
{
    printf("%12.6f #%-9" PRIu64 " %4d %-22s %" PRId64 " %" PRId64 " %" PRId64 "\n",
           (double)n->at / 1e9, n->event, n->who, n->what, n->a, n->b, n->c);
}

void note(struct world *w, int32_t who, const char *what, int64_t a, int64_t b, int64_t c)
{
    struct note *n = &w->notes[w->note_count++ % NOTES];

    *n = (struct note){w->now, w->event_count, who, what, a, b, c};
    fold(w, (uint64_t)who);
    for (const char *t = what; *t; t++)
        fold(w, (uint8_t)*t);
    fold(w, (uint64_t)a);
    fold(w, (uint64_t)b);
    fold(w, (uint64_t)c);
    if (w->loud || (w->faults && who == 0))
        print(n);
}

void world_print(const struct world *w, int32_t who, unsigned count)
{
    uint64_t first = w->note_count > NOTES ? w->note_count - NOTES : 0;
    uint64_t from = w->note_count;
    unsigned found = 0;

    while (from > first && found < count) {
        from--;
        if (who == -1 || w->notes[from % NOTES].who == who)
            found++;
    }
    for (; from < w->note_count; from++)
        if (who == -1 || w->notes[from % NOTES].who == who)
            print(&w->notes[from % NOTES]);
}

int64_t chance_range(struct prng *p, int64_t low, int64_t high)
{
    CHECK(low <= high);
    return low + (int64_t)prng_below(p, (uint64_t)(high - low) + 1);
}

int64_t chance_log(struct prng *p, int64_t low, int64_t high)
{
    int bits = 0;
    int64_t top;

    CHECK(low > 0 && low <= high);
    while (bits < 62 && (low << (bits + 1)) <= high)
        bits++;
    bits = (int)prng_below(p, (uint64_t)bits + 1);
    top = (low << bits) * 2 < high ? (low << bits) * 2 : high;
    return chance_range(p, low << bits, top);
}

bool chance_one_in(struct prng *p, uint64_t n)
{
    return prng_below(p, n) == 0;
}
