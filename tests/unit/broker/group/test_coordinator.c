/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/group/scene.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scene s;

static void begin(void)
{
    scene_open(&s);
    scene_topic(&s, "orders", 4);
}

static void end(void)
{
    scene_close(&s);
}

/* The first member has everything at once. The second one waits until the first has given
 * up its half, which takes one heartbeat to hear and one to confirm. */
START_TEST(two_members_share)
{
    struct worker a = {.name = "a"}, b = {.name = "b"};

    ck_assert_str_eq(scene_join(&s, &a, "g", "orders"), "orders 0 1 2 3");
    ck_assert_str_eq(scene_join(&s, &b, "g", "orders"), "");
    ck_assert_str_eq(scene_beat(&s, &b), "");
    ck_assert_str_eq(scene_describe(&s, "g"),
                     "reconciling sticky: a [orders 0 1 2 3] -> [orders 0 1]; "
                     "b [] -> [orders 2 3]");
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1");
    ck_assert_str_eq(scene_beat(&s, &b), "");
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1");
    ck_assert_str_eq(scene_beat(&s, &b), "orders 2 3");
    ck_assert_str_eq(scene_describe(&s, "g"),
                     "stable sticky: a [orders 0 1] -> [orders 0 1]; "
                     "b [orders 2 3] -> [orders 2 3]");
}
END_TEST

static void share(struct worker *a, struct worker *b)
{
    scene_join(&s, a, "g", "orders");
    scene_join(&s, b, "g", "orders");
    scene_beat(&s, a);
    scene_beat(&s, a);
    ck_assert_str_eq(scene_beat(&s, b), "orders 2 3");
}

/* Who leaves says so, and the other takes over at its next heartbeat, from where the
 * first one committed. */
START_TEST(the_other_takes_over_when_one_leaves)
{
    struct worker a = {.name = "a"}, b = {.name = "b"};

    share(&a, &b);
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 2, 17), "OK");
    ck_assert_str_eq(scene_leave(&s, &b), "OK");
    ck_assert_str_eq(scene_leave(&s, &b), "UNKNOWN_MEMBER");
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1 2 3");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/2=17");
}
END_TEST

/* Who is silent for its session's time is out; what it does afterwards counts no more. */
START_TEST(zombie_is_fenced)
{
    struct worker a = {.name = "a"}, b = {.name = "b"};

    share(&a, &b);
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 3, 5), "OK");
    scene_pass_ms(&s, 44000);
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1");
    scene_pass_ms(&s, 2000);
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1 2 3");
    ck_assert_str_eq(scene_commit(&s, &a, "g", "orders", 3, 8), "OK");
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 3, 6), "UNKNOWN_MEMBER");
    ck_assert_str_eq(scene_beat(&s, &b), "UNKNOWN_MEMBER");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/3=8");
}
END_TEST

/* An epoch that is neither the newest nor the one before is somebody's past. And the
 * right epoch does not help for a partition that is not the member's. */
START_TEST(commit_needs_epoch_and_partition)
{
    struct worker a = {.name = "a"}, b = {.name = "b"}, old;

    scene_join(&s, &a, "g", "orders");
    old = a;
    scene_join(&s, &b, "g", "orders");
    scene_beat(&s, &a);
    ck_assert_str_eq(scene_commit(&s, &old, "g", "orders", 3, 1), "OK");
    scene_beat(&s, &a);
    scene_beat(&s, &b);
    ck_assert_str_eq(scene_commit(&s, &old, "g", "orders", 3, 2), "FENCED_MEMBER_EPOCH");
    ck_assert_str_eq(scene_commit(&s, &a, "g", "orders", 3, 2), "FENCED_MEMBER_EPOCH");
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 3, 2), "OK");
    old.epoch = 1000;
    ck_assert_str_eq(scene_commit(&s, &old, "g", "orders", 0, 2), "FENCED_MEMBER_EPOCH");
    ck_assert_str_eq(scene_beat(&s, &old), "FENCED_MEMBER_EPOCH");
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 9, 2),
                     "UNKNOWN_TOPIC_OR_PARTITION");
    ck_assert_str_eq(scene_commit(&s, &b, "g", "nothing", 0, 2),
                     "UNKNOWN_TOPIC_OR_PARTITION");
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 3, -2), "OFFSET_OUT_OF_RANGE");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/3=2");
}
END_TEST

