/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/link.h"

#include "broker/io/log_sink.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
    FRAME_BYTES_MAX = 256 * 1024 * 1024,
    MAKING_MS = 3000, /* until a link must be open */
    IDLE_MS = 60000,
    BACKOFF_LEAST_MS = 50,
    BACKOFF_MOST_MS = 1000,
    LOG_EVERY_MS = 10000,
    ANSWER_BYTES = 64 * 1024,
    READS_PER_TURN = 16,
};

struct link *link_new(struct peers *p, int32_t to, const struct endpoint *at,
                      enum lane lane)
{
    struct link *l = must_zalloc(sizeof *l);

    l->peers = p;
    l->to = to;
    l->at = *at;
    l->lane = lane;
    l->fd = -1;
    l->backoff_ms = BACKOFF_LEAST_MS;
    l->logged_ms = INT64_MIN / 2;
    output_init(&l->out);
    TAILQ_INIT(&l->waiting);
    TAILQ_INIT(&l->asked);
    TAILQ_INSERT_TAIL(&p->links, l, link);
    return l;
}

static void close_socket(struct link *l)
{
    if (l->lookup != NULL)
        evdns_getaddrinfo_cancel(l->lookup);
    l->lookup = NULL;
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
    l->greeted = l->readable = l->writable = l->writing = l->looked_up = false;
    l->state = LINK_IDLE;
}

