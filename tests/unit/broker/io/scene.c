/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/io/scene.h"

#include "tests/unit/broker/io/fake_node.h"

#include "broker/io/log_sink.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int scene_connect(struct scene *t)
{
    int pair[2], small = 16 * 1024, before = t->peer;

    ck_assert_int_eq(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    t->peer = pair[1];
    t->got.len = 0;
    t->closed = false;
    t->set.now = t->now;
    atomic_fetch_add(&t->total, 1);
    connections_add(&t->set, pair[0], "10.0.0.7:51312");
    return before;
}

struct scene *scene_start(const char *buffer_bytes, const char *memory)
{
    struct scene *t = calloc(1, sizeof *t);
    struct connections_options o;
    char why[160];

    sink_init(STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    t->base = event_base_new();
    t->peer = -1;
    t->now = (struct instant){1000000, 1700000000000};
    t->node = fake_node_new();
    t->got = writer_growing();
    config_init(&t->config);
    ck_assert(!config_set(&t->config, bytes_of("connection.buffer.bytes"), buffer_bytes,
                          CONFIG_FROM_FLAG, why));
    ck_assert(!config_set(&t->config, bytes_of("memory.requests"), memory,
                          CONFIG_FROM_FLAG, why));
    o = (struct connections_options){.base = t->base,
                                     .node = t->node,
                                     .metrics = &t->metrics,
                                     .config = &t->config,
                                     .total = &t->total,
                                     .secret = &t->secret,
                                     .cluster_id = {{7}},
                                     .node_id = SCENE_NODE};
    connections_init(&t->set, &o);
    scene_connect(t);
    return t;
}

static void scene_turn(struct scene *t)
{
    event_base_loop(t->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    connections_run(&t->set, t->now);
    connections_flush(&t->set);
}

void scene_settle(struct scene *t)
{
    for (unsigned i = 0; i < 4; i++)
        do {
            scene_turn(t);
        } while (connections_are_runnable(&t->set));
}

void scene_read(struct scene *t)
{
    uint8_t piece[65536];
    ssize_t n;

    do {
        scene_settle(t);
        n = recv(t->peer, piece, sizeof piece, 0);
        if (n > 0)
            write_bytes(&t->got, piece, (size_t)n);
    } while (n > 0);
    t->closed |= n == 0;
}

bool scene_send(struct scene *t, const void *data, size_t len)
{
    const uint8_t *at = data;

    for (unsigned idle = 0; len > 0 && idle < 8;) {
        ssize_t n = send(t->peer, at, len, MSG_NOSIGNAL);

        idle = n > 0 ? 0 : idle + 1;
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        scene_settle(t);
    }
    t->rest = (struct bytes){at, len};
    return len == 0;
}

void scene_stop(struct scene *t)
{
    fake_node_let_go(t->node, SIZE_MAX);
    connections_drop(&t->set);
    ck_assert(connections_are_drained(&t->set));
    ck_assert_uint_eq(t->set.held, 0);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    connections_release(&t->set);
    fake_node_free(t->node);
    config_release(&t->config);
    event_base_free(t->base);
    writer_release(&t->got);
    close(t->peer);
    free(t);
}

void scene_pass(struct scene *t, int64_t ms)
{
    t->now.mono_ms += ms;
    connections_sweep(&t->set, t->now);
    scene_settle(t);
}

/* ---- what a peer says ----------------------------------------------------------------
 */

void say_preface(struct writer *w)
{
    uint8_t preface[FRAME_PREFACE];

    preface_write(preface, FRAME_PROTOCOL_VERSION);
    write_bytes(w, preface, sizeof preface);
}

void say(struct writer *w, enum rpc_api api, unsigned flags, uint32_t correlation,
         const ProtobufCMessage *header, size_t payload)
{
    size_t bytes = rpc_packed_size(header);
    struct frame f = {
        .length = (uint32_t)(FRAME_HEAD - 4 + bytes + payload),
        .api = (uint16_t)api,
        .flags = (uint16_t)flags,
        .correlation = correlation,
        .header_bytes = (uint32_t)bytes,
    };
    uint8_t head[FRAME_HEAD], *at;

    frame_write(head, &f);
    write_bytes(w, head, sizeof head);
    rpc_pack(header, w);
    at = write_reserve(w, payload);
    for (size_t i = 0; i < payload; i++)
        at[i] = (uint8_t)(i * 7);
}

void say_hello(struct writer *w)
{
    Leat__HelloRequest hello = LEAT__HELLO_REQUEST__INIT;

    hello.client_id = (char *)(uintptr_t) "tester";
    say_preface(w);
    say(w, RPC_HELLO, 0, 1, &hello.base, 0);
}

void say_metadata(struct writer *w, uint32_t correlation)
{
    Leat__MetadataRequest q = LEAT__METADATA_REQUEST__INIT;

    say(w, RPC_METADATA, 0, correlation, &q.base, 0);
}

void say_produce(struct writer *w, uint32_t correlation, size_t payload)
{
    Leat__ProduceRequest q = LEAT__PRODUCE_REQUEST__INIT;

    say(w, RPC_PRODUCE, 0, correlation, &q.base, payload);
}

void say_fetch(struct writer *w, uint32_t correlation, uint32_t bytes)
{
    Leat__FetchRequest q = LEAT__FETCH_REQUEST__INIT;

    q.max_bytes = bytes;
    say(w, RPC_FETCH, 0, correlation, &q.base, 0);
}

/* ---- what a peer hears ---------------------------------------------------------------
 */

struct heard scene_heard(struct scene *t)
{
    struct heard h = {0};
    size_t at = FRAME_PREFACE;
    uint16_t version;

    ck_assert_uint_ge(t->got.len, FRAME_PREFACE);
    ck_assert(!preface_read(t->got.data, &version));
    while (t->got.len - at >= FRAME_HEAD) {
        struct frame f;

        ck_assert(!frame_read(t->got.data + at, SIZE_MAX, &f));
        ck_assert(f.flags & FRAME_RESPONSE);
        if (t->got.len - at < (size_t)f.length + 4)
            break;
        if (f.flags & FRAME_ERROR) {
            Leat__ErrorResponse *e = leat__error_response__unpack(
                NULL, f.header_bytes, t->got.data + at + FRAME_HEAD);

            h.last_error = e->error;
            leat__error_response__free_unpacked(e, NULL);
            h.errors++;
        }
        h.answers++;
        h.last_header = (struct bytes){t->got.data + at + FRAME_HEAD, f.header_bytes};
        h.last_correlation = f.correlation;
        h.payload += frame_payload_bytes(&f);
        at += (size_t)f.length + 4;
    }
    h.whole = at == t->got.len;
    return h;
}
