/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/operation.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/log.h"

#include <stdlib.h>
#include <string.h>

const struct uuid groups_topic_id = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};

enum { SNAPSHOT_BYTES = 8 * 1024 * 1024 };

/* ---- topics ----------------------------------------------------------------------- */

static bool find_topic(const void *from, const char *name, struct uuid *id,
                       int32_t *partitions)
{
    const struct topic *t = image_topic(from, bytes_of(name));

    if (t == NULL)
        return false;
    *id = t->id;
    *partitions = t->partition_count;
    return true;
}

struct catalog coordinator_catalog(const struct coordinator *c)
{
    return (struct catalog){find_topic, c->o.image};
}

void coordinator_settle(struct coordinator *c, struct group *g)
{
    struct catalog catalog = coordinator_catalog(c);

    if (!group_settle(g, &catalog))
        return;
    c->rebalances++;
    metric_add(c->o.metrics, METRIC_REBALANCES, 1);
}

static void group_topic_changed(struct group *g, const char *topic)
{
    const struct member *m;

    for (size_t i = 0; !g->stale && (m = map_next(&g->members, &i)) != NULL;)
        g->stale = member_subscribes(m, topic);
}

/* The removal rides in the log behind every commit that was accepted while the topic was
 * there; later ones do not find the topic any more. */
void coordinator_topic_changed(struct coordinator *c, const struct topic *topic,
                               bool removed, struct instant now)
{
    struct records records;
    struct group *g;

    c->now = now;
    if (c->stopped || !c->ready)
        return; /* it looks at all topics when it begins to serve */
    for (size_t i = 0; (g = map_next(&c->groups.by_name, &i)) != NULL;)
        group_topic_changed(g, topic->name);
    if (!removed || (c->groups.by_name.count == 0 && c->lines.count == 0))
        return;
    records_init(&records);
    records_remove_topic(&records, topic->id);
    operation_propose_only(c, &records);
}

/* ---- opening and closing ---------------------------------------------------------- */

static void show_metrics(const struct coordinator *c)
{
    metric_set(c->o.metrics, METRIC_GROUPS, c->groups.by_name.count);
    metric_set(c->o.metrics, METRIC_GROUP_MEMBERS, c->groups.member_count);
}

static void on_reset(void *ctx)
{
    struct coordinator *c = ctx;

    groups_release(&c->groups);
    groups_init(&c->groups);
}

static enum status on_apply(void *ctx, int64_t offset, struct bytes record)
{
    struct coordinator *c = ctx;
    enum status st = groups_apply(&c->groups, record);

    (void)offset;
    show_metrics(c);
    return st;
}

static void on_snapshot(void *ctx, void (*emit)(void *to, struct bytes record), void *to)
{
    const struct coordinator *c = ctx;

    groups_snapshot(&c->groups, emit, to);
}

/* Topics that groups know and the metadata does not: these went just before a crash. */
struct lost_topics {
    const struct image *image;
    struct topic_partition *items;
    size_t count, capacity;
};

static void note_lost(struct lost_topics *l, struct uuid topic)
{
    if (image_topic_by_id(l->image, topic) != NULL ||
        (l->count > 0 && uuid_equal(l->items[l->count - 1].topic, topic)))
        return;
    if (l->count == l->capacity) {
        l->capacity = l->capacity > 0 ? l->capacity * 2 : 16;
        l->items = must_realloc(l->items, l->capacity * sizeof *l->items);
    }
    l->items[l->count++] = (struct topic_partition){topic, 0};
}

static void note_share(struct lost_topics *l, const struct share *s)
{
    for (size_t i = 0; i < s->count; i++)
        note_lost(l, s->items[i].topic);
}

static void note_group(struct lost_topics *l, const struct group *g)
{
    const struct committed *o;
    const struct member *m;

    for (size_t i = 0; (o = map_next(&g->offsets, &i)) != NULL;)
        note_lost(l, o->at.topic);
    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;) {
        note_share(l, &m->assigned);
        note_share(l, &m->revoking);
    }
}

