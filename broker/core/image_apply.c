/* SPDX-License-Identifier: Apache-2.0
 *
 * One record of the metadata log after the other. The log is ours, so a record that
 * cannot follow the ones before it is damage, not a request to be refused. */
#include "broker/core/image.h"
#include "broker/core/image_topic.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { REPLICAS_MAX = 32 };

static void tell(const struct image_watcher *watcher, enum image_change change,
                 struct topic *topic, int32_t partition, int64_t offset)
{
    if (watcher != NULL)
        watcher->changed(watcher->ctx, change, topic, partition, offset);
}

static struct topic *find(const struct image *image, const ProtobufCBinaryData *id)
{
    struct uuid uuid;

    if (!uuid_from((struct bytes){id->data, id->len}, &uuid))
        return NULL;
    return image_topic_by_id(image, uuid);
}

static enum status apply_topic(struct image *image, const Leat__Metadata__Topic *r,
                               const struct image_watcher *watcher)
{
    struct bytes name = bytes_of(r->name);
    struct topic *topic;
    struct uuid id;

    if (!uuid_from((struct bytes){r->topic_id.data, r->topic_id.len}, &id) ||
        !name_is_valid(name) || image_topic(image, name) != NULL ||
        image_topic_by_id(image, id) != NULL)
        return STATUS_CORRUPT;
    topic = must_zalloc(sizeof *topic);
    topic->id = id;
    topic->name = must_text(r->name);
    topic->created_ms = r->created_ms;
    image->internal_count += topic_is_internal(topic);
    CHECK(map_put(&image->by_name, bytes_of(topic->name), topic));
    CHECK(map_put(&image->by_id, (struct bytes){topic->id.id, UUID_BYTES}, topic));
    tell(watcher, IMAGE_TOPIC_ADDED, topic, -1, 0);
    return STATUS_OK;
}

static void copy_numbers(const int32_t *numbers, size_t count, int32_t **to,
                         size_t *to_count)
{
    free(*to);
    *to = must_alloc(count * sizeof **to + 1);
    if (count > 0)
        memcpy(*to, numbers, count * sizeof **to);
    *to_count = count;
}

static bool are_replicas(const Leat__Metadata__Partition *r, const int32_t *numbers,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!image_has(r->replicas, r->n_replicas, numbers[i]) ||
            image_has(numbers + i + 1, count - i - 1, numbers[i]))
            return false;
    return true;
}

/* Everybody is a replica, nobody both in sync and merely eligible, and a leader is in
 * sync. */
static bool makes_sense(const Leat__Metadata__Partition *r)
{
    if (r->n_replicas == 0 || r->n_replicas > REPLICAS_MAX ||
        !are_replicas(r, r->replicas, r->n_replicas) ||
        !are_replicas(r, r->in_sync, r->n_in_sync) ||
        !are_replicas(r, r->eligible, r->n_eligible) ||
        !are_replicas(r, r->adding, r->n_adding) ||
        !are_replicas(r, r->removing, r->n_removing))
        return false;
    for (size_t i = 0; i < r->n_eligible; i++)
        if (image_has(r->in_sync, r->n_in_sync, r->eligible[i]))
            return false;
    return r->leader < 0 || image_has(r->in_sync, r->n_in_sync, r->leader);
}

/* Partitions come in order, so a new one is the next number. */
static struct image_partition *partition_slot(struct image *image, struct topic *topic,
                                              int32_t number)
{
    if (number < 0 || number > topic->partition_count)
        return NULL;
    if (number == topic->partition_count) {
        if ((number & (number - 1)) == 0) /* full at every power of two */
            topic->partitions =
                must_realloc(topic->partitions, (number > 0 ? 2 * (size_t)number : 1) *
                                                    sizeof *topic->partitions);
        memset(&topic->partitions[number], 0, sizeof *topic->partitions);
        topic->partition_count++;
        image->partition_count += !topic_is_internal(topic);
    }
    return &topic->partitions[number];
}

static enum status apply_partition(struct image *image,
                                   const Leat__Metadata__Partition *r,
                                   const struct image_watcher *watcher)
{
    struct topic *topic = find(image, &r->topic_id);
    struct image_partition *p;

    if (topic == NULL || !makes_sense(r))
        return STATUS_CORRUPT;
    p = partition_slot(image, topic, r->partition);
    if (p == NULL || r->leader_epoch < p->leader_epoch ||
        r->partition_epoch < p->partition_epoch)
        return STATUS_CORRUPT;
    copy_numbers(r->replicas, r->n_replicas, &p->replicas, &p->replica_count);
    copy_numbers(r->in_sync, r->n_in_sync, &p->in_sync, &p->in_sync_count);
    copy_numbers(r->eligible, r->n_eligible, &p->eligible, &p->eligible_count);
    copy_numbers(r->adding, r->n_adding, &p->adding, &p->adding_count);
    copy_numbers(r->removing, r->n_removing, &p->removing, &p->removing_count);
    p->recovering = r->recovering;
    p->last_leader = r->last_leader;
    p->leader = r->leader;
    p->leader_epoch = r->leader_epoch;
    p->partition_epoch = r->partition_epoch;
    tell(watcher, IMAGE_PARTITION, topic, r->partition, 0);
    return STATUS_OK;
}

