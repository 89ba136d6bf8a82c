/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/link.h"

#include "broker/io/log_sink.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOG_EVERY_MS = 10000, LOG_AGAIN_MS = 60000 };

struct link *link_new(struct peers *p, int32_t to, const struct endpoint *at,
                      enum lane lane)
{
    struct link *l = must_zalloc(sizeof *l);

    l->peers = p;
    l->to = to;
    l->at = *at;
    l->lane = lane;
    l->fd = -1;
    l->backoff_ms = LINK_BACKOFF_LEAST_MS;
    l->logged_ms = INT64_MIN / 2;
    output_init(&l->out);
    TAILQ_INIT(&l->waiting);
    TAILQ_INIT(&l->asked);
    TAILQ_INSERT_TAIL(&p->links, l, link);
    return l;
}

static void close_socket(struct link *l)
{
    if (l->fd >= 0) {
        event_del(&l->read);
        event_del(&l->write);
        close(l->fd);
    }
    l->fd = -1;
    output_release(&l->out);
    output_init(&l->out);
    if (l->in != NULL)
        buf_unref(l->in);
    l->in = NULL;
    l->in_begin = l->in_end = 0;
    l->greeted = l->readable = l->writable = l->writing = false;
}

static void go_idle(struct link *l)
{
    close_socket(l);
    if (l->lookup != NULL)
        lookup_cancel(l->lookup);
    l->lookup = NULL;
    l->looked_up = false;
    l->state = LINK_IDLE;
}

void link_free(struct link *l)
{
    CHECK(TAILQ_EMPTY(&l->waiting) && TAILQ_EMPTY(&l->asked));
    go_idle(l);
    TAILQ_REMOVE(&l->peers->links, l, link);
    free(l);
}

static void fail_all(struct link *l, struct outgoings *list, enum status status)
{
    struct outgoing *out;

    while ((out = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, out, link);
        outgoing_fail(l->peers, out, status);
    }
}

/* Each outage is told, and a long one again and again, but a link that comes and goes
 * does not fill the log. */
static void tell(struct link *l, const char *why)
{
    int64_t now_ms = l->peers->now.mono_ms;

    if (now_ms - l->logged_ms < (l->lost ? LOG_AGAIN_MS : LOG_EVERY_MS))
        return;
    l->logged_ms = now_ms;
    l->lost = true;
    SAY(WARN, "peer.lost", why, NUM("broker", l->to), TEXT("host", l->at.host),
        NUM("port", l->at.port), NUM("shard", l->peers->o.shard));
}

void link_break(struct link *l, enum status status, const char *why)
{
    if (why != NULL)
        tell(l, why);
    if (l->state != LINK_OPEN || why != NULL) {
        l->retry_ms = l->peers->now.mono_ms + l->backoff_ms;
        if (l->backoff_ms < LINK_BACKOFF_MOST_MS)
            l->backoff_ms *= 2;
    }
    go_idle(l);
    fail_all(l, &l->waiting, status);
    fail_all(l, &l->asked, status);
}

/* ---- events: notes only --------------------------------------------------------------
 */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;

    l->readable = true;
    l->peers->noted = true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;

    l->writable = true;
    l->writing = false;
    l->peers->noted = true;
}

static void on_found(void *ctx, const struct addresses *found)
{
    struct link *l = ctx;

    l->lookup = NULL;
    l->looked_up = true;
    l->addresses = *found;
    l->peers->noted = true;
}

/* ---- making the connection -----------------------------------------------------------
 */

static void look_up(struct link *l)
{
    struct peers *p = l->peers;

    l->state = LINK_RESOLVING;
    l->late_ms = p->now.mono_ms + LINK_LOOKUP_MS;
    l->tried = 0;
    l->lookup = resolver_ask(p->resolver, l->at.host, l->at.port, on_found, l);
}

