/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer against a scripted broker: what is read, in which order, by whom. */
#include "tests/unit/client/consumer_scene.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>

/* ---- reading ---- */

START_TEST(a_member_alone_reads_every_partition)
{
    leat_consumer *c = open_with(NULL);
    int64_t expected[3] = {0};

    topic_of("orders", 3);
    for (int32_t p = 0; p < 3; p++) {
        append("orders", p, 10);
        append_as("orders", p, 10, CODEC_LZ4);
    }
    subscribe(c, "orders");
    while (expected[0] + expected[1] + expected[2] < 60) {
        leat_batch *batch = poll_batch(c);

        for (size_t i = 0; i < leat_batch_len(batch); i++) {
            const leat_record *r = leat_batch_at(batch, i);

            ck_assert_int_eq(r->offset, expected[r->partition]++);
            ck_assert_int_eq(r->timestamp_ms, 1000 + r->offset);
        }
        leat_batch_free(batch);
    }
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

/* Each row: where an assignment begins, and the first record that is read. */
static const struct {
    int64_t offset;
    const char *reset;
    int64_t first;
} begins[] = {
    {7, "earliest", 7},
    {LEAT_OFFSET_EARLIEST, "latest", 3},
    {LEAT_OFFSET_LATEST, "earliest", 20},
    {LEAT_OFFSET_COMMITTED, "earliest", 3},
    {LEAT_OFFSET_COMMITTED, "latest", 20},
    {LEAT_OFFSET_COMMITTED, "@1011", 10},
    {1, "earliest", 3},   /* out of range: before */
    {1000, "latest", 20}, /* out of range: behind */
    {1000, "earliest", 3},
};

START_TEST(an_assignment_begins_where_it_says)
{
    topic_of("orders", 1);
    for (int i = 0; i < 2; i++)
        append("orders", 0, 10);
    fake_broker_trim(broker, "orders", 0, 3);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        leat_consumer *c = open_with(
            CONF("auto.offset.reset", begins[i].reset, "enable.auto.commit", "false"));
        int64_t position;

        assign(c, "orders", 0, begins[i].offset);
        if (begins[i].first < 20) {
            const int64_t offset = next_offset(c);

            ck_assert_msg(offset >= begins[i].first && offset <= begins[i].first + 1,
                          "row %zu began at %d", i, (int)offset);
        } else {
            const leat_record *r;

            ck_assert_int_eq(leat_consumer_next(c, &r, 100, &error), 0);
            ck_assert_int_eq(leat_consumer_position(c, "orders", 0, &position), LEAT_OK);
            ck_assert_int_eq(position, 20);
        }
        ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    }
}
END_TEST

