/* SPDX-License-Identifier: Apache-2.0
 *
 * The native language: a preface, then frames whose header is a protobuf message and
 * whose payload is handed on as it lies. */
#include "broker/io/connection.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/rpc/frame.h"

#include <stdio.h>
#include <string.h>

enum {
    /* What a header may decode into, beyond a multiple of its own size. */
    ARENA_BYTES = 16 * 1024 * 1024,
    ARENA_FACTOR = 16,
};

static enum protocol_match native_match(const uint8_t *first, size_t len)
{
    uint8_t ours[FRAME_PREFACE];

    preface_write(ours, FRAME_PROTOCOL_VERSION);
    for (size_t i = 0; i < len && i < FRAME_PREFACE; i++)
        if (i != 4 && i != 5 && first[i] != ours[i])
            return MATCH_NO;
    return len < FRAME_PREFACE ? MATCH_MAYBE : MATCH_YES;
}

/* One frame into the output: head and header in one piece, the payload as it lies. */
static void put_frame(struct connection *c, const struct frame *ask, unsigned flags,
                      const ProtobufCMessage *header, struct slice *slices, size_t count)
{
    size_t header_bytes = rpc_packed_size(header);
    size_t payload = 0;
    struct frame f = *ask;
    struct writer w;
    uint8_t *at;

    for (size_t i = 0; i < count; i++)
        payload += slices[i].len;
    f.flags = (uint16_t)(FRAME_RESPONSE | flags);
    f.header_bytes = (uint32_t)header_bytes;
    f.length = (uint32_t)(FRAME_HEAD - 4 + header_bytes + payload);
    at = output_reserve(&c->out, FRAME_HEAD + header_bytes);
    frame_write(at, &f);
    w = writer_fixed(at + FRAME_HEAD, header_bytes);
    rpc_pack(header, &w);
    CHECK(!w.failed);
    for (size_t i = 0; i < count; i++)
        output_slice(&c->out, &slices[i]);
    connection_touch(c);
}

static void put_error(struct connection *c, const struct frame *ask, enum status status,
                      const char *message)
{
    Leat__ErrorResponse e = LEAT__ERROR_RESPONSE__INIT;

    e.error = status;
    e.error_message = (char *)(uintptr_t)(message ? message : status_text(status));
    if ((ask->flags & FRAME_ONE_WAY) == 0)
        put_frame(c, ask, FRAME_ERROR, &e.base, NULL, 0);
}

/* ---- other brokers -------------------------------------------------------------------
 */

/* A broker greets: it wants to know that we are one, too. Until it has proved itself it
 * is still greeting. False: it is refused. */
static bool meet(struct connection *c, const struct frame *f,
                 const Leat__HelloRequest *hello)
{
    struct acquaintance *a;

    if (c->set->o.secret->len == 0 || hello->nonce.len != NONCE_BYTES ||
        hello->node_id <= 0 || hello->node_id == c->set->o.node_id) {
        put_error(c, f, STATUS_CLUSTER_AUTHORIZATION_FAILED,
                  c->set->o.secret->len == 0
                      ? "this broker has no cluster secret: it is alone"
                      : "a broker greets with 32 random bytes and a node id of its own");
        connection_finish(c, "it is no broker of our cluster");
        return false;
    }
    a = c->acquaintance = must_zalloc(sizeof *a);
    memcpy(a->caller_nonce, hello->nonce.data, NONCE_BYTES);
    secret_nonce(a->listener_nonce);
    a->caller = hello->node_id;
    a->listener = c->set->o.node_id;
    a->cluster_id = c->set->o.cluster_id;
    return true;
}

/* Our part of the proof rides in the answer to HELLO. */
static void put_hello(struct connection *c, const struct frame *ask,
                      Leat__HelloResponse *hello)
{
    uint8_t proof[PROOF_BYTES];

    secret_prove(c->set->o.secret, c->acquaintance, SPEAKER_LISTENER, proof);
    hello->nonce = (ProtobufCBinaryData){NONCE_BYTES, c->acquaintance->listener_nonce};
    hello->proof = (ProtobufCBinaryData){PROOF_BYTES, proof};
    put_frame(c, ask, 0, &hello->base, NULL, 0);
}

