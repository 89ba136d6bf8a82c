/* SPDX-License-Identifier: Apache-2.0
 *
 * MARK names a rare path where it is taken, so that the simulator can tell whether it
 * ever came by: MARK("truncated_more_than_one_epoch"). PLANT(n) is a bug that was put in
 * on purpose, to see whether the simulator finds it; tests/sim/README.md lists them. In
 * builds without -Dplants=true both vanish. */
#pragma once

#include <stdbool.h>

#ifdef LEAT_PLANTS
struct mark {
    const char *name;
    unsigned long hits;
    struct mark *next;
};

extern struct mark *marks; /* those that were hit at least once */
extern int plant_chosen;   /* 0: none */

void mark_hit(struct mark *m);

#define MARK(text)                               \
    do {                                         \
        static struct mark mark_ = {text, 0, 0}; \
        mark_hit(&mark_);                        \
    } while (0)
#define PLANT(n) (plant_chosen == (n))
#else
#define MARK(text) ((void)0)
#define PLANT(n)   false
#endif
