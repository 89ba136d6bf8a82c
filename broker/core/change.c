/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be changed, and what becomes of it: topics and their settings. */
#include "broker/core/change.h"

#include "broker/core/cluster/placement.h"
#include "proto/base/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum status refuse(struct change *c, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status refuse(struct change *c, enum status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->why, sizeof c->why, format, args);
    va_end(args);
    return status;
}

static enum status finished(struct change *c)
{
    return c->failed ? refuse(c, STATUS_THROTTLED,
                              "the change is too large for the request's memory")
                     : STATUS_OK;
}

/* A new partition begins with everybody in sync who is up: they are all empty. */
static void add_partition(struct change *c, const struct image *image,
                          const struct uuid *id, int32_t number, int32_t *replicas,
                          size_t count)
{
    int32_t in_sync[32];
    struct image_partition p = {.replicas = replicas,
                                .replica_count = count,
                                .in_sync = in_sync,
                                .leader = -1,
                                .leader_epoch = 1};

    CHECK(count <= 32);
    for (size_t i = 0; i < count; i++)
        if (image->broker_count == 0 || image_is_active(image, replicas[i]))
            in_sync[p.in_sync_count++] = replicas[i];
    if (p.in_sync_count > 0) {
        p.leader = in_sync[0];
    } else { /* nobody is up: they hold all of the nothing */
        p.eligible = replicas;
        p.eligible_count = count;
    }
    change_partition(c, *id, number, &p);
}

static enum status add_partitions(struct change *c, const struct image *image,
                                  const struct change_rules *rules, const struct uuid *id,
                                  int32_t from, int32_t to, int32_t replication)
{
    size_t count = (size_t)(to - from), each = (size_t)replication;
    int32_t *replicas = arena_alloc(c->arena, count * each * sizeof *replicas + 1);

    if (replicas == NULL) {
        c->failed = true;
        return STATUS_OK; /* `finished` says it */
    }
    if (image->broker_count == 0) {
        for (size_t i = 0; i < count; i++)
            replicas[i] = rules->node_id;
    } else if (placement_choose(image, (int32_t)count, replication, replicas)) {
        return refuse(c, STATUS_INVALID_REPLICATION_FACTOR,
                      "replication factor %d is not possible: the cluster has %zu "
                      "broker%s",
                      replication, image->broker_count,
                      image->broker_count == 1 ? "" : "s");
    }
    for (size_t i = 0; i < count && !c->failed; i++)
        add_partition(c, image, id, from + (int32_t)i, replicas + i * each, each);
    return STATUS_OK;
}

/* `*touched` remembers the keys of this request: naming one twice contradicts itself. */
static enum status change_key(struct change *c, struct topic_config *config,
                              const struct uuid *id, const char *key, const char *value,
                              uint64_t *touched)
{
    char why[160];
    enum topic_key k;
    enum status st = topic_config_set(config, bytes_of(key), value, why);

    if (st)
        return refuse(c, st, "%s", why);
    CHECK(topic_key_find(bytes_of(key), &k));
    if (*touched >> k & 1)
        return refuse(c, STATUS_INVALID_CONFIG, "%s is named twice", key);
    *touched |= UINT64_C(1) << k;
    change_topic_setting(c, *id, key, value);
    return STATUS_OK;
}

static enum status change_keys(struct change *c, struct topic_config *config,
                               const struct uuid *id, size_t count,
                               Leat__ConfigEntry *const *set, uint64_t *touched)
{
    for (size_t i = 0; i < count; i++) {
        enum status st = change_key(c, config, id, set[i]->key, set[i]->value, touched);

        if (st)
            return st;
    }
    return STATUS_OK;
}

static enum status check_in_sync(struct change *c, const struct topic_config *config,
                                 const struct change_rules *rules, int32_t replication)
{
    int64_t wanted =
        topic_config_get(config, rules->topic_defaults, TOPIC_KEY_MIN_INSYNC_REPLICAS);

    if (wanted <= replication)
        return STATUS_OK;
    return refuse(c, STATUS_INVALID_CONFIG,
                  "min.insync.replicas is %" PRId64
                  " but the topic has %d: nothing could "
                  "be published with acks=all",
                  wanted, replication);
}

/* Leader and controller must mean the same, so a default other than 1 is written down. */
static void pin_in_sync(struct change *c, const struct change_rules *rules,
                        const struct uuid *id)
{
    int64_t wanted = topic_config_get(&(struct topic_config){0}, rules->topic_defaults,
                                      TOPIC_KEY_MIN_INSYNC_REPLICAS);
    char value[24];

    if (wanted == 1)
        return;
    snprintf(value, sizeof value, "%" PRId64, wanted);
    change_topic_setting(c, *id, topic_key_row(TOPIC_KEY_MIN_INSYNC_REPLICAS)->name,
                         value);
}

/* With another minimum, who is eligible means something else: so nobody may be, and every
 * partition gets a new epoch, so that no leader proposes by what was before. */
static enum status renew_partitions(struct change *c, const struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct image_partition p = topic->partitions[i];

        if (p.eligible_count > 0)
            return refuse(c, STATUS_NOT_ENOUGH_REPLICAS,
                          "%.64s/%d has replicas that are not in sync but may have to "
                          "lead; change min.insync.replicas when they are back",
                          topic->name, i);
        p.partition_epoch++;
        change_partition(c, topic->id, i, &p);
    }
    return STATUS_OK;
}

static enum status check_partitions(struct change *c, const struct image *image,
                                    const struct change_rules *rules, int64_t more)
{
    if (image->partition_count + more <= rules->partitions_max)
        return STATUS_OK;
    return refuse(c, STATUS_TOO_MANY,
                  "%" PRId64 " partitions exist and %" PRId64
                  " more would exceed partitions.max, which is %" PRId64,
                  image->partition_count, more, rules->partitions_max);
}

