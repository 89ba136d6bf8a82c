/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions follow the image: a node keeps one for each that it owns, opens its log when
 * the metadata tells of it and deletes it when the metadata has forgotten it. */
#include "broker/core/cluster/elect.h"
#include "broker/core/group/coordinator.h"
#include "broker/core/node_state.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct log_id node_log_id(const struct uuid *topic, int32_t partition)
{
    struct log_id id = {.partition = partition};

    memcpy(id.topic, topic->id, sizeof id.topic);
    return id;
}

struct log_config node_log_config(const struct node *n, const struct topic *topic)
{
    const struct topic_config *c = &topic->config;
    const struct topic_config *d = &n->o.config->topic_defaults;

    return (struct log_config){
        .segment_bytes = topic_config_get(c, d, TOPIC_KEY_SEGMENT_BYTES),
        .segment_ms = topic_config_get(c, d, TOPIC_KEY_SEGMENT_MS),
        .retention_bytes = topic_config_get(c, d, TOPIC_KEY_RETENTION_BYTES),
        .retention_ms = topic_config_get(c, d, TOPIC_KEY_RETENTION_MS),
        .index_interval_bytes = topic_config_get(c, d, TOPIC_KEY_INDEX_INTERVAL_BYTES),
        .producer_expiration_ms = config_number(n->o.config, CONFIG_PRODUCER_EXPIRATION),
    };
}

static bool is_mine(const struct node *n, const struct topic *topic, int32_t number)
{
    return node_shard_of(&topic->id, number, n->o.shards) == n->o.shard;
}

/* A partition whose log does not open exists all the same: requests for it are told. */
static struct partition *open_partition(struct node *n, struct topic *topic,
                                        int32_t number)
{
    enum status why = STATUS_OK;
    struct log *log = node_open_log(n, topic, number, &why);
    struct partition *p = partition_new(topic->id, number, log, &n->host);

    node_note_fault(n, p, why);
    return p;
}

static bool is_groups(const struct node *n, const struct topic *topic)
{
    return n->coordinator != NULL && uuid_equal(topic->id, groups_topic_id);
}

/* The groups' log is their machine's. What the machine has applied was committed. */
static struct partition *open_groups(struct node *n, struct topic *topic, int32_t number)
{
    struct machine *m = coordinator_machine(n->coordinator);
    struct partition *p = partition_new(topic->id, number, machine_log(m), &n->host);

    p->machine = m;
    p->recovering = true; /* there may have been an unclean election meanwhile */
    if (p->high_watermark < machine_applied(m))
        p->high_watermark = machine_applied(m);
    return p;
}

/* The replica is gone from here, and so is its log, unless it is a machine's. */
static void drop_partition(struct node *n, struct image_partition *ip, enum status why)
{
    struct partition *p = ip->local;
    const struct log_id id = node_log_id(&p->topic_id, p->number);
    struct log *log = p->log;
    bool is_machine = p->machine != NULL;

    ip->local = NULL;
    partition_free(p, why);
    if (log == NULL) {
        n->offline--;
        n->faults_changed = true;
        store_log_discard(n->store, id);
        return;
    }
    log_set_owner(log, NULL);
    if (!is_machine)
        store_log_delete(n->store, log);
}

/* Before this process has registered, what the metadata says of this broker is about the
 * one before it. Its leaderships must not be continued: its log may have been longer, and
 * one epoch would name two different records. Nor may an old leader be followed, or a
 * replica be dropped that went and came back since: what is on disk belongs to the newest
 * state, not to those that are replayed on the way there. */
static bool is_known(const struct node *n)
{
    const struct image_broker *self = image_broker(&n->image, n->o.node_id);

    return self != NULL && uuid_equal(self->incarnation, n->o.incarnation);
}

void node_follow_partition(struct node *n, struct topic *topic, int32_t number)
{
    struct image_partition *ip = &topic->partitions[number];
    const struct partition_news news = {n->o.node_id, is_known(n), &n->image, ip,
                                        partition_min_in_sync(topic, ip)};

    if (!is_mine(n, topic, number))
        return;
    if (image_has(ip->replicas, ip->replica_count, n->o.node_id)) {
        if (ip->local == NULL)
            ip->local = is_groups(n, topic) ? open_groups(n, topic, number)
                                            : open_partition(n, topic, number);
        if (news.known && node_may_copy_anew(n, ip))
            node_copy_anew(n, topic, number);
        partition_update(ip->local, &news, n->now);
    } else if (ip->local != NULL && news.known) {
        drop_partition(n, ip, STATUS_NOT_LEADER);
    }
    if (is_groups(n, topic))
        node_follow_groups(n);
}

