/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard's calls to other brokers: the shell's side of wire->call. There is one link per
 * broker and lane, made when it is needed and kept while it is used: calls that move much
 * have a lane of their own, so that votes and heartbeats never stand behind them. A link
 * is connected, proves that it belongs to the cluster, and makes sure that the other end
 * does (secret.h), before any call leaves. When it breaks, all its calls end with
 * UNREACHABLE; after a failure there is a pause in which calls fail at once.
 *
 * Events only leave notes; everything happens in peers_run, at a place of the turn where
 * the node may be entered. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/node.h"
#include "broker/io/secret.h"

#include <event2/event.h>

struct peers;

struct peers_options {
    struct event_base *base;
    struct node *node;
    const struct config *config;
    const struct secret *secret;
    struct uuid cluster_id;
    int32_t node_id;
    unsigned shard;
};

struct peers *peers_new(const struct peers_options *o);
/* All calls have ended. */
void peers_free(struct peers *p);

/* wire->call. */
void peers_call(struct peers *p, struct peer_call *c, struct instant now);

/* Receive, connect, time out; ends calls. */
void peers_run(struct peers *p, struct instant now);
/* Send what has gathered. */
void peers_flush(struct peers *p);
bool peers_are_runnable(const struct peers *p);
/* The next moment (mono_ms) at which peers_run has something to do. */
int64_t peers_deadline(const struct peers *p);

/* No calls any more; those under way end with CLOSED in the next peers_run. */
void peers_stop(struct peers *p);
bool peers_are_idle(const struct peers *p);
