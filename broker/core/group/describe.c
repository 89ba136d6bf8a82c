/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators ask: which groups there are, who is in them; and to remove one. */
#include "broker/core/group/operation.h"

#include <string.h>

static void reply(struct request *r, void *answer)
{
    if (answer != NULL)
        request_answer(r, answer);
    else
        request_refuse(r, STATUS_THROTTLED, NULL);
}

/* Answers outlive the state that they were made from. */
static char *text(struct request *r, const char *s)
{
    return arena_text(&r->arena, s, strlen(s));
}

/* ---- list ------------------------------------------------------------------------- */

static Leat__GroupSummary *summary(struct request *r, const struct group *g)
{
    Leat__GroupSummary *s = request_alloc(r, sizeof *s);

    if (s == NULL)
        return NULL;
    leat__group_summary__init(s);
    s->name = text(r, g->name);
    s->state = text(r, group_state(g));
    s->members = (uint32_t)g->members.count;
    s->epoch = g->epoch;
    s->assignor = text(r, g->assignor);
    return s->name && s->state && s->assignor ? s : NULL;
}

static Leat__GroupListResponse *list(struct coordinator *c, struct request *r)
{
    Leat__GroupListResponse *a = request_alloc(r, sizeof *a);
    struct group *g;

    if (a == NULL)
        return NULL;
    leat__group_list_response__init(a);
    a->groups = request_alloc(r, (c->groups.by_name.count + 1) * sizeof(void *));
    if (a->groups == NULL)
        return NULL;
    for (size_t i = 0; (g = map_next(&c->groups.by_name, &i)) != NULL;) {
        coordinator_settle(c, g);
        a->groups[a->n_groups] = summary(r, g);
        if (a->groups[a->n_groups++] == NULL)
            return NULL;
    }
    return a;
}

void request_group_list(struct coordinator *c, struct request *r)
{
    reply(r, list(c, r));
}

/* ---- describe --------------------------------------------------------------------- */

/* What it works on is what it has and what it has not given up yet. */
static bool member_shares(const struct coordinator *c, struct request *r,
                          const struct member *m, Leat__MemberInfo *info)
{
    struct share works_on = share_either(&m->assigned, &m->revoking);
    bool fits = share_to_wire(c, r, &works_on, &info->assigned, &info->n_assigned) &&
                share_to_wire(c, r, &m->target, &info->target, &info->n_target);

    share_release(&works_on);
    return fits;
}

static Leat__MemberInfo *member_info(const struct coordinator *c, struct request *r,
                                     const struct member *m)
{
    Leat__MemberInfo *info = request_alloc(r, sizeof *info);

    if (info == NULL)
        return NULL;
    leat__member_info__init(info);
    info->member_id = text(r, m->id);
    info->client_id = text(r, m->client_id);
    info->host = text(r, m->host);
    info->epoch = m->epoch;
    info->heartbeat_age_ms = c->now.mono_ms - m->heard_ms;
    info->session_timeout_ms = m->session_ms;
    info->topics = request_alloc(r, (m->topic_count + 1) * sizeof(char *));
    for (size_t i = 0; info->topics != NULL && i < m->topic_count; i++) {
        info->topics[i] = text(r, m->topics[i]);
        if (info->topics[i] == NULL)
            return NULL;
        info->n_topics++;
    }
    return info->member_id && info->client_id && info->host && info->topics &&
                   member_shares(c, r, m, info)
               ? info
               : NULL;
}

static bool describe(struct coordinator *c, struct request *r, struct group *g,
                     Leat__GroupInfo *info)
{
    const struct member *m;

    coordinator_settle(c, g);
    info->state = text(r, group_state(g));
    info->epoch = g->epoch;
    info->assignor = text(r, g->assignor);
    info->coordinator = c->o.node_id;
    info->members = request_alloc(r, (g->members.count + 1) * sizeof(void *));
    if (info->state == NULL || info->assignor == NULL || info->members == NULL)
        return false;
    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;) {
        info->members[info->n_members] = member_info(c, r, m);
        if (info->members[info->n_members++] == NULL)
            return false;
    }
    return true;
}

static Leat__GroupInfo *group_info(struct coordinator *c, struct request *r, char *name)
{
    Leat__GroupInfo *info = request_alloc(r, sizeof *info);
    struct group *g = groups_find(&c->groups, name);

    if (info == NULL)
        return NULL;
    leat__group_info__init(info);
    info->name = name;
    if (!name_is_valid(bytes_of(name)))
        info->error = STATUS_INVALID_GROUP;
    else if (g == NULL)
        info->error = STATUS_GROUP_NOT_FOUND;
    else if (!describe(c, r, g, info))
        return NULL;
    return info;
}

static Leat__GroupDescribeResponse *describe_all(struct coordinator *c, struct request *r)
{
    const Leat__GroupDescribeRequest *q = (const Leat__GroupDescribeRequest *)r->header;
    Leat__GroupDescribeResponse *a = request_alloc(r, sizeof *a);

    if (a == NULL)
        return NULL;
    leat__group_describe_response__init(a);
    a->groups = request_alloc(r, (q->n_groups + 1) * sizeof(void *));
    for (size_t i = 0; a->groups != NULL && i < q->n_groups; i++) {
        a->groups[i] = group_info(c, r, q->groups[i]);
        if (a->groups[i] == NULL)
            return NULL;
        a->n_groups++;
    }
    return a->groups != NULL ? a : NULL;
}

void request_group_describe(struct coordinator *c, struct request *r)
{
    reply(r, describe_all(c, r));
}

/* ---- delete ----------------------------------------------------------------------- */

static void deleted(struct operation *op)
{
    Leat__GroupDeleteResponse *a;

    if (op->request == NULL) {
        operation_finish(op);
        return;
    }
    a = request_alloc(op->request, sizeof *a);
    if (a != NULL)
        leat__group_delete_response__init(a);
    operation_answer(op, (ProtobufCMessage *)a);
}

static void remove_group(struct operation *op)
{
    struct records records;

    records_init(&records);
    records_remove_group(&records, op->line->group);
    operation_propose(op, &records, deleted);
}

static void start_delete(struct operation *op)
{
    const struct group *g = operation_group(op);

    if (g == NULL)
        operation_refuse(op, STATUS_GROUP_NOT_FOUND, NULL);
    else if (g->members.count > 0)
        operation_refuse(op, STATUS_NON_EMPTY_GROUP, NULL);
    else
        remove_group(op);
}

void request_group_delete(struct coordinator *c, struct request *r)
{
    const Leat__GroupDeleteRequest *q = (const Leat__GroupDeleteRequest *)r->header;

    if (!name_is_valid(bytes_of(q->group)))
        request_refuse(r, STATUS_INVALID_GROUP, NULL);
    else
        operation_begin(c, q->group, r, true, NULL, start_delete);
}

/* While this stood in line, somebody may have joined or committed. */
void operation_expire_group(struct operation *op)
{
    const struct group *g = operation_group(op);

    if (g != NULL && group_is_idle(op->c, g))
        remove_group(op);
    else
        operation_finish(op);
}
