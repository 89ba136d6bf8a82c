/* SPDX-License-Identifier: Apache-2.0
 *
 * What somebody wants changed, checked against the image and turned into records of the
 * metadata log. Pure: the same question on the same image gives the same records. Nothing
 * is changed here; the records are, once they are committed. */
#pragma once

#include "broker/core/image.h"
#include "proto/base/arena.h"
#include "proto/rpc/leat.pb-c.h"

/* What the broker allows at the moment. */
struct change_rules {
    int64_t topics_max;
    int64_t partitions_max;
    int32_t default_partitions;
    int32_t default_replication;
    int32_t node_id; /* who holds everything before any broker has registered */
    const struct topic_config *topic_defaults;
};

/* Records to be proposed together; memory from the arena. */
struct change {
    struct arena *arena;
    struct bytes *records;
    size_t count;
    size_t capacity;
    uint64_t elections, unclean_elections; /* of leaders, for the metrics */
    bool failed;                           /* the arena is at its limit */
    char why[256];                         /* the sentence that belongs to a refusal */
};

struct change change_of(struct arena *arena);

/* TOPIC_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR,
 * INVALID_CONFIG, TOO_MANY, THROTTLED (no memory). The numbers that were chosen go into
 * `partitions` and `replication`. */
STATUS_MUST_CHECK enum status change_create(struct change *c, const struct image *image,
                                            const struct change_rules *rules,
                                            const Leat__CreateTopicRequest *wish,
                                            struct uuid id, int64_t wall_ms,
                                            int32_t *partitions, int32_t *replication);
STATUS_MUST_CHECK enum status change_delete(struct change *c, const struct image *image,
                                            const char *name, struct uuid *id);
STATUS_MUST_CHECK enum status change_alter(struct change *c, const struct image *image,
                                           const struct change_rules *rules,
                                           const Leat__AlterTopicRequest *wish,
                                           int32_t *partitions);
STATUS_MUST_CHECK enum status change_trim(struct change *c, const struct image *image,
                                          struct uuid id, int32_t partition,
                                          int64_t offset);

/* Single records, for the functions above and the controller. Those that find no memory
 * set `failed`. */
void change_new_topic(struct change *c, struct uuid id, const char *name,
                      int64_t wall_ms);
void change_remove_topic(struct change *c, struct uuid id);
/* NULL: back to the default. */
void change_topic_setting(struct change *c, struct uuid topic, const char *key,
                          const char *value);
void change_partition(struct change *c, struct uuid topic, int32_t number,
                      const struct image_partition *p);
void change_log_start(struct change *c, struct uuid topic, int32_t number,
                      int64_t offset);
void change_broker(struct change *c, const Leat__RegisterBrokerRequest *wish);
void change_broker_state(struct change *c, int32_t node_id, enum broker_state state,
                         bool draining);
void change_remove_broker(struct change *c, int32_t node_id);
void change_producer_ids(struct change *c, int64_t next);
