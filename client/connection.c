/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a connection: pause, connect, handshake, loss. Bytes are moved by
 * stream.c. */
#include "client/connection.h"

#include "client/stream.h"
#include "proto/base/check.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- requests ---- */

static void request_free(struct request *r)
{
    for (size_t i = 0; i < r->payload_count; i++)
        slice_release(&r->payload[i]);
    free(r->payload);
    free(r->head);
    free(r);
}

void request_finish(struct connection *c, struct request *r, const struct answer *answer)
{
    struct requests *list = r->inflight ? &c->inflight : &c->waiting;

    CHECK(!r->busy);
    TAILQ_REMOVE(list, r, link);
    if (r->done != NULL)
        r->done(r->owner, answer);
    request_free(r);
}

bool request_abandon(struct request *r)
{
    struct connection *c = r->connection;
    bool seen = r->written > 0 || r->inflight || r->busy;

    r->done = NULL;
    if (!seen) {
        TAILQ_REMOVE(&c->waiting, r, link);
        request_free(r);
    }
    return seen;
}

/* The frame's head and protobuf header in one piece. */
static bool encode(struct request *r, struct bytes header, size_t length)
{
    struct frame f = {
        .length = (uint32_t)length,
        .api = (uint16_t)r->api,
        .flags = r->flags,
        .correlation = r->correlation,
        .header_bytes = (uint32_t)header.len,
    };

    r->head = malloc(FRAME_HEAD + header.len);
    if (r->head == NULL)
        return false;
    frame_write(r->head, &f);
    if (header.len > 0)
        memcpy(r->head + FRAME_HEAD, header.data, header.len);
    r->head_len = FRAME_HEAD + header.len;
    return true;
}

static enum status request_new(struct connection *c, enum rpc_api api, uint16_t flags,
                               struct bytes header, const struct slice *payload,
                               size_t payload_count, struct request **out)
{
    size_t length = FRAME_HEAD - 4 + header.len;
    struct request *r;

    for (size_t i = 0; i < payload_count; i++)
        length += payload[i].len;
    if (header.len > FRAME_HEADER_MAX || length > UINT32_MAX)
        return STATUS_FRAME_TOO_LARGE;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return STATUS_NO_MEMORY;
    r->connection = c;
    r->api = api;
    r->flags = flags;
    r->correlation = ++c->correlation;
    if (payload_count > 0) {
        r->payload = calloc(payload_count, sizeof r->payload[0]);
        if (r->payload == NULL)
            goto fail;
        for (size_t i = 0; i < payload_count; i++)
            r->payload[i] = slice_of(payload[i].buf, payload[i].data, payload[i].len);
        r->payload_count = payload_count;
    }
    if (!encode(r, header, length))
        goto fail;
    *out = r;
    return STATUS_OK;

fail:
    request_free(r);
    return STATUS_NO_MEMORY;
}

static void expire_at(struct connection *c, int64_t at_ms)
{
    if (!timer_is_set(&c->expiry) || at_ms < c->expiry.node.at_ms)
        timer_set_at(c->engine, &c->expiry, at_ms);
}

enum status connection_send(struct connection *c, enum rpc_api api, uint16_t flags,
                            struct bytes header, const struct slice *payload,
                            size_t payload_count, int64_t expires_ms, void *owner,
                            request_done_fn *done, struct request **out)
{
    struct request *r;
    enum status st = request_new(c, api, flags, header, payload, payload_count, &r);

    if (st)
        return st;
    r->expires_ms = expires_ms;
    r->owner = owner;
    r->done = done;
    TAILQ_INSERT_TAIL(&c->waiting, r, link);
    expire_at(c, expires_ms);
    if (c->state == CONNECTION_IDLE || c->state == CONNECTION_READY)
        task_queue(c->engine, &c->task);
    *out = r;
    return STATUS_OK;
}

