/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the quorum, for the files that carry out what raft.h decides.
 *
 * Whatever arrives between two turns is kept and looked at in the turn, which knows what
 * time it is. A turn ends with carrying out (quorum.c): the vote goes to disk, and what
 * may be said and done in the role that came of it follows once it is there. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/quorum/quorum.h"
#include "broker/core/quorum/vote_file.h"
#include "broker/core/quorum/voters.h"

#define ANSWER_AS(type, message) ((const type *)(const void *)(message))

enum { HEARD_MAX = 1024, RECORDS_BYTES_MAX = 64 * 1024 * 1024 };

/* A question to another node. */
struct call {
    struct peer_call peer;
    struct quorum *quorum;
    /* In a turn; `answer` is a row->response, NULL if none came. */
    void (*answered)(struct quorum *q, struct call *c, const ProtobufCMessage *answer);
    int32_t epoch; /* in which it was asked */
    bool pre;      /* a vote's */
    struct uuid directory;
    uint64_t number; /* a fetch's */
    struct writer packed;
    struct slice payload;
    TAILQ_ENTRY(call) link;
};

/* A request whose answer waits for the vote file. */
struct held {
    struct request *request;
    ProtobufCMessage *answer;
    uint64_t version;
    TAILQ_ENTRY(held) link;
};

/* A follower's fetch. */
struct parked {
    struct request *request;
    struct quorum *quorum;
    struct raft_key from;
    int64_t offset;
    int32_t request_epoch;
    int64_t known; /* the watermark that it knows */
    int64_t until_ms;
    Leat__QuorumFetchResponse answer;
    struct log_read read;
    TAILQ_ENTRY(parked) link;
};

/* What a leader knows of those who fetch from it. */
struct heard {
    struct raft_key key;
    struct endpoint at;
    int64_t end;
    int64_t at_ms;
};

/* A proposal whose records are in the log. It may outlive the proposer's interest. */
struct flight {
    struct machine_entry entry;
    struct quorum *quorum;
    struct proposal *proposal; /* NULL: it was told that nobody knows */
    TAILQ_ENTRY(flight) link;
};

struct quorum {
    struct quorum_options o;
    struct voter *configured;
    uint8_t name[VOTERS_NAME]; /* of the configured set */
    struct instant now;
    struct machine *machine;
    struct raft raft;
    struct voters voters;
    struct vote_file file;
    uint64_t writing; /* version of the state that is on its way to the file */
    bool open;
    bool leaving;
    int64_t left_ms; /* then it has waited long enough for a successor */
    bool looking_around;
    int64_t around_ms;                /* ask again who is there */
    int32_t missing[RAFT_VOTERS_MAX]; /* who did not answer when last asked */
    size_t missing_count;
    bool stopped;
    bool failed;

    /* What was told of the leader. */
    bool active;
    int32_t leader_told, epoch_told;

    TAILQ_HEAD(, proposal) waiting; /* in the order in which they came */
    TAILQ_HEAD(, flight) flights;
    struct flight *decided; /* the one of an active controller: the next one waits */

    TAILQ_HEAD(, call) calls; /* answers that came since the last turn */
    size_t asked;             /* calls that have not come back */
    TAILQ_HEAD(, held) held;

    /* As the leader. */
    TAILQ_HEAD(, parked) parked;
    size_t parked_count;
    size_t reading; /* fetches whose records come from segment files */
    size_t serving; /* pieces of snapshots */
    struct heard *heard;
    size_t heard_count;
    int32_t successors[RAFT_VOTERS_MAX]; /* when it stepped down */
    size_t successor_count;
    int32_t successors_epoch;
    int64_t announce_ms; /* next BEGIN_EPOCH to those who have not fetched */

    /* As one who has a leader, or looks for one. */
    bool fetching;
    uint64_t fetches;  /* number of the newest fetch */
    int64_t fetch_ms;  /* not before that */
    unsigned failures; /* in a row */
    size_t looked;     /* whom it asked for the leader */
    int64_t told;      /* watermark, by the leader */
    struct download *download;
    struct image *replaced; /* by a snapshot that is being installed */

    int64_t snapshot_ms; /* look again whether one is due */
    int64_t warned_ms;
};

/* quorum.c */
struct log *quorum_log(const struct quorum *q);
void log_moved(struct quorum *q);
/* The newest records, from `offset` on, may name voters. */
void records_appended(struct quorum *q, int64_t offset, struct bytes record);
void append_own(struct quorum *q, struct writer *record);
void use_voters(struct quorum *q);
void quorum_replaced(struct quorum *q); /* a snapshot was installed */
void fail(struct quorum *q, const char *what);
void tell(struct quorum *q, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* calls.c */

/* `to` is asked; `header` is packed before this returns. */
struct call *call_start(struct quorum *q, int32_t to, const struct endpoint *at,
                        enum rpc_api api, const ProtobufCMessage *header,
                        void (*answered)(struct quorum *q, struct call *c,
                                         const ProtobufCMessage *answer));
void calls_run(struct quorum *q);
/* What we know of epoch and leader, in the request's arena; NULL: it is full. */
Leat__QuorumView *view_for(const struct quorum *q, struct request *r);
/* What somebody says of epoch and leader. */
void view_hear(struct quorum *q, const Leat__QuorumView *view);
Leat__QuorumNode node_of(const struct raft_key *key);
bool key_from(const Leat__QuorumNode *node, struct raft_key *out);
/* Answer once everything that was decided so far is on disk. */
void answer_saved(struct quorum *q, struct request *r, ProtobufCMessage *answer);
void held_release(struct quorum *q);

/* votes.c */
void votes_ask(struct quorum *q);
bool leader_is_unknown(const struct quorum *q); /* to some voter, as far as we hear */
void leader_announce(struct quorum *q);
void leader_end(struct quorum *q); /* resign in good order */
/* At which place of a list of successors this node is, -1 if at none. */
int successor_rank(const struct quorum *q, const int32_t *list, size_t count);
void on_vote(struct quorum *q, struct request *r);
void on_begin(struct quorum *q, struct request *r);
void on_end(struct quorum *q, struct request *r);

/* leave.c */
void around_ask(struct quorum *q);

/* serve.c */
void on_fetch(struct quorum *q, struct request *r);
void on_snapshot(struct quorum *q, struct request *r);
void parked_run(struct quorum *q);
int64_t parked_deadline(const struct quorum *q);

/* follow.c */
void leader_look_for(struct quorum *q);
void leader_follow(struct quorum *q);
bool leader_may_be_asked(const struct quorum *q); /* when q->fetch_ms has come */
void download_free(struct quorum *q);
bool is_installing(const struct quorum *q);
bool download_is_over(const struct quorum *q);

/* members.c */
void heard_note(struct quorum *q, const struct raft_key *key, const struct endpoint *at,
                int64_t end);
/* As the leader: write the voters down when more is known of them than the log says. */
void voters_write(struct quorum *q);
void on_describe(struct quorum *q, struct request *r);
void on_alter(struct quorum *q, struct request *r);

extern const struct log_id metadata_log_id;