static void forget_lost_topics(struct coordinator *c)
{
    struct lost_topics lost = {.image = c->o.image};
    struct records records;
    const struct group *g;
    struct share once;

    for (size_t i = 0; (g = map_next(&c->groups.by_name, &i)) != NULL;)
        note_group(&lost, g);
    once = share_of(lost.items, lost.count);
    free(lost.items);
    records_init(&records);
    for (size_t i = 0; i < once.count; i++)
        records_remove_topic(&records, once.items[i].topic);
    share_release(&once);
    if (records.count > 0)
        operation_propose_only(c, &records);
    else
        records_release(&records);
}

/* Everybody has its full time again: a new leader must not take its own coming for
 * everybody's silence. Topics may have changed while nobody looked. */
static void start_sessions(struct coordinator *c)
{
    struct group *g;
    struct member *m;

    for (size_t i = 0; (g = map_next(&c->groups.by_name, &i)) != NULL; g->stale = true)
        for (size_t j = 0; (m = map_next(&g->members, &j)) != NULL;) {
            member_heard(c, m);
            member_watch_release(c, m, true);
        }
}

static const struct machine_verbs verbs = {
    .apply = on_apply, .reset = on_reset, .snapshot = on_snapshot};

enum status coordinator_open(struct coordinator **out,
                             const struct coordinator_options *o, struct instant now)
{
    struct coordinator *c = must_zalloc(sizeof *c);
    struct machine_options options = {
        .name = "groups", .verbs = &verbs, .ctx = c, .snapshot_bytes = SNAPSHOT_BYTES};
    enum status st;

    memcpy(options.id.topic, groups_topic_id.id, sizeof options.id.topic);
    c->o = *o;
    c->leader_epoch = -1;
    c->now = now;
    c->next_sweep_ms = now.mono_ms + GROUP_SWEEP_MS;
    groups_init(&c->groups);
    map_init(&c->lines);
    TAILQ_INIT(&c->operations);
    st = machine_open(&c->machine, o->store, o->disk, &options);
    if (st)
        goto fail;
    show_metrics(c);
    *out = c;
    return STATUS_OK;

fail:
    groups_release(&c->groups);
    free(c);
    return st;
}

void coordinator_close(struct coordinator *c)
{
    machine_close(c->machine);
    operations_release(c);
    groups_release(&c->groups);
    free(c);
}

void coordinator_stop(struct coordinator *c)
{
    c->stopped = true;
    operations_end(c, STATUS_SHUTTING_DOWN);
}

/* ---- leading ---------------------------------------------------------------------- */

void coordinator_lead(struct coordinator *c, int32_t leader_epoch, struct instant now)
{
    CHECK(leader_epoch > c->leader_epoch);
    coordinator_resign(c, now);
    c->leader_epoch = leader_epoch;
    /* Who starts from the same seed again must not name new members like those that it
     * has. */
    c->random = prng_split(&c->o.random, (uint64_t)leader_epoch);
}

void coordinator_ready(struct coordinator *c, struct instant now)
{
    CHECK(c->leader_epoch >= 0);
    c->now = now;
    if (c->ready || c->stopped)
        return;
    c->ready = true;
    start_sessions(c);
    forget_lost_topics(c);
}

void coordinator_resign(struct coordinator *c, struct instant now)
{
    c->now = now;
    if (c->leader_epoch < 0)
        return;
    c->leader_epoch = -1;
    c->ready = false;
    operations_end(c, STATUS_NOT_COORDINATOR);
}

int32_t coordinator_epoch(const struct coordinator *c)
{
    return c->leader_epoch;
}

bool coordinator_is_ready(const struct coordinator *c)
{
    return c->ready;
}

/* ---- events ----------------------------------------------------------------------- */

