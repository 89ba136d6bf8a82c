/* SPDX-License-Identifier: Apache-2.0
 *
 * The door: a listening socket on shard 0's loop, which hands every accepted connection
 * on in turn to the shards. One acceptor spreads few connections evenly, where the
 * kernel's hashing over several sockets would leave shards idle. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/metrics.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_TEXT = 320 };

struct address {
    char host[256];
    uint16_t port;
};

/* "host:port", "[v6]:port" or ":port"; INVALID_CONFIG otherwise. */
STATUS_MUST_CHECK enum status address_parse(const char *text, struct address *out);
void address_format(const struct address *a, char out[static ADDRESS_TEXT]);

/* A socket bound to `a`, or -1 with a sentence in `why`. Port 0 picks a free one, `a`
 * tells which. Until somebody listens on it, whoever connects is refused. */
int address_bind(struct address *a, char why[static 256]);

struct listener;

struct listener_options {
    struct event_base *base;
    int fd; /* bound; taken over */
    const struct config *config;
    struct metrics *metrics;
    atomic_uint *total; /* connections of the process */
    /* So many above connections.max, for other brokers: the cluster must hold together
     * however many clients there are. Who turns out to be one is refused (native.c). */
    unsigned reserve;
    /* A new socket, non-blocking; `host` says whose. */
    void (*accepted)(void *ctx, int fd, const char *host);
    void *ctx;
};

/* Accept from now on. NULL if the port is taken after all. */
struct listener *listener_new(const struct listener_options *o);
void listener_free(struct listener *l); /* NULL is fine */
