/* SPDX-License-Identifier: Apache-2.0
 *
 * Every variant that this CPU can run gives RFC 3720's numbers, and agrees with the
 * portable one whatever the length, the alignment and the cut. */
#include "proto/base/crc32c.h"

#include "proto/base/prng.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

START_TEST(vectors_of_rfc_3720)
{
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    static const uint8_t read_10[48] = {
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0,    0, 0, 0, 0,
        0x14, 0,    0, 0, 0, 0, 4, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0,    0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0,    0, 0, 0, 0};
    struct crc32c_way way;

    for (unsigned i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    for (unsigned w = 0; crc32c_way_at(w, &way); w++) {
        ck_assert_uint_eq(way.run(0, zeros, 32), 0x8a9136aau);
        ck_assert_uint_eq(way.run(0, ones, 32), 0x62a8ab43u);
        ck_assert_uint_eq(way.run(0, up, 32), 0x46dd794eu);
        ck_assert_uint_eq(way.run(0, down, 32), 0x113fdb5cu);
        ck_assert_uint_eq(way.run(0, read_10, 48), 0xd9963a56u);
        ck_assert_uint_eq(way.run(0, "123456789", 9), 0xe3069283u);
        ck_assert_uint_eq(way.run(0, "", 0), 0);
    }
}
END_TEST

START_TEST(variants_agree)
{
    enum { SIZE = 40000 };
    static uint8_t data[SIZE];
    struct crc32c_way way;
    struct prng random;

    prng_init(&random, 21);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)prng_next(&random);
    for (unsigned w = 0; crc32c_way_at(w, &way); w++) {
        for (size_t len = 0; len < 1000; len++)
            ck_assert_uint_eq(way.run(7, data + len % 9, len),
                              crc32c_portable(7, data + len % 9, len));
        for (int n = 0; n < 300; n++) {
            size_t from = prng_below(&random, 64);
            size_t len = prng_below(&random, SIZE - from);

            ck_assert_msg(way.run(0, data + from, len) ==
                              crc32c_portable(0, data + from, len),
                          "%s: %zu bytes from %zu", way.name, len, from);
        }
    }
}
END_TEST

START_TEST(checksum_may_be_continued)
{
    static uint8_t data[5000];
    struct prng random;
    uint32_t whole;

    prng_init(&random, 22);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)prng_next(&random);
    whole = crc32c(0, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut += 37)
        ck_assert_uint_eq(crc32c(crc32c(0, data, cut), data + cut, sizeof data - cut),
                          whole);
}
END_TEST

START_TEST(variant_in_use_is_the_first)
{
    struct crc32c_way way;
    unsigned count = 0;

    ck_assert(crc32c_way_at(0, &way));
    ck_assert_str_eq(way.name, crc32c_variant());
    while (crc32c_way_at(count, &way))
        count++;
    ck_assert_str_eq(way.name, "portable");
}
END_TEST

SUITE_MAIN("crc32c", vectors_of_rfc_3720, variants_agree, checksum_may_be_continued,
           variant_in_use_is_the_first)
