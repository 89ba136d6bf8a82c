/* SPDX-License-Identifier: Apache-2.0
 *
 * Engine, connection, metadata and calls against a scripted broker. Every test runs in
 * both modes: with the library's thread and without. */
#include "client/client.h"
#include "tests/support/fake_broker.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG_MS = 20000 };

static struct fake_broker *broker;
static leat_client *client;
static leat_error error;

static leat_client *open_client(bool threaded, const char *timeout)
{
    leat_conf *conf = leat_conf_new();
    leat_client *c;

    ck_assert_int_eq(
        leat_conf_set(conf, "bootstrap.servers", fake_broker_servers(broker), &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "client.threads", threaded ? "1" : "0", &error),
                     0);
    ck_assert_int_eq(leat_conf_set(conf, "request.timeout.ms", timeout, &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "retry.backoff.ms", "5ms", &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "reconnect.backoff.ms", "5ms", &error), 0);
    ck_assert_int_eq(leat_conf_set(conf, "reconnect.backoff.max.ms", "20ms", &error), 0);
    c = leat_client_open(conf, &error);
    ck_assert_msg(c != NULL, "%s", error.text);
    leat_conf_free(conf);
    return c;
}

static void begin(int mode, const char *timeout)
{
    broker = fake_broker_start();
    fake_broker_topic(broker, "orders", 3);
    client = open_client(mode == 1, timeout);
}

static void end(void)
{
    ck_assert_int_eq(leat_client_close(client, LONG_MS), LEAT_OK);
    fake_broker_stop(broker);
}

/* ---- a call and its outcome ---- */

struct trial {
    struct call call;
    int done;
    enum status status;
    int64_t offset;
    bool sent;
    char text[256];
};

static void on_done(struct call *call, const struct answer *answer)
{
    struct trial *t = (struct trial *)call;
    const Leat__ListOffsetsResponse *m = (const void *)answer->message;

    t->done++;
    t->status = answer->status;
    t->sent = answer->sent;
    strncpy(t->text, answer->text, sizeof t->text - 1);
    if (m != NULL && m->n_topics == 1 && m->topics[0]->n_partitions == 1)
        t->offset = m->topics[0]->partitions[0]->offset;
}

static bool is_done(void *arg)
{
    return ((struct trial *)arg)->done > 0;
}

static void trial_start(struct trial *t, const char *topic, int32_t partition,
                        int timeout_ms)
{
    Leat__ListOffsetsRequest m = LEAT__LIST_OFFSETS_REQUEST__INIT;
    Leat__ListOffsetsTopic to = LEAT__LIST_OFFSETS_TOPIC__INIT;
    Leat__ListOffsetsPartition p = LEAT__LIST_OFFSETS_PARTITION__INIT;
    Leat__ListOffsetsTopic *topics[] = {&to};
    Leat__ListOffsetsPartition *partitions[] = {&p};

    p.partition = partition;
    p.timestamp_ms = -1;
    to.name = (char *)topic;
    to.n_partitions = 1;
    to.partitions = partitions;
    m.n_topics = 1;
    m.topics = topics;
    *t = (struct trial){.offset = -1};
    engine_lock(&client->engine);
    ck_assert_int_eq(call_init(&t->call, &client->cluster, on_done), STATUS_OK);
    t->call.target = CALL_LEADER;
    t->call.topic = topic;
    t->call.partition = partition;
    t->call.repeat = true;
    ck_assert_int_eq(
        call_start(&t->call, RPC_LIST_OFFSETS, &m.base, engine_deadline(timeout_ms)),
        STATUS_OK);
    engine_unlock(&client->engine);
}

static void trial_end(struct trial *t)
{
    engine_wait_for(&client->engine, is_done, t, engine_deadline(LONG_MS));
    engine_lock(&client->engine);
    call_release(&t->call);
    engine_unlock(&client->engine);
}

static void trial_run(struct trial *t, const char *topic, int32_t partition,
                      int timeout_ms)
{
    trial_start(t, topic, partition, timeout_ms);
    trial_end(t);
    ck_assert_int_eq(t->done, 1);
}

/* ---- the tests ---- */

/* The first call finds the cluster, the leader, and the answer. */
START_TEST(a_call_finds_the_leader)
{
    struct trial t;

    begin(_i, "30s");
    trial_run(&t, "orders", 2, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_OK);
    ck_assert_int_eq(t.offset, 0);
    end();
}
END_TEST

/* Connections that die before and after the broker has seen the request, refusals that
 * pass, and answers that are no frames: a call that may be repeated gets through. */
