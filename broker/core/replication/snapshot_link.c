/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/replication/snapshot_link.h"

#include "broker/core/group/coordinator.h"
#include "broker/core/node_state.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/machine.h"

#include <stdlib.h>

enum { PIECE = 1024 * 1024, ASK_MS = 5000, ANSWER_BYTES = 4096, SIZE_MAX_ = 1 << 30 };

struct snapshot_link {
    struct node *node;
    bool busy;
    bool forgetting;
    struct uuid topic_id;
    int32_t number;
    struct peer_call call;
    int64_t offset; /* of the snapshot; 0: not known yet */
    struct writer content;
    struct machine_install install;
};

struct snapshot_link *snapshot_link_new(struct node *n)
{
    struct snapshot_link *s = must_zalloc(sizeof *s);

    s->node = n;
    return s;
}

void snapshot_link_free(struct snapshot_link *s)
{
    CHECK(!s->busy || s->forgetting);
    free(s);
}

bool snapshot_link_is_busy(const struct node *n, const struct partition *p)
{
    const struct snapshot_link *s = n->snapshot_link;

    return s != NULL && s->busy && p->number == s->number &&
           uuid_equal(p->topic_id, s->topic_id);
}

static void end(struct snapshot_link *s)
{
    writer_release(&s->content);
    s->busy = false;
}

void snapshot_link_turn(struct node *n)
{
    struct snapshot_link *s = n->snapshot_link;
    struct machine *m = coordinator_machine(n->coordinator);
    struct partition *p;
    bool over, begun;

    if (!s->forgetting || n->stopping)
        return;
    over = machine_forget(m, &begun);
    p = node_partition(n, s->topic_id, s->number);
    if (begun && p != NULL)
        partition_renewed(p, machine_log(m), 0);
    if (begun)
        n->group_log = machine_log(m);
    if (over)
        s->busy = s->forgetting = false;
}

void snapshot_link_forget(struct node *n, struct partition *p)
{
    struct snapshot_link *s = n->snapshot_link;

    if (s->busy)
        return;
    s->busy = s->forgetting = true;
    s->topic_id = p->topic_id;
    s->number = p->number;
    snapshot_link_turn(n);
}

static struct partition *target(const struct snapshot_link *s)
{
    struct partition *p = node_partition(s->node, s->topic_id, s->number);

    return p != NULL && p->machine != NULL && p->role == ROLE_FOLLOWER ? p : NULL;
}

static void on_installed(struct machine_install *i, enum status status)
{
    struct snapshot_link *s = container_of(i, struct snapshot_link, install);
    struct partition *p = node_partition(s->node, s->topic_id, s->number);

    if (status)
        node_log(s->node, LOG_LEVEL_ERROR, "snapshot_refused",
                 "a snapshot from broker %d cannot be used: %s", s->call.to,
                 status_text(status));
    else if (p != NULL)
        partition_renewed(p, machine_log(p->machine), i->offset);
    if (p != NULL && p->machine == coordinator_machine(s->node->coordinator))
        s->node->group_log = p->log;
    end(s);
}

static void ask(struct snapshot_link *s);

static enum status take(struct snapshot_link *s, const struct peer_call *c, bool *whole)
{
    const Leat__FetchSnapshotResponse *a;
    ProtobufCMessage *m;
    struct arena arena;
    enum status st;

    if (c->status)
        return c->status;
    arena_init(&arena, ANSWER_BYTES);
    st = rpc_unpack(&leat__fetch_snapshot_response__descriptor, c->answer, &arena, &m);
    a = (const void *)m;
    if (!st && (a->offset <= 0 || a->size > SIZE_MAX_ || c->payload.len == 0 ||
                s->content.len + c->payload.len > a->size ||
                (s->offset != 0 && s->offset != a->offset)))
        st = STATUS_CORRUPT;
    if (!st) {
        s->offset = a->offset;
        write_bytes(&s->content, c->payload.data, c->payload.len);
        st = writer_status(&s->content);
        *whole = s->content.len == a->size;
    }
    arena_release(&arena);
    return st;
}

static void on_piece(struct peer_call *c)
{
    struct snapshot_link *s = container_of(c, struct snapshot_link, call);
    struct partition *p = target(s);
    bool whole = false;

    if (take(s, c, &whole) || p == NULL || s->node->stopping) {
        end(s); /* the fetcher comes back */
    } else if (whole) {
        s->install.data = (struct bytes){s->content.data, s->content.len};
        s->install.done = on_installed;
        machine_install(p->machine, &s->install);
    } else {
        ask(s);
    }
}

static void ask(struct snapshot_link *s)
{
    Leat__FetchSnapshotRequest q = LEAT__FETCH_SNAPSHOT_REQUEST__INIT;

    q.topic_id = (ProtobufCBinaryData){UUID_BYTES, s->topic_id.id};
    q.partition = s->number;
    q.offset = s->offset;
    q.position = s->content.len;
    q.max_bytes = PIECE;
    s->call.header = &q.base;
    node_call(s->node, &s->call);
}

void snapshot_link_start(struct node *n, struct partition *p, int32_t from)
{
    struct snapshot_link *s = n->snapshot_link;
    const struct image_broker *b = image_broker(&n->image, from);

    CHECK(s != NULL); /* machines live on shard 0 */
    if (s->busy || b == NULL || n->stopping)
        return;
    s->busy = true;
    s->topic_id = p->topic_id;
    s->number = p->number;
    s->offset = 0;
    s->content = writer_growing();
    s->call = (struct peer_call){.to = b->node_id,
                                 .at = b->at,
                                 .api = RPC_FETCH_SNAPSHOT,
                                 .timeout_ms = ASK_MS,
                                 .done = on_piece};
    ask(s);
}
