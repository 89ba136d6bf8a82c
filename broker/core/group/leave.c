/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways out of a group: by leave, by silence, by not giving up what was revoked. */
#include "broker/core/group/operation.h"

static void left(struct operation *op)
{
    Leat__GroupLeaveResponse *a;

    if (op->request == NULL) {
        operation_finish(op);
        return;
    }
    a = request_alloc(op->request, sizeof *a);
    if (a != NULL)
        leat__group_leave_response__init(a);
    operation_answer(op, (ProtobufCMessage *)a);
}

static void put_out(struct operation *op, const struct member *m)
{
    struct records records;

    records_init(&records);
    decide_leave(m, op->c->now.wall_ms, &records);
    operation_propose(op, &records, left);
}

static void start(struct operation *op)
{
    struct member *m = operation_member(op);

    if (m == NULL)
        operation_refuse(op, STATUS_UNKNOWN_MEMBER, NULL);
    else
        put_out(op, m);
}

void request_leave(struct coordinator *c, struct request *r)
{
    const Leat__GroupLeaveRequest *q = (const Leat__GroupLeaveRequest *)r->header;

    if (groups_find(&c->groups, q->group) == NULL &&
        map_get(&c->lines, bytes_of(q->group)) == NULL)
        request_refuse(r, STATUS_UNKNOWN_MEMBER, NULL);
    else
        operation_begin(c, q->group, r, true, q->member_id, start);
}

/* While this stood in line, a heartbeat before it may have been heard. */
void operation_expire_session(struct operation *op)
{
    struct member *m = operation_member(op);

    if (m != NULL && m->heard_ms + m->session_ms <= op->c->now.mono_ms)
        put_out(op, m);
    else
        operation_finish(op);
}

void operation_expire_release(struct operation *op)
{
    struct member *m = operation_member(op);

    if (m != NULL && m->revoking.count > 0 && !heap_contains(&m->release))
        put_out(op, m);
    else
        operation_finish(op);
}
