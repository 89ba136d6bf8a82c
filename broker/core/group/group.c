/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/group.h"

#include "broker/core/group/records.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

static void offset_free(struct committed *o)
{
    free(o->metadata);
    free(o->committer);
    free(o);
}

static void member_forget_wishes(struct member *m)
{
    free(m->client_id);
    free(m->host);
    for (size_t i = 0; i < m->topic_count; i++)
        free(m->topics[i]);
    free(m->topics);
}

static void member_free(struct groups *gs, struct member *m)
{
    heap_remove(&gs->sessions, &m->session);
    heap_remove(&gs->releases, &m->release);
    member_forget_wishes(m);
    share_release(&m->assigned);
    share_release(&m->revoking);
    share_release(&m->target);
    share_release(&m->gained);
    free(m->id);
    free(m);
    gs->member_count--;
}

static void group_free(struct groups *gs, struct group *g)
{
    struct member *m;
    struct committed *o;

    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;)
        member_free(gs, m);
    for (size_t i = 0; (o = map_next(&g->offsets, &i)) != NULL;)
        offset_free(o);
    gs->offset_count -= g->offsets.count;
    map_release(&g->members);
    map_release(&g->offsets);
    free(g->assignor);
    free(g->name);
    free(g);
}

void groups_init(struct groups *gs)
{
    *gs = (struct groups){0};
    map_init(&gs->by_name);
    heap_init(&gs->sessions);
    heap_init(&gs->releases);
}

void groups_release(struct groups *gs)
{
    struct group *g;

    for (size_t i = 0; (g = map_next(&gs->by_name, &i)) != NULL;)
        group_free(gs, g);
    map_release(&gs->by_name);
    heap_release(&gs->sessions);
    heap_release(&gs->releases);
}

struct group *groups_find(const struct groups *gs, const char *name)
{
    return map_get(&gs->by_name, bytes_of(name));
}

struct member *group_member(const struct group *g, const char *id)
{
    return map_get(&g->members, bytes_of(id));
}

static void offset_key(const struct topic_partition *at,
                       uint8_t key[static UUID_BYTES + 4])
{
    memcpy(key, at->topic.id, UUID_BYTES);
    store_u32(key + UUID_BYTES, (uint32_t)at->partition);
}

const struct committed *group_offset(const struct group *g,
                                     const struct topic_partition *at)
{
    uint8_t key[UUID_BYTES + 4];

    offset_key(at, key);
    return map_get(&g->offsets, (struct bytes){key, sizeof key});
}

bool group_holds(const struct group *g, const struct member *except,
                 const struct topic_partition *at)
{
    const struct member *m;

    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;)
        if (m != except && (share_has(&m->assigned, at) || share_has(&m->revoking, at)))
            return true;
    return false;
}

bool member_is_settled(const struct member *m)
{
    return m->revoking.count == 0 && share_equal(&m->assigned, &m->target);
}

const char *group_state(const struct group *g)
{
    const struct member *m;

    if (g->members.count == 0)
        return "empty";
    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;)
        if (!member_is_settled(m))
            return "reconciling";
    return "stable";
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool member_subscribes(const struct member *m, const char *topic)
{
    return m->topic_count > 0 && bsearch(&topic, m->topics, m->topic_count,
                                         sizeof *m->topics, compare_text) != NULL;
}

/* ---- apply ------------------------------------------------------------------------ */

static enum status apply_group(struct groups *gs, const Leat__Group__Group *r)
{
    struct group *g = groups_find(gs, r->name);

    if (r->name[0] == '\0')
        return STATUS_CORRUPT;
    if (g == NULL) {
        g = must_zalloc(sizeof *g);
        g->name = must_text(r->name);
        g->assignor = must_text("");
        CHECK(map_put(&gs->by_name, bytes_of(g->name), g));
    }
    free(g->assignor);
    g->assignor = must_text(r->assignor);
    if (r->epoch > g->epoch)
        g->epoch = r->epoch;
    if (r->active_ms > g->active_ms)
        g->active_ms = r->active_ms;
    g->stale = true;
    return STATUS_OK;
}

static enum status apply_remove_group(struct groups *gs, const char *name)
{
    struct group *g = map_remove(&gs->by_name, bytes_of(name));

    if (g == NULL)
        return STATUS_CORRUPT;
    group_free(gs, g);
    return STATUS_OK;
}

/* Every record about a member carries an epoch that the group has not seen; a snapshot's
 * carry older ones, after the group's own. */
