/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetchers of a shard: one for each broker that leads partitions of which this shard
 * has replicas. A fetcher keeps a REPLICA_FETCH on its way, over all of its partitions,
 * and others for those that did not go with the first; what comes back is checked and
 * appended, and the next fetch leaves at once. What becomes durable meanwhile is
 * acknowledged by REPLICA_ACK, so replication does not wait for disk and network in
 * turns.
 *
 * The order in which an answer is looked at is part of the protocol (reliability 2.0):
 * does it belong to what was asked, under this leader epoch, at this offset; errors;
 * divergence (cut, and ignore the rest); batches (whole, right checksum, at our end, of
 * an epoch not above ours and not below the one before); then the watermark. */
#pragma once

#include "broker/core/partition.h"

struct fetchers;
struct node;

struct fetchers *fetchers_new(struct node *n);
/* No call may be under way. */
void fetchers_free(struct fetchers *f);

/* The partition follows `leader_id` under its leader epoch, or nobody: take it in, move
 * it to another fetcher, or let it go. */
void fetchers_follow(struct fetchers *f, struct partition *p);
/* A follower's durable end moved. */
void fetchers_durable(struct fetchers *f, struct partition *p);
/* End of the turn: send what is due. */
void fetchers_turn(struct fetchers *f, struct instant now);
void fetchers_stop(struct fetchers *f);

/* Pure: where a follower that diverges from its leader must cut, by the leader's answer
 * (epoch and its end) and by its own epochs. */
int64_t fetcher_cut(const struct log *log, int32_t leader_found, int64_t leader_end);