/* False, with errno, if it cannot even be tried. */
static bool try_address(struct link *l, unsigned i)
{
    const struct sockaddr *a = (const struct sockaddr *)&l->addresses.at[i];
    const int one = 1;

    l->fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return false;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    event_assign(&l->read, l->peers->o.base, l->fd, EV_READ | EV_PERSIST, on_readable, l);
    event_assign(&l->write, l->peers->o.base, l->fd, EV_WRITE, on_writable, l);
    if (connect(l->fd, a, l->addresses.len[i]) != 0 && errno != EINPROGRESS)
        return false;
    l->state = LINK_CONNECTING;
    event_add(&l->write, NULL);
    return true;
}

/* A name may have several addresses ("localhost" has two) of which some answer: all are
 * tried, and the next attempt begins where this one ended. */
static void connect_next(struct link *l, int error)
{
    char why[128] = "its host's name cannot be resolved";

    while (l->tried < l->addresses.count) {
        l->tried++;
        if (try_address(l, l->turn++ % l->addresses.count))
            return;
        error = errno;
        close_socket(l);
    }
    if (l->addresses.count > 0)
        snprintf(why, sizeof why, "it cannot be connected to: %s", strerror(error));
    link_break(l, STATUS_UNREACHABLE, why);
}

static void on_looked_up(struct link *l)
{
    l->late_ms = l->peers->now.mono_ms + LINK_MAKING_MS;
    connect_next(l, 0);
}

static void put_frame(struct link *l, enum rpc_api api, const ProtobufCMessage *m)
{
    size_t header = rpc_packed_size(m);
    struct frame f = {.api = (uint16_t)api,
                      .header_bytes = (uint32_t)header,
                      .length = (uint32_t)(FRAME_HEAD - 4 + header)};
    uint8_t *at = output_reserve(&l->out, FRAME_HEAD + header);
    struct writer w = writer_fixed(at + FRAME_HEAD, header);

    frame_write(at, &f);
    rpc_pack(m, &w);
    CHECK(!writer_status(&w));
}

static void greet(struct link *l)
{
    Leat__HelloRequest hello = LEAT__HELLO_REQUEST__INIT;
    struct acquaintance *a = &l->acquaintance;
    char name[32];

    *a = (struct acquaintance){.caller = l->peers->o.node_id,
                               .cluster_id = l->peers->o.cluster_id};
    secret_nonce(a->caller_nonce);
    snprintf(name, sizeof name, "broker-%d", a->caller);
    hello.client_id = name;
    hello.software = (char *)(uintptr_t) "leatd";
    hello.software_version = (char *)(uintptr_t)LEAT_VERSION;
    hello.nonce = (ProtobufCBinaryData){NONCE_BYTES, a->caller_nonce};
    hello.node_id = a->caller;
    preface_write(output_reserve(&l->out, FRAME_PREFACE), FRAME_PROTOCOL_VERSION);
    put_frame(l, RPC_HELLO, &hello.base);
    l->state = LINK_GREETING;
    event_add(&l->read, NULL);
}

/* The kernel has an opinion on connect(). */
static void on_connected(struct link *l)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0) {
        greet(l);
        return;
    }
    close_socket(l);
    connect_next(l, error);
}

void link_prove(struct link *l)
{
    Leat__PeerProofRequest q = LEAT__PEER_PROOF_REQUEST__INIT;
    uint8_t proof[PROOF_BYTES];

    secret_prove(l->peers->o.secret, &l->acquaintance, SPEAKER_CALLER, proof);
    q.proof = (ProtobufCBinaryData){PROOF_BYTES, proof};
    put_frame(l, RPC_PEER_PROOF, &q.base);
    l->state = LINK_PROVING;
}

static void put_call(struct link *l, struct outgoing *out)
{
    output_bytes(&l->out, out->frame, out->bytes);
    out->asked_ms = l->peers->now.mono_ms;
    TAILQ_INSERT_TAIL(&l->asked, out, link);
}

void link_open_up(struct link *l)
{
    struct outgoing *out;

    l->state = LINK_OPEN;
    if (l->lost)
        SAY(INFO, "peer.back", "connected again", NUM("broker", l->to),
            TEXT("host", l->at.host), NUM("port", l->at.port),
            NUM("shard", l->peers->o.shard));
    l->lost = false;
    while ((out = TAILQ_FIRST(&l->waiting)) != NULL) {
        TAILQ_REMOVE(&l->waiting, out, link);
        put_call(l, out);
    }
}

