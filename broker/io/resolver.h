/* SPDX-License-Identifier: Apache-2.0
 *
 * From the names of other brokers to their addresses, without a thread ever waiting: what
 * is an address already is found at once, everything else by libevent's DNS, which also
 * looks into /etc/hosts. One per loop. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESSES_MAX = 8 };

struct addresses {
    unsigned count; /* 0: the name means nothing */
    struct sockaddr_storage at[ADDRESSES_MAX];
    socklen_t len[ADDRESSES_MAX];
};

struct resolver;
struct lookup;

/* Called once for each lookup that is not cancelled, perhaps while it is being started.
 */
typedef void lookup_cb(void *ctx, const struct addresses *found);

struct resolver *resolver_new(struct event_base *base);
/* No lookup is under way; those that were cancelled may still be. */
void resolver_free(struct resolver *r);

/* NULL if `found` was called already. */
struct lookup *resolver_ask(struct resolver *r, const char *host, uint16_t port,
                            lookup_cb *found, void *ctx);
void lookup_cancel(struct lookup *q);
