/* SPDX-License-Identifier: Apache-2.0
 *
 * What a member worked on and what it shall work on, and how the one becomes the other.
 */
#include "client/assignment.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* "orders/0 orders/2" and so on. */
static struct assignment set_of(const char *text)
{
    struct assignment a;
    char topic[32];
    int partition, used;

    assignment_init(&a);
    while (sscanf(text, " %31[a-z]/%d%n", topic, &partition, &used) == 2) {
        ck_assert_int_eq(assignment_add(&a, topic, partition), STATUS_OK);
        text += used;
    }
    return a;
}

static void assert_is(const struct assignment *a, const char *text)
{
    struct assignment expected = set_of(text);

    ck_assert_msg(assignment_equal(a, &expected), "not %s", text);
    assignment_release(&expected);
}

START_TEST(a_set_has_each_partition_once_and_in_order)
{
    struct assignment a = set_of("returns/1 orders/2 orders/0 returns/1 orders/0");

    ck_assert_uint_eq(a.count, 3);
    ck_assert_str_eq(a.items[0].topic, "orders");
    ck_assert_int_eq(a.items[0].partition, 0);
    ck_assert_int_eq(a.items[1].partition, 2);
    ck_assert_str_eq(a.items[2].topic, "returns");
    ck_assert(assignment_contains(&a, "orders", 2));
    ck_assert(!assignment_contains(&a, "orders", 1));
    ck_assert(!assignment_contains(&a, "order", 2));
    assignment_release(&a);
}
END_TEST

/* Each row: what was, what shall be, and the change. */
static const struct {
    const char *before, *after, *added, *removed, *kept;
} changes[] = {
    {"", "", "", "", ""},
    {"", "a/0 a/1", "a/0 a/1", "", ""},
    {"a/0 a/1", "", "", "a/0 a/1", ""},
    {"a/0 a/1", "a/0 a/1", "", "", "a/0 a/1"},
    {"a/0 a/1 b/0", "a/1 b/1", "b/1", "a/0 b/0", "a/1"},
    {"a/0", "b/0", "b/0", "a/0", ""},
};

START_TEST(a_change_is_what_came_what_went_and_what_stayed)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct assignment before = set_of(changes[i].before);
        struct assignment after = set_of(changes[i].after);
        struct assignment_change change;

        ck_assert_int_eq(assignment_diff(&before, &after, &change), STATUS_OK);
        /* The change owns its names. */
        assignment_release(&before);
        assignment_release(&after);
        assert_is(&change.added, changes[i].added);
        assert_is(&change.removed, changes[i].removed);
        assert_is(&change.kept, changes[i].kept);
        assignment_change_release(&change);
    }
}
END_TEST

START_TEST(many_partitions_of_a_topic_share_its_name)
{
    struct assignment a;

    assignment_init(&a);
    for (int32_t i = 999; i >= 0; i--)
        ck_assert_int_eq(assignment_add(&a, "orders", i), STATUS_OK);
    ck_assert_uint_eq(a.count, 1000);
    ck_assert_ptr_eq(a.items[0].topic, a.items[999].topic);
    assignment_release(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client assignment");
    TCase *t = tcase_create("assignment");
    SRunner *runner;
    int failed;

    tcase_add_test(t, a_set_has_each_partition_once_and_in_order);
    tcase_add_test(t, a_change_is_what_came_what_went_and_what_stayed);
    tcase_add_test(t, many_partitions_of_a_topic_share_its_name);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
