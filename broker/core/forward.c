/* SPDX-License-Identifier: Apache-2.0
 *
 * A client may ask any broker to change the cluster; the one that was asked carries the
 * request to the active controller. What was changed is answered once our own metadata is
 * as far, so that the client finds here what it has made. */
#include "broker/core/api/api.h"
#include "broker/core/quorum/quorum.h"
#include "proto/base/check.h"

enum { FORWARD_MS = 30000, CATCH_UP_MS = 2000 };

struct forward {
    struct peer_call call;
    struct request *request;
    ProtobufCMessage *answer;
    int64_t upto; /* our metadata must be as far */
    struct timer late;
    struct barrier *barrier;
    TAILQ_ENTRY(forward) link;
};

static void on_barrier(struct barrier *b)
{
    struct forward *f = b->owner;

    request_answer(f->request, f->answer);
}

static void come_to_an_end(struct node *n, struct forward *f)
{
    TAILQ_REMOVE(&n->forwards, f, link);
    timer_stop(n, &f->late);
    barrier_start(n, f->barrier);
}

/* The change is made; that we have not heard of it is our own misery. */
static void on_late(struct node *n, struct timer *t)
{
    come_to_an_end(n, container_of(t, struct forward, late));
}

void forwards_turn(struct node *n)
{
    struct forward *f, *next;

    for (f = TAILQ_FIRST(&n->forwards); f != NULL; f = next) {
        next = TAILQ_NEXT(f, link);
        if (n->image.applied >= f->upto || n->stopping)
            come_to_an_end(n, f);
    }
}

static int64_t metadata_offset(enum rpc_api api, const ProtobufCMessage *answer)
{
    const void *a = answer;

    switch ((int)api) {
    case RPC_CREATE_TOPIC: return ((const Leat__CreateTopicResponse *)a)->metadata_offset;
    case RPC_DELETE_TOPIC: return ((const Leat__DeleteTopicResponse *)a)->metadata_offset;
    case RPC_ALTER_TOPIC: return ((const Leat__AlterTopicResponse *)a)->metadata_offset;
    case RPC_TRIM: return ((const Leat__TrimResponse *)a)->metadata_offset;
    default: return 0;
    }
}

static void refuse(struct forward *f)
{
    const struct peer_call *c = &f->call;

    if (c->status == STATUS_UNREACHABLE || c->status == STATUS_CLOSED)
        request_refuse(f->request, STATUS_NOT_CONTROLLER,
                       "the controller (broker %d) cannot be reached; try again", c->to);
    else if (c->status == STATUS_TIMED_OUT)
        request_refuse(f->request, STATUS_REQUEST_TIMED_OUT,
                       "the controller (broker %d) did not answer in time; whether the "
                       "change was made is not known",
                       c->to);
    else
        request_refuse(f->request, c->status, "%s", c->message);
}

static void on_forwarded(struct peer_call *c)
{
    struct forward *f = container_of(c, struct forward, call);
    struct request *r = f->request;
    struct node *n = r->node;

    if (c->status) {
        refuse(f);
        return;
    }
    if (rpc_unpack(r->row->response, c->answer, &r->arena, &f->answer)) {
        request_refuse_memory(r);
        return;
    }
    f->upto = metadata_offset(c->api, f->answer);
    f->late.fire = on_late;
    TAILQ_INSERT_TAIL(&n->forwards, f, link);
    timer_set(n, &f->late, n->now.mono_ms + CATCH_UP_MS);
}

void request_forward(struct node *n, struct request *r)
{
    struct forward *f = request_alloc(r, sizeof *f);
    struct barrier *barrier = request_alloc(r, barrier_bytes(n));

    if (f == NULL || barrier == NULL) {
        request_refuse_memory(r);
        return;
    }
    f->request = r;
    f->barrier = barrier;
    barrier->owner = f;
    barrier->done = on_barrier;
    f->call.to = r->peer >= 0 ? -1 : quorum_leader(n->quorum, &f->call.at);
    if (f->call.to < 0 || f->call.to == n->o.node_id) {
        request_refuse(r, STATUS_NOT_CONTROLLER,
                       "the cluster has no controller at the moment; try again");
        return;
    }
    f->call.api = (enum rpc_api)r->row->api;
    f->call.header = r->header;
    f->call.timeout_ms = FORWARD_MS;
    f->call.done = on_forwarded;
    n->o.wire->call(n->o.wire, &f->call);
}
