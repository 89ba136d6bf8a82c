/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_topics.h"

#include "proto/base/arena.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/record/batch.h"

#include <stdlib.h>
#include <string.h>

enum { NODE_ID = 1 };

/* ---- what is kept ---- */

void fake_topics_add(struct fake_topics *t, const char *name, int32_t partitions)
{
    struct fake_topic *topic = must_zalloc(sizeof *topic);

    topic->name = must_text(name);
    topic->partitions = partitions;
    topic->p = must_zalloc((size_t)partitions * sizeof topic->p[0]);
    SLIST_INSERT_HEAD(&t->topics, topic, link);
}

static struct fake_topic *find_topic(struct fake_topics *t, const char *name)
{
    struct fake_topic *topic;

    SLIST_FOREACH (topic, &t->topics, link)
        if (strcmp(topic->name, name) == 0)
            return topic;
    return NULL;
}

struct fake_partition *fake_topics_find(struct fake_topics *t, const char *name,
                                        int32_t partition)
{
    struct fake_topic *topic = find_topic(t, name);

    if (topic == NULL || partition < 0 || partition >= topic->partitions)
        return NULL;
    return &topic->p[partition];
}

int64_t fake_partition_append(struct fake_partition *p, struct bytes batch)
{
    struct fake_batch *b;

    CHECK(batch.len >= BATCH_HEADER);
    p->batches = must_realloc(p->batches, (p->len + 1) * sizeof p->batches[0]);
    b = &p->batches[p->len++];
    b->data = must_alloc(batch.len);
    b->len = batch.len;
    b->base = p->end;
    b->count = (int32_t)load_u32(batch.data + BATCH_AT_COUNT);
    memcpy(b->data, batch.data, batch.len);
    store_u64(b->data + BATCH_AT_BASE_OFFSET, (uint64_t)b->base);
    store_u32(b->data + BATCH_AT_LEADER_EPOCH, 1);
    p->end += b->count;
    return b->base;
}

struct fake_commit *fake_commit_find(struct fake_topics *t, const char *group,
                                     const char *topic, int32_t partition)
{
    struct fake_commit *c;

    SLIST_FOREACH (c, &t->commits, link)
        if (strcmp(c->group, group) == 0 && strcmp(c->topic, topic) == 0 &&
            c->partition == partition)
            return c;
    return NULL;
}

void fake_topics_release(struct fake_topics *t)
{
    struct fake_topic *topic;
    struct fake_commit *c;

    while ((topic = SLIST_FIRST(&t->topics)) != NULL) {
        SLIST_REMOVE_HEAD(&t->topics, link);
        for (int32_t i = 0; i < topic->partitions; i++) {
            for (size_t j = 0; j < topic->p[i].len; j++)
                free(topic->p[i].batches[j].data);
            free(topic->p[i].batches);
        }
        free(topic->p);
        free(topic->name);
        free(topic);
    }
    while ((c = SLIST_FIRST(&t->commits)) != NULL) {
        SLIST_REMOVE_HEAD(&t->commits, link);
        free(c->group);
        free(c->topic);
        free(c->metadata);
        free(c);
    }
}

/* ---- answers; their memory is an arena's ---- */

#define NEW(arena, type, INIT)                         \
    ({                                                 \
        type *new_ = arena_alloc(arena, sizeof(type)); \
        CHECK(new_ != NULL);                           \
        *new_ = (type)INIT;                            \
        new_;                                          \
    })
#define LIST(arena, n, type) arena_zalloc(arena, ((size_t)(n) + 1) * sizeof(type *))

static void answer_hello(struct fake_request *r)
{
    Leat__HelloResponse m = LEAT__HELLO_RESPONSE__INIT;
    uint8_t id[16] = "a fake cluster.";
    uint32_t apis[64];

    m.cluster_id = (ProtobufCBinaryData){sizeof id, id};
    m.node_id = NODE_ID;
    m.software_version = (char *)"fake";
    m.frame_bytes_max = 64 << 20;
    m.batch_bytes_max = 1 << 20;
    m.apis = apis;
    for (size_t i = 0; rpc_api_at(i) != NULL; i++)
        apis[m.n_apis++] = rpc_api_at(i)->api;
    fake_answer(r, &m.base, (struct bytes){0});
}

