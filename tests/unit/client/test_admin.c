/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrative calls: what is asked, what comes back, and what failure looks like. */
#include "client/include/leat/leat.h"
#include "tests/support/fake_broker.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_MS = 20000 };

static struct fake_broker *broker;
static leat_client *client;
static leat_error error;

static void begin(int mode)
{
    leat_conf *conf = leat_conf_new();

    broker = fake_broker_start();
    fake_broker_topic(broker, "orders", 3);
    fake_broker_topic(broker, "bills", 1);
    ck_assert_int_eq(
        leat_conf_set(conf, "bootstrap.servers", fake_broker_servers(broker), &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "client.threads", mode ? "1" : "0", &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "retry.backoff.ms", "2ms", &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "reconnect.backoff.ms", "2ms", &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "reconnect.backoff.max.ms", "9ms", &error), 0);
    client = leat_client_open(conf, &error);
    ck_assert_ptr_nonnull(client);
    leat_conf_free(conf);
}

static void end(void)
{
    ck_assert_int_eq(leat_client_close(client, LONG_MS), LEAT_OK);
    fake_broker_stop(broker);
}

/* Brokers and partitions as METADATA has them; a topic that is not there has a row that
 * says so. */
START_TEST(cluster_and_topics_are_described)
{
    const char *names[] = {"bills", "nothing"};
    leat_reply *reply;

    begin(_i);
    ck_assert_int_eq(leat_cluster_describe(client, &reply, LONG_MS, &error), LEAT_OK);
    ck_assert_uint_eq(leat_reply_len(reply), 1);
    ck_assert_int_eq(leat_reply_broker(reply, 0)->port, fake_broker_port(broker));
    ck_assert_str_eq(leat_reply_broker(reply, 0)->version, "fake");
    ck_assert(leat_reply_broker(reply, 0)->controller);
    ck_assert_ptr_null(leat_reply_broker(reply, 1));
    ck_assert_ptr_null(leat_reply_group(reply, 0));
    leat_reply_free(reply);

    ck_assert_int_eq(
        leat_topics_describe(client, NULL, 0, false, false, &reply, LONG_MS, &error),
        LEAT_OK);
    ck_assert_uint_eq(leat_reply_len(reply), 4);
    leat_reply_free(reply);

    ck_assert_int_eq(
        leat_topics_describe(client, names, 2, false, false, &reply, LONG_MS, &error),
        LEAT_OK);
    ck_assert_uint_eq(leat_reply_len(reply), 2);
    ck_assert_str_eq(leat_reply_partition(reply, 0)->topic, "bills");
    ck_assert_uint_eq(strlen(leat_reply_partition(reply, 0)->topic_id), 32);
    ck_assert_int_eq(leat_reply_partition(reply, 0)->leader, 1);
    ck_assert_uint_eq(leat_reply_partition(reply, 0)->in_sync_count, 1);
    ck_assert_int_eq(leat_reply_partition(reply, 1)->code,
                     LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(leat_reply_partition(reply, 1)->partition, -1);
    leat_reply_free(reply);
    end();
}
END_TEST

static bool answer_logs(struct fake_request *r, void *arg)
{
    Leat__LogInfo log = LEAT__LOG_INFO__INIT;
    Leat__LogInfo *logs[] = {&log};
    Leat__LogTopic topic = LEAT__LOG_TOPIC__INIT;
    Leat__LogTopic *topics[] = {&topic};
    Leat__DescribeLogsResponse m = LEAT__DESCRIBE_LOGS_RESPONSE__INIT;

    log.partition = 0;
    log.log_start = 5;
    log.log_end = 9;
    log.bytes = 1000;
    topic.name = (char *)"bills";
    topic.partitions = logs;
    topic.n_partitions = 1;
    m.topics = topics;
    m.n_topics = 1;
    fake_answer(r, &m.base, (struct bytes){0});
    return true;
}

/* With logs asked for, the leader's numbers are joined to the rows. */
START_TEST(logs_are_joined_to_partitions)
{
    const char *name = "bills";
    leat_reply *reply;

    begin(_i);
    fake_broker_handle(broker, RPC_DESCRIBE_LOGS, answer_logs, NULL);
    ck_assert_int_eq(
        leat_topics_describe(client, &name, 1, false, true, &reply, LONG_MS, &error),
        LEAT_OK);
    ck_assert_int_eq(leat_reply_partition(reply, 0)->log_start, 5);
    ck_assert_int_eq(leat_reply_partition(reply, 0)->log_end, 9);
    ck_assert_uint_eq(leat_reply_partition(reply, 0)->bytes, 1000);
    leat_reply_free(reply);
    end();
}
END_TEST

static bool answer_create(struct fake_request *r, void *arg)
{
    const Leat__CreateTopicRequest *q = (const void *)r->message;
    Leat__CreateTopicResponse m = LEAT__CREATE_TOPIC_RESPONSE__INIT;

    ck_assert_str_eq(q->name, "new");
    ck_assert_int_eq(q->partitions, 4);
    ck_assert_uint_eq(q->n_config, 1);
    ck_assert_str_eq(q->config[0]->key, "retention.ms");
    ck_assert_str_eq(q->config[0]->value, "1000");
    fake_answer(r, &m.base, (struct bytes){0});
    return true;
}

/* A refusal is the broker's code and words; a lost answer to something that must not be
 * done twice is said to be that. */
START_TEST(creating_tells_what_happened)
{
    const leat_setting setting = {"retention.ms", "1000"};

    begin(_i);
    fake_broker_handle(broker, RPC_CREATE_TOPIC, answer_create, NULL);
    ck_assert_int_eq(
        leat_topic_create(client, "new", 4, 1, &setting, 1, false, LONG_MS, &error),
        LEAT_OK);
    fake_broker_fail(broker, RPC_CREATE_TOPIC, 0, 1, FAKE_REFUSE, STATUS_TOPIC_EXISTS);
    ck_assert_int_eq(
        leat_topic_create(client, "new", 4, 1, &setting, 1, false, LONG_MS, &error),
        LEAT_E_TOPIC_EXISTS);
    ck_assert_str_eq(error.where, "create topic new");
    ck_assert_str_eq(error.text, "as the script says");
    ck_assert(!error.retriable);
    fake_broker_fail(broker, RPC_CREATE_TOPIC, 0, 1, FAKE_DROP_UNSEEN, 0);
    ck_assert_int_eq(
        leat_topic_create(client, "new", 4, 1, &setting, 1, false, LONG_MS, &error),
        LEAT_E_UNREACHABLE);
    ck_assert_str_eq(error.text, "the answer was lost; it may have been done");
    ck_assert_int_eq(fake_broker_seen(broker, RPC_CREATE_TOPIC), 3);
    ck_assert_int_eq(leat_topic_create(client, NULL, 1, 1, NULL, 0, false, 10, &error),
                     LEAT_E_INVALID_ARGUMENT);
    end();
}
END_TEST

/* Each row has its own outcome; a row that fails does not fail the others. */
START_TEST(offsets_are_listed_row_by_row)
{
    leat_offset rows[] = {{.topic = "orders", .partition = 0},
                          {.topic = "orders", .partition = 7},
                          {.topic = "bills", .partition = 0},
                          {.topic = "nothing", .partition = 0}};

    begin(_i);
    fake_broker_fail(broker, RPC_LIST_OFFSETS, 0, 1, FAKE_REFUSE, STATUS_NOT_LEADER);
    ck_assert_int_eq(
        leat_offsets_list(client, LEAT_OFFSET_LATEST, rows, 4, LONG_MS, &error), LEAT_OK);
    ck_assert_int_eq(rows[0].code, LEAT_OK);
    ck_assert_int_eq(rows[0].offset, 0);
    ck_assert_int_eq(rows[1].code, LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(rows[2].code, LEAT_OK);
    ck_assert_int_eq(rows[3].code, LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    end();
}
END_TEST

static bool answer_group(struct fake_request *r, void *arg)
{
    int32_t numbers[] = {0, 2};
    Leat__TopicPartitions assigned = LEAT__TOPIC_PARTITIONS__INIT;
    Leat__TopicPartitions *list[] = {&assigned};
    Leat__MemberInfo member = LEAT__MEMBER_INFO__INIT;
    Leat__MemberInfo *members[] = {&member};
    Leat__GroupInfo group = LEAT__GROUP_INFO__INIT;
    Leat__GroupInfo *groups[] = {&group};
    Leat__GroupDescribeResponse m = LEAT__GROUP_DESCRIBE_RESPONSE__INIT;

    assigned.topic = (char *)"orders";
    assigned.partitions = numbers;
    assigned.n_partitions = 2;
    member.member_id = (char *)"m1";
    member.assigned = list;
    member.n_assigned = 1;
    group.name = (char *)"readers";
    group.state = (char *)"stable";
    group.members = members;
    group.n_members = 1;
    group.error = *(int *)arg;
    m.groups = groups;
    m.n_groups = 1;
    fake_answer(r, &m.base, (struct bytes){0});
    return true;
}

/* Members come with what they work on; a group that is not there is an error. */
START_TEST(groups_are_described)
{
    const leat_member_row *row;
    leat_reply *reply;
    int code = 0;

    begin(_i);
    fake_broker_handle(broker, RPC_GROUP_DESCRIBE, answer_group, &code);
    ck_assert_int_eq(leat_group_describe(client, "readers", &reply, LONG_MS, &error), 0);
    row = leat_reply_member(reply, 0);
    ck_assert_str_eq(row->member_id, "m1");
    ck_assert_str_eq(row->group_state, "stable");
    ck_assert_uint_eq(row->assigned_count, 2);
    ck_assert_str_eq(row->assigned[1].topic, "orders");
    ck_assert_int_eq(row->assigned[1].partition, 2);
    leat_reply_free(reply);
    code = STATUS_GROUP_NOT_FOUND;
    ck_assert_int_eq(leat_group_describe(client, "readers", &reply, LONG_MS, &error),
                     LEAT_E_GROUP_NOT_FOUND);
    ck_assert_str_eq(error.where, "describe group readers");
    end();
}
END_TEST

/* With the broker gone a call ends at its deadline, and says that nobody answered. */
START_TEST(a_dead_broker_ends_the_wait)
{
    leat_reply *reply;
    leat_offset row = {.topic = "orders"};

    begin(_i);
    fake_broker_down(broker);
    ck_assert_int_eq(leat_cluster_describe(client, &reply, 80, &error),
                     LEAT_E_UNREACHABLE);
    ck_assert(error.retriable);
    ck_assert_int_ne(leat_offsets_list(client, LEAT_OFFSET_LATEST, &row, 1, 80, &error),
                     LEAT_OK);
    ck_assert_int_lt(row.code, 0);
    fake_broker_up(broker);
    ck_assert_int_eq(leat_cluster_describe(client, &reply, LONG_MS, &error), LEAT_OK);
    leat_reply_free(reply);
    end();
}
END_TEST

/* Codes have names and sentences, those of nobody's table too. */
START_TEST(codes_have_names)
{
    ck_assert_str_eq(leat_code_name(LEAT_E_QUEUE_FULL), "QUEUE_FULL");
    ck_assert_str_eq(leat_code_name(LEAT_E_TOPIC_EXISTS), "TOPIC_EXISTS");
    ck_assert_str_eq(leat_code_name(31337), "UNKNOWN");
    ck_assert_uint_gt(strlen(leat_code_text(LEAT_E_MAYBE_PERSISTED)), 10);
    ck_assert_uint_gt(strlen(leat_version()), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin");
    TCase *t = tcase_create("admin");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, cluster_and_topics_are_described, 0, 2);
    tcase_add_loop_test(t, logs_are_joined_to_partitions, 0, 2);
    tcase_add_loop_test(t, creating_tells_what_happened, 0, 2);
    tcase_add_loop_test(t, offsets_are_listed_row_by_row, 0, 2);
    tcase_add_loop_test(t, groups_are_described, 0, 2);
    tcase_add_loop_test(t, a_dead_broker_ends_the_wait, 0, 2);
    tcase_add_test(t, codes_have_names);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