/* A commit of long ago, under the epoch before, arrives when the partition has come back.
 * Another member worked on it meanwhile, and what that one committed stands. */
START_TEST(late_commit_does_not_reach_a_partition_that_came_back)
{
    struct worker a = {.name = "a"}, b = {.name = "b"}, before;

    share(&a, &b);
    before = a;
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 3, 200), "OK");
    scene_leave(&s, &b);
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1 2 3");
    ck_assert_str_eq(scene_commit(&s, &before, "g", "orders", 3, 100),
                     "FENCED_MEMBER_EPOCH");
    ck_assert_str_eq(scene_commit(&s, &before, "g", "orders", 0, 7), "OK");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=7 orders/3=200");
}
END_TEST

/* The answer that told a new epoch was lost: the member reports under the one before and
 * is told again, without another step. */
START_TEST(lost_answer_is_told_again)
{
    struct worker a = {.name = "a"}, b = {.name = "b"}, before;

    scene_join(&s, &a, "g", "orders");
    scene_join(&s, &b, "g", "orders");
    before = a;
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1");
    ck_assert_str_eq(scene_beat(&s, &before), "orders 0 1");
    ck_assert_int_eq(a.epoch, before.epoch);
    ck_assert_str_eq(scene_beat(&s, &b), "");
}
END_TEST

/* Nobody hears of a commit before the disk has it, and many wait for the disk together.
 */
START_TEST(commit_is_answered_when_durable)
{
    struct worker a = {.name = "a"};
    struct call *first, *second;

    scene_join(&s, &a, "g", "orders");
    first = scene_send_commit(&s, &a, "g", "orders", 0, 1);
    second = scene_send_commit(&s, &a, "g", "orders", 1, 2);
    ck_assert(!first->answered && !second->answered);
    ck_assert_uint_eq(s.log.count - s.log.durable, 2);
    ck_assert_str_eq(scene_committed(&s, "g"), ""); /* answered at once, from what was */
    scene_durable(&s);
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=1 orders/1=2");
    ck_assert_str_eq(first->text, "OK");
    ck_assert_str_eq(second->text, "OK");
}
END_TEST

/* Commits ride together; a change of membership waits for those before it, and those
 * behind it wait for the change. */
START_TEST(membership_stands_alone_in_the_line)
{
    struct worker a = {.name = "a"};
    Leat__GroupLeaveRequest leave = LEAT__GROUP_LEAVE_REQUEST__INIT;
    struct call *before, *out, *after;

    scene_join(&s, &a, "g", "orders");
    leave.group = (char *)"g";
    leave.member_id = a.id;
    before = scene_send_commit(&s, &a, "g", "orders", 0, 1);
    out = scene_send(&s, RPC_GROUP_LEAVE, &leave);
    after = scene_send_commit(&s, &a, "g", "orders", 0, 2);
    ck_assert_uint_eq(s.log.count - s.log.durable, 1);
    scene_durable(&s);
    ck_assert_str_eq(before->text, "OK");
    ck_assert_str_eq(out->text, "OK");
    ck_assert_str_eq(after->text, "UNKNOWN_MEMBER");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=1");
}
END_TEST

/* A heartbeat that changes nothing neither writes nor waits for those who do. */
START_TEST(idle_heartbeat_does_not_wait_for_commits)
{
    struct worker a = {.name = "a"};
    Leat__GroupHeartbeatRequest q = LEAT__GROUP_HEARTBEAT_REQUEST__INIT;
    struct call *commit, *beat;

    scene_join(&s, &a, "g", "orders");
    commit = scene_send_commit(&s, &a, "g", "orders", 0, 1);
    q.group = (char *)"g";
    q.member_id = a.id;
    q.member_epoch = a.epoch;
    beat = scene_send(&s, RPC_GROUP_HEARTBEAT, &q);
    ck_assert_str_eq(beat->text, "orders 0 1 2 3");
    ck_assert(!commit->answered);
    scene_durable(&s);
}
END_TEST

/* Members, epochs and offsets are there after a crash; what was not durable is not, and
 * was not answered. Sessions begin anew. */
