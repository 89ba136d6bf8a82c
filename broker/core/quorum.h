/* SPDX-License-Identifier: Apache-2.0
 *
 * The metadata quorum: who may change the cluster's metadata, and when a change counts.
 * Today it has one voter, this node, which leads from the moment it is open; a record is
 * committed once a majority of the voters has it on disk, which is the rule whatever
 * their number. Changes are decided one after the other, each against the image that the
 * one before it left, so no change ever meets a state that it was not checked against.
 *
 * Lives on shard 0, where it owns the metadata log and writes the image. */
#pragma once

#include "broker/core/change.h"
#include "storage/machine.h"

struct quorum;

struct quorum_options {
    struct store *store;
    struct disk *disk;
    struct image *image;                 /* the quorum applies to it; the node owns it */
    const struct image_watcher *watcher; /* not told of what was there at open */
    /* A record was committed and applied: for the images of the other shards. */
    void (*committed)(void *ctx, int64_t offset, struct bytes record);
    void *ctx;
};

/* A change that somebody wants, embedded in whatever waits for it. */
struct proposal {
    /* Its turn has come: check it against the image and say what to write. */
    enum status (*decide)(struct proposal *p, struct change *change);
    /* Runs once, later: refused by `decide` (then `change` tells why), or committed and
     * applied. */
    void (*done)(struct proposal *p, enum status status);
    struct change change; /* made with change_of by the proposer */

    /* The quorum's own. */
    struct quorum *quorum;
    struct machine_entry entry;
    TAILQ_ENTRY(proposal) link;
};

STATUS_MUST_CHECK enum status quorum_open(struct quorum **out,
                                          const struct quorum_options *o);
void quorum_close(struct quorum *q);

void quorum_propose(struct quorum *q, struct proposal *p);

/* The metadata log's durable end moved. */
void quorum_durable(struct quorum *q);
/* End of a loop turn: decide what waits. */
void quorum_turn(struct quorum *q, struct instant now);
/* Now and then: snapshots. */
void quorum_tick(struct quorum *q, struct instant now);
/* Refuse what waits and was not decided yet with SHUTTING_DOWN. */
void quorum_stop(struct quorum *q);

struct log *quorum_log(const struct quorum *q);
/* Who leads and where it is; -1 if nobody is known. */
int32_t quorum_leader(const struct quorum *q, struct endpoint *at);
/* Of this leadership: above that of every record that an earlier one left. */
int32_t quorum_epoch(const struct quorum *q);