static void take_proof(struct connection *c, const struct frame *f,
                       const Leat__PeerProofRequest *q)
{
    Leat__PeerProofResponse answer = LEAT__PEER_PROOF_RESPONSE__INIT;
    const struct acquaintance *a = c->acquaintance;

    if (a == NULL ||
        !secret_check(c->set->o.secret, a, SPEAKER_CALLER, q->proof.data, q->proof.len)) {
        put_error(c, f, STATUS_CLUSTER_AUTHORIZATION_FAILED,
                  "the proof is wrong: do all brokers have the same secret?");
        connection_finish(c, "it claims to be a broker and cannot prove it");
        return;
    }
    c->peer = a->caller;
    c->state = CONNECTION_OPEN;
    put_frame(c, f, 0, &answer.base, NULL, 0);
}

/* ---- answers -------------------------------------------------------------------------
 */

static void native_answer(struct connection *c, struct call *call)
{
    struct request *r = &call->request;
    const struct frame ask = {.api = r->row->api, .correlation = call->correlation};

    if (r->one_way)
        return;
    if (r->status)
        put_error(c, &ask, r->status, r->message);
    else if (r->row->api == RPC_HELLO && c->acquaintance != NULL)
        put_hello(c, &ask, (Leat__HelloResponse *)(void *)r->answer);
    else
        put_frame(c, &ask, 0, r->answer, r->slices, r->slice_count);
}

static size_t take_preface(struct connection *c, struct input in, size_t *whole)
{
    uint16_t version;

    if (in.len < FRAME_PREFACE) {
        *whole = FRAME_PREFACE;
        return 0;
    }
    CHECK(!preface_read(in.data, &version));
    preface_write(output_reserve(&c->out, FRAME_PREFACE), FRAME_PROTOCOL_VERSION);
    connection_touch(c);
    c->state = CONNECTION_GREETING;
    if (version != FRAME_PROTOCOL_VERSION) {
        char text[96];
        const struct frame nobody = {.api = RPC_HELLO};

        snprintf(text, sizeof text, "this broker speaks version %d of the protocol",
                 FRAME_PROTOCOL_VERSION);
        put_error(c, &nobody, STATUS_UNSUPPORTED_VERSION, text);
        connection_finish(c, "it speaks another version of the protocol");
    }
    return FRAME_PREFACE;
}

/* The head of a frame; false when it is not all there, or when the stream is lost. */
static bool read_head(struct connection *c, struct input in, struct frame *f)
{
    bool greeting = c->state == CONNECTION_GREETING;
    size_t limit = greeting ? CONNECTION_GREETING_BYTES : c->set->frame_max;
    char text[96];
    enum status st;

    if (in.len < FRAME_HEAD)
        return false;
    st = frame_read(in.data, limit, f);
    if (!st && (f->flags & (FRAME_RESPONSE | FRAME_ERROR)) == 0)
        return true;
    if (st == STATUS_FRAME_TOO_LARGE) {
        /* Its head can be believed, so the peer may learn why. */
        *f = (struct frame){.api = load_u16(in.data + 4),
                            .correlation = load_u32(in.data + 8)};
        snprintf(text, sizeof text, "a frame may have %zu bytes, this one has %u", limit,
                 load_u32(in.data));
        put_error(c, f, st, text);
        connection_finish(c, "a frame is larger than it may be");
    } else {
        connection_finish(c, "a frame's head makes no sense");
    }
    return false;
}

/* The first request must be HELLO, and no other may be; a broker's second is its proof.
 */