START_TEST(what_was_answered_survives_a_crash)
{
    struct worker a = {.name = "a"}, b = {.name = "b"};

    share(&a, &b);
    scene_commit(&s, &a, "g", "orders", 0, 5);
    scene_pass_ms(&s, 40000);
    scene_send_commit(&s, &a, "g", "orders", 0, 9);
    scene_crash(&s);
    scene_pass_ms(&s, 40000);
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=5");
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1");
    ck_assert_str_eq(scene_beat(&s, &b), "orders 2 3");
    ck_assert_str_eq(scene_commit(&s, &b, "g", "orders", 2, 3), "OK");
}
END_TEST

/* A member that hears it must give something up and does not is put out when its time is
 * over, however alive it is. */
START_TEST(member_that_does_not_let_go_is_put_out)
{
    struct worker a = {.name = "a"}, b = {.name = "b"}, stuck;

    scene_join(&s, &a, "g", "orders");
    stuck = a;
    scene_join(&s, &b, "g", "orders");
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1");
    stuck.epoch = a.epoch;
    for (int i = 0; i < 6; i++) {
        struct worker now = stuck;

        ck_assert_str_eq(scene_beat(&s, &now), "orders 0 1");
        scene_beat(&s, &b);
        scene_pass_ms(&s, 9900);
    }
    scene_pass_ms(&s, 1000);
    ck_assert_str_eq(scene_beat(&s, &stuck), "UNKNOWN_MEMBER");
    ck_assert_str_eq(scene_beat(&s, &b), "orders 0 1 2 3");
}
END_TEST

/* A topic grows: the next heartbeat tells. It goes: so do its offsets, and a new one of
 * the same name starts from nothing. */
START_TEST(topics_come_grow_and_go)
{
    struct worker a = {.name = "a"};

    ck_assert_str_eq(scene_join(&s, &a, "g", "later"), "");
    scene_topic(&s, "later", 1);
    ck_assert_str_eq(scene_beat(&s, &a), "later 0");
    scene_topic(&s, "later", 2);
    ck_assert_str_eq(scene_beat(&s, &a), "later 0 1");
    ck_assert_str_eq(scene_commit(&s, &a, "g", "later", 1, 50), "OK");
    scene_remove_topic(&s, "later");
    scene_durable(&s);
    ck_assert_str_eq(scene_committed(&s, "g"), "");
    ck_assert_str_eq(scene_beat(&s, &a), "");
    scene_topic(&s, "later", 1);
    ck_assert_str_eq(scene_beat(&s, &a), "later 0");
    ck_assert_str_eq(scene_committed(&s, "g"), "");
}
END_TEST

/* The topic's removal was durable, that of its offsets was not: noticed at the next
 * start. */
START_TEST(offsets_of_a_lost_topic_go_at_start)
{
    struct coordinator_stats stats;

    scene_commit(&s, NULL, "g", "orders", 0, 5);
    scene_remove_topic(&s, "orders");
    scene_crash(&s);
    coordinator_stats(s.c, &stats);
    ck_assert_uint_eq(stats.offsets, 1);
    scene_durable(&s);
    coordinator_stats(s.c, &stats);
    ck_assert_uint_eq(stats.offsets, 0);
}
END_TEST

/* Offsets may be set from outside as long as nobody works there. */
START_TEST(outside_commit_needs_an_empty_group)
{
    struct worker a = {.name = "a"};

    ck_assert_str_eq(scene_commit(&s, NULL, "g", "orders", 0, 5), "OK");
    scene_join(&s, &a, "g", "orders");
    ck_assert_str_eq(scene_commit(&s, NULL, "g", "orders", 0, 6), "NON_EMPTY_GROUP");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=5");
    ck_assert_str_eq(scene_committed(&s, "never.seen"), "");
}
END_TEST

START_TEST(delete_refuses_while_members_are_there)
{
    struct worker a = {.name = "a"};

    scene_join(&s, &a, "g", "orders");
    scene_commit(&s, &a, "g", "orders", 0, 5);
    ck_assert_str_eq(scene_delete(&s, "g"), "NON_EMPTY_GROUP");
    scene_leave(&s, &a);
    ck_assert_str_eq(scene_delete(&s, "g"), "OK");
    ck_assert_str_eq(scene_delete(&s, "g"), "GROUP_NOT_FOUND");
    ck_assert_str_eq(scene_committed(&s, "g"), "");
    ck_assert_str_eq(scene_describe(&s, "g"), "GROUP_NOT_FOUND");
}
END_TEST

