/* SPDX-License-Identifier: Apache-2.0
 *
 * The controller decides about the cluster: which brokers take part, who leads each
 * partition, who is in sync, where replicas lie. It runs on the quorum's leader. All that
 * it decides becomes records through proposals; what it keeps beside the image (when a
 * broker was last heard, what a drain still has to do) may be forgotten at any time: a
 * new controller gives every broker a full session.
 *
 * Decisions are pure functions of the image (elect.h, placement.h, register.h); this is
 * the part that listens, waits and proposes. After `reference` KIP-631, KIP-841, KIP-966;
 * the rules are listed in the folder's README. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/metrics.h"
#include "broker/core/quorum/quorum.h"

struct controller;

struct controller_options {
    struct quorum *quorum;
    const struct image *image;
    const struct config *config;
    struct metrics *metrics;
    int32_t node_id;
    struct prng random; /* for topic ids of internal topics */
    void (*on_log)(void *ctx, int level, const char *event, const char *text);
    void *ctx;
};

STATUS_MUST_CHECK struct controller *controller_new(const struct controller_options *o);
void controller_free(struct controller *c);
/* Answer what waits with SHUTTING_DOWN. */
void controller_stop(struct controller *c);

/* This node became the active controller, or ceased to be: requests that wait are
 * answered NOT_CONTROLLER, sessions begin anew. */
void controller_leader_changed(struct controller *c, struct instant now);

/* REGISTER_BROKER, BROKER_HEARTBEAT, ALTER_PARTITIONS, ALLOCATE_PRODUCER_IDS,
 * ALTER_BROKER, MOVE_PARTITIONS, ELECT_LEADERS; and DESCRIBE_CLUSTER, which is answered
 * everywhere. On a node that is not active: NOT_CONTROLLER. */
void controller_request(struct controller *c, struct request *r, struct instant now);

/* Sessions that are over, elections, moves that are complete, drains, leaders that should
 * go home, internal topics. */
void controller_tick(struct controller *c, struct instant now);
int64_t controller_deadline(const struct controller *c);

/* What change_create and its like need to know of the cluster now. */
struct change_rules controller_rules(const struct controller *c);
