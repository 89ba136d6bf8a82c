/* SPDX-License-Identifier: Apache-2.0
 *
 * The connections of one shard: sockets on one side, requests and answers on the other.
 * Whatever a peer does, a connection costs bounded memory: input grows only as bytes
 * arrive, and who does not read the answers is not read from. Peers that keep us waiting
 * (for a greeting, for the rest of a frame, for room in their window) are let go.
 *
 * The shell drives it once per turn: readiness events only note down who has something
 * to do; connections_run reads and asks, connections_flush sends. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/metrics.h"
#include "broker/io/chunk.h"
#include "broker/io/output.h"
#include "broker/io/secret.h"
#include "broker/io/protocol.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <sys/queue.h>

enum {
    CONNECTION_HOST = 64,      /* "[2001:db8::1]:51312" */
    CONNECTION_CLIENT_ID = 64, /* what logs and handlers see of it */
    CONNECTION_GREETING_BYTES = 16 * 1024,
    CONNECTION_GREETING_MS = 10000,
    CONNECTION_FRAME_MS = 30000,
    CONNECTION_FRAME_BYTES_PER_MS = 64, /* on top: a large frame may take longer */
    CONNECTION_STALL_MS = 30000,
    CONNECTION_CLOSING_MS = 5000,
    CONNECTION_LINGER_MS = 1000,
    CONNECTION_STOP_LINGER_MS = 200,
};

enum connection_state {
    CONNECTION_NEW,      /* its language is not known yet */
    CONNECTION_GREETING, /* known, but it has not said HELLO, or not proved it */
    CONNECTION_OPEN,
    CONNECTION_CLOSING,   /* sends what is left, reads nothing */
    CONNECTION_LINGERING, /* sent all; drops input until the peer closes */
    CONNECTION_GONE,      /* no socket; kept until its last request has come back */
};

struct connections_options {
    struct event_base *base;
    struct node *node;
    struct metrics *metrics;
    const struct config *config;
    atomic_uint *total;          /* of the process: shared by all shards */
    const struct secret *secret; /* of the cluster */
    struct uuid cluster_id;
    int32_t node_id;
};

TAILQ_HEAD(connection_list, connection);

struct connections {
    struct connections_options o;
    struct instant now;
    struct chunk_pool *chunks;
    struct buf *spare; /* a chunk that is filled up to `spare_used` */
    size_t spare_used;
    size_t frame_max, connection_max, memory_max; /* bytes */
    size_t held;                                  /* bytes, by all of them */
    bool over;    /* memory_max was passed; until half of it is free again */
    size_t calls; /* at the node */
    bool stopping;
    struct connection_list all;
    struct connection_list runnable; /* have something to read or to take */
    struct connection_list dirty;    /* have something to send or to decide */
    struct connection_list paused;   /* not read from */
    SLIST_HEAD(, call) spare_calls;
    size_t spare_call_count;
};

struct connection {
    struct connections *set;
    int fd;
    enum connection_state state;
    const struct protocol *protocol;
    struct event read, write;
    struct output out;

    struct buf *in; /* received: in_begin .. in_end is not taken yet */
    size_t in_begin, in_end;
    size_t in_whole;    /* bytes of the message in front, 0: unknown */
    size_t chunk_bytes; /* how much to offer to the next read */
    size_t whole_seen;  /* longest message so far: not more than 2x that on credit */

    size_t calls;      /* at the node */
    size_t calls_cost; /* memory that these hold */
    size_t held;       /* its share of set->held */

    int64_t opened_ms, traffic_ms; /* last byte in or out */
    int64_t frame_ms;   /* when the unfinished message began; 0: there is none */
    int64_t stall_ms;   /* since when nothing can be sent; 0: it can */
    int64_t closing_ms; /* when it must be over */

    bool readable, writing, eof, running;
    bool is_runnable, is_dirty, is_paused;
    char host[CONNECTION_HOST];
    char client_id[CONNECTION_CLIENT_ID];
    struct acquaintance *acquaintance; /* with what says that it is a broker; or NULL */
    int32_t peer;                      /* what has proved to be one: its id; else -1 */
    TAILQ_ENTRY(connection) all_link, runnable_link, dirty_link, paused_link;
};

void connections_init(struct connections *s, const struct connections_options *o);
/* All are closed, none waits for an answer. */
void connections_release(struct connections *s);

/* Take over an accepted socket. `host` says whose it is. */
void connections_add(struct connections *s, int fd, const char *host);

/* Read what arrived, ask the node. */
void connections_run(struct connections *s, struct instant now);
/* Send what was answered; decide who may be read from again. */
void connections_flush(struct connections *s);
/* Every second, where there is a need: let go of who keeps us waiting, give back memory.
 */
bool connections_need_sweep(const struct connections *s);
void connections_sweep(struct connections *s, struct instant now);
/* True if connections_run has work without any new event. */
bool connections_are_runnable(const struct connections *s);

/* Read nothing any more; answer what is under way, then close. */
void connections_stop(struct connections *s, struct instant now);
bool connections_are_drained(const struct connections *s);
/* Close them all now; those with requests at the node stay until these come back. */
void connections_drop(struct connections *s);

/* wire->answer: a request comes back. */
void connection_answer(struct request *r);

/* ---- for protocols -------------------------------------------------------------------
 */

/* A blank request. */
struct call *connection_call(struct connection *c);
/* Hand it to the node: `message_bytes` is what it weighs. */
void connection_ask(struct connection *c, struct call *call, size_t message_bytes);
/* Not to be asked after all. */
void connection_forget(struct connection *c, struct call *call);
/* Something was put into c->out. */
void connection_touch(struct connection *c);
/* Close once what is in the output was sent. `why` is for the log; NULL: no fault. */
void connection_finish(struct connection *c, const char *why);
/* Close now. */
void connection_abort(struct connection *c, const char *why);

/* Pure: what the peer has kept us waiting for too long, or NULL. */
const char *connection_overdue(const struct connection *c, int64_t now_ms,
                               int64_t idle_ms);
