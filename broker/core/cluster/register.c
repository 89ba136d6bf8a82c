/* SPDX-License-Identifier: Apache-2.0
 *
 * Brokers come, are heard, fall silent and leave (reliability 2.B, KIP-631, KIP-841). */
#include "broker/core/cluster/controller_inner.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- registration --------------------------------------------------------------------
 */

struct registration {
    struct task task;
    const Leat__RegisterBrokerRequest *wish;
    struct uuid incarnation, directory;
    bool lost; /* another directory: what it had is not there any more */
    Leat__RegisterBrokerResponse answer;
};

static bool others_are_active(const struct controller *c, const struct image_partition *p,
                              int32_t node_id)
{
    for (size_t i = 0; i < p->in_sync_count; i++)
        if (p->in_sync[i] != node_id && image_is_active(c->o.image, p->in_sync[i]))
            return true;
    return false;
}

/* A new process: it leads nothing (its log may be shorter than that of the one before,
 * and what it would write under the same epoch could contradict that), and is in sync
 * only where nobody else is. */
static void enter(const struct controller *c, struct change *change, struct topic *topic,
                  int32_t number, void *ctx)
{
    const struct registration *reg = ctx;
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    int32_t id = reg->wish->node_id;
    struct draft d;

    if (!image_has(p->in_sync, p->in_sync_count, id) &&
        !image_has(p->eligible, p->eligible_count, id))
        return;
    draft_init(&d, p);
    rules.gone = id;
    if (reg->lost || others_are_active(c, p, id))
        draft_leave(&d, id, reg->lost, &rules);
    draft_elect(&d, &rules);
    controller_put(change, topic, number, &d);
}

static enum status decide_registration(struct task *t, struct change *change)
{
    struct registration *reg = container_of(t, struct registration, task);
    struct controller *c = t->controller;
    const struct image_broker *b = image_broker(c->o.image, reg->wish->node_id);

    if (b != NULL && uuid_equal(b->incarnation, reg->incarnation)) {
        MARK("registration repeated");
        return STATUS_OK; /* the answer was lost */
    }
    /* The directory is locked by its process, so one that has the same directory proves
     * that the one before is gone. */
    if (b != NULL && b->state != BROKER_FENCED &&
        !uuid_equal(b->directory, reg->directory) &&
        c->now.mono_ms - controller_session(c, b->node_id)->heard_ms <
            controller_session_ms(c)) {
        MARK("two processes of one broker");
        return STATUS_DUPLICATE_BROKER;
    }
    reg->lost = b != NULL && !uuid_equal(b->directory, reg->directory) && !PLANT(9);
    change_broker(change, reg->wish);
    if (b != NULL && b->draining)
        change_broker_state(change, b->node_id, BROKER_FENCED, true);
    controller_each(c, change, enter, reg);
    return STATUS_OK;
}

static void finish_registration(struct task *t)
{
    struct registration *reg = container_of(t, struct registration, task);
    struct controller *c = t->controller;
    const struct image_broker *b = image_broker(c->o.image, reg->wish->node_id);

    if (b == NULL) {
        request_refuse(t->request, STATUS_NOT_CONTROLLER, NULL);
        return;
    }
    controller_session(c, b->node_id)->heard_ms = c->now.mono_ms;
    log_faults_release(&controller_session(c, b->node_id)->faults);
    reg->answer.broker_epoch = b->epoch;
    request_answer(t->request, &reg->answer.base);
}

static bool is_valid(const Leat__RegisterBrokerRequest *q, struct registration *reg)
{
    return q->node_id > 0 && q->host[0] != '\0' && strlen(q->host) < ENDPOINT_HOST &&
           q->port > 0 && q->port <= UINT16_MAX && strlen(q->rack) < 256 &&
           strlen(q->software_version) < 256 &&
           uuid_from((struct bytes){q->incarnation.data, q->incarnation.len},
                     &reg->incarnation) &&
           uuid_from((struct bytes){q->directory_id.data, q->directory_id.len},
                     &reg->directory);
}