size_t connection_load(const struct connection *c)
{
    struct request *r;
    size_t n = 0;

    TAILQ_FOREACH (r, &c->waiting, link)
        n++;
    TAILQ_FOREACH (r, &c->inflight, link)
        n++;
    return n;
}

/* ---- loss ---- */

void connection_lose(struct connection *c, enum status status, const char *format, ...)
{
    va_list args;

    if (c->lost_pending)
        return;
    va_start(args, format);
    vsnprintf(c->last_text, sizeof c->last_text, format, args);
    va_end(args);
    c->last = status;
    c->lost_pending = true;
    task_queue(c->engine, &c->task);
}

/* Those up to the correlation `last`: an owner told of the loss may send anew at once. */
static void fail_list(struct connection *c, struct requests *list, uint32_t last,
                      enum status status)
{
    struct request *r;

    while ((r = TAILQ_FIRST(list)) != NULL && (int32_t)(r->correlation - last) <= 0) {
        struct answer answer = {
            .status = status,
            .text = c->last_text,
            .sent = r->inflight || r->written > 0,
            .node_id = c->node_id,
        };

        request_finish(c, r, &answer);
    }
}

static void fail_requests(struct connection *c, enum status status)
{
    uint32_t last = c->correlation;

    fail_list(c, &c->inflight, last, status);
    fail_list(c, &c->waiting, last, status);
}

static int64_t pause_ms(struct connection *c)
{
    int64_t most = conf_number(c->conf, CONF_RECONNECT_BACKOFF_MAX);
    int64_t pause = conf_number(c->conf, CONF_RECONNECT_BACKOFF);

    for (unsigned i = 1; i < c->failures && pause < most; i++)
        pause *= 2;
    if (pause > most)
        pause = most;
    /* Clients that lost the same broker shall not come back in step. */
    return pause - (int64_t)prng_below(&c->random, (uint64_t)pause / 5 + 1);
}

static void lose_now(struct connection *c)
{
    c->lost_pending = false;
    engine_unwatch(c->engine, &c->socket);
    buf_unref(c->in);
    c->in = NULL;
    c->in_begin = c->in_end = 0;
    c->failures++;
    if (c->failures == 1 || c->failures % 32 == 0)
        conf_log(c->conf, c->state == CONNECTION_READY ? LOG_INFO : LOG_WARNING, "%s",
                 c->last_text);
    c->state = CONNECTION_PAUSE;
    timer_set_at(c->engine, &c->timer, engine_now_ms() + pause_ms(c));
    fail_requests(c, c->last);
}

/* ---- connecting ---- */

static void on_hello(void *owner, const struct answer *answer)
{
    struct connection *c = owner;
    const Leat__HelloResponse *hello = (const void *)answer->message;

    c->hello = NULL;
    if (hello == NULL) {
        if (c->state == CONNECTION_CONNECTING && !c->lost_pending)
            connection_lose(c, STATUS_PROTOCOL, "%s:%u refused the handshake: %s",
                            c->host, c->port, answer->text);
        return;
    }
    c->node_id = hello->node_id;
    c->frame_bytes_max = hello->frame_bytes_max;
    c->batch_bytes_max = hello->batch_bytes_max;
    snprintf(c->version, sizeof c->version, "%s", hello->software_version);
    c->state = CONNECTION_READY;
    c->failures = 0;
    timer_clear(c->engine, &c->timer);
    task_queue(c->engine, &c->task);
}

static enum status hello_new(struct connection *c, struct request **out)
{
    Leat__HelloRequest hello = LEAT__HELLO_REQUEST__INIT;
    uint8_t packed[512];
    struct writer w = writer_fixed(packed, sizeof packed);

    hello.client_id = (char *)conf_text(c->conf, CONF_CLIENT_ID);
    hello.software = (char *)"libleat";
    hello.software_version = (char *)LEAT_VERSION;
    rpc_pack(&hello.base, &w);
    CHECK(!w.failed);
    return request_new(c, RPC_HELLO, 0, (struct bytes){packed, w.len}, NULL, 0, out);
}

