/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_broker.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "tests/support/fake_topics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, APIS_MAX = 64, AWAIT_MS = 20000, FRAME_MAX = 64 << 20 };

struct peer {
    int fd; /* -1: free */
    bool preface;
    struct writer in;
};

/* A request that waits: it is held, or a fetch with nothing to say yet. */
struct parked {
    TAILQ_ENTRY(parked) link;
    struct fake_request request;
    struct arena arena;
    uint8_t *bytes;
    int64_t until_ms; /* of a fetch; 0 for held ones */
};

struct script {
    TAILQ_ENTRY(script) link;
    enum rpc_api api;
    int skip;
    int count;
    enum fake_failure what;
    int code;
};

struct handler {
    fake_handler_fn *fn;
    void *arg;
};

struct fake_broker {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int listen_fd;
    int wake_fd;
    bool stopping;
    char servers[32];
    struct fake_topics topics;
    struct peer peers[CONNECTIONS_MAX];
    TAILQ_HEAD(, parked) parked;
    TAILQ_HEAD(scripts, script) scripts;
    struct handler handlers[APIS_MAX];
    bool held[APIS_MAX];
    int seen[APIS_MAX];
};

static int64_t now_ms(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void wake(struct fake_broker *b)
{
    CHECK(eventfd_write(b->wake_fd, 1) == 0);
}

/* ---- bytes ---- */

static void send_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* the client has gone: poll will tell */
        at += n;
        len -= (size_t)n;
    }
}

static void send_frame(struct fake_request *r, uint16_t flags, const ProtobufCMessage *m,
                       struct bytes payload)
{
    struct writer w = writer_growing();
    size_t header = rpc_packed_size(m);
    struct frame f = {
        .length = (uint32_t)(FRAME_HEAD - 4 + header + payload.len),
        .api = r->frame.api,
        .flags = flags,
        .correlation = r->frame.correlation,
        .header_bytes = (uint32_t)header,
    };

    if (r->fd < 0 || (r->frame.flags & FRAME_ONE_WAY))
        return;
    frame_write(write_reserve(&w, FRAME_HEAD), &f);
    rpc_pack(m, &w);
    write_bytes(&w, payload.data, payload.len);
    CHECK(!w.failed);
    send_all(r->fd, w.data, w.len);
    writer_release(&w);
}

void fake_answer(struct fake_request *r, const ProtobufCMessage *response,
                 struct bytes payload)
{
    send_frame(r, FRAME_RESPONSE, response, payload);
}

void fake_refuse(struct fake_request *r, int error, const char *text)
{
    Leat__ErrorResponse m = LEAT__ERROR_RESPONSE__INIT;

    m.error = error;
    m.error_message = (char *)text;
    send_frame(r, FRAME_RESPONSE | FRAME_ERROR, &m.base, (struct bytes){0});
}

void fake_raw(struct fake_request *r, struct bytes data)
{
    send_all(r->fd, data.data, data.len);
}

static void close_peer(struct fake_broker *b, struct peer *p)
{
    struct parked *k;

    TAILQ_FOREACH (k, &b->parked, link)
        if (k->request.fd == p->fd)
            k->request.fd = -1;
    close(p->fd);
    p->fd = -1;
    writer_release(&p->in);
    pthread_cond_broadcast(&b->changed);
}

void fake_drop(struct fake_request *r)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (r->fd >= 0 && r->broker->peers[i].fd == r->fd)
            close_peer(r->broker, &r->broker->peers[i]);
}

/* ---- the script ---- */

static struct script *next_script(struct fake_broker *b, uint16_t api)
{
    struct script *s;

    TAILQ_FOREACH (s, &b->scripts, link)
        if (s->api == api)
            break;
    if (s != NULL && s->skip > 0) {
        s->skip--;
        return NULL;
    }
    return s;
}

static void fail_as_told(struct fake_broker *b, struct fake_request *r, struct script *s)
{
    switch (s->what) {
    case FAKE_DROP_UNSEEN: fake_drop(r); break;
    case FAKE_DROP_DONE: {
        struct fake_request mute = *r;

        mute.fd = -1;
        fake_topics_answer(&b->topics, &mute, 0);
        fake_drop(r);
        break;
    }
    case FAKE_REFUSE: fake_refuse(r, s->code, "as the script says"); break;
    case FAKE_REFUSE_PARTS: fake_topics_answer(&b->topics, r, s->code); break;
    case FAKE_SILENCE: break;
    case FAKE_GARBAGE:
        fake_raw(r, bytes_of("\x01\x02\x03\x04 is no frame at all, is it?"));
        break;
    }
    if (--s->count == 0) {
        TAILQ_REMOVE(&b->scripts, s, link);
        free(s);
    }
}

