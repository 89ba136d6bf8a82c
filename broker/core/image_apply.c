/* SPDX-License-Identifier: Apache-2.0
 *
 * One record of the metadata log after the other. The log is ours, so a record that
 * cannot follow the ones before it is damage, not a request to be refused. */
#include "broker/core/image.h"
#include "broker/core/image_topic.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/rpc/metadata.pb-c.h"

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
    CHECK(map_put(&image->by_name, bytes_of(topic->name), topic));
    CHECK(map_put(&image->by_id, (struct bytes){topic->id.id, UUID_BYTES}, topic));
    tell(watcher, IMAGE_TOPIC_ADDED, topic, -1, 0);
    return STATUS_OK;
}

static int32_t *copy_numbers(const int32_t *numbers, size_t count)
{
    int32_t *copy = must_alloc(count * sizeof *copy + 1);

    if (count > 0)
        memcpy(copy, numbers, count * sizeof *copy);
    return copy;
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
        image->partition_count++;
    }
    return &topic->partitions[number];
}

static enum status apply_partition(struct image *image,
                                   const Leat__Metadata__Partition *r,
                                   const struct image_watcher *watcher)
{
    struct topic *topic = find(image, &r->topic_id);
    struct image_partition *p;

    if (topic == NULL || r->n_replicas == 0 || r->n_replicas > REPLICAS_MAX ||
        r->n_in_sync > r->n_replicas)
        return STATUS_CORRUPT;
    p = partition_slot(image, topic, r->partition);
    if (p == NULL || r->leader_epoch < p->leader_epoch ||
        r->partition_epoch < p->partition_epoch)
        return STATUS_CORRUPT;
    free(p->replicas);
    free(p->in_sync);
    p->replicas = copy_numbers(r->replicas, r->n_replicas);
    p->replica_count = r->n_replicas;
    p->in_sync = copy_numbers(r->in_sync, r->n_in_sync);
    p->in_sync_count = r->n_in_sync;
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

static enum status apply(struct image *image, const Leat__Metadata__Record *r,
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
    case LEAT__METADATA__RECORD__KIND_BROKER_STATE:
    case LEAT__METADATA__RECORD__KIND_REMOVE_BROKER:
    case LEAT__METADATA__RECORD__KIND_PRODUCER_IDS:
    case LEAT__METADATA__RECORD__KIND_VOTERS:
    case LEAT__METADATA__RECORD__KIND_LEADER_CHANGE:
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
    st = apply(image, r, watcher);
    leat__metadata__record__free_unpacked(r, NULL);
    if (!st && offset >= 0)
        image->applied = offset + 1;
    return st;
}