static void group_advance(struct group *g, int32_t epoch)
{
    if (epoch > g->epoch)
        g->epoch = epoch;
    g->stale = true;
}

static enum status apply_member(struct groups *gs, const Leat__Group__Member *r)
{
    struct group *g = groups_find(gs, r->group);
    struct member *m;

    if (g == NULL || r->member_id[0] == '\0' || r->epoch <= 0)
        return STATUS_CORRUPT;
    m = group_member(g, r->member_id);
    if (m == NULL) {
        m = must_zalloc(sizeof *m);
        m->id = must_text(r->member_id);
        m->group = g;
        CHECK(map_put(&g->members, bytes_of(m->id), m));
        gs->member_count++;
    } else {
        member_forget_wishes(m);
    }
    m->client_id = must_text(r->client_id);
    m->host = must_text(r->host);
    m->topic_count = r->n_topics;
    m->topics = must_alloc((r->n_topics + 1) * sizeof *m->topics);
    for (size_t i = 0; i < r->n_topics; i++)
        m->topics[i] = must_text(r->topics[i]);
    m->session_ms = r->session_timeout_ms;
    m->rebalance_ms = r->rebalance_timeout_ms;
    m->epoch = r->epoch;
    m->previous_epoch = r->epoch; /* who joins again is not its former self */
    group_advance(g, r->epoch);
    return STATUS_OK;
}

static enum status apply_remove_member(struct groups *gs,
                                       const Leat__Group__RemoveMember *r)
{
    struct group *g = groups_find(gs, r->group);
    struct member *m = g != NULL ? map_remove(&g->members, bytes_of(r->member_id)) : NULL;

    if (m == NULL)
        return STATUS_CORRUPT;
    member_free(gs, m);
    if (r->at_ms > g->active_ms)
        g->active_ms = r->at_ms;
    group_advance(g, r->epoch);
    return STATUS_OK;
}

static bool share_from(Leat__Group__Partitions *const *list, size_t n, struct share *out)
{
    struct topic_partition *items;
    size_t count = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        count += list[i]->n_partitions;
    items = must_alloc((count + 1) * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        struct bytes id = {list[i]->topic_id.data, list[i]->topic_id.len};
        struct uuid topic;

        if (!uuid_from(id, &topic)) {
            free(items);
            return false;
        }
        for (size_t j = 0; j < list[i]->n_partitions; j++)
            items[at++] = (struct topic_partition){topic, list[i]->partitions[j]};
    }
    *out = share_of(items, count);
    free(items);
    return true;
}

static bool any_held(const struct member *m, const struct share *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (group_holds(m->group, m, &s->items[i]))
            return true;
    return false;
}

/* What it is about to give up it has not lost yet. */
static void note_gained(struct member *m, const struct share *assigned)
{
    struct share had = share_either(&m->assigned, &m->revoking);

    share_replace(&m->gained, share_without(assigned, &had));
    share_release(&had);
}

static enum status apply_assignment(struct groups *gs, const Leat__Group__Assignment *r)
{
    struct group *g = groups_find(gs, r->group);
    struct member *m = g != NULL ? group_member(g, r->member_id) : NULL;
    struct share assigned = {0}, revoking = {0};
    bool stale;

    if (m == NULL || r->epoch < m->epoch ||
        !share_from(r->assigned, r->n_assigned, &assigned) ||
        !share_from(r->revoking, r->n_revoking, &revoking) ||
        !share_disjoint(&assigned, &revoking) || any_held(m, &assigned) ||
        any_held(m, &revoking)) {
        share_release(&assigned);
        share_release(&revoking);
        return STATUS_CORRUPT;
    }
    if (r->epoch > m->epoch)
        note_gained(m, &assigned);
    share_replace(&m->assigned, assigned);
    share_replace(&m->revoking, revoking);
    m->epoch = r->epoch;
    m->previous_epoch = r->previous_epoch;
    /* Coming nearer to a target does not change it. */
    stale = g->stale;
    group_advance(g, r->epoch);
    g->stale = stale;
    return STATUS_OK;
}

static bool key_from(ProtobufCBinaryData topic, int32_t partition,
                     struct topic_partition *out)
{
    out->partition = partition;
    return partition >= 0 &&
           uuid_from((struct bytes){topic.data, topic.len}, &out->topic);
}

static enum status apply_offset(struct groups *gs, const Leat__Group__Offset *r)
{
    struct group *g = groups_find(gs, r->group);
    struct topic_partition at;
    struct committed *o;

