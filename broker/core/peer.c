/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to other brokers, and to this one in their place: the controller may be here
 * or elsewhere, and whoever asks it need not care. */
#include "broker/core/node_state.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 64 * 1024, ARENA_FACTOR = 64 };

struct self_call {
    struct request request;
    struct errand errand; /* so that nothing is handled inside node_call */
    struct peer_call *call;
    struct writer packed;
};

static void self_free(struct self_call *s)
{
    struct request *r = &s->request;

    for (size_t i = 0; i < r->slice_count; i++)
        slice_release(&r->slices[i]);
    arena_release(&r->arena);
    writer_release(&s->packed);
    free(s);
}

/* The answer's slices become one, as they would on the wire. */
static struct slice join(const struct request *r)
{
    size_t bytes = 0, at = 0;
    struct buf *buf;
    struct slice all;

    for (size_t i = 0; i < r->slice_count; i++)
        bytes += r->slices[i].len;
    if (bytes == 0)
        return (struct slice){0};
    buf = buf_new(bytes);
    CHECK(buf != NULL);
    for (size_t i = 0; i < r->slice_count; i++) {
        memcpy(buf->data + at, r->slices[i].data, r->slices[i].len);
        at += r->slices[i].len;
    }
    all = slice_of(buf, buf->data, bytes);
    buf_unref(buf);
    return all;
}

static void self_finished(struct request *r)
{
    struct self_call *s = container_of(r, struct self_call, request);
    struct peer_call *c = s->call;
    struct slice payload = {0};

    c->status = r->status;
    c->message = r->message ? r->message : "";
    c->answer = (struct bytes){0};
    s->packed.len = 0;
    if (!r->status) {
        rpc_pack(r->answer, &s->packed);
        CHECK(!writer_status(&s->packed));
        c->answer = (struct bytes){s->packed.data, s->packed.len};
        payload = join(r);
    }
    c->payload = payload;
    c->done(c); /* and perhaps free it */
    slice_release(&payload);
    self_free(s);
}

static void self_run(struct node *n, struct errand *e)
{
    struct self_call *s = container_of(e, struct self_call, errand);

    node_request(n, &s->request, n->now);
}

static void call_self(struct node *n, struct peer_call *c)
{
    struct self_call *s = must_zalloc(sizeof *s);
    struct request *r = &s->request;
    ProtobufCMessage *m;

    s->call = c;
    s->packed = writer_growing();
    rpc_pack(c->header, &s->packed);
    CHECK(!writer_status(&s->packed));
    arena_init(&r->arena, ARENA_BYTES + ARENA_FACTOR * s->packed.len);
    r->row = rpc_api_row((uint16_t)c->api);
    CHECK(!rpc_unpack(r->row->request, (struct bytes){s->packed.data, s->packed.len},
                      &r->arena, &m));
    r->header = m;
    r->client_id = "self";
    r->host = "self";
    r->peer = n->o.node_id;
    r->arrived = n->now;
    r->finished = self_finished;
    s->errand.run = self_run;
    errand_send(n, n->o.shard, &s->errand);
}

void node_call(struct node *n, struct peer_call *c)
{
    if (c->to == n->o.node_id)
        call_self(n, c);
    else
        n->o.wire->call(n->o.wire, c);
}
