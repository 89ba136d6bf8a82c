/* SPDX-License-Identifier: Apache-2.0
 *
 * MARK names a rare path where it is taken, so that the simulator can tell whether it
 * ever came by: MARK("follower cuts its log"). PLANT(n) is a bug that was put in
 * on purpose, to see whether the simulator finds it; tests/sim/README.md lists them. In
 * builds without -Dplants=true both vanish. */
#pragma once

#include <stdbool.h>

#ifdef LEAT_PLANTS
struct mark {
    const char *name;
    unsigned long hits;
};

/* All that are in the program, whether they were hit or not: the linker gathers them. */
extern struct mark *const __start_leat_marks[], *const __stop_leat_marks[];
extern int plant_chosen; /* 0: none */

#define MARK(text)                                                                    \
    do {                                                                              \
        static struct mark mark_ = {text, 0};                                         \
        static struct mark *const row_ __attribute__((section("leat_marks"), used)) = \
            &mark_;                                                                   \
        row_->hits++;                                                                 \
    } while (0)
#define PLANT(n) (plant_chosen == (n))
#else
#define MARK(text) ((void)0)
#define PLANT(n)   false
#endif
