/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/replication/fleet.h"

#include "broker/core/node_state.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTLE_MS = 1500, PORT_BEFORE = 9091 };

/* A call on its way: there, being handled, or back. */
struct carried {
    struct request request;
    struct peer_call *call; /* NULL: the asker does not wait any more */
    struct fleet *fleet;
    int32_t from, to;
    int64_t deadline_ms;
    enum { LOST, ON_ITS_WAY, HANDLED, ANSWERED } state;
    struct writer answer;
    struct writer payload;
    TAILQ_ENTRY(carried) link;
};

struct broker {
    struct fleet *fleet;
    int32_t node_id;
    struct fake_wire *wire;
    char rack[8];
    bool up;
};

struct fleet {
    struct broker brokers[FLEET_MAX + 1]; /* by node id */
    int32_t count;
    struct instant now;
    bool cut[FLEET_MAX + 1][FLEET_MAX + 1];
    TAILQ_HEAD(, carried) carried;
    fleet_forge *forge;
    int32_t forger;
    struct voter controller;
    unsigned turn; /* which shard gets the next request */
    unsigned shards;
    unsigned calls[256];
};

/* ---- the network ---------------------------------------------------------------------
 */

static void carried_free(struct carried *c)
{
    for (size_t i = 0; i < c->request.slice_count; i++)
        slice_release(&c->request.slices[i]);
    TAILQ_REMOVE(&c->fleet->carried, c, link);
    arena_release(&c->request.arena);
    writer_release(&c->answer);
    writer_release(&c->payload);
    free(c);
}

static void finished(struct request *r)
{
    struct carried *c = container_of(r, struct carried, request);

    c->state = ANSWERED;
    if (r->status)
        return;
    for (size_t i = 0; i < r->slice_count; i++)
        write_bytes(&c->payload, r->slices[i].data, r->slices[i].len);
    if (c->fleet->forge != NULL && c->to == c->fleet->forger &&
        r->row->api == RPC_REPLICA_FETCH)
        c->fleet->forge((Leat__ReplicaFetchResponse *)(void *)r->answer, &c->payload);
    rpc_pack(r->answer, &c->answer);
}

static bool passes(const struct carried *c)
{
    return !c->fleet->cut[c->from][c->to];
}

static void carry(void *ctx, struct peer_call *call)
{
    const struct broker *from = ctx;
    struct fleet *f = from->fleet;
    struct carried *c = must_zalloc(sizeof *c);
    struct writer packed = writer_growing();
    ProtobufCMessage *m;

    c->call = call;
    c->fleet = f;
    c->answer = writer_growing();
    c->payload = writer_growing();
    c->to = call->to >= 0 ? call->to : call->at.port - PORT_BEFORE;
    c->from = from->node_id;
    c->deadline_ms = f->now.mono_ms + call->timeout_ms;
    c->state = passes(c) ? ON_ITS_WAY : LOST;
    f->calls[call->api]++;
    rpc_pack(call->header, &packed);
    arena_init(&c->request.arena, 1 << 20);
    c->request.row = rpc_api_row((uint16_t)call->api);
    CHECK(!rpc_unpack(c->request.row->request, (struct bytes){packed.data, packed.len},
                      &c->request.arena, &m));
    c->request.header = m;
    c->request.client_id = "broker";
    c->request.host = "broker";
    c->request.peer = c->from;
    c->request.finished = finished;
    writer_release(&packed);
    TAILQ_INSERT_TAIL(&f->carried, c, link);
}

static void end_call(struct carried *c, enum status status)
{
    struct peer_call *call = c->call;
    struct slice payload = {0};
    struct buf *buf;

    c->call = NULL;
    call->status = status;
    call->message = "";
    call->answer = (struct bytes){c->answer.data, c->answer.len};
    if (!status && c->payload.len > 0) {
        buf = buf_new(c->payload.len);
        memcpy(buf->data, c->payload.data, c->payload.len);
        payload = slice_of(buf, buf->data, c->payload.len);
        buf_unref(buf);
    }
    node_clock(fake_wire_node(c->fleet->brokers[c->from].wire, 0), c->fleet->now);
    call->payload = payload;
    call->done(call); /* and perhaps free it */
    slice_release(&payload);
}

static bool hang_up(void *ctx)
{
    const struct broker *from = ctx;
    struct fleet *f = from->fleet;
    bool any = false;
    struct carried *c;

    TAILQ_FOREACH (c, &f->carried, link) {
        if (c->call == NULL || c->from != from->node_id)
            continue;
        end_call(c, STATUS_CLOSED);
        any = true;
    }
    return any;
}