static Leat__TopicInfo *describe(struct fake_topics *t, struct arena *a, const char *name)
{
    struct fake_topic *topic = find_topic(t, name);
    Leat__TopicInfo *info = NEW(a, Leat__TopicInfo, LEAT__TOPIC_INFO__INIT);
    static int32_t node = NODE_ID;

    info->name = arena_text(a, name, strlen(name));
    if (topic == NULL) {
        info->error = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        return info;
    }
    info->topic_id.data = arena_zalloc(a, 16);
    info->topic_id.len = 16;
    memcpy(info->topic_id.data, name, strnlen(name, 16));
    info->partitions = LIST(a, topic->partitions, Leat__PartitionInfo);
    for (int32_t i = 0; i < topic->partitions; i++) {
        Leat__PartitionInfo *p = NEW(a, Leat__PartitionInfo, LEAT__PARTITION_INFO__INIT);

        p->partition = i;
        p->leader = t->leaderless ? -1 : NODE_ID;
        p->leader_epoch = 1;
        p->n_replicas = p->n_in_sync = 1;
        p->replicas = p->in_sync = &node;
        info->partitions[info->n_partitions++] = p;
    }
    return info;
}

static void answer_metadata(struct fake_topics *t, struct fake_request *r,
                            struct arena *a)
{
    const Leat__MetadataRequest *q = (const void *)r->message;
    Leat__MetadataResponse m = LEAT__METADATA_RESPONSE__INIT;
    Leat__BrokerInfo broker = LEAT__BROKER_INFO__INIT;
    Leat__BrokerInfo *brokers[] = {&broker};
    struct fake_topic *topic;
    size_t all = 0;

    broker.node_id = NODE_ID;
    broker.host = (char *)"127.0.0.1";
    broker.port = t->port;
    m.controller_id = NODE_ID;
    m.brokers = brokers;
    m.n_brokers = 1;
    SLIST_FOREACH (topic, &t->topics, link)
        all++;
    m.topics = LIST(a, q->all_topics ? all : q->n_topics, Leat__TopicInfo);
    if (q->all_topics) {
        SLIST_FOREACH (topic, &t->topics, link)
            m.topics[m.n_topics++] = describe(t, a, topic->name);
    } else {
        for (size_t i = 0; i < q->n_topics; i++)
            m.topics[m.n_topics++] = describe(t, a, q->topics[i]);
    }
    fake_answer(r, &m.base, (struct bytes){0});
}

static Leat__ProduceResult *produce_one(struct fake_topics *t, struct arena *a,
                                        const char *topic,
                                        const Leat__ProducePartition *part,
                                        struct reader *payload, int code)
{
    Leat__ProduceResult *result = NEW(a, Leat__ProduceResult, LEAT__PRODUCE_RESULT__INIT);
    struct fake_partition *p = fake_topics_find(t, topic, part->partition);
    struct bytes batch = read_bytes(payload, part->batch_bytes);

    result->partition = part->partition;
    result->error = p == NULL ? STATUS_UNKNOWN_TOPIC_OR_PARTITION : code;
    result->base_offset = -1;
    if (result->error == 0)
        result->base_offset = fake_partition_append(p, batch);
    return result;
}

static void answer_produce(struct fake_topics *t, struct fake_request *r, struct arena *a,
                           int code)
{
    const Leat__ProduceRequest *q = (const void *)r->message;
    Leat__ProduceResponse m = LEAT__PRODUCE_RESPONSE__INIT;
    struct reader payload = reader_of(r->payload.data, r->payload.len);

    m.topics = LIST(a, q->n_topics, Leat__ProduceTopicResult);
    for (size_t i = 0; i < q->n_topics; i++) {
        const Leat__ProduceTopic *from = q->topics[i];
        Leat__ProduceTopicResult *to =
            NEW(a, Leat__ProduceTopicResult, LEAT__PRODUCE_TOPIC_RESULT__INIT);

        to->name = from->name;
        to->partitions = LIST(a, from->n_partitions, Leat__ProduceResult);
        for (size_t j = 0; j < from->n_partitions; j++)
            to->partitions[to->n_partitions++] =
                produce_one(t, a, from->name, from->partitions[j], &payload, code);
        m.topics[m.n_topics++] = to;
    }
    CHECK(!payload.failed && reader_left(&payload) == 0);
    fake_answer(r, &m.base, (struct bytes){0});
}

/* Whole batches from the one that holds `offset` on, the first whatever its size. */
static uint32_t read_batches(const struct fake_partition *p, int64_t offset, size_t max,
                             struct writer *out)
{
    size_t before = out->len;

    for (size_t i = 0; i < p->len; i++) {
        const struct fake_batch *b = &p->batches[i];

        if (b->base + b->count <= offset)
            continue;
        if (out->len > 0 && out->len - before + b->len > max)
            break;
        write_bytes(out, b->data, b->len);
    }
    return (uint32_t)(out->len - before);
}

