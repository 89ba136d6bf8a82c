/* SPDX-License-Identifier: Apache-2.0
 *
 * Elections: votes asked and given, a leader announced, a leader that goes. */
#include "broker/core/quorum/quorum_inner.h"

#include "broker/core/quorum/records.h"

#include <string.h>

enum { WARN_MS = 10 * 1000 };

/* ---- asking --------------------------------------------------------------------------
 */

static void on_voted(struct quorum *q, struct call *c, const ProtobufCMessage *message)
{
    const Leat__VoteResponse *a = ANSWER_AS(Leat__VoteResponse, message);
    const struct raft_peer *p = raft_peer(&q->raft, c->peer.to);

    if (a == NULL)
        return;
    if (!a->granted)
        view_hear(q, a->view);
    /* The disk there may have been replaced since: then it is another voter. */
    if (p != NULL && uuid_equal(p->voter.directory, c->directory))
        raft_vote_answered(&q->raft, c->peer.to, c->epoch, c->pre, a->granted, q->now);
}

static void ask(struct quorum *q, const struct raft_peer *p)
{
    const struct raft *r = &q->raft;
    const struct raft_key to = {p->voter.node_id, p->voter.directory};
    Leat__VoteRequest v = LEAT__VOTE_REQUEST__INIT;
    Leat__QuorumNode candidate = node_of(&r->self), voter = node_of(&to);
    struct call *c;

    v.epoch = r->state.epoch;
    v.candidate = &candidate;
    v.voter = &voter;
    v.last_epoch = r->tail_epoch;
    v.last_offset = r->durable;
    v.pre = r->role == RAFT_PROSPECTIVE;
    if (voters_are_configured(&q->voters))
        v.bootstrap = (ProtobufCBinaryData){sizeof q->name, q->name};
    c = call_start(q, to.node_id, &p->voter.at, RPC_VOTE, &v.base, on_voted);
    c->pre = v.pre;
    c->directory = to.directory;
}

void votes_ask(struct quorum *q)
{
    for (size_t i = 0; i < q->raft.peer_count; i++) {
        struct raft_peer *p = &q->raft.peers[i];

        if (p->answer != RAFT_NOT_ASKED)
            continue;
        p->answer = RAFT_ASKED;
        if (p->voter.node_id != q->o.node_id) /* a disk of ours that is no more */
            ask(q, p);
    }
}

/* ---- giving --------------------------------------------------------------------------
 */

/* Nodes that were not given the same first controllers must not elect each other: their
 * majorities need not meet. */
static bool is_stranger(struct quorum *q, const struct request *r,
                        const Leat__VoteRequest *v)
{
    if (!voters_are_configured(&q->voters) || v->bootstrap.len == 0 ||
        bytes_equal((struct bytes){v->bootstrap.data, v->bootstrap.len},
                    (struct bytes){q->name, sizeof q->name}))
        return false;
    if (q->now.mono_ms >= q->warned_ms) {
        q->warned_ms = q->now.mono_ms + WARN_MS;
        tell(q, LOG_LEVEL_WARN,
             "broker %d (%s) was started with other first controllers than this one and "
             "gets no vote; give all of them the same list and start them again",
             v->candidate->node_id, r->host);
    }
    return true;
}

static bool is_for_us(const struct quorum *q, const Leat__QuorumNode *voter)
{
    struct raft_key key;

    return key_from(voter, &key) && key.node_id == q->o.node_id &&
           (uuid_is_zero(key.directory) || uuid_equal(key.directory, q->o.directory));
}

