/* SPDX-License-Identifier: Apache-2.0
 *
 * What another broker says: first who it is, then answers. Frames are taken from where
 * they were read to; whoever wants to keep a payload keeps the chunk that it lies in. */
#include "broker/io/link.h"

#include "proto/base/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    READS_PER_TURN = 16,
    ROOM_LEAST = 16 * 1024, /* less is not worth a system call */
    ARENA_BYTES = 64 * 1024,
    REFUSAL_TEXT = 200,
};

/* ---- the greeting --------------------------------------------------------------------
 */

static const char *check_hello(struct link *l, const Leat__HelloResponse *h)
{
    struct acquaintance *a = &l->acquaintance;

    if (h->cluster_id.len != UUID_BYTES ||
        memcmp(h->cluster_id.data, a->cluster_id.id, UUID_BYTES) != 0)
        return "it belongs to another cluster (the cluster ids differ: do all nodes have "
               "the same secret?)";
    if (l->to >= 0 && h->node_id != l->to)
        return "another broker answers there: is its node.id right in 'controllers'?";
    if (h->nonce.len != NONCE_BYTES)
        return "it wants no other broker: it has no cluster secret";
    memcpy(a->listener_nonce, h->nonce.data, NONCE_BYTES);
    a->listener = h->node_id;
    if (!secret_check(l->peers->o.secret, a, SPEAKER_LISTENER, h->proof.data,
                      h->proof.len))
        return "it has another cluster secret";
    return NULL;
}

static void take_refusal(struct link *l, struct bytes header)
{
    const Leat__ErrorResponse *e;
    char why[REFUSAL_TEXT] = "it refuses us";
    struct arena arena;
    ProtobufCMessage *m;

    arena_init(&arena, ARENA_BYTES);
    if (!rpc_unpack(&leat__error_response__descriptor, header, &arena, &m)) {
        e = (const Leat__ErrorResponse *)(const void *)m;
        snprintf(why, sizeof why, "it refuses us: %s", e->error_message);
    }
    arena_release(&arena);
    link_break(l, STATUS_UNREACHABLE, why);
}

static void take_hello(struct link *l, struct bytes header)
{
    const char *why = "its answer to HELLO makes no sense";
    struct arena arena;
    ProtobufCMessage *m;

    arena_init(&arena, ARENA_BYTES);
    if (!rpc_unpack(&leat__hello_response__descriptor, header, &arena, &m))
        why = check_hello(l, (const Leat__HelloResponse *)(const void *)m);
    arena_release(&arena);
    if (why == NULL)
        link_prove(l);
    else
        link_break(l, STATUS_UNREACHABLE, why);
}

static void take_greeting(struct link *l, const struct frame *f, struct bytes header)
{
    if (f->flags & FRAME_ERROR)
        take_refusal(l, header);
    else if (l->state == LINK_GREETING && f->api == RPC_HELLO)
        take_hello(l, header);
    else if (l->state == LINK_PROVING && f->api == RPC_PEER_PROOF)
        link_open_up(l);
    else
        link_break(l, STATUS_UNREACHABLE, "it answers what it was not asked");
}

/* ---- answers -------------------------------------------------------------------------
 */

static struct outgoing *find(struct link *l, const struct frame *f)
{
    struct outgoing *out;

    TAILQ_FOREACH (out, &l->asked, link)
        if (out->correlation == f->correlation)
            return (enum rpc_api)f->api == out->call->api ? out : NULL;
    return NULL;
}

static void end_refused(struct peers *p, struct outgoing *out, struct bytes header)
{
    const struct bytes nothing = {0};
    const struct slice none = {0};
    const Leat__ErrorResponse *e;
    struct arena arena;
    ProtobufCMessage *m;

    arena_init(&arena, ARENA_BYTES);
    if (rpc_unpack(&leat__error_response__descriptor, header, &arena, &m)) {
        outgoing_end(p, out, STATUS_UNKNOWN, "", nothing, none);
    } else {
        e = (const Leat__ErrorResponse *)(const void *)m;
        outgoing_end(p, out, e->error ? (enum status)e->error : STATUS_UNKNOWN,
                     e->error_message, nothing, none);
    }
    arena_release(&arena);
}

