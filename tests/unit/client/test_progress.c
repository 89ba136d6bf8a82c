/* SPDX-License-Identifier: Apache-2.0
 *
 * At least once, in numbers: what is handed out is not done, and only what is done is
 * committed. */
#include "client/progress.h"

#include <check.h>
#include <stdlib.h>

static struct progress at(int64_t position, int64_t committed)
{
    struct progress p;

    progress_start(&p, position, committed);
    return p;
}

/* The program polls ten records and dies before it polls again: none of them may have
 * been committed. */
START_TEST(what_was_handed_out_is_not_done)
{
    struct progress p = at(100, 100);

    progress_hand_out(&p, 110);
    ck_assert_int_eq(p.position, 110);
    ck_assert_int_eq(progress_to_commit(&p, true), -1);
    ck_assert_int_eq(progress_to_commit(&p, false), -1);
}
END_TEST

START_TEST(asking_for_more_says_that_it_is_done)
{
    struct progress p = at(100, 100);

    progress_hand_out(&p, 110);
    progress_finish(&p);
    ck_assert_int_eq(progress_to_commit(&p, true), 110);
    progress_hand_out(&p, 120);
    ck_assert_int_eq(progress_to_commit(&p, true), 110);
}
END_TEST

START_TEST(an_ack_covers_the_record_and_those_before_it)
{
    struct progress p = at(100, 100);

    progress_hand_out(&p, 110);
    progress_ack(&p, 104);
    ck_assert_int_eq(progress_to_commit(&p, true), 105);
    progress_ack(&p, 102); /* said already */
    ck_assert_int_eq(progress_to_commit(&p, true), 105);
    progress_ack(&p, 109);
    ck_assert_int_eq(progress_to_commit(&p, true), 110);
}
END_TEST

START_TEST(an_ack_of_a_record_from_before_a_seek_says_nothing)
{
    struct progress p = at(100, 100);

    progress_hand_out(&p, 110);
    progress_seek(&p, 50);
    progress_ack(&p, 109);
    ck_assert_int_eq(progress_to_commit(&p, false), -1);
}
END_TEST

START_TEST(nothing_is_committed_twice)
{
    struct progress p = at(0, -1);

    progress_hand_out(&p, 10);
    progress_finish(&p);
    progress_commit_begin(&p, 10);
    progress_commit_end(&p, 10, true);
    ck_assert_int_eq(p.committed, 10);
    ck_assert_int_eq(progress_to_commit(&p, true), -1);
    ck_assert_int_eq(progress_to_commit(&p, false), -1);
}
END_TEST

START_TEST(a_commit_that_failed_is_due_again)
{
    struct progress p = at(0, -1);

    progress_hand_out(&p, 10);
    progress_finish(&p);
    progress_commit_begin(&p, 10);
    progress_commit_end(&p, 10, false);
    ck_assert_int_eq(progress_to_commit(&p, true), 10);
}
END_TEST

/* The program goes back to read something again. The clock must not take the group back
 * with it; the program may. */
START_TEST(an_automatic_commit_never_goes_back)
{
    struct progress p = at(100, 100);

    progress_seek(&p, 20);
    progress_hand_out(&p, 30);
    progress_finish(&p);
    ck_assert_int_eq(progress_to_commit(&p, true), -1);
    ck_assert_int_eq(progress_to_commit(&p, false), 30);
    progress_hand_out(&p, 130);
    progress_finish(&p);
    ck_assert_int_eq(progress_to_commit(&p, true), 130);
}
END_TEST

/* The program has just sent off 500 by its own hand. */
START_TEST(an_automatic_commit_does_not_fall_behind_one_on_its_way)
{
    struct progress p = at(100, 100);

    progress_hand_out(&p, 110);
    progress_finish(&p);
    progress_commit_begin(&p, 500);
    ck_assert_int_eq(progress_to_commit(&p, true), -1);
    progress_commit_end(&p, 500, true);
    ck_assert_int_eq(progress_to_commit(&p, true), -1);
}
END_TEST

START_TEST(a_seek_alone_leaves_nothing_to_commit)
{
    struct progress p = at(100, -1);

    progress_seek(&p, 400);
    progress_finish(&p);
    ck_assert_int_eq(progress_to_commit(&p, false), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client progress");
    TCase *t = tcase_create("progress");
    SRunner *runner;
    int failed;

    tcase_add_test(t, what_was_handed_out_is_not_done);
    tcase_add_test(t, asking_for_more_says_that_it_is_done);
    tcase_add_test(t, an_ack_covers_the_record_and_those_before_it);
    tcase_add_test(t, an_ack_of_a_record_from_before_a_seek_says_nothing);
    tcase_add_test(t, nothing_is_committed_twice);
    tcase_add_test(t, a_commit_that_failed_is_due_again);
    tcase_add_test(t, an_automatic_commit_never_goes_back);
    tcase_add_test(t, an_automatic_commit_does_not_fall_behind_one_on_its_way);
    tcase_add_test(t, a_seek_alone_leaves_nothing_to_commit);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
