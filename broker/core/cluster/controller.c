/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/cluster/controller_inner.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000, PRODUCER_BLOCK = 1000 };

/* ---- tasks ---------------------------------------------------------------------------
 */

static enum status decide(struct proposal *p, struct change *change)
{
    struct task *t = container_of(p, struct task, proposal);
    enum status st;

    change->elections = change->unclean_elections = 0;
    st = t->decide(t, change);
    if (!st && change->failed)
        return STATUS_THROTTLED;
    return st;
}

static void end_own(struct controller *c, struct task *t)
{
    CHECK(c->busy == t);
    c->busy = NULL;
    arena_release(&t->arena);
    t->release(t);
}

static void done(struct proposal *p, enum status status)
{
    struct task *t = container_of(p, struct task, proposal);
    struct controller *c = t->controller;

    CHECK(c->tasks > 0);
    c->tasks--;
    if (!status && p->change.count > 0) {
        metric_add(c->o.metrics, METRIC_ELECTIONS, p->change.elections);
        metric_add(c->o.metrics, METRIC_UNCLEAN_ELECTIONS, p->change.unclean_elections);
    }
    if (t->request == NULL)
        end_own(c, t);
    else if (status)
        request_refuse(t->request, status, "%s",
                       p->change.why[0] ? p->change.why : status_text(status));
    else
        t->finish(t);
}

static void start(struct controller *c, struct task *t, struct arena *arena)
{
    t->controller = c;
    t->proposal.decide = decide;
    t->proposal.done = done;
    t->proposal.change = change_of(arena);
    c->tasks++;
    quorum_propose(c->o.quorum, &t->proposal);
}

void task_start(struct controller *c, struct request *r, struct task *t)
{
    t->request = r;
    /* What a broker's coming and going changes is as large as the cluster, not as its
     * words. */
    if (r->peer > 0)
        arena_lift(&r->arena);
    start(c, t, &r->arena);
}

void task_start_own(struct controller *c, struct task *t)
{
    CHECK(c->busy == NULL);
    c->busy = t;
    arena_init(&t->arena, 0);
    start(c, t, &t->arena);
}

/* ---- looking at the cluster ----------------------------------------------------------
 */

int64_t controller_session_ms(const struct controller *c)
{
    return config_number(c->o.config, CONFIG_BROKER_SESSION);
}

/* Whoever is heard of for the first time has a whole session. */
struct session *controller_session(struct controller *c, int32_t node_id)
{
    size_t at = 0;

    while (at < c->session_count && c->sessions[at].node_id < node_id)
        at++;
    if (at < c->session_count && c->sessions[at].node_id == node_id)
        return &c->sessions[at];
    c->sessions = must_realloc(c->sessions, (c->session_count + 1) * sizeof *c->sessions);
    memmove(&c->sessions[at + 1], &c->sessions[at],
            (c->session_count - at) * sizeof *c->sessions);
    c->session_count++;
    c->sessions[at] = (struct session){node_id, c->now.mono_ms, -1, {0}};
    return &c->sessions[at];
}

static void forget_sessions(struct controller *c)
{
    for (size_t i = 0; i < c->session_count; i++)
        log_faults_release(&c->sessions[i].faults);
    c->session_count = 0;
}

static void add_faulty(const struct controller *c, const struct topic *topic,
                       const struct image_partition *p, struct elect_rules *r)
{
    int32_t number = (int32_t)(p - topic->partitions);

    for (size_t i = 0; i < c->session_count; i++) {
        const struct session *s = &c->sessions[i];

        if (log_faults_find(&s->faults, topic->id, number) != NULL &&
            image_has(p->replicas, p->replica_count, s->node_id))
            r->faulty[r->faulty_count++] = s->node_id;
    }
}

struct elect_rules controller_elect_rules(const struct controller *c,
                                          const struct topic *topic,
                                          const struct image_partition *p)
{
    struct elect_rules r = {
        .image = c->o.image,
        .min_in_sync = partition_min_in_sync(topic, p),
        .unclean = topic_config_get(&topic->config, &c->o.config->topic_defaults,
                                    TOPIC_KEY_UNCLEAN_ELECTION) != 0,
    };

    add_faulty(c, topic, p, &r);
    return r;
}

void controller_each(const struct controller *c, struct change *change,
                     void (*each)(const struct controller *c, struct change *change,
                                  struct topic *topic, int32_t number, void *ctx),
                     void *ctx)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&c->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count && !change->failed; n++)
            each(c, change, topic, n, ctx);
}

bool controller_put(struct change *change, struct topic *topic, int32_t number,
                    struct draft *d)
{
    const struct image_partition *before = &topic->partitions[number];

    if (!draft_finish(d, before))
        return false;
    change->elections += d->p.leader >= 0 && d->p.leader != before->leader;
    change->unclean_elections += d->p.recovering && !before->recovering;
    change_partition(change, topic->id, number, &d->p);
    return true;
}

struct change_rules controller_rules(const struct controller *c)
{
    const struct config *config = c->o.config;

