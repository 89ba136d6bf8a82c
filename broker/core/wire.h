/* SPDX-License-Identifier: Apache-2.0
 *
 * The one port through which a node reaches the world: answers to connections, errands to
 * the other shards of its process, calls to other brokers. The shell implements it with
 * sockets and mailboxes, the simulator with a queue. */
#pragma once

#include "proto/base/buf.h"
#include "proto/base/uuid.h"
#include "proto/rpc/codec.h"

#include <sys/queue.h>

struct request;
struct errand;
struct node;
struct peer_call;

struct wire {
    /* Take back a finished request and send its answer, unless its connection is gone. */
    void (*answer)(struct wire *w, struct request *r);

    /* Carry an errand to the node of another shard and call node_errand there. Never
     * lost, never reordered between two shards, never inside this call. */
    void (*post)(struct wire *w, unsigned shard, struct errand *e);

    /* Ask another broker something (node_call in node_state.h also asks this one). Ends
     * in `done`, exactly once, never inside this call: with the answer, or after the
     * timeout, or when the peer cannot be reached; at the latest after node_stop. */
    void (*call)(struct wire *w, struct peer_call *c);
};

enum { ENDPOINT_HOST = 256 };

/* Where a broker listens. */
struct endpoint {
    char host[ENDPOINT_HOST];
    uint16_t port;
};

/* A question to another broker, embedded in whatever waits for the answer. The wire keeps
 * it, and what `header` points at is packed before `call` returns. Answers may come in
 * any order, may be late, and may come from a process that has been restarted since the
 * last one: whatever they say must name the epoch that it is about. */
struct peer_call {
    /* Set by the asker. */
    int32_t to; /* node id; -1: whoever is at `at` (a first contact) */
    struct endpoint at;
    enum rpc_api api;
    const ProtobufCMessage *header;
    int64_t timeout_ms;
    void (*done)(struct peer_call *c);

    /* The answer, valid inside `done` only. `status` is OK when the peer handled the
     * request (its message may still hold errors of its own), the peer's refusal of the
     * request as a whole, or UNREACHABLE, TIMED_OUT, CLOSED: nobody knows what happened
     * at the other side. */
    enum status status;
    const char *message;  /* the refusal's own sentence, or "" */
    struct bytes answer;  /* packed row->response; rpc_unpack it */
    struct slice payload; /* borrowed: slice_of with its buf to keep some of it */

    /* The wire's own. */
    void *way;
    TAILQ_ENTRY(peer_call) link;
};

/* A piece of work for another shard of the same process, embedded in what waits for it.
 * `run` is called there; when the work is done, errand_return (node.h) brings it home and
 * `back` is called. The memory stays the home shard's; while it is away only the shard
 * that has it touches it. */
typedef void errand_step(struct node *node, struct errand *e);

struct errand {
    unsigned home;
    errand_step *run;
    errand_step *back;
    errand_step *next;   /* private: the step to take on arrival */
    struct errand *link; /* private: the carrier's queue */
};
