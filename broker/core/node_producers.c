/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/node_producers.h"

#include "broker/core/api/api.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

enum { ASK_MS = 5000, WAITING_MAX = 10000, ANSWER_BYTES = 4096 };

struct producer_ids {
    struct node *node;
    int64_t next, end;
    bool asking;
    size_t waiting_count;
    TAILQ_HEAD(, request) waiting;
    struct peer_call call;
};

struct producer_ids *producer_ids_new(struct node *n)
{
    struct producer_ids *p = must_zalloc(sizeof *p);

    p->node = n;
    TAILQ_INIT(&p->waiting);
    return p;
}

void producer_ids_free(struct producer_ids *p)
{
    CHECK(!p->asking);
    CHECK(TAILQ_EMPTY(&p->waiting));
    free(p);
}

static void answer(struct producer_ids *p, struct request *r)
{
    Leat__InitProducerResponse *a =
        ANSWER_NEW(Leat__InitProducerResponse, leat__init_producer_response, r);

    if (a == NULL) {
        request_refuse_memory(r);
        return;
    }
    a->producer_id = p->next++;
    request_answer(r, &a->base);
}

static struct request *take_first(struct producer_ids *p)
{
    struct request *r = TAILQ_FIRST(&p->waiting);

    TAILQ_REMOVE(&p->waiting, r, link);
    p->waiting_count--;
    return r;
}

static void refuse_all(struct producer_ids *p, enum status status)
{
    while (!TAILQ_EMPTY(&p->waiting))
        request_refuse(take_first(p), status, "no producer id can be had now: %s",
                       status_text(status));
}

static enum status read_block(struct producer_ids *p, const struct peer_call *c)
{
    const Leat__AllocateProducerIdsResponse *a;
    ProtobufCMessage *m;
    struct arena arena;
    enum status st;

    if (c->status)
        return c->status == STATUS_CLOSED ? STATUS_SHUTTING_DOWN : STATUS_NOT_CONTROLLER;
    arena_init(&arena, ANSWER_BYTES);
    st = rpc_unpack(&leat__allocate_producer_ids_response__descriptor, c->answer, &arena,
                    &m);
    a = (const Leat__AllocateProducerIdsResponse *)(const void *)m;
    if (!st && (a->count == 0 || a->first < 0 || a->first > INT64_MAX - a->count))
        st = STATUS_UNKNOWN;
    if (!st) {
        p->next = a->first;
        p->end = a->first + a->count;
    }
    arena_release(&arena);
    return st ? STATUS_UNKNOWN : STATUS_OK;
}

static void serve(struct producer_ids *p);

static void on_block(struct peer_call *c)
{
    struct producer_ids *p = container_of(c, struct producer_ids, call);
    enum status st = read_block(p, c);

    p->asking = false;
    if (st)
        refuse_all(p, st);
    else
        serve(p);
}

static void ask(struct producer_ids *p)
{
    Leat__AllocateProducerIdsRequest q = LEAT__ALLOCATE_PRODUCER_IDS_REQUEST__INIT;
    struct node *n = p->node;

    p->call = (struct peer_call){.api = RPC_ALLOCATE_PRODUCER_IDS,
                                 .header = &q.base,
                                 .timeout_ms = ASK_MS,
                                 .done = on_block};
    p->call.to = node_controller(n, &p->call.at);
    if (p->call.to < 0) {
        refuse_all(p, STATUS_NOT_CONTROLLER);
        return;
    }
    q.node_id = n->o.node_id;
    q.broker_epoch = node_broker_epoch(n);
    p->asking = true;
    node_call(n, &p->call);
}

static void serve(struct producer_ids *p)
{
    while (!TAILQ_EMPTY(&p->waiting) && p->next < p->end)
        answer(p, take_first(p));
    if (!TAILQ_EMPTY(&p->waiting) && !p->asking)
        ask(p);
}

void producer_ids_request(struct producer_ids *p, struct request *r)
{
    if (p->waiting_count >= WAITING_MAX) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    TAILQ_INSERT_TAIL(&p->waiting, r, link);
    p->waiting_count++;
    serve(p);
}
