/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to another broker, from name to proof to answers: between the files that
 * make up the peers. link.c makes, keeps and breaks it, link_read.c reads it. */
#pragma once

#include "broker/io/chunk.h"
#include "broker/io/output.h"
#include "broker/io/peers.h"
#include "broker/io/resolver.h"
#include "proto/rpc/frame.h"

#include <event2/event_struct.h>

enum lane { LANE_QUICK, LANE_BULK };

enum {
    LINK_LOOKUP_MS = 10000, /* until its name must be known */
    LINK_MAKING_MS = 3000,  /* from then until it must be open */
    LINK_SILENCE_MS = 2000, /* of a peer that leaves calls unanswered */
    LINK_IDLE_MS = 60000,
    LINK_BACKOFF_LEAST_MS = 50,
    LINK_BACKOFF_MOST_MS = 1000,
    LINK_UNSENT_MAX = 8 * 1024 * 1024,
    /* Of one answer: before the peer has proved itself, and after. A fetch may bring
     * replica.fetch.bytes (256 MiB at most) and a batch on top. */
    LINK_GREETING_BYTES = 64 * 1024,
    LINK_FRAME_BYTES = 640 * 1024 * 1024,
};

enum link_state {
    LINK_IDLE,       /* no socket */
    LINK_RESOLVING,  /* the name is being looked up */
    LINK_CONNECTING, /* the kernel is at it */
    LINK_GREETING,   /* HELLO was said */
    LINK_PROVING,    /* they have proved who they are; we have sent our proof */
    LINK_OPEN,
};

/* A call that was handed to us. */
struct outgoing {
    struct peer_call *call;
    uint8_t *frame; /* as it leaves */
    size_t bytes;
    uint32_t correlation;
    int64_t asked_ms, deadline_ms;
    enum status status;
    TAILQ_ENTRY(outgoing) link;
};
TAILQ_HEAD(outgoings, outgoing);

struct link {
    struct peers *peers;
    int32_t to; /* -1: whoever is there */
    struct endpoint at;
    enum lane lane;
    enum link_state state;
    int fd;
    struct event read, write;
    bool readable, writable, writing;
    struct lookup *lookup;
    bool looked_up;
    struct addresses addresses;
    unsigned tried; /* of these, in this attempt */
    unsigned turn;  /* which one is next, over all attempts */
    struct output out;
    struct buf *in;
    size_t in_begin, in_end;
    bool greeted; /* the preface has come */
    struct acquaintance acquaintance;
    struct outgoings waiting; /* for the link to open */
    struct outgoings asked;   /* for their answers */
    int64_t late_ms;          /* when this attempt must have come further */
    int64_t used_ms;          /* the last call */
    int64_t heard_ms;         /* the last byte that came */
    int64_t retry_ms, backoff_ms;
    int64_t logged_ms; /* when a failure was last told */
    bool lost;         /* that was told, and not yet that it is back */
    TAILQ_ENTRY(link) link;
};

struct peers {
    struct peers_options o;
    struct resolver *resolver;
    struct chunk_pool *chunks;
    int64_t trimmed_ms;
    TAILQ_HEAD(, link) links;
    struct outgoings failed; /* to be ended at the next run */
    uint32_t correlation;
    size_t calls;
    bool noted; /* an event has left a note */
    bool stopping;
    struct instant now;
};

struct link *link_new(struct peers *p, int32_t to, const struct endpoint *at,
                      enum lane lane);
void link_free(struct link *l);
void link_send(struct link *l, struct outgoing *out, struct instant now);
void link_run(struct link *l, struct instant now);
void link_flush(struct link *l);
int64_t link_deadline(const struct link *l);
/* Nobody has used it for long. */
bool link_is_spent(const struct link *l, struct instant now);
/* Close it; its calls end with `status`. `why` is for the log, NULL: no fault. */
void link_break(struct link *l, enum status status, const char *why);

/* link_read.c: what has come, up to some megabytes. */
void link_receive(struct link *l);
/* link.c, for it: they have proved themselves, now we do; both have. */
void link_prove(struct link *l);
void link_open_up(struct link *l);

void outgoing_fail(struct peers *p, struct outgoing *out, enum status status);
void outgoing_end(struct peers *p, struct outgoing *out, enum status status,
                  const char *message, struct bytes answer, struct slice payload);
