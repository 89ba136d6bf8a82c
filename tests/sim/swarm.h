/* SPDX-License-Identifier: Apache-2.0
 *
 * Each seed lives in another world: the swarm draws how many brokers there are, what
 * clients do, and which faults happen how often. Leaving whole kinds of faults out finds
 * what a mixture of everything would hide (Groce et al., "Swarm testing", 2012). */
#pragma once

#include "proto/base/prng.h"

#include <stdbool.h>
#include <stddef.h>

struct swarm {
#define SWARM(name, min, max, text) int64_t name;
#include "tests/sim/swarm.def"
#undef SWARM
};

enum {
#define SWARM(name, min, max, text) SWARM_##name,
#include "tests/sim/swarm.def"
#undef SWARM
    SWARM_COUNT
};

void swarm_draw(struct swarm *s, uint64_t seed);
/* "name=value"; false if it is not a setting or not in its range. */
bool swarm_set(struct swarm *s, const char *text);
/* All settings as name=value words. */
void swarm_format(const struct swarm *s, char *out, size_t size);
void swarm_help(void);
/* By its place in swarm.def. */
const char *swarm_name(size_t row);
int64_t swarm_get(const struct swarm *s, size_t row);
