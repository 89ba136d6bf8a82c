/* SPDX-License-Identifier: Apache-2.0
 *
 * A stop in good order: hand over to whoever is there. Who stops last, of a cluster that
 * is stopped as a whole, waits for nobody: it asks the other voters whether they are
 * there, again and again, until it has left. */
#include "broker/core/quorum/quorum_inner.h"

enum { ROUNDS_PER_ELECTION = 4 };

/* ---- who is there --------------------------------------------------------------------
 */

static bool is_missing(const struct quorum *q, int32_t node_id)
{
    for (size_t i = 0; i < q->missing_count; i++)
        if (q->missing[i] == node_id)
            return true;
    return false;
}

static void forget_missing(struct quorum *q, int32_t node_id)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->missing_count; i++)
        if (q->missing[i] != node_id)
            q->missing[kept++] = q->missing[i];
    q->missing_count = kept;
}

/* Somebody who refuses to answer is stopping, too. */
static void on_found(struct quorum *q, struct call *c, const ProtobufCMessage *message)
{
    bool possible = quorum_is_possible(q);

    forget_missing(q, c->peer.to);
    if (message == NULL && q->missing_count < RAFT_VOTERS_MAX)
        q->missing[q->missing_count++] = c->peer.to;
    if (possible && !quorum_is_possible(q))
        tell(q, LOG_LEVEL_INFO,
             "most of the voters are gone: nobody is left to hand over to");
}

void quorum_look_around(struct quorum *q, struct instant now)
{
    q->now = now;
    q->looking_around = true;
    q->around_ms = now.mono_ms;
}

void around_ask(struct quorum *q)
{
    const Leat__DescribeQuorumRequest nothing = LEAT__DESCRIBE_QUORUM_REQUEST__INIT;

    if (!q->looking_around || q->now.mono_ms < q->around_ms)
        return;
    q->around_ms = q->now.mono_ms + q->o.times.election_timeout / ROUNDS_PER_ELECTION;
    for (size_t i = 0; i < q->raft.peer_count; i++) {
        const struct voter *v = &q->raft.peers[i].voter;

        if (v->node_id != q->o.node_id)
            call_start(q, v->node_id, &v->at, RPC_DESCRIBE_QUORUM, &nothing.base,
                       on_found);
    }
}

bool quorum_is_possible(const struct quorum *q)
{
    size_t there = 0;

    for (size_t i = 0; i < q->raft.peer_count; i++)
        there += !is_missing(q, q->raft.peers[i].voter.node_id);
    return there > q->raft.peer_count / 2;
}

/* ---- handing over --------------------------------------------------------------------
 */

void quorum_leave(struct quorum *q, struct instant now)
{
    q->now = now;
    if (q->leaving || q->raft.peer_count <= 1)
        return;
    q->leaving = true;
    use_voters(q);
    if (q->raft.role != RAFT_LEADER)
        return;
    q->left_ms = now.mono_ms + q->o.times.election_timeout;
    leader_end(q);
}

bool quorum_has_left(const struct quorum *q)
{
    return q->raft.peer_count <= 1 ||
           (q->raft.role != RAFT_LEADER &&
            (q->raft.leader > 0 || q->now.mono_ms >= q->left_ms));
}
