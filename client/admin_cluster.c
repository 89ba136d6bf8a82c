/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators ask about the cluster. Any broker may be asked: it carries the question
 * to the controller. */
#include "client/admin.h"

#include "proto/base/check.h"

#include <string.h>

/* ---- brokers ---- */

struct brokers_question {
    struct admin admin;
    leat_cluster_health health;
};

static enum status take_broker(struct leat_reply *r, const Leat__BrokerStatus *b,
                               int32_t controller)
{
    leat_broker_row *row = reply_row(r);

    row->node_id = b->node_id;
    row->host = reply_text(r, b->host);
    row->port = (uint16_t)b->port;
    row->rack = reply_text(r, b->rack);
    row->state = reply_text(r, b->state);
    row->draining = b->draining;
    row->voter = b->voter;
    row->controller = b->node_id == controller;
    row->version = reply_text(r, b->software_version);
    row->broker_epoch = b->broker_epoch;
    row->silent_ms = b->silent_ms;
    row->replicas = b->replicas;
    row->leaders = b->leaders;
    row->out_of_sync = b->out_of_sync;
    row->homeless = b->homeless;
    row->faulty = b->faulty;
    return row->host && row->rack && row->state && row->version ? STATUS_OK
                                                                : STATUS_NO_MEMORY;
}

static enum status take_brokers(struct admin *a, const ProtobufCMessage *message)
{
    struct brokers_question *q = container_of(a, struct brokers_question, admin);
    const Leat__DescribeClusterResponse *m = (const void *)message;
    enum status st = STATUS_OK;

    q->health = (leat_cluster_health){
        .controller_id = m->controller_id,
        .controller_epoch = m->controller_epoch,
        .topics = m->topics,
        .partitions = m->partitions,
        .leaderless = m->leaderless,
        .offline = m->offline,
        .under_replicated = m->under_replicated,
        .under_min_in_sync = m->under_min_in_sync,
        .moving = m->moving,
    };
    if (!reply_reserve(a->reply, m->n_brokers))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_brokers && !st; i++)
        st = take_broker(a->reply, m->brokers[i], m->controller_id);
    return st;
}

int leat_brokers_describe(leat_client *client, leat_reply **reply,
                          leat_cluster_health *health, int timeout_ms, leat_error *error)
{
    Leat__DescribeClusterRequest m = LEAT__DESCRIBE_CLUSTER_REQUEST__INIT;
    struct brokers_question q;
    int code = admin_begin(&q.admin, client, error);

    if (!code) {
        q.admin.out_of_memory = (q.admin.reply = reply_new(REPLY_BROKER_STATES)) == NULL;
        q.admin.call.repeat = true;
        code = admin_ask(&q.admin, RPC_DESCRIBE_CLUSTER, &m.base, take_brokers,
                         timeout_ms, error, "describe brokers");
    }
    if (!code) {
        *reply = q.admin.reply;
        if (health != NULL)
            *health = q.health;
    }
    return admin_end(&q.admin, code);
}

struct broker_question {
    struct admin admin;
    uint64_t replicas, leaders;
};

static enum status take_left(struct admin *a, const ProtobufCMessage *message)
{
    struct broker_question *q = container_of(a, struct broker_question, admin);
    const Leat__AlterBrokerResponse *m = (const void *)message;

    q->replicas = m->replicas_left;
    q->leaders = m->leaders_left;
    return STATUS_OK;
}

int leat_broker_alter(leat_client *client, int32_t node_id,
                      enum leat_broker_action action, bool validate_only,
                      uint64_t *replicas_left, uint64_t *leaders_left, int timeout_ms,
                      leat_error *error)
{
    static const Leat__AlterBrokerRequest__Action actions[] = {
        [LEAT_DRAIN] = LEAT__ALTER_BROKER_REQUEST__ACTION__DRAIN,
        [LEAT_UNDRAIN] = LEAT__ALTER_BROKER_REQUEST__ACTION__UNDRAIN,
        [LEAT_REMOVE] = LEAT__ALTER_BROKER_REQUEST__ACTION__REMOVE,
    };
    Leat__AlterBrokerRequest m = LEAT__ALTER_BROKER_REQUEST__INIT;
    struct broker_question q;
    int code = admin_begin(&q.admin, client, error);

    if (!code && (unsigned)action > LEAT_REMOVE)
        code = error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "alter broker");
    if (!code) {
        m.node_id = node_id;
        m.action = actions[action];
        m.validate_only = validate_only;
        q.admin.call.repeat = true;
        code = admin_ask(&q.admin, RPC_ALTER_BROKER, &m.base, take_left, timeout_ms,
                         error, "alter broker");
    }
    if (!code && replicas_left != NULL)
        *replicas_left = q.replicas;
    if (!code && leaders_left != NULL)
        *leaders_left = q.leaders;
    return admin_end(&q.admin, code);
}

/* ---- the quorum ---- */