static void deliver(struct fleet *f, struct carried *c)
{
    struct broker *to = &f->brokers[c->to];
    unsigned shard = f->turn++ % f->shards;

    if (!to->up) {
        c->state = ANSWERED;
        c->request.status = STATUS_UNREACHABLE;
        return;
    }
    c->state = HANDLED;
    c->request.arrived = f->now;
    node_request(fake_wire_node(to->wire, shard), &c->request, f->now);
}

static bool carry_on(struct fleet *f, struct carried *c)
{
    bool was_handled = c->state == HANDLED;

    if (c->state == ON_ITS_WAY)
        deliver(f, c);
    else if (c->state == ANSWERED && c->call != NULL && passes(c))
        end_call(c, c->request.status);
    else if (c->call != NULL && f->now.mono_ms >= c->deadline_ms)
        end_call(c, STATUS_TIMED_OUT);
    else
        was_handled = true;
    if (c->call == NULL && (c->state == ANSWERED || c->state == LOST)) {
        carried_free(c);
        return true;
    }
    return !was_handled;
}

static bool network_turn(struct fleet *f)
{
    bool moved = false;
    struct carried *c, *next;

    for (c = TAILQ_FIRST(&f->carried); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        moved |= carry_on(f, c);
    }
    return moved;
}

static void run(struct fleet *f)
{
    bool moved = true;

    while (moved) {
        moved = network_turn(f);
        for (int32_t id = 1; id <= f->count; id++)
            if (f->brokers[id].up)
                moved |= fake_wire_step(f->brokers[id].wire);
    }
}

void fleet_pass_ms(struct fleet *f, int64_t ms)
{
    while (ms-- > 0) {
        f->now.mono_ms++;
        f->now.wall_ms++;
        for (int32_t id = 1; id <= f->count; id++)
            fake_wire_clock(f->brokers[id].wire, f->now);
        run(f);
    }
}

void fleet_cut(struct fleet *f, int32_t a, int32_t b)
{
    f->cut[a][b] = f->cut[b][a] = true;
}

void fleet_heal(struct fleet *f)
{
    memset(f->cut, 0, sizeof f->cut);
}

void fleet_forge_answers(struct fleet *f, int32_t from, fleet_forge *forge)
{
    f->forge = forge;
    f->forger = from;
}

unsigned fleet_calls(struct fleet *f, enum rpc_api api)
{
    unsigned calls = f->calls[api];

    f->calls[api] = 0;
    return calls;
}

/* ---- brokers -------------------------------------------------------------------------
 */

struct fleet *fleet_new(int32_t count, unsigned shards)
{
    struct fleet *f = must_zalloc(sizeof *f);

    CHECK(count <= FLEET_MAX);
    f->count = count;
    f->shards = shards;
    TAILQ_INIT(&f->carried);
    f->controller.node_id = 1;
    f->controller.at = (struct endpoint){"localhost", PORT_BEFORE + 1};
    for (int32_t id = 1; id <= count; id++) {
        struct broker *b = &f->brokers[id];
        const struct fake_wire_place place = {.node_id = id,
                                              .rack = b->rack,
                                              .controllers = &f->controller,
                                              .controller_count = 1,
                                              .call = carry,
                                              .hang_up = hang_up,
                                              .ctx = b};

        snprintf(b->rack, sizeof b->rack, "r%d", id);
        b->fleet = f;
        b->node_id = id;
        b->up = true;
        b->wire = fake_wire_new_at(shards, &place);
        f->now = fake_wire_now(b->wire);
    }
    fleet_pass_ms(f, SETTLE_MS);
    return f;
}

void fleet_free(struct fleet *f)
{
    struct carried *c;

    for (int32_t id = f->count; id > 0; id--) {
        if (!f->brokers[id].up)
            fleet_start(f, id);
        fake_wire_free(f->brokers[id].wire);
        f->brokers[id].up = false;
    }
    while ((c = TAILQ_FIRST(&f->carried)) != NULL)
        carried_free(c);
    free(f);
}

void fleet_stop(struct fleet *f, int32_t node_id)
{
    f->brokers[node_id].up = false;
    fake_wire_close(f->brokers[node_id].wire);
}

void fleet_start(struct fleet *f, int32_t node_id)
{
    fake_wire_open(f->brokers[node_id].wire);
    f->brokers[node_id].up = true;
}

struct fake_wire *fleet_wire(struct fleet *f, int32_t node_id)
{
    return f->brokers[node_id].wire;
}

