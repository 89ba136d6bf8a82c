/* SPDX-License-Identifier: Apache-2.0
 *
 * One batch as Kafka's clients send it, put together by hand:
 *
 *     base offset 0, length 85, leader epoch -1, magic 2, checksum 6fa63a67
 *     attributes 0, last offset delta 2, times 1500000000000 and ...005
 *     producer -1, epoch -1, sequence -1, 3 records
 *     1a 00 00 00 04 "k1" 0a "hello" 00
 *     1a 00 0a 02 01 00 04 02 "h" 02 "1" 02 "e" 01      no key, empty value, 2 headers
 *     0e 00 c701 04 00 01 00                            empty key, no value, 100 ms ago
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>

enum { GOLDEN_BYTES = 97, GOLDEN_RECORDS = 3 };

static const char golden_hex[] =
    "000000000000000000000055ffffffff026fa63a670000000000020000015d3e"
    "f798000000015d3ef79805ffffffffffffffffffffffffffff000000031a0000"
    "00046b310a68656c6c6f001a000a02010004026802310265010e00c701040001"
    "00";

static inline void golden_copy(uint8_t out[static GOLDEN_BYTES])
{
    for (int i = 0; i < GOLDEN_BYTES; i++) {
        const char digits[3] = {golden_hex[2 * i], golden_hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}