    return (struct change_rules){
        .topics_max = config_number(config, CONFIG_TOPICS_MAX),
        .partitions_max = config_number(config, CONFIG_PARTITIONS_MAX),
        .default_partitions = (int32_t)config_number(config, CONFIG_NUM_PARTITIONS),
        .default_replication = (int32_t)config_number(config, CONFIG_REPLICATION),
        .node_id = c->o.node_id,
        .topic_defaults = &config->topic_defaults,
    };
}

/* ---- producer ids --------------------------------------------------------------------
 */

struct allocation {
    struct task task;
    Leat__AllocateProducerIdsResponse answer;
};

static enum status decide_ids(struct task *t, struct change *change)
{
    struct allocation *a = container_of(t, struct allocation, task);

    a->answer.first = t->controller->o.image->next_producer_id;
    a->answer.count = PRODUCER_BLOCK;
    change_producer_ids(change, a->answer.first + PRODUCER_BLOCK);
    return STATUS_OK;
}

static void finish_ids(struct task *t)
{
    request_answer(t->request, &container_of(t, struct allocation, task)->answer.base);
}

static void handle_allocation(struct controller *c, struct request *r)
{
    struct allocation *a = request_alloc(r, sizeof *a);

    if (a == NULL) {
        request_refuse_memory(r);
        return;
    }
    leat__allocate_producer_ids_response__init(&a->answer);
    a->task.decide = decide_ids;
    a->task.finish = finish_ids;
    task_start(c, r, &a->task);
}

/* ---- life ----------------------------------------------------------------------------
 */

struct controller *controller_new(const struct controller_options *o)
{
    struct controller *c = must_zalloc(sizeof *c);

    c->o = *o;
    c->random = o->random;
    c->seen = c->gauged = -1;
    c->balance_ms = INT64_MAX;
    return c;
}

void controller_free(struct controller *c)
{
    CHECK(c->tasks == 0);
    forget_sessions(c);
    free(c->sessions);
    free(c);
}

void controller_stop(struct controller *c)
{
    c->stopped = true;
}

void controller_leader_changed(struct controller *c, struct instant now)
{
    bool active = quorum_is_active(c->o.quorum) && !c->stopped;

    c->now = now;
    metric_set(c->o.metrics, METRIC_CONTROLLER_ACTIVE, active);
    if (active == c->active)
        return;
    c->active = active;
    forget_sessions(c);
    c->seen = c->gauged = -1;
    c->look_ms = now.mono_ms;
    c->balance_ms = active
                        ? now.mono_ms + config_number(c->o.config, CONFIG_LEADER_BALANCE)
                        : INT64_MAX;
    if (!active)
        controller_gauges(c);
}

void controller_request(struct controller *c, struct request *r, struct instant now)
{
    c->now = now;
    if (r->row->api == RPC_DESCRIBE_CLUSTER) {
        handle_describe_cluster(c, r);
        return;
    }
    if (c->stopped || !c->active) {
        request_refuse(r, STATUS_NOT_CONTROLLER, NULL);
        return;
    }
    switch (r->row->api) {
    case RPC_REGISTER_BROKER: handle_registration(c, r); return;
    case RPC_BROKER_HEARTBEAT: handle_heartbeat(c, r); return;
    case RPC_ALTER_PARTITIONS: handle_alter_partitions(c, r); return;
    case RPC_ALLOCATE_PRODUCER_IDS: handle_allocation(c, r); return;
    case RPC_ALTER_BROKER: handle_alter_broker(c, r); return;
    case RPC_MOVE_PARTITIONS: handle_move_partitions(c, r); return;
    case RPC_ELECT_LEADERS: handle_elect_leaders(c, r); return;
    }
    request_refuse(r, STATUS_UNKNOWN_API, NULL);
}

/* ---- time ----------------------------------------------------------------------------
 */

void controller_tick(struct controller *c, struct instant now)
{
    c->now = now;
    if (!c->active || c->stopped)
        return;
    if (c->gauged != c->o.image->applied && now.mono_ms >= c->look_ms) {
        c->gauged = c->o.image->applied;
        c->look_ms = now.mono_ms + LOOK_MS;
        controller_gauges(c);
    }
    if (c->busy != NULL || controller_fence_expired(c))
        return;
    /* What it begins changes the image, which is looked at again then. */
    if (c->seen != c->o.image->applied) {
        c->seen = c->o.image->applied;
        if (controller_upkeep(c))
            return;
    }
    if (now.mono_ms >= c->balance_ms) {
        c->balance_ms = now.mono_ms + config_number(c->o.config, CONFIG_LEADER_BALANCE);
        controller_balance(c);
    }
}

int64_t controller_deadline(const struct controller *c)
{
    int64_t look_ms, expiry, first;

    if (!c->active || c->stopped)
        return INT64_MAX;
    look_ms = c->gauged != c->o.image->applied ? c->look_ms : INT64_MAX;
    first = look_ms < c->balance_ms ? look_ms : c->balance_ms;
    if (c->busy != NULL)
        return look_ms;
    if (c->seen != c->o.image->applied)
        return c->now.mono_ms;
    expiry = controller_next_expiry(c);
    return expiry < first ? expiry : first;
}
