/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer as a member of a group: what counts as done, what is committed, and what
 * happens when partitions move or the broker goes away. */
#include "tests/unit/client/consumer_scene.h"

#include <stdlib.h>

/* ---- done and committed ---- */

/* The program takes a batch and is killed before it asks for the next one. */
START_TEST(what_was_polled_but_not_done_comes_again)
{
    leat_consumer *c = open_with(CONF("auto.commit.interval.ms", "10"));
    const leat_record *r;

    topic_of("orders", 1);
    append("orders", 0, 10);
    subscribe(c, "orders");
    leat_batch_free(poll_batch(c));
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_le(committed("orders", 0), 0);

    c = open_with(NULL);
    subscribe(c, "orders");
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(next_offset(c), i);
    ck_assert_int_eq(leat_consumer_next(c, &r, WAIT_MS, &error), 1);
    ck_assert_int_eq(leat_consumer_ack(c, r), LEAT_OK);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(committed("orders", 0), 5);
}
END_TEST

static bool is_committed_5(void *arg)
{
    return committed("orders", 0) == 5;
}

START_TEST(the_clock_commits_what_is_done)
{
    leat_consumer *c = open_with(CONF("auto.commit.interval.ms", "10"));

    topic_of("orders", 1);
    append("orders", 0, 10);
    subscribe(c, "orders");
    for (int i = 0; i < 6; i++)
        next_offset(c);
    dispatch_until(is_committed_5, NULL);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(committed("orders", 0), 5);
}
END_TEST

