/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/asks.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/record/build.h"

#include <stdlib.h>
#include <string.h>

static unsigned shard;

void ask_from(unsigned number)
{
    shard = number;
}

static void ask(struct fake_wire *w, enum rpc_api api, const ProtobufCMessage *m)
{
    fake_wire_ask(w, shard, api, m, (struct bytes){0});
}

void ask_create(struct fake_wire *w, const char *name, int32_t partitions)
{
    Leat__CreateTopicRequest q = LEAT__CREATE_TOPIC_REQUEST__INIT;

    q.name = (char *)name;
    q.partitions = partitions;
    ask(w, RPC_CREATE_TOPIC, &q.base);
}

void ask_create_with(struct fake_wire *w, const char *name, const char *key,
                     const char *value)
{
    Leat__CreateTopicRequest q = LEAT__CREATE_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry entry = LEAT__CONFIG_ENTRY__INIT, *list[] = {&entry};

    q.name = (char *)name;
    q.partitions = 1;
    entry.key = (char *)key;
    entry.value = (char *)value;
    q.config = list;
    q.n_config = 1;
    ask(w, RPC_CREATE_TOPIC, &q.base);
}

void ask_alter(struct fake_wire *w, const char *name, int32_t partitions, const char *key,
               const char *value)
{
    Leat__AlterTopicRequest q = LEAT__ALTER_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry entry = LEAT__CONFIG_ENTRY__INIT, *list[] = {&entry};
    char *unset[] = {(char *)key};

    q.name = (char *)name;
    q.partitions = partitions;
    entry.key = (char *)key;
    entry.value = (char *)value;
    q.set = list;
    q.n_set = key != NULL && value != NULL;
    q.unset = unset;
    q.n_unset = key != NULL && value == NULL;
    ask(w, RPC_ALTER_TOPIC, &q.base);
}

void ask_topic_config(struct fake_wire *w, const char *name, const char *key)
{
    Leat__DescribeConfigRequest q = LEAT__DESCRIBE_CONFIG_REQUEST__INIT;
    char *keys[] = {(char *)key};

    q.resource = LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__TOPIC;
    q.name = (char *)name;
    q.keys = keys;
    q.n_keys = 1;
    ask(w, RPC_DESCRIBE_CONFIG, &q.base);
}

void ask_delete(struct fake_wire *w, const char *name)
{
    Leat__DeleteTopicRequest q = LEAT__DELETE_TOPIC_REQUEST__INIT;

    q.name = (char *)name;
    ask(w, RPC_DELETE_TOPIC, &q.base);
}

void ask_trim(struct fake_wire *w, const char *name, int32_t partition, int64_t before)
{
    Leat__TrimRequest q = LEAT__TRIM_REQUEST__INIT;
    Leat__TrimPartition p = LEAT__TRIM_PARTITION__INIT, *list[] = {&p};

    q.topic = (char *)name;
    q.partitions = list;
    q.n_partitions = 1;
    p.partition = partition;
    p.before_offset = before;
    ask(w, RPC_TRIM, &q.base);
}

void ask_metadata(struct fake_wire *w)
{
    Leat__MetadataRequest q = LEAT__METADATA_REQUEST__INIT;

    q.all_topics = true;
    ask(w, RPC_METADATA, &q.base);
}

void ask_logs(struct fake_wire *w)
{
    Leat__DescribeLogsRequest q = LEAT__DESCRIBE_LOGS_REQUEST__INIT;

    ask(w, RPC_DESCRIBE_LOGS, &q.base);
}

void ask_set(struct fake_wire *w, const char *key, const char *value)
{
    Leat__AlterConfigRequest q = LEAT__ALTER_CONFIG_REQUEST__INIT;
    Leat__ConfigEntry entry = LEAT__CONFIG_ENTRY__INIT, *list[] = {&entry};
    char *unset[] = {(char *)key};

    entry.key = (char *)key;
    entry.value = (char *)value;
    q.set = list;
    q.n_set = value != NULL;
    q.unset = unset;
    q.n_unset = value == NULL;
    ask(w, RPC_ALTER_CONFIG, &q.base);
}

void ask_config(struct fake_wire *w, const char *key)
{
    Leat__DescribeConfigRequest q = LEAT__DESCRIBE_CONFIG_REQUEST__INIT;
    char *keys[] = {(char *)key};

    q.keys = keys;
    q.n_keys = 1;
    ask(w, RPC_DESCRIBE_CONFIG, &q.base);
}

void ask_hello(struct fake_wire *w)
{
    Leat__HelloRequest q = LEAT__HELLO_REQUEST__INIT;

    ask(w, RPC_HELLO, &q.base);
}

void ask_list(struct fake_wire *w, const char *name, int32_t partition, int64_t time)
{
    Leat__ListOffsetsRequest q = LEAT__LIST_OFFSETS_REQUEST__INIT;
    Leat__ListOffsetsTopic t = LEAT__LIST_OFFSETS_TOPIC__INIT, *topics[] = {&t};
    Leat__ListOffsetsPartition p = LEAT__LIST_OFFSETS_PARTITION__INIT, *list[] = {&p};

    q.topics = topics;
    q.n_topics = 1;
    t.name = (char *)name;
    t.partitions = list;
    t.n_partitions = 1;
    p.partition = partition;
    p.timestamp_ms = time;
    ask(w, RPC_LIST_OFFSETS, &q.base);
}