/* A group without members is kept for offsets.retention.ms after its last sign of life.
 */
START_TEST(idle_group_expires)
{
    struct worker a = {.name = "a"};
    int64_t kept_ms = config_number(&s.config, CONFIG_OFFSETS_RETENTION);

    scene_commit(&s, NULL, "idle", "orders", 0, 5);
    scene_join(&s, &a, "busy", "orders");
    scene_commit(&s, &a, "busy", "orders", 0, 5);
    scene_pass_ms(&s, kept_ms - 1000);
    ck_assert_str_eq(scene_committed(&s, "idle"), "orders/0=5");
    scene_pass_ms(&s, 20000);
    ck_assert_str_eq(scene_describe(&s, "idle"), "GROUP_NOT_FOUND");
    ck_assert_str_eq(scene_committed(&s, "busy"), "orders/0=5");
}
END_TEST

static const char *reset(Leat__GroupResetRequest__Target target, int64_t value,
                         bool validate_only)
{
    Leat__GroupResetRequest q = LEAT__GROUP_RESET_REQUEST__INIT;
    struct call *call;

    q.group = (char *)"g";
    q.target = target;
    q.value = value;
    q.validate_only = validate_only;
    call = scene_send(&s, RPC_GROUP_RESET, &q);
    if (s.asked != NULL)
        scene_answer_query(&s);
    scene_durable(&s);
    ck_assert(call->answered);
    return call->text;
}

/* Look at the plan first, then carry it out; everything is held within what the partition
 * has. */
START_TEST(reset_plans_and_carries_out)
{
    s.log_start = 10;
    s.by_time = 42;
    scene_commit(&s, NULL, "g", "orders", 0, 50);
    scene_commit(&s, NULL, "g", "orders", 1, 20);
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__EARLIEST, 0, true),
                     "orders/0 50->10 orders/1 20->10");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=50 orders/1=20");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__SHIFT, -15, false),
                     "orders/0 50->35 orders/1 20->10");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=35 orders/1=10");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__SHIFT, INT64_MAX, true),
                     "orders/0 35->100 orders/1 10->100");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__TIMESTAMP, 9999, true),
                     "orders/0 35->42 orders/1 10->42");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__OFFSET, 5, true),
                     "orders/0 35->10 orders/1 10->10");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__LATEST, 0, false),
                     "orders/0 35->100 orders/1 10->100");
    scene_crash(&s);
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=100 orders/1=100");
}
END_TEST

START_TEST(reset_needs_an_empty_group_that_exists)
{
    struct worker a = {.name = "a"};

    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__LATEST, 0, false),
                     "GROUP_NOT_FOUND");
    scene_join(&s, &a, "g", "orders");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__LATEST, 0, false),
                     "NON_EMPTY_GROUP");
    ck_assert_str_eq(reset((Leat__GroupResetRequest__Target)9, 0, false),
                     "INVALID_REQUEST");
    ck_assert_str_eq(reset(LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT, 0, false),
                     "INVALID_REQUEST");
}
END_TEST

static const char *reset_explicit(int32_t partition, int64_t offset)
{
    Leat__GroupResetRequest q = LEAT__GROUP_RESET_REQUEST__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT;
    Leat__OffsetPartition row = LEAT__OFFSET_PARTITION__INIT;
    Leat__OffsetTopic *topics = &t;
    Leat__OffsetPartition *rows = &row;
    struct call *call;

    q.group = (char *)"g";
    q.target = LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT;
    q.offsets = &topics;
    q.n_offsets = 1;
    t.name = (char *)"orders";
    t.partitions = &rows;
    t.n_partitions = 1;
    row.partition = partition;
    row.offset = offset;
    call = scene_send(&s, RPC_GROUP_RESET, &q);
    scene_durable(&s);
    ck_assert(call->answered);
    return call->text;
}

/* A reset can be undone exactly, down to "nothing was committed". */
START_TEST(explicit_reset_undoes)
{
    ck_assert_str_eq(reset_explicit(0, 7), "orders/0 -1->7");
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=7");
    ck_assert_str_eq(reset_explicit(0, -1), "orders/0 7->-1");
    ck_assert_str_eq(scene_committed(&s, "g"), "");
    ck_assert_str_eq(reset_explicit(9, 1), "orders/9 UNKNOWN_TOPIC_OR_PARTITION");
    ck_assert_str_eq(reset_explicit(0, -2), "OFFSET_OUT_OF_RANGE");
}
END_TEST

