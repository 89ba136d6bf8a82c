/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators ask of the controller: other leaders, other replicas, other brokers. */
#include "broker/core/cluster/controller_inner.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <string.h>

/* ---- outcomes ------------------------------------------------------------------------
 */

static void say(Leat__PartitionOutcome *out, enum status status, const char *text)
{
    out->error = status;
    out->error_message = (char *)(uintptr_t)text;
}

static struct topic *find(const struct controller *c, const char *name, int32_t partition)
{
    struct topic *topic = image_topic(c->o.image, bytes_of(name));

    return topic != NULL && partition >= 0 && partition < topic->partition_count ? topic
                                                                                 : NULL;
}

/* ---- moves ---------------------------------------------------------------------------
 */

struct moving {
    struct task task;
    const Leat__MovePartitionsRequest *q;
    Leat__MovePartitionsResponse answer;
};

static const char *bad_target(const struct controller *c, const Leat__PartitionMove *m)
{
    if (m->n_replicas == 0 || m->n_replicas > PARTITION_REPLICAS_MAX)
        return "name at least one broker";
    for (size_t i = 0; i < m->n_replicas; i++) {
        if (image_broker(c->o.image, m->replicas[i]) == NULL)
            return "one of the brokers is not registered";
        if (image_has(m->replicas, i, m->replicas[i]))
            return "a broker is named twice";
    }
    return NULL;
}

static void move_one(const struct controller *c, struct change *change,
                     const Leat__PartitionMove *m, Leat__PartitionOutcome *out)
{
    struct topic *topic = find(c, m->topic, m->partition);
    const char *bad = m->cancel ? NULL : bad_target(c, m);
    struct elect_rules rules;
    struct draft d;

    if (topic == NULL) {
        say(out, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "there is no such partition");
        return;
    }
    if (bad != NULL) {
        say(out, STATUS_INVALID_REPLICA_ASSIGNMENT, bad);
        return;
    }
    draft_init(&d, &topic->partitions[m->partition]);
    rules = controller_elect_rules(c, topic, &topic->partitions[m->partition]);
    if (!m->cancel) {
        if (!draft_move(&d, m->replicas, m->n_replicas, &rules)) {
            say(out, STATUS_INVALID_REPLICA_ASSIGNMENT,
                "only replicas of the move under way are in sync: keep one of them");
            return;
        }
    } else if (!draft_cancel(&d, &rules)) {
        say(out, STATUS_NO_REASSIGNMENT,
            "it is not being moved, or only the new replicas are in sync");
        return;
    }
    controller_put(change, topic, m->partition, &d);
}

static enum status decide_moves(struct task *t, struct change *change)
{
    struct moving *m = container_of(t, struct moving, task);

    for (size_t i = 0; i < m->q->n_moves; i++)
        move_one(t->controller, change, m->q->moves[i], m->answer.outcomes[i]);
    if (m->q->validate_only)
        change->count = 0;
    return STATUS_OK;
}

static void finish_moves(struct task *t)
{
    struct moving *m = container_of(t, struct moving, task);

    for (size_t i = 0; i < m->q->n_moves; i++) {
        Leat__PartitionOutcome *out = m->answer.outcomes[i];
        const struct topic *topic = find(t->controller, out->topic, out->partition);

        out->leader = topic ? topic->partitions[out->partition].leader : -1;
    }
    request_answer(t->request, &m->answer.base);
}

void handle_move_partitions(struct controller *c, struct request *r)
{
    const Leat__MovePartitionsRequest *q = REQUEST_AS(Leat__MovePartitionsRequest, r);
    struct moving *m = request_alloc(r, sizeof *m);

    if (m != NULL) {
        leat__move_partitions_response__init(&m->answer);
        m->answer.outcomes =
            ANSWER_ARRAY(Leat__PartitionOutcome, leat__partition_outcome, r, q->n_moves);
        m->answer.n_outcomes = q->n_moves;
    }
    if (m == NULL || m->answer.outcomes == NULL) {
        request_refuse_memory(r);
        return;
    }
    for (size_t i = 0; i < q->n_moves; i++) {
        m->answer.outcomes[i]->topic = q->moves[i]->topic;
        m->answer.outcomes[i]->partition = q->moves[i]->partition;
    }
    m->q = q;
    m->task.decide = decide_moves;
    m->task.finish = finish_moves;
    task_start(c, r, &m->task);
}