/* False: not yet, it must be parked. */
static bool carry_out(struct fake_broker *b, struct fake_request *r, int64_t *until_ms)
{
    struct handler *h = &b->handlers[r->frame.api];
    struct script *s;

    if (b->held[r->frame.api] && *until_ms == 0)
        return false;
    s = next_script(b, r->frame.api);
    if (s != NULL) {
        fail_as_told(b, r, s);
        return true;
    }
    if (h->fn != NULL && h->fn(r, h->arg))
        return true;
    if (r->frame.api == RPC_FETCH) {
        const Leat__FetchRequest *f = (const void *)r->message;

        if (*until_ms == 0)
            *until_ms = now_ms() + f->max_wait_ms;
        if (now_ms() < *until_ms && !fake_fetch_ready(&b->topics, f))
            return false;
    }
    if (!fake_topics_answer(&b->topics, r, 0))
        fake_refuse(r, STATUS_UNKNOWN_API, "the fake broker has no answer to this");
    return true;
}

static void parked_free(struct parked *k)
{
    arena_release(&k->arena);
    free(k->bytes);
    free(k);
}

static void retry_parked(struct fake_broker *b)
{
    struct parked *k = TAILQ_FIRST(&b->parked);

    while (k != NULL) {
        struct parked *next = TAILQ_NEXT(k, link);
        bool fetch = k->request.frame.api == RPC_FETCH && k->until_ms > 0;
        bool ready =
            k->request.fd < 0 ||
            (fetch ? now_ms() >= k->until_ms ||
                         fake_fetch_ready(&b->topics, (const void *)k->request.message)
                   : !b->held[k->request.frame.api]);

        if (ready) {
            TAILQ_REMOVE(&b->parked, k, link);
            if (k->request.fd >= 0 && fetch)
                fake_topics_answer(&b->topics, &k->request, 0);
            else if (k->request.fd >= 0 && !carry_out(b, &k->request, &k->until_ms)) {
                TAILQ_INSERT_TAIL(&b->parked, k, link);
                k = next;
                continue;
            }
            parked_free(k);
        }
        k = next;
    }
}

static void take_frame(struct fake_broker *b, struct peer *p, const struct frame *f,
                       const uint8_t *data)
{
    struct parked *k = must_zalloc(sizeof *k);
    size_t len = f->length - (FRAME_HEAD - 4);
    ProtobufCMessage *message;

    CHECK(f->api < APIS_MAX && rpc_api_row(f->api) != NULL);
    k->bytes = must_alloc(len);
    memcpy(k->bytes, data, len);
    arena_init(&k->arena, 0);
    CHECK(rpc_unpack(rpc_api_row(f->api)->request,
                     (struct bytes){k->bytes, f->header_bytes}, &k->arena,
                     &message) == STATUS_OK);
    k->request = (struct fake_request){
        .broker = b,
        .fd = p->fd,
        .frame = *f,
        .message = message,
        .payload = {k->bytes + f->header_bytes, len - f->header_bytes},
    };
    b->seen[f->api]++;
    pthread_cond_broadcast(&b->changed);
    if (carry_out(b, &k->request, &k->until_ms))
        parked_free(k);
    else
        TAILQ_INSERT_TAIL(&b->parked, k, link);
}

/* ---- the thread ---- */

static void take_bytes(struct fake_broker *b, struct peer *p)
{
    size_t at = 0;
    struct frame f;

    if (!p->preface) {
        uint8_t mine[FRAME_PREFACE];
        uint16_t version;

        if (p->in.len < FRAME_PREFACE)
            return;
        CHECK(preface_read(p->in.data, &version) == STATUS_OK);
        preface_write(mine, FRAME_PROTOCOL_VERSION);
        send_all(p->fd, mine, sizeof mine);
        p->preface = true;
        at = FRAME_PREFACE;
    }
    while (p->in.len - at >= FRAME_HEAD) {
        CHECK(frame_read(p->in.data + at, FRAME_MAX, &f) == STATUS_OK);
        if (p->in.len - at < (size_t)f.length + 4)
            break;
        take_frame(b, p, &f, p->in.data + at + FRAME_HEAD);
        if (p->fd < 0)
            return;
        at += (size_t)f.length + 4;
    }
    memmove(p->in.data, p->in.data + at, p->in.len - at);
    p->in.len -= at;
}