    if (g == NULL || r->offset < 0 || !key_from(r->topic_id, r->partition, &at))
        return STATUS_CORRUPT;
    o = (struct committed *)group_offset(g, &at);
    if (o == NULL) {
        o = must_zalloc(sizeof *o);
        o->at = at;
        offset_key(&at, o->key);
        CHECK(map_put(&g->offsets, (struct bytes){o->key, sizeof o->key}, o));
        gs->offset_count++;
    } else {
        free(o->metadata);
        free(o->committer);
    }
    o->offset = r->offset;
    o->leader_epoch = r->leader_epoch;
    o->metadata = must_text(r->metadata);
    o->committer = must_text(r->committer);
    o->committed_ms = r->committed_ms;
    if (r->committed_ms > g->active_ms)
        g->active_ms = r->committed_ms;
    return STATUS_OK;
}

/* That there is none is no contradiction: the removal of its topic may have come first.
 */
static enum status apply_remove_offset(struct groups *gs,
                                       const Leat__Group__RemoveOffset *r)
{
    struct group *g = groups_find(gs, r->group);
    struct topic_partition at;
    uint8_t key[UUID_BYTES + 4];
    struct committed *o;

    if (g == NULL || !key_from(r->topic_id, r->partition, &at))
        return STATUS_CORRUPT;
    offset_key(&at, key);
    o = map_remove(&g->offsets, (struct bytes){key, sizeof key});
    if (o != NULL) {
        offset_free(o);
        gs->offset_count--;
    }
    return STATUS_OK;
}

static void group_drop_topic(struct groups *gs, struct group *g, struct uuid topic)
{
    struct committed *o;
    struct member *m;

    for (size_t i = 0; (o = map_next(&g->offsets, &i)) != NULL;) {
        if (!uuid_equal(o->at.topic, topic))
            continue;
        CHECK(map_remove(&g->offsets, (struct bytes){o->key, sizeof o->key}) == o);
        offset_free(o);
        gs->offset_count--;
    }
    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;) {
        share_drop_topic(&m->assigned, topic);
        share_drop_topic(&m->revoking, topic);
        if (m->revoking.count == 0)
            heap_remove(&gs->releases, &m->release);
    }
    g->stale = true;
}

static enum status apply_remove_topic(struct groups *gs, ProtobufCBinaryData id)
{
    struct group *g;
    struct uuid topic;

    if (!uuid_from((struct bytes){id.data, id.len}, &topic))
        return STATUS_CORRUPT;
    for (size_t i = 0; (g = map_next(&gs->by_name, &i)) != NULL;)
        group_drop_topic(gs, g, topic);
    return STATUS_OK;
}

static enum status apply(struct groups *gs, const Leat__Group__Record *r)
{
    switch (r->kind_case) {
    case LEAT__GROUP__RECORD__KIND_GROUP: return apply_group(gs, r->group);
    case LEAT__GROUP__RECORD__KIND_REMOVE_GROUP:
        return apply_remove_group(gs, r->remove_group->name);
    case LEAT__GROUP__RECORD__KIND_MEMBER: return apply_member(gs, r->member);
    case LEAT__GROUP__RECORD__KIND_REMOVE_MEMBER:
        return apply_remove_member(gs, r->remove_member);
    case LEAT__GROUP__RECORD__KIND_OFFSET: return apply_offset(gs, r->offset);
    case LEAT__GROUP__RECORD__KIND_REMOVE_OFFSET:
        return apply_remove_offset(gs, r->remove_offset);
    case LEAT__GROUP__RECORD__KIND_ASSIGNMENT: return apply_assignment(gs, r->assignment);
    case LEAT__GROUP__RECORD__KIND_REMOVE_TOPIC:
        return apply_remove_topic(gs, r->remove_topic->topic_id);
    case LEAT__GROUP__RECORD__KIND__NOT_SET:
    case _LEAT__GROUP__RECORD__KIND__CASE_IS_INT_SIZE: break;
    }
    return STATUS_CORRUPT;
}

enum status groups_apply(struct groups *gs, struct bytes record)
{
    Leat__Group__Record *r = leat__group__record__unpack(NULL, record.len, record.data);
    enum status st;

    if (r == NULL)
        return STATUS_CORRUPT;
    st = apply(gs, r);
    leat__group__record__free_unpacked(r, NULL);
    return st;
}
