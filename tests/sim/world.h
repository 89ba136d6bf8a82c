/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of a simulation: virtual time, everything that will happen, and chance. One
 * heap holds all events, by time; what falls on the same moment comes in an order that
 * the seed decides. Each component draws from a stream of its own, so that one more draw
 * in one place leaves all others as they were.
 *
 * Whatever happens is noted: the newest notes are kept for the report of a failure, all
 * of them are folded into a hash. Two runs of one seed that differ anywhere differ in it.
 */
#pragma once

#include "proto/base/heap.h"
#include "proto/base/prng.h"

/* Virtual nanoseconds since the beginning. */
typedef int64_t moment;

static const moment MICROSECOND = 1000;
static const moment MILLISECOND = 1000000;
static const moment SECOND = 1000000000;

/* Something that will happen, embedded in what it happens to. */
struct event {
    struct heap_node node;
    void (*run)(struct event *e);
};

struct note {
    moment at;
    uint64_t event;
    int32_t who; /* a broker's number, 100 and more: a client, 0: the world */
    const char *what;
    int64_t a, b, c;
};

enum { NOTES = 4096 };

struct world {
    moment now;
    struct heap events;
    uint64_t event_count;
    uint64_t until; /* stop before this event; 0: never */
    struct prng ties;
    uint64_t hash;
    struct note notes[NOTES];
    uint64_t note_count;
    bool loud;   /* print every note */
    bool faults; /* print those of the world and the brokers' lives */
};

void world_init(struct world *w, uint64_t seed);
struct prng world_stream(uint64_t seed, const char *component, int number);

/* Let it happen at `at`, or now if that has passed; moves it if it was set. */
void world_set(struct world *w, struct event *e, moment at);
void world_unset(struct world *w, struct event *e); /* no harm if it is not set */
bool world_is_set(const struct event *e);
/* The next event; false when nothing will ever happen again, or at `until`. */
bool world_step(struct world *w);

void note(struct world *w, int32_t who, const char *what, int64_t a, int64_t b,
          int64_t c);
/* The newest notes, those of `who` only unless it is -1. */
void world_print(const struct world *w, int32_t who, unsigned count);

/* low <= result <= high, each order of magnitude as likely. */
int64_t chance_log(struct prng *p, int64_t low, int64_t high);
int64_t chance_range(struct prng *p, int64_t low, int64_t high);
bool chance_one_in(struct prng *p, uint64_t n);