static int fetch_error(const struct fake_partition *p, int64_t offset, int code)
{
    if (p == NULL)
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    if (code != 0)
        return code;
    return offset < p->start || offset > p->end ? STATUS_OFFSET_OUT_OF_RANGE : 0;
}

bool fake_fetch_ready(struct fake_topics *t, const Leat__FetchRequest *f)
{
    for (size_t i = 0; i < f->n_topics; i++)
        for (size_t j = 0; j < f->topics[i]->n_partitions; j++) {
            const Leat__FetchPartition *q = f->topics[i]->partitions[j];
            const struct fake_partition *p =
                fake_topics_find(t, f->topics[i]->name, q->partition);

            if (fetch_error(p, q->offset, 0) != 0 || q->offset < p->end)
                return true;
        }
    return false;
}

static void answer_fetch(struct fake_topics *t, struct fake_request *r, struct arena *a,
                         int code)
{
    const Leat__FetchRequest *q = (const void *)r->message;
    Leat__FetchResponse m = LEAT__FETCH_RESPONSE__INIT;
    struct writer payload = writer_growing();

    m.topics = LIST(a, q->n_topics, Leat__FetchTopicResult);
    for (size_t i = 0; i < q->n_topics; i++) {
        const Leat__FetchTopic *from = q->topics[i];
        Leat__FetchTopicResult *to =
            NEW(a, Leat__FetchTopicResult, LEAT__FETCH_TOPIC_RESULT__INIT);

        to->name = from->name;
        to->partitions = LIST(a, from->n_partitions, Leat__FetchResult);
        for (size_t j = 0; j < from->n_partitions; j++) {
            const Leat__FetchPartition *f = from->partitions[j];
            const struct fake_partition *p =
                fake_topics_find(t, from->name, f->partition);
            Leat__FetchResult *x = NEW(a, Leat__FetchResult, LEAT__FETCH_RESULT__INIT);

            x->partition = f->partition;
            x->error = fetch_error(p, f->offset, code);
            x->high_watermark = p != NULL ? p->end : -1;
            x->log_start = p != NULL ? p->start : -1;
            if (x->error == 0)
                x->batch_bytes = read_batches(p, f->offset, f->max_bytes, &payload);
            to->partitions[to->n_partitions++] = x;
        }
        m.topics[m.n_topics++] = to;
    }
    fake_answer(r, &m.base, (struct bytes){payload.data, payload.len});
    writer_release(&payload);
}

/* A time answers with the first batch whose newest record is not older. */
static int64_t lookup(const struct fake_partition *p, int64_t timestamp_ms)
{
    if (timestamp_ms == -2)
        return p->start;
    for (size_t i = 0; timestamp_ms >= 0 && i < p->len; i++)
        if ((int64_t)load_u64(p->batches[i].data + BATCH_AT_MAX_TIMESTAMP) >=
            timestamp_ms)
            return p->batches[i].base;
    return p->end;
}

static void answer_list_offsets(struct fake_topics *t, struct fake_request *r,
                                struct arena *a)
{
    const Leat__ListOffsetsRequest *q = (const void *)r->message;
    Leat__ListOffsetsResponse m = LEAT__LIST_OFFSETS_RESPONSE__INIT;

    m.topics = LIST(a, q->n_topics, Leat__ListOffsetsTopicResult);
    for (size_t i = 0; i < q->n_topics; i++) {
        const Leat__ListOffsetsTopic *from = q->topics[i];
        Leat__ListOffsetsTopicResult *to =
            NEW(a, Leat__ListOffsetsTopicResult, LEAT__LIST_OFFSETS_TOPIC_RESULT__INIT);

        to->name = from->name;
        to->partitions = LIST(a, from->n_partitions, Leat__ListOffsetsResult);
        for (size_t j = 0; j < from->n_partitions; j++) {
            const Leat__ListOffsetsPartition *f = from->partitions[j];
            const struct fake_partition *p =
                fake_topics_find(t, from->name, f->partition);
            Leat__ListOffsetsResult *x =
                NEW(a, Leat__ListOffsetsResult, LEAT__LIST_OFFSETS_RESULT__INIT);

            x->partition = f->partition;
            x->error = p == NULL ? STATUS_UNKNOWN_TOPIC_OR_PARTITION : 0;
            x->offset = p != NULL ? lookup(p, f->timestamp_ms) : -1;
            x->timestamp_ms = -1;
            x->leader_epoch = 1;
            to->partitions[to->n_partitions++] = x;
        }
        m.topics[m.n_topics++] = to;
    }
    fake_answer(r, &m.base, (struct bytes){0});
}

