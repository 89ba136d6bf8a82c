/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection carries requests to one address and answers back. It connects when the
 * first request is sent, and again whenever one is sent after it was lost, with a growing
 * pause between attempts. It never retries: when it is lost, every request that waits
 * here or for its answer is done with UNREACHABLE (the call decides what to do next).
 *
 * Requests are answered in any order, found again by their correlation. A broker that
 * owes an answer past the request's `expires_ms` is disconnected. What comes in is not
 * trusted: frames are bounded, headers are unpacked into bounded memory, and anything
 * unexpected ends the connection.
 *
 * Everything here is called with the engine's lock held. */
#pragma once

#include "client/conf.h"
#include "client/engine.h"
#include "proto/base/buf.h"
#include "proto/base/prng.h"
#include "proto/rpc/codec.h"
#include "proto/rpc/frame.h"

enum { CONNECTION_HOST_MAX = 256, CONNECTION_FRAME_MAX = 128 * 1024 * 1024 };

/* What became of a request. Valid until `done` returns; `payload` may be kept longer with
 * slice_of(payload.buf, ...). */
struct answer {
    enum status status;              /* of the transport, or of an ErrorResponse */
    const char *text;                /* the broker's own words; may be empty */
    bool sent;                       /* the broker may have seen the request */
    const ProtobufCMessage *message; /* the response; NULL unless status is OK, and for
                                        requests without an answer */
    struct slice payload;            /* borrowed */
    int32_t node_id;                 /* who answered; -1 unknown */
};

/* One request on its way, created by connection_send. It owns its bytes. */
struct request;

/* Runs once, on the turner, with the lock held, never inside connection_send. */
typedef void request_done_fn(void *owner, const struct answer *answer);

enum connection_state {
    CONNECTION_IDLE,       /* nothing to do, no socket */
    CONNECTION_PAUSE,      /* waiting to try again */
    CONNECTION_CONNECTING, /* TCP, then preface and HELLO */
    CONNECTION_READY,
};

TAILQ_HEAD(requests, request);

struct connection {
    struct engine *engine;
    const struct leat_conf *conf;
    char host[CONNECTION_HOST_MAX];
    uint16_t port;
    int32_t node_id; /* as the broker said in HELLO; -1 before */
    enum connection_state state;
    struct engine_socket socket;
    struct engine_timer timer; /* end of the pause, or of the time to connect */
    struct engine_task task;   /* connect, or write what waits */
    struct requests waiting;   /* not yet written, or not wholly */
    struct requests inflight;  /* written, waiting for the answer; oldest first */
    struct engine_timer expiry;
    struct request *hello;
    uint32_t correlation;
    unsigned failures; /* attempts in a row */
    struct prng random;
    bool tcp_up;        /* connect() succeeded */
    bool preface_in;    /* the broker's preface was read */
    size_t preface_out; /* bytes of ours that were sent */
    bool want_write;
    bool lost_pending; /* fail everything at the end of the handler */
    enum status last;  /* why it was lost the last time */
    char last_text[160];
    uint32_t frame_bytes_max; /* the broker's, from HELLO */
    uint32_t batch_bytes_max;
    char version[32]; /* of the broker's software */
    struct buf *in;   /* what is being received */
    size_t in_begin, in_end;
};

STATUS_MUST_CHECK enum status connection_init(struct connection *c, struct engine *e,
                                              const struct leat_conf *conf,
                                              const char *host, uint16_t port);
/* Requests that are still here are done with CLOSED first. */
void connection_release(struct connection *c);

/* Send later to this address; drops the old connection. */
void connection_move(struct connection *c, const char *host, uint16_t port);

/* Queue a request: `header` (a packed message) is copied, payload slices are shared (a
 * reference each). `owner` gets the answer through `done`. NO_MEMORY: nothing was queued,
 * FRAME_TOO_LARGE: and never can be. */
STATUS_MUST_CHECK enum status connection_send(struct connection *c, enum rpc_api api,
                                              uint16_t flags, struct bytes header,
                                              const struct slice *payload,
                                              size_t payload_count, int64_t expires_ms,
                                              void *owner, request_done_fn *done,
                                              struct request **out);

/* The owner does not care any more; `done` will not run. A request that was not yet begun
 * is not sent. True if the broker may have seen it. */
bool request_abandon(struct request *r);

/* Requests that wait or are in flight. */
size_t connection_load(const struct connection *c);