void link_free(struct link *l)
{
    CHECK(TAILQ_EMPTY(&l->waiting) && TAILQ_EMPTY(&l->asked));
    close_socket(l);
    output_release(&l->out);
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

void link_break(struct link *l, enum status status, const char *why)
{
    int64_t now_ms = l->peers->now.mono_ms;

    if (why != NULL && now_ms - l->logged_ms >= LOG_EVERY_MS) {
        l->logged_ms = now_ms;
        SAY(WARN, "peer.lost", why, NUM("broker", l->to), TEXT("host", l->at.host),
            NUM("port", l->at.port), NUM("shard", l->peers->o.shard));
    }
    if (l->state != LINK_OPEN || why != NULL) {
        l->retry_ms = now_ms + l->backoff_ms;
        if (l->backoff_ms < BACKOFF_MOST_MS)
            l->backoff_ms *= 2;
    }
    close_socket(l);
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

static void on_found(int error, struct evutil_addrinfo *found, void *arg)
{
    struct link *l = arg;

    if (error == EVUTIL_EAI_CANCEL)
        return;
    l->lookup = NULL;
    l->looked_up = true;
    l->address_len = 0;
    if (!error && found != NULL && found->ai_addrlen <= sizeof l->address) {
        memcpy(&l->address, found->ai_addr, found->ai_addrlen);
        l->address_len = (socklen_t)found->ai_addrlen;
    }
    if (found != NULL)
        evutil_freeaddrinfo(found);
    l->peers->noted = true;
}

/* ---- making the connection -----------------------------------------------------------
 */

static void look_up(struct link *l)
{
    struct peers *p = l->peers;
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct evutil_addrinfo *found;
    char port[8];

    snprintf(port, sizeof port, "%u", l->at.port);
    l->state = LINK_RESOLVING;
    l->since_ms = p->now.mono_ms;
    hints.ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV;
    if (evutil_getaddrinfo(l->at.host, port, &hints, &found) == 0) {
        on_found(0, found, l);
        return;
    }
    hints.ai_flags = EVUTIL_AI_NUMERICSERV;
    if (p->dns == NULL)
        p->dns = evdns_base_new(p->o.base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                               EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (p->dns == NULL) {
        l->looked_up = true;
        p->noted = true;
        return;
    }
    l->lookup = evdns_getaddrinfo(p->dns, l->at.host, port, &hints, on_found, l);
}

static void connect_now(struct link *l)
{
    int one = 1;

    if (l->address_len == 0) {
        link_break(l, STATUS_UNREACHABLE, "its host's name cannot be resolved");
        return;
    }
    l->fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        link_break(l, STATUS_UNREACHABLE, "no socket can be had");
        return;
    }
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    event_assign(&l->read, l->peers->o.base, l->fd, EV_READ | EV_PERSIST, on_readable, l);
    event_assign(&l->write, l->peers->o.base, l->fd, EV_WRITE, on_writable, l);
    l->state = LINK_CONNECTING;
    if (connect(l->fd, (struct sockaddr *)&l->address, l->address_len) != 0 &&
        errno != EINPROGRESS) {
        link_break(l, STATUS_UNREACHABLE, "it cannot be connected to");
        return;
    }
    event_add(&l->write, NULL);
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
    int error = 0;
    socklen_t size = sizeof error;

    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        link_break(l, STATUS_UNREACHABLE, strerror(error));
        return;
    }
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

/* ---- what comes back -----------------------------------------------------------------
 */

static const char *check_hello(struct link *l, const Leat__HelloResponse *h)
{
    struct acquaintance *a = &l->acquaintance;

    if (h->cluster_id.len != UUID_BYTES ||
        memcmp(h->cluster_id.data, a->cluster_id.id, UUID_BYTES) != 0)
        return "it belongs to another cluster (the cluster ids differ: do all nodes have "
               "the same secret?)";
    if (l->to >= 0 && h->node_id != l->to)
        return "another broker answers there";
    if (h->nonce.len != NONCE_BYTES)
        return "it wants no other broker: it has no cluster secret";
    memcpy(a->listener_nonce, h->nonce.data, NONCE_BYTES);
    a->listener = h->node_id;
    if (!secret_check(l->peers->o.secret, a, SPEAKER_LISTENER, h->proof.data,
                      h->proof.len))
        return "it has another cluster secret";
    return NULL;
}

static void send_proof(struct link *l)
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
    TAILQ_INSERT_TAIL(&l->asked, out, link);
}

static void open_up(struct link *l)
{
    struct outgoing *out;

    l->state = LINK_OPEN;
    l->backoff_ms = BACKOFF_LEAST_MS;
    l->logged_ms = INT64_MIN / 2;
    while ((out = TAILQ_FIRST(&l->waiting)) != NULL) {
        TAILQ_REMOVE(&l->waiting, out, link);
        put_call(l, out);
    }
}

static void take_greeting(struct link *l, const struct frame *f, struct bytes header)
{
    const char *why = "it refuses other brokers, or their proof";
    struct arena arena;
    ProtobufCMessage *m;

    arena_init(&arena, ANSWER_BYTES);
    if (f->flags == FRAME_RESPONSE && l->state == LINK_PROVING &&
        f->api == RPC_PEER_PROOF) {
        why = NULL;
        open_up(l);
    } else if (f->flags == FRAME_RESPONSE && l->state == LINK_GREETING &&
               f->api == RPC_HELLO &&
               !rpc_unpack(&leat__hello_response__descriptor, header, &arena, &m)) {
        why = check_hello(l, (const Leat__HelloResponse *)(const void *)m);
        if (why == NULL)
            send_proof(l);
    }
    arena_release(&arena);
    if (why != NULL)
        link_break(l, STATUS_UNREACHABLE, why);
}

static struct outgoing *find(struct link *l, uint32_t correlation)
{
    struct outgoing *out;

    TAILQ_FOREACH (out, &l->asked, link)
        if (out->correlation == correlation)
            return out;
    return NULL;
}

static void take_answer(struct link *l, const struct frame *f, struct bytes header,
                        struct slice payload)
{
    struct outgoing *out = find(l, f->correlation);
    struct peers *p = l->peers;
    struct arena arena;
    ProtobufCMessage *m;

    if (out == NULL || f->api != out->call->api)
        return; /* it came too late */
    TAILQ_REMOVE(&l->asked, out, link);
    if ((f->flags & FRAME_ERROR) == 0) {
        outgoing_end(p, out, STATUS_OK, "", header, payload);
        return;
    }
    arena_init(&arena, ANSWER_BYTES);
    if (rpc_unpack(&leat__error_response__descriptor, header, &arena, &m)) {
        outgoing_end(p, out, STATUS_UNKNOWN, "", (struct bytes){0}, (struct slice){0});
    } else {
        const Leat__ErrorResponse *e = (const Leat__ErrorResponse *)(const void *)m;

        outgoing_end(p, out, e->error ? (enum status)e->error : STATUS_UNKNOWN,
                     e->error_message, (struct bytes){0}, (struct slice){0});
    }
    arena_release(&arena);
}

/* One frame; false when none is whole, or the link broke. */
static bool take_frame(struct link *l)
{
    const uint8_t *at = l->in->data + l->in_begin;
    size_t have = l->in_end - l->in_begin, bytes;
    struct slice payload = {0};
    struct bytes header;
    struct frame f;

    if (have < FRAME_HEAD)
        return false;
    if (frame_read(at, FRAME_BYTES_MAX, &f) || !(f.flags & FRAME_RESPONSE)) {
        link_break(l, STATUS_UNREACHABLE, "it breaks the protocol");
        return false;
    }
    bytes = (size_t)f.length + 4;
    if (have < bytes)
        return false;
    header = (struct bytes){at + FRAME_HEAD, f.header_bytes};
    if (frame_payload_bytes(&f) > 0)
        payload = slice_of(l->in, header.data + header.len, frame_payload_bytes(&f));
    l->in_begin += bytes;
    if (l->state == LINK_OPEN)
        take_answer(l, &f, header, payload);
    else
        take_greeting(l, &f, header);
    slice_release(&payload);
    return l->fd >= 0;
}

static bool take_preface(struct link *l)
{
    uint16_t version;

    if (l->in_end - l->in_begin < FRAME_PREFACE)
        return false;
    if (preface_read(l->in->data + l->in_begin, &version) ||
        version != FRAME_PROTOCOL_VERSION) {
        link_break(l, STATUS_UNREACHABLE, "it does not speak our protocol");
        return false;
    }
    l->in_begin += FRAME_PREFACE;
    l->greeted = true;
    return true;
}

/* Room for the frame in front and a good read, in a buffer that nobody else holds. */
static bool make_room(struct link *l)
{
    size_t have = l->in_end - l->in_begin, want = READ_BYTES;
    struct buf *bigger;

    if (have >= FRAME_HEAD) {
        size_t whole = (size_t)load_u32(l->in->data + l->in_begin) + 4;

        if (whole <= FRAME_BYTES_MAX && whole > have)
            want = whole - have;
        if (want > have + READ_BYTES) /* as much as has come vouches for */
            want = have + READ_BYTES;
    }
    if (l->in != NULL && l->in->capacity - l->in_end >= want / 2 &&
        l->in->capacity > l->in_end)
        return true;
    bigger = buf_new(have + want);
    if (bigger == NULL)
        return false;
    if (have > 0)
        memcpy(bigger->data, l->in->data + l->in_begin, have);
    if (l->in != NULL)
        buf_unref(l->in);
    l->in = bigger;
    l->in_begin = 0;
    l->in_end = have;
    return true;
}

static void receive(struct link *l)
{
    for (int i = 0; i < READS_PER_TURN && l->fd >= 0; i++) {
        ssize_t n;

        if (!make_room(l)) {
            link_break(l, STATUS_UNREACHABLE, "there is no memory for its answer");
            return;
        }
        n = read(l->fd, l->in->data + l->in_end, l->in->capacity - l->in_end);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            l->readable = false;
            break;
        }
        if (n <= 0) {
            link_break(l, STATUS_UNREACHABLE,
                       l->state == LINK_OPEN ? "the connection is closed"
                                             : "it closed the connection at once");
            return;
        }
        l->in_end += (size_t)n;
        if (!l->greeted && !take_preface(l))
            continue;
        while (l->fd >= 0 && take_frame(l)) {
        }
    }
    if (l->fd >= 0 && l->readable)
        l->peers->noted = true;
    if (l->fd >= 0 && l->in != NULL && l->in_begin == l->in_end) {
        buf_unref(l->in);
        l->in = NULL;
        l->in_begin = l->in_end = 0;
    }
}

