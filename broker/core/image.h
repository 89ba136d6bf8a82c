/* SPDX-License-Identifier: Apache-2.0
 *
 * The image is what the metadata log says so far: topics, their partitions, their
 * configuration. It is the fold of leat.metadata.Record over the log; the same function
 * builds it on the shard that owns the log, on the other shards, and (later) on other
 * brokers. Nobody writes to it but image_apply. */
#pragma once

#include "broker/core/topic_config.h"
#include "proto/base/map.h"
#include "proto/base/uuid.h"

struct partition;

struct image_partition {
    struct partition *local; /* set by the node, on the shard that owns it; else NULL */
    int32_t leader;          /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t *replicas;
    size_t replica_count;
    int32_t *in_sync;
    size_t in_sync_count;
};

struct topic {
    struct uuid id;
    char *name;
    int64_t created_ms;
    struct topic_config config; /* overrides on top of the broker's defaults */
    struct image_partition *partitions;
    int32_t partition_count;
};

struct image {
    struct map by_name; /* struct topic, in the order of creation */
    struct map by_id;
    int64_t partition_count; /* of all topics */
    int64_t applied;         /* next offset of the metadata log */
};

/* What a record changed, for those who keep something per topic or partition. */
enum image_change {
    IMAGE_TOPIC_ADDED,
    IMAGE_TOPIC_REMOVED,
    IMAGE_PARTITION,
    IMAGE_CONFIG,
    IMAGE_TRIM
};

struct image_watcher {
    /* Runs after the change; for REMOVED when the image does not find the topic any more,
     * but before its memory goes. `partition` is
     * -1 unless the change is one partition's. `offset` is IMAGE_TRIM's. */
    void (*changed)(void *ctx, enum image_change change, struct topic *topic,
                    int32_t partition, int64_t offset);
    void *ctx;
};

void image_init(struct image *image);
void image_release(struct image *image);

/* Apply one record of the metadata log. CORRUPT if it cannot follow what was before. */
STATUS_MUST_CHECK enum status image_apply(struct image *image, int64_t offset,
                                          struct bytes record,
                                          const struct image_watcher *watcher);
/* The records from which an empty image becomes this one. */
void image_snapshot(const struct image *image,
                    void (*emit)(void *to, struct bytes record), void *to);

struct topic *image_topic(const struct image *image, struct bytes name);
struct topic *image_topic_by_id(const struct image *image, struct uuid id);
/* By name, and if `id` is not empty it must be the topic's: UNKNOWN_TOPIC_OR_PARTITION.
 */
STATUS_MUST_CHECK enum status image_find(const struct image *image, struct bytes name,
                                         struct bytes id, struct topic **out);

/* 1 to 249 of [a-zA-Z0-9._-], not "." or ".."; for topics and groups alike. */
bool name_is_valid(struct bytes name);
/* Names that begin with two underscores are the broker's own. */
bool topic_is_internal(const struct topic *topic);
