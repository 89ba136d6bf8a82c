/* SPDX-License-Identifier: Apache-2.0
 *
 * Heartbeat: a sign of life, a confirmation of what the member gave up, and the occasion
 * on which it hears of its next step. One that changes nothing writes nothing. */
#include "broker/core/group/operation.h"

static const Leat__GroupHeartbeatRequest *report(const struct operation *op)
{
    return (const Leat__GroupHeartbeatRequest *)op->request->header;
}

static void answer(struct operation *op, const struct member *m)
{
    Leat__GroupHeartbeatResponse *a = request_alloc(op->request, sizeof *a);

    if (a != NULL) {
        leat__group_heartbeat_response__init(a);
        a->member_epoch = m->epoch;
        a->heartbeat_interval_ms = coordinator_heartbeat_ms(op->c, m);
        if (!share_to_wire(op->c, op->request, &m->assigned, &a->assigned,
                           &a->n_assigned))
            a = NULL;
    }
    operation_answer(op, (ProtobufCMessage *)a);
}

static void stepped(struct operation *op)
{
    struct member *m = operation_member(op);

    member_watch_release(op->c, m, report(op)->member_epoch != m->epoch);
    answer(op, m);
}

static void start(struct operation *op);

/* Most heartbeats change nothing and share the line with commits. One that does must be
 * alone: back to the end of the line, and look again. */
static void stand_alone(struct operation *op)
{
    struct request *r = op->request;

    op->request = NULL;
    operation_begin(op->c, op->line->group, r, true, op->member_id, start);
    operation_finish(op);
}

/* It has heard everything: take the next step, if there is one. */
static void step(struct operation *op, struct member *m)
{
    const Leat__GroupHeartbeatRequest *q = report(op);
    struct share owned = share_of_wire(op->c, q->owned, q->n_owned);
    struct records records;
    bool changed;

    records_init(&records);
    coordinator_settle(op->c, m->group);
    changed = decide_step(m, &owned, &records);
    share_release(&owned);
    if (changed && op->alone) {
        operation_propose(op, &records, stepped);
        return;
    }
    records_release(&records);
    if (changed)
        stand_alone(op);
    else
        answer(op, m);
}

static void start(struct operation *op)
{
    struct member *m = operation_member(op);

    if (m == NULL) {
        operation_refuse(op, STATUS_UNKNOWN_MEMBER, NULL);
        return;
    }
    switch (member_claim(m, report(op)->member_epoch)) {
    case CLAIM_CURRENT:
        member_heard(op->c, m);
        step(op, m);
        return;
    case CLAIM_PREVIOUS:
        member_heard(op->c, m);
        answer(op, m);
        return;
    case CLAIM_FENCED: operation_refuse(op, STATUS_FENCED_MEMBER_EPOCH, NULL); return;
    }
}

void request_heartbeat(struct coordinator *c, struct request *r)
{
    const Leat__GroupHeartbeatRequest *q = (const Leat__GroupHeartbeatRequest *)r->header;
    const struct group *g = groups_find(&c->groups, q->group);

    /* Unless somebody may be about to make it one, this needs no line. */
    if (g == NULL && map_get(&c->lines, bytes_of(q->group)) == NULL)
        request_refuse(r, STATUS_UNKNOWN_MEMBER, NULL);
    else
        operation_begin(c, q->group, r, false, q->member_id, start);
}