void handle_registration(struct controller *c, struct request *r)
{
    const Leat__RegisterBrokerRequest *q = REQUEST_AS(Leat__RegisterBrokerRequest, r);
    struct registration *reg = request_alloc(r, sizeof *reg);

    if (reg == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (q->node_id != r->peer || !is_valid(q, reg)) {
        request_refuse(r, STATUS_INVALID_REQUEST, "the registration makes no sense");
        return;
    }
    leat__register_broker_response__init(&reg->answer);
    reg->wish = q;
    reg->task.decide = decide_registration;
    reg->task.finish = finish_registration;
    task_start(c, r, &reg->task);
}

/* ---- heartbeats ----------------------------------------------------------------------
 */

struct heartbeat {
    struct task task;
    const Leat__BrokerHeartbeatRequest *q;
    bool faults_changed;
    Leat__BrokerHeartbeatResponse answer;
};

static const struct image_broker *known(const struct controller *c,
                                        const Leat__BrokerHeartbeatRequest *q)
{
    const struct image_broker *b = image_broker(c->o.image, q->node_id);

    return b != NULL && b->epoch == q->broker_epoch ? b : NULL;
}

struct welcome {
    int32_t node_id;
    bool comes; /* it is about to be active */
    const struct log_faults *faults;
};

/* Somebody who could lead is back, or some of its logs open or do not open any more. */
static void welcome(const struct controller *c, struct change *change,
                    struct topic *topic, int32_t number, void *ctx)
{
    const struct welcome *w = ctx;
    const struct image_partition *p = &topic->partitions[number];
    const struct log_fault *f = log_faults_find(w->faults, topic->id, number);
    struct elect_rules rules;
    struct draft d;

    if (p->leader >= 0 && f == NULL)
        return;
    rules = controller_elect_rules(c, topic, p);
    rules.come = w->comes ? w->node_id : 0;
    draft_init(&d, p);
    if (f != NULL)
        draft_fail(&d, w->node_id, f->damaged, &rules);
    draft_elect(&d, &rules);
    controller_put(change, topic, number, &d);
}

/* Away with it wherever somebody else can do its work. */
static void relieve(const struct controller *c, struct change *change,
                    struct topic *topic, int32_t number, void *ctx)
{
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    int32_t id = *(const int32_t *)ctx;
    struct draft d;

    if (!image_has(p->in_sync, p->in_sync_count, id))
        return;
    draft_init(&d, p);
    rules.gone = id;
    rules.unclean = false;
    draft_leave(&d, id, false, &rules);
    draft_elect(&d, &rules);
    if (p->leader != id || d.p.leader >= 0)
        controller_put(change, topic, number, &d);
}

static bool wants_to_serve(const struct heartbeat *h, const struct image_broker *b)
{
    return b->state == BROKER_FENCED && !h->q->want_stop && !h->q->want_fence &&
           h->q->applied_offset > b->epoch;
}

static void silence(const struct controller *c, struct change *change,
                    struct topic *topic, int32_t number, void *ctx);

static enum status decide_heartbeat(struct task *t, struct change *change)
{
    struct heartbeat *h = container_of(t, struct heartbeat, task);
    struct controller *c = t->controller;
    const struct image_broker *b = known(c, h->q);
    int32_t id = h->q->node_id;
    struct welcome w = {.node_id = id};

    if (b == NULL)
        return STATUS_STALE_BROKER_EPOCH;
    w.comes = wants_to_serve(h, b);
    w.faults = &controller_session(c, id)->faults;
    if (w.comes) {
        change_broker_state(change, id, BROKER_ACTIVE, b->draining);
        controller_each(c, change, welcome, &w);
    } else if (h->q->want_stop && b->state == BROKER_ACTIVE) {
        change_broker_state(change, id, BROKER_STOPPING, b->draining);
        controller_each(c, change, relieve, &id);
    } else if (h->q->want_fence && b->state != BROKER_FENCED) {
        controller_each(c, change, silence, &id);
        change_broker_state(change, id, BROKER_FENCED, b->draining);
    } else if (h->faults_changed) {
        controller_each(c, change, welcome, &w);
    }
    return STATUS_OK;
}

/* It leads nothing that anybody else could. */
static bool may_stop(const struct controller *c, int32_t id)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&c->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++)
            if (topic->partitions[n].leader == id &&
                others_are_active(c, &topic->partitions[n], id))
                return false;
    return true;
}

static void finish_heartbeat(struct task *t)
{
    struct heartbeat *h = container_of(t, struct heartbeat, task);
    const struct controller *c = t->controller;
    const struct image_broker *b = known(c, h->q);

    if (b == NULL) {
        request_refuse(t->request, STATUS_STALE_BROKER_EPOCH, NULL);
        return;
    }
    h->answer.fenced = b->state == BROKER_FENCED;
    h->answer.applied_offset = c->o.image->applied;
    h->answer.may_stop =
        h->q->want_stop && b->state != BROKER_ACTIVE && may_stop(c, b->node_id);
    request_answer(t->request, &h->answer.base);
}