static void commit_one(struct fake_topics *t, const char *group, const char *topic,
                       const Leat__OffsetPartition *p)
{
    struct fake_commit *c = fake_commit_find(t, group, topic, p->partition);

    if (c == NULL) {
        c = must_zalloc(sizeof *c);
        c->group = must_text(group);
        c->topic = must_text(topic);
        c->partition = p->partition;
        SLIST_INSERT_HEAD(&t->commits, c, link);
    }
    free(c->metadata);
    c->metadata = must_text(p->metadata);
    c->offset = p->offset;
    c->leader_epoch = p->leader_epoch;
}

static void answer_commit(struct fake_topics *t, struct fake_request *r, struct arena *a)
{
    const Leat__OffsetCommitRequest *q = (const void *)r->message;
    Leat__OffsetCommitResponse m = LEAT__OFFSET_COMMIT_RESPONSE__INIT;

    m.topics = LIST(a, q->n_topics, Leat__OffsetCommitTopicResult);
    for (size_t i = 0; i < q->n_topics; i++) {
        const Leat__OffsetTopic *from = q->topics[i];
        Leat__OffsetCommitTopicResult *to =
            NEW(a, Leat__OffsetCommitTopicResult, LEAT__OFFSET_COMMIT_TOPIC_RESULT__INIT);

        to->name = from->name;
        to->partitions = LIST(a, from->n_partitions, Leat__OffsetCommitResult);
        for (size_t j = 0; j < from->n_partitions; j++) {
            Leat__OffsetCommitResult *x =
                NEW(a, Leat__OffsetCommitResult, LEAT__OFFSET_COMMIT_RESULT__INIT);

            commit_one(t, q->group, from->name, from->partitions[j]);
            x->partition = from->partitions[j]->partition;
            to->partitions[to->n_partitions++] = x;
        }
        m.topics[m.n_topics++] = to;
    }
    fake_answer(r, &m.base, (struct bytes){0});
}

static void answer_offset_fetch(struct fake_topics *t, struct fake_request *r,
                                struct arena *a)
{
    const Leat__OffsetFetchRequest *q = (const void *)r->message;
    Leat__OffsetFetchResponse m = LEAT__OFFSET_FETCH_RESPONSE__INIT;

    m.topics = LIST(a, q->n_topics, Leat__OffsetFetchTopic);
    for (size_t i = 0; i < q->n_topics; i++) {
        const Leat__TopicPartitions *from = q->topics[i];
        Leat__OffsetFetchTopic *to =
            NEW(a, Leat__OffsetFetchTopic, LEAT__OFFSET_FETCH_TOPIC__INIT);

        to->name = from->topic;
        to->partitions = LIST(a, from->n_partitions, Leat__OffsetFetchResult);
        for (size_t j = 0; j < from->n_partitions; j++) {
            const struct fake_commit *c =
                fake_commit_find(t, q->group, from->topic, from->partitions[j]);
            Leat__OffsetFetchResult *x =
                NEW(a, Leat__OffsetFetchResult, LEAT__OFFSET_FETCH_RESULT__INIT);

            x->partition = from->partitions[j];
            x->offset = c != NULL ? c->offset : -1;
            x->leader_epoch = c != NULL ? c->leader_epoch : -1;
            x->metadata = c != NULL ? c->metadata : x->metadata;
            to->partitions[to->n_partitions++] = x;
        }
        m.topics[m.n_topics++] = to;
    }
    fake_answer(r, &m.base, (struct bytes){0});
}

bool fake_topics_answer(struct fake_topics *t, struct fake_request *r, int code)
{
    struct arena a;
    bool known = true;

    arena_init(&a, 0);
    switch (r->frame.api) {
    case RPC_HELLO: answer_hello(r); break;
    case RPC_METADATA: answer_metadata(t, r, &a); break;
    case RPC_PRODUCE: answer_produce(t, r, &a, code); break;
    case RPC_FETCH: answer_fetch(t, r, &a, code); break;
    case RPC_LIST_OFFSETS: answer_list_offsets(t, r, &a); break;
    case RPC_OFFSET_COMMIT: answer_commit(t, r, &a); break;
    case RPC_OFFSET_FETCH: answer_offset_fetch(t, r, &a); break;
    default: known = false; break;
    }
    arena_release(&a);
    return known;
}
