/* SPDX-License-Identifier: Apache-2.0
 *
 * Join: be a member first (a record), then hear what is free for it at once (a second
 * one), so that nobody waits a heartbeat to begin. */
#include "broker/core/group/operation.h"

#include "broker/core/group/assign.h"

#include <stdlib.h>
#include <string.h>

static const Leat__GroupJoinRequest *wishes(const struct operation *op)
{
    return (const Leat__GroupJoinRequest *)op->request->header;
}

static void answer(struct operation *op, struct member *m)
{
    Leat__GroupJoinResponse *a = request_alloc(op->request, sizeof *a);

    if (a == NULL) {
        operation_answer(op, NULL);
        return;
    }
    leat__group_join_response__init(a);
    /* The operation's memory goes before the answer is sent. */
    a->member_id = arena_text(&op->request->arena, op->member_id, strlen(op->member_id));
    a->member_epoch = m->epoch;
    a->heartbeat_interval_ms = coordinator_heartbeat_ms(op->c, m);
    if (a->member_id == NULL ||
        !share_to_wire(op->c, op->request, &m->assigned, &a->assigned, &a->n_assigned))
        a = NULL;
    operation_answer(op, (ProtobufCMessage *)a);
}

/* Removal stands in the same line, so the member is there in both of these. */
static void stepped(struct operation *op)
{
    struct member *m = operation_member(op);

    member_watch_release(op->c, m, true);
    answer(op, m);
}

static void joined(struct operation *op)
{
    struct member *m = operation_member(op);
    struct records records;

    member_heard(op->c, m);
    coordinator_settle(op->c, m->group);
    records_init(&records);
    if (decide_step(m, NULL, &records)) {
        operation_propose(op, &records, stepped);
        return;
    }
    records_release(&records);
    answer(op, m);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sort the subscription in place, each topic once. */
static size_t sort_topics(char **topics, size_t n)
{
    size_t kept = 0;

    if (n == 0)
        return 0;
    qsort(topics, n, sizeof *topics, compare_names);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(topics[kept - 1], topics[i]) != 0)
            topics[kept++] = topics[i];
    return kept;
}

/* The assignor is the group's: who is alone may choose it, others must agree. NULL if it
 * was refused. */
static const char *choose_assignor(struct operation *op, const struct group *g)
{
    const char *wanted = wishes(op)->assignor;
    bool alone = g == NULL || g->members.count == 0 ||
                 (g->members.count == 1 && operation_member(op) != NULL);

    if (wanted[0] == '\0')
        return g != NULL && g->assignor[0] != '\0' ? g->assignor
                                                   : assignor_name(assignor_find(""));
    if (alone || strcmp(g->assignor, wanted) == 0)
        return wanted;
    operation_refuse(op, STATUS_UNSUPPORTED_ASSIGNOR,
                     "group '%.100s' has members that use '%.20s'; join with the same "
                     "assignor, or stop them first",
                     g->name, g->assignor);
    return NULL;
}

static void start(struct operation *op)
{
    struct coordinator *c = op->c;
    const Leat__GroupJoinRequest *w = wishes(op);
    const struct group *g = operation_group(op);
    struct join j = {.group = op->line->group, .member_id = op->member_id};
    struct records records;

    if (g == NULL && !coordinator_has_room(c)) {
        operation_refuse(op, STATUS_TOO_MANY, "the broker holds groups.max groups");
        return;
    }
    if (g != NULL && operation_member(op) == NULL &&
        (int64_t)g->members.count >= config_number(c->o.config, CONFIG_GROUP_SIZE_MAX)) {
        operation_refuse(op, STATUS_GROUP_FULL, NULL);
        return;
    }
    j.assignor = choose_assignor(op, g);
    if (j.assignor == NULL)
        return;
    j.client_id = w->client_id;
    j.host = op->request->host != NULL ? op->request->host : "";
    j.topics = w->topics;
    j.topic_count = w->n_topics;
    j.session_ms = w->session_timeout_ms;
    j.rebalance_ms = w->rebalance_timeout_ms;
    records_init(&records);
    decide_join(g, &j, c->now.wall_ms, &records);
    operation_propose(op, &records, joined);
}

static bool member_id_is_valid(const char *id)
{
    size_t len = strlen(id);

    for (size_t i = 0; i < len; i++)
        if (id[i] <= ' ' || id[i] > '~')
            return false;
    return len <= GROUP_MEMBER_ID_MAX;
}

/* Defaults filled in. */
static bool times_are_valid(const struct config *config, Leat__GroupJoinRequest *w)
{
    if (w->session_timeout_ms == 0)
        w->session_timeout_ms =
            (int32_t)config_number(config, CONFIG_GROUP_SESSION_DEFAULT);
    if (w->rebalance_timeout_ms == 0)
        w->rebalance_timeout_ms = (int32_t)config_number(config, CONFIG_GROUP_REBALANCE);
    return w->session_timeout_ms >= config_number(config, CONFIG_GROUP_SESSION_MIN) &&
           w->session_timeout_ms <= config_number(config, CONFIG_GROUP_SESSION_MAX);
}

static bool names_are_valid(char *const *topics, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!name_is_valid(bytes_of(topics[i])))
            return false;
    return true;
}

static enum status validate(const struct coordinator *c, Leat__GroupJoinRequest *w,
                            const char **why)
{
    *why = NULL;
    if (!name_is_valid(bytes_of(w->group)))
        return STATUS_INVALID_GROUP;
    if (!member_id_is_valid(w->member_id)) {
        *why = "a member id is at most 64 printable characters without spaces";
        return STATUS_INVALID_REQUEST;
    }
    if (strlen(w->client_id) > GROUP_CLIENT_ID_MAX) {
        *why = "a client id is at most 249 bytes";
        return STATUS_INVALID_REQUEST;
    }
    if (w->n_topics > GROUP_TOPICS_MAX) {
        *why = "a member subscribes to at most 1000 topics";
        return STATUS_TOO_MANY;
    }
    if (!names_are_valid(w->topics, w->n_topics))
        return STATUS_INVALID_TOPIC;
    if (assignor_find(w->assignor) == NULL) {
        *why = "the assignors are 'sticky' and 'range'";
        return STATUS_UNSUPPORTED_ASSIGNOR;
    }
    if (!times_are_valid(c->o.config, w))
        return STATUS_INVALID_SESSION_TIMEOUT;
    if (w->rebalance_timeout_ms < 0) {
        *why = "a rebalance timeout is not negative";
        return STATUS_INVALID_REQUEST;
    }
    return STATUS_OK;
}

void request_join(struct coordinator *c, struct request *r)
{
    /* The request is ours while it is here: defaults are written into it. */
    Leat__GroupJoinRequest *w = (Leat__GroupJoinRequest *)r->header;
    char name[UUID_TEXT];
    const char *why;
    enum status st = validate(c, w, &why);

    if (st != STATUS_OK) {
        request_refuse(r, st, why != NULL ? "%s" : NULL, why);
        return;
    }
    w->n_topics = sort_topics(w->topics, w->n_topics);
    uuid_format(uuid_random(&c->random), name);
    operation_begin(c, w->group, r, true, w->member_id[0] != '\0' ? w->member_id : name,
                    start);
}