void coordinator_request(struct coordinator *c, struct request *r, struct instant now)
{
    c->now = now;
    if (c->stopped) {
        request_refuse(r, STATUS_SHUTTING_DOWN, NULL);
        return;
    }
    if (!c->ready) {
        request_refuse(
            r, c->leader_epoch < 0 ? STATUS_NOT_COORDINATOR : STATUS_COORDINATOR_LOADING,
            NULL);
        return;
    }
    switch (r->row->api) {
    case RPC_GROUP_JOIN: request_join(c, r); return;
    case RPC_GROUP_HEARTBEAT: request_heartbeat(c, r); return;
    case RPC_GROUP_LEAVE: request_leave(c, r); return;
    case RPC_OFFSET_COMMIT: request_commit(c, r); return;
    case RPC_OFFSET_FETCH: request_offsets(c, r); return;
    case RPC_GROUP_LIST: request_group_list(c, r); return;
    case RPC_GROUP_DESCRIBE: request_group_describe(c, r); return;
    case RPC_GROUP_DELETE: request_group_delete(c, r); return;
    case RPC_GROUP_RESET: request_reset(c, r); return;
    }
    request_refuse(r, STATUS_UNKNOWN_API, NULL);
}

struct machine *coordinator_machine(const struct coordinator *c)
{
    return c->machine;
}

void coordinator_clock(struct coordinator *c, struct instant now)
{
    c->now = now;
}

/* ---- time ------------------------------------------------------------------------- */

static void expire(struct coordinator *c, struct heap *heap, struct heap_node *node,
                   const struct member *m, operation_step *start)
{
    heap_remove(heap, node);
    operation_begin(c, m->group->name, NULL, true, m->id, start);
}

static void expire_members(struct coordinator *c)
{
    struct heap_node *node;

    while ((node = heap_first(&c->groups.sessions)) && node->at_ms <= c->now.mono_ms)
        expire(c, &c->groups.sessions, node, container_of(node, struct member, session),
               operation_expire_session);
    while ((node = heap_first(&c->groups.releases)) && node->at_ms <= c->now.mono_ms)
        expire(c, &c->groups.releases, node, container_of(node, struct member, release),
               operation_expire_release);
}

bool group_is_idle(const struct coordinator *c, const struct group *g)
{
    int64_t kept_ms = config_number(c->o.config, CONFIG_OFFSETS_RETENTION);

    return g->members.count == 0 && c->now.wall_ms - g->active_ms > kept_ms;
}

static void expire_groups(struct coordinator *c)
{
    const struct group *g;

    for (size_t i = 0; (g = map_next(&c->groups.by_name, &i)) != NULL;)
        if (group_is_idle(c, g) && map_get(&c->lines, bytes_of(g->name)) == NULL)
            operation_begin(c, g->name, NULL, true, NULL, operation_expire_group);
}

void coordinator_tick(struct coordinator *c, struct instant now)
{
    c->now = now;
    if (c->stopped)
        return;
    if (c->ready)
        expire_members(c);
    if (now.mono_ms < c->next_sweep_ms)
        return;
    c->next_sweep_ms = now.mono_ms + GROUP_SWEEP_MS;
    if (c->ready)
        expire_groups(c);
    machine_tick(c->machine, now);
}

int64_t coordinator_deadline(const struct coordinator *c)
{
    const struct heap_node *session = heap_first(&c->groups.sessions);
    const struct heap_node *release = heap_first(&c->groups.releases);
    int64_t at_ms = c->next_sweep_ms;

    if (c->stopped)
        return INT64_MAX;
    if (!c->ready)
        return at_ms;
    if (session != NULL && session->at_ms < at_ms)
        at_ms = session->at_ms;
    if (release != NULL && release->at_ms < at_ms)
        at_ms = release->at_ms;
    return at_ms;
}

/* ---- looking in ------------------------------------------------------------------- */

void coordinator_stats(const struct coordinator *c, struct coordinator_stats *out)
{
    *out = (struct coordinator_stats){.groups = c->groups.by_name.count,
                                      .members = c->groups.member_count,
                                      .offsets = c->groups.offset_count,
                                      .rebalances = c->rebalances};
}

void coordinator_each_offset(const struct coordinator *c,
                             void (*each)(void *to, const char *group, struct uuid topic,
                                          int32_t partition, int64_t offset),
                             void *to)
{
    const struct committed *o;
    const struct group *g;

    for (size_t i = 0; (g = map_next(&c->groups.by_name, &i)) != NULL;)
        for (size_t j = 0; (o = map_next(&g->offsets, &j)) != NULL;)
            each(to, g->name, o->at.topic, o->at.partition, o->offset);
}