/* Stopping answers everybody, also those whose records are under way or whose partitions
 * are being asked. */
START_TEST(stop_answers_everybody)
{
    Leat__GroupResetRequest q = LEAT__GROUP_RESET_REQUEST__INIT;
    Leat__GroupListRequest list = LEAT__GROUP_LIST_REQUEST__INIT;
    struct call *commit, *plan, *behind;

    scene_commit(&s, NULL, "g", "orders", 0, 5);
    commit = scene_send_commit(&s, NULL, "other", "orders", 0, 5);
    q.group = (char *)"g";
    plan = scene_send(&s, RPC_GROUP_RESET, &q);
    behind = scene_send_commit(&s, NULL, "g", "orders", 0, 6);
    ck_assert_ptr_nonnull(s.asked);
    coordinator_stop(s.c);
    ck_assert_str_eq(commit->text, "SHUTTING_DOWN");
    ck_assert_str_eq(plan->text, "SHUTTING_DOWN");
    ck_assert_str_eq(behind->text, "SHUTTING_DOWN");
    ck_assert_str_eq(scene_send(&s, RPC_GROUP_LIST, &list)->text, "SHUTTING_DOWN");
    scene_durable(&s);
    ck_assert_int_eq(coordinator_deadline(s.c), INT64_MAX);
}
END_TEST

/* Another broker leads the group log now: whoever waits is sent there, and what comes of
 * records under way is not ours to tell. */
START_TEST(resigning_sends_everybody_away)
{
    Leat__GroupListRequest list = LEAT__GROUP_LIST_REQUEST__INIT;
    struct call *commit, *behind;

    commit = scene_send_commit(&s, NULL, "g", "orders", 0, 5);
    behind = scene_send_commit(&s, NULL, "g", "orders", 0, 6);
    coordinator_resign(s.c, s.now);
    ck_assert_str_eq(commit->text, "NOT_COORDINATOR");
    ck_assert_str_eq(behind->text, "NOT_COORDINATOR");
    ck_assert_str_eq(scene_send(&s, RPC_GROUP_LIST, &list)->text, "NOT_COORDINATOR");
    scene_durable(&s);
}
END_TEST

/* It has followed along, so it knows what was committed while others led; but it serves
 * only when everything from before is committed, and gives everybody a whole session. */
START_TEST(standby_takes_over_with_what_was_committed)
{
    struct worker a = {.name = "a"};
    Leat__GroupListRequest list = LEAT__GROUP_LIST_REQUEST__INIT;

    scene_join(&s, &a, "g", "orders");
    ck_assert_str_eq(scene_commit(&s, &a, "g", "orders", 0, 5), "OK");
    scene_send_commit(&s, &a, "g", "orders", 0, 7);
    coordinator_resign(s.c, s.now);
    scene_pass_ms(&s, 3600000);
    coordinator_lead(s.c, 9, s.now);
    ck_assert_str_eq(scene_send(&s, RPC_GROUP_LIST, &list)->text, "COORDINATOR_LOADING");
    coordinator_ready(s.c, s.now);
    ck_assert_str_eq(scene_committed(&s, "g"), "orders/0=7");
    ck_assert_str_eq(scene_beat(&s, &a), "orders 0 1 2 3");
}
END_TEST

static const char *join_with(Leat__GroupJoinRequest *q)
{
    struct call *call = scene_send(&s, RPC_GROUP_JOIN, q);

    scene_durable(&s);
    ck_assert(call->answered);
    return call->text;
}