START_TEST(a_call_outlives_failures)
{
    struct trial t;

    begin(_i, "30s");
    fake_broker_fail(broker, RPC_HELLO, 0, 2, FAKE_DROP_UNSEEN, 0);
    fake_broker_fail(broker, RPC_METADATA, 0, 1, FAKE_DROP_UNSEEN, 0);
    fake_broker_fail(broker, RPC_METADATA, 0, 1, FAKE_REFUSE, STATUS_SHUTTING_DOWN);
    fake_broker_fail(broker, RPC_LIST_OFFSETS, 0, 2, FAKE_DROP_DONE, 0);
    fake_broker_fail(broker, RPC_LIST_OFFSETS, 0, 2, FAKE_REFUSE, STATUS_NOT_LEADER);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_msg(t.status == STATUS_OK, "%d %s", (int)t.status, t.text);
    ck_assert_int_eq(fake_broker_seen(broker, RPC_LIST_OFFSETS), 5);
    end();
}
END_TEST

/* Garbage ends the connection and is an error of the protocol: no retry. */
START_TEST(garbage_is_refused)
{
    struct trial t;

    begin(_i, "30s");
    fake_broker_fail(broker, RPC_LIST_OFFSETS, 0, 1, FAKE_GARBAGE, 0);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_PROTOCOL);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_OK);
    end();
}
END_TEST

/* What cannot come true is said at once, not after the deadline. */
START_TEST(unknown_topics_fail_early)
{
    struct trial t;

    begin(_i, "30s");
    trial_run(&t, "nothing", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_UNKNOWN_TOPIC_OR_PARTITION);
    trial_run(&t, "orders", 3, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_UNKNOWN_TOPIC_OR_PARTITION);
    end();
}
END_TEST

/* A partition without a leader is waited for. */
START_TEST(a_missing_leader_is_waited_for)
{
    struct trial t;

    begin(_i, "30s");
    fake_broker_leaderless(broker, true);
    trial_start(&t, "orders", 0, LONG_MS);
    if (_i == 0)
        leat_client_wait(client, 20);
    fake_broker_leaderless(broker, false);
    trial_end(&t);
    ck_assert_int_eq(t.status, STATUS_OK);
    end();
}
END_TEST

/* With nobody there a call ends at its deadline and says what it met. */
START_TEST(a_dead_cluster_ends_the_call_at_its_deadline)
{
    struct trial t;
    int64_t began;

    begin(_i, "30s");
    fake_broker_down(broker);
    began = engine_now_ms();
    trial_run(&t, "orders", 0, 150);
    ck_assert_int_ge(engine_now_ms() - began, 150);
    ck_assert_int_eq(t.status, STATUS_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(t.text, "connect 127.0.0.1"));
    fake_broker_up(broker);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_OK);
    end();
}
END_TEST

/* A broker that owes an answer for request.timeout.ms is given up, and asked again over a
 * new connection. */
START_TEST(a_silent_broker_is_disconnected)
{
    struct trial t;

    begin(_i, "100ms");
    fake_broker_fail(broker, RPC_LIST_OFFSETS, 0, 1, FAKE_SILENCE, 0);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_OK);
    ck_assert_int_eq(fake_broker_seen(broker, RPC_LIST_OFFSETS), 2);
    end();
}
END_TEST

/* An answer that comes after its call gave up is dropped quietly. */
START_TEST(late_answers_are_dropped)
{
    struct trial t;

    begin(_i, "30s");
    trial_run(&t, "orders", 0, LONG_MS);
    fake_broker_hold(broker, RPC_LIST_OFFSETS, true);
    trial_run(&t, "orders", 0, 50);
    ck_assert_int_eq(t.status, STATUS_TIMED_OUT);
    ck_assert(t.sent);
    fake_broker_hold(broker, RPC_LIST_OFFSETS, false);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_OK);
    ck_assert_int_eq(fake_broker_seen(broker, RPC_HELLO), 2);
    end();
}
END_TEST

/* ---- the descriptor ---- */

struct tick {
    struct notice notice;
    int ran;
    int total;
};

static bool run_tick(struct notice *n, int max, int *ran)
{
    struct tick *t = (struct tick *)n;
    int some = t->total - t->ran < max ? t->total - t->ran : max;

    ck_assert_int_eq(leat_client_dispatch(client, 10), 0); /* never re-entrantly */
    ck_assert_int_eq(leat_client_wait(client, 10), 0);
    t->ran += some;
    *ran += some;
    return t->ran == t->total;
}

