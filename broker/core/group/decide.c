/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/decide.h"

#include "broker/core/group/reconcile.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"

#include <string.h>

/* An epoch is told to a member once and never again; 2^31 of them outlast any group. */
static int32_t next_epoch(const struct group *g)
{
    CHECK(g->epoch < INT32_MAX);
    return PLANT(22) && g->epoch > 0 ? g->epoch : g->epoch + 1;
}

void decide_group(const char *name, const char *assignor, int64_t wall_ms,
                  struct records *out)
{
    Leat__Group__Group group = LEAT__GROUP__GROUP__INIT;

    group.name = (char *)name;
    group.assignor = (char *)assignor;
    group.active_ms = wall_ms;
    records_group(out, &group);
}

void decide_join(const struct group *g, const struct join *j, int64_t wall_ms,
                 struct records *out)
{
    Leat__Group__Member member = LEAT__GROUP__MEMBER__INIT;

    if (g == NULL || strcmp(g->assignor, j->assignor) != 0)
        decide_group(j->group, j->assignor, wall_ms, out);
    member.group = (char *)j->group;
    member.member_id = (char *)j->member_id;
    member.client_id = (char *)j->client_id;
    member.host = (char *)j->host;
    member.topics = j->topics;
    member.n_topics = j->topic_count;
    member.session_timeout_ms = j->session_ms;
    member.rebalance_timeout_ms = j->rebalance_ms;
    member.epoch = g != NULL ? next_epoch(g) : 1;
    records_member(out, &member);
}

static bool held_by_another(const void *member, const struct topic_partition *p)
{
    const struct member *m = member;

    return group_holds(m->group, m, p);
}

bool decide_step(const struct member *m, const struct share *owned, struct records *out)
{
    Leat__Group__Assignment assignment = LEAT__GROUP__ASSIGNMENT__INIT;
    struct step step = reconcile_step(&(struct reconcile){.assigned = &m->assigned,
                                                          .revoking = &m->revoking,
                                                          .target = &m->target,
                                                          .owned = owned,
                                                          .is_held = held_by_another,
                                                          .ctx = m});

    CHECK(!m->group->stale);
    if (!step.changed)
        return false;
    assignment.group = m->group->name;
    assignment.member_id = m->id;
    assignment.epoch = step.told ? next_epoch(m->group) : m->epoch;
    assignment.previous_epoch = step.told ? m->epoch : m->previous_epoch;
    records_assignment(out, &assignment, &step.assigned, &step.revoking);
    share_release(&step.assigned);
    share_release(&step.revoking);
    return true;
}

void decide_leave(const struct member *m, int64_t wall_ms, struct records *out)
{
    Leat__Group__RemoveMember remove = LEAT__GROUP__REMOVE_MEMBER__INIT;

    remove.group = m->group->name;
    remove.member_id = m->id;
    remove.epoch = next_epoch(m->group);
    remove.at_ms = wall_ms;
    records_remove_member(out, &remove);
}

enum claim member_claim(const struct member *m, int32_t epoch)
{
    if (epoch == m->epoch)
        return CLAIM_CURRENT;
    return epoch == m->previous_epoch ? CLAIM_PREVIOUS : CLAIM_FENCED;
}

bool member_may_commit(const struct member *m, enum claim claim,
                       const struct topic_partition *at)
{
    switch (claim) {
    case CLAIM_CURRENT: break;
    case CLAIM_PREVIOUS:
        if (share_has(&m->gained, at))
            return false;
        break;
    case CLAIM_FENCED: return false;
    }
    return share_has(&m->assigned, at) || share_has(&m->revoking, at);
}
