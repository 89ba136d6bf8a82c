/* SPDX-License-Identifier: Apache-2.0 */
#include "client/stream.h"

#include "proto/base/check.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    PARTS_MAX = 256,                 /* of one writev */
    ROUNDS_MAX = 16,                 /* of one handler, so that all have their turn */
    READ_BYTES = 128 * 1024,         /* size of a receive buffer */
    READ_ROOM_MIN = 8 * 1024,        /* below this it is replaced */
    UNPACKED_MAX = 64 * 1024 * 1024, /* memory of one unpacked header */
};

/* ---- out ---- */

struct gather {
    struct iovec parts[PARTS_MAX];
    size_t count;
    size_t bytes;
};

/* The part of `data` that `*skip` bytes already sent leave over. */
static void gather_part(struct gather *g, const void *data, size_t len, size_t *skip)
{
    size_t gone = *skip < len ? *skip : len;

    *skip -= gone;
    if (gone == len || g->count == PARTS_MAX)
        return;
    g->parts[g->count++] =
        (struct iovec){.iov_base = (uint8_t *)data + gone, .iov_len = len - gone};
    g->bytes += len - gone;
}

static void gather_request(struct gather *g, const struct request *r)
{
    size_t skip = r->written;

    gather_part(g, r->head, r->head_len, &skip);
    for (size_t i = 0; i < r->payload_count; i++)
        gather_part(g, r->payload[i].data, r->payload[i].len, &skip);
}

/* What may go out now. Before HELLO was answered nothing but HELLO may. */
static void gather(struct connection *c, struct gather *g, const uint8_t *preface)
{
    size_t skip = c->preface_out;
    struct request *r;

    g->count = g->bytes = 0;
    gather_part(g, preface, FRAME_PREFACE, &skip);
    TAILQ_FOREACH (r, &c->waiting, link) {
        if (g->count == PARTS_MAX || (c->state != CONNECTION_READY && r != c->hello))
            break;
        r->busy = true;
        gather_request(g, r);
    }
}

static size_t request_size(const struct request *r)
{
    size_t size = r->head_len;

    for (size_t i = 0; i < r->payload_count; i++)
        size += r->payload[i].len;
    return size;
}

static void went_out(struct connection *c, struct request *r)
{
    if (r->flags & FRAME_ONE_WAY) {
        request_finish(c, r,
                       &(struct answer){.text = "", .sent = true, .node_id = c->node_id});
        return;
    }
    TAILQ_REMOVE(&c->waiting, r, link);
    r->inflight = true;
    TAILQ_INSERT_TAIL(&c->inflight, r, link);
}

/* `n` bytes of what was gathered are on their way. */
static void account(struct connection *c, size_t n)
{
    size_t preface = FRAME_PREFACE - c->preface_out;
    struct request *r;

    TAILQ_FOREACH (r, &c->waiting, link)
        r->busy = false;
    if (preface > n)
        preface = n;
    c->preface_out += preface;
    n -= preface;
    while (n > 0) {
        size_t left;

        r = TAILQ_FIRST(&c->waiting);
        CHECK(r != NULL);
        left = request_size(r) - r->written;
        r->written += left < n ? left : n;
        if (left > n)
            return;
        n -= left;
        went_out(c, r);
    }
}