/* ---- turns ---------------------------------------------------------------------------
 */

static void expire(struct link *l, struct outgoings *list, struct instant now)
{
    struct outgoing *out, *next;

    for (out = TAILQ_FIRST(list); out != NULL; out = next) {
        next = TAILQ_NEXT(out, link);
        if (out->deadline_ms > now.mono_ms)
            continue;
        TAILQ_REMOVE(list, out, link);
        outgoing_fail(l->peers, out,
                      l->state == LINK_OPEN ? STATUS_TIMED_OUT : STATUS_UNREACHABLE);
    }
}

void link_run(struct link *l, struct instant now)
{
    if (l->state == LINK_RESOLVING && l->looked_up)
        connect_now(l);
    if (l->state == LINK_CONNECTING && l->writable)
        greet(l);
    if (l->fd >= 0 && l->readable && l->state >= LINK_GREETING)
        receive(l);
    expire(l, &l->waiting, now);
    expire(l, &l->asked, now);
    if (l->state != LINK_IDLE && l->state != LINK_OPEN &&
        now.mono_ms - l->since_ms >= MAKING_MS)
        link_break(l, STATUS_UNREACHABLE, "it does not answer");
}

void link_send(struct link *l, struct outgoing *out, struct instant now)
{
    l->used_ms = now.mono_ms;
    if (l->state == LINK_OPEN) {
        put_call(l, out);
        return;
    }
    TAILQ_INSERT_TAIL(&l->waiting, out, link);
    if (l->state == LINK_IDLE) {
        l->peers->now = now;
        look_up(l);
    }
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

int64_t link_deadline(const struct link *l)
{
    int64_t first = INT64_MAX;
    const struct outgoing *out;

    TAILQ_FOREACH (out, &l->waiting, link)
        if (out->deadline_ms < first)
            first = out->deadline_ms;
    TAILQ_FOREACH (out, &l->asked, link)
        if (out->deadline_ms < first)
            first = out->deadline_ms;
    if (l->state != LINK_IDLE && l->state != LINK_OPEN && l->since_ms + MAKING_MS < first)
        first = l->since_ms + MAKING_MS;
    if (first == INT64_MAX)
        first = l->used_ms + IDLE_MS;
    return first;
}

bool link_is_spent(const struct link *l, struct instant now)
{
    return TAILQ_EMPTY(&l->waiting) && TAILQ_EMPTY(&l->asked) &&
           now.mono_ms - l->used_ms >= IDLE_MS && now.mono_ms >= l->retry_ms;
}
