/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_wire.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/record/batch.h"
#include "tests/support/fake_store.h"
#include "tests/support/message_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_TURNS = 64 };

struct shard {
    struct wire wire;
    struct fake_wire *owner;
    struct node *node;
    struct disk *disk;
    struct metrics metrics;
    struct errand *inbox;
    struct errand **inbox_last;
};

struct numbered {
    struct request request;
    unsigned number;
};

struct fake_wire {
    struct fake_media *media;
    struct fake_wire_place place;
    int32_t asker; /* -1: a client */
    struct config config;
    struct shard shards[SHARDS_MAX];
    unsigned count;
    struct instant now;
    unsigned lives; /* how often a broker was opened */
    unsigned asked, answered;
    struct numbered *newest;
    struct writer said;
    char failure[128];
};

static void write_batches(struct fake_wire *w, const struct slice *s)
{
    struct bytes data = {s->data, s->len};
    struct batch b;

    for (; data.len > 0; data = (struct bytes){data.data + b.size, data.len - b.size}) {
        CHECK(!batch_parse(data, &b));
        CHECK(batch_checksum_ok(&b, data));
        write_format(&w->said, " [%" PRId64 "..%" PRId64 "]", b.base_offset,
                     batch_next_offset(&b) - 1);
    }
}

static void free_request(struct numbered *n)
{
    struct request *r = &n->request;

    for (size_t i = 0; i < r->slice_count; i++)
        slice_release(&r->slices[i]);
    slice_release(&r->payload);
    arena_release(&r->arena);
    free(n);
}

static void answer(struct wire *wire, struct request *r)
{
    struct fake_wire *w = container_of(wire, struct shard, wire)->owner;
    struct numbered *n = container_of(r, struct numbered, request);

    CHECK(r->node == container_of(wire, struct shard, wire)->node);
    w->answered++;
    write_format(&w->said, "%s#%u: ", r->row->name, n->number);
    if (r->status)
        write_format(&w->said, "%s%s%s", status_name(r->status), r->message ? ", " : "",
                     r->message ? r->message : "");
    else
        message_text(r->answer, &w->said);
    for (size_t i = 0; !r->status && i < r->slice_count; i++)
        write_batches(w, &r->slices[i]);
    write_text(&w->said, "\n");
    if (w->newest != NULL)
        free_request(w->newest);
    w->newest = n;
}

static void post(struct wire *wire, unsigned shard, struct errand *e)
{
    struct shard *to = &container_of(wire, struct shard, wire)->owner->shards[shard];

    CHECK(shard < to->owner->count);
    e->link = NULL;
    *to->inbox_last = e;
    to->inbox_last = &e->link;
}

static void call(struct wire *wire, struct peer_call *c)
{
    struct fake_wire *w = container_of(wire, struct shard, wire)->owner;

    CHECK(w->place.call != NULL); /* a broker alone has nobody to call */
    w->place.call(w->place.ctx, c);
}

static void on_failed(void *ctx, enum status status, const char *what)
{
    struct fake_wire *w = ctx;

    CHECK(w->failure[0] == '\0');
    snprintf(w->failure, sizeof w->failure, "%s: %s", what, status_name(status));
}

struct fake_wire *fake_wire_new(unsigned shards)
{
    return fake_wire_new_at(shards, &(struct fake_wire_place){.node_id = 1, .rack = ""});
}

struct fake_wire *fake_wire_new_at(unsigned shards, const struct fake_wire_place *place)
{
    struct fake_wire *w = must_zalloc(sizeof *w);

    CHECK(shards <= SHARDS_MAX);
    w->place = *place;
    w->asker = -1;
    w->media = fake_media_new();
    w->count = shards;
    w->now = (struct instant){1000, 1700000000000};
    w->said = writer_growing();
    for (unsigned i = 0; i < shards; i++) {
        w->shards[i].wire = (struct wire){answer, post, call};
        w->shards[i].owner = w;
        w->shards[i].disk = fake_media_disk(w->media);
        w->shards[i].inbox_last = &w->shards[i].inbox;
    }
    fake_wire_open(w);
    return w;
}

void fake_wire_free(struct fake_wire *w)
{
    fake_wire_close(w);
    for (unsigned i = 0; i < w->count; i++)
        fake_media_disk_free(w->shards[i].disk);
    if (w->newest != NULL)
        free_request(w->newest);
    writer_release(&w->said);
    fake_media_free(w->media);
    free(w);
}

static bool turn(struct fake_wire *w, bool with_disk)
{
    bool moved = false;
    unsigned answered = w->answered;

    for (unsigned i = 0; i < w->count; i++) {
        struct shard *s = &w->shards[i];

        if (with_disk)
            moved |= disk_poll(s->disk, false) > 0;
        while (s->inbox != NULL) {
            struct errand *e = s->inbox;

            s->inbox = e->link;
            if (s->inbox == NULL)
                s->inbox_last = &s->inbox;
            node_errand(s->node, e, w->now);
            moved = true;
        }
        node_tick(s->node, w->now);
        node_turn_end(s->node, w->now);
    }
    return moved || w->answered != answered;
}

bool fake_wire_step(struct fake_wire *w)
{
    return turn(w, true);
}

void fake_wire_clock(struct fake_wire *w, struct instant now)
{
    w->now = now;
}

struct instant fake_wire_now(const struct fake_wire *w)
{
    return w->now;
}

