/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups in a whole broker of two shards: the coordinator on shard 0, partitions on both,
 * topics that come and go under the groups, restarts, a disk that holds its breath. */
#include "tests/unit/broker/asks.h"

#include "proto/base/memory.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_wire *w;

static void begin(void)
{
    w = fake_wire_new(2);
    ask_from(0);
    ask_create(w, "t", 2);
    fake_wire_run(w);
    ck_assert_ptr_nonnull(strstr(fake_wire_said(w), "create_topic#1: topic_id"));
}

static void end(void)
{
    fake_wire_free(w);
}

static void ask(enum rpc_api api, const void *header)
{
    fake_wire_ask(w, 1, api, header, (struct bytes){0});
}

static const char *said(void)
{
    fake_wire_run(w);
    return fake_wire_said(w);
}

static void join(const char *id)
{
    Leat__GroupJoinRequest q = LEAT__GROUP_JOIN_REQUEST__INIT;
    char *topics[] = {(char *)"t"};

    q.group = (char *)"g";
    q.member_id = (char *)id;
    q.topics = topics;
    q.n_topics = 1;
    ask(RPC_GROUP_JOIN, &q);
}

/* `owned` is a mask of partitions. */
static void beat(const char *id, int32_t epoch, unsigned owned)
{
    Leat__GroupHeartbeatRequest q = LEAT__GROUP_HEARTBEAT_REQUEST__INIT;
    Leat__TopicPartitions t = LEAT__TOPIC_PARTITIONS__INIT;
    Leat__TopicPartitions *list = &t;
    int32_t partitions[2];

    q.group = (char *)"g";
    q.member_id = (char *)id;
    q.member_epoch = epoch;
    q.owned = &list;
    q.n_owned = owned != 0;
    t.topic = (char *)"t";
    t.partitions = partitions;
    for (int32_t p = 0; p < 2; p++)
        if (owned & 1u << p)
            partitions[t.n_partitions++] = p;
    ask(RPC_GROUP_HEARTBEAT, &q);
}

static void commit(const char *id, int32_t epoch, int32_t partition, int64_t offset)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT;
    Leat__OffsetPartition row = LEAT__OFFSET_PARTITION__INIT;
    Leat__OffsetTopic *topics = &t;
    Leat__OffsetPartition *rows = &row;

    q.group = (char *)"g";
    q.member_id = (char *)id;
    q.member_epoch = epoch;
    q.topics = &topics;
    q.n_topics = 1;
    t.name = (char *)"t";
    t.partitions = &rows;
    t.n_partitions = 1;
    row.partition = partition;
    row.offset = offset;
    ask(RPC_OFFSET_COMMIT, &q);
}

static void committed(void)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;

    q.group = (char *)"g";
    ask(RPC_OFFSET_FETCH, &q);
}

/* Two members share a topic; one dies, and the other has it all after the session time.
 */
START_TEST(survivor_takes_over)
{
    join("a");
    join("b");
    ck_assert_str_eq(said(),
                     "group_join#2: member_id='a' member_epoch=2 "
                     "heartbeat_interval_ms=3000 assigned={topic='t' partitions=0 1}\n"
                     "group_join#3: member_id='b' member_epoch=3 "
                     "heartbeat_interval_ms=300\n");
    beat("a", 2, 3);
    ck_assert_str_eq(said(), "group_heartbeat#4: member_epoch=4 "
                             "heartbeat_interval_ms=300 assigned={topic='t' "
                             "partitions=0}\n");
    beat("a", 4, 1);
    beat("b", 3, 0);
    ck_assert_str_eq(said(), "group_heartbeat#5: member_epoch=4 "
                             "heartbeat_interval_ms=3000 assigned={topic='t' "
                             "partitions=0}\n"
                             "group_heartbeat#6: member_epoch=5 "
                             "heartbeat_interval_ms=3000 assigned={topic='t' "
                             "partitions=1}\n");
    fake_wire_pass_ms(w, 30000);
    beat("a", 4, 1);
    fake_wire_pass_ms(w, 20000);
    fake_wire_said(w);
    beat("a", 4, 1);
    commit("b", 5, 1, 7);
    ck_assert_str_eq(said(), "group_heartbeat#8: member_epoch=7 "
                             "heartbeat_interval_ms=3000 assigned={topic='t' "
                             "partitions=0 1}\n"
                             "offset_commit#9: UNKNOWN_MEMBER\n");
}
END_TEST

/* While the disk holds its breath nobody hears of a commit; a restart forgets nothing of
 * what was told. */
START_TEST(commit_waits_for_the_disk_and_survives)
{
    join("a");
    said();
    fake_media_mood(fake_wire_media(w))->held = true;
    commit("a", 2, 1, 7);
    fake_wire_turn(w);
    ck_assert_str_eq(fake_wire_said(w), "");
    fake_media_mood(fake_wire_media(w))->held = false;
    ck_assert_str_eq(said(),
                     "offset_commit#3: topics={name='t' partitions={partition=1}}\n");
    fake_wire_close(w);
    fake_wire_open(w);
    beat("a", 2, 3);
    committed();
    ck_assert_ptr_nonnull(strstr(said(), "partitions={partition=1 offset=7 "));
}
END_TEST

/* A topic is removed under the group and made anew: nothing of the old one is left. */
START_TEST(topic_made_anew_starts_from_nothing)
{
    commit("", -1, 0, 5);
    said();
    ask_delete(w, "t");
    said();
    ask_create(w, "t", 2);
    said();
    committed();
    ck_assert_str_eq(said(), "offset_fetch#5: \n");
}
END_TEST

/* A member of a topic that does not exist yet hears of it once it does. */
START_TEST(grown_topic_is_shared_at_the_next_heartbeat)
{
    ask_delete(w, "t");
    said();
    join("a");
    said();
    ask_create(w, "t", 2);
    said();
    beat("a", 1, 0);
    ck_assert_str_eq(said(), "group_heartbeat#5: member_epoch=2 "
                             "heartbeat_interval_ms=3000 assigned={topic='t' "
                             "partitions=0 1}\n");
}
END_TEST

/* A reset asks the partitions, on whatever shard they are, what they hold. */
START_TEST(reset_asks_all_shards)
{
    Leat__GroupResetRequest q = LEAT__GROUP_RESET_REQUEST__INIT;
    Leat__TopicPartitions t = LEAT__TOPIC_PARTITIONS__INIT;
    Leat__TopicPartitions *topics = &t;

    ask_produce_to(w, "t", 0, 3);
    ask_produce_to(w, "t", 1, 4);
    said();
    q.group = (char *)"g";
    q.target = LEAT__GROUP_RESET_REQUEST__TARGET__LATEST;
    q.topics = &topics;
    q.n_topics = 1;
    t.topic = (char *)"t";
    ask(RPC_GROUP_RESET, &q);
    ck_assert_str_eq(said(), "group_reset#4: topics={name='t' partitions={before=-1 "
                             "after=3} {partition=1 before=-1 after=4}}\n");
    committed();
    ck_assert_ptr_nonnull(strstr(said(), "offset=4"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groups");
    TCase *tc = tcase_create("groups");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, survivor_takes_over);
    tcase_add_test(tc, commit_waits_for_the_disk_and_survives);
    tcase_add_test(tc, topic_made_anew_starts_from_nothing);
    tcase_add_test(tc, grown_topic_is_shared_at_the_next_heartbeat);
    tcase_add_test(tc, reset_asks_all_shards);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
