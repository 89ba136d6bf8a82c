/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer against a scripted broker, with the library's thread and without. */
#include "client/producer.h"
#include "proto/base/murmur2.h"
#include "proto/record/iterate.h"
#include "tests/support/fake_broker.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_MS = 20000, RECORDS_MAX = 20000 };

static struct fake_broker *broker;
static leat_client *client;
static leat_producer *producer;
static leat_error error;

/* What was told of each record, by its number. */
static struct {
    int told[RECORDS_MAX];
    int code[RECORDS_MAX];
    int64_t offset[RECORDS_MAX];
    int total;
    bool inside;
} seen;

static void on_delivery(const leat_delivery *d, void *arg)
{
    size_t n = (size_t)(uintptr_t)d->arg;

    ck_assert(!seen.inside);
    seen.inside = true;
    ck_assert_uint_lt(n, RECORDS_MAX);
    ck_assert_ptr_eq(arg, &seen);
    ck_assert_int_eq(d->error == NULL, d->code == LEAT_OK);
    ck_assert_int_gt(d->timestamp_ms, 0);
    seen.told[n]++;
    seen.code[n] = d->code;
    seen.offset[n] = d->offset;
    seen.total++;
    ck_assert_int_eq(leat_client_dispatch(client, 1), 0);
    seen.inside = false;
}

static void set(leat_conf *conf, const char *key, const char *value)
{
    ck_assert_msg(leat_conf_set(conf, key, value, &error) == LEAT_OK, "%s", error.text);
}

/* `more`: key, value, ..., NULL. */
static void begin(int mode, leat_delivery_fn *delivered, const char *const *more)
{
    leat_conf *conf = leat_conf_new();

    memset(&seen, 0, sizeof seen);
    broker = fake_broker_start();
    fake_broker_topic(broker, "orders", 3);
    fake_broker_topic(broker, "one", 1);
    set(conf, "bootstrap.servers", fake_broker_servers(broker));
    set(conf, "client.threads", mode ? "1" : "0");
    set(conf, "retry.backoff.ms", "2ms");
    set(conf, "retry.backoff.max.ms", "10ms");
    set(conf, "reconnect.backoff.ms", "2ms");
    set(conf, "reconnect.backoff.max.ms", "10ms");
    set(conf, "linger.ms", "1ms");
    for (; more != NULL && *more != NULL; more += 2)
        set(conf, more[0], more[1]);
    client = leat_client_open(conf, &error);
    ck_assert_msg(client != NULL, "%s", error.text);
    producer = leat_producer_open(client, NULL, delivered, &seen, &error);
    ck_assert_msg(producer != NULL, "%s", error.text);
    leat_conf_free(conf);
}

static void end(void)
{
    ck_assert_uint_eq(leat_producer_close(producer, LONG_MS), 0);
    ck_assert_int_eq(leat_client_close(client, LONG_MS), LEAT_OK);
    fake_broker_stop(broker);
}

static int send_number(const char *topic, int32_t partition, int n, const char *key)
{
    char value[32];
    leat_record r = {.size = sizeof r, .topic = topic, .partition = partition};

    r.value = (leat_bytes){value, (size_t)snprintf(value, sizeof value, "%d", n)};
    if (key != NULL)
        r.key = (leat_bytes){key, strlen(key)};
    return leat_producer_send(producer, &r, (void *)(uintptr_t)n, &error);
}

static void must_send(const char *topic, int32_t partition, int n, const char *key)
{
    ck_assert_msg(send_number(topic, partition, n, key) == LEAT_OK, "%s: %s", error.where,
                  error.text);
}

/* Every number in the partition's log in order; returns how many. */
static int stored(const char *topic, int32_t partition, int *out, int max)
{
    size_t len;
    uint8_t *log = fake_broker_dump(broker, topic, partition, &len);
    int n = 0;

    for (size_t at = 0; at < len;) {
        size_t size = (size_t)batch_size((struct bytes){log + at, len - at});
        struct bytes batch = {log + at, size};
        struct batch header;
        struct iterate it;
        struct record r;

        ck_assert_int_eq(batch_verify(batch, &header), STATUS_OK);
        ck_assert_int_eq(iterate_begin(&it, batch, 64 << 20), STATUS_OK);
        while (iterate_next(&it, &r) == STATUS_OK) {
            ck_assert_int_lt(n, max);
            out[n++] = (int)strtol((const char *)r.value.data, NULL, 10);
        }
        iterate_end(&it);
        at += size;
    }
    free(log);
    return n;
}