void on_vote(struct quorum *q, struct request *r)
{
    const Leat__VoteRequest *v = ANSWER_AS(Leat__VoteRequest, r->header);
    struct raft_vote vote = {.epoch = v->epoch,
                             .last_epoch = v->last_epoch,
                             .last_offset = v->last_offset,
                             .pre = v->pre};
    Leat__VoteResponse *a = request_alloc(r, sizeof *a);

    if (a == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    if (v->epoch < 0 || !key_from(v->candidate, &vote.candidate) ||
        vote.candidate.node_id == q->o.node_id || !is_for_us(q, v->voter)) {
        request_refuse(r, STATUS_INVALID_REQUEST,
                       "the vote is asked of another node or data directory than %d's",
                       q->o.node_id);
        return;
    }
    leat__vote_response__init(a);
    a->granted = !is_stranger(q, r, v) && raft_vote(&q->raft, &vote, q->now);
    a->view = view_for(q, r);
    answer_saved(q, r, &a->base);
}

/* ---- a leader comes and goes ---------------------------------------------------------
 */

static void on_begun(struct quorum *q, struct call *c, const ProtobufCMessage *message)
{
    (void)c;
    if (message != NULL)
        view_hear(q, ANSWER_AS(Leat__BeginEpochResponse, message)->view);
}

bool leader_is_unknown(const struct quorum *q)
{
    for (size_t i = 0; i < q->raft.peer_count; i++)
        if (!q->raft.peers[i].has_fetched &&
            q->raft.peers[i].voter.node_id != q->o.node_id)
            return true;
    return false;
}

/* A leader that is fetched from says nothing by itself: so those who do not fetch yet are
 * told of it until they do. */
void leader_announce(struct quorum *q)
{
    Leat__BeginEpochRequest b = LEAT__BEGIN_EPOCH_REQUEST__INIT;
    Leat__QuorumNode self = node_of(&q->raft.self);

    if (q->now.mono_ms < q->announce_ms)
        return;
    q->announce_ms = q->now.mono_ms + q->o.times.fetch_timeout / 4;
    b.epoch = q->raft.state.epoch;
    b.leader = &self;
    b.host = q->o.at.host;
    b.port = q->o.at.port;
    for (size_t i = 0; i < q->raft.peer_count; i++) {
        const struct raft_peer *p = &q->raft.peers[i];

        if (!p->has_fetched && p->voter.node_id != q->o.node_id)
            call_start(q, p->voter.node_id, &p->voter.at, RPC_BEGIN_EPOCH, &b.base,
                       on_begun);
    }
}

void on_begin(struct quorum *q, struct request *r)
{
    const Leat__BeginEpochRequest *b = ANSWER_AS(Leat__BeginEpochRequest, r->header);
    Leat__BeginEpochResponse *a = request_alloc(r, sizeof *a);
    struct raft_key leader;
    struct endpoint at;

    if (a == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    if (b->epoch <= 0 || !key_from(b->leader, &leader) ||
        !endpoint_from(b->host, b->port, &at)) {
        request_refuse(r, STATUS_INVALID_REQUEST, NULL);
        return;
    }
    raft_hear(&q->raft, b->epoch, leader.node_id, &at, q->now);
    leat__begin_epoch_response__init(a);
    a->view = view_for(q, r);
    answer_saved(q, r, &a->base);
}

static void on_ended(struct quorum *q, struct call *c, const ProtobufCMessage *message)
{
    (void)c;
    if (message != NULL)
        view_hear(q, ANSWER_AS(Leat__EndEpochResponse, message)->view);
}

void leader_end(struct quorum *q)
{
    Leat__EndEpochRequest e = LEAT__END_EPOCH_REQUEST__INIT;

    q->successors_epoch = e.epoch = q->raft.state.epoch;
    q->successor_count = e.n_successors = raft_successors(&q->raft, q->successors);
    e.successors = q->successors;
    e.leader_id = q->o.node_id;
    raft_resign(&q->raft, q->now);
    for (size_t i = 0; i < e.n_successors; i++) {
        const struct raft_peer *p = raft_peer(&q->raft, e.successors[i]);

        call_start(q, e.successors[i], &p->voter.at, RPC_END_EPOCH, &e.base, on_ended);
    }
}

int successor_rank(const struct quorum *q, const int32_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == q->o.node_id)
            return (int)i;
    return -1;
}

void on_end(struct quorum *q, struct request *r)
{
    const Leat__EndEpochRequest *e = ANSWER_AS(Leat__EndEpochRequest, r->header);
    static const struct endpoint nowhere;
    Leat__EndEpochResponse *a = request_alloc(r, sizeof *a);

    if (a == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    raft_hear(&q->raft, e->epoch, -1, &nowhere, q->now);
    if (e->leader_id == q->raft.leader)
        raft_ended(&q->raft, e->epoch, successor_rank(q, e->successors, e->n_successors),
                   q->now);
    leat__end_epoch_response__init(a);
    a->view = view_for(q, r);
    answer_saved(q, r, &a->base);
}
