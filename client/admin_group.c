/* SPDX-License-Identifier: Apache-2.0 */
#include "client/admin.h"

#include <stdio.h>
#include <string.h>

/* ---- list and describe ---- */

static enum status take_groups(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__GroupListResponse *m = (const void *)message;
    struct leat_reply *r = a->reply;

    if (!reply_reserve(r, m->n_groups))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_groups; i++) {
        const Leat__GroupSummary *g = m->groups[i];
        leat_group_row *row = reply_row(r);

        row->group = reply_text(r, g->name);
        row->state = reply_text(r, g->state);
        row->assignor = reply_text(r, g->assignor);
        row->epoch = g->epoch;
        row->members = g->members;
        if (row->group == NULL || row->state == NULL || row->assignor == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

int leat_groups_list(leat_client *client, leat_reply **reply, int timeout_ms,
                     leat_error *error)
{
    Leat__GroupListRequest m = LEAT__GROUP_LIST_REQUEST__INIT;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_GROUPS)) == NULL;
        a.call.target = CALL_COORDINATOR;
        a.call.repeat = true;
        code = admin_ask(&a, RPC_GROUP_LIST, &m.base, take_groups, timeout_ms, error,
                         "list groups");
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

static bool take_partitions(struct leat_reply *r, Leat__TopicPartitions **from, size_t n,
                            const leat_partition **out, size_t *out_count)
{
    leat_partition *all;
    size_t count = 0;
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        count += from[i]->n_partitions;
    all = arena_alloc(&r->arena, (count + 1) * sizeof all[0]);
    if (all == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *topic = reply_text(r, from[i]->topic);

        if (topic == NULL)
            return false;
        for (size_t j = 0; j < from[i]->n_partitions; j++)
            all[at++] = (leat_partition){topic, from[i]->partitions[j]};
    }
    *out = all;
    *out_count = count;
    return true;
}

/* What all rows of a group have in common. */
static bool group_row(struct leat_reply *r, const Leat__GroupInfo *g,
                      leat_member_row *out)
{
    *out = (leat_member_row){
        .group = reply_text(r, g->name),
        .group_state = reply_text(r, g->state),
        .group_epoch = g->epoch,
        .assignor = reply_text(r, g->assignor),
        .coordinator = g->coordinator,
    };
    return out->group != NULL && out->group_state != NULL && out->assignor != NULL;
}

static bool member_row(struct leat_reply *r, const Leat__MemberInfo *m,
                       leat_member_row *row)
{
    row->member_id = reply_text(r, m->member_id);
    row->client_id = reply_text(r, m->client_id);
    row->host = reply_text(r, m->host);
    row->epoch = m->epoch;
    row->heartbeat_age_ms = m->heartbeat_age_ms;
    row->session_timeout_ms = m->session_timeout_ms;
    return row->member_id != NULL && row->client_id != NULL && row->host != NULL &&
           take_partitions(r, m->assigned, m->n_assigned, &row->assigned,
                           &row->assigned_count) &&
           take_partitions(r, m->target, m->n_target, &row->target, &row->target_count);
}

static enum status take_group(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__GroupDescribeResponse *m = (const void *)message;
    const Leat__GroupInfo *g;
    leat_member_row common;

    if (m->n_groups != 1)
        return STATUS_PROTOCOL;
    g = m->groups[0];
    if (g->error)
        return (enum status)g->error;
    if (!reply_reserve(a->reply, g->n_members + 1) || !group_row(a->reply, g, &common))
        return STATUS_NO_MEMORY;
    if (g->n_members == 0)
        *(leat_member_row *)reply_row(a->reply) = common;
    for (size_t i = 0; i < g->n_members; i++) {
        leat_member_row *row = reply_row(a->reply);

        *row = common;
        if (!member_row(a->reply, g->members[i], row))
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static int begin_group(struct admin *a, leat_client *client, const char *group,
                       const char *where, leat_error *error)
{
    int code = admin_begin(a, client, error);

    if (!code && group == NULL)
        code =
            error_set(error, LEAT_E_INVALID_ARGUMENT, "a group is missing", "%s", where);
    a->call.target = CALL_COORDINATOR;
    a->call.group = group;
    return code;
}

static const char *about(struct admin *a, const char *what, const char *group)
{
    const char *text = arena_format(&a->arena, "%s %.60s", what, group);

    return text != NULL ? text : what;
}

int leat_group_describe(leat_client *client, const char *group, leat_reply **reply,
                        int timeout_ms, leat_error *error)
{
    Leat__GroupDescribeRequest m = LEAT__GROUP_DESCRIBE_REQUEST__INIT;
    char *groups[] = {(char *)group};
    struct admin a;
    int code = begin_group(&a, client, group, "describe group", error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_MEMBERS)) == NULL;
        a.call.repeat = true;
        m.groups = groups;
        m.n_groups = 1;
        code = admin_ask(&a, RPC_GROUP_DESCRIBE, &m.base, take_group, timeout_ms, error,
                         about(&a, "describe group", group));
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

int leat_group_delete(leat_client *client, const char *group, int timeout_ms,
                      leat_error *error)
{
    Leat__GroupDeleteRequest m = LEAT__GROUP_DELETE_REQUEST__INIT;
    struct admin a;
    int code = begin_group(&a, client, group, "delete group", error);

    if (!code) {
        m.group = (char *)group;
        code = admin_ask(&a, RPC_GROUP_DELETE, &m.base, NULL, timeout_ms, error,
                         about(&a, "delete group", group));
    }
    return admin_end(&a, code);
}

/* ---- offsets ---- */

static enum status take_offsets(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__OffsetFetchResponse *m = (const void *)message;
    struct leat_reply *r = a->reply;
    size_t count = 0;

    for (size_t i = 0; i < m->n_topics; i++)
        count += m->topics[i]->n_partitions;
    if (!reply_reserve(r, count))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_topics; i++) {
        const char *topic = reply_text(r, m->topics[i]->name);

        for (size_t j = 0; j < m->topics[i]->n_partitions; j++) {
            const Leat__OffsetFetchResult *p = m->topics[i]->partitions[j];
            leat_group_offset_row *row = reply_row(r);

            row->topic = topic;
            row->partition = p->partition;
            row->code = p->error;
            row->offset = p->offset;
            row->before = -1;
            row->metadata = reply_text(r, p->metadata);
            row->committed_ms = p->committed_at_ms;
            if (topic == NULL || row->metadata == NULL)
                return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

int leat_group_offsets(leat_client *client, const char *group, leat_reply **reply,
                       int timeout_ms, leat_error *error)
{
    Leat__OffsetFetchRequest m = LEAT__OFFSET_FETCH_REQUEST__INIT;
    struct admin a;
    int code = begin_group(&a, client, group, "offsets of group", error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_GROUP_OFFSETS)) == NULL;
        a.call.repeat = true;
        m.group = (char *)group;
        code = admin_ask(&a, RPC_OFFSET_FETCH, &m.base, take_offsets, timeout_ms, error,
                         about(&a, "offsets of group", group));
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

static enum status take_reset(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__GroupResetResponse *m = (const void *)message;
    struct leat_reply *r = a->reply;
    size_t count = 0;

    for (size_t i = 0; i < m->n_topics; i++)
        count += m->topics[i]->n_partitions;
    if (!reply_reserve(r, count))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_topics; i++) {
        const char *topic = reply_text(r, m->topics[i]->name);

        if (topic == NULL)
            return STATUS_NO_MEMORY;
        for (size_t j = 0; j < m->topics[i]->n_partitions; j++) {
            const Leat__GroupResetResult *p = m->topics[i]->partitions[j];
            leat_group_offset_row *row = reply_row(r);

            row->topic = topic;
            row->partition = p->partition;
            row->code = p->error;
            row->offset = p->after;
            row->before = p->before;
            row->metadata = "";
        }
    }
    return STATUS_OK;
}

/* Rows of one topic need not stand together: each row becomes an entry of its own. */
static void ask_partitions(struct admin *a, Leat__GroupResetRequest *m,
                           const leat_offset *rows, size_t count)
{
    m->topics = admin_alloc(a, count, sizeof m->topics[0]);
    for (size_t i = 0; i < count && !a->out_of_memory; i++) {
        Leat__TopicPartitions *t = admin_alloc(a, 1, sizeof *t);
        int32_t *partition = admin_alloc(a, 1, sizeof *partition);

        if (t == NULL || partition == NULL)
            return;
        *t = (Leat__TopicPartitions)LEAT__TOPIC_PARTITIONS__INIT;
        t->topic = (char *)rows[i].topic;
        *partition = rows[i].partition;
        t->partitions = partition;
        t->n_partitions = rows[i].partition >= 0;
        m->topics[m->n_topics++] = t;
    }
}

static void ask_offsets(struct admin *a, Leat__GroupResetRequest *m,
                        const leat_offset *rows, size_t count)
{
    m->offsets = admin_alloc(a, count, sizeof m->offsets[0]);
    for (size_t i = 0; i < count && !a->out_of_memory; i++) {
        Leat__OffsetTopic *t = admin_alloc(a, 1, sizeof *t);
        Leat__OffsetPartition *p = admin_alloc(a, 1, sizeof *p);
        Leat__OffsetPartition **list = admin_alloc(a, 1, sizeof *list);

        if (t == NULL || p == NULL || list == NULL)
            return;
        *t = (Leat__OffsetTopic)LEAT__OFFSET_TOPIC__INIT;
        *p = (Leat__OffsetPartition)LEAT__OFFSET_PARTITION__INIT;
        *list = p;
        t->name = (char *)rows[i].topic;
        t->partitions = list;
        t->n_partitions = 1;
        p->partition = rows[i].partition;
        p->offset = rows[i].offset;
        p->leader_epoch = -1;
        if (rows[i].metadata != NULL)
            p->metadata = (char *)rows[i].metadata;
        m->offsets[m->n_offsets++] = t;
    }
}

static bool rows_make_sense(enum leat_reset to, const leat_offset *rows, size_t count)
{
    if ((unsigned)to > LEAT_EXPLICIT || (to == LEAT_EXPLICIT && count == 0))
        return false;
    for (size_t i = 0; i < count; i++)
        if (rows[i].topic == NULL || (to == LEAT_EXPLICIT && rows[i].partition < 0))
            return false;
    return true;
}

int leat_group_reset(leat_client *client, const char *group, enum leat_reset to,
                     int64_t value, const leat_offset *partitions, size_t count,
                     bool validate_only, leat_reply **reply, int timeout_ms,
                     leat_error *error)
{
    static const Leat__GroupResetRequest__Target targets[] = {
        [LEAT_TO_EARLIEST] = LEAT__GROUP_RESET_REQUEST__TARGET__EARLIEST,
        [LEAT_TO_LATEST] = LEAT__GROUP_RESET_REQUEST__TARGET__LATEST,
        [LEAT_TO_TIME] = LEAT__GROUP_RESET_REQUEST__TARGET__TIMESTAMP,
        [LEAT_TO_OFFSET] = LEAT__GROUP_RESET_REQUEST__TARGET__OFFSET,
        [LEAT_SHIFT] = LEAT__GROUP_RESET_REQUEST__TARGET__SHIFT,
        [LEAT_EXPLICIT] = LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT,
    };
    Leat__GroupResetRequest m = LEAT__GROUP_RESET_REQUEST__INIT;
    struct admin a;
    int code = begin_group(&a, client, group, "reset group", error);

    if (!code && !rows_make_sense(to, partitions, count))
        code = error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "reset group");
    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_GROUP_OFFSETS)) == NULL;
        a.call.repeat = validate_only || to != LEAT_SHIFT;
        m.group = (char *)group;
        m.target = targets[to];
        m.value = value;
        m.validate_only = validate_only;
        if (to == LEAT_EXPLICIT)
            ask_offsets(&a, &m, partitions, count);
        else
            ask_partitions(&a, &m, partitions, count);
        code = admin_ask(&a, RPC_GROUP_RESET, &m.base, take_reset, timeout_ms, error,
                         about(&a, "reset group", group));
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}