static void all_told_once(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_msg(seen.told[i] == 1 && seen.code[i] == LEAT_OK,
                      "%d: told %d, code %d", i, seen.told[i], seen.code[i]);
    ck_assert_int_eq(seen.total, count);
}

/* ---- the tests ---- */

/* Records arrive, in order, and each is told once with the offset that it has. */
START_TEST(records_arrive_and_are_told)
{
    int got[2000];

    begin(_i, on_delivery, NULL);
    for (int i = 0; i < 2000; i++)
        must_send("one", LEAT_PARTITION_ANY, i, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    all_told_once(2000);
    ck_assert_int_eq(stored("one", 0, got, 2000), 2000);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(got[i], i);
        ck_assert_int_eq(seen.offset[i], i);
    }
    end();
}
END_TEST

static void drop_script(void)
{
    fake_broker_fail(broker, RPC_PRODUCE, 1, 1, FAKE_DROP_UNSEEN, 0);
    fake_broker_fail(broker, RPC_PRODUCE, 1, 1, FAKE_DROP_DONE, 0);
    fake_broker_fail(broker, RPC_PRODUCE, 0, 2, FAKE_REFUSE_PARTS, STATUS_NOT_LEADER);
    fake_broker_fail(broker, RPC_PRODUCE, 1, 1, FAKE_REFUSE, STATUS_SHUTTING_DOWN);
    fake_broker_fail(broker, RPC_PRODUCE, 0, 1, FAKE_GARBAGE, 0);
    fake_broker_fail(broker, RPC_PRODUCE, 1, 1, FAKE_REFUSE_PARTS, STATUS_THROTTLED);
    fake_broker_fail(broker, RPC_PRODUCE, 0, 1, FAKE_DROP_DONE, 0);
}

/* Connections that break before and after the broker stored a batch, refusals that pass,
 * garbage: nothing is lost, each record is told once, and the first appearances of each
 * partition's records are in the order in which they were sent. */