/* HELLO goes before everything that waits already. */
static void greet(struct connection *c)
{
    struct request *r;

    if (hello_new(c, &r)) {
        connection_lose(c, STATUS_NO_MEMORY, "no memory to greet %s:%u", c->host,
                        c->port);
        return;
    }
    r->expires_ms = INT64_MAX; /* the time to connect is its limit */
    r->owner = c;
    r->done = on_hello;
    c->hello = r;
    TAILQ_INSERT_HEAD(&c->waiting, r, link);
    c->preface_in = false;
    c->preface_out = 0;
    c->want_write = true;
    engine_rewatch(c->engine, &c->socket, EPOLLIN | EPOLLOUT);
}

void connection_connected(struct connection *c)
{
    int failed = 0;
    socklen_t size = sizeof failed;

    if (getsockopt(c->socket.fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
        failed = errno;
    if (failed) {
        connection_lose(c, STATUS_UNREACHABLE, "connect %s:%u: %s", c->host, c->port,
                        strerror(failed));
        return;
    }
    c->tcp_up = true;
    greet(c);
}

struct route {
    enum status status;
    int fd;
    char text[160];
};

static int open_socket(const struct addrinfo *a)
{
    const int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

/* Resolve and begin to connect; runs without the lock, a lookup may take seconds. A host
 * with several addresses is tried at another one each time. */
static void route_begin(struct route *route, const char *host, uint16_t port,
                        unsigned attempt)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list;
    const struct addrinfo *a;
    char service[8];
    unsigned count = 0;
    int failed;

    snprintf(service, sizeof service, "%u", port);
    failed = getaddrinfo(host, service, &hints, &list);
    if (failed) {
        route->status = STATUS_RESOLVE;
        snprintf(route->text, sizeof route->text, "resolve %s: %s", host,
                 gai_strerror(failed));
        return;
    }
    for (a = list; a != NULL; a = a->ai_next)
        count++;
    a = list;
    for (unsigned i = attempt % count; i > 0; i--)
        a = a->ai_next;
    route->fd = open_socket(a);
    if (route->fd < 0) {
        route->status = STATUS_UNREACHABLE;
        snprintf(route->text, sizeof route->text, "connect %s:%u: %s", host, port,
                 strerror(errno));
    }
    freeaddrinfo(list);
}

static void connect_now(struct connection *c)
{
    struct route route = {.fd = -1};
    char host[CONNECTION_HOST_MAX];
    uint16_t port = c->port;
    unsigned attempt = c->failures;

    memcpy(host, c->host, sizeof host);
    c->state = CONNECTION_CONNECTING;
    c->tcp_up = false;
    timer_set_at(c->engine, &c->timer,
                 engine_now_ms() + conf_number(c->conf, CONF_CONNECT_TIMEOUT));
    engine_unlock(c->engine);
    route_begin(&route, host, port, attempt);
    engine_lock(c->engine);

    c->socket.fd = route.fd;
    if (!route.status)
        route.status = engine_watch(c->engine, &c->socket, EPOLLOUT);
    if (route.status)
        connection_lose(c, route.status, "%s", route.text);
}

static void on_timer(struct engine_timer *t)
{
    struct connection *c = container_of(t, struct connection, timer);

    if (c->state == CONNECTION_CONNECTING) {
        connection_lose(c, STATUS_UNREACHABLE, "connect %s:%u: no answer in time",
                        c->host, c->port);
    } else if (c->state == CONNECTION_PAUSE) {
        c->state = CONNECTION_IDLE;
        if (!TAILQ_EMPTY(&c->waiting))
            task_queue(c->engine, &c->task);
    }
}

/* ---- expiry ---- */

static int64_t expire_list(struct requests *list, int64_t now, struct request **expired)
{
    int64_t next = INT64_MAX;
    struct request *r;

    TAILQ_FOREACH (r, list, link) {
        if (r->expires_ms <= now && *expired == NULL)
            *expired = r;
        else if (r->expires_ms < next)
            next = r->expires_ms;
    }
    return next;
}

/* A broker that owes an answer for too long is taken for lost. What never left just
 * fails. */
static void on_expiry(struct engine_timer *t)
{
    struct connection *c = container_of(t, struct connection, expiry);
    int64_t now = engine_now_ms();
    struct request *late = NULL;
    int64_t next = expire_list(&c->inflight, now, &late);
    int64_t waiting;

    if (late != NULL) {
        connection_lose(c, STATUS_TIMED_OUT, "%s:%u did not answer %s in time", c->host,
                        c->port, rpc_api_row((uint16_t)late->api)->name);
        return;
    }
    do {
        late = NULL;
        waiting = expire_list(&c->waiting, now, &late);
        if (late != NULL && late->written > 0) {
            connection_lose(c, STATUS_TIMED_OUT, "%s:%u does not read", c->host, c->port);
            return;
        }
        if (late != NULL)
            request_finish(c, late,
                           &(struct answer){.status = STATUS_TIMED_OUT,
                                            .text = c->failures > 0 ? c->last_text : "",
                                            .node_id = c->node_id});
    } while (late != NULL);
    if (waiting < next)
        next = waiting;
    if (next < INT64_MAX)
        expire_at(c, next);
}

/* ---- the connection's task ---- */

static void on_task(struct engine_task *t)
{
    struct connection *c = container_of(t, struct connection, task);

    if (c->lost_pending)
        lose_now(c);
    else if (c->state == CONNECTION_IDLE && !TAILQ_EMPTY(&c->waiting))
        connect_now(c);
    else if (c->state == CONNECTION_READY && !c->want_write)
        stream_write(c);
}

static void on_ready(struct engine_socket *s, uint32_t events)
{
    struct connection *c = container_of(s, struct connection, socket);

    if (c->lost_pending)
        return;
    if (!c->tcp_up) {
        connection_connected(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        stream_read(c);
    if ((events & EPOLLOUT) && !c->lost_pending)
        stream_write(c);
}

/* ---- life ---- */

enum status connection_init(struct connection *c, struct engine *e,
                            const struct leat_conf *conf, const char *host, uint16_t port)
{
    enum status st;

    *c = (struct connection){
        .engine = e,
        .conf = conf,
        .port = port,
        .node_id = -1,
        .socket = {.fd = -1, .ready = on_ready},
    };
    snprintf(c->host, sizeof c->host, "%s", host);
    TAILQ_INIT(&c->waiting);
    TAILQ_INIT(&c->inflight);
    task_init(&c->task, on_task);
    prng_init(&c->random, (uint64_t)engine_wall_ms() ^ (uint64_t)(uintptr_t)c);
    st = timer_init(e, &c->timer, on_timer);
    if (st)
        return st;
    st = timer_init(e, &c->expiry, on_expiry);
    if (st)
        timer_release(e, &c->timer);
    return st;
}

void connection_release(struct connection *c)
{
    task_cancel(c->engine, &c->task);
    snprintf(c->last_text, sizeof c->last_text, "the client is closed");
    engine_unwatch(c->engine, &c->socket);
    c->state = CONNECTION_IDLE;
    fail_requests(c, STATUS_CLOSED);
    timer_release(c->engine, &c->timer);
    timer_release(c->engine, &c->expiry);
    task_cancel(c->engine, &c->task);
    buf_unref(c->in);
    c->in = NULL;
}

void connection_move(struct connection *c, const char *host, uint16_t port)
{
    if (c->port == port && strcmp(c->host, host) == 0)
        return;
    snprintf(c->host, sizeof c->host, "%s", host);
    c->port = port;
    if (c->state == CONNECTION_CONNECTING || c->state == CONNECTION_READY)
        connection_lose(c, STATUS_UNREACHABLE, "the broker moved to %s:%u", host, port);
}
