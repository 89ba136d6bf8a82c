/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/net.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 4, MILLION = 1000000, ARENA_ROOM = 16 * 1024 * 1024, APIS = 96 };

struct conn {
    int from, to;
    unsigned way;
    bool open;
    moment last[2]; /* newest arrival in each direction */
    size_t refs;    /* calls, and the table */
    TAILQ_HEAD(, call) calls;
};

struct call {
    struct net *net;
    struct conn *conn;
    struct ask *ask;       /* NULL: the asker has heard */
    struct event moving;   /* a message arrives */
    struct event failing;  /* the asker hears of a broken connection */
    struct event deadline; /* and of none */
    bool answered, held, in_server, busy;
    enum status status;
    struct writer header;
    struct slice payload;
    struct request request;
    char host[16];
    TAILQ_ENTRY(call) link, held_link, all_link;
};

struct net {
    struct world *world;
    struct net_options o;
    struct prng random;
    struct conn *conns[PARTIES][BROKERS_MAX][WAYS];
    unsigned cuts[PARTIES][PARTIES];
    struct {
        moment longer;
        bool lost;
    } odd[PARTIES][APIS];
    TAILQ_HEAD(, call) held;
    TAILQ_HEAD(, call) all;
    uint64_t messages, questions, losses;
};

struct net *net_new(struct world *w, uint64_t seed, const struct net_options *o)
{
    struct net *n = must_zalloc(sizeof *n);

    n->world = w;
    n->o = *o;
    n->random = world_stream(seed, "net", 0);
    TAILQ_INIT(&n->held);
    TAILQ_INIT(&n->all);
    return n;
}

static void conn_unref(struct conn *c)
{
    if (--c->refs == 0)
        free(c);
}

static moment latency(struct net *n)
{
    moment base = n->o.latency / 2 + chance_range(&n->random, 0, n->o.latency);

    /* One in fifty meets a queue. */
    return chance_one_in(&n->random, 50) ? base * chance_range(&n->random, 2, 20) : base;
}

static void call_settle(struct call *c)
{
    if (c->ask != NULL || c->in_server || c->held || c->busy || world_is_set(&c->moving))
        return;
    world_unset(c->net->world, &c->failing);
    world_unset(c->net->world, &c->deadline);
    TAILQ_REMOVE(&c->conn->calls, c, link);
    TAILQ_REMOVE(&c->net->all, c, all_link);
    conn_unref(c->conn);
    writer_release(&c->header);
    slice_release(&c->payload);
    free(c);
}

/* Who is told may ask again at once, and break the connection with that: the call must be
 * there until we return. */
static void call_done(struct call *c, enum status status)
{
    struct ask *a = c->ask;
    const bool good = status == STATUS_OK;

    if (a == NULL)
        return;
    c->busy = true;
    c->ask = NULL;
    a->call = NULL;
    a->status = status;
    a->answer = good ? (struct bytes){c->header.data, c->header.len} : (struct bytes){0};
    a->payload =
        good ? (struct bytes){c->payload.data, c->payload.len} : (struct bytes){0};
    a->done(a);
    c->busy = false;
}

static void conn_close(struct net *n, struct conn *c)
{
    if (!c->open)
        return;
    c->open = false;
    n->conns[c->from][c->to][c->way] = NULL;
    conn_unref(c);
}

/* What is on its way to the server may yet arrive; answers do not. */
static void conn_break(struct net *n, struct conn *c, bool silently)
{
    struct call *call, *next;

    if (!c->open)
        return;
    c->refs++;
    conn_close(n, c);
    for (call = TAILQ_FIRST(&c->calls); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        if (call->answered || chance_one_in(&n->random, 2)) {
            world_unset(n->world, &call->moving);
            if (call->held)
                TAILQ_REMOVE(&n->held, call, held_link);
            call->held = false;
        }
        if (call->ask != NULL && !silently && !world_is_set(&call->failing))
            world_set(n->world, &call->failing, n->world->now + latency(n));
        call_settle(call);
    }
    conn_unref(c);
}

/* True if the message goes its own way; the asker of an answer that is lost hears of a
 * broken connection. */
static bool is_odd(struct call *c, moment at)
{
    struct net *n = c->net;
    const moment longer = n->odd[c->conn->from][c->request.row->api].longer;

    if (c->answered && n->odd[c->conn->from][c->request.row->api].lost) {
        if (c->ask != NULL && !world_is_set(&c->failing))
            world_set(n->world, &c->failing, at);
        return true;
    }
    if (longer > 0)
        world_set(n->world, &c->moving, at + chance_range(&n->random, 0, longer));
    return longer > 0;
}