static bool greeting_is_kept(struct connection *c, const struct frame *f)
{
    bool greeting = c->state == CONNECTION_GREETING;

    if (greeting && c->acquaintance == NULL && f->api != RPC_HELLO) {
        put_error(c, f, STATUS_INVALID_REQUEST,
                  "the first request of a connection must be HELLO");
        connection_finish(c, "its first request is not HELLO");
        return false;
    }
    if (greeting && c->acquaintance != NULL && f->api != RPC_PEER_PROOF) {
        put_error(c, f, STATUS_CLUSTER_AUTHORIZATION_FAILED,
                  "a broker proves first that it is one");
        connection_finish(c, "it claims to be a broker and does not prove it");
        return false;
    }
    if (!greeting && f->api == RPC_HELLO) {
        put_error(c, f, STATUS_INVALID_REQUEST, "HELLO was said already");
        return false;
    }
    if (!greeting && f->api >= RPC_PEER_PROOF && c->peer < 0 &&
        rpc_api_row(f->api) != NULL) {
        put_error(c, f, STATUS_CLUSTER_AUTHORIZATION_FAILED, NULL);
        return false;
    }
    return true;
}

/* The last places are kept for the brokers (listener.h). */
static bool has_place(struct connection *c, const struct frame *f)
{
    int64_t max = config_number(c->set->o.config, CONFIG_CONNECTIONS_MAX);

    if (atomic_load(c->set->o.total) <= max)
        return true;
    put_error(c, f, STATUS_THROTTLED, "there are connections.max already");
    connection_finish(c, "there are connections.max already");
    return false;
}

/* False: it is refused. */
static bool greet(struct connection *c, const struct frame *f,
                  const ProtobufCMessage *header)
{
    const Leat__HelloRequest *hello = (const Leat__HelloRequest *)(const void *)header;

    snprintf(c->client_id, sizeof c->client_id, "%s", hello->client_id);
    if (hello->nonce.len > 0)
        return meet(c, f, hello);
    if (!has_place(c, f))
        return false;
    c->state = CONNECTION_OPEN;
    return true;
}

static void ask(struct connection *c, const struct frame *f, struct input in)
{
    const struct bytes header = {in.data + FRAME_HEAD, f->header_bytes};
    const struct rpc_api_row *row = rpc_api_row(f->api);
    struct call *call;
    struct request *r;
    ProtobufCMessage *m;

    if (row == NULL) {
        put_error(c, f, STATUS_UNKNOWN_API, NULL);
        return;
    }
    call = connection_call(c);
    r = &call->request;
    arena_init(&r->arena, ARENA_BYTES + ARENA_FACTOR * (size_t)f->header_bytes);
    if (rpc_unpack(row->request, header, &r->arena, &m)) {
        put_error(c, f, STATUS_INVALID_REQUEST,
                  "the header is not this request's message");
        connection_forget(c, call);
        return;
    }
    if (row->api == RPC_PEER_PROOF) {
        take_proof(c, f, (const Leat__PeerProofRequest *)(const void *)m);
        connection_forget(c, call);
        return;
    }
    if (row->api == RPC_HELLO && !greet(c, f, m)) {
        connection_forget(c, call);
        return;
    }
    call->correlation = f->correlation;
    r->row = row;
    r->header = m;
    r->peer = c->peer;
    r->one_way = (f->flags & FRAME_ONE_WAY) != 0;
    if (frame_payload_bytes(f) > 0)
        r->payload = slice_of(in.chunk, header.data + header.len, frame_payload_bytes(f));
    connection_ask(c, call, FRAME_HEAD + frame_payload_bytes(f));
}

static size_t native_take(struct connection *c, struct input in, size_t *whole)
{
    struct frame f;
    size_t bytes;

    if (c->state == CONNECTION_NEW)
        return take_preface(c, in, whole);
    if (!read_head(c, in, &f))
        return 0;
    bytes = (size_t)f.length + 4;
    if (in.len < bytes) {
        *whole = bytes;
        return 0;
    }
    if (greeting_is_kept(c, &f))
        ask(c, &f, in);
    return bytes;
}

const struct protocol native_protocol = {
    .name = "native",
    .match = native_match,
    .take = native_take,
    .answer = native_answer,
};
