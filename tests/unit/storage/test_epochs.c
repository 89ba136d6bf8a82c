/* SPDX-License-Identifier: Apache-2.0
 *
 * Where each leader epoch begins, and what a follower is told about it. */
#include "storage/epochs.h"

#include <check.h>
#include <stdlib.h>

/* Epochs 1 at 0, 3 at 10, 4 at 25. */
static struct epochs three(void)
{
    struct epochs e = {0};

    epochs_note(&e, 1, 0);
    epochs_note(&e, 1, 5);
    epochs_note(&e, 3, 10);
    epochs_note(&e, 4, 25);
    return e;
}

static void expect_end(const struct epochs *e, int32_t epoch, int32_t found, int64_t end)
{
    int32_t f;
    int64_t o;

    epochs_end(e, epoch, 40, &f, &o);
    ck_assert_int_eq(f, found);
    ck_assert_int_eq(o, end);
}

START_TEST(an_epoch_ends_where_the_next_begins)
{
    struct epochs e = three();

    expect_end(&e, 0, -1, -1);
    expect_end(&e, 1, 1, 10);
    expect_end(&e, 2, 1, 10);
    expect_end(&e, 3, 3, 25);
    expect_end(&e, 4, 4, 40);
    expect_end(&e, 9, 4, 40);
    ck_assert_int_eq(epochs_last(&e), 4);
    epochs_release(&e);
    expect_end(&e, 3, -1, -1);
    ck_assert_int_eq(epochs_last(&e), -1);
}
END_TEST

START_TEST(truncation_takes_epochs_back)
{
    struct epochs e = three();

    epochs_truncate(&e, 25);
    ck_assert_int_eq(epochs_last(&e), 3);
    epochs_truncate(&e, 11);
    ck_assert_int_eq(epochs_last(&e), 3);
    epochs_truncate(&e, 10);
    ck_assert_int_eq(epochs_last(&e), 1);
    epochs_note(&e, 7, 10);
    expect_end(&e, 1, 1, 10);
    epochs_truncate(&e, 0);
    ck_assert_int_eq(epochs_last(&e), -1);
    epochs_release(&e);
}
END_TEST

START_TEST(trimming_moves_the_first_epoch)
{
    struct epochs e = three();

    epochs_trim(&e, 12);
    ck_assert_uint_eq(e.count, 2);
    ck_assert_int_eq(e.list[0].epoch, 3);
    ck_assert_int_eq(e.list[0].offset, 12);
    expect_end(&e, 1, -1, -1);
    expect_end(&e, 3, 3, 25);
    epochs_trim(&e, 25);
    ck_assert_uint_eq(e.count, 1);
    expect_end(&e, 3, -1, -1);
    expect_end(&e, 4, 4, 40);
    epochs_trim(&e, 39);
    ck_assert_int_eq(e.list[0].offset, 39);
    epochs_release(&e);
}
END_TEST

/* A leader that never wrote leaves no trace when the next one begins at its offset. */
START_TEST(an_epoch_without_records_is_replaced)
{
    struct epochs e = three();

    epochs_note(&e, 6, 40);
    epochs_note(&e, 8, 40);
    ck_assert_uint_eq(e.count, 4);
    expect_end(&e, 6, 4, 40);
    epochs_note(&e, 5, 41);
    ck_assert_int_eq(epochs_last(&e), 8);
    epochs_release(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("epochs");
    TCase *tc = tcase_create("epochs");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, an_epoch_ends_where_the_next_begins);
    tcase_add_test(tc, truncation_takes_epochs_back);
    tcase_add_test(tc, trimming_moves_the_first_epoch);
    tcase_add_test(tc, an_epoch_without_records_is_replaced);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