static enum status apply_config(struct image *image, const Leat__Metadata__TopicConfig *r,
                                const struct image_watcher *watcher)
{
    struct topic *topic = find(image, &r->topic_id);
    char why[160];

    if (topic == NULL || topic_config_set(&topic->config, bytes_of(r->key),
                                          r->unset ? NULL : r->value, why))
        return STATUS_CORRUPT;
    tell(watcher, IMAGE_CONFIG, topic, -1, 0);
    return STATUS_OK;
}

static enum status apply_remove(struct image *image, const Leat__Metadata__RemoveTopic *r,
                                const struct image_watcher *watcher)
{
    struct topic *topic = find(image, &r->topic_id);

    if (topic == NULL)
        return STATUS_CORRUPT;
    map_remove(&image->by_name, bytes_of(topic->name));
    map_remove(&image->by_id, (struct bytes){topic->id.id, UUID_BYTES});
    if (topic_is_internal(topic))
        image->internal_count--;
    else
        image->partition_count -= topic->partition_count;
    tell(watcher, IMAGE_TOPIC_REMOVED, topic, -1, 0);
    topic_free(topic);
    return STATUS_OK;
}

static enum status apply_trim(struct image *image, const Leat__Metadata__Trim *r,
                              const struct image_watcher *watcher)
{
    struct topic *topic = find(image, &r->topic_id);

    if (topic == NULL || r->partition < 0 || r->partition >= topic->partition_count ||
        r->offset < 0)
        return STATUS_CORRUPT;
    tell(watcher, IMAGE_TRIM, topic, r->partition, r->offset);
    return STATUS_OK;
}

static enum status told(enum status st, const struct image_watcher *watcher,
                        int32_t node_id)
{
    if (!st)
        tell(watcher, IMAGE_BROKER, NULL, node_id, 0);
    return st;
}

static enum status apply_ids(struct image *image, const Leat__Metadata__ProducerIds *r)
{
    if (r->next < image->next_producer_id)
        return STATUS_CORRUPT;
    image->next_producer_id = r->next;
    return STATUS_OK;
}

static enum status apply_leader(struct image *image,
                                const Leat__Metadata__LeaderChange *r)
{
    if (r->epoch < image->controller_epoch)
        return STATUS_CORRUPT;
    image->controller = r->leader_id;
    image->controller_epoch = r->epoch;
    return STATUS_OK;
}

static enum status apply(struct image *image, int64_t offset,
                         const Leat__Metadata__Record *r,
                         const struct image_watcher *watcher)
{
    switch (r->kind_case) {
    case LEAT__METADATA__RECORD__KIND_TOPIC: return apply_topic(image, r->topic, watcher);
    case LEAT__METADATA__RECORD__KIND_PARTITION:
        return apply_partition(image, r->partition, watcher);
    case LEAT__METADATA__RECORD__KIND_TOPIC_CONFIG:
        return apply_config(image, r->topic_config, watcher);
    case LEAT__METADATA__RECORD__KIND_REMOVE_TOPIC:
        return apply_remove(image, r->remove_topic, watcher);
    case LEAT__METADATA__RECORD__KIND_TRIM: return apply_trim(image, r->trim, watcher);
    case LEAT__METADATA__RECORD__KIND_BROKER:
        return told(image_apply_broker(image, offset, r->broker), watcher,
                    r->broker->node_id);
    case LEAT__METADATA__RECORD__KIND_BROKER_STATE:
        return told(image_apply_state(image, r->broker_state), watcher,
                    r->broker_state->node_id);
    case LEAT__METADATA__RECORD__KIND_REMOVE_BROKER:
        return told(image_apply_removal(image, r->remove_broker), watcher,
                    r->remove_broker->node_id);
    case LEAT__METADATA__RECORD__KIND_PRODUCER_IDS:
        return apply_ids(image, r->producer_ids);
    case LEAT__METADATA__RECORD__KIND_VOTERS: return image_apply_voters(image, r->voters);
    case LEAT__METADATA__RECORD__KIND_LEADER_CHANGE:
        return apply_leader(image, r->leader_change);
    case LEAT__METADATA__RECORD__KIND__NOT_SET:
    case _LEAT__METADATA__RECORD__KIND__CASE_IS_INT_SIZE: break;
    }
    return STATUS_CORRUPT;
}

enum status image_apply(struct image *image, int64_t offset, struct bytes record,
                        const struct image_watcher *watcher)
{
    Leat__Metadata__Record *r =
        leat__metadata__record__unpack(NULL, record.len, record.data);
    enum status st;

    if (r == NULL)
        return STATUS_CORRUPT;
    st = apply(image, offset, r, watcher);
    leat__metadata__record__free_unpacked(r, NULL);
    if (!st && offset >= 0)
        image->applied = offset + 1;
    return st;
}
