/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/crc32c.h"

#include <stdatomic.h>
#include <string.h>

/* Castagnoli's polynomial, bit-reflected like everything here. */
#define POLYNOMIAL 0x82f63b78u

typedef uint32_t crc32c_run(uint32_t crc, const void *data, size_t len);

/* ---- portable: eight bytes a step through eight tables ---- */

enum { TABLES_NONE, TABLES_FILLING, TABLES_READY };

static uint32_t tables[8][256];
static atomic_int tables_state;

static uint32_t step(uint32_t crc)
{
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    return crc;
}

static void fill_tables(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        tables[0][n] = step(n);
        for (int t = 1; t < 8; t++)
            tables[t][n] = tables[t - 1][n] >> 8 ^ step(tables[t - 1][n] & 0xff);
    }
}

/* One thread fills the tables; nobody waits for it, there is a slower way meanwhile. */
static bool have_tables(void)
{
    int none = TABLES_NONE;

    if (atomic_load_explicit(&tables_state, memory_order_acquire) == TABLES_READY)
        return true;
    if (!atomic_compare_exchange_strong(&tables_state, &none, TABLES_FILLING))
        return false;
    fill_tables();
    atomic_store_explicit(&tables_state, TABLES_READY, memory_order_release);
    return true;
}

static uint32_t by_tables(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v;

        memcpy(&v, p, 8);
        v ^= crc;
        crc = tables[7][v & 0xff] ^ tables[6][v >> 8 & 0xff] ^ tables[5][v >> 16 & 0xff] ^
              tables[4][v >> 24 & 0xff] ^ tables[3][v >> 32 & 0xff] ^
              tables[2][v >> 40 & 0xff] ^ tables[1][v >> 48 & 0xff] ^ tables[0][v >> 56];
    }
    for (; len > 0; p++, len--)
        crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
    return crc;
}

static uint32_t by_bits(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len > 0; p++, len--)
        crc = step(crc ^ *p);
    return crc;
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    return ~(have_tables() ? by_tables(~crc, data, len) : by_bits(~crc, data, len));
}

/* ---- x86-64: three streams of the crc32 instruction, joined by a carry-less multiply.
 *
 * The instruction has a latency of three and a throughput of one, so three independent
 * streams keep it busy. The checksum of a stream is then moved over the bytes behind it:
 * multiplied by x^(8n-33) mod P and reduced by one more crc32 instruction it is moved
 * over n bytes. (Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32
 * Instruction", Intel, 2011.) ---- */

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

#define WITH_CRC32   __attribute__((target("sse4.2")))
#define WITH_STREAMS __attribute__((target("sse4.2,pclmul")))

/* Rounds of three streams, longest first, with the factors that move a checksum over one
 * and over two streams. A wrong one fails the comparison with the portable variant. */
static const struct round {
    size_t stream;
    uint32_t over_one;
    uint32_t over_two;
} rounds[] = {
    {1024, 0x170076fau, 0xa51b6135u},
    {256, 0xb9e02b86u, 0xdd7e3b0cu},
    {64, 0x9e4addf8u, 0x0d3b6092u},
};

enum { ROUNDS = sizeof rounds / sizeof rounds[0] };

WITH_CRC32 static uint32_t one_stream(uint32_t crc, const uint8_t *p, size_t len)
{
    uint64_t wide = crc;

    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v;

        memcpy(&v, p, 8);
        wide = _mm_crc32_u64(wide, v);
    }
    crc = (uint32_t)wide;
    for (; len > 0; p++, len--)
        crc = _mm_crc32_u8(crc, *p);
    return crc;
}

WITH_STREAMS static uint64_t multiply(uint64_t crc, uint32_t factor)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc),
                                           _mm_cvtsi64_si128((long long)factor), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

WITH_STREAMS static uint32_t three_streams(uint32_t crc, const uint8_t *p,
                                           const struct round *r)
{
    const size_t stream = r->stream;
    uint64_t a = crc, b = 0, c = 0;

    for (const uint8_t *end = p + stream; p < end; p += 8) {
        uint64_t va, vb, vc;

        memcpy(&va, p, 8);
        memcpy(&vb, p + stream, 8);
        memcpy(&vc, p + 2 * stream, 8);
        a = _mm_crc32_u64(a, va);
        b = _mm_crc32_u64(b, vb);
        c = _mm_crc32_u64(c, vc);
    }
    return (
        uint32_t)(_mm_crc32_u64(0, multiply(a, r->over_two) ^ multiply(b, r->over_one)) ^
                  c);
}

WITH_CRC32 static uint32_t crc32c_instruction(uint32_t crc, const void *data, size_t len)
{
    return ~one_stream(~crc, data, len);
}

WITH_STREAMS static uint32_t crc32c_streams(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;

    crc = ~crc;
    if (len < 3 * rounds[ROUNDS - 1].stream)
        return ~one_stream(crc, p, len);
    for (size_t n = 0; n < ROUNDS; n++)
        for (; len >= 3 * rounds[n].stream;
             p += 3 * rounds[n].stream, len -= 3 * rounds[n].stream)
            crc = three_streams(crc, p, &rounds[n]);
    return ~one_stream(crc, p, len);
}
#endif

/* ---- dispatch ---- */

bool crc32c_way_at(unsigned index, struct crc32c_way *out)
{
    struct crc32c_way ways[3];
    unsigned count = 0;

#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        ways[count++] = (struct crc32c_way){"sse4.2+pclmul", crc32c_streams};
    if (__builtin_cpu_supports("sse4.2"))
        ways[count++] = (struct crc32c_way){"sse4.2", crc32c_instruction};
#endif
    ways[count++] = (struct crc32c_way){"portable", crc32c_portable};
    if (index >= count)
        return false;
    *out = ways[index];
    return true;
}

static crc32c_run first_use;
static _Atomic(crc32c_run *) chosen = first_use;

static uint32_t first_use(uint32_t crc, const void *data, size_t len)
{
    struct crc32c_way best = {0};

    crc32c_way_at(0, &best);
    atomic_store_explicit(&chosen, best.run, memory_order_relaxed);
    return best.run(crc, data, len);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    return atomic_load_explicit(&chosen, memory_order_relaxed)(crc, data, len);
}

const char *crc32c_variant(void)
{
    struct crc32c_way best = {0};

    crc32c_way_at(0, &best);
    return best.name;
}
