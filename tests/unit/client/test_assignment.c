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
    tcase_add_test(t, many_partitions_of_a_topic_share_its_name);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
