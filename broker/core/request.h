/* SPDX-License-Identifier: Apache-2.0
 *
 * A request from the moment its frame was decoded until its answer leaves. The front end
 * makes it, hands it to node_request, and gets it back, exactly once, through
 * wire->answer; then it sends what stands under "the answer" and frees it. In between it
 * belongs to the node. Everything that a handler needs for its work comes out of `arena`
 * and vanishes with the request. */
#pragma once

#include "broker/core/wire.h"
#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/time.h"
#include "proto/rpc/codec.h"

#include <sys/queue.h>

struct node;

struct request {
    /* Set by the front end. */
    const struct rpc_api_row *row;
    const ProtobufCMessage *header; /* a row->request, in `arena` */
    struct slice payload; /* holds the receive buffer; released with the request */
    struct arena arena;
    bool one_way;          /* wire->answer is called all the same; nothing is sent */
    const char *client_id; /* the connection's, valid as long as the request */
    const char *host;      /* "10.0.0.7:51312" */
    int32_t peer; /* the broker at the other end, which has proved it; -1: a client */
    struct instant arrived;

    /* The answer. If `status` is not OK the frame says so, with `message` (may be NULL:
     * the status' own sentence), and the rest is ignored. */
    enum status status;
    const char *message;      /* in the arena, or static */
    ProtobufCMessage *answer; /* a row->response, in the arena */
    struct slice *slices;     /* payload of the answer; array in the arena, each with a
                               * reference that the front end releases */
    size_t slice_count;

    /* Where the answer goes instead of to the wire, if not NULL: the node's own requests
     * to itself (node_call). */
    void (*finished)(struct request *r);

    /* The node's own. */
    struct node *node; /* where it is now */
    void *work;        /* the handler's state, in the arena */
    TAILQ_ENTRY(request) link;
    bool away; /* at another shard, to which `errand` carried it */
    struct errand errand;
    void (*run)(struct node *n, struct request *r); /* there */
};

/* A zeroed piece of the request's arena, or NULL: then answer with THROTTLED. */
void *request_alloc(struct request *r, size_t size);

/* Send it to its wire, by way of its home shard, with what stands under "the answer". */
void request_finish(struct request *r);

/* Finish: the request belongs to the wire after this. */
void request_answer(struct request *r, ProtobufCMessage *answer);
/* Finish with an error for the request as a whole. `format` (may be NULL) says more than
 * the status' own sentence: what, why, what to do next. */
void request_refuse(struct request *r, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