static void on_committed(const leat_offset *offsets, size_t count, int code, void *arg)
{
    int *ran = arg;

    ck_assert_int_eq(code, LEAT_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(offsets[0].offset, 3);
    ++*ran;
}

static bool has_run(void *arg)
{
    return *(int *)arg > 0;
}

START_TEST(the_program_commits_by_its_own_hand)
{
    leat_consumer *c = open_with(CONF("enable.auto.commit", "false"));
    const leat_offset back = {.topic = "orders", .partition = 0, .offset = 1};
    int ran = 0;

    topic_of("orders", 1);
    append("orders", 0, 10);
    subscribe(c, "orders");
    for (int i = 0; i < 4; i++)
        next_offset(c);
    ck_assert_int_eq(leat_consumer_commit_async(c, NULL, 0, on_committed, &ran), LEAT_OK);
    ck_assert_int_eq(ran, 0);
    dispatch_until(has_run, &ran);
    ck_assert_int_eq(committed("orders", 0), 3);
    ck_assert_int_eq(leat_consumer_commit(c, &back, 1, WAIT_MS, &error), LEAT_OK);
    ck_assert_int_eq(committed("orders", 0), 1);
    next_offset(c);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(ran, 1);
    ck_assert_int_eq(committed("orders", 0), 1);
}
END_TEST

/* Reading again from the start must not take the group back with it. */
START_TEST(an_automatic_commit_never_goes_back)
{
    leat_consumer *c = open_with(CONF("auto.commit.interval.ms", "10"));

    topic_of("orders", 1);
    append("orders", 0, 10);
    subscribe(c, "orders");
    for (int i = 0; i < 9; i++)
        next_offset(c);
    ck_assert_int_eq(leat_consumer_commit(c, NULL, 0, WAIT_MS, &error), LEAT_OK);
    ck_assert_int_eq(committed("orders", 0), 8);
    ck_assert_int_eq(leat_consumer_seek(c, "orders", 0, 0, &error), LEAT_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(next_offset(c), i);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(committed("orders", 0), 8);
}
END_TEST

/* ---- rebalance ---- */

struct story {
    int assigned, revoked, lost;
    size_t count; /* partitions of the last call */
    int64_t committed_then;
};

static void on_rebalance(leat_consumer *c, enum leat_rebalance what,
                         const leat_offset *partitions, size_t count, void *arg)
{
    struct story *s = arg;

    s->count = count;
    s->assigned += what == LEAT_ASSIGNED;
    s->revoked += what == LEAT_REVOKED;
    s->lost += what == LEAT_LOST;
    if (what == LEAT_REVOKED)
        s->committed_then = committed(partitions[0].topic, partitions[0].partition);
}

static bool was_assigned(void *arg)
{
    return ((const struct story *)arg)->assigned > 0;
}

static bool was_revoked(void *arg)
{
    return ((const struct story *)arg)->revoked > 0;
}

static bool was_lost(void *arg)
{
    return ((const struct story *)arg)->lost > 0;
}

static leat_consumer *open_member(struct story *story)
{
    leat_consumer *c = open_with(CONF("auto.commit.interval.ms", "1h"));

    leat_consumer_on_rebalance(c, on_rebalance, story);
    subscribe(c, "orders");
    return c;
}

/* One member has worked on both partitions. When another one joins, it commits before it
 * gives one up, and the other goes on exactly there. */
START_TEST(a_partition_is_committed_before_it_is_given_up)
{
    struct story first = {0}, second = {0};
    leat_consumer *a, *b;
    int64_t offset;

    topic_of("orders", 2);
    a = open_member(&first);
    append("orders", 0, 10);
    append("orders", 1, 10);
    for (int i = 0; i < 20; i++) {
        const leat_record *r;

        ck_assert_int_eq(leat_consumer_next(a, &r, WAIT_MS, &error), 1);
        ck_assert_int_eq(leat_consumer_ack(a, r), LEAT_OK);
    }
    ck_assert_int_eq(first.assigned, 1);
    ck_assert_uint_eq(first.count, 2);
    fake_groups_await(groups, 1);
    ck_assert_int_eq(committed("orders", 0), -1);

    b = open_member(&second);
    dispatch_until(was_revoked, &first);
    ck_assert_int_eq(first.committed_then, 10);
    dispatch_until(was_assigned, &second);
    ck_assert_uint_eq(second.count, 1);
    fake_groups_await(groups, 2);
    append("orders", 0, 1);
    append("orders", 1, 1);
    offset = next_offset(b);
    ck_assert_int_eq(offset, 10);
    ck_assert_int_eq(next_offset(a), 10);
    ck_assert_int_eq(fake_groups_conflicts(groups), 0);
    ck_assert_int_eq(leat_consumer_close(a, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(first.revoked, 2);
    ck_assert_int_eq(leat_consumer_close(b, WAIT_MS), LEAT_OK);
}
END_TEST

/* The group has put the member out: what it did is not committed any more, it joins again
 * and goes on from what was. */
START_TEST(a_lost_partition_is_not_committed)
{
    struct story story = {0};
    const leat_record *r;
    leat_consumer *c;

    topic_of("orders", 1);
    c = open_member(&story);
    append("orders", 0, 10);
    for (int i = 0; i < 5; i++)
        next_offset(c);
    ck_assert_int_eq(leat_consumer_next(c, &r, WAIT_MS, &error), 1);
    fake_groups_expel(groups);
    dispatch_until(was_lost, &story);
    ck_assert_int_eq(leat_consumer_ack(c, r), LEAT_E_NOT_ASSIGNED);
    ck_assert_int_eq(committed("orders", 0), -1);
    ck_assert_int_eq(next_offset(c), 0);
    ck_assert_int_eq(story.assigned, 2);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

static void on_assigned_seek(leat_consumer *c, enum leat_rebalance what,
                             const leat_offset *partitions, size_t count, void *arg)
{
    if (what == LEAT_ASSIGNED)
        ck_assert_int_eq(leat_consumer_seek(c, partitions[0].topic,
                                            partitions[0].partition, 6, &error),
                         LEAT_OK);
}

START_TEST(the_program_may_seek_when_it_is_assigned)
{
    leat_consumer *c = open_with(NULL);

    topic_of("orders", 1);
    append("orders", 0, 10);
    leat_consumer_on_rebalance(c, on_assigned_seek, NULL);
    subscribe(c, "orders");
    ck_assert_int_eq(next_offset(c), 6);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

/* It holds records and does not come back for more. */
START_TEST(who_does_not_poll_leaves_the_group)
{
    struct story story = {0};
    leat_consumer *c =
        open_with(CONF("max.poll.interval.ms", "100", "auto.commit.interval.ms", "1h"));

    topic_of("orders", 1);
    append("orders", 0, 10);
    leat_consumer_on_rebalance(c, on_rebalance, &story);
    subscribe(c, "orders");
    ck_assert_int_eq(next_offset(c), 0);
    fake_broker_await(broker, RPC_GROUP_LEAVE, 1);
    dispatch_until(was_lost, &story);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

/* ---- the broker goes away ---- */

START_TEST(reading_goes_on_from_the_position_after_a_restart)
{
    struct story story = {0};
    leat_consumer *c;

    topic_of("orders", 1);
    c = open_member(&story);
    append("orders", 0, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(next_offset(c), i);
    fake_broker_down(broker);
    fake_broker_up(broker);
    append("orders", 0, 3);
    for (int i = 3; i < 6; i++) {
        const leat_record *r;
        int n;

        /* That the broker was away may be reported, once. */
        while ((n = leat_consumer_next(c, &r, WAIT_MS, &error)) < 0)
            ck_assert(error.retriable);
        ck_assert_int_eq(n, 1);
        ck_assert_int_eq(r->offset, i);
    }
    ck_assert_int_eq(story.lost, 0);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(committed("orders", 0), 5);
}
END_TEST

static int64_t close_takes(leat_consumer *c, int timeout_ms, int *code)
{
    const int64_t begin_ms = engine_now_ms();

    *code = leat_consumer_close(c, timeout_ms);
    return engine_now_ms() - begin_ms;
}

START_TEST(close_keeps_its_deadline)
{
    static const enum rpc_api deaf[] = {RPC_OFFSET_COMMIT, RPC_GROUP_LEAVE};

    topic_of("orders", 1);
    append("orders", 0, 10);
    for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++) {
        leat_consumer *c = open_with(NULL);
        int code;

        subscribe(c, "orders");
        next_offset(c);
        next_offset(c);
        fake_broker_hold(broker, deaf[i], true);
        ck_assert_int_lt(close_takes(c, 100, &code), 5000);
        ck_assert_int_eq(code, LEAT_E_TIMED_OUT);
        fake_broker_hold(broker, deaf[i], false);
        fake_groups_expel(groups);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client consumer groups");
    TCase *t = tcase_create("consumer");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, scene_setup, scene_teardown);
    tcase_add_test(t, what_was_polled_but_not_done_comes_again);
    tcase_add_test(t, the_clock_commits_what_is_done);
    tcase_add_test(t, the_program_commits_by_its_own_hand);
    tcase_add_test(t, an_automatic_commit_never_goes_back);
    tcase_add_test(t, a_partition_is_committed_before_it_is_given_up);
    tcase_add_test(t, a_lost_partition_is_not_committed);
    tcase_add_test(t, the_program_may_seek_when_it_is_assigned);
    tcase_add_test(t, who_does_not_poll_leaves_the_group);
    tcase_add_test(t, reading_goes_on_from_the_position_after_a_restart);
    tcase_add_test(t, close_keeps_its_deadline);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
