/* SPDX-License-Identifier: Apache-2.0
 *
 * What the controller does without being asked: the brokers' own topics, moves away from
 * brokers that are being drained, moves that are complete, leaders that should go home. A
 * few partitions at a time: the next look follows when these are committed. */
#include "broker/core/cluster/controller_inner.h"

#include "broker/core/cluster/placement.h"
#include "broker/core/group/coordinator.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

enum { AT_A_TIME = 16, MOVES_AT_A_TIME = 32 };

/* Records that depend on nothing but the image. */
struct upkeep {
    struct task task;
    unsigned left;   /* how many partitions may still be touched */
    unsigned moving; /* how many are on their way */
};

static void release(struct task *t)
{
    free(container_of(t, struct upkeep, task));
}

static bool start(struct controller *c,
                  enum status (*decide)(struct task *t, struct change *change))
{
    struct upkeep *u = must_zalloc(sizeof *u);

    u->left = AT_A_TIME;
    u->task.decide = decide;
    u->task.release = release;
    task_start_own(c, &u->task);
    return true;
}

/* ---- the groups' topic ---------------------------------------------------------------
 */

static size_t count_active(const struct image *image)
{
    size_t active = 0;

    for (size_t i = 0; i < image->broker_count; i++)
        active += image->brokers[i].state == BROKER_ACTIVE && !image->brokers[i].draining;
    return active;
}

static int32_t internal_replication(const struct controller *c)
{
    int64_t wanted = config_number(c->o.config, CONFIG_INTERNAL_REPLICATION);
    int64_t active = (int64_t)count_active(c->o.image);

    return (int32_t)(wanted < active ? wanted : active);
}

static enum status decide_groups(struct task *t, struct change *change)
{
    const struct controller *c = t->controller;
    int32_t replicas[32];
    struct image_partition p = {
        .replicas = replicas, .in_sync = replicas, .leader_epoch = 1};

    p.replica_count = p.in_sync_count = (size_t)internal_replication(c);
    if (image_topic_by_id(c->o.image, groups_topic_id) != NULL || p.replica_count == 0)
        return STATUS_OK;
    if (placement_choose(c->o.image, 1, (int32_t)p.replica_count, replicas))
        return STATUS_OK;
    for (size_t i = 0; i < p.replica_count; i++)
        if (!image_is_active(c->o.image, replicas[i]))
            return STATUS_OK;
    p.leader = replicas[0];
    change_new_topic(change, groups_topic_id, GROUPS_TOPIC, c->now.wall_ms);
    change_topic_setting(change, groups_topic_id, "min.insync.replicas", "2");
    change_partition(change, groups_topic_id, 0, &p);
    return STATUS_OK;
}

/* More brokers have come than it has replicas. */
static bool groups_should_grow(const struct controller *c)
{
    const struct topic *topic = image_topic_by_id(c->o.image, groups_topic_id);
    const struct image_partition *p = topic ? &topic->partitions[0] : NULL;

    return p != NULL && p->adding_count == 0 && p->removing_count == 0 &&
           p->leader >= 0 && (int32_t)p->replica_count < internal_replication(c);
}

static enum status decide_growth(struct task *t, struct change *change)
{
    const struct controller *c = t->controller;
    struct topic *topic = image_topic_by_id(c->o.image, groups_topic_id);
    struct elect_rules rules;
    struct draft d;
    int32_t target[32];
    size_t count;

    if (!groups_should_grow(c))
        return STATUS_OK;
    draft_init(&d, &topic->partitions[0]);
    rules = controller_elect_rules(c, topic, &topic->partitions[0]);
    for (count = 0; count < d.p.replica_count; count++)
        target[count] = d.p.replicas[count];
    while ((int32_t)count < internal_replication(c)) {
        target[count] = placement_replace(c->o.image, target, count, -1);
        if (target[count] < 0)
            break;
        count++;
    }
    CHECK(draft_move(&d, target, count, &rules));
    controller_put(change, topic, 0, &d);
    return STATUS_OK;
}

/* ---- draining ------------------------------------------------------------------------
 */

static bool is_draining(const struct controller *c, int32_t id)
{
    const struct image_broker *b = image_broker(c->o.image, id);

    return b != NULL && b->draining;
}

static bool is_moving(const struct image_partition *p)
{
    return p->adding_count > 0 || p->removing_count > 0;
}

