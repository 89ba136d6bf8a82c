/* SPDX-License-Identifier: Apache-2.0
 *
 * The groups' partition has a leader and followers as any other one; who leads it is the
 * coordinator. What was committed is told by whoever that is. */
#include "storage/machine.h"
#include "tests/unit/broker/replication/fleet.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fleet *f;

static void begin_with(unsigned shards)
{
    f = fleet_new(4, shards);
    fleet_create(f, "t", (const int32_t[]){2, 3, 4}, 3, "2");
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

static const char *said(int32_t node_id)
{
    return fake_wire_said(fleet_wire(f, node_id));
}

static void ask_commit(int32_t node_id, int64_t offset, const char *note)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT, *topics[] = {&t};
    Leat__OffsetPartition p = LEAT__OFFSET_PARTITION__INIT, *list[] = {&p};

    q.group = "g";
    q.member_id = "";
    q.member_epoch = -1;
    q.topics = topics;
    q.n_topics = 1;
    t.name = "t";
    t.partitions = list;
    t.n_partitions = 1;
    p.offset = offset;
    p.leader_epoch = -1;
    p.metadata = (char *)(uintptr_t)note;
    fake_wire_ask(fleet_wire(f, node_id), 0, RPC_OFFSET_COMMIT, &q.base,
                  (struct bytes){0});
}

static void commit_offset(int32_t node_id, int64_t offset)
{
    ask_commit(node_id, offset, "");
    fleet_pass_ms(f, 100);
}

static const char *long_note(void)
{
    static char note[4001];

    memset(note, 'n', sizeof note - 1);
    return note;
}

static void fetch_offset(int32_t node_id)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;

    q.group = "g";
    fake_wire_ask(fleet_wire(f, node_id), 0, RPC_OFFSET_FETCH, &q.base,
                  (struct bytes){0});
    fleet_pass_ms(f, 100);
}

static int32_t groups_leader(void)
{
    return fleet_tell(f, "__groups")[strlen("leader ")] - '0';
}

/* All replicas keep the groups; who takes over has them at hand. */
START_TEST(groups_survive_their_coordinator)
{
    int32_t before, after;

    fleet_move(f, "__groups", (const int32_t[]){2, 3, 4}, 3);
    fleet_pass_ms(f, 3000);
    before = groups_leader();
    ck_assert_int_ge(before, 2);
    said(before);
    commit_offset(before, 42);
    ck_assert_ptr_null(strstr(said(before), "error"));
    fleet_pass_ms(f, 600);
    fleet_stop(f, before);
    fleet_pass_ms(f, 3000);
    after = groups_leader();
    ck_assert_int_ge(after, 2);
    ck_assert_int_ne(after, before);
    said(after);
    fetch_offset(after);
    ck_assert_ptr_nonnull(strstr(said(after), "offset=42"));
    commit_offset(after, 43);
    fleet_start(f, before);
    fleet_pass_ms(f, 4000);
    ck_assert_str_eq(fleet_tell(f, "__groups") + strlen("leader 3 epoch 3 "),
                     "in-sync 2,3,4");
}
END_TEST

/* A coordinator that nobody hears may have been replaced: what it remembers is old. */
START_TEST(lost_coordinator_does_not_tell_old_offsets)
{
    fleet_move(f, "__groups", (const int32_t[]){2, 3, 4}, 3);
    fleet_pass_ms(f, 3000);
    fleet_elect(f, "__groups", false);
    fleet_pass_ms(f, 1000);
    ck_assert_int_eq(groups_leader(), 2);
    commit_offset(2, 42);
    fleet_cut(f, 2, 1);
    fleet_cut(f, 2, 3);
    fleet_cut(f, 2, 4);
    fleet_pass_ms(f, 4000);
    ck_assert_int_eq(groups_leader(), 3);
    said(3);
    commit_offset(3, 43);
    ck_assert_ptr_null(strstr(said(3), "error"));
    said(2);
    fetch_offset(2);
    ck_assert_ptr_nonnull(strstr(said(2), "NOT_COORDINATOR"));
}
END_TEST

/* Two coordinators in a row began the log, each on its own: the one that was lost follows
 * from the very start. There is no snapshot to begin anew from, and none is needed. */
START_TEST(coordinators_without_common_history_come_together)
{
    fleet_move(f, "__groups", (const int32_t[]){2, 3, 4}, 3);
    fleet_pass_ms(f, 3000);
    fleet_elect(f, "__groups", false);
    fleet_pass_ms(f, 1000);
    ck_assert_int_eq(groups_leader(), 2);
    fleet_cut(f, 2, 1);
    fleet_cut(f, 2, 3);
    fleet_cut(f, 2, 4);
    commit_offset(2, 42);
    ck_assert_str_eq(fleet_log(f, 2, "__groups"), "0..0/2");
    fleet_pass_ms(f, 4000);
    ck_assert_int_eq(groups_leader(), 3);
    commit_offset(3, 43);
    fleet_heal(f);
    fleet_pass_ms(f, 4000);
    ck_assert_str_eq(fleet_tell(f, "__groups") + strlen("leader 3 epoch 3 "),
                     "in-sync 2,3,4");
    ck_assert_str_eq(fleet_log(f, 2, "__groups"), "0..2/2");
}
END_TEST

