/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/consumer_scene.h"

#include "proto/record/build.h"

#include <stdio.h>

enum { HEARTBEAT_MS = 20 };

struct fake_broker *broker;
struct fake_groups *groups;
leat_client *client;
leat_error error;

leat_conf *conf_of(const char *const *pairs)
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

void scene_setup(void)
{
    leat_conf *conf;

    broker = fake_broker_start();
    groups = fake_groups_start(broker, HEARTBEAT_MS);
    conf = conf_of(NULL);
    client = leat_client_open(conf, &error);
    ck_assert_ptr_nonnull(client);
    leat_conf_free(conf);
}

void scene_teardown(void)
{
    ck_assert_int_eq(leat_client_close(client, 5000), LEAT_OK);
    fake_broker_stop(broker);
    fake_groups_free(groups);
}

void topic_of(const char *name, int32_t partitions)
{
    fake_broker_topic(broker, name, partitions);
    fake_groups_topic(groups, name, partitions);
}

void append_as(const char *topic, int32_t partition, int count, enum codec codec)
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

void append(const char *topic, int32_t partition, int count)
{
    append_as(topic, partition, count, CODEC_NONE);
}

leat_consumer *open_with(const char *const *pairs)
{
    leat_conf *conf = conf_of(pairs);
    leat_consumer *c = leat_consumer_open(client, conf, &error);

    ck_assert_msg(c != NULL, "%s", error.text);
    leat_conf_free(conf);
    return c;
}

void subscribe(leat_consumer *c, const char *topic)
{
    ck_assert_int_eq(leat_consumer_subscribe(c, &topic, 1, &error), LEAT_OK);
}

void assign(leat_consumer *c, const char *topic, int32_t partition, int64_t offset)
{
    const leat_offset o = {.topic = topic, .partition = partition, .offset = offset};

    ck_assert_msg(leat_consumer_assign(c, &o, 1, &error) == LEAT_OK, "%s", error.text);
}

leat_batch *poll_batch(leat_consumer *c)
{
    leat_batch *batch;
    int n = leat_consumer_poll(c, &batch, WAIT_MS, &error);

    ck_assert_msg(n > 0, "poll said %d: %s: %s", n, error.where, error.text);
    ck_assert_uint_eq(leat_batch_len(batch), (size_t)n);
    return batch;
}

int64_t next_offset(leat_consumer *c)
{
    const leat_record *r;
    int n = leat_consumer_next(c, &r, WAIT_MS, &error);

    ck_assert_msg(n == 1, "next said %d: %s: %s", n, error.where, error.text);
    return r->offset;
}

void dispatch_until(bool (*done)(void *arg), void *arg)
{
    const int64_t deadline_ms = engine_now_ms() + WAIT_MS;

    while (!done(arg)) {
        ck_assert_int_lt(engine_now_ms(), deadline_ms);
        leat_client_wait(client, 5);
    }
}

int64_t committed(const char *topic, int32_t partition)
{
    return fake_broker_committed(broker, "billing", topic, partition);
}