/* Append the batch to `payload`; returns its size. */
static uint32_t add_batch(const struct ask_batch *b, struct writer *payload)
{
    static const uint8_t zeros[1 << 20];
    struct build_producer producer = {b->producer, b->epoch, b->sequence};
    struct build build;
    struct bytes batch;
    uint8_t *copy;

    if (b->producer == 0)
        producer = (struct build_producer){-1, -1, -1};
    build_init(&build);
    build_begin(&build);
    for (int32_t i = 0; i < b->records; i++)
        build_add(&build, b->time_ms + i, (struct bytes){0},
                  (struct bytes){zeros, b->bytes}, NULL, 0);
    CHECK(!build_finish(&build, CODEC_NONE, producer, &batch));
    copy = write_reserve(payload, batch.len);
    CHECK(copy != NULL);
    memcpy(copy, batch.data, batch.len);
    build_release(&build);
    if (b->attributes != 0) {
        store_u16(copy + BATCH_AT_ATTRIBUTES, b->attributes);
        store_u32(copy + BATCH_AT_CRC,
                  crc32c(0, copy + BATCH_AT_ATTRIBUTES, batch.len - BATCH_AT_ATTRIBUTES));
    }
    copy[batch.len - 1] ^= b->damaged;
    return (uint32_t)batch.len;
}

void ask_produce(struct fake_wire *w, const struct ask_produce *q)
{
    enum { PARTS_MAX = 8 };
    Leat__ProduceRequest m = LEAT__PRODUCE_REQUEST__INIT;
    Leat__ProduceTopic t = LEAT__PRODUCE_TOPIC__INIT, *topics[] = {&t};
    Leat__ProducePartition parts[PARTS_MAX], *list[PARTS_MAX];
    struct writer payload = writer_growing();

    CHECK(q->count <= PARTS_MAX);
    for (size_t i = 0; i < q->count; i++) {
        leat__produce_partition__init(&parts[i]);
        list[i] = &parts[i];
        parts[i].partition = q->batches[i].partition;
        parts[i].batch_bytes = add_batch(&q->batches[i], &payload);
    }
    if (q->surplus != NULL)
        write_text(&payload, q->surplus);
    m.acks = q->acks;
    m.timeout_ms = q->timeout_ms;
    m.topics = topics;
    m.n_topics = 1;
    t.name = (char *)q->topic;
    t.topic_id = (ProtobufCBinaryData){q->topic_id.len, (uint8_t *)q->topic_id.data};
    t.partitions = list;
    t.n_partitions = q->count;
    fake_wire_ask(w, shard, RPC_PRODUCE, &m.base,
                  (struct bytes){payload.data, payload.len});
    writer_release(&payload);
}

void ask_produce_to(struct fake_wire *w, const char *topic, int32_t partition,
                    int32_t records)
{
    const struct ask_batch batch = {
        .partition = partition, .records = records, .bytes = 10, .time_ms = 100};

    ask_produce(w, &(struct ask_produce){
                       .topic = topic, .acks = -1, .batches = &batch, .count = 1});
}

void ask_produce_keys(struct fake_wire *w, const char *topic, const char *const *keys,
                      size_t count)
{
    enum { RECORDS_MAX = 16 };
    Leat__ProduceRequest m = LEAT__PRODUCE_REQUEST__INIT;
    Leat__ProduceTopic t = LEAT__PRODUCE_TOPIC__INIT, *topics[] = {&t};
    Leat__ProducePartition part = LEAT__PRODUCE_PARTITION__INIT, *list[] = {&part};
    Leat__PlainRecord records[RECORDS_MAX], *record_list[RECORDS_MAX];

    CHECK(count <= RECORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        leat__plain_record__init(&records[i]);
        record_list[i] = &records[i];
        records[i].null_key = keys[i] == NULL;
        if (keys[i] != NULL)
            records[i].key = (ProtobufCBinaryData){strlen(keys[i]), (uint8_t *)keys[i]};
        records[i].value = (ProtobufCBinaryData){5, (uint8_t *)"value"};
    }
    part.partition = -1;
    part.records = record_list;
    part.n_records = count;
    m.acks = -1;
    m.topics = topics;
    m.n_topics = 1;
    t.name = (char *)topic;
    t.partitions = list;
    t.n_partitions = 1;
    ask(w, RPC_PRODUCE, &m.base);
}

void ask_fetch(struct fake_wire *w, const struct ask_fetch *q)
{
    Leat__FetchRequest m = LEAT__FETCH_REQUEST__INIT;
    Leat__FetchTopic t = LEAT__FETCH_TOPIC__INIT, *topics[] = {&t};
    Leat__FetchPartition parts[8], *list[8];

    for (size_t i = 0; i < q->count; i++) {
        leat__fetch_partition__init(&parts[i]);
        list[i] = &parts[i];
        parts[i].partition = q->partitions[i];
        parts[i].offset = q->offsets[i];
        parts[i].max_bytes = q->partition_bytes ? q->partition_bytes : 1 << 20;
    }
    m.max_wait_ms = q->max_wait_ms;
    m.min_bytes = q->min_bytes;
    m.max_bytes = q->max_bytes;
    m.topics = topics;
    m.n_topics = 1;
    t.name = (char *)q->topic;
    t.partitions = list;
    t.n_partitions = q->count;
    ask(w, RPC_FETCH, &m.base);
}

void ask_fetch_from(struct fake_wire *w, const char *topic, int32_t partition,
                    int64_t offset)
{
    ask_fetch(w, &(struct ask_fetch){.topic = topic,
                                     .partitions = {partition},
                                     .offsets = {offset},
                                     .count = 1,
                                     .min_bytes = 1,
                                     .max_bytes = 1 << 20,
                                     .max_wait_ms = 500});
}