static void want_write(struct connection *c, bool want)
{
    if (c->want_write == want)
        return;
    c->want_write = want;
    engine_rewatch(c->engine, &c->socket, want ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void stream_write(struct connection *c)
{
    uint8_t preface[FRAME_PREFACE];
    struct gather g;

    preface_write(preface, FRAME_PROTOCOL_VERSION);
    for (int i = 0; i < ROUNDS_MAX; i++) {
        struct msghdr message = {.msg_iov = g.parts};
        ssize_t n;
        int failed;

        gather(c, &g, preface);
        if (g.count == 0) {
            want_write(c, false);
            return;
        }
        message.msg_iovlen = g.count;
        engine_unlock(c->engine);
        n = sendmsg(c->socket.fd, &message, MSG_NOSIGNAL);
        failed = errno;
        engine_lock(c->engine);
        account(c, n > 0 ? (size_t)n : 0);
        if (n < 0 && failed != EAGAIN && failed != EINTR) {
            connection_lose(c, STATUS_UNREACHABLE, "%s:%u: %s", c->host, c->port,
                            strerror(failed));
            return;
        }
        if (n < 0 || (size_t)n < g.bytes)
            break;
    }
    want_write(c, true);
}

/* ---- in ---- */

static void take_answer(struct connection *c, struct request *r, const struct frame *f,
                        const uint8_t *data)
{
    const ProtobufCMessageDescriptor *type = f->flags & FRAME_ERROR
                                                 ? &leat__error_response__descriptor
                                                 : rpc_api_row(f->api)->response;
    struct bytes header = {data, f->header_bytes};
    struct answer answer = {.sent = true, .text = "", .node_id = c->node_id};
    ProtobufCMessage *message = NULL;
    struct arena arena;
    enum status st;

    arena_init(&arena, UNPACKED_MAX);
    r->busy = true;
    engine_unlock(c->engine);
    st = rpc_unpack(type, header, &arena, &message);
    engine_lock(c->engine);
    r->busy = false;

    if (st) {
        connection_lose(c, st == STATUS_NO_MEMORY ? st : STATUS_PROTOCOL,
                        "%s:%u: an answer to %s that cannot be read", c->host, c->port,
                        rpc_api_row(f->api)->name);
    } else {
        if (f->flags & FRAME_ERROR) {
            const Leat__ErrorResponse *e = (const void *)message;

            answer.status = e->error > 0 ? (enum status)e->error : STATUS_UNKNOWN;
            answer.text = e->error_message;
        } else {
            answer.message = message;
        }
        answer.payload.buf = c->in;
        answer.payload.data = data + f->header_bytes;
        answer.payload.len = frame_payload_bytes(f);
        request_finish(c, r, &answer);
    }
    arena_release(&arena);
}

static void take_frame(struct connection *c, const struct frame *f, const uint8_t *data)
{
    struct request *r;

    TAILQ_FOREACH (r, &c->inflight, link)
        if (r->correlation == f->correlation)
            break;
    if (r == NULL || f->api != r->api || !(f->flags & FRAME_RESPONSE)) {
        connection_lose(c, STATUS_PROTOCOL, "%s:%u: an answer that nobody asked for",
                        c->host, c->port);
        return;
    }
    take_answer(c, r, f, data);
}

static bool take_preface(struct connection *c)
{
    uint16_t version;

    if (c->in_end - c->in_begin < FRAME_PREFACE)
        return false;
    if (preface_read(c->in->data + c->in_begin, &version))
        connection_lose(c, STATUS_PROTOCOL, "%s:%u does not speak Leat's protocol",
                        c->host, c->port);
    else if (version != FRAME_PROTOCOL_VERSION)
        connection_lose(c, STATUS_UNSUPPORTED_VERSION,
                        "%s:%u speaks version %u of the protocol, not %d", c->host,
                        c->port, version, FRAME_PROTOCOL_VERSION);
    c->in_begin += FRAME_PREFACE;
    c->preface_in = true;
    return !c->lost_pending;
}

/* All whole frames that are there. Returns how many bytes the next one has in all as far
 * as is known, 0 if the connection is lost. */
static size_t take_frames(struct connection *c)
{
    if (!c->preface_in && !take_preface(c))
        return c->lost_pending ? 0 : FRAME_PREFACE;
    while (c->in_end - c->in_begin >= FRAME_HEAD) {
        const uint8_t *at = c->in->data + c->in_begin;
        struct frame f;
        enum status st = frame_read(at, CONNECTION_FRAME_MAX, &f);
        size_t total;

        if (st) {
            connection_lose(c, STATUS_PROTOCOL, "%s:%u: a bad frame: %s", c->host,
                            c->port, status_text(st));
            return 0;
        }
        total = (size_t)f.length + 4;
        if (c->in_end - c->in_begin < total)
            return total;
        c->in_begin += total;
        take_frame(c, &f, at + FRAME_HEAD);
        if (c->lost_pending)
            return 0;
    }
    return FRAME_HEAD;
}

/* Room for the next frame of `total` bytes in one piece. Old buffers are left to those
 * who still hold parts of them. */
static bool make_room(struct connection *c, size_t total)
{
    size_t have = c->in_end - c->in_begin;
    size_t need = total > have + READ_ROOM_MIN ? total : have + READ_ROOM_MIN;
    struct buf *bigger;

    if (c->in != NULL && have == 0 && buf_is_unique(c->in))
        c->in_begin = c->in_end = 0;
    if (c->in != NULL && c->in->capacity - c->in_begin >= need)
        return true;
    bigger = buf_new(need > READ_BYTES ? need : READ_BYTES);
    if (bigger == NULL) {
        connection_lose(c, STATUS_NO_MEMORY, "%s:%u: no memory for an answer", c->host,
                        c->port);
        return false;
    }
    if (have > 0)
        memcpy(bigger->data, c->in->data + c->in_begin, have);
    buf_unref(c->in);
    c->in = bigger;
    c->in_begin = 0;
    c->in_end = have;
    return true;
}

void stream_read(struct connection *c)
{
    size_t total = FRAME_HEAD;

    if (c->in_end > c->in_begin)
        total = take_frames(c);
    for (int i = 0; i < ROUNDS_MAX && total > 0 && make_room(c, total); i++) {
        size_t room = c->in->capacity - c->in_end;
        ssize_t n;
        int failed;

        engine_unlock(c->engine);
        n = recv(c->socket.fd, c->in->data + c->in_end, room, 0);
        failed = errno;
        engine_lock(c->engine);
        if (n < 0 && (failed == EAGAIN || failed == EINTR))
            return;
        if (n <= 0) {
            connection_lose(c, STATUS_UNREACHABLE, "%s:%u: %s", c->host, c->port,
                            n < 0 ? strerror(failed)
                                  : "the broker closed the connection");
            return;
        }
        c->in_end += (size_t)n;
        total = take_frames(c);
        if ((size_t)n < room)
            return;
    }
}