/* ---- elections -----------------------------------------------------------------------
 */

struct election {
    struct task task;
    const Leat__ElectLeadersRequest *q;
    size_t capacity;
    Leat__ElectLeadersResponse answer;
};

static Leat__PartitionOutcome *add_outcome(struct election *e, const char *topic,
                                           int32_t partition)
{
    struct request *r = e->task.request;
    Leat__PartitionOutcome *out;

    if (e->answer.n_outcomes == e->capacity) {
        size_t capacity = e->capacity > 0 ? 2 * e->capacity : 16;
        Leat__PartitionOutcome **list = request_alloc(r, capacity * sizeof *list);

        if (list == NULL)
            return NULL;
        if (e->capacity > 0)
            memcpy(list, e->answer.outcomes, e->capacity * sizeof *list);
        e->answer.outcomes = list;
        e->capacity = capacity;
    }
    out = request_alloc(r, sizeof *out);
    if (out == NULL)
        return NULL;
    leat__partition_outcome__init(out);
    out->topic = arena_text(&r->arena, topic, strlen(topic));
    if (out->topic == NULL)
        return NULL;
    out->partition = partition;
    e->answer.outcomes[e->answer.n_outcomes++] = out;
    return out;
}

static enum status elect(struct draft *d, struct elect_rules *rules,
                         const struct image_partition *p, bool unclean, const char **text)
{
    if (!unclean) {
        *text = p->leader == p->replicas[0]
                    ? "the preferred replica leads already"
                    : "the preferred replica is not in sync or not up";
        if (draft_prefer(d, rules))
            return STATUS_OK;
        return p->leader == p->replicas[0] ? STATUS_NO_ELECTION_NEEDED
                                           : STATUS_PREFERRED_LEADER_NOT_AVAILABLE;
    }
    if (p->leader >= 0) {
        *text = "the partition has a leader";
        return STATUS_NO_ELECTION_NEEDED;
    }
    rules->unclean = true;
    draft_elect(d, rules);
    *text = "none of its replicas is up";
    return d->p.leader >= 0 ? STATUS_OK : STATUS_ELIGIBLE_LEADERS_NOT_AVAILABLE;
}

static bool elect_one(struct election *e, struct change *change, struct topic *topic,
                      int32_t number, bool silent)
{
    const struct controller *c = e->task.controller;
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    bool unclean = e->q->kind == LEAT__ELECT_LEADERS_REQUEST__KIND__UNCLEAN;
    Leat__PartitionOutcome *out;
    const char *text = "";
    struct draft d;
    enum status st;

    draft_init(&d, p);
    st = elect(&d, &rules, p, unclean, &text);
    if (st && silent)
        return true;
    out = add_outcome(e, topic->name, number);
    if (out == NULL)
        return false;
    if (st)
        say(out, st, text);
    else
        controller_put(change, topic, number, &d);
    return true;
}

static bool elect_named(struct election *e, struct change *change,
                        const Leat__TopicPartitions *named)
{
    for (size_t i = 0; i < named->n_partitions; i++) {
        struct topic *topic =
            find(e->task.controller, named->topic, named->partitions[i]);
        Leat__PartitionOutcome *out;

        if (topic != NULL) {
            if (!elect_one(e, change, topic, named->partitions[i], false))
                return false;
            continue;
        }
        out = add_outcome(e, named->topic, named->partitions[i]);
        if (out == NULL)
            return false;
        say(out, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "there is no such partition");
    }
    return true;
}

static enum status decide_election(struct task *t, struct change *change)
{
    struct election *e = container_of(t, struct election, task);
    struct topic *topic;
    bool ok = true;

