/* SPDX-License-Identifier: Apache-2.0
 *
 * This broker as a member of the cluster: it registers with the controller, whoever that
 * is, reports by heartbeats, and leaves in good order. A registration that the controller
 * does not know any more (STALE_BROKER_EPOCH) is made anew; a broker whose heartbeats
 * have not been answered for most of a session fences itself: it stops serving what only
 * a leader may say, because another may lead by now (reliability B8). A broker that is
 * the whole cluster is heard by itself, without heartbeats, until another one registers.
 */
#pragma once

#include "broker/core/cluster/log_faults.h"
#include "broker/core/image.h"
#include "broker/core/request.h"
#include "proto/base/prng.h"

struct member_link;

struct member_options {
    const struct image *image;
    int32_t node_id;
    struct uuid incarnation;
    struct uuid directory;
    struct endpoint at;
    const char *rack;
    int64_t heartbeat_ms;
    int64_t session_ms;
    struct prng random;
    /* The active controller, -1 if none is known. */
    int32_t (*controller)(void *ctx, struct endpoint *at);
    /* The quorum consists of this broker. */
    bool (*is_only_voter)(void *ctx);
    /* Add the replicas here whose logs do not open. */
    void (*faults)(void *ctx, struct log_faults *out);
    /* node_call on the node. */
    void (*call)(void *ctx, struct peer_call *c);
    /* This broker was registered, fenced, unfenced, or may stop now. */
    void (*changed)(void *ctx);
    void (*on_log)(void *ctx, int level, const char *event, const char *text);
    void *ctx;
};

struct member_link *member_link_new(const struct member_options *o, struct instant now);
/* After member_link_stop, and the wire has ended the last call. */
void member_link_free(struct member_link *m);

/* Another controller, or it is ready only now: what failed before may succeed. */
void member_link_controller_changed(struct member_link *m, struct instant now);
/* Records were applied: look whether something follows. */
void member_link_look(struct member_link *m, struct instant now);
/* Other logs than before do not open: the controller should know at once. */
void member_link_faults_changed(struct member_link *m, struct instant now);
void member_link_tick(struct member_link *m, struct instant now);
int64_t member_link_deadline(const struct member_link *m);

/* Ask the controller to take our leaderships away; `changed` once member_link_may_stop.
 */
void member_link_leave(struct member_link *m, struct instant now);
bool member_link_may_stop(const struct member_link *m);
/* No calls from now on. */
void member_link_stop(struct member_link *m);

/* -1 before the first registration. */
int64_t member_link_epoch(const struct member_link *m);
/* Registered, and active by our own image. */
bool member_link_is_active(const struct member_link *m);
/* The controller has heard us within most of a session, and we know what it decided while
 * it did not. */
bool member_link_is_heard(const struct member_link *m, struct instant now);
