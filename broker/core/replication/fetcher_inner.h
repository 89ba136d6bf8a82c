/* SPDX-License-Identifier: Apache-2.0
 *
 * What a shard's fetchers are made of, for fetcher.c, which asks, and follow.c, which
 * takes what was answered. */
#pragma once

#include "broker/core/node_state.h"
#include "broker/core/replication/fetcher.h"

enum {
    BACKOFF_LEAST_MS = 50,
    BACKOFF_MOST_MS = 1000,
    FLIGHTS = 8,
};

/* A partition that follows. Its memory goes when neither it nor a fetch under way needs
 * it. */
struct following {
    struct partition *partition; /* NULL: let go of; a fetch under way still names it */
    struct fetcher *fetcher;
    int32_t leader_epoch;
    int64_t acked;    /* what the leader was told to be on our disk */
    int64_t retry_ms; /* after an error: not before */
    bool ack_due;
    bool validated; /* the leader has found our log to be the beginning of its own */
    bool stuck;     /* it contradicts its leader: wait for another epoch */
    bool in_fetch;  /* named in a fetch under way, */
    int64_t asked;  /* at this offset */
    TAILQ_ENTRY(following) link;
};

TAILQ_HEAD(followings, following);

/* A fetch on its way. */
struct flight {
    struct fetcher *fetcher;
    struct peer_call call;
    bool flying;
    struct following **asked; /* in the order of the request */
    size_t count;
};

/* All that is fetched from one broker. While one fetch waits for news, another one takes
 * those who do not wait with it: they have come from another leader just now, or paused
 * after an error. */
struct fetcher {
    struct fetchers *all;
    int32_t leader;
    struct followings parts;
    size_t count;
    size_t away; /* of them, in a fetch */
    struct flight flights[FLIGHTS];
    struct peer_call ack;
    bool acking;
    int64_t pause_ms; /* no fetch before */
    int64_t backoff_ms;
    bool ack_due;
    TAILQ_ENTRY(fetcher) link;
};

struct fetchers {
    struct node *node;
    TAILQ_HEAD(, fetcher) list;
    struct timer timer; /* for those that pause */
    bool stopped;
};

/* An answer that belongs to what was asked: do as it says. */
void following_take(struct following *g, const Leat__ReplicaFetchResult *r,
                    struct bytes data);
