/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/image.h"
#include "broker/core/image_topic.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 249 };

void image_init(struct image *image)
{
    *image = (struct image){.controller = -1};
    map_init(&image->by_name);
    map_init(&image->by_id);
}

void topic_free(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct image_partition *p = &topic->partitions[i];

        free(p->replicas);
        free(p->in_sync);
        free(p->eligible);
        free(p->adding);
        free(p->removing);
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
    while (image->broker_count > 0)
        image_broker_free(&image->brokers[--image->broker_count]);
    free(image->brokers);
    free(image->voters);
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

bool image_has(const int32_t *numbers, size_t count, int32_t node_id)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == node_id)
            return true;
    return false;
}

size_t image_topic_count(const struct image *image)
{
    return image->by_name.count - image->internal_count;
}

bool topic_is_internal(const struct topic *topic)
{
    return strncmp(topic->name, "__", 2) == 0;
}

void image_emit(struct image_emission *s, const Leat__Metadata__Record *r)
{
    size_t size = leat__metadata__record__get_packed_size(r);
    uint8_t *at;

    s->packed.len = 0;
    at = write_reserve(&s->packed, size);
    CHECK(at != NULL); /* control structures have memory or the process ends */
    leat__metadata__record__pack(r, at);
    s->emit(s->to, (struct bytes){at, size});
}

static void emit_config(struct image_emission *s, struct topic *topic)
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
        image_emit(s, &r);
    }
}

static void emit_partition(struct image_emission *s, struct topic *topic, int32_t number)
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
    partition.eligible = p->eligible;
    partition.n_eligible = p->eligible_count;
    partition.adding = p->adding;
    partition.n_adding = p->adding_count;
    partition.removing = p->removing;
    partition.n_removing = p->removing_count;
    partition.recovering = p->recovering;
    partition.last_leader = p->last_leader;
    r.kind_case = LEAT__METADATA__RECORD__KIND_PARTITION;
    r.partition = &partition;
    image_emit(s, &r);
}

void image_snapshot(const struct image *image,
                    void (*emit)(void *to, struct bytes record), void *to)
{
    struct image_emission s = {writer_growing(), emit, to};
    struct topic *topic;

    image_emit_cluster(&s, image);
    for (size_t i = 0; (topic = map_next(&image->by_name, &i));) {
        Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
        Leat__Metadata__Topic t = LEAT__METADATA__TOPIC__INIT;

        t.topic_id = (ProtobufCBinaryData){UUID_BYTES, topic->id.id};
        t.name = topic->name;
        t.created_ms = topic->created_ms;
        r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
        r.topic = &t;
        image_emit(&s, &r);
        emit_config(&s, topic);
        for (int32_t n = 0; n < topic->partition_count; n++)
            emit_partition(&s, topic, n);
    }
    writer_release(&s.packed);
}
