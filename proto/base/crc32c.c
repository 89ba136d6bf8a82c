/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/crc32c.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Reflected polynomial of Castagnoli. */
#define POLYNOMIAL 0x82f63b78u

typedef uint32_t crc_variant(uint32_t crc, const uint8_t *p, size_t len);

/* ---- portable: eight bytes a step through eight tables --------------------------------
 */

static uint32_t tables[8][256];
static atomic_bool tables_ready;

/* Two threads may fill the tables at once: they write the same numbers. */
static void fill_tables(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        __atomic_store_n(&tables[0][n], crc, __ATOMIC_RELAXED);
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int t = 1; t < 8; t++) {
            uint32_t before = tables[t - 1][n];

            __atomic_store_n(&tables[t][n], before >> 8 ^ tables[0][before & 0xff],
                             __ATOMIC_RELAXED);
        }
    atomic_store_explicit(&tables_ready, true, memory_order_release);
}

static uint32_t by_tables(uint32_t crc, const uint8_t *p, size_t len)
{
    if (!atomic_load_explicit(&tables_ready, memory_order_acquire))
        fill_tables();
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

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    return ~by_tables(~crc, data, len);
}

/* ---- x86-64: three streams of the crc32 instruction, joined by a carry-less multiply
 * --- */

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

/* The instruction has a latency of three and a throughput of one, so three independent
 * streams keep it busy. Stream lengths are fixed, so that the constants that shift a
 * stream's checksum over those behind it are, too. */
enum { LONG_STREAM = 4096, SHORT_STREAM = 256 };

/* x^(8n-33) mod P, bit-reflected: multiplied into a checksum and reduced by one more
 * crc32 instruction it moves the checksum over n bytes of zeros. (Gopal et al., "Fast CRC
 * Computation for iSCSI Polynomial Using CRC32 Instruction", Intel, 2011.) */
static uint32_t shift_constant(size_t bytes)
{
    uint32_t v = 0x80000000u; /* x^0 */

    for (size_t n = 0; n < bytes * 8 - 33; n++)
        v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
    return v;
}

struct shifts {
    uint32_t long_one, long_two, short_one, short_two;
};

static struct shifts shifts;

static void fill_shifts(void)
{
    __atomic_store_n(&shifts.long_one, shift_constant(LONG_STREAM), __ATOMIC_RELAXED);
    __atomic_store_n(&shifts.long_two, shift_constant(2 * (size_t)LONG_STREAM),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&shifts.short_one, shift_constant(SHORT_STREAM), __ATOMIC_RELAXED);
    __atomic_store_n(&shifts.short_two, shift_constant(2 * (size_t)SHORT_STREAM),
                     __ATOMIC_RELAXED);
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc,
                                                                 const uint8_t *p,
                                                                 size_t len)
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

__attribute__((target("sse4.2,pclmul"))) static uint64_t multiply(uint64_t crc,
                                                                  uint32_t constant)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc),
                                           _mm_cvtsi64_si128((long long)constant), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* One round: 3 * stream bytes at p. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t three_streams(
    uint32_t crc, const uint8_t *p, size_t stream, uint32_t one, uint32_t two)
{
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
    return (uint32_t)(_mm_crc32_u64(0, multiply(a, two) ^ multiply(b, one)) ^ c);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t by_streams(uint32_t crc,
                                                                    const uint8_t *p,
                                                                    size_t len)
{
    for (; len >= 3 * (size_t)LONG_STREAM; p += 3 * LONG_STREAM, len -= 3 * LONG_STREAM)
        crc = three_streams(crc, p, LONG_STREAM, shifts.long_one, shifts.long_two);
    for (; len >= 3 * (size_t)SHORT_STREAM;
         p += 3 * SHORT_STREAM, len -= 3 * SHORT_STREAM)
        crc = three_streams(crc, p, SHORT_STREAM, shifts.short_one, shifts.short_two);
    return by_instruction(crc, p, len);
}
#endif

/* ---- dispatch ------------------------------------------------------------------------
 */

static crc_variant first_use;
static _Atomic(crc_variant *) variant = first_use;

static crc_variant *choose(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        fill_shifts();
        return by_streams;
    }
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction;
#endif
    return by_tables;
}

static uint32_t first_use(uint32_t crc, const uint8_t *p, size_t len)
{
    crc_variant *chosen = choose();

    atomic_store_explicit(&variant, chosen, memory_order_release);
    return chosen(crc, p, len);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    return ~atomic_load_explicit(&variant, memory_order_acquire)(~crc, data, len);
}

const char *crc32c_variant(void)
{
    crc_variant *chosen = choose();

#if defined(__x86_64__)
    if (chosen == by_streams)
        return "sse4.2+pclmul";
    if (chosen == by_instruction)
        return "sse4.2";
#endif
    return chosen == by_tables ? "portable" : "unknown";
}
