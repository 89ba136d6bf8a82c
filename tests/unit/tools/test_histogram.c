/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/histogram.h"

#include <check.h>

/* Percentiles are never more than 1.6 % above the truth, at any scale. */
START_TEST(percentiles_are_close_at_any_scale)
{
    for (uint64_t scale = 1; scale <= 1000000; scale *= 10) {
        static struct histogram h;

        h = (struct histogram){0};
        for (uint64_t n = 1; n <= 1000; n++)
            histogram_add(&h, n * scale);
        for (unsigned percent = 1; percent <= 100; percent++) {
            uint64_t truth = percent * 10 * scale;
            uint64_t found = histogram_at(&h, percent);

            ck_assert_uint_ge(found, truth);
            ck_assert_uint_le(found, truth + truth * 16 / 1000 + 1);
        }
        ck_assert_uint_eq(h.max_us, 1000 * scale);
    }
}
END_TEST

START_TEST(an_empty_histogram_says_zero)
{
    static const struct histogram empty;

    ck_assert_uint_eq(histogram_at(&empty, 50), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *t = tcase_create("histogram");
    SRunner *runner;
    int failed;

    tcase_add_test(t, percentiles_are_close_at_any_scale);
    tcase_add_test(t, an_empty_histogram_says_zero);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
