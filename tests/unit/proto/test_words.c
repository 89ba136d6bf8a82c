/* SPDX-License-Identifier: Apache-2.0
 *
 * The small words: statuses, identities, chance, and the hash that Kafka's clients use.
 */
#include "proto/base/murmur2.h"
#include "proto/base/status.h"
#include "proto/base/uuid.h"
#include "tests/unit/proto/suite.h"

#include <ctype.h>
#include <string.h>

START_TEST(status_codes_and_names_are_unique)
{
    int a, b;

    for (unsigned i = 0; status_at(i, &a); i++)
        for (unsigned j = 0; j < i && status_at(j, &b); j++) {
            ck_assert_int_ne(a, b);
            ck_assert_str_ne(status_name(a), status_name(b));
        }
}
END_TEST

START_TEST(every_status_has_a_sentence)
{
    int code;

    for (unsigned i = 0; status_at(i, &code); i++) {
        const char *text = status_text(code);

        ck_assert_uint_gt(strlen(text), 5);
        ck_assert_msg(text[strlen(text) - 1] != '.', "%s", text);
        ck_assert_msg(!isupper((unsigned char)text[0]), "%s", text);
    }
}
END_TEST

START_TEST(foreign_codes_are_unknown)
{
    ck_assert_str_eq(status_name(31999), "UNKNOWN");
    ck_assert_str_eq(status_name(STATUS_OK), "OK");
    ck_assert_str_eq(status_name(STATUS_NOT_LEADER), "NOT_LEADER");
    ck_assert(status_is_retriable(STATUS_NOT_LEADER));
    ck_assert(status_is_retriable(STATUS_THROTTLED));
    ck_assert(!status_is_retriable(STATUS_INVALID_TOPIC));
    ck_assert(!status_is_retriable(STATUS_UNKNOWN_MEMBER));
    ck_assert_int_eq(status_retry(STATUS_UNKNOWN_MEMBER), STATUS_RETRY_FATAL);
}
END_TEST

/* The vectors of the Java client's own test. */
START_TEST(murmur2_is_kafkas)
{
    static const struct {
        const char *text;
        int32_t hash;
    } rows[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t hash = murmur2(rows[i].text, strlen(rows[i].text));

        ck_assert_int_eq(hash, rows[i].hash);
        ck_assert_int_eq(murmur2_partition(rows[i].text, strlen(rows[i].text), 7),
                         (hash & 0x7fffffff) % 7);
    }
}
END_TEST

START_TEST(uuid_survives_its_text)
{
    struct prng random;
    struct uuid u, back;
    char text[UUID_TEXT];

    prng_init(&random, 3);
    u = uuid_random(&random);
    uuid_format(u, text);
    ck_assert_uint_eq(strlen(text), 32);
    ck_assert_int_eq(text[12], '4'); /* version */
    ck_assert_ptr_nonnull(strchr("89ab", text[16]));
    ck_assert(uuid_parse(text, 32, &back));
    ck_assert(uuid_equal(u, back));
    ck_assert(!uuid_is_zero(u));
    ck_assert(uuid_is_zero((struct uuid){0}));

    ck_assert(!uuid_parse(text, 31, &back));
    text[5] = 'g';
    ck_assert(!uuid_parse(text, 32, &back));
    ck_assert(uuid_from((struct bytes){u.id, 16}, &back));
    ck_assert(!uuid_from((struct bytes){u.id, 15}, &back));
}
END_TEST

/* First outputs of xoshiro256** from splitmix64's states for seed 0. */
START_TEST(chance_is_the_same_everywhere)
{
    struct prng p, q;

    prng_init(&p, 0);
    ck_assert_uint_eq(prng_next(&p), 0x99ec5f36cb75f2b4u);
    ck_assert_uint_eq(prng_next(&p), 0xbf6e1f784956452au);
    ck_assert_uint_eq(prng_next(&p), 0x1a5f849d4933e6e0u);

    q = prng_split(&p, 1);
    ck_assert_uint_ne(prng_next(&q), prng_next(&p));
    q = prng_split(&p, 1);
    p = prng_split(&p, 1);
    ck_assert_uint_eq(prng_next(&q), prng_next(&p));
}
END_TEST

START_TEST(below_is_below)
{
    unsigned seen[7] = {0};
    struct prng p;

    prng_init(&p, 5);
    for (int i = 0; i < 7000; i++)
        seen[prng_below(&p, 7)]++;
    for (int i = 0; i < 7; i++)
        ck_assert(seen[i] > 800 && seen[i] < 1200);
    ck_assert_uint_eq(prng_below(&p, 1), 0);
}
END_TEST

SUITE_MAIN("words", status_codes_and_names_are_unique, every_status_has_a_sentence,
           foreign_codes_are_unknown, murmur2_is_kafkas, uuid_survives_its_text,
           chance_is_the_same_everywhere, below_is_below)