void fleet_hold_disk(struct fleet *f, int32_t node_id, bool held)
{
    fake_media_mood(fake_wire_media(f->brokers[node_id].wire))->held = held;
}

/* ---- what is asked -------------------------------------------------------------------
 */

void fleet_move(struct fleet *f, const char *name, const int32_t *replicas, size_t count)
{
    Leat__MovePartitionsRequest q = LEAT__MOVE_PARTITIONS_REQUEST__INIT;
    Leat__PartitionMove m = LEAT__PARTITION_MOVE__INIT, *moves[] = {&m};

    q.moves = moves;
    q.n_moves = 1;
    m.topic = (char *)name;
    m.replicas = (int32_t *)replicas;
    m.n_replicas = count;
    fake_wire_ask(f->brokers[1].wire, 0, RPC_MOVE_PARTITIONS, &q.base, (struct bytes){0});
}

void fleet_elect(struct fleet *f, const char *name, bool unclean)
{
    Leat__ElectLeadersRequest q = LEAT__ELECT_LEADERS_REQUEST__INIT;
    Leat__TopicPartitions t = LEAT__TOPIC_PARTITIONS__INIT, *topics[] = {&t};
    int32_t partition = 0;

    t.topic = (char *)name;
    t.partitions = &partition;
    t.n_partitions = 1;
    q.topics = topics;
    q.n_topics = 1;
    q.kind = unclean ? LEAT__ELECT_LEADERS_REQUEST__KIND__UNCLEAN
                     : LEAT__ELECT_LEADERS_REQUEST__KIND__PREFERRED;
    fake_wire_ask(f->brokers[1].wire, 0, RPC_ELECT_LEADERS, &q.base, (struct bytes){0});
}

void fleet_create(struct fleet *f, const char *name, const int32_t *replicas,
                  size_t count, const char *min_in_sync)
{
    Leat__CreateTopicRequest q = LEAT__CREATE_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry entry = LEAT__CONFIG_ENTRY__INIT, *list[] = {&entry};

    q.name = (char *)name;
    q.partitions = 1;
    q.replication = (int32_t)count;
    entry.key = "min.insync.replicas";
    entry.value = (char *)min_in_sync;
    q.config = list;
    q.n_config = 1;
    fake_wire_ask(f->brokers[1].wire, 0, RPC_CREATE_TOPIC, &q.base, (struct bytes){0});
    fleet_pass_ms(f, 100);
    fleet_move(f, name, replicas, count);
    fleet_pass_ms(f, SETTLE_MS);
    fleet_elect(f, name, false);
    fleet_pass_ms(f, SETTLE_MS);
    for (int32_t id = 1; id <= f->count; id++)
        fake_wire_said(f->brokers[id].wire);
}

void fleet_produce(struct fleet *f, int32_t node_id, const char *topic, int32_t records)
{
    ask_produce_to(f->brokers[node_id].wire, topic, 0, records);
    run(f);
}

/* ---- what is seen --------------------------------------------------------------------
 */

static struct topic *find(struct fleet *f, int32_t node_id, const char *topic)
{
    const struct image *image = node_image(fake_wire_node(f->brokers[node_id].wire, 0));

    return image_topic(image, (struct bytes){(const uint8_t *)topic, strlen(topic)});
}

struct partition *fleet_partition(struct fleet *f, int32_t node_id, const char *topic)
{
    const struct topic *t = find(f, node_id, topic);

    if (t == NULL)
        return NULL;
    return node_partition(
        fake_wire_node(f->brokers[node_id].wire, node_shard_of(&t->id, 0, f->shards)),
        t->id, 0);
}

const char *fleet_tell(struct fleet *f, const char *topic)
{
    static char text[128];
    const struct image_partition *p = &find(f, 1, topic)->partitions[0];
    size_t at = (size_t)snprintf(text, sizeof text, "leader %d epoch %d in-sync",
                                 p->leader, p->leader_epoch);

    for (size_t i = 0; i < p->in_sync_count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? "," : " ",
                               p->in_sync[i]);
    return text;
}

const char *fleet_log(struct fleet *f, int32_t node_id, const char *topic)
{
    static char text[128];
    const struct partition *p = fleet_partition(f, node_id, topic);

    if (p == NULL || p->log == NULL)
        return "none";
    snprintf(text, sizeof text, "%" PRId64 "..%" PRId64 "/%" PRId64, log_start(p->log),
             p->high_watermark, log_end(p->log));
    return text;
}