/* What comes from outside is looked at once, at the door. */
START_TEST(bad_joins_are_refused_at_the_door)
{
    Leat__GroupJoinRequest q = LEAT__GROUP_JOIN_REQUEST__INIT;
    char *bad[] = {(char *)"no/topic"};
    char longer[66];

    memset(longer, 'x', 65);
    longer[65] = '\0';
    ck_assert_str_eq(join_with(&q), "INVALID_GROUP");
    q.group = (char *)"g";
    q.member_id = longer;
    ck_assert_str_eq(join_with(&q), "INVALID_REQUEST");
    q.member_id = (char *)"two words";
    ck_assert_str_eq(join_with(&q), "INVALID_REQUEST");
    q.member_id = (char *)"";
    q.topics = bad;
    q.n_topics = 1;
    ck_assert_str_eq(join_with(&q), "INVALID_TOPIC");
    q.n_topics = 0;
    q.assignor = (char *)"best";
    ck_assert_str_eq(join_with(&q), "UNSUPPORTED_ASSIGNOR");
    q.assignor = (char *)"range";
    q.session_timeout_ms = 5;
    ck_assert_str_eq(join_with(&q), "INVALID_SESSION_TIMEOUT");
    q.session_timeout_ms = 0;
    q.rebalance_timeout_ms = -1;
    ck_assert_str_eq(join_with(&q), "INVALID_REQUEST");
    q.rebalance_timeout_ms = 0;
    ck_assert_str_eq(join_with(&q), "");
    q.assignor = (char *)"sticky";
    ck_assert_str_eq(join_with(&q), "UNSUPPORTED_ASSIGNOR");
}
END_TEST

START_TEST(groups_and_members_are_bounded)
{
    struct worker a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};

    s.config.values[CONFIG_GROUP_SIZE_MAX].number = 1;
    s.config.values[CONFIG_GROUPS_MAX].number = 1;
    scene_join(&s, &a, "g", "orders");
    ck_assert_str_eq(scene_join(&s, &b, "g", "orders"), "GROUP_FULL");
    ck_assert_str_eq(scene_join(&s, &c, "h", "orders"), "TOO_MANY");
    ck_assert_str_eq(scene_commit(&s, NULL, "h", "orders", 0, 1), "TOO_MANY");
    ck_assert_str_eq(scene_join(&s, &a, "g", "orders"), "orders 0 1 2 3");
}
END_TEST

/* Who joins again under its name starts anew: what it had is its own again, and commits
 * of its former self are fenced. */
START_TEST(joining_again_fences_the_former_self)
{
    struct worker a = {.name = "a"}, former;

    scene_join(&s, &a, "g", "orders");
    former = a;
    ck_assert_str_eq(scene_join(&s, &a, "g", "orders"), "orders 0 1 2 3");
    ck_assert_int_gt(a.epoch, former.epoch);
    ck_assert_str_eq(scene_commit(&s, &former, "g", "orders", 0, 1),
                     "FENCED_MEMBER_EPOCH");
    ck_assert_str_eq(scene_commit(&s, &a, "g", "orders", 0, 1), "OK");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group: coordinator");
    TCase *tc = tcase_create("coordinator");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, two_members_share);
    tcase_add_test(tc, the_other_takes_over_when_one_leaves);
    tcase_add_test(tc, zombie_is_fenced);
    tcase_add_test(tc, commit_needs_epoch_and_partition);
    tcase_add_test(tc, late_commit_does_not_reach_a_partition_that_came_back);
    tcase_add_test(tc, lost_answer_is_told_again);
    tcase_add_test(tc, commit_is_answered_when_durable);
    tcase_add_test(tc, membership_stands_alone_in_the_line);
    tcase_add_test(tc, idle_heartbeat_does_not_wait_for_commits);
    tcase_add_test(tc, what_was_answered_survives_a_crash);
    tcase_add_test(tc, member_that_does_not_let_go_is_put_out);
    tcase_add_test(tc, topics_come_grow_and_go);
    tcase_add_test(tc, offsets_of_a_lost_topic_go_at_start);
    tcase_add_test(tc, outside_commit_needs_an_empty_group);
    tcase_add_test(tc, delete_refuses_while_members_are_there);
    tcase_add_test(tc, idle_group_expires);
    tcase_add_test(tc, reset_plans_and_carries_out);
    tcase_add_test(tc, reset_needs_an_empty_group_that_exists);
    tcase_add_test(tc, explicit_reset_undoes);
    tcase_add_test(tc, stop_answers_everybody);
    tcase_add_test(tc, resigning_sends_everybody_away);
    tcase_add_test(tc, standby_takes_over_with_what_was_committed);
    tcase_add_test(tc, bad_joins_are_refused_at_the_door);
    tcase_add_test(tc, groups_and_members_are_bounded);
    tcase_add_test(tc, joining_again_fences_the_former_self);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
