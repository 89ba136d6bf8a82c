/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to another broker, from name to proof to answers: between the two files
 * that make up the peers. */
#pragma once

#include "broker/io/output.h"
#include "broker/io/peers.h"
#include "proto/rpc/frame.h"

#include <event2/dns.h>
#include <event2/event_struct.h>
#include <event2/util.h>

enum lane { LANE_QUICK, LANE_BULK };

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
    int64_t deadline_ms;
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
    struct evdns_getaddrinfo_request *lookup;
    struct sockaddr_storage address;
    socklen_t address_len; /* 0: not found */
    bool looked_up;
    struct output out;
    struct buf *in;
    size_t in_begin, in_end;
    bool greeted; /* the preface has come */
    struct acquaintance acquaintance;
    struct outgoings waiting; /* for the link to open */
    struct outgoings asked;   /* for their answers */
    int64_t since_ms;         /* of this state, while it is being made */
    int64_t used_ms;          /* the last call */
    int64_t retry_ms, backoff_ms;
    int64_t logged_ms; /* when a failure was last told */
    TAILQ_ENTRY(link) link;
};

struct peers {
    struct peers_options o;
    struct evdns_base *dns; /* made when a name must be looked up */
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

void outgoing_fail(struct peers *p, struct outgoing *out, enum status status);
void outgoing_end(struct peers *p, struct outgoing *out, enum status status,
                  const char *message, struct bytes answer, struct slice payload);
