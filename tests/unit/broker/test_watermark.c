/* SPDX-License-Identifier: Apache-2.0
 *
 * Only what is on disk counts, on the leader too. */
#include "broker/core/watermark.h"

#include <check.h>
#include <stdlib.h>

START_TEST(watermark_is_the_least_durable_end_in_sync)
{
    static const struct {
        struct replica_end ends[3];
        int64_t before, after;
    } rows[] = {
        {{{10, true}, {0, false}, {0, false}}, 0, 10},
        {{{10, true}, {7, true}, {9, true}}, 0, 7},
        {{{10, true}, {7, false}, {9, true}}, 7, 9},
        {{{5, true}, {10, true}, {10, true}}, 0, 5}, /* the leader is not special */
        {{{10, true}, {3, true}, {10, true}}, 8, 8}, /* what was seen stays seen */
        {{{0, true}, {0, true}, {0, true}}, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(watermark(rows[i].ends, 3, rows[i].before), rows[i].after);
}
END_TEST

START_TEST(majority_has_what_more_than_half_have)
{
    static const struct {
        int64_t durable[5];
        size_t voters;
        int64_t end;
    } rows[] = {
        {{8}, 1, 8},
        {{8, 4}, 2, 4},
        {{8, 4, 6}, 3, 6},
        {{8, 0, 0}, 3, 0},
        {{1, 2, 3, 4}, 4, 2},
        {{1, 2, 3, 4, 5}, 5, 3},
        {{9, 9, 9, 0, 0}, 5, 9},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(majority_end(rows[i].durable, rows[i].voters), rows[i].end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watermark");
    TCase *tc = tcase_create("watermark");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, watermark_is_the_least_durable_end_in_sync);
    tcase_add_test(tc, majority_has_what_more_than_half_have);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