    e->answer.n_outcomes = 0;
    for (size_t i = 0; i < e->q->n_topics && ok; i++)
        ok = elect_named(e, change, e->q->topics[i]);
    for (size_t i = 0; e->q->n_topics == 0 && ok &&
                       (topic = map_next(&t->controller->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count && ok; n++)
            ok = elect_one(e, change, topic, n, true);
    return ok ? STATUS_OK : STATUS_THROTTLED;
}

static void finish_election(struct task *t)
{
    struct election *e = container_of(t, struct election, task);

    for (size_t i = 0; i < e->answer.n_outcomes; i++) {
        Leat__PartitionOutcome *out = e->answer.outcomes[i];
        const struct topic *topic = find(t->controller, out->topic, out->partition);

        out->leader = topic ? topic->partitions[out->partition].leader : -1;
    }
    request_answer(t->request, &e->answer.base);
}

void handle_elect_leaders(struct controller *c, struct request *r)
{
    struct election *e = request_alloc(r, sizeof *e);

    if (e == NULL) {
        request_refuse_memory(r);
        return;
    }
    leat__elect_leaders_response__init(&e->answer);
    e->q = REQUEST_AS(Leat__ElectLeadersRequest, r);
    e->task.decide = decide_election;
    e->task.finish = finish_election;
    task_start(c, r, &e->task);
}

/* ---- brokers -------------------------------------------------------------------------
 */

struct broker_change {
    struct task task;
    const Leat__AlterBrokerRequest *q;
    Leat__AlterBrokerResponse answer;
};

static void count_work(const struct controller *c, int32_t id,
                       Leat__AlterBrokerResponse *out)
{
    struct topic *topic;

    out->replicas_left = out->leaders_left = 0;
    for (size_t i = 0; (topic = map_next(&c->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++) {
            const struct image_partition *p = &topic->partitions[n];

            out->replicas_left += image_has(p->replicas, p->replica_count, id);
            out->leaders_left += p->leader == id;
        }
}

static enum status refuse(struct change *change, enum status status, const char *text)
{
    snprintf(change->why, sizeof change->why, "%s", text);
    return status;
}

static enum status decide_broker(struct task *t, struct change *change)
{
    struct broker_change *bc = container_of(t, struct broker_change, task);
    const struct controller *c = t->controller;
    const struct image_broker *b = image_broker(c->o.image, bc->q->node_id);

    if (b == NULL)
        return refuse(change, STATUS_BROKER_UNKNOWN,
                      "no broker of that id has registered");
    count_work(c, b->node_id, &bc->answer);
    switch (bc->q->action) {
    case LEAT__ALTER_BROKER_REQUEST__ACTION__DRAIN:
    case LEAT__ALTER_BROKER_REQUEST__ACTION__UNDRAIN: {
        bool drain = bc->q->action == LEAT__ALTER_BROKER_REQUEST__ACTION__DRAIN;

        if (b->draining != drain)
            change_broker_state(change, b->node_id, b->state, drain);
        break;
    }
    case LEAT__ALTER_BROKER_REQUEST__ACTION__REMOVE:
        if (bc->answer.replicas_left > 0)
            return refuse(change, STATUS_INVALID_REQUEST,
                          "the broker still holds replicas: drain it first");
        if (quorum_is_voter(c->o.quorum, b->node_id))
            return refuse(
                change, STATUS_INVALID_REQUEST,
                "the broker is a voter of the quorum: take it out of that first "
                "('leat cluster quorum --remove')");
        if (b->state != BROKER_FENCED)
            return refuse(change, STATUS_INVALID_REQUEST,
                          "the broker is up: stop it first, or it would register again");
        change_remove_broker(change, b->node_id);
        break;
    case _LEAT__ALTER_BROKER_REQUEST__ACTION_IS_INT_SIZE:
    default: return refuse(change, STATUS_INVALID_REQUEST, "that is no action");
    }
    if (bc->q->validate_only)
        change->count = 0;
    return STATUS_OK;
}

static void finish_broker(struct task *t)
{
    request_answer(t->request, &container_of(t, struct broker_change, task)->answer.base);
}

void handle_alter_broker(struct controller *c, struct request *r)
{
    struct broker_change *bc = request_alloc(r, sizeof *bc);

    if (bc == NULL) {
        request_refuse_memory(r);
        return;
    }
    leat__alter_broker_response__init(&bc->answer);
    bc->q = REQUEST_AS(Leat__AlterBrokerRequest, r);
    bc->task.decide = decide_broker;
    bc->task.finish = finish_broker;
    task_start(c, r, &bc->task);
}
