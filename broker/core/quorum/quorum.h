/* SPDX-License-Identifier: Apache-2.0
 *
 * The metadata quorum: who may change the cluster's metadata, and when a change counts.
 * It is Raft in the form of KIP-595: followers pull. The voters elect a leader, the
 * active controller; all others, voters and observers alike, fetch the metadata log from
 * it and apply what a majority of the voters has on disk. With one voter it is the same,
 * only quicker.
 *
 * The decisions are raft.h's, which is pure; here they are carried out: votes are written
 * to disk before they are sent, records are appended and fetched, snapshots are fetched
 * by those who are too far behind, entries are applied to the image.
 *
 * Changes are decided one after the other, each against the image that the one before it
 * left, so no change ever meets a state that it was not checked against.
 *
 * Lives on shard 0, where it owns the metadata log and writes the image. */
#pragma once

#include "broker/core/change.h"
#include "broker/core/request.h"
#include "proto/base/prng.h"
#include "storage/machine.h"

struct quorum;

/* Durations are milliseconds. */
struct quorum_times {
    int64_t fetch_timeout; /* a follower that hears nothing for so long campaigns */
    int64_t
        election_timeout; /* a candidate waits for so long, and as much again at most */
    int64_t fetch_wait;   /* how long a leader may hold a fetch */
    int64_t request_timeout;
};

struct quorum_options {
    struct store *store;
    struct disk *disk;
    struct wire *wire;
    struct image *image;                 /* the quorum applies to it; the node owns it */
    const struct image_watcher *watcher; /* not told of what was there at open */
    int32_t node_id;
    struct uuid directory;
    struct endpoint at; /* where the others reach this node */
    /* The first controllers, as configured, this node perhaps among them: the voters
     * until the log names others, and whom an observer asks for the leader. None: this
     * node alone. Their directories are unknown; the first leader writes the real set,
     * with directories, once it has heard from all of them. */
    const struct voter *bootstrap;
    size_t bootstrap_count;
    struct quorum_times times;
    struct prng random;
    /* A record was committed and applied: for the images of the other shards. */
    void (*committed)(void *ctx, int64_t offset, struct bytes record);
    /* The whole image was replaced by a snapshot's; `before` is what it was, with the
     * `local` pointers, and is released after the call. The log is another one, too. */
    void (*replaced)(void *ctx, struct image *before);
    /* This node has become the active controller (its LeaderChange is applied), or is not
     * any more, or another leader is known. */
    void (*leader_changed)(void *ctx);
    /* The log contradicts what was committed, or a vote cannot be kept: stop. */
    void (*fatal)(void *ctx, const char *what);
    void (*on_log)(void *ctx, int level, const char *event, const char *text);
    void *ctx;
};

/* A change that somebody wants, embedded in whatever waits for it. */
struct proposal {
    /* Its turn has come: check it against the image and say what to write. */
    enum status (*decide)(struct proposal *p, struct change *change);
    /* Runs once, later: refused by `decide` (then `change` tells why); or committed and
     * applied; or NOT_CONTROLLER: this node does not lead (if the proposal had been
     * decided already, nobody knows yet whether the change will count). */
    void (*done)(struct proposal *p, enum status status);
    struct change change; /* made with change_of by the proposer */

    /* The quorum's own. */
    struct quorum *quorum;
    TAILQ_ENTRY(proposal) link;
};

/* With this node as the only voter it leads at the first turns; else it begins without a
 * leader. */
STATUS_MUST_CHECK enum status quorum_open(struct quorum **out,
                                          const struct quorum_options *o,
                                          struct instant now, char why[static 256]);
void quorum_close(struct quorum *q);

void quorum_propose(struct quorum *q, struct proposal *p);

/* VOTE, BEGIN_EPOCH, END_EPOCH, QUORUM_FETCH, FETCH_SNAPSHOT of the metadata log,
 * DESCRIBE_QUORUM, ALTER_QUORUM. */
void quorum_request(struct quorum *q, struct request *r, struct instant now);

/* The metadata log's durable end moved. */
void quorum_durable(struct quorum *q, struct instant now);
/* End of a loop turn: decide what waits. */
void quorum_turn(struct quorum *q, struct instant now);
/* Timers and snapshots. */
void quorum_tick(struct quorum *q, struct instant now);
int64_t quorum_deadline(const struct quorum *q);
/* Before a stop: find out, and keep finding out, which voters are there. */
void quorum_look_around(struct quorum *q, struct instant now);
/* False once so many of them are known to be gone that nothing can be decided. */
bool quorum_is_possible(const struct quorum *q);
/* Before a stop in good order: hand leadership over and do not stand again. It is over
 * once another leader is known, or nobody took it. */
void quorum_leave(struct quorum *q, struct instant now);
bool quorum_has_left(const struct quorum *q);
/* Hand leadership over, refuse what waits and was not decided yet with SHUTTING_DOWN. */
void quorum_stop(struct quorum *q, struct instant now);

struct log *quorum_log(const struct quorum *q);

/* This node is the active controller. */
bool quorum_is_active(const struct quorum *q);
/* The leader as far as this node knows, -1 if it knows none, and where it is. */
int32_t quorum_leader(const struct quorum *q, struct endpoint *at);
int32_t quorum_epoch(const struct quorum *q);
/* Everything before it is committed, by what this node knows; -1: nothing is known. */
int64_t quorum_high_watermark(const struct quorum *q);
/* This node is the only voter, by the newest set in its log, committed or not. */
bool quorum_is_alone(const struct quorum *q);
/* Whether this node votes, by the newest set in its log, committed or not. */
bool quorum_is_voter(const struct quorum *q, int32_t node_id);