static bool readable(void)
{
    struct pollfd p = {.fd = leat_client_fd(client), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* The descriptor is readable while callbacks wait, and not before or after; dispatch runs
 * as many as it may. */
START_TEST(the_descriptor_tells_of_callbacks)
{
    struct tick t = {.total = 5};

    begin(_i, "30s");
    leat_client_dispatch(client, 100);
    ck_assert(!readable());
    notice_init(&t.notice, run_tick);
    engine_lock(&client->engine);
    notice_post(&client->engine, &t.notice);
    notice_post(&client->engine, &t.notice);
    engine_unlock(&client->engine);
    ck_assert(readable());
    ck_assert_int_eq(leat_client_dispatch(client, 0), 0);
    ck_assert_int_eq(leat_client_dispatch(client, 2), 2);
    ck_assert(readable());
    ck_assert_int_eq(leat_client_wait(client, LONG_MS), 3);
    ck_assert(!readable());
    ck_assert_int_eq(leat_client_dispatch(client, 100), 0);
    ck_assert_int_eq(leat_client_wait(client, 10), 0);
    end();
}
END_TEST

/* Without a thread the descriptor alone drives everything: poll, dispatch, and nothing
 * else, carries a call to its end. */
START_TEST(without_a_thread_the_descriptor_drives_io)
{
    struct trial t;

    begin(0, "30s");
    fake_broker_fail(broker, RPC_LIST_OFFSETS, 0, 1, FAKE_DROP_UNSEEN, 0);
    trial_start(&t, "orders", 1, LONG_MS);
    while (t.done == 0) {
        struct pollfd p = {.fd = leat_client_fd(client), .events = POLLIN};

        ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
        leat_client_dispatch(client, 100);
    }
    trial_end(&t);
    ck_assert_int_eq(t.status, STATUS_OK);
    end();
}
END_TEST

/* A child inherits a client that it may only close; the parent's goes on. */
START_TEST(a_forked_child_may_only_close)
{
    struct trial t;
    int how;
    pid_t child;

    begin(_i, "30s");
    trial_run(&t, "orders", 0, LONG_MS);
    child = fork();
    if (child == 0) {
        int code = client_check(client, &error);

        _exit(code == LEAT_E_FORKED && leat_client_dispatch(client, 1) == 0 &&
                      leat_client_close(client, 1000) == LEAT_OK
                  ? 0
                  : 1);
    }
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    trial_run(&t, "orders", 0, LONG_MS);
    ck_assert_int_eq(t.status, STATUS_OK);
    ck_assert_int_eq(fake_broker_seen(broker, RPC_HELLO), 2);
    end();
}
END_TEST

/* Closing works before anything happened, with a call under way, and with the broker
 * away. */
START_TEST(close_keeps_its_deadline)
{
    int64_t began;

    begin(_i, "30s");
    end();

    begin(_i, "30s");
    fake_broker_hold(broker, RPC_METADATA, true);
    engine_lock(&client->engine);
    ck_assert_ptr_nonnull(cluster_topic(&client->cluster, "orders"));
    engine_unlock(&client->engine);
    if (_i == 0)
        leat_client_dispatch(client, 1);
    else
        fake_broker_await(broker, RPC_METADATA, 1);
    fake_broker_down(broker);
    began = engine_now_ms();
    ck_assert_int_eq(leat_client_close(client, 5000), LEAT_OK);
    ck_assert_int_lt(engine_now_ms() - began, 5000);
    fake_broker_stop(broker);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine");
    TCase *t = tcase_create("engine");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_call_finds_the_leader, 0, 2);
    tcase_add_loop_test(t, a_call_outlives_failures, 0, 2);
    tcase_add_loop_test(t, garbage_is_refused, 0, 2);
    tcase_add_loop_test(t, unknown_topics_fail_early, 0, 2);
    tcase_add_loop_test(t, a_missing_leader_is_waited_for, 0, 2);
    tcase_add_loop_test(t, a_dead_cluster_ends_the_call_at_its_deadline, 0, 2);
    tcase_add_loop_test(t, a_silent_broker_is_disconnected, 0, 2);
    tcase_add_loop_test(t, late_answers_are_dropped, 0, 2);
    tcase_add_loop_test(t, the_descriptor_tells_of_callbacks, 0, 2);
    tcase_add_test(t, without_a_thread_the_descriptor_drives_io);
    tcase_add_loop_test(t, a_forked_child_may_only_close, 0, 2);
    tcase_add_loop_test(t, close_keeps_its_deadline, 0, 2);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
