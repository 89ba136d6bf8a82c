/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/units.h"

#include <check.h>

enum { BAD = -7 };

static int64_t bytes(const char *text)
{
    int64_t v = BAD;

    return parse_bytes(text, &v) ? v : BAD;
}

static int64_t duration(const char *text)
{
    int64_t v = BAD;

    return parse_duration(text, &v) ? v : BAD;
}

static int64_t time_of(const char *text)
{
    int64_t v = BAD;

    return parse_time(text, INT64_C(1700000000000), &v) ? v : BAD;
}

/* Sizes are powers of 1024; what is not exactly a size is refused. */
START_TEST(sizes_take_units)
{
    ck_assert_int_eq(bytes("0"), 0);
    ck_assert_int_eq(bytes("512"), 512);
    ck_assert_int_eq(bytes("64K"), 65536);
    ck_assert_int_eq(bytes("64kB"), 65536);
    ck_assert_int_eq(bytes("10GiB"), INT64_C(10) << 30);
    ck_assert_int_eq(bytes("2T"), INT64_C(2) << 40);
    ck_assert_int_eq(bytes(""), BAD);
    ck_assert_int_eq(bytes("-1"), BAD);
    ck_assert_int_eq(bytes("1X"), BAD);
    ck_assert_int_eq(bytes("1KK"), BAD);
    ck_assert_int_eq(bytes("99999999999T"), BAD);
}
END_TEST

/* Durations: milliseconds, or numbers with units, also several. */
START_TEST(durations_take_units)
{
    ck_assert_int_eq(duration("250"), 250);
    ck_assert_int_eq(duration("10s"), 10000);
    ck_assert_int_eq(duration("1h30m"), 5400000);
    ck_assert_int_eq(duration("7d"), INT64_C(604800000));
    ck_assert_int_eq(duration("5ms"), 5);
    ck_assert_int_eq(duration("1w"), INT64_C(604800000));
    ck_assert_int_eq(duration(""), BAD);
    ck_assert_int_eq(duration("10 s"), BAD);
    ck_assert_int_eq(duration("s"), BAD);
    ck_assert_int_eq(duration("1y"), BAD);
    ck_assert_int_eq(duration("99999999999999d"), BAD);
}
END_TEST

/* Times: RFC 3339, an age, unix seconds or milliseconds. */
START_TEST(times_come_in_three_ways)
{
    ck_assert_int_eq(time_of("1970-01-01"), 0);
    ck_assert_int_eq(time_of("1970-01-01T00:00:01Z"), 1000);
    ck_assert_int_eq(time_of("1970-01-01T00:00:01.250Z"), 1250);
    ck_assert_int_eq(time_of("1970-01-01T01:00:00+01:00"), 0);
    ck_assert_int_eq(time_of("1969-12-31T23:30:00-00:30"), 0);
    ck_assert_int_eq(time_of("-1h"), INT64_C(1700000000000) - 3600000);
    ck_assert_int_eq(time_of("1700000000"), INT64_C(1700000000000));
    ck_assert_int_eq(time_of("1700000000123"), INT64_C(1700000000123));
    ck_assert_int_eq(time_of("yesterday"), BAD);
    ck_assert_int_eq(time_of("2026-11-22T08:00:00"), BAD);
    ck_assert_int_eq(time_of("2026-11-22T08:00:00+1"), BAD);
    ck_assert_int_eq(time_of(""), BAD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *t = tcase_create("units");
    SRunner *runner;
    int failed;

    tcase_add_test(t, sizes_take_units);
    tcase_add_test(t, durations_take_units);
    tcase_add_test(t, times_come_in_three_ways);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
