/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory runs out at every single allocation of a program's life in turn. Nothing aborts,
 * hangs or leaks, and whatever was accepted is told exactly once. The client has no
 * thread here, so that all of its allocations are the test's own. */
#include "client/include/leat/leat.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/fake_broker.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 24, LONG_MS = 10000, SWEEP_MAX = 5000 };

struct life {
    leat_conf *conf;
    leat_client *client;
    leat_producer *producer;
    bool accepted[RECORDS];
    int told[RECORDS];
    int delivered;
    int code; /* of what failed last */
};

static struct fake_broker *broker;

static void on_delivery(const leat_delivery *d, void *arg)
{
    struct life *l = arg;

    l->told[(size_t)(uintptr_t)d->arg]++;
    l->delivered += d->code == LEAT_OK;
    if (d->code != LEAT_OK)
        l->code = d->code;
}

/* Lost connections are to be expected here. */
static void no_log(int level, const char *message, void *arg)
{
}

static bool configure(struct life *l, leat_error *error)
{
    static const char *const settings[][2] = {
        {"client.threads", "0"},
        {"retry.backoff.ms", "1ms"},
        {"retry.backoff.max.ms", "4ms"},
        {"reconnect.backoff.ms", "1ms"},
        {"linger.ms", "0"},
        {"reconnect.backoff.max.ms", "4ms"},
        {"compression.type", "lz4"},
        {"batch.bytes", "256"},
    };

    l->conf = leat_conf_new();
    if (l->conf == NULL)
        return false;
    leat_conf_log(l->conf, no_log, NULL);
    if (leat_conf_set(l->conf, "bootstrap.servers", fake_broker_servers(broker), error))
        return false;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (leat_conf_set(l->conf, settings[i][0], settings[i][1], error))
            return false;
    return true;
}

static void publish(struct life *l, leat_error *error)
{
    const leat_header header = {{"h", 1}, {"v", 1}};
    char value[64];
    leat_record r = {
        .size = sizeof r, .topic = "orders", .partition = LEAT_PARTITION_ANY};

    r.headers = &header;
    r.header_count = 1;
    for (int i = 0; i < RECORDS; i++) {
        r.value = (leat_bytes){
            value, (size_t)snprintf(value, sizeof value, "record number %d", i)};
        l->accepted[i] =
            leat_producer_send(l->producer, &r, (void *)(uintptr_t)i, error) == LEAT_OK;
        if (!l->accepted[i])
            l->code = error->code;
        if (i == RECORDS / 2)
            leat_producer_flush(l->producer, LONG_MS);
    }
    leat_producer_flush(l->producer, LONG_MS);
}

static void ask(struct life *l, leat_error *error)
{
    leat_offset rows[] = {{.topic = "orders", .partition = 0},
                          {.topic = "orders", .partition = 1}};
    leat_reply *reply;
    int code =
        leat_topics_describe(l->client, NULL, 0, false, false, &reply, LONG_MS, error);

    if (code == LEAT_OK)
        leat_reply_free(reply);
    else
        l->code = code;
    code = leat_offsets_list(l->client, LEAT_OFFSET_LATEST, rows, 2, LONG_MS, error);
    if (code != LEAT_OK)
        l->code = code;
}

/* A whole life, its `n`-th allocation failing. No check's macros in here: they allocate.
 */
static bool live(struct life *l, long n)
{
    leat_error error = {0};

    *l = (struct life){0};
    fail_alloc_arm(n);
    if (configure(l, &error)) {
        l->client = leat_client_open(l->conf, &error);
        if (l->client != NULL) {
            l->producer = leat_producer_open(l->client, NULL, on_delivery, l, &error);
            if (l->producer != NULL)
                publish(l, &error);
            ask(l, &error);
            leat_producer_close(l->producer, LONG_MS);
            leat_client_close(l->client, LONG_MS);
        }
    }
    if (l->code == LEAT_OK)
        l->code = error.code;
    leat_conf_free(l->conf);
    return fail_alloc_disarm();
}

START_TEST(running_out_of_memory_is_an_error_to_the_caller)
{
    struct life l;
    long n = 1;

    broker = fake_broker_start();
    fake_broker_topic(broker, "orders", 2);
    for (; live(&l, n); n++) {
        ck_assert_int_lt(n, SWEEP_MAX);
        ck_assert_msg(l.code == LEAT_OK || l.code == LEAT_E_NO_MEMORY ||
                          l.code == LEAT_E_UNREACHABLE,
                      "allocation %ld: code %d", n, l.code);
        for (int i = 0; i < RECORDS; i++)
            ck_assert_msg(l.told[i] == l.accepted[i],
                          "allocation %ld, record %d: told %d", n, i, l.told[i]);
    }
    ck_assert_int_eq(l.delivered, RECORDS);
    ck_assert_int_gt(n, 100);
    printf("%ld allocations failed one by one\n", n - 1);
    fake_broker_stop(broker);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("memory");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, running_out_of_memory_is_an_error_to_the_caller);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
