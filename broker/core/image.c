/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/image.h"
#include "broker/core/image_topic.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/rpc/metadata.pb-c.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 249 };

void image_init(struct image *image)
{
    *image = (struct image){0};
    map_init(&image->by_name);
    map_init(&image->by_id);
}

void topic_free(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        free(topic->partitions[i].replicas);
        free(topic->partitions[i].in_sync);
    }
    free(topic->partitions);
    free(topic->name);
    free(topic);
}

void image_release(struct image *image)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&image->by_name, &i));)
        topic_free(topic);
    map_release(&image->by_name);
    map_release(&image->by_id);
    *image = (struct image){0};
}

struct topic *image_topic(const struct image *image, struct bytes name)
{
    return map_get(&image->by_name, name);
}

struct topic *image_topic_by_id(const struct image *image, struct uuid id)
{
    return map_get(&image->by_id, (struct bytes){id.id, UUID_BYTES});
}

enum status image_find(const struct image *image, struct bytes name, struct bytes id,
                       struct topic **out)
{
    struct topic *topic = image_topic(image, name);
    struct uuid wanted;

    if (topic == NULL)
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    if (id.len > 0 && (!uuid_from(id, &wanted) || !uuid_equal(wanted, topic->id)))
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    *out = topic;
    return STATUS_OK;
}

bool name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];

        if (c >= 0x80 || (!isalnum(c) && c != '.' && c != '_' && c != '-'))
            return false;
    }
    return !bytes_equal(name, bytes_of(".")) && !bytes_equal(name, bytes_of(".."));
}

bool topic_is_internal(const struct topic *topic)
{
    return strncmp(topic->name, "__", 2) == 0;
}

struct snapshot {
    struct writer packed;
    void (*emit)(void *to, struct bytes record);
    void *to;
};

static void emit_record(struct snapshot *s, const Leat__Metadata__Record *r)
{
    size_t size = leat__metadata__record__get_packed_size(r);
    uint8_t *at;

    s->packed.len = 0;
    at = write_reserve(&s->packed, size);
    CHECK(at != NULL); /* control structures have memory or the process ends */
    leat__metadata__record__pack(r, at);
    s->emit(s->to, (struct bytes){at, size});
}

static void emit_config(struct snapshot *s, struct topic *topic)
{
    for (unsigned key = 0; key < TOPIC_KEY_COUNT; key++) {
        Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
        Leat__Metadata__TopicConfig config = LEAT__METADATA__TOPIC_CONFIG__INIT;
        char value[96];

        if (!(topic->config.set >> key & 1))
            continue;
        topic_config_format(key, topic->config.value[key], value, sizeof value);
        config.topic_id = (ProtobufCBinaryData){UUID_BYTES, topic->id.id};
        config.key = (char *)topic_key_row(key)->name;
        config.value = value;
        r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC_CONFIG;
        r.topic_config = &config;
        emit_record(s, &r);
    }
}

static void emit_partition(struct snapshot *s, struct topic *topic, int32_t number)
{
    const struct image_partition *p = &topic->partitions[number];
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Partition partition = LEAT__METADATA__PARTITION__INIT;

    partition.topic_id = (ProtobufCBinaryData){UUID_BYTES, topic->id.id};
    partition.partition = number;
    partition.replicas = p->replicas;
    partition.n_replicas = p->replica_count;
    partition.in_sync = p->in_sync;
    partition.n_in_sync = p->in_sync_count;
    partition.leader = p->leader;
    partition.leader_epoch = p->leader_epoch;
    partition.partition_epoch = p->partition_epoch;
    r.kind_case = LEAT__METADATA__RECORD__KIND_PARTITION;
    r.partition = &partition;
    emit_record(s, &r);
}

void image_snapshot(const struct image *image,
                    void (*emit)(void *to, struct bytes record), void *to)
{
    struct snapshot s = {writer_growing(), emit, to};
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&image->by_name, &i));) {
        Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
        Leat__Metadata__Topic t = LEAT__METADATA__TOPIC__INIT;

        t.topic_id = (ProtobufCBinaryData){UUID_BYTES, topic->id.id};
        t.name = topic->name;
        t.created_ms = topic->created_ms;
        r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
        r.topic = &t;
        emit_record(&s, &r);
        emit_config(&s, topic);
        for (int32_t n = 0; n < topic->partition_count; n++)
            emit_partition(&s, topic, n);
    }
    writer_release(&s.packed);
}