void node_stop_partitions(struct node *n)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));)
        for (int32_t number = 0; number < topic->partition_count; number++)
            if (topic->partitions[number].local != NULL)
                partition_stop(topic->partitions[number].local);
}

static void remove_topic(struct node *n, struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i].local != NULL)
            drop_partition(n, &topic->partitions[i], STATUS_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

static void configure(struct node *n, struct topic *topic)
{
    const struct log_config config = node_log_config(n, topic);

    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition *p = topic->partitions[i].local;

        if (p != NULL && p->log != NULL && p->machine == NULL)
            log_configure(p->log, &config);
    }
}

static void trim(struct topic *topic, int32_t number, int64_t offset)
{
    struct partition *p = topic->partitions[number].local;

    if (p == NULL || p->log == NULL || p->machine != NULL || offset <= log_start(p->log))
        return;
    log_trim(p->log, offset < p->high_watermark ? offset : p->high_watermark);
}

/* A setting may have changed how many must be in sync. */
static void follow_topic(struct node *n, struct topic *topic)
{
    for (int32_t number = 0; number < topic->partition_count; number++)
        node_follow_partition(n, topic, number);
}

void node_tell_groups(struct node *n)
{
    struct topic *topic;

    if (!n->topic_changed_pending)
        return;
    n->topic_changed_pending = false;
    topic = image_topic_by_id(&n->image, n->topic_changed);
    if (topic != NULL)
        coordinator_topic_changed(n->coordinator, topic, false, n->now);
}

/* A topic arrives as many records; groups hear of it once. */
static void note_change(struct node *n, const struct topic *topic)
{
    if (n->coordinator == NULL)
        return;
    if (n->topic_changed_pending && !uuid_equal(n->topic_changed, topic->id))
        node_tell_groups(n);
    n->topic_changed = topic->id;
    n->topic_changed_pending = true;
}

void node_watch_image(void *ctx, enum image_change change, struct topic *topic,
                      int32_t partition, int64_t offset)
{
    struct node *n = ctx;

    switch (change) {
    case IMAGE_TOPIC_ADDED: break;
    case IMAGE_BROKER:
        if (partition == n->o.node_id && is_known(n))
            node_open_partitions(n);
        break;
    case IMAGE_PARTITION:
        node_follow_partition(n, topic, partition);
        note_change(n, topic);
        break;
    case IMAGE_CONFIG:
        configure(n, topic);
        follow_topic(n, topic);
        break;
    case IMAGE_TRIM: trim(topic, partition, offset); break;
    case IMAGE_TOPIC_REMOVED:
        remove_topic(n, topic);
        if (n->coordinator != NULL)
            coordinator_topic_changed(n->coordinator, topic, true, n->now);
        break;
    }
}

void node_open_partitions(struct node *n)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));)
        follow_topic(n, topic);
}

/* What stays of a topic that was there before: its partitions keep their logs. */
static void hand_over(struct node *n, struct topic *before)
{
    struct topic *now = image_topic_by_id(&n->image, before->id);

    for (int32_t i = 0; now != NULL && i < before->partition_count; i++) {
        if (i >= now->partition_count)
            break;
        now->partitions[i].local = before->partitions[i].local;
        before->partitions[i].local = NULL;
    }
    if (now != NULL)
        return;
    remove_topic(n, before);
    if (n->coordinator != NULL)
        coordinator_topic_changed(n->coordinator, before, true, n->now);
}

void node_adopt_image(struct node *n, struct image *before)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&before->by_name, &i));)
        hand_over(n, topic);
    node_open_partitions(n);
    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));) {
        configure(n, topic);
        note_change(n, topic);
    }
}

void node_close_partitions(struct node *n)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));) {
        for (int32_t number = 0; number < topic->partition_count; number++) {
            struct partition *p = topic->partitions[number].local;

            if (p == NULL)
                continue;
            if (p->log != NULL)
                log_set_owner(p->log, NULL);
            topic->partitions[number].local = NULL;
            partition_free(p, STATUS_SHUTTING_DOWN);
        }
    }
}

struct partition *node_partition(const struct node *n, struct uuid topic_id,
                                 int32_t number)
{
    struct topic *topic = image_topic_by_id(&n->image, topic_id);

    if (topic == NULL || number < 0 || number >= topic->partition_count)
        return NULL;
    return topic->partitions[number].local;
}

enum status node_absent(const struct node *n, struct uuid topic_id, int32_t number)
{
    struct topic *topic = image_topic_by_id(&n->image, topic_id);
    bool exists = topic != NULL && number >= 0 && number < topic->partition_count;

    return exists ? STATUS_NOT_LEADER : STATUS_UNKNOWN_TOPIC_OR_PARTITION;
}
