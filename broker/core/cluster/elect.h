/* SPDX-License-Identifier: Apache-2.0
 *
 * How a partition's record changes: pure functions from what it is, and what happened, to
 * what it will be. The rules keep two sets honest. In sync: holds everything below the
 * high watermark and is waited for. Eligible (KIP-966): not waited for, but nothing has
 * been committed without it since it left, because commits stop below
 * min.insync.replicas. Only members of these two may lead, unless somebody accepts loss.
 */
#pragma once

#include "broker/core/image.h"

enum { PARTITION_REPLICAS_MAX = 32 };

/* A partition as it may become; starts as a copy of what is. */
struct draft {
    struct image_partition p; /* its arrays lie in `numbers` */
    int32_t numbers[5][PARTITION_REPLICAS_MAX];
    bool touched;   /* count the partition epoch up even if nothing changes */
    bool new_epoch; /* even if the leader stays: its process is another one */
};

/* Who could lead, and what is asked for. */
struct elect_rules {
    const struct image *image; /* who is active */
    int32_t min_in_sync;       /* of the topic, not above its replicas */
    int32_t gone;              /* a broker to be taken as not active; 0: none */
    int32_t come;              /* and one to be taken as active */
    bool unclean;              /* accept loss if nothing else leads */
    int32_t faulty[PARTITION_REPLICAS_MAX]; /* active, but their logs do not open */
    size_t faulty_count;
};

/* How many must be in sync for a commit: the topic's min.insync.replicas, 1 if it has
 * none of its own (a broker's default is written into each topic when it is created:
 * leader and controller must mean the same), but never more than it has replicas, those
 * that a move is adding left out. */
int32_t partition_min_in_sync(const struct topic *topic, const struct image_partition *p);

void draft_init(struct draft *d, const struct image_partition *now);

/* Somebody leaves the in-sync replicas; the set may become empty: the last one stays
 * eligible. `lost`: what it had is not there any more (a new disk, damage), so it is not
 * eligible either. */
void draft_leave(struct draft *d, int32_t node_id, bool lost,
                 const struct elect_rules *r);
/* Its log does not open. As long as somebody else could lead, a damaged one is lost; the
 * last that could stays eligible whatever its log is like, for what can be saved of the
 * records is there: an operator may bring the files back (reliability B4). */
void draft_fail(struct draft *d, int32_t node_id, bool damaged,
                const struct elect_rules *r);
/* The leader proposed these. */
void draft_in_sync(struct draft *d, const int32_t *in_sync, size_t count,
                   const struct elect_rules *r);
/* See to the leader: keep it if it may lead, else elect by the rules (C1 to C6), else
 * none. */
void draft_elect(struct draft *d, const struct elect_rules *r);
/* Let the first replica lead if it is in sync and active; false if not. */
bool draft_prefer(struct draft *d, const struct elect_rules *r);
/* Begin to move to `target`, which replaces a move under way; cancel; end it if it is
 * complete (true). F1 to F7. Neither may drop the last who hold everything: false, which
 * cannot be while nothing is being moved. */
bool draft_move(struct draft *d, const int32_t *target, size_t count,
                const struct elect_rules *r);
bool draft_cancel(struct draft *d, const struct elect_rules *r);
bool draft_settle(struct draft *d, const struct elect_rules *r);

/* Count epochs up for what has changed: the partition epoch for anything, the leader
 * epoch for a new leader or a removed replica. False if nothing has. */
bool draft_finish(struct draft *d, const struct image_partition *before);