/* What the broker says of its logs takes the place of what it said before. */
static enum status hear_faults(struct session *s, const Leat__BrokerHeartbeatRequest *q,
                               bool *changed)
{
    struct log_faults heard = {0};

    for (size_t i = 0; i < q->n_faults; i++) {
        const Leat__ReplicaFault *f = q->faults[i];
        struct log_fault fault = {.partition = f->partition, .damaged = f->damaged};

        if (!uuid_from((struct bytes){f->topic_id.data, f->topic_id.len},
                       &fault.topic_id)) {
            log_faults_release(&heard);
            return STATUS_INVALID_REQUEST;
        }
        log_faults_add(&heard, fault);
    }
    *changed = !log_faults_equal(&heard, &s->faults);
    log_faults_release(&s->faults);
    s->faults = heard;
    return STATUS_OK;
}

void handle_heartbeat(struct controller *c, struct request *r)
{
    const Leat__BrokerHeartbeatRequest *q = REQUEST_AS(Leat__BrokerHeartbeatRequest, r);
    const struct image_broker *b = known(c, q);
    struct heartbeat *h = request_alloc(r, sizeof *h);
    struct session *s;

    if (h == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (q->node_id != r->peer || b == NULL) {
        request_refuse(r, STATUS_STALE_BROKER_EPOCH, NULL);
        return;
    }
    s = controller_session(c, q->node_id);
    s->heard_ms = c->now.mono_ms;
    s->applied = q->applied_offset;
    if (hear_faults(s, q, &h->faults_changed)) {
        request_refuse(r, STATUS_INVALID_REQUEST, "a topic's id makes no sense");
        return;
    }
    leat__broker_heartbeat_response__init(&h->answer);
    h->q = q;
    h->task.controller = c;
    h->task.request = r;
    h->task.decide = decide_heartbeat;
    h->task.finish = finish_heartbeat;
    if (wants_to_serve(h, b) || h->faults_changed ||
        (q->want_stop && b->state == BROKER_ACTIVE) ||
        (q->want_fence && b->state != BROKER_FENCED))
        task_start(c, r, &h->task);
    else
        finish_heartbeat(&h->task);
}

/* ---- silence -------------------------------------------------------------------------
 */

struct fencing {
    struct task task;
    int32_t node_id;
};

static void silence(const struct controller *c, struct change *change,
                    struct topic *topic, int32_t number, void *ctx)
{
    const struct image_partition *p = &topic->partitions[number];
    struct elect_rules rules = controller_elect_rules(c, topic, p);
    int32_t id = *(const int32_t *)ctx;
    struct draft d;

    if (!image_has(p->in_sync, p->in_sync_count, id) && p->leader >= 0)
        return;
    draft_init(&d, p);
    rules.gone = id;
    draft_leave(&d, id, false, &rules);
    draft_elect(&d, &rules);
    controller_put(change, topic, number, &d);
}

/* This broker's own process is never silent: it is us. */
static bool is_silent(struct controller *c, const struct image_broker *b)
{
    return b->state != BROKER_FENCED && b->node_id != c->o.node_id &&
           c->now.mono_ms - controller_session(c, b->node_id)->heard_ms >=
               controller_session_ms(c);
}

static enum status decide_fencing(struct task *t, struct change *change)
{
    struct fencing *f = container_of(t, struct fencing, task);
    struct controller *c = t->controller;
    const struct image_broker *b = image_broker(c->o.image, f->node_id);

    if (b == NULL || !is_silent(c, b))
        return STATUS_OK;
    controller_each(c, change, silence, &f->node_id);
    change_broker_state(change, f->node_id, BROKER_FENCED, b->draining);
    return STATUS_OK;
}

static void release_fencing(struct task *t)
{
    free(container_of(t, struct fencing, task));
}

/* One after the other, so that each sees what the one before has changed. */
bool controller_fence_expired(struct controller *c)
{
    for (size_t i = 0; i < c->o.image->broker_count; i++) {
        const struct image_broker *b = &c->o.image->brokers[i];
        struct fencing *f;
        char text[96];

        if (!is_silent(c, b))
            continue;
        snprintf(text, sizeof text, "broker %d has been silent for %lld ms", b->node_id,
                 (long long)controller_session_ms(c));
        c->o.on_log(c->o.ctx, LOG_LEVEL_WARN, "broker_fenced", text);
        f = must_zalloc(sizeof *f);
        f->node_id = b->node_id;
        f->task.decide = decide_fencing;
        f->task.release = release_fencing;
        task_start_own(c, &f->task);
        return true;
    }
    return false;
}

int64_t controller_next_expiry(const struct controller *c)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < c->session_count; i++) {
        const struct image_broker *b = image_broker(c->o.image, c->sessions[i].node_id);
        int64_t at_ms = c->sessions[i].heard_ms + controller_session_ms(c);

        if (b != NULL && b->state != BROKER_FENCED && b->node_id != c->o.node_id &&
            at_ms < first)
            first = at_ms;
    }
    return first;
}