START_TEST(lag_and_position_follow_what_was_handed_out)
{
    leat_consumer *c = open_with(NULL);
    leat_offset rows[2];
    int64_t n;

    topic_of("orders", 1);
    append("orders", 0, 10);
    assign(c, "orders", 0, 0);
    ck_assert_int_eq(leat_consumer_lag(c, "orders", 0, &n), LEAT_E_AGAIN);
    ck_assert_int_eq(next_offset(c), 0);
    ck_assert_int_eq(next_offset(c), 1);
    ck_assert_int_eq(leat_consumer_position(c, "orders", 0, &n), LEAT_OK);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(leat_consumer_lag(c, "orders", 0, &n), LEAT_OK);
    ck_assert_int_eq(n, 8);
    ck_assert_int_eq(leat_consumer_position(c, "orders", 1, &n), LEAT_E_NOT_ASSIGNED);
    ck_assert_uint_eq(leat_consumer_assignment(c, rows, 2), 1);
    ck_assert_str_eq(rows[0].topic, "orders");
    ck_assert_int_eq(rows[0].offset, 2);
    /* What next has not walked, poll hands out. */
    leat_batch *batch = poll_batch(c);
    ck_assert_uint_eq(leat_batch_len(batch), 8);
    ck_assert_int_eq(leat_batch_at(batch, 0)->offset, 2);
    leat_batch_free(batch);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

START_TEST(a_topic_that_does_not_exist_is_reported_and_waited_for)
{
    leat_consumer *c = open_with(CONF("fetch.max.wait.ms", "20"));
    leat_batch *batch;

    assign(c, "later", 0, LEAT_OFFSET_EARLIEST);
    ck_assert_int_eq(leat_consumer_poll(c, &batch, WAIT_MS, &error), -1);
    ck_assert_int_eq(error.code, LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert(error.retriable && !error.fatal);
    /* Once is enough for a while. */
    ck_assert_int_eq(leat_consumer_poll(c, &batch, 100, &error), 0);
    topic_of("later", 1);
    append("later", 0, 5);
    leat_batch_free(poll_batch(c));
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

static atomic_int stale_answers;
static atomic_bool stale;

/* A leader of an epoch before the one that the metadata tells: it has nothing. */
static bool answer_as_stale_leader(struct fake_request *r, void *arg)
{
    const Leat__FetchRequest *q = (const void *)r->message;
    Leat__FetchResponse m = LEAT__FETCH_RESPONSE__INIT;
    Leat__FetchTopicResult t = LEAT__FETCH_TOPIC_RESULT__INIT, *topics[] = {&t};
    Leat__FetchResult p = LEAT__FETCH_RESULT__INIT, *partitions[] = {&p};

    if (!atomic_load(&stale))
        return false;
    t.name = q->topics[0]->name;
    t.partitions = partitions;
    t.n_partitions = 1;
    p.error = q->topics[0]->partitions[0]->leader_epoch > 0 ? STATUS_UNKNOWN_LEADER_EPOCH
                                                            : STATUS_OFFSET_OUT_OF_RANGE;
    m.topics = topics;
    m.n_topics = 1;
    fake_answer(r, &m.base, (struct bytes){0});
    atomic_fetch_add(&stale_answers, 1);
    return true;
}

static bool was_stale(void *arg)
{
    return atomic_load(&stale_answers) >= 2;
}

/* What it says of the log's end is not believed: nothing is read again. */
START_TEST(a_deposed_leader_does_not_take_the_reader_back)
{
    leat_consumer *c =
        open_with(CONF("auto.offset.reset", "earliest", "fetch.max.wait.ms", "20"));

    topic_of("orders", 1);
    append("orders", 0, 5);
    atomic_store(&stale, false);
    atomic_store(&stale_answers, 0);
    fake_broker_handle(broker, RPC_FETCH, answer_as_stale_leader, NULL);
    assign(c, "orders", 0, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(next_offset(c), i);
    atomic_store(&stale, true);
    dispatch_until(was_stale, NULL);
    atomic_store(&stale, false);
    append("orders", 0, 1);
    ck_assert_int_eq(next_offset(c), 5);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

/* ---- seek and pause ---- */

START_TEST(a_seek_discards_what_was_buffered)
{
    leat_consumer *c = open_with(NULL);

    topic_of("orders", 1);
    for (int i = 0; i < 10; i++)
        append("orders", 0, 10);
    assign(c, "orders", 0, 0);
    ck_assert_int_eq(next_offset(c), 0);
    ck_assert_int_eq(next_offset(c), 1);
    ck_assert_int_eq(leat_consumer_seek(c, "orders", 0, 57, &error), LEAT_OK);
    ck_assert_int_eq(next_offset(c), 57);
    ck_assert_int_eq(leat_consumer_seek(c, "orders", 0, LEAT_OFFSET_EARLIEST, &error),
                     LEAT_OK);
    ck_assert_int_eq(next_offset(c), 0);
    ck_assert_int_eq(leat_consumer_seek(c, "orders", 1, 0, &error), LEAT_E_NOT_ASSIGNED);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

START_TEST(a_paused_partition_is_silent_and_goes_on_where_it_was)
{
    leat_consumer *c = open_with(CONF("fetch.max.wait.ms", "20"));
    const leat_record *r;

    topic_of("orders", 1);
    append("orders", 0, 10);
    assign(c, "orders", 0, 0);
    ck_assert_int_eq(next_offset(c), 0);
    ck_assert_int_eq(leat_consumer_pause(c, "orders", 0, true), LEAT_OK);
    ck_assert_int_eq(leat_consumer_next(c, &r, 60, &error), 0);
    ck_assert_int_eq(leat_consumer_pause(c, "orders", 0, false), LEAT_OK);
    ck_assert_int_eq(next_offset(c), 1);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

/* ---- waking up, threads, memory ---- */

static leat_consumer *woken;

static void on_alarm(int sig)
{
    leat_consumer_wakeup(woken);
}

START_TEST(a_signal_handler_may_wake_a_poll)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    leat_consumer *c = open_with(NULL);
    const int64_t begin_ms = engine_now_ms();
    leat_batch *batch;

    topic_of("orders", 1);
    assign(c, "orders", 0, 0);
    woken = c;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &soon, NULL);
    ck_assert_int_eq(leat_consumer_poll(c, &batch, WAIT_MS, &error), 0);
    ck_assert_int_lt(engine_now_ms() - begin_ms, WAIT_MS / 2);
    /* Before the poll it counts as well. */
    leat_consumer_wakeup(c);
    ck_assert_int_eq(leat_consumer_poll(c, &batch, WAIT_MS, &error), 0);
    signal(SIGALRM, SIG_DFL);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

static void *poll_elsewhere(void *arg)
{
    leat_batch *batch;
    int n = leat_consumer_poll(arg, &batch, WAIT_MS, &error);

    ck_assert_int_eq(n, 0);
    return NULL;
}

START_TEST(a_second_thread_is_turned_away)
{
    leat_consumer *c = open_with(NULL);
    pthread_t thread;
    int64_t n;

    topic_of("orders", 1);
    assign(c, "orders", 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, poll_elsewhere, c), 0);
    while (leat_consumer_position(c, "orders", 0, &n) != LEAT_E_BAD_STATE)
        leat_client_wait(client, 1);
    leat_consumer_wakeup(c);
    pthread_join(thread, NULL);
    ck_assert_int_eq(leat_consumer_position(c, "orders", 0, &n), LEAT_OK);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

static void *free_elsewhere(void *arg)
{
    leat_batch_free(arg);
    return NULL;
}

/* Batches that the program keeps count; when it gives one back, reading goes on. */
START_TEST(kept_batches_hold_up_fetching)
{
    leat_consumer *c = open_with(CONF("fetch.buffer.bytes", "2K", "partition.fetch.bytes",
                                      "1K", "fetch.max.bytes", "1K"));
    leat_batch *kept[100], *batch;
    pthread_t thread;
    int n = 0, got;

    topic_of("orders", 1);
    for (int i = 0; i < 100; i++)
        append("orders", 0, 20);
    assign(c, "orders", 0, 0);
    while ((got = leat_consumer_poll(c, &batch, 200, &error)) > 0) {
        ck_assert_int_lt(n, 100);
        kept[n++] = batch;
    }
    ck_assert_int_eq(got, 0);
    ck_assert_int_gt(n, 0);
    while (n > 0) {
        pthread_create(&thread, NULL, free_elsewhere, kept[--n]);
        pthread_join(thread, NULL);
    }
    batch = poll_batch(c);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    leat_batch_free(batch); /* after the consumer */
}
END_TEST

/* A program with its own event loop and no thread of ours: one descriptor tells all. */
START_TEST(a_foreign_loop_needs_one_descriptor)
{
    leat_conf *conf = conf_of(CONF("client.threads", "0"));
    leat_client *quiet = leat_client_open(conf, &error);
    leat_consumer *c = leat_consumer_open(quiet, conf, &error);
    int64_t expected = 0;

    topic_of("orders", 1);
    for (int i = 0; i < 30; i++)
        append("orders", 0, 10);
    subscribe(c, "orders");
    while (expected < 300) {
        struct pollfd p = {.fd = leat_client_fd(quiet), .events = POLLIN};
        leat_batch *batch;

        ck_assert_int_ge(poll(&p, 1, WAIT_MS), 1);
        leat_client_dispatch(quiet, 100);
        while (leat_consumer_poll(c, &batch, 0, &error) > 0) {
            for (size_t i = 0; i < leat_batch_len(batch); i++)
                ck_assert_int_eq(leat_batch_at(batch, i)->offset, expected++);
            leat_batch_free(batch);
        }
    }
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
    ck_assert_int_eq(leat_client_close(quiet, WAIT_MS), LEAT_OK);
    leat_conf_free(conf);
    ck_assert_int_eq(committed("orders", 0), 300);
}
END_TEST

/* With a thread the descriptor tells of records as well. */
START_TEST(the_descriptor_is_readable_when_records_came)
{
    leat_consumer *c = open_with(NULL);
    leat_batch *batch;
    int n;

    topic_of("orders", 1);
    assign(c, "orders", 0, 0);
    ck_assert_int_eq(leat_consumer_poll(c, &batch, 0, &error), 0);
    append("orders", 0, 5);
    do {
        struct pollfd p = {.fd = leat_client_fd(client), .events = POLLIN};

        ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
        leat_client_dispatch(client, 100);
        n = leat_consumer_poll(c, &batch, 0, &error);
    } while (n == 0);
    ck_assert_int_eq(n, 5);
    leat_batch_free(batch);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    leat_consumer *c = open_with(CONF("group.id", ""));
    const leat_offset none = {.topic = "", .partition = 0};
    const leat_offset twice[] = {{.topic = "a"}, {.topic = "a"}};
    const char *topics[] = {"orders"};

    ck_assert_int_eq(leat_consumer_subscribe(c, topics, 1, &error),
                     LEAT_E_INVALID_ARGUMENT);
    ck_assert_int_eq(leat_consumer_assign(c, &none, 1, &error), LEAT_E_INVALID_ARGUMENT);
    ck_assert_int_eq(leat_consumer_assign(c, twice, 2, &error), LEAT_E_INVALID_ARGUMENT);
    ck_assert_int_eq(leat_consumer_commit(c, NULL, 0, 100, &error),
                     LEAT_E_INVALID_ARGUMENT);
    ck_assert_int_eq(leat_consumer_close(c, WAIT_MS), LEAT_OK);
}
END_TEST

/* A subscription ends when another one begins, and closing the client closes it. */
START_TEST(a_consumer_can_change_its_mind)
{
    leat_consumer *c = open_with(NULL);

    topic_of("orders", 1);
    topic_of("returns", 1);
    append("orders", 0, 5);
    append("returns", 0, 7);
    subscribe(c, "orders");
    ck_assert_int_eq(next_offset(c), 0);
    ck_assert_int_eq(next_offset(c), 1);
    subscribe(c, "returns");
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(next_offset(c), i);
    assign(c, "orders", 0, 3);
    ck_assert_int_eq(next_offset(c), 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client consumer");
    TCase *t = tcase_create("consumer");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, scene_setup, scene_teardown);
    tcase_add_test(t, a_member_alone_reads_every_partition);
    tcase_add_test(t, an_assignment_begins_where_it_says);
    tcase_add_test(t, lag_and_position_follow_what_was_handed_out);
    tcase_add_test(t, a_topic_that_does_not_exist_is_reported_and_waited_for);
    tcase_add_test(t, a_deposed_leader_does_not_take_the_reader_back);
    tcase_add_test(t, a_seek_discards_what_was_buffered);
    tcase_add_test(t, a_paused_partition_is_silent_and_goes_on_where_it_was);
    tcase_add_test(t, a_signal_handler_may_wake_a_poll);
    tcase_add_test(t, a_second_thread_is_turned_away);
    tcase_add_test(t, kept_batches_hold_up_fetching);
    tcase_add_test(t, a_foreign_loop_needs_one_descriptor);
    tcase_add_test(t, the_descriptor_is_readable_when_records_came);
    tcase_add_test(t, what_makes_no_sense_is_refused);
    tcase_add_test(t, a_consumer_can_change_its_mind);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