static enum status check_new(struct change *c, const struct image *image,
                             const struct change_rules *rules, const char *name)
{
    if (!name_is_valid(bytes_of(name)))
        return refuse(c, STATUS_INVALID_TOPIC, "%s", status_text(STATUS_INVALID_TOPIC));
    if (strncmp(name, "__", 2) == 0)
        return refuse(c, STATUS_INVALID_TOPIC,
                      "names that begin with two underscores are the broker's own");
    if (image_topic(image, bytes_of(name)) != NULL)
        return refuse(c, STATUS_TOPIC_EXISTS, "topic '%s' exists already", name);
    if ((int64_t)image_topic_count(image) >= rules->topics_max)
        return refuse(c, STATUS_TOO_MANY,
                      "there are %zu topics and topics.max is %" PRId64,
                      image_topic_count(image), rules->topics_max);
    return STATUS_OK;
}

static int32_t brokers_of(const struct image *image)
{
    return image->broker_count > 0 ? (int32_t)image->broker_count : 1;
}

static enum status check_replication(struct change *c, const struct image *image,
                                     int32_t replication)
{
    int32_t brokers = brokers_of(image);

    if (replication >= 1 && replication <= brokers)
        return STATUS_OK;
    return refuse(c, STATUS_INVALID_REPLICATION_FACTOR,
                  "replication factor %d is not possible: the cluster has %d broker%s",
                  replication, brokers, brokers == 1 ? "" : "s");
}

enum status change_create(struct change *c, const struct image *image,
                          const struct change_rules *rules,
                          const Leat__CreateTopicRequest *wish, struct uuid id,
                          int64_t wall_ms, int32_t *partitions, int32_t *replication)
{
    int32_t count = wish->partitions ? wish->partitions : rules->default_partitions;
    int32_t factor = wish->replication ? wish->replication : rules->default_replication;
    struct topic_config config = {0};
    uint64_t touched = 0;
    enum status st = check_new(c, image, rules, wish->name);

    if (!st && count < 1)
        st = refuse(c, STATUS_INVALID_PARTITIONS,
                    "a topic has at least one partition, not %d", count);
    if (!st)
        st = check_partitions(c, image, rules, count);
    if (!st)
        st = check_replication(c, image, factor);
    if (st)
        return st;
    change_new_topic(c, id, wish->name, wall_ms);
    st = change_keys(c, &config, &id, wish->n_config, wish->config, &touched);
    if (!st)
        st = check_in_sync(c, &config, rules, factor);
    if (!st && !(touched >> TOPIC_KEY_MIN_INSYNC_REPLICAS & 1))
        pin_in_sync(c, rules, &id);
    if (st)
        return st;
    st = add_partitions(c, image, rules, &id, 0, count, factor);
    if (st)
        return st;
    *partitions = count;
    *replication = factor;
    return finished(c);
}

static enum status find(struct change *c, const struct image *image, const char *name,
                        struct topic **topic)
{
    if (image_find(image, bytes_of(name), (struct bytes){0}, topic))
        return refuse(c, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic '%.64s'",
                      name);
    return STATUS_OK;
}

enum status change_delete(struct change *c, const struct image *image, const char *name,
                          struct uuid *id)
{
    struct topic *topic;
    enum status st = find(c, image, name, &topic);

    if (st)
        return st;
    *id = topic->id;
    change_remove_topic(c, topic->id);
    return finished(c);
}

static enum status grow(struct change *c, const struct image *image,
                        const struct change_rules *rules, const struct topic *topic,
                        int32_t wanted)
{
    enum status st;

    if (wanted < topic->partition_count)
        return refuse(c, STATUS_INVALID_PARTITIONS,
                      "topic '%.64s' has %d partitions; their number can only grow, not "
                      "become %d",
                      topic->name, topic->partition_count, wanted);
    st = check_partitions(c, image, rules, wanted - topic->partition_count);
    if (!st)
        st = add_partitions(c, image, rules, &topic->id, topic->partition_count, wanted,
                            (int32_t)topic->partitions[0].replica_count);
    return st;
}

enum status change_alter(struct change *c, const struct image *image,
                         const struct change_rules *rules,
                         const Leat__AlterTopicRequest *wish, int32_t *partitions)
{
    struct topic_config config;
    uint64_t touched = 0;
    struct topic *topic;
    enum status st = find(c, image, wish->name, &topic);

    if (st)
        return st;
    config = topic->config;
    st = change_keys(c, &config, &topic->id, wish->n_set, wish->set, &touched);
    for (size_t i = 0; i < wish->n_unset && !st; i++)
        st = change_key(c, &config, &topic->id, wish->unset[i], NULL, &touched);
    if (!st && touched >> TOPIC_KEY_MIN_INSYNC_REPLICAS & 1)
        st =
            check_in_sync(c, &config, rules, (int32_t)topic->partitions[0].replica_count);
    if (!st && touched >> TOPIC_KEY_MIN_INSYNC_REPLICAS & 1)
        st = renew_partitions(c, topic);
    if (!st && wish->partitions != 0)
        st = grow(c, image, rules, topic, wish->partitions);
    if (st)
        return st;
    *partitions = wish->partitions ? wish->partitions : topic->partition_count;
    return finished(c);
}

enum status change_trim(struct change *c, const struct image *image, struct uuid id,
                        int32_t partition, int64_t offset)
{
    const struct topic *topic = image_topic_by_id(image, id);

    if (topic == NULL || partition < 0 || partition >= topic->partition_count)
        return refuse(c, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "the topic is gone");
    change_log_start(c, id, partition, offset);
    return finished(c);
}
