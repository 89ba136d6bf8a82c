/* SPDX-License-Identifier: Apache-2.0
 *
 * Chance, from a seed: xoshiro256** (Blackman and Vigna) seeded through splitmix64. Every
 * concern draws from a stream of its own, split off by a salt, so that a new draw in one
 * place leaves all others as they were. */
#pragma once

#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
struct prng prng_split(const struct prng *p, uint64_t salt);
uint64_t prng_next(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t n); /* 0 <= result < n; n > 0 */
