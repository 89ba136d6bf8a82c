/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/io/fake_node.h"

#include "broker/io/connection.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct fake_node *fake_node(struct node *n)
{
    return (struct fake_node *)(void *)n;
}

struct node *fake_node_new(void)
{
    struct fake_node *f = must_zalloc(sizeof *f);

    TAILQ_INIT(&f->kept);
    f->fetchable = buf_new(8 << 20);
    memset(f->fetchable->data, 'f', f->fetchable->capacity);
    return (struct node *)(void *)f;
}

void fake_node_free(struct node *n)
{
    struct fake_node *f = fake_node(n);

    CHECK(TAILQ_EMPTY(&f->kept));
    buf_unref(f->fetchable);
    free(f);
}

static void fill(struct fake_node *f, struct request *r, size_t bytes)
{
    r->slices = arena_alloc(&r->arena, sizeof *r->slices);
    r->slices[0] = slice_of(f->fetchable, f->fetchable->data, bytes);
    r->slice_count = 1;
}

static void introduce(struct fake_node *f, Leat__HelloResponse *hello)
{
    static uint8_t cluster[UUID_BYTES] = {7};

    hello->cluster_id = (ProtobufCBinaryData){UUID_BYTES, cluster};
    hello->node_id = f->node_id;
}

static void answer(struct fake_node *f, struct request *r)
{
    ProtobufCMessage *a = arena_zalloc(&r->arena, r->row->response->sizeof_message);

    protobuf_c_message_init(r->row->response, a);
    r->answer = a;
    if (r->row->api == RPC_FETCH)
        fill(f, r, ((const Leat__FetchRequest *)(const void *)r->header)->max_bytes);
    if (r->row->api == RPC_REPLICA_FETCH)
        fill(f, r,
             ((const Leat__ReplicaFetchRequest *)(const void *)r->header)->max_bytes);
    if (r->row->api == RPC_HELLO)
        introduce(f, (Leat__HelloResponse *)(void *)a);
    connection_answer(r);
}

static void refuse(struct request *r, enum status status, const char *message)
{
    r->status = status;
    r->message = message;
    connection_answer(r);
}

void fake_node_let_go(struct node *n, size_t count)
{
    struct fake_node *f = fake_node(n);

    while (count-- > 0 && !TAILQ_EMPTY(&f->kept)) {
        struct request *r = TAILQ_FIRST(&f->kept);

        TAILQ_REMOVE(&f->kept, r, link);
        f->kept_count--;
        answer(f, r);
    }
}

void node_request(struct node *n, struct request *r, struct instant now)
{
    struct fake_node *f = fake_node(n);

    f->asked++;
    f->payload_bytes += r->payload.len;
    f->peer = r->peer;
    if (r->row->api == RPC_PRODUCE || r->row->api == RPC_QUORUM_FETCH) {
        TAILQ_INSERT_TAIL(&f->kept, r, link);
        f->kept_count++;
    } else if (r->row->api == RPC_DELETE_TOPIC) {
        refuse(r, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "no topic is called so");
    } else if (r->row->api == RPC_BROKER_HEARTBEAT) {
        refuse(r, STATUS_STALE_BROKER_EPOCH, "you were somebody else before");
    } else {
        answer(f, r);
    }
}
