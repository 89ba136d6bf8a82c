/* SPDX-License-Identifier: Apache-2.0
 *
 * The image is what the metadata log says so far: brokers, topics, their partitions,
 * their configuration. It is the fold of leat.metadata.Record over the log; the same
 * function builds it on the shard that owns the log, on the other shards, and on other
 * brokers. Nobody writes to it but image_apply. */
#pragma once

#include "broker/core/topic_config.h"
#include "broker/core/wire.h"
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
    int32_t *eligible; /* not in sync, but they hold everything committed (KIP-966) */
    size_t eligible_count;
    int32_t *adding; /* of `replicas`: those that a move brings */
    size_t adding_count;
    int32_t *removing; /* and those that it takes away */
    size_t removing_count;
    bool recovering;     /* led uncleanly: nobody may come in sync */
    int32_t last_leader; /* when there is none: who it was; 0 if nobody */
};

/* A broker that has registered, whether it is up or not. */
struct image_broker {
    int32_t node_id;
    enum broker_state { BROKER_FENCED, BROKER_ACTIVE, BROKER_STOPPING } state;
    bool draining;
    int64_t epoch; /* offset of its newest registration */
    struct uuid incarnation;
    struct uuid directory;
    struct endpoint at;
    char *rack;    /* "" if none */
    char *version; /* of its software */
};

/* A voter of the metadata quorum. */
struct voter {
    int32_t node_id;
    struct uuid directory; /* empty in the bootstrap set only */
    struct endpoint at;
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
    int64_t partition_count;      /* of all topics but the brokers' own */
    size_t internal_count;        /* topics that are those */
    int64_t applied;              /* next offset of the metadata log */
    struct image_broker *brokers; /* by node id */
    size_t broker_count;
    struct voter *voters; /* committed; empty before the first set was written */
    size_t voter_count;
    int64_t next_producer_id;
    int32_t controller;       /* who led the quorum by the newest LeaderChange; -1 */
    int32_t controller_epoch; /* and its epoch */
};

/* What a record changed, for those who keep something per topic or partition. */
enum image_change {
    IMAGE_TOPIC_ADDED,
    IMAGE_TOPIC_REMOVED,
    IMAGE_PARTITION,
    IMAGE_CONFIG,
    IMAGE_TRIM,
    IMAGE_BROKER /* `topic` is NULL, `partition` the node id */
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

struct image_broker *image_broker(const struct image *image,
                                  int32_t node_id); /* or NULL */
/* It has registered and is neither fenced nor stopping. */
bool image_is_active(const struct image *image, int32_t node_id);

/* Is `node_id` among `count` numbers? */
bool image_has(const int32_t *numbers, size_t count, int32_t node_id);

struct topic *image_topic(const struct image *image, struct bytes name);
struct topic *image_topic_by_id(const struct image *image, struct uuid id);
/* By name, and if `id` is not empty it must be the topic's: UNKNOWN_TOPIC_OR_PARTITION.
 */
STATUS_MUST_CHECK enum status image_find(const struct image *image, struct bytes name,
                                         struct bytes id, struct topic **out);

/* 1 to 249 of [a-zA-Z0-9._-], not "." or ".."; for topics and groups alike. */
bool name_is_valid(struct bytes name);
/* The brokers' own left out. */
size_t image_topic_count(const struct image *image);
/* Names that begin with two underscores are the broker's own. */
bool topic_is_internal(const struct topic *topic);
