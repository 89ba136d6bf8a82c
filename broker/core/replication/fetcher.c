/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/replication/fetcher_inner.h"

#include "broker/core/replication/snapshot_link.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/machine.h"

#include <stdlib.h>
#include <string.h>

enum {
    ACK_TIMEOUT_MS = 2000,
    TIMEOUT_SLACK_MS = 2000,
    ARENA_BYTES = 64 * 1024,
    ARENA_FACTOR = 64,
    PARTS_MAX = 10000, /* in one fetch */
};

static void wake(struct node *n, struct timer *t)
{
    (void)n; /* the end of the turn sees to it */
    (void)t;
}

struct fetchers *fetchers_new(struct node *n)
{
    struct fetchers *f = must_zalloc(sizeof *f);

    f->node = n;
    f->timer.fire = wake;
    TAILQ_INIT(&f->list);
    return f;
}

static bool is_busy(const struct fetcher *x)
{
    bool busy = x->acking;

    for (size_t i = 0; i < FLIGHTS; i++)
        busy |= x->flights[i].flying;
    return busy;
}

static void fetcher_free(struct fetcher *x)
{
    TAILQ_REMOVE(&x->all->list, x, link);
    for (size_t i = 0; i < FLIGHTS; i++)
        free(x->flights[i].asked);
    free(x);
}

void fetchers_free(struct fetchers *f)
{
    while (!TAILQ_EMPTY(&f->list)) {
        struct fetcher *x = TAILQ_FIRST(&f->list);

        CHECK(!is_busy(x) && TAILQ_EMPTY(&x->parts));
        fetcher_free(x);
    }
    free(f);
}

void fetchers_stop(struct fetchers *f)
{
    f->stopped = true;
}

/* ---- who follows whom ----------------------------------------------------------------
 */

static struct fetcher *fetcher_of(struct fetchers *f, int32_t leader)
{
    struct fetcher *x;

    TAILQ_FOREACH (x, &f->list, link)
        if (x->leader == leader)
            return x;
    x = must_zalloc(sizeof *x);
    x->all = f;
    x->leader = leader;
    x->backoff_ms = BACKOFF_LEAST_MS;
    for (size_t i = 0; i < FLIGHTS; i++)
        x->flights[i].fetcher = x;
    TAILQ_INIT(&x->parts);
    TAILQ_INSERT_TAIL(&f->list, x, link);
    return x;
}

static void let_go(struct following *g)
{
    TAILQ_REMOVE(&g->fetcher->parts, g, link);
    g->fetcher->count--;
    g->fetcher->away -= g->in_fetch;
    g->partition->following = NULL;
    g->partition = NULL;
    if (!g->in_fetch)
        free(g);
}

static void take_in(struct fetchers *f, struct partition *p)
{
    struct following *g = must_zalloc(sizeof *g);

    g->partition = p;
    g->fetcher = fetcher_of(f, p->leader_id);
    g->leader_epoch = p->leader_epoch;
    g->acked = -1;
    p->following = g;
    TAILQ_INSERT_TAIL(&g->fetcher->parts, g, link);
    g->fetcher->count++;
}

void fetchers_follow(struct fetchers *f, struct partition *p)
{
    struct following *g = p->following;
    bool follows = p->role == ROLE_FOLLOWER && p->leader_id >= 0 &&
                   p->leader_id != f->node->o.node_id;

    if (g != NULL && follows && g->leader_epoch == p->leader_epoch &&
        g->fetcher->leader == p->leader_id)
        return;
    if (g != NULL)
        let_go(g);
    if (follows)
        take_in(f, p);
}

void fetchers_durable(struct fetchers *f, struct partition *p)
{
    struct following *g = p->following;

    (void)f;
    /* What is on disk is evidence only of a log that is the leader's: before that is
     * known, the end may still be cut. */
    if (g == NULL || !g->validated || log_durable(p->log) <= g->acked)
        return;
    g->ack_due = true;
    g->fetcher->ack_due = true;
}

/* ---- answers -------------------------------------------------------------------------
 */

/* False: nobody waits for it any more. */
static bool come_back(struct following *g)
{
    g->in_fetch = false;
    if (g->partition == NULL) {
        free(g);
        return false;
    }
    g->fetcher->away--;
    return true;
}

/* Only what still belongs to what was asked: the same end; and of this epoch, for another
 * one has another `following`. */
static void take_result(struct following *g, const Leat__ReplicaFetchResult *r,
                        struct bytes data)
{
    if (come_back(g) && log_end(g->partition->log) == g->asked)
        following_take(g, r, data);
}

static void fetch_failed(struct flight *t)
{
    struct fetcher *x = t->fetcher;
    struct node *n = x->all->node;

    for (size_t i = 0; i < t->count; i++)
        come_back(t->asked[i]);
    x->pause_ms = n->now.mono_ms + x->backoff_ms / 2 +
                  (int64_t)prng_below(&n->random, (uint64_t)x->backoff_ms / 2 + 1);
    if (x->backoff_ms < BACKOFF_MOST_MS)
        x->backoff_ms *= 2;
}