void fake_wire_turn(struct fake_wire *w)
{
    while (turn(w, false))
        ;
}

void fake_wire_run(struct fake_wire *w)
{
    /* Disks may take their time: quiet is what stays quiet. */
    for (int quiet = 0; quiet < QUIET_TURNS; quiet++)
        if (turn(w, true))
            quiet = 0;
}

void fake_wire_pass_ms(struct fake_wire *w, int64_t ms)
{
    w->now.mono_ms += ms;
    w->now.wall_ms += ms;
    fake_wire_run(w);
}

static enum status open_shard(struct fake_wire *w, unsigned i, char why[static 256])
{
    struct shard *s = &w->shards[i];
    const struct node_options o = {
        .config = &w->config,
        .cluster_id = {{1, 2, 3}},
        .node_id = w->place.node_id,
        .shard = i,
        .shards = w->count,
        .directory = {{4, 5, (uint8_t)w->place.node_id}},
        .incarnation = {{7, (uint8_t)w->lives, (uint8_t)w->place.node_id}},
        .at = {"localhost", (uint16_t)(9091 + w->place.node_id)},
        .rack = w->place.rack,
        .bootstrap = w->place.controllers,
        .bootstrap_count = w->place.controller_count,
        .seed = 42, /* the same after each restart: the worst case */
        .disk = s->disk,
        .wire = &s->wire,
        .metrics = &s->metrics,
        .on_failed = on_failed,
        .ctx = w,
    };

    return node_open(&s->node, &o, i == 0 ? NULL : node_image(w->shards[0].node), w->now,
                     why);
}

static void begin(struct fake_wire *w)
{
    w->failure[0] = '\0';
    w->lives++;
    config_init(&w->config);
}

void fake_wire_open(struct fake_wire *w)
{
    char why[256];

    fake_media_recover(w->media);
    begin(w);
    for (unsigned i = 0; i < w->count; i++)
        CHECK(!open_shard(w, i, why));
    /* It elects itself and takes itself in. */
    fake_wire_run(w);
}

static void end(struct fake_wire *w, bool cleanly)
{
    for (unsigned i = 0; i < w->count; i++)
        node_stop(w->shards[i].node, w->now);
    do {
        fake_wire_run(w);
    } while (w->place.hang_up != NULL && w->place.hang_up(w->place.ctx));
    for (unsigned i = 0; i < w->count; i++) {
        enum status st = node_close(w->shards[i].node);

        CHECK(!cleanly || !st);
    }
    CHECK(w->asked == w->answered);
    config_release(&w->config);
}

void fake_wire_close(struct fake_wire *w)
{
    fake_media_mood(w->media)->held = false;
    end(w, true);
}

void fake_wire_break(struct fake_wire *w)
{
    end(w, false);
}

bool fake_wire_try(struct fake_wire *w, char why[static 256])
{
    enum status st;

    CHECK(w->count == 1);
    begin(w);
    st = open_shard(w, 0, why);
    if (st)
        config_release(&w->config);
    else
        end(w, false);
    return !st;
}

void fake_wire_ask(struct fake_wire *w, unsigned shard, enum rpc_api api,
                   const ProtobufCMessage *header, struct bytes payload)
{
    struct numbered *n = must_zalloc(sizeof *n);
    struct request *r = &n->request;
    struct writer packed = writer_growing();
    ProtobufCMessage *unpacked;
    struct buf *buf = buf_new(payload.len);

    n->number = ++w->asked;
    rpc_pack(header, &packed);
    arena_init(&r->arena, 16 * 1024 * 1024);
    r->row = rpc_api_row((uint16_t)api);
    CHECK(!rpc_unpack(r->row->request, (struct bytes){packed.data, packed.len}, &r->arena,
                      &unpacked));
    r->header = unpacked;
    if (payload.len > 0)
        memcpy(buf->data, payload.data, payload.len);
    r->payload = slice_of(buf, buf->data, payload.len);
    buf_unref(buf);
    r->client_id = "test";
    r->peer = w->asker;
    r->host = "127.0.0.1:1";
    r->arrived = w->now;
    writer_release(&packed);
    node_request(w->shards[shard].node, r, w->now);
}

void fake_wire_pose_as(struct fake_wire *w, int32_t peer)
{
    w->asker = peer;
}

const char *fake_wire_said(struct fake_wire *w)
{
    static char text[65536];

    CHECK(w->said.len < sizeof text);
    if (w->said.len > 0)
        memcpy(text, w->said.data, w->said.len);
    text[w->said.len] = '\0';
    w->said.len = 0;
    return text;
}

unsigned fake_wire_open_requests(const struct fake_wire *w)
{
    return w->asked - w->answered;
}

struct node *fake_wire_node(struct fake_wire *w, unsigned shard)
{
    return w->shards[shard].node;
}

struct config *fake_wire_config(struct fake_wire *w)
{
    return &w->config;
}

struct metrics *fake_wire_metrics(struct fake_wire *w, unsigned shard)
{
    return &w->shards[shard].metrics;
}

struct fake_media *fake_wire_media(struct fake_wire *w)
{
    return w->media;
}

const ProtobufCMessage *fake_wire_answer(const struct fake_wire *w)
{
    return w->newest->request.answer;
}

const char *fake_wire_failure(const struct fake_wire *w)
{
    return w->failure;
}