static void send(struct call *c)
{
    struct net *n = c->net;
    moment at = n->world->now + latency(n);
    moment *last = &c->conn->last[c->answered];

    n->messages++;
    if (is_odd(c, at))
        return;
    if (at <= *last)
        at = *last + 1;
    *last = at;
    world_set(n->world, &c->moving, at);
    if (n->o.loss_ppm > 0 && prng_below(&n->random, MILLION) < (uint64_t)n->o.loss_ppm) {
        n->losses++;
        conn_break(n, c->conn, chance_one_in(&n->random, 4));
    }
}

static void arrive_at_server(struct call *c)
{
    struct net *n = c->net;
    struct request *r = &c->request;
    ProtobufCMessage *header;
    unsigned life;

    if (!n->o.is_up(n->o.ctx, c->conn->to, &life)) {
        if (c->ask != NULL && !world_is_set(&c->failing)) {
            c->status = STATUS_UNREACHABLE;
            world_set(n->world, &c->failing, n->world->now + latency(n));
        }
        return;
    }
    arena_init(&r->arena, ARENA_ROOM);
    CHECK(!rpc_unpack(r->row->request, (struct bytes){c->header.data, c->header.len},
                      &r->arena, &header));
    r->header = header;
    r->payload = c->payload;
    c->payload = (struct slice){0};
    c->in_server = true;
    n->o.deliver(n->o.ctx, c->conn->to, c->conn->way, r);
}

static bool can_pass(const struct call *c)
{
    int from = c->answered ? c->conn->to : c->conn->from;
    int to = c->answered ? c->conn->from : c->conn->to;

    return !net_is_cut(c->net, from, to) && !c->net->o.is_paused(c->net->o.ctx, to);
}

/* Who stands still hears of nothing; it is told when it goes on. */
static bool put_off(struct call *c, struct event *e)
{
    if (c->ask == NULL || !c->net->o.is_paused(c->net->o.ctx, c->conn->from))
        return false;
    world_set(c->net->world, e, c->net->world->now + MILLISECOND);
    return true;
}

static void on_moving(struct event *e)
{
    struct call *c = container_of(e, struct call, moving);

    if (!can_pass(c)) {
        c->held = true;
        TAILQ_INSERT_TAIL(&c->net->held, c, held_link);
        return;
    }
    if (c->answered) {
        call_done(c, c->status);
    } else {
        c->busy = true; /* it may be answered, and its asker may go, before we return */
        arrive_at_server(c);
        c->busy = false;
    }
    call_settle(c);
}

static void on_failing(struct event *e)
{
    struct call *c = container_of(e, struct call, failing);

    if (put_off(c, e))
        return;
    call_done(c, c->status == STATUS_UNREACHABLE ? STATUS_UNREACHABLE : STATUS_CLOSED);
    call_settle(c);
}

static void on_deadline(struct event *e)
{
    struct call *c = container_of(e, struct call, deadline);
    struct conn *conn = c->conn;
    struct net *n = c->net;

    if (put_off(c, e))
        return;
    conn->refs++;
    call_done(c, STATUS_TIMED_OUT);
    call_settle(c);
    conn_break(n, conn, false);
    conn_unref(conn);
}

static struct conn *connection(struct net *n, int from, int to, unsigned way)
{
    struct conn **slot = &n->conns[from][to][way % WAYS];

    if (*slot == NULL) {
        *slot = must_zalloc(sizeof **slot);
        **slot = (struct conn){.from = from, .to = to, .way = way % WAYS, .open = true};
        (*slot)->refs = 1;
        (*slot)->last[0] = n->world->now + 2 * latency(n); /* the handshake */
        TAILQ_INIT(&(*slot)->calls);
    }
    return *slot;
}

static struct slice copy_payload(struct bytes payload)
{
    struct buf *b;
    struct slice s;

    if (payload.len == 0)
        return (struct slice){0};
    b = buf_new(payload.len);
    CHECK(b != NULL);
    memcpy(b->data, payload.data, payload.len);
    s = slice_of(b, b->data, payload.len);
    buf_unref(b);
    return s;
}