/* Somebody has accepted that commits are lost: a coordinator that had applied them
 * forgets all that it knew and takes what the new one has. */
START_TEST(coordinators_follow_an_unclean_one)
{
    char log[64];

    fleet_move(f, "__groups", (const int32_t[]){2, 3, 4}, 3);
    fleet_pass_ms(f, 3000);
    fleet_elect(f, "__groups", false);
    fleet_pass_ms(f, 1000);
    commit_offset(2, 41);
    fleet_pass_ms(f, 1000);
    fleet_cut(f, 4, 2);
    fleet_cut(f, 4, 3);
    fleet_pass_ms(f, 4000); /* 4 is out */
    commit_offset(2, 42);
    fleet_pass_ms(f, 1000);
    fleet_cut(f, 2, 1);
    fleet_cut(f, 2, 3);
    fleet_cut(f, 3, 1);
    fleet_pass_ms(f, 4000); /* 2 and 3 run, but nobody sees them */
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "__groups"), "leader -1"));
    fleet_elect(f, "__groups", true);
    fleet_pass_ms(f, 500);
    ck_assert_int_eq(groups_leader(), 4);
    fleet_heal(f);
    fleet_pass_ms(f, 6000);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "__groups"), "in-sync 2,3,4"));
    snprintf(log, sizeof log, "%s", fleet_log(f, 4, "__groups"));
    ck_assert_str_eq(fleet_log(f, 2, "__groups"), log);
    said(4);
    fetch_offset(4);
    ck_assert_ptr_nonnull(strstr(said(4), "offset=41"));
    fleet_stop(f, 4);
    fleet_pass_ms(f, 3000);
    said(2);
    fetch_offset(2);
    ck_assert_ptr_nonnull(strstr(said(2), "offset=41"));
}
END_TEST

/* So many commits that each replica writes its state down. */
static void commit_until_snapshot(int32_t node_id)
{
    const struct partition *p = fleet_partition(f, node_id, "__groups");

    for (int64_t offset = 50; machine_snapshot_offset(p->machine) == 0; offset++) {
        ck_assert_int_lt(offset, 10000);
        ask_commit(node_id, offset, long_note());
        fleet_pass_ms(f, 2);
        said(node_id);
    }
}

/* The one that is lost has written down what the unclean leader never heard of. It gives
 * that up as well, and complains about nothing. */
START_TEST(a_snapshot_is_given_up_for_an_unclean_coordinator)
{
    char log[64];

    fleet_move(f, "__groups", (const int32_t[]){2, 3, 4}, 3);
    fleet_pass_ms(f, 3000);
    fleet_elect(f, "__groups", false);
    fleet_pass_ms(f, 1000);
    commit_offset(2, 41);
    fleet_pass_ms(f, 1000);
    fleet_cut(f, 4, 2);
    fleet_cut(f, 4, 3);
    fleet_pass_ms(f, 4000); /* 4 is out */
    commit_until_snapshot(2);
    fleet_pass_ms(f, 1000);
    ck_assert_int_gt(machine_snapshot_offset(fleet_partition(f, 3, "__groups")->machine),
                     0);
    fleet_cut(f, 2, 1);
    fleet_cut(f, 2, 3);
    fleet_cut(f, 3, 1);
    fleet_pass_ms(f, 4000);
    fleet_elect(f, "__groups", true);
    fleet_pass_ms(f, 500);
    ck_assert_int_eq(groups_leader(), 4);
    fleet_heal(f);
    fleet_pass_ms(f, 6000);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "__groups"), "in-sync 2,3,4"));
    snprintf(log, sizeof log, "%s", fleet_log(f, 4, "__groups"));
    ck_assert_str_eq(fleet_log(f, 2, "__groups"), log);
    ck_assert_str_eq(fleet_log(f, 3, "__groups"), log);
    fleet_stop(f, 4);
    fleet_pass_ms(f, 3000);
    said(2);
    fetch_offset(2);
    ck_assert_ptr_nonnull(strstr(said(2), "offset=41"));
}
END_TEST

static void add(Suite *s, const char *name, void (*setup)(void))
{
    TCase *c = tcase_create(name);

    tcase_add_checked_fixture(c, setup, end);
    tcase_set_timeout(c, 0);
    tcase_add_test(c, groups_survive_their_coordinator);
    tcase_add_test(c, lost_coordinator_does_not_tell_old_offsets);
    tcase_add_test(c, coordinators_without_common_history_come_together);
    tcase_add_test(c, coordinators_follow_an_unclean_one);
    tcase_add_test(c, a_snapshot_is_given_up_for_an_unclean_coordinator);
    suite_add_tcase(s, c);
}

int main(void)
{
    Suite *s = suite_create("coordinators");
    SRunner *runner = srunner_create(s);
    int failed;

    add(s, "one shard", begin);
    add(s, "two shards", begin_on_two_shards);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
