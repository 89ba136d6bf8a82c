/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker falls silent, as one does behind a broken network: no answer, no end of the
 * connection. Who may ask again goes on at the broker that the metadata names instead,
 * long before the request's time is over. */
#include "tests/unit/client/consumer_scene.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { FIRST = 1, SECOND = 2, SOON_MS = 10000, REQUEST_MS = 60000 };

static struct fake_broker *other; /* the second one */
static atomic_int leader;

static bool answer_metadata(struct fake_request *r, void *arg)
{
    Leat__MetadataResponse m = LEAT__METADATA_RESPONSE__INIT;
    Leat__BrokerInfo a = LEAT__BROKER_INFO__INIT, b = LEAT__BROKER_INFO__INIT;
    Leat__BrokerInfo *brokers[] = {&a, &b};
    Leat__TopicInfo t = LEAT__TOPIC_INFO__INIT, *topics[] = {&t};
    Leat__PartitionInfo p = LEAT__PARTITION_INFO__INIT, *partitions[] = {&p};
    uint8_t id[16] = "orders";

    a.node_id = FIRST;
    b.node_id = SECOND;
    a.host = b.host = (char *)"127.0.0.1";
    a.port = fake_broker_port(broker);
    b.port = fake_broker_port(other);
    m.controller_id = m.coordinator_id = p.leader = atomic_load(&leader);
    p.leader_epoch = p.leader;
    t.name = (char *)"orders";
    t.topic_id = (ProtobufCBinaryData){sizeof id, id};
    t.partitions = partitions;
    t.n_partitions = 1;
    m.brokers = brokers;
    m.n_brokers = 2;
    m.topics = topics;
    m.n_topics = 1;
    fake_answer(r, &m.base, (struct bytes){0});
    return true;
}

static void append_to(struct fake_broker *b, int count)
{
    struct fake_broker *kept = broker;

    broker = b;
    append("orders", 0, count);
    broker = kept;
}

static void begin(void)
{
    atomic_store(&leader, FIRST);
    scene_setup();
    other = fake_broker_start();
    topic_of("orders", 1);
    fake_broker_topic(other, "orders", 1);
    append_to(broker, 5);
    append_to(other, 7);
    fake_broker_handle(broker, RPC_METADATA, answer_metadata, NULL);
    fake_broker_handle(other, RPC_METADATA, answer_metadata, NULL);
}

static void end(void)
{
    scene_teardown();
    fake_broker_stop(other);
}

/* The first broker, and all that it was asked, is behind a wall. */
static void fall_silent(void)
{
    fake_broker_hold(broker, RPC_FETCH, true);
    fake_broker_hold(broker, RPC_METADATA, true);
    fake_broker_hold(broker, RPC_OFFSET_FETCH, true);
    atomic_store(&leader, SECOND);
}

/* The next offset, whatever is told meanwhile of the silence. */
static int64_t next_in_spite(leat_consumer *c)
{
    const leat_record *r;
    int n;

    while ((n = leat_consumer_next(c, &r, WAIT_MS, &error)) < 0)
        ck_assert_msg(error.retriable, "%s", error.text);
    ck_assert_int_eq(n, 1);
    return r->offset;
}

START_TEST(reading_goes_on_at_the_new_leader)
{
    leat_consumer *c =
        open_with(CONF("auto.offset.reset", "earliest", "request.timeout.ms", "60000"));
    int64_t began_ms;

    assign(c, "orders", 0, 0);
    for (int64_t n = 0; n < 5; n++)
        ck_assert_int_eq(next_offset(c), n);
    fall_silent();
    began_ms = engine_now_ms();
    ck_assert_int_eq(next_in_spite(c), 5);
    ck_assert_int_eq(next_in_spite(c), 6);
    ck_assert_int_lt(engine_now_ms() - began_ms, SOON_MS);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

START_TEST(questions_go_on_at_the_new_coordinator)
{
    leat_offset end = {.topic = "orders"};
    leat_reply *reply;
    int64_t began_ms;

    ck_assert_int_eq(
        leat_offsets_list(client, LEAT_OFFSET_LATEST, &end, 1, WAIT_MS, &error), LEAT_OK);
    ck_assert_int_eq(leat_group_offsets(client, "billing", &reply, WAIT_MS, &error),
                     LEAT_OK);
    leat_reply_free(reply);
    fall_silent();
    began_ms = engine_now_ms();
    ck_assert_msg(leat_group_offsets(client, "billing", &reply, REQUEST_MS, &error) ==
                      LEAT_OK,
                  "%s", error.text);
    leat_reply_free(reply);
    ck_assert_int_lt(engine_now_ms() - began_ms, SOON_MS);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("silence");
    Suite *s = suite_create("client silence");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, reading_goes_on_at_the_new_leader);
    tcase_add_test(t, questions_go_on_at_the_new_coordinator);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
