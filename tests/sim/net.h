/* SPDX-License-Identifier: Apache-2.0
 *
 * The network between the parties of a simulation: brokers 0 to 4 and clients after them.
 * A message takes its link's latency; within a connection order is kept. Links can be cut
 * in one direction; what is on a cut link waits, as in TCP, until the link is whole again
 * or somebody gives up. Losing a message breaks its connection: either both ends hear of
 * it, or (half open) nobody does and only timeouts help.
 *
 * A call is one request and its answer. It ends exactly once for the asker: with the
 * answer, CLOSED, UNREACHABLE or TIMED_OUT. */
#pragma once

#include "broker/core/request.h"
#include "tests/sim/world.h"

enum { BROKERS_MAX = 5, CLIENTS_MAX = 18, PARTIES = BROKERS_MAX + CLIENTS_MAX };

struct net;
struct conn;
struct call;

/* Who asks. */
struct ask {
    enum rpc_api api;
    int64_t timeout_ms;
    /* The answer, valid inside `done`; `message` is a row->response in `arena`, NULL
     * unless status is OK. */
    void (*done)(struct ask *a);
    enum status status;
    struct bytes answer; /* packed */
    struct bytes payload;
    struct call *call; /* the net's: NULL when it is not under way */
};

struct net_options {
    moment latency;
    int64_t loss_ppm;
    /* A request arrived at a broker that is up: the call's request, on some shard. Ends
     * with net_answer. */
    void (*deliver)(void *ctx, int broker, unsigned way, struct request *r);
    /* Whether the broker's process can be reached, and which life this is. */
    bool (*is_up)(void *ctx, int broker, unsigned *life);
    /* It stands still: nothing reaches it until net_release. */
    bool (*is_paused)(void *ctx, int party);
    void *ctx;
};

struct net *net_new(struct world *w, uint64_t seed, const struct net_options *o);

/* `way` tells apart connections between the same two. */
void net_ask(struct net *n, int from, int to, unsigned way, struct ask *a,
             const ProtobufCMessage *header, struct bytes payload);
/* The asker is gone: `done` will not run. */
void net_forget(struct net *n, struct ask *a);
/* The node has finished a request that was delivered. */
void net_answer(struct net *n, struct request *r);

/* A process is gone, with all that it was asked. */
void net_bury(struct net *n, int party, bool silently);
/* All connections of a party break; `silently`: nobody is told. */
void net_break(struct net *n, int party, bool silently);
/* End all calls that a party has asked with CLOSED, now. */
void net_hang_up(struct net *n, int party);

/* Cuts are counted: as many heals undo them. */
void net_cut(struct net *n, int from, int to);
void net_heal(struct net *n, int from, int to);
/* Messages of one kind that a party asks, and their answers, take up to `longer` more and
 * overtake each other; or arrive, and their answers are lost. Zero and false: as ever. */
void net_make_odd(struct net *n, int from, enum rpc_api api, moment longer, bool lost);
void net_lose_nothing(struct net *n); /* from now on */
void net_release(struct net *n);      /* somebody may hear again */
bool net_is_cut(const struct net *n, int from, int to);

uint64_t net_messages(const struct net *n);
uint64_t net_questions(const struct net *n); /* that brokers asked */
uint64_t net_losses(const struct net *n);