/* The payload must be exactly what the results say. */
static bool is_whole(const Leat__ReplicaFetchResponse *a, size_t parts, size_t bytes)
{
    size_t sum = 0;

    if (a->n_partitions != parts)
        return false;
    for (size_t i = 0; i < parts && sum <= bytes; i++)
        sum += a->partitions[i]->batch_bytes;
    return sum == bytes;
}

static void on_fetched(struct peer_call *c)
{
    struct flight *t = container_of(c, struct flight, call);
    const Leat__ReplicaFetchResponse *a = NULL;
    size_t at = 0;
    ProtobufCMessage *m;
    struct arena arena;

    t->flying = false;
    arena_init(&arena, ARENA_BYTES + ARENA_FACTOR * c->answer.len);
    if (!c->status &&
        !rpc_unpack(&leat__replica_fetch_response__descriptor, c->answer, &arena, &m))
        a = (const void *)m;
    if (a == NULL || !is_whole(a, t->count, c->payload.len)) {
        fetch_failed(t);
    } else {
        t->fetcher->backoff_ms = BACKOFF_LEAST_MS;
        for (size_t i = 0; i < t->count; i++) {
            const Leat__ReplicaFetchResult *r = a->partitions[i];

            take_result(t->asked[i], r,
                        r->batch_bytes > 0
                            ? (struct bytes){c->payload.data + at, r->batch_bytes}
                            : (struct bytes){0});
            at += r->batch_bytes;
        }
    }
    t->count = 0;
    arena_release(&arena);
}

static void on_acked(struct peer_call *c)
{
    struct fetcher *x = container_of(c, struct fetcher, ack);

    /* What was not heard is said again by the next fetch. */
    x->acking = false;
}

/* ---- asking --------------------------------------------------------------------------
 */

static bool may_ask(const struct following *g, const struct node *n)
{
    return !g->stuck && !g->in_fetch && g->retry_ms <= n->now.mono_ms &&
           !snapshot_link_is_busy(n, g->partition);
}

static void name_part(struct following *g, const struct config *c,
                      Leat__ReplicaFetchPartition *out)
{
    struct partition *p = g->partition;

    leat__replica_fetch_partition__init(out);
    out->topic_id = (ProtobufCBinaryData){UUID_BYTES, p->topic_id.id};
    out->partition = p->number;
    out->leader_epoch = p->leader_epoch;
    out->offset = log_end(p->log);
    out->last_epoch =
        p->machine ? machine_tail_epoch(p->machine) : log_tail_epoch(p->log);
    out->durable = PLANT(2) ? log_end(p->log) : log_durable(p->log);
    out->log_start = log_start(p->log);
    out->max_bytes = (uint32_t)config_number(c, CONFIG_REPLICA_FETCH_BYTES);
    g->in_fetch = true;
    g->fetcher->away++;
    g->asked = out->offset;
    g->acked = out->durable;
    g->ack_due = false;
}

static bool set_leader(const struct fetcher *x, struct peer_call *c)
{
    const struct image_broker *b = image_broker(&x->all->node->image, x->leader);

    if (b == NULL)
        return false;
    c->to = b->node_id;
    c->at = b->at;
    return true;
}

/* All parts that may be asked for; those asked for move to the end, so that all have
 * their turn to be first. */
static size_t gather(struct flight *t, size_t room, Leat__ReplicaFetchPartition *parts,
                     Leat__ReplicaFetchPartition **list)
{
    struct fetcher *x = t->fetcher;
    struct node *n = x->all->node;
    struct following *g;
    size_t count = 0;

    TAILQ_FOREACH (g, &x->parts, link) {
        if (count == room)
            break;
        if (!may_ask(g, n))
            continue;
        name_part(g, n->o.config, &parts[count]);
        list[count] = &parts[count];
        t->asked[count++] = g;
    }
    if (count > 0) {
        TAILQ_REMOVE(&x->parts, t->asked[0], link);
        TAILQ_INSERT_TAIL(&x->parts, t->asked[0], link);
    }
    return count;
}

static size_t count_hungry(const struct fetcher *x)
{
    const struct following *g;
    size_t count = 0;

    TAILQ_FOREACH (g, &x->parts, link)
        count += may_ask(g, x->all->node);
    return count < PARTS_MAX ? count : PARTS_MAX;
}

/* Until a leader has said that a log is the beginning of its own, what becomes durable of
 * it is no evidence: nobody waits for records before that is heard. Otherwise all fetches
 * end their waiting at the same moments, and leave again as one. */