void net_ask(struct net *n, int from, int to, unsigned way, struct ask *a,
             const ProtobufCMessage *header, struct bytes payload)
{
    struct call *c = must_zalloc(sizeof *c);
    struct request *r = &c->request;

    CHECK(from >= 0 && from < PARTIES && to >= 0 && to < BROKERS_MAX);
    c->net = n;
    c->ask = a;
    a->call = c;
    c->conn = connection(n, from, to, way);
    c->conn->refs++;
    TAILQ_INSERT_TAIL(&c->conn->calls, c, link);
    TAILQ_INSERT_TAIL(&n->all, c, all_link);
    c->moving.run = on_moving;
    c->failing.run = on_failing;
    c->deadline.run = on_deadline;
    c->header = writer_growing();
    rpc_pack(header, &c->header);
    CHECK(!writer_status(&c->header));
    c->payload = copy_payload(payload);
    r->row = rpc_api_row((uint16_t)a->api);
    r->client_id = from < BROKERS_MAX ? "broker" : "client";
    r->peer = from < BROKERS_MAX ? from + 1 : -1;
    r->host = "10.0.0.9:9";
    world_set(n->world, &c->deadline, n->world->now + a->timeout_ms * MILLISECOND);
    n->questions += from < BROKERS_MAX;
    send(c);
}

void net_forget(struct net *n, struct ask *a)
{
    struct call *c = a->call;

    if (c == NULL)
        return;
    a->call = NULL;
    c->ask = NULL;
    (void)n;
    call_settle(c);
}

static void pack_answer(struct call *c)
{
    struct request *r = &c->request;
    size_t bytes = 0, at = 0;
    struct buf *b;

    c->header.len = 0;
    rpc_pack(r->answer, &c->header);
    CHECK(!writer_status(&c->header));
    for (size_t i = 0; i < r->slice_count; i++)
        bytes += r->slices[i].len;
    if (bytes == 0)
        return;
    b = buf_new(bytes);
    CHECK(b != NULL);
    for (size_t i = 0; i < r->slice_count; at += r->slices[i++].len)
        memcpy(b->data + at, r->slices[i].data, r->slices[i].len);
    c->payload = slice_of(b, b->data, bytes);
    buf_unref(b);
}

void net_answer(struct net *n, struct request *r)
{
    struct call *c = container_of(r, struct call, request);

    CHECK(c->in_server);
    (void)n;
    c->in_server = false;
    c->answered = true;
    c->status = r->status;
    if (!r->status && c->ask != NULL)
        pack_answer(c);
    for (size_t i = 0; i < r->slice_count; i++)
        slice_release(&r->slices[i]);
    slice_release(&r->payload);
    arena_release(&r->arena);
    if (c->ask != NULL && c->conn->open)
        send(c);
    call_settle(c);
}

void net_break(struct net *n, int party, bool silently)
{
    for (int from = 0; from < PARTIES; from++)
        for (int to = 0; to < BROKERS_MAX; to++)
            for (int way = 0; way < WAYS; way++) {
                struct conn *c = n->conns[from][to][way];

                if (c == NULL || (from != party && to != party))
                    continue;
                conn_break(n, c, silently);
            }
}

/* Requests that a dead process had are gone with it, answered by nobody. Their memory is
 * the dead node's, and goes with the simulation. */
void net_bury(struct net *n, int party, bool silently)
{
    struct call *c;

    TAILQ_FOREACH (c, &n->all, all_link)
        if (c->conn->to == party)
            c->in_server = false;
    net_break(n, party, silently);
}

void net_hang_up(struct net *n, int party)
{
    struct call *c;

    TAILQ_FOREACH (c, &n->all, all_link)
        if (c->conn->from == party)
            call_done(c, STATUS_CLOSED);
}

void net_cut(struct net *n, int from, int to)
{
    n->cuts[from][to]++;
}

static struct call *first_free(struct net *n)
{
    struct call *c;

    TAILQ_FOREACH (c, &n->held, held_link)
        if (can_pass(c))
            return c;
    return NULL;
}

void net_lose_nothing(struct net *n)
{
    n->o.loss_ppm = 0;
}

void net_release(struct net *n)
{
    struct call *c;

    while ((c = first_free(n)) != NULL) {
        TAILQ_REMOVE(&n->held, c, held_link);
        c->held = false;
        send(c);
    }
}

void net_heal(struct net *n, int from, int to)
{
    CHECK(n->cuts[from][to] > 0);
    if (--n->cuts[from][to] == 0)
        net_release(n);
}

void net_make_odd(struct net *n, int from, enum rpc_api api, moment longer, bool lost)
{
    CHECK((int)api < APIS);
    n->odd[from][api].longer = longer;
    n->odd[from][api].lost = lost;
}

bool net_is_cut(const struct net *n, int from, int to)
{
    return n->cuts[from][to] > 0;
}

uint64_t net_messages(const struct net *n)
{
    return n->messages;
}

uint64_t net_questions(const struct net *n)
{
    return n->questions;
}

uint64_t net_losses(const struct net *n)
{
    return n->losses;
}
