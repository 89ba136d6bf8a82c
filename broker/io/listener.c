/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/listener.h"

#include "broker/io/log_sink.h"
#include "proto/base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, ACCEPTS_PER_TURN = 64, PAUSE_MS = 100 };

struct listener {
    struct listener_options o;
    struct event *ready;
    struct event *pause; /* out of descriptors: try again in a moment */
};

static bool parse_port(const char *text, uint16_t *out)
{
    char *end;
    unsigned long port;

    if (*text < '0' || *text > '9')
        return false;
    port = strtoul(text, &end, 10);
    if (*end != '\0' || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

enum status address_parse(const char *text, struct address *out)
{
    const char *colon = strrchr(text, ':');
    struct address a = {0};
    size_t len;

    if (colon == NULL || !parse_port(colon + 1, &a.port))
        return STATUS_INVALID_CONFIG;
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return STATUS_INVALID_CONFIG;
    }
    if (len >= sizeof a.host)
        return STATUS_INVALID_CONFIG;
    memcpy(a.host, text, len);
    *out = a;
    return STATUS_OK;
}

void address_format(const struct address *a, char out[static ADDRESS_TEXT])
{
    bool v6 = strchr(a->host, ':') != NULL;

    snprintf(out, ADDRESS_TEXT, "%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "",
             a->port);
}

static void format_peer(const struct sockaddr_storage *peer, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)peer;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)peer;

        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, ntohs(in->sin6_port));
    }
}

static void read_port(int fd, struct address *a)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;

    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return;
    a->port = ntohs(bound.ss_family == AF_INET
                        ? ((struct sockaddr_in *)(void *)&bound)->sin_port
                        : ((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
}

static int bind_to(const struct addrinfo *i)
{
    const int one = 1;
    int fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, i->ai_addr, i->ai_addrlen) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

int address_bind(struct address *a, char why[static 256])
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    char port[8], text[ADDRESS_TEXT];
    int fd = -1, error;

    address_format(a, text);
    snprintf(port, sizeof port, "%u", a->port);
    error = getaddrinfo(a->host[0] ? a->host : NULL, port, &hints, &found);
    if (error != 0) {
        snprintf(why, 256, "cannot find the address %.100s: %s", text,
                 gai_strerror(error));
        return -1;
    }
    for (const struct addrinfo *i = found; i != NULL && fd < 0; i = i->ai_next)
        fd = bind_to(i);
    error = errno;
    freeaddrinfo(found);
    if (fd < 0)
        snprintf(why, 256, "cannot listen on %.100s: %s%s", text, strerror(error),
                 error == EADDRINUSE ? "; is a broker running there already?" : "");
    else
        read_port(fd, a);
    return fd;
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;

    event_add(l->ready, NULL);
}

/* Without a descriptor for the newcomer the socket stays readable: look away for a
 * moment instead of spinning. */
static void pause_accepting(struct listener *l, int error)
{
    const struct timeval moment = {0, PAUSE_MS * 1000};

    SAY(ERROR, "connection.accept", "cannot accept a connection",
        TEXT("error", strerror(error)));
    event_del(l->ready);
    evtimer_add(l->pause, &moment);
}

/* Closed again at once if there are too many. */
static bool is_welcome(struct listener *l, int fd, const char *host)
{
    int64_t max = config_number(l->o.config, CONFIG_CONNECTIONS_MAX);

    if (atomic_fetch_add(l->o.total, 1) < max + l->o.reserve)
        return true;
    atomic_fetch_sub(l->o.total, 1);
    metric_add(l->o.metrics, METRIC_CONNECTIONS_REFUSED, 1);
    SAY(WARN, "connection.limit",
        "a connection was refused: there are connections.max already", TEXT("peer", host),
        NUM("max", max));
    close(fd);
    return false;
}

static void on_ready(evutil_socket_t listening, short what, void *arg)
{
    struct listener *l = arg;
    const int one = 1;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        char host[64];
        int fd = accept4(listening, (struct sockaddr *)&peer, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd < 0) {
            pause_accepting(l, errno);
            return;
        }
        format_peer(&peer, host, sizeof host);
        if (!is_welcome(l, fd, host))
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        l->o.accepted(l->o.ctx, fd, host);
    }
}

struct listener *listener_new(const struct listener_options *o)
{
    struct listener *l;

    if (listen(o->fd, BACKLOG) != 0)
        return NULL;
    l = must_zalloc(sizeof *l);
    l->o = *o;
    l->ready = event_new(o->base, o->fd, EV_READ | EV_PERSIST, on_ready, l);
    l->pause = evtimer_new(o->base, on_pause, l);
    event_add(l->ready, NULL);
    return l;
}

void listener_free(struct listener *l)
{
    if (l == NULL)
        return;
    event_free(l->ready);
    event_free(l->pause);
    close(l->o.fd);
    free(l);
}