static enum status take_member(struct leat_reply *r,
                               const Leat__DescribeQuorumResponse *m,
                               const Leat__QuorumMember *x)
{
    leat_quorum_row *row = reply_row(r);

    row->node_id = x->node_id;
    row->directory_id =
        reply_uuid(r, (struct bytes){x->directory_id.data, x->directory_id.len});
    row->host = reply_text(r, x->host);
    row->port = (uint16_t)x->port;
    row->voter = x->voter;
    row->leader = x->node_id == m->leader_id;
    row->epoch = m->epoch;
    row->log_end = x->log_end;
    row->lag = x->log_end < 0            ? -1
               : m->log_end > x->log_end ? m->log_end - x->log_end
                                         : 0;
    row->silent_ms = x->silent_ms;
    return row->directory_id && row->host ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status take_quorum(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__DescribeQuorumResponse *m = (const void *)message;
    enum status st = STATUS_OK;

    if (!reply_reserve(a->reply, m->n_members))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_members && !st; i++)
        st = take_member(a->reply, m, m->members[i]);
    return st;
}

int leat_quorum_describe(leat_client *client, leat_reply **reply, int timeout_ms,
                         leat_error *error)
{
    Leat__DescribeQuorumRequest m = LEAT__DESCRIBE_QUORUM_REQUEST__INIT;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_QUORUM)) == NULL;
        a.call.repeat = true;
        code = admin_ask(&a, RPC_DESCRIBE_QUORUM, &m.base, take_quorum, timeout_ms, error,
                         "describe quorum");
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

int leat_quorum_alter(leat_client *client, int32_t add, int32_t remove, int timeout_ms,
                      leat_error *error)
{
    Leat__AlterQuorumRequest m = LEAT__ALTER_QUORUM_REQUEST__INIT;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        m.add = add;
        m.remove = remove;
        code = admin_ask(&a, RPC_ALTER_QUORUM, &m.base, NULL, timeout_ms, error,
                         "alter quorum");
    }
    return admin_end(&a, code);
}

/* ---- partitions ---- */

static enum status take_outcomes(struct leat_reply *r,
                                 Leat__PartitionOutcome *const *outcomes, size_t count)
{
    if (!reply_reserve(r, count))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        leat_outcome_row *row = reply_row(r);

        row->topic = reply_text(r, outcomes[i]->topic);
        row->partition = outcomes[i]->partition;
        row->code = outcomes[i]->error;
        row->text = reply_text(r, outcomes[i]->error_message);
        row->leader = outcomes[i]->leader;
        if (row->topic == NULL || row->text == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status take_moves(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__MovePartitionsResponse *m = (const void *)message;

    return take_outcomes(a->reply, m->outcomes, m->n_outcomes);
}

int leat_partitions_move(leat_client *client, const leat_move *moves, size_t count,
                         bool validate_only, leat_reply **reply, int timeout_ms,
                         leat_error *error)
{
    Leat__MovePartitionsRequest m = LEAT__MOVE_PARTITIONS_REQUEST__INIT;
    Leat__PartitionMove *list;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_OUTCOMES)) == NULL;
        list = admin_alloc(&a, count, sizeof *list);
        m.moves = admin_alloc(&a, count, sizeof(Leat__PartitionMove *));
        for (size_t i = 0; !a.out_of_memory && i < count; i++) {
            leat__partition_move__init(&list[i]);
            list[i].topic = (char *)(uintptr_t)moves[i].topic;
            list[i].partition = moves[i].partition;
            list[i].replicas = (int32_t *)(uintptr_t)moves[i].replicas;
            list[i].n_replicas = moves[i].replica_count;
            list[i].cancel = moves[i].replicas == NULL;
            m.moves[m.n_moves++] = &list[i];
        }
        m.validate_only = validate_only;
        a.call.repeat = true;
        code = admin_ask(&a, RPC_MOVE_PARTITIONS, &m.base, take_moves, timeout_ms, error,
                         "move partitions");
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

static enum status take_elections(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__ElectLeadersResponse *m = (const void *)message;

    return take_outcomes(a->reply, m->outcomes, m->n_outcomes);
}

int leat_leaders_elect(leat_client *client, bool unclean, const leat_offset *partitions,
                       size_t count, leat_reply **reply, int timeout_ms,
                       leat_error *error)
{
    Leat__ElectLeadersRequest m = LEAT__ELECT_LEADERS_REQUEST__INIT;
    Leat__TopicPartitions *list;
    int32_t *numbers;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_OUTCOMES)) == NULL;
        list = admin_alloc(&a, count, sizeof *list);
        numbers = admin_alloc(&a, count, sizeof *numbers);
        m.topics = admin_alloc(&a, count, sizeof(Leat__TopicPartitions *));
        for (size_t i = 0; !a.out_of_memory && i < count; i++) {
            leat__topic_partitions__init(&list[i]);
            numbers[i] = partitions[i].partition;
            list[i].topic = (char *)(uintptr_t)partitions[i].topic;
            list[i].partitions = &numbers[i];
            list[i].n_partitions = 1;
            m.topics[m.n_topics++] = &list[i];
        }
        m.kind = unclean ? LEAT__ELECT_LEADERS_REQUEST__KIND__UNCLEAN
                         : LEAT__ELECT_LEADERS_REQUEST__KIND__PREFERRED;
        a.call.repeat = !unclean;
        code = admin_ask(&a, RPC_ELECT_LEADERS, &m.base, take_elections, timeout_ms,
                         error, "elect leaders");
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}
