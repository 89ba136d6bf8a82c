/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that comes back serves at once, and says for how long its replicas are not
 * what they were: until then nobody should stop another broker. */
#include "tests/unit/broker/replication/fleet.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct fleet *f;
static char why[160];

static void begin(void)
{
    f = fleet_new(4, 1);
    fleet_create(f, "t", (const int32_t[]){2, 3, 4}, 3, "1");
}

static void end(void)
{
    fleet_free(f);
}

static bool has_caught_up(int32_t node_id)
{
    const struct node *n = fake_wire_node(fleet_wire(f, node_id), 0);

    return node_is_ready(n, why) && node_has_caught_up(n, why);
}

START_TEST(a_broker_that_came_back_says_what_it_lacks)
{
    ck_assert(has_caught_up(4));
    fleet_stop(f, 4);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 4000);
    fleet_cut(f, 2, 4); /* the leader; the controller is another one */
    fleet_start(f, 4);
    fleet_pass_ms(f, 5000);
    ck_assert(node_is_ready(fake_wire_node(fleet_wire(f, 4), 0), why));
    ck_assert(!has_caught_up(4));
    ck_assert_ptr_nonnull(strstr(why, "1 replicas here still catch up"));
    ck_assert_ptr_nonnull(strstr(why, " t/0"));
    fleet_heal(f);
    fleet_pass_ms(f, 5000);
    ck_assert(has_caught_up(4));
    ck_assert_str_eq(why, "");
}
END_TEST

/* What happens to it later is no reason to hold back others who are being restarted. */
START_TEST(once_caught_up_it_stays_so)
{
    fleet_cut(f, 2, 4);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 5000);
    ck_assert_ptr_null(strstr(fleet_tell(f, "t"), "4"));
    ck_assert(has_caught_up(4));
}
END_TEST

static uint64_t told(int32_t node_id, enum metric_id id)
{
    return metric_get(fake_wire_metrics(fleet_wire(f, node_id), 0), id);
}

/* Whoever the controller is, which counts elections: the leader counts its partition. */
START_TEST(each_broker_counts_what_is_missing)
{
    uint64_t elections = told(1, METRIC_ELECTIONS);

    ck_assert_uint_eq(told(2, METRIC_LEADERS_UNDER_REPLICATED), 0);
    fleet_cut(f, 2, 4);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 5000);
    ck_assert_uint_eq(told(2, METRIC_LEADERS), 1);
    ck_assert_uint_eq(told(2, METRIC_LEADERS_UNDER_REPLICATED), 1);
    ck_assert_uint_eq(told(3, METRIC_LEADERS_UNDER_REPLICATED), 0);
    fleet_heal(f);
    fleet_pass_ms(f, 5000);
    ck_assert_uint_eq(told(2, METRIC_LEADERS_UNDER_REPLICATED), 0);
    ck_assert_uint_eq(told(1, METRIC_ELECTIONS), elections);
    fleet_stop(f, 2);
    fleet_pass_ms(f, 4000);
    ck_assert_uint_eq(told(1, METRIC_ELECTIONS), elections + 1);
    ck_assert_uint_eq(told(1, METRIC_UNCLEAN_ELECTIONS), 0);
}
END_TEST

static void tell_of_more(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    (void)payload;
    for (size_t i = 0; i < a->n_partitions; i++)
        a->partitions[i]->high_watermark += 100;
}

START_TEST(a_follower_counts_what_it_does_not_have_yet)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 2000);
    ck_assert_uint_eq(told(3, METRIC_REPLICA_LAG), 0);
    fleet_forge_answers(f, 2, tell_of_more);
    fleet_pass_ms(f, 2000);
    ck_assert_uint_eq(told(3, METRIC_REPLICA_LAG), 100);
    ck_assert_uint_eq(told(2, METRIC_REPLICA_LAG), 0);
}
END_TEST

/* A replica that is new here was not missed. */
START_TEST(what_a_move_brings_is_not_waited_for)
{
    fleet_create(f, "u", (const int32_t[]){2, 3}, 2, "1");
    fleet_cut(f, 2, 4);
    fleet_move(f, "t", (const int32_t[]){2, 3}, 2);
    fleet_pass_ms(f, 1000);
    fleet_move(f, "u", (const int32_t[]){2, 3, 4}, 3);
    fleet_stop(f, 4);
    fleet_pass_ms(f, 4000);
    fleet_start(f, 4);
    fleet_pass_ms(f, 5000);
    ck_assert_ptr_nonnull(fleet_partition(f, 4, "u"));
    ck_assert(has_caught_up(4));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catch up");
    TCase *tc = tcase_create("catch up");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, a_broker_that_came_back_says_what_it_lacks);
    tcase_add_test(tc, once_caught_up_it_stays_so);
    tcase_add_test(tc, each_broker_counts_what_is_missing);
    tcase_add_test(tc, a_follower_counts_what_it_does_not_have_yet);
    tcase_add_test(tc, what_a_move_brings_is_not_waited_for);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
