/* SPDX-License-Identifier: Apache-2.0
 *
 * A replica whose log does not open: the broker serves everything else, others lead, and
 * what is damaged is copied anew, but never the last that has everything. */
#include "broker/core/node_state.h"
#include "tests/support/fake_store.h"
#include "tests/unit/broker/replication/fleet.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { A_MINUTE_MS = 61000, CATCH_UP_MS = 6000 };

static struct fleet *f;
static unsigned shards;
static struct uuid topic;

static void begin_with(unsigned count)
{
    shards = count;
    f = fleet_new(4, shards);
    fleet_create(f, "t", (const int32_t[]){2, 3, 4}, 3, "2");
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3,4");
    topic = fleet_partition(f, 2, "t")->topic_id;
}

static void begin(void)
{
    begin_with(1);
}

static void begin_on_two_shards(void)
{
    begin_with(2);
}

static void end(void)
{
    fleet_free(f);
}

/* While its broker is down. */
static void damage(int32_t node_id, bool damaged)
{
    fake_media_damage(fake_wire_media(fleet_wire(f, node_id)), topic.id, damaged);
}

static uint64_t offline(int32_t node_id)
{
    uint64_t count = 0;

    for (unsigned shard = 0; shard < shards; shard++)
        count += metric_get(fake_wire_metrics(fleet_wire(f, node_id), shard),
                            METRIC_REPLICAS_OFFLINE);
    return count;
}

/* Others led already when it came back. */
START_TEST(a_damaged_replica_is_copied_anew)
{
    fleet_stop(f, 2);
    damage(2, true);
    fleet_pass_ms(f, CATCH_UP_MS);
    fleet_produce(f, 3, "t", 2);
    fleet_start(f, 2);
    fleet_pass_ms(f, CATCH_UP_MS);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..5/5");
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 3 epoch 4 in-sync 2,3,4");
    ck_assert_uint_eq(offline(2), 0);
}
END_TEST

/* The whole cluster was down, and the damaged one is back first. */
START_TEST(who_comes_back_with_a_damaged_log_does_not_lead)
{
    for (int32_t id = 4; id > 1; id--)
        fleet_stop(f, id);
    fleet_pass_ms(f, CATCH_UP_MS);
    damage(2, true);
    fleet_start(f, 2);
    fleet_pass_ms(f, CATCH_UP_MS);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "leader -1"));
    ck_assert_uint_eq(offline(2), 1);
    fleet_start(f, 3);
    fleet_start(f, 4);
    fleet_pass_ms(f, CATCH_UP_MS);
    ck_assert_ptr_null(strstr(fleet_tell(f, "t"), "leader 2"));
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "in-sync 2,3,4"));
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..3/3");
    ck_assert_uint_eq(offline(2), 0);
}
END_TEST

/* The other one lacks some: it waits, and the one with everything leads again when it has
 * its files back. */
START_TEST(the_last_whole_replica_waits_for_its_files)
{
    fleet_create(f, "u", (const int32_t[]){2, 3}, 2, "1");
    topic = fleet_partition(f, 2, "u")->topic_id;
    fleet_stop(f, 3);
    fleet_pass_ms(f, CATCH_UP_MS);
    fleet_produce(f, 2, "u", 5);
    fleet_pass_ms(f, 100);
    fleet_stop(f, 2);
    fleet_pass_ms(f, CATCH_UP_MS);
    damage(2, true);
    fleet_start(f, 2);
    fleet_start(f, 3);
    fleet_pass_ms(f, CATCH_UP_MS);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "u"), "leader -1"));
    ck_assert_uint_eq(offline(2), 1);
    damage(2, false);
    fleet_pass_ms(f, A_MINUTE_MS);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "u"), "leader 2"));
    ck_assert_str_eq(fleet_log(f, 2, "u"), "0..5/5");
    ck_assert_str_eq(fleet_log(f, 3, "u"), "0..5/5");
    ck_assert_uint_eq(offline(2), 0);
}
END_TEST

/* A topic that is deleted takes what is left of it along. */
START_TEST(a_damaged_log_goes_with_its_topic)
{
    size_t logs;

    for (int32_t id = 4; id > 1; id--)
        fleet_stop(f, id);
    damage(2, true);
    fleet_start(f, 2);
    fleet_pass_ms(f, CATCH_UP_MS);
    logs = fake_media_logs(fake_wire_media(fleet_wire(f, 2)));
    ask_delete(fleet_wire(f, 1), "t");
    fleet_pass_ms(f, 1000);
    ck_assert_uint_eq(fake_media_logs(fake_wire_media(fleet_wire(f, 2))), logs - 1);
    ck_assert_uint_eq(offline(2), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *one = tcase_create("one shard"), *two = tcase_create("two shards");
    TCase *cases[] = {one, two};
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(one, begin, end);
    tcase_add_checked_fixture(two, begin_on_two_shards, end);
    for (int i = 0; i < 2; i++) {
        tcase_set_timeout(cases[i], 100);
        tcase_add_test(cases[i], a_damaged_replica_is_copied_anew);
        tcase_add_test(cases[i], who_comes_back_with_a_damaged_log_does_not_lead);
        tcase_add_test(cases[i], the_last_whole_replica_waits_for_its_files);
        tcase_add_test(cases[i], a_damaged_log_goes_with_its_topic);
        suite_add_tcase(suite, cases[i]);
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
