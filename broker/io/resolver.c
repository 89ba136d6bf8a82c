/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/resolver.h"

#include "proto/base/memory.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSES_MAX = 8 };

struct resolver {
    struct event_base *base;
    struct evdns_base *dns; /* made for the first name */
    unsigned pending;       /* lookups that libevent will come back about */
    bool stale;             /* something was not found: read the system's files again */
};

struct lookup {
    struct resolver *resolver;
    lookup_cb *found;
    void *ctx;
    struct evdns_getaddrinfo_request *request;
    bool started, cancelled;
};

struct resolver *resolver_new(struct event_base *base)
{
    struct resolver *r = must_zalloc(sizeof *r);

    r->base = base;
    return r;
}

void resolver_free(struct resolver *r)
{
    /* The end of what was cancelled has been noted down in the loop, with the memory. */
    for (unsigned i = 0; i < PASSES_MAX && r->pending > 0; i++)
        event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    if (r->dns != NULL)
        evdns_base_free(r->dns, 0);
    free(r);
}

static struct addresses copy_of(const struct addrinfo *list)
{
    struct addresses a = {0};

    for (; list != NULL && a.count < ADDRESSES_MAX; list = list->ai_next) {
        if (list->ai_addrlen > sizeof a.at[0])
            continue;
        memcpy(&a.at[a.count], list->ai_addr, list->ai_addrlen);
        a.len[a.count++] = list->ai_addrlen;
    }
    return a;
}

static bool is_address(const char *host, const char *port, struct addresses *out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list;

    if (getaddrinfo(host, port, &hints, &list) != 0)
        return false;
    *out = copy_of(list);
    freeaddrinfo(list);
    return true;
}

static void on_answer(int error, struct evutil_addrinfo *list, void *arg)
{
    struct lookup *q = arg;
    struct addresses a = copy_of(error ? NULL : list);

    if (list != NULL)
        evutil_freeaddrinfo(list);
    q->resolver->pending--;
    if (!q->cancelled) {
        q->resolver->stale |= a.count == 0;
        q->found(q->ctx, &a);
    }
    if (q->started)
        free(q);
}

/* What the C library's resolver would not trip over should not stop us either: servers
 * that do not repeat the case of the question, and those that never answer when asked for
 * addresses of the other kind. Brokers prove who they are, so nothing rests on the names.
 * A lost question is repeated early. */
static void set_habits(struct evdns_base *dns)
{
    evdns_base_set_option(dns, "randomize-case:", "0");
    evdns_base_set_option(dns, "getaddrinfo-allow-skew:", "0.3");
    evdns_base_set_option(dns, "timeout:", "2");
}

static struct evdns_base *read_system(struct event_base *base)
{
    struct evdns_base *dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);

    if (dns == NULL)
        return NULL;
    set_habits(dns);
    (void)evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    return dns;
}

/* Without /etc/resolv.conf it has a nameserver on this host, and still /etc/hosts. */
static struct evdns_base *dns_of(struct resolver *r)
{
    if (r->dns != NULL && r->stale && r->pending == 0) {
        evdns_base_free(r->dns, 0);
        r->dns = NULL;
    }
    if (r->dns == NULL) {
        r->stale = false;
        r->dns = read_system(r->base);
    }
    return r->dns;
}

struct lookup *resolver_ask(struct resolver *r, const char *host, uint16_t port,
                            lookup_cb *found, void *ctx)
{
    const struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                          .ai_flags = EVUTIL_AI_NUMERICSERV};
    struct addresses a = {0};
    struct lookup *q;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    if (is_address(host, service, &a) || dns_of(r) == NULL) {
        found(ctx, &a);
        return NULL;
    }
    q = must_zalloc(sizeof *q);
    *q = (struct lookup){.resolver = r, .found = found, .ctx = ctx};
    r->pending++;
    q->request = evdns_getaddrinfo(r->dns, host, service, &hints, on_answer, q);
    q->started = true;
    if (q->request != NULL)
        return q;
    free(q);
    return NULL;
}

void lookup_cancel(struct lookup *q)
{
    q->cancelled = true;
    evdns_getaddrinfo_cancel(q->request);
}
