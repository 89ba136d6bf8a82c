/* SPDX-License-Identifier: Apache-2.0
 *
 * Who leads the quorum, decided purely: events come in with their time, and what is to be
 * persisted, sent or fetched is read off the state afterwards. Raft in the form of
 * KIP-595 (followers pull), with pre-vote (KIP-996) and check-quorum.
 *
 *     unattached --timer--> prospective --majority would--> candidate --majority did-->
 * leader ^   <--no leader--  follower  <--- a leader of this epoch or a later one ---'
 *
 * The rules that carry it. Epochs only rise, and a new one is on disk before anything is
 * said in it; a vote is on disk before it is given (`saved` follows `version`). Only what
 * is on disk counts when logs are compared, on both sides: who has not synced its log
 * neither votes nor stands. A leader counts a follower's fetch offset as its durable end,
 * and its own log's durable end; it commits only past the start of its own epoch. A
 * leader that has not heard from a majority for a while resigns, and who hears a live
 * leader grants no pre-vote. A process that starts again never continues to lead: it has
 * voted for itself in that epoch, so it stands in a later one or not at all.
 *
 * The voters are the newest set in the log, committed or not. Before any was written they
 * are the configured ones, whose directories nobody knows yet. */
#pragma once

#include "broker/core/image.h"
#include "proto/base/prng.h"
#include "proto/base/time.h"

enum { RAFT_VOTERS_MAX = 31 };

enum raft_role {
    RAFT_UNATTACHED,  /* knows no leader */
    RAFT_PROSPECTIVE, /* asks whether it would be elected */
    RAFT_CANDIDATE,
    RAFT_LEADER,
    RAFT_FOLLOWER,
};

struct raft_key {
    int32_t node_id; /* 0: nobody */
    struct uuid directory;
};

struct raft_times {
    int64_t fetch_timeout;    /* without a leader's answer for so long: stand */
    int64_t election_timeout; /* an election takes so long, and as much again at most */
};

/* What must be on disk. */
struct raft_state {
    int32_t epoch;
    struct raft_key voted; /* in this epoch */
};

struct raft_peer {
    struct voter voter;
    enum raft_answer { RAFT_NOT_ASKED, RAFT_ASKED, RAFT_GRANTED, RAFT_REFUSED } answer;
    bool has_fetched;   /* in this epoch: it knows its leader */
    int64_t fetched_ms; /* when it last did */
    int64_t acked;      /* durable there, the same as ours; -1: unknown */
};

struct raft {
    struct raft_key self;
    struct raft_times times;
    struct prng random;

    struct raft_state state;
    uint64_t version, saved; /* of `state`: in memory, on disk */

    enum raft_role role;
    int32_t leader; /* -1: unknown */
    struct endpoint leader_at;
    bool has_fetched; /* follower: from this leader */
    int64_t deadline_ms;
    unsigned failures; /* elections in a row without a leader: back off */

    int64_t end, durable; /* of the log */
    int32_t tail_epoch;
    int64_t epoch_start; /* leader: the log's end at its election */
    bool elected;        /* has begun to lead; whoever carries it out clears it */
    int64_t high_watermark;

    struct raft_peer peers[RAFT_VOTERS_MAX];
    size_t peer_count;
    bool may_stand; /* see raft_set_voters */
};

struct raft_options {
    struct raft_key self;
    struct raft_times times;
    struct prng random;
    struct raft_state state;
};

void raft_init(struct raft *r, const struct raft_options *o, struct instant now);

/* The newest voters, whose answers count, and whether this node may stand for election:
 * voters_may_stand. */
void raft_set_voters(struct raft *r, const struct voter *voters, size_t count,
                     bool may_stand, struct instant now);
bool raft_is_voter(const struct raft *r);
struct raft_peer *raft_peer(struct raft *r, int32_t node_id); /* NULL: no voter */

/* Where the log is now. */
void raft_log_moved(struct raft *r, int64_t end, int64_t durable, int32_t tail_epoch);
/* `version` of the state is on disk. */
void raft_saved(struct raft *r, uint64_t version, struct instant now);
bool raft_is_saved(const struct raft *r);

void raft_tick(struct raft *r, struct instant now);
int64_t raft_deadline(const struct raft *r);

/* An answer or request told of an epoch and perhaps its leader (-1: not). */
void raft_hear(struct raft *r, int32_t epoch, int32_t leader, const struct endpoint *at,
               struct instant now);

struct raft_vote {
    int32_t epoch;
    struct raft_key candidate;
    int32_t last_epoch;
    int64_t last_offset;
    bool pre;
};

/* Whether the vote is given. If so and it is not a pre-vote, the answer must wait until
 * the state is saved, and must be dropped if the epoch has changed by then. */
bool raft_vote(struct raft *r, const struct raft_vote *v, struct instant now);
/* Somebody answered what we asked in `epoch`. An answer that refuses is to be heard
 * first (raft_hear); one that grants is not: the leader that it may name is one that the
 * voter, too, has only heard of, and two who do so would follow a dead one for ever. */
void raft_vote_answered(struct raft *r, int32_t node_id, int32_t epoch, bool pre,
                        bool granted, struct instant now);

/* Follower: the leader of our epoch answered a fetch. */
void raft_fetched(struct raft *r, struct instant now);
/* Leader: a replica asked for something, so it follows. NULL: it is no voter. */
struct raft_peer *raft_contact(struct raft *r, const struct raft_key *from,
                               struct instant now);
/* Leader: a replica asked for what follows `offset`, which is the same as ours. */
void raft_on_fetch(struct raft *r, const struct raft_key *from, int64_t offset,
                   struct instant now);
/* Leader: true if the watermark rose. */
bool raft_commit(struct raft *r);
/* Follower: the leader said so. True if it rose. */
bool raft_told(struct raft *r, int64_t high_watermark);

/* Leader: the voters by what they hold, the fullest first; how many. */
size_t raft_successors(const struct raft *r, int32_t out[static RAFT_VOTERS_MAX]);
/* Step down, staying in the epoch. */
void raft_resign(struct raft *r, struct instant now);
/* The leader of `epoch` has stepped down; we are at place `rank` of those whom it would
 * see in its place (from 0; -1: not among them). The first one need not ask whether it
 * would be elected: nobody is disturbed. */
void raft_ended(struct raft *r, int32_t epoch, int rank, struct instant now);
