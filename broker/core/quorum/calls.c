/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to other nodes and answers to theirs, as far as they have something in
 * common. */
#include "broker/core/quorum/quorum_inner.h"

#include "broker/core/quorum/records.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 1024 * 1024 };

/* The answer is valid inside `done` only, and what to do with it depends on the time. */
static void on_done(struct peer_call *peer)
{
    struct call *c = container_of(peer, struct call, peer);

    if (!peer->status) {
        write_bytes(&c->packed, peer->answer.data, peer->answer.len);
        if (peer->payload.len > 0)
            c->payload =
                slice_of(peer->payload.buf, peer->payload.data, peer->payload.len);
    }
    TAILQ_INSERT_TAIL(&c->quorum->calls, c, link);
}

struct call *call_start(struct quorum *q, int32_t to, const struct endpoint *at,
                        enum rpc_api api, const ProtobufCMessage *header,
                        void (*answered)(struct quorum *q, struct call *c,
                                         const ProtobufCMessage *answer))
{
    struct call *c = must_zalloc(sizeof *c);

    CHECK(to != q->o.node_id);
    c->quorum = q;
    c->answered = answered;
    c->epoch = q->raft.state.epoch;
    c->packed = writer_growing();
    c->peer.to = to;
    c->peer.at = *at;
    c->peer.api = api;
    c->peer.header = header;
    c->peer.timeout_ms = q->o.times.request_timeout;
    c->peer.done = on_done;
    q->asked++;
    q->o.wire->call(q->o.wire, &c->peer);
    c->peer.header = NULL;
    return c;
}

static void hand_over(struct quorum *q, struct call *c)
{
    struct arena arena;
    ProtobufCMessage *answer = NULL;

    arena_init(&arena, ANSWER_BYTES_MAX);
    if (!c->peer.status && !writer_status(&c->packed) &&
        rpc_unpack(rpc_api_row((uint16_t)c->peer.api)->response,
                   (struct bytes){c->packed.data, c->packed.len}, &arena, &answer))
        answer = NULL;
    c->answered(q, c, answer);
    arena_release(&arena);
}

void calls_run(struct quorum *q)
{
    struct call *c;

    while ((c = TAILQ_FIRST(&q->calls)) != NULL) {
        TAILQ_REMOVE(&q->calls, c, link);
        q->asked--;
        if (!q->stopped && !q->failed)
            hand_over(q, c);
        writer_release(&c->packed);
        slice_release(&c->payload);
        free(c);
    }
}

/* ---- what is known of the leader -----------------------------------------------------
 */

Leat__QuorumView *view_for(const struct quorum *q, struct request *r)
{
    const struct endpoint *at =
        q->raft.leader == q->o.node_id ? &q->o.at : &q->raft.leader_at;
    Leat__QuorumView *view = request_alloc(r, sizeof *view);

    if (view == NULL)
        return NULL;
    leat__quorum_view__init(view);
    view->epoch = q->raft.state.epoch;
    view->leader_id = q->raft.leader;
    if (q->raft.leader > 0) {
        view->leader_host = arena_text(&r->arena, at->host, strlen(at->host));
        view->leader_port = at->port;
    }
    return view->leader_host != NULL ? view : NULL;
}

void view_hear(struct quorum *q, const Leat__QuorumView *view)
{
    struct endpoint at = {0};
    bool known = view != NULL && view->leader_id > 0 &&
                 endpoint_from(view->leader_host, view->leader_port, &at);

    if (view != NULL && view->epoch > 0)
        raft_hear(&q->raft, view->epoch, known ? view->leader_id : -1, &at, q->now);
}

Leat__QuorumNode node_of(const struct raft_key *key)
{
    Leat__QuorumNode node = LEAT__QUORUM_NODE__INIT;

    node.node_id = key->node_id;
    node.directory_id =
        (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)(uintptr_t)key->directory.id};
    return node;
}

bool key_from(const Leat__QuorumNode *node, struct raft_key *out)
{
    if (node == NULL || node->node_id <= 0)
        return false;
    out->node_id = node->node_id;
    return uuid_from((struct bytes){node->directory_id.data, node->directory_id.len},
                     &out->directory);
}

/* ---- nothing is said before what it rests on is on disk ------------------------------
 */

void answer_saved(struct quorum *q, struct request *r, ProtobufCMessage *answer)
{
    struct held *h;

    if (raft_is_saved(&q->raft) || PLANT(11)) {
        request_answer(r, answer);
        return;
    }
    MARK("answer waits for the vote file");
    h = request_alloc(r, sizeof *h);
    if (h == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    *h = (struct held){.request = r, .answer = answer, .version = q->raft.version};
    TAILQ_INSERT_TAIL(&q->held, h, link);
}

void held_release(struct quorum *q)
{
    struct held *h;

    while ((h = TAILQ_FIRST(&q->held)) != NULL) {
        if (!q->stopped && h->version > q->raft.saved)
            return;
        TAILQ_REMOVE(&q->held, h, link);
        if (q->stopped && h->version > q->raft.saved)
            request_refuse(h->request, STATUS_SHUTTING_DOWN, NULL);
        else
            request_answer(h->request, h->answer);
    }
}