START_TEST(order_is_kept_through_failures)
{
    static const char *const small[] = {"batch.bytes", "256", NULL};
    static int got[3 * RECORDS_MAX];

    begin(_i, on_delivery, small);
    drop_script();
    for (int i = 0; i < 9000; i++)
        must_send("orders", i % 3, i, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    all_told_once(9000);
    for (int p = 0; p < 3; p++) {
        int n = stored("orders", p, got, 3 * RECORDS_MAX);
        int next = p;

        for (int i = 0; i < n; i++) {
            ck_assert_int_le(got[i], next);
            if (got[i] == next)
                next += 3;
        }
        ck_assert_int_eq(next, 9000 + p);
    }
    end();
}
END_TEST

/* Kafka's Java client puts these keys where we do; without a key records go round. */
START_TEST(keys_choose_partitions)
{
    static const char *const keys[] = {"21", "foobar", "a-little-bit-long-string"};
    int got[100];
    int spread = 0;

    begin(_i, on_delivery, NULL);
    for (int i = 0; i < 3; i++)
        must_send("orders", LEAT_PARTITION_ANY, i, keys[i]);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    for (int i = 0; i < 3; i++) {
        int p = (int)((murmur2(keys[i], strlen(keys[i])) & 0x7fffffff) % 3);
        int n = stored("orders", p, got, 100);
        bool found = false;

        for (int j = 0; j < n; j++)
            found = found || got[j] == i;
        ck_assert(found);
    }
    for (int i = 3; i < 30; i++) {
        must_send("orders", LEAT_PARTITION_ANY, i, NULL);
        ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    }
    for (int p = 0; p < 3; p++)
        spread += stored("orders", p, got, 100) > 3;
    ck_assert_int_eq(spread, 3);
    end();
}
END_TEST

static int32_t last_partition(const char *topic, leat_bytes key, int32_t partitions,
                              void *arg)
{
    ++*(int *)arg;
    ck_assert_uint_eq(leat_producer_pending(producer) > 0, true);
    return partitions - 1;
}

/* A partitioner of the program's own sees every record without a partition, on the
 * program's thread, also those sent before the topic was known. */
START_TEST(a_partitioner_of_ones_own)
{
    int got[10];
    int asked = 0;

    begin(_i, on_delivery, NULL);
    leat_producer_partitioner(producer, last_partition, &asked);
    must_send("orders", LEAT_PARTITION_ANY, 0, "k");
    must_send("orders", 0, 1, "k");
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    must_send("one", 0, 9, NULL);
    must_send("orders", LEAT_PARTITION_ANY, 2, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(asked, 2);
    ck_assert_int_eq(stored("orders", 2, got, 10), 2);
    ck_assert_int_eq(stored("orders", 0, got, 10), 1);
    end();
}
END_TEST

static size_t buffered(void)
{
    size_t bytes;

    engine_lock(&client->engine);
    bytes = producer->accumulator.bytes;
    engine_unlock(&client->engine);
    return bytes;
}

/* The buffer is bounded; who is told so gets a callback when there is room again, whether
 * it takes deliveries or not. */
START_TEST(a_full_buffer_pushes_back)
{
    static const char *const tiny[] = {"buffer.bytes", "20000", "batch.bytes", "1000",
                                       NULL};
    int got[8000];
    int sent = 0;
    int full = 0;

    begin(_i & 1, _i & 2 ? on_delivery : NULL, tiny);
    fake_broker_hold(broker, RPC_PRODUCE, true);
    while (sent < 5000) {
        int code = send_number("one", 0, sent, NULL);

        if (code == LEAT_OK) {
            sent++;
            continue;
        }
        ck_assert_int_eq(code, LEAT_E_QUEUE_FULL);
        ck_assert(error.retriable);
        ck_assert_uint_le(buffered(), 20000);
        if (full++ == 0)
            fake_broker_hold(broker, RPC_PRODUCE, false);
        ck_assert_int_gt(leat_client_wait(client, LONG_MS), 0);
    }
    ck_assert_int_gt(full, 0);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(stored("one", 0, got, 8000), 5000);
    ck_assert_uint_eq(buffered(), 0);
    end();
}
END_TEST

/* What is not delivered in time has failed: surely if it never left, perhaps stored if an
 * answer is owed. */
START_TEST(the_delivery_timeout_ends_waiting)
{
    static const char *const soon[] = {"delivery.timeout.ms", "100ms", NULL};

    begin(_i, on_delivery, soon);
    fake_broker_leaderless(broker, true);
    must_send("orders", 0, 0, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(seen.code[0], LEAT_E_TIMED_OUT);
    fake_broker_leaderless(broker, false);
    fake_broker_hold(broker, RPC_PRODUCE, true);
    must_send("one", 0, 1, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(seen.code[1], LEAT_E_MAYBE_PERSISTED);
    fake_broker_down(broker);
    must_send("one", 0, 2, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(seen.code[2], LEAT_E_TIMED_OUT);
    ck_assert_int_eq(seen.total, 3);
    end();
}
END_TEST

/* A topic that is not there fails soon, a partition that is not there at once. */
START_TEST(unknown_topics_are_told)
{
    begin(_i, on_delivery, NULL);
    must_send("nothing", LEAT_PARTITION_ANY, 0, NULL);
    must_send("nothing", 5, 1, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(seen.code[0], LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(seen.code[1], LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    must_send("one", 0, 2, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_eq(send_number("one", 1, 3, NULL), LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    end();
}
END_TEST

/* A batch that grew too large for the broker comes back in halves. */
static bool refuse_large(struct fake_request *r, void *arg)
{
    const Leat__ProduceRequest *m = (const void *)r->message;

    /* A request may carry several: the first one is what a refusal as a whole is for. */
    if (m->topics[0]->partitions[0]->batch_bytes <= 2000)
        return false;
    ++*(int *)arg;
    fake_refuse(r, STATUS_MESSAGE_TOO_LARGE, "too large");
    return true;
}

START_TEST(large_batches_are_split)
{
    int refused = 0;
    int got[2000];

    begin(_i, on_delivery, NULL);
    fake_broker_handle(broker, RPC_PRODUCE, refuse_large, &refused);
    for (int i = 0; i < 2000; i++)
        must_send("one", 0, i, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    all_told_once(2000);
    ck_assert_int_gt(refused, 0);
    ck_assert_int_eq(stored("one", 0, got, 2000), 2000);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(got[i], i);
    end();
}
END_TEST

/* One record and its outcome in one call; the callback stays out of it. */
START_TEST(send_sync_waits_for_the_outcome)
{
    leat_record r = {.size = sizeof r, .topic = "one", .value = {"v", 1}};
    int32_t partition = -1;
    int64_t offset = -1;
    int64_t began;

    begin(_i, on_delivery, NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            leat_producer_send_sync(producer, &r, &partition, &offset, LONG_MS, &error),
            LEAT_OK);
        ck_assert_int_eq(partition, 0);
        ck_assert_int_eq(offset, i);
    }
    r.topic = "nothing";
    ck_assert_int_eq(leat_producer_send_sync(producer, &r, NULL, NULL, LONG_MS, &error),
                     LEAT_E_UNKNOWN_TOPIC_OR_PARTITION);
    fake_broker_hold(broker, RPC_PRODUCE, true);
    r.topic = "one";
    ck_assert_int_eq(leat_producer_send_sync(producer, &r, NULL, NULL, 50, &error),
                     LEAT_E_TIMED_OUT);
    ck_assert_uint_eq(leat_producer_pending(producer), 1);
    fake_broker_hold(broker, RPC_PRODUCE, false);
    began = engine_now_ms();
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    ck_assert_int_lt(engine_now_ms() - began, LONG_MS / 2);
    ck_assert_int_eq(seen.total, 0);
    end();
}
END_TEST

/* Without acknowledgements what was sent counts as delivered, at no known offset. LZ4
 * batches arrive as any other. */
START_TEST(acks_none_and_lz4)
{
    static const char *const more[] = {"acks", "none", "compression.type", "lz4", NULL};
    int got[500];

    begin(_i, on_delivery, more);
    for (int i = 0; i < 500; i++)
        must_send("one", 0, i, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    all_told_once(500);
    ck_assert_int_eq(seen.offset[7], -1);
    fake_broker_await(broker, RPC_PRODUCE, 1);
    while (fake_broker_end(broker, "one", 0) < 500)
        ;
    ck_assert_int_eq(stored("one", 0, got, 500), 500);
    end();
}
END_TEST

/* Closing with records staged, queued, on their way, or told: by the deadline all have
 * had their callback. */
START_TEST(close_fails_what_is_left)
{
    begin(_i, on_delivery, NULL);
    fake_broker_hold(broker, RPC_METADATA, true);
    must_send("orders", 0, 0, NULL);
    ck_assert_uint_eq(leat_producer_close(producer, 30), 1);
    ck_assert_int_eq(seen.code[0], LEAT_E_CLOSED);
    ck_assert_int_eq(seen.total, 1);
    fake_broker_hold(broker, RPC_METADATA, false);

    producer = leat_producer_open(client, NULL, on_delivery, &seen, &error);
    must_send("one", 0, 1, NULL);
    ck_assert_uint_eq(leat_producer_flush(producer, LONG_MS), 0);
    fake_broker_hold(broker, RPC_PRODUCE, true);
    for (int i = 2; i < 100; i++)
        must_send("one", 0, i, NULL);
    ck_assert_uint_eq(leat_producer_close(producer, 50), 98);
    for (int i = 2; i < 100; i++)
        ck_assert(seen.told[i] == 1 && seen.code[i] != LEAT_OK);

    producer = leat_producer_open(client, NULL, NULL, NULL, &error);
    must_send("one", 0, 0, NULL);
    ck_assert_uint_eq(leat_producer_close(producer, 0), 1);
    producer = leat_producer_open(client, NULL, on_delivery, &seen, &error);
    ck_assert_int_eq(leat_client_close(client, LONG_MS), LEAT_OK);
    fake_broker_stop(broker);
}
END_TEST

/* Nonsense is refused at the door. */
START_TEST(nonsense_is_refused)
{
    leat_header header = {.name = {NULL, 0}};
    leat_record good = {.size = sizeof good, .topic = "one"};
    leat_record bad[6];

    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].size = 8;
    bad[1].topic = NULL;
    bad[2].topic = "";
    bad[3].partition = -2;
    bad[4].header_count = 1;
    bad[5].headers = &header;
    bad[5].header_count = 1;
    begin(_i, on_delivery, NULL);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(leat_producer_send(producer, &bad[i], NULL, &error),
                         LEAT_E_INVALID_ARGUMENT);
    ck_assert_int_eq(leat_producer_send(producer, NULL, NULL, NULL),
                     LEAT_E_INVALID_ARGUMENT);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("producer");
    TCase *t = tcase_create("producer");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, records_arrive_and_are_told, 0, 2);
    tcase_add_loop_test(t, order_is_kept_through_failures, 0, 2);
    tcase_add_loop_test(t, keys_choose_partitions, 0, 2);
    tcase_add_loop_test(t, a_partitioner_of_ones_own, 0, 2);
    tcase_add_loop_test(t, a_full_buffer_pushes_back, 0, 4);
    tcase_add_loop_test(t, the_delivery_timeout_ends_waiting, 0, 2);
    tcase_add_loop_test(t, unknown_topics_are_told, 0, 2);
    tcase_add_loop_test(t, large_batches_are_split, 0, 2);
    tcase_add_loop_test(t, send_sync_waits_for_the_outcome, 0, 2);
    tcase_add_loop_test(t, acks_none_and_lz4, 0, 2);
    tcase_add_loop_test(t, close_fails_what_is_left, 0, 2);
    tcase_add_loop_test(t, nonsense_is_refused, 0, 2);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
