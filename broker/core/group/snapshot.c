/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/decide.h"

static void emit_member(struct records *r, const struct member *m)
{
    Leat__Group__Assignment has = LEAT__GROUP__ASSIGNMENT__INIT;
    Leat__Group__Member is = LEAT__GROUP__MEMBER__INIT;

    is.group = m->group->name;
    is.member_id = m->id;
    is.client_id = m->client_id;
    is.host = m->host;
    is.topics = m->topics;
    is.n_topics = m->topic_count;
    is.session_timeout_ms = m->session_ms;
    is.rebalance_timeout_ms = m->rebalance_ms;
    is.epoch = m->epoch;
    records_member(r, &is);
    has.group = m->group->name;
    has.member_id = m->id;
    has.epoch = m->epoch;
    has.previous_epoch = m->previous_epoch;
    records_assignment(r, &has, &m->assigned, &m->revoking);
}

static void emit_offset(struct records *r, const struct group *g,
                        const struct committed *o)
{
    Leat__Group__Offset is = LEAT__GROUP__OFFSET__INIT;

    is.group = g->name;
    is.partition = o->at.partition;
    is.offset = o->offset;
    is.leader_epoch = o->leader_epoch;
    is.metadata = o->metadata;
    is.committer = o->committer;
    is.committed_ms = o->committed_ms;
    records_offset(r, &is, o->at.topic);
}

static void emit_group(struct records *r, const struct group *g)
{
    Leat__Group__Group is = LEAT__GROUP__GROUP__INIT;
    const struct member *m;
    const struct committed *o;

    is.name = g->name;
    is.epoch = g->epoch;
    is.assignor = g->assignor;
    is.active_ms = g->active_ms;
    records_group(r, &is);
    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;)
        emit_member(r, m);
    for (size_t i = 0; (o = map_next(&g->offsets, &i)) != NULL;)
        emit_offset(r, g, o);
}

void groups_snapshot(const struct groups *gs, void (*emit)(void *to, struct bytes record),
                     void *to)
{
    const struct group *g;

    for (size_t i = 0; (g = map_next(&gs->by_name, &i)) != NULL;) {
        struct records r;

        records_init(&r);
        emit_group(&r, g);
        for (size_t j = 0; j < r.count; j++)
            emit(to, r.items[j]);
        records_release(&r);
    }
}
