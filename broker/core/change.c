/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/change.h"

#include "proto/base/check.h"
#include "proto/rpc/metadata.pb-c.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct change change_of(struct arena *arena)
{
    return (struct change){.arena = arena};
}

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

static void add(struct change *c, const Leat__Metadata__Record *r)
{
    size_t size = leat__metadata__record__get_packed_size(r);
    uint8_t *data = arena_alloc(c->arena, size);

    if (c->count == c->capacity) {
        size_t capacity = c->capacity > 0 ? 2 * c->capacity : 8;
        struct bytes *records = arena_alloc(c->arena, capacity * sizeof *records);

        if (records == NULL) {
            c->failed = true;
            return;
        }
        if (c->count > 0)
            memcpy(records, c->records, c->count * sizeof *records);
        c->records = records;
        c->capacity = capacity;
    }
    if (data == NULL) {
        c->failed = true;
        return;
    }
    leat__metadata__record__pack(r, data);
    c->records[c->count++] = (struct bytes){data, size};
}

static enum status finished(struct change *c)
{
    return c->failed ? refuse(c, STATUS_THROTTLED,
                              "the change is too large for the request's memory")
                     : STATUS_OK;
}

static ProtobufCBinaryData id_bytes(const struct uuid *id)
{
    return (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)id->id};
}

static void add_topic(struct change *c, const struct uuid *id, const char *name,
                      int64_t created_ms)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Topic topic = LEAT__METADATA__TOPIC__INIT;

    topic.topic_id = id_bytes(id);
    topic.name = (char *)name;
    topic.created_ms = created_ms;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
    r.topic = &topic;
    add(c, &r);
}

static void add_partitions(struct change *c, const struct uuid *id, int32_t from,
                           int32_t to, int32_t node_id)
{
    for (int32_t number = from; number < to && !c->failed; number++) {
        Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
        Leat__Metadata__Partition partition = LEAT__METADATA__PARTITION__INIT;

        partition.topic_id = id_bytes(id);
        partition.partition = number;
        partition.replicas = &node_id;
        partition.n_replicas = 1;
        partition.in_sync = &node_id;
        partition.n_in_sync = 1;
        partition.leader = node_id;
        r.kind_case = LEAT__METADATA__RECORD__KIND_PARTITION;
        r.partition = &partition;
        add(c, &r);
    }
}

static void add_config(struct change *c, const struct uuid *id, const char *key,
                       const char *value)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__TopicConfig config = LEAT__METADATA__TOPIC_CONFIG__INIT;

    config.topic_id = id_bytes(id);
    config.key = (char *)key;
    config.value = (char *)(value ? value : "");
    config.unset = value == NULL;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC_CONFIG;
    r.topic_config = &config;
    add(c, &r);
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
    add_config(c, id, key, value);
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
    if ((int64_t)image->by_name.count >= rules->topics_max)
        return refuse(c, STATUS_TOO_MANY,
                      "there are %zu topics and topics.max is %" PRId64,
                      image->by_name.count, rules->topics_max);
    return STATUS_OK;
}

static enum status check_replication(struct change *c, const struct change_rules *rules,
                                     int32_t replication)
{
    if (replication >= 1 && replication <= rules->brokers)
        return STATUS_OK;
    return refuse(c, STATUS_INVALID_REPLICATION_FACTOR,
                  "replication factor %d is not possible: the cluster has %d broker%s",
                  replication, rules->brokers, rules->brokers == 1 ? "" : "s");
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
        st = check_replication(c, rules, factor);
    if (st)
        return st;
    add_topic(c, &id, wish->name, wall_ms);
    st = change_keys(c, &config, &id, wish->n_config, wish->config, &touched);
    if (!st)
        st = check_in_sync(c, &config, rules, factor);
    if (st)
        return st;
    add_partitions(c, &id, 0, count, rules->node_id);
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
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__RemoveTopic removal = LEAT__METADATA__REMOVE_TOPIC__INIT;
    struct topic *topic;
    enum status st = find(c, image, name, &topic);

    if (st)
        return st;
    *id = topic->id;
    removal.topic_id = id_bytes(&topic->id);
    r.kind_case = LEAT__METADATA__RECORD__KIND_REMOVE_TOPIC;
    r.remove_topic = &removal;
    add(c, &r);
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
        add_partitions(c, &topic->id, topic->partition_count, wanted, rules->node_id);
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
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Trim trim = LEAT__METADATA__TRIM__INIT;
    struct topic *topic = image_topic_by_id(image, id);

    if (topic == NULL || partition < 0 || partition >= topic->partition_count)
        return refuse(c, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "the topic is gone");
    trim.topic_id = id_bytes(&id);
    trim.partition = partition;
    trim.offset = offset;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TRIM;
    r.trim = &trim;
    add(c, &r);
    return finished(c);
}