/* ---- turns ---------------------------------------------------------------------------
 */

static bool is_in_the_making(const struct link *l)
{
    return l->state != LINK_IDLE && l->state != LINK_OPEN;
}

/* True if one of those that ran out has heard nothing of the peer all the while. */
static bool expire(struct link *l, struct outgoings *list, enum status status)
{
    struct outgoing *out, *next;
    bool silent = false;

    for (out = TAILQ_FIRST(list); out != NULL; out = next) {
        next = TAILQ_NEXT(out, link);
        if (out->deadline_ms > l->peers->now.mono_ms)
            continue;
        TAILQ_REMOVE(list, out, link);
        silent |= l->heard_ms <= out->asked_ms;
        outgoing_fail(l->peers, out, status);
    }
    return silent;
}

/* After a cut the kernel would wait longer and longer before it tries again, up to two
 * minutes: a new connection is back sooner than an old one. */
static void mind_silence(struct link *l)
{
    bool silent = expire(l, &l->asked, STATUS_TIMED_OUT);

    if (silent && l->peers->now.mono_ms - l->heard_ms >= LINK_SILENCE_MS)
        link_break(l, STATUS_UNREACHABLE, "it has fallen silent");
}

void link_run(struct link *l, struct instant now)
{
    if (l->state == LINK_RESOLVING && l->looked_up)
        on_looked_up(l);
    else if (l->state == LINK_CONNECTING && l->writable)
        on_connected(l);
    if (l->fd >= 0 && l->readable && l->state >= LINK_GREETING)
        link_receive(l);
    expire(l, &l->waiting, STATUS_UNREACHABLE);
    mind_silence(l);
    if (is_in_the_making(l) && now.mono_ms >= l->late_ms)
        link_break(l, STATUS_UNREACHABLE,
                   l->state == LINK_RESOLVING ? "the nameservers do not answer"
                                              : "it does not answer");
}

void link_send(struct link *l, struct outgoing *out, struct instant now)
{
    l->used_ms = now.mono_ms;
    l->peers->now = now;
    if (l->out.bytes > LINK_UNSENT_MAX) {
        outgoing_fail(l->peers, out, STATUS_UNREACHABLE);
        return;
    }
    if (l->state == LINK_OPEN) {
        put_call(l, out);
        return;
    }
    TAILQ_INSERT_TAIL(&l->waiting, out, link);
    if (l->state == LINK_IDLE)
        look_up(l);
}

void link_flush(struct link *l)
{
    size_t written;

    if (l->fd < 0 || l->state < LINK_GREETING || l->writing || l->out.bytes == 0)
        return;
    if (!output_write(&l->out, l->fd, &written)) {
        link_break(l, STATUS_UNREACHABLE, "the connection is lost");
        return;
    }
    if (l->out.bytes > 0) {
        l->writing = true;
        event_add(&l->write, NULL);
    }
}

static int64_t first_deadline(const struct outgoings *list, int64_t first)
{
    const struct outgoing *out;

    TAILQ_FOREACH (out, list, link)
        if (out->deadline_ms < first)
            first = out->deadline_ms;
    return first;
}

static int64_t spent_ms(const struct link *l)
{
    int64_t idle_ms = l->used_ms + LINK_IDLE_MS;

    return idle_ms > l->retry_ms ? idle_ms : l->retry_ms;
}

int64_t link_deadline(const struct link *l)
{
    int64_t first = first_deadline(&l->waiting, first_deadline(&l->asked, INT64_MAX));

    if (is_in_the_making(l) && l->late_ms < first)
        first = l->late_ms;
    return first == INT64_MAX ? spent_ms(l) : first;
}

bool link_is_spent(const struct link *l, struct instant now)
{
    return TAILQ_EMPTY(&l->waiting) && TAILQ_EMPTY(&l->asked) &&
           now.mono_ms >= spent_ms(l);
}
