/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/prng.h"

#include "proto/base/check.h"

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        p->s[i] = splitmix(&seed);
}

struct prng prng_split(const struct prng *p, uint64_t salt)
{
    struct prng child;

    prng_init(&child, p->s[0] ^ (p->s[2] << 1) ^ salt * 0x9e3779b97f4a7c15u);
    return child;
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t n)
{
    CHECK(n > 0);
    /* Multiply-shift; the bias is below 2^-32 for every n that we use. */
    return (uint64_t)(((__uint128_t)prng_next(p) * n) >> 64);
}