static void take_answer(struct link *l, const struct frame *f, struct bytes header,
                        struct slice payload)
{
    struct outgoing *out = find(l, f);

    if (out == NULL)
        return; /* it came too late */
    l->backoff_ms = LINK_BACKOFF_LEAST_MS;
    TAILQ_REMOVE(&l->asked, out, link);
    if (f->flags & FRAME_ERROR)
        end_refused(l->peers, out, header);
    else
        outgoing_end(l->peers, out, STATUS_OK, "", header, payload);
}

/* ---- bytes ---------------------------------------------------------------------------
 */

/* One frame; false when none is whole, or the link broke. */
static bool take_frame(struct link *l)
{
    size_t limit = l->state == LINK_OPEN ? LINK_FRAME_BYTES : LINK_GREETING_BYTES;
    const uint8_t *at = l->in->data + l->in_begin;
    size_t have = l->in_end - l->in_begin, bytes;
    struct slice payload = {0};
    struct bytes header;
    struct frame f;

    if (have < FRAME_HEAD)
        return false;
    if (frame_read(at, limit, &f) || !(f.flags & FRAME_RESPONSE)) {
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

static void take_preface(struct link *l)
{
    uint16_t version;

    if (l->in_end - l->in_begin < FRAME_PREFACE)
        return;
    if (preface_read(l->in->data + l->in_begin, &version) ||
        version != FRAME_PROTOCOL_VERSION) {
        link_break(l, STATUS_UNREACHABLE, "it does not speak our protocol");
        return;
    }
    l->in_begin += FRAME_PREFACE;
    l->greeted = true;
}

/* Of the frame in front, whose head take_frame has believed; 0: not known yet. */
static size_t whole_bytes(const struct link *l)
{
    if (!l->greeted || l->in_end - l->in_begin < FRAME_HEAD)
        return 0;
    return (size_t)load_u32(l->in->data + l->in_begin) + 4;
}

/* A large answer gets memory for all of it at once, so that it is copied but for its
 * beginning: who sends it has proved to be one of us. */
static bool make_room(struct link *l)
{
    size_t have = l->in_end - l->in_begin, whole = whole_bytes(l);
    size_t want = l->lane == LANE_BULK ? CHUNK_LARGE : CHUNK_SMALL;
    size_t room = l->in ? l->in->capacity - l->in_end : 0;
    struct buf *chunk;

    if (room >= ROOM_LEAST ||
        (whole > 0 && room > 0 && l->in_begin + whole <= l->in->capacity))
        return true;
    if (want < whole)
        want = whole;
    if (want < have + ROOM_LEAST)
        want = have + ROOM_LEAST;
    chunk = chunk_take(l->peers->chunks, want);
    if (chunk == NULL)
        return false;
    if (have > 0)
        memcpy(chunk->data, l->in->data + l->in_begin, have);
    if (l->in != NULL)
        buf_unref(l->in);
    l->in = chunk;
    l->in_begin = 0;
    l->in_end = have;
    return true;
}

/* False when there is nothing more to read, for now or for ever. */
static bool read_some(struct link *l)
{
    ssize_t n;

    if (!make_room(l)) {
        link_break(l, STATUS_UNREACHABLE, "there is no memory for its answer");
        return false;
    }
    n = recv(l->fd, l->in->data + l->in_end, l->in->capacity - l->in_end, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        l->readable = false;
        return false;
    }
    if (n <= 0) {
        link_break(l, STATUS_UNREACHABLE,
                   n < 0                   ? strerror(errno)
                   : l->state == LINK_OPEN ? "it has closed the connection"
                                           : "it closed the connection at once");
        return false;
    }
    l->in_end += (size_t)n;
    l->heard_ms = l->peers->now.mono_ms;
    return true;
}

void link_receive(struct link *l)
{
    for (int i = 0; i < READS_PER_TURN && read_some(l); i++) {
        if (!l->greeted)
            take_preface(l);
        while (l->fd >= 0 && l->greeted && take_frame(l)) {
        }
        if (l->fd < 0)
            return;
    }
    if (l->fd < 0)
        return;
    l->peers->noted |= l->readable;
    if (l->in_begin == l->in_end) {
        buf_unref(l->in);
        l->in = NULL;
        l->in_begin = l->in_end = 0;
    }
}