static void on_readable(struct fake_broker *b, struct peer *p)
{
    uint8_t chunk[65536];
    ssize_t n = recv(p->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_peer(b, p);
        return;
    }
    write_bytes(&p->in, chunk, (size_t)n);
    CHECK(!p->in.failed);
    take_bytes(b, p);
}

static void on_accept(struct fake_broker *b)
{
    int fd = accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    const int on = 1;

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    for (int i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++)
        if (b->peers[i].fd < 0) {
            b->peers[i] = (struct peer){.fd = fd, .in = writer_growing()};
            pthread_cond_broadcast(&b->changed);
            return;
        }
    CHECK(fd < 0);
}

static int next_wait_ms(struct fake_broker *b)
{
    int64_t wait = -1;
    struct parked *k;

    TAILQ_FOREACH (k, &b->parked, link)
        if (k->until_ms > 0 && (wait < 0 || k->until_ms - now_ms() < wait))
            wait = k->until_ms > now_ms() ? k->until_ms - now_ms() : 0;
    return (int)wait;
}

static void *thread_main(void *arg)
{
    struct fake_broker *b = arg;

    pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        struct pollfd fds[CONNECTIONS_MAX + 2];
        int wait = next_wait_ms(b);

        fds[0] = (struct pollfd){.fd = b->wake_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = b->listen_fd, .events = POLLIN};
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            fds[i + 2] = (struct pollfd){.fd = b->peers[i].fd, .events = POLLIN};
        pthread_mutex_unlock(&b->lock);
        poll(fds, CONNECTIONS_MAX + 2, wait);
        pthread_mutex_lock(&b->lock);
        if (fds[0].revents) {
            eventfd_t count;

            eventfd_read(b->wake_fd, &count);
        }
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            if (fds[i + 2].revents && b->peers[i].fd == fds[i + 2].fd)
                on_readable(b, &b->peers[i]);
        if (fds[1].revents && b->listen_fd == fds[1].fd)
            on_accept(b);
        retry_parked(b);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- life ---- */

static int open_listener(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof at;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK(fd >= 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

struct fake_broker *fake_broker_start(void)
{
    struct fake_broker *b = must_zalloc(sizeof *b);

    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    TAILQ_INIT(&b->parked);
    TAILQ_INIT(&b->scripts);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        b->peers[i].fd = -1;
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->listen_fd = open_listener(&b->topics.port);
    snprintf(b->servers, sizeof b->servers, "127.0.0.1:%u", b->topics.port);
    CHECK(pthread_create(&b->thread, NULL, thread_main, b) == 0);
    return b;
}

static void close_connections(struct fake_broker *b)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (b->peers[i].fd >= 0)
            close_peer(b, &b->peers[i]);
}

void fake_broker_stop(struct fake_broker *b)
{
    struct parked *k;
    struct script *s;

    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    wake(b);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    close_connections(b);
    while ((k = TAILQ_FIRST(&b->parked)) != NULL) {
        TAILQ_REMOVE(&b->parked, k, link);
        parked_free(k);
    }
    while ((s = TAILQ_FIRST(&b->scripts)) != NULL) {
        TAILQ_REMOVE(&b->scripts, s, link);
        free(s);
    }
    if (b->listen_fd >= 0)
        close(b->listen_fd);
    close(b->wake_fd);
    fake_topics_release(&b->topics);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

const char *fake_broker_servers(const struct fake_broker *b)
{
    return b->servers;
}

uint16_t fake_broker_port(const struct fake_broker *b)
{
    return b->topics.port;
}

/* ---- from the test's thread ---- */

static void enter(struct fake_broker *b)
{
    pthread_mutex_lock(&b->lock);
}

static void leave(struct fake_broker *b)
{
    wake(b);
    pthread_mutex_unlock(&b->lock);
}

void fake_broker_down(struct fake_broker *b)
{
    enter(b);
    shutdown(b->listen_fd, SHUT_RDWR); /* our thread may still be in poll with it */
    close(b->listen_fd);
    b->listen_fd = -1;
    close_connections(b);
    leave(b);
}

void fake_broker_up(struct fake_broker *b)
{
    enter(b);
    b->listen_fd = open_listener(&b->topics.port);
    leave(b);
}

void fake_broker_cut(struct fake_broker *b)
{
    enter(b);
    close_connections(b);
    leave(b);
}

void fake_broker_topic(struct fake_broker *b, const char *name, int32_t partitions)
{
    enter(b);
    fake_topics_add(&b->topics, name, partitions);
    leave(b);
}

void fake_broker_leaderless(struct fake_broker *b, bool off)
{
    enter(b);
    b->topics.leaderless = off;
    leave(b);
}

static struct fake_partition *partition_of(struct fake_broker *b, const char *topic,
                                           int32_t partition)
{
    struct fake_partition *p = fake_topics_find(&b->topics, topic, partition);

    CHECK(p != NULL);
    return p;
}

int64_t fake_broker_append(struct fake_broker *b, const char *topic, int32_t partition,
                           struct bytes batch)
{
    int64_t base;

    enter(b);
    base = fake_partition_append(partition_of(b, topic, partition), batch);
    leave(b);
    return base;
}

int64_t fake_broker_end(struct fake_broker *b, const char *topic, int32_t partition)
{
    int64_t end;

    enter(b);
    end = partition_of(b, topic, partition)->end;
    leave(b);
    return end;
}

void fake_broker_trim(struct fake_broker *b, const char *topic, int32_t partition,
                      int64_t offset)
{
    enter(b);
    partition_of(b, topic, partition)->start = offset;
    leave(b);
}

uint8_t *fake_broker_dump(struct fake_broker *b, const char *topic, int32_t partition,
                          size_t *len)
{
    struct fake_partition *p;
    struct writer w = writer_growing();

    enter(b);
    p = partition_of(b, topic, partition);
    for (size_t i = 0; i < p->len; i++)
        write_bytes(&w, p->batches[i].data, p->batches[i].len);
    leave(b);
    CHECK(!w.failed);
    *len = w.len;
    return w.data;
}

int64_t fake_broker_committed(struct fake_broker *b, const char *group, const char *topic,
                              int32_t partition)
{
    const struct fake_commit *c;
    int64_t offset;

    enter(b);
    c = fake_commit_find(&b->topics, group, topic, partition);
    offset = c != NULL ? c->offset : -1;
    leave(b);
    return offset;
}

void fake_broker_handle(struct fake_broker *b, enum rpc_api api, fake_handler_fn *fn,
                        void *arg)
{
    enter(b);
    b->handlers[api] = (struct handler){fn, arg};
    leave(b);
}

void fake_broker_fail(struct fake_broker *b, enum rpc_api api, int skip, int count,
                      enum fake_failure what, int code)
{
    struct script *s = must_zalloc(sizeof *s);

    *s = (struct script){
        .api = api, .skip = skip, .count = count, .what = what, .code = code};
    enter(b);
    TAILQ_INSERT_TAIL(&b->scripts, s, link);
    leave(b);
}

void fake_broker_hold(struct fake_broker *b, enum rpc_api api, bool on)
{
    enter(b);
    b->held[api] = on;
    leave(b);
}

int fake_broker_seen(struct fake_broker *b, enum rpc_api api)
{
    int seen;

    enter(b);
    seen = b->seen[api];
    leave(b);
    return seen;
}

/* A test that waits for ever is worse than one that fails. */
static void await_change(struct fake_broker *b, int64_t deadline_ms)
{
    struct timespec until;

    CHECK(now_ms() < deadline_ms && "waited too long for the client");
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    pthread_cond_timedwait(&b->changed, &b->lock, &until);
}

void fake_broker_await(struct fake_broker *b, enum rpc_api api, int count)
{
    int64_t deadline_ms = now_ms() + AWAIT_MS;

    enter(b);
    while (b->seen[api] < count)
        await_change(b, deadline_ms);
    leave(b);
}

void fake_broker_await_connections(struct fake_broker *b, int connections)
{
    int64_t deadline_ms = now_ms() + AWAIT_MS;

    enter(b);
    for (;;) {
        int open = 0;

        for (int i = 0; i < CONNECTIONS_MAX; i++)
            open += b->peers[i].fd >= 0;
        if (open == connections)
            break;
        await_change(b, deadline_ms);
    }
    leave(b);
}
