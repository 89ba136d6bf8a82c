/* SPDX-License-Identifier: Apache-2.0
 *
 * Zigzag varints for the two hot loops, verifying and building records: the same encoding
 * as in bytes.h, without the sticky reader around it. Most varints of a record have one
 * byte. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { VARINT_MAX = 5, VARLONG_MAX = 10 };

/* The groups of a varint of at most `bits` bits at *p; false if it is cut off, too long
 * or has bits that do not fit. */
static inline bool groups_take(const uint8_t **p, const uint8_t *end, unsigned bits,
                               uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < bits && *p < end; shift += 7) {
        uint64_t part = **p & 0x7fu;
        bool more = (*(*p)++ & 0x80u) != 0;

        if (shift + 7 > bits && part >> (bits - shift) != 0)
            return false;
        v |= part << shift;
        if (!more) {
            *out = v;
            return true;
        }
    }
    return false;
}

static inline bool varint_take(const uint8_t **p, const uint8_t *end, int32_t *out)
{
    uint64_t v;

    if (*p < end && **p < 0x80)
        v = *(*p)++;
    else if (!groups_take(p, end, 32, &v))
        return false;
    *out = (int32_t)(uint32_t)(v >> 1) ^ -(int32_t)(v & 1);
    return true;
}

static inline bool varlong_take(const uint8_t **p, const uint8_t *end, int64_t *out)
{
    uint64_t v;

    if (*p < end && **p < 0x80)
        v = *(*p)++;
    else if (!groups_take(p, end, 64, &v))
        return false;
    *out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    return true;
}

/* Write at `p`, which has room for VARLONG_MAX bytes; returns the place after it. */
static inline uint8_t *varlong_put(uint8_t *p, int64_t value)
{
    uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80u);
    *p++ = (uint8_t)v;
    return p;
}

/* How many bytes varlong_put takes. */
static inline unsigned varlong_size(int64_t value)
{
    uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

    return (70u - (unsigned)__builtin_clzll(v | 1)) / 7;
}
