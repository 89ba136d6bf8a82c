/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer against a scripted broker: what is read, what counts as done, what is
 * committed, and what happens when partitions move or the broker goes away. */
#include "client/engine.h"
#include "client/include/leat/leat.h"
#include "proto/record/build.h"
#include "tests/support/fake_broker.h"
#include "tests/support/fake_groups.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { WAIT_MS = 20000, HEARTBEAT_MS = 20 };

static struct fake_broker *broker;
static struct fake_groups *groups;
static leat_client *client;
static leat_error error;

static leat_conf *conf_of(const char *const *pairs)
{
    leat_conf *conf = leat_conf_new();

    ck_assert_int_eq(
        leat_conf_set(conf, "bootstrap.servers", fake_broker_servers(broker), &error),
        LEAT_OK);
    ck_assert_int_eq(leat_conf_set(conf, "group.id", "billing", &error), LEAT_OK);
    ck_assert_int_eq(leat_conf_set(conf, "retry.backoff.ms", "5", &error), LEAT_OK);
    ck_assert_int_eq(leat_conf_set(conf, "retry.backoff.max.ms", "20", &error), LEAT_OK);
    ck_assert_int_eq(leat_conf_set(conf, "reconnect.backoff.ms", "5", &error), LEAT_OK);
    for (size_t i = 0; pairs && pairs[i]; i += 2)
        ck_assert_msg(leat_conf_set(conf, pairs[i], pairs[i + 1], &error) == LEAT_OK,
                      "%s", error.text);
    return conf;
}

#define CONF(...) ((const char *const[]){__VA_ARGS__, NULL})

static void setup(void)
{
    leat_conf *conf;

    broker = fake_broker_start();
    groups = fake_groups_start(broker, HEARTBEAT_MS);
    conf = conf_of(NULL);
    client = leat_client_open(conf, &error);
    ck_assert_ptr_nonnull(client);
    leat_conf_free(conf);
}

static void teardown(void)
{
    ck_assert_int_eq(leat_client_close(client, 5000), LEAT_OK);
    fake_broker_stop(broker);
    fake_groups_free(groups);
}

static void topic_of(const char *name, int32_t partitions)
{
    fake_broker_topic(broker, name, partitions);
    fake_groups_topic(groups, name, partitions);
}

/* Append `count` records "v<offset>" as one batch. */
static void append_as(const char *topic, int32_t partition, int count, enum codec codec)
{
    const int64_t base = fake_broker_end(broker, topic, partition);
    struct build b;
    struct bytes out;

    build_init(&b);
    build_begin(&b);
    for (int i = 0; i < count; i++) {
        char value[32];

        snprintf(value, sizeof value, "v%lld", (long long)base + i);
        build_add(&b, 1000 + base + i, bytes_of("k"), bytes_of(value), NULL, 0);
    }
    ck_assert_int_eq(build_finish(&b, codec, (struct build_producer){-1, -1, -1}, &out),
                     STATUS_OK);
    fake_broker_append(broker, topic, partition, out);
    build_release(&b);
}

static void append(const char *topic, int32_t partition, int count)
{
    append_as(topic, partition, count, CODEC_NONE);
}

static leat_consumer *open_with(const char *const *pairs)
{
    leat_conf *conf = conf_of(pairs);
    leat_consumer *c = leat_consumer_open(client, conf, &error);

    ck_assert_msg(c != NULL, "%s", error.text);
    leat_conf_free(conf);
    return c;
}

static void subscribe(leat_consumer *c, const char *topic)
{
    ck_assert_int_eq(leat_consumer_subscribe(c, &topic, 1, &error), LEAT_OK);
}

static void assign(leat_consumer *c, const char *topic, int32_t partition, int64_t offset)
{
    const leat_offset o = {.topic = topic, .partition = partition, .offset = offset};

    ck_assert_msg(leat_consumer_assign(c, &o, 1, &error) == LEAT_OK, "%s", error.text);
}

static leat_batch *poll_batch(leat_consumer *c)
{
    leat_batch *batch;
    int n = leat_consumer_poll(c, &batch, WAIT_MS, &error);

    ck_assert_msg(n > 0, "poll said %d: %s: %s", n, error.where, error.text);
    ck_assert_uint_eq(leat_batch_len(batch), (size_t)n);
    return batch;
}

static int64_t next_offset(leat_consumer *c)
{
    const leat_record *r;
    int n = leat_consumer_next(c, &r, WAIT_MS, &error);

    ck_assert_msg(n == 1, "next said %d: %s: %s", n, error.where, error.text);
    return r->offset;
}

/* Let things happen until `done`, without reading records. */
static void dispatch_until(bool (*done)(void *arg), void *arg)
{
    const int64_t deadline_ms = engine_now_ms() + WAIT_MS;

    while (!done(arg)) {
        ck_assert_int_lt(engine_now_ms(), deadline_ms);
        leat_client_wait(client, 5);
    }
}

static int64_t committed(const char *topic, int32_t partition)
{
    return fake_broker_committed(broker, "billing", topic, partition);
}

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
    leat_consumer *a = open_member(&first), *b;
    int64_t offset;

    topic_of("orders", 2);
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
    leat_consumer *c = open_member(&story);
    const leat_record *r;

    topic_of("orders", 1);
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
    leat_consumer *c = open_member(&story);

    topic_of("orders", 1);
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
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_member_alone_reads_every_partition);
    tcase_add_test(t, an_assignment_begins_where_it_says);
    tcase_add_test(t, lag_and_position_follow_what_was_handed_out);
    tcase_add_test(t, a_topic_that_does_not_exist_is_reported_and_waited_for);
    tcase_add_test(t, what_was_polled_but_not_done_comes_again);
    tcase_add_test(t, the_clock_commits_what_is_done);
    tcase_add_test(t, the_program_commits_by_its_own_hand);
    tcase_add_test(t, an_automatic_commit_never_goes_back);
    tcase_add_test(t, a_seek_discards_what_was_buffered);
    tcase_add_test(t, a_paused_partition_is_silent_and_goes_on_where_it_was);
    tcase_add_test(t, a_partition_is_committed_before_it_is_given_up);
    tcase_add_test(t, a_lost_partition_is_not_committed);
    tcase_add_test(t, the_program_may_seek_when_it_is_assigned);
    tcase_add_test(t, who_does_not_poll_leaves_the_group);
    tcase_add_test(t, reading_goes_on_from_the_position_after_a_restart);
    tcase_add_test(t, close_keeps_its_deadline);
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