/* The first replica that should go; -1 if none should, or has nowhere to go to. */
static int32_t leaving(const struct controller *c, const struct image_partition *p)
{
    if (is_moving(p) || p->leader < 0)
        return -1;
    for (size_t i = 0; i < p->replica_count; i++)
        if (is_draining(c, p->replicas[i]))
            return placement_has_home(c->o.image, p->replicas, p->replica_count)
                       ? p->replicas[i]
                       : -1;
    return -1;
}

static void move_away(const struct controller *c, struct change *change,
                      struct topic *topic, int32_t number, void *ctx)
{
    struct upkeep *u = ctx;
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    int32_t target[PARTITION_REPLICAS_MAX], home, who = leaving(c, p);
    struct draft d;

    if (u->left == 0 || who < 0)
        return;
    home = placement_replace(c->o.image, p->replicas, p->replica_count, who);
    for (size_t i = 0; i < p->replica_count; i++)
        target[i] = p->replicas[i] == who ? home : p->replicas[i];
    draft_init(&d, p);
    CHECK(draft_move(&d, target, p->replica_count, &rules));
    u->left -= controller_put(change, topic, number, &d);
}

static enum status decide_drain(struct task *t, struct change *change)
{
    controller_each(t->controller, change, move_away,
                    container_of(t, struct upkeep, task));
    return STATUS_OK;
}

static bool drain_is_due(const struct controller *c)
{
    const struct topic *topic;
    unsigned moving = 0;
    bool wanted = false;

    for (size_t i = 0; (topic = map_next(&c->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++) {
            const struct image_partition *p = &topic->partitions[n];

            moving += is_moving(p);
            wanted = wanted || leaving(c, p) >= 0;
        }
    return wanted && moving < MOVES_AT_A_TIME;
}

static bool anybody_drains(const struct controller *c)
{
    for (size_t i = 0; i < c->o.image->broker_count; i++)
        if (c->o.image->brokers[i].draining)
            return true;
    return false;
}

/* ---- moves that are complete, leaders on brokers that should not lead ----------------
 */

static void settle(const struct controller *c, struct change *change, struct topic *topic,
                   int32_t number, void *ctx)
{
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    struct upkeep *u = ctx;
    struct draft d;

    if (!is_moving(p) || u->left == 0)
        return;
    draft_init(&d, p);
    if (draft_settle(&d, &rules)) {
        draft_elect(&d, &rules);
        u->left -= controller_put(change, topic, number, &d);
    }
}

static enum status decide_settlement(struct task *t, struct change *change)
{
    controller_each(t->controller, change, settle, container_of(t, struct upkeep, task));
    return STATUS_OK;
}

static bool settlement_is_due(const struct controller *c)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&c->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++) {
            const struct image_partition *p = &topic->partitions[n];
            struct elect_rules rules = controller_elect_rules(c, topic, p);
            struct draft d;

            if (!is_moving(p))
                continue;
            draft_init(&d, p);
            if (draft_settle(&d, &rules))
                return true;
        }
    return false;
}

bool controller_upkeep(struct controller *c)
{
    if (image_topic_by_id(c->o.image, groups_topic_id) == NULL &&
        internal_replication(c) > 0)
        return start(c, decide_groups);
    if (groups_should_grow(c))
        return start(c, decide_growth);
    if (settlement_is_due(c))
        return start(c, decide_settlement);
    if (anybody_drains(c) && drain_is_due(c))
        return start(c, decide_drain);
    return false;
}

/* ---- leaders go home -----------------------------------------------------------------
 */

static void prefer(const struct controller *c, struct change *change, struct topic *topic,
                   int32_t number, void *ctx)
{
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    struct upkeep *u = ctx;
    struct draft d;

    if (u->left == 0 || p->leader < 0 || p->leader == p->replicas[0] ||
        is_draining(c, p->replicas[0]))
        return;
    draft_init(&d, p);
    if (draft_prefer(&d, &rules))
        u->left -= controller_put(change, topic, number, &d);
}

static enum status decide_balance(struct task *t, struct change *change)
{
    controller_each(t->controller, change, prefer, container_of(t, struct upkeep, task));
    return STATUS_OK;
}

bool controller_balance(struct controller *c)
{
    return start(c, decide_balance);
}