static int32_t patience_ms(const struct flight *t, const struct node *n)
{
    const int64_t most = config_number(n->o.config, CONFIG_REPLICA_FETCH_WAIT);

    for (size_t i = 0; i < t->count; i++)
        if (!t->asked[i]->validated)
            return 0;
    return (int32_t)(most - n->now.mono_ms % most);
}

static void send_fetch(struct flight *t)
{
    struct fetcher *x = t->fetcher;
    struct node *n = x->all->node;
    Leat__ReplicaFetchRequest q = LEAT__REPLICA_FETCH_REQUEST__INIT;
    size_t room = count_hungry(x);
    Leat__ReplicaFetchPartition *parts, **list;

    t->call = (struct peer_call){.api = RPC_REPLICA_FETCH, .done = on_fetched};
    if (room == 0 || !set_leader(x, &t->call))
        return;
    parts = must_alloc(room * sizeof *parts);
    list = must_alloc(room * sizeof *list);
    t->asked = must_realloc(t->asked, room * sizeof(struct following *));
    t->count = gather(t, room, parts, list);
    if (t->count > 0) {
        q.node_id = n->o.node_id;
        q.broker_epoch = node_broker_epoch(n);
        q.max_wait_ms = patience_ms(t, n);
        q.max_bytes = (uint32_t)config_number(n->o.config, CONFIG_REPLICA_FETCH_BYTES);
        q.partitions = list;
        q.n_partitions = t->count;
        t->call.header = &q.base;
        t->call.timeout_ms = q.max_wait_ms + TIMEOUT_SLACK_MS;
        t->flying = true;
        node_call(n, &t->call);
    }
    free(list);
    free(parts);
}

static void send_ack(struct fetcher *x)
{
    struct node *n = x->all->node;
    Leat__ReplicaAckRequest q = LEAT__REPLICA_ACK_REQUEST__INIT;
    Leat__ReplicaAckPartition *parts = must_alloc(x->count * sizeof *parts + 1);
    Leat__ReplicaAckPartition **list = must_alloc(x->count * sizeof *list + 1);
    struct following *g;

    TAILQ_FOREACH (g, &x->parts, link) {
        struct partition *p = g->partition;
        Leat__ReplicaAckPartition *a = &parts[q.n_partitions];

        if (!g->ack_due)
            continue;
        leat__replica_ack_partition__init(a);
        a->topic_id = (ProtobufCBinaryData){UUID_BYTES, p->topic_id.id};
        a->partition = p->number;
        a->leader_epoch = p->leader_epoch;
        a->durable = PLANT(2) ? log_end(p->log) : log_durable(p->log);
        g->acked = a->durable;
        g->ack_due = false;
        list[q.n_partitions++] = a;
    }
    x->ack_due = false;
    x->ack = (struct peer_call){.api = RPC_REPLICA_ACK,
                                .header = &q.base,
                                .timeout_ms = ACK_TIMEOUT_MS,
                                .done = on_acked};
    if (q.n_partitions > 0 && set_leader(x, &x->ack)) {
        q.node_id = n->o.node_id;
        q.broker_epoch = node_broker_epoch(n);
        q.partitions = list;
        x->acking = true;
        node_call(n, &x->ack);
    }
    free(list);
    free(parts);
}

/* When somebody who pauses may go on; INT64_MAX: nobody pauses. */
static int64_t next_try(const struct fetcher *x, int64_t now_ms)
{
    int64_t first = INT64_MAX;
    const struct following *g;

    if (x->away == x->count)
        return INT64_MAX;
    TAILQ_FOREACH (g, &x->parts, link) {
        int64_t at_ms = g->retry_ms > x->pause_ms ? g->retry_ms : x->pause_ms;

        if (!g->stuck && !g->in_fetch && at_ms < first)
            first = at_ms;
    }
    return first > now_ms ? first : now_ms + BACKOFF_LEAST_MS;
}

static void turn(struct fetcher *x, bool may_fetch)
{
    if (x->ack_due && !x->acking)
        send_ack(x);
    for (size_t i = 0; may_fetch && i < FLIGHTS && x->away < x->count; i++)
        if (!x->flights[i].flying)
            send_fetch(&x->flights[i]);
}

void fetchers_turn(struct fetchers *f, struct instant now)
{
    bool admitted = !store_admit(f->node->store);
    int64_t first = INT64_MAX;
    struct fetcher *x, *next;

    for (x = TAILQ_FIRST(&f->list); x != NULL && !f->stopped; x = next) {
        int64_t at_ms;

        next = TAILQ_NEXT(x, link);
        turn(x,
             admitted && x->pause_ms <= now.mono_ms && node_broker_epoch(f->node) >= 0);
        if (x->count == 0 && !is_busy(x)) {
            fetcher_free(x);
            continue;
        }
        at_ms = next_try(x, now.mono_ms);
        if (at_ms < first)
            first = at_ms;
    }
    timer_stop(f->node, &f->timer);
    if (first != INT64_MAX)
        timer_set(f->node, &f->timer, first);
}
