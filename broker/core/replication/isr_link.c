/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/replication/isr_link.h"

#include "broker/core/node_state.h"
#include "broker/core/replication/leader.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdlib.h>

enum {
    SWEEP_MS = 500, /* how often leaders are asked whether somebody has fallen behind */
    RETRY_MS = 100, /* after an answer that says nothing */
    ASK_MS = 2000,
    AT_A_TIME = 1000,
    ARENA_BYTES = 64 * 1024,
    ARENA_FACTOR = 64,
};

/* A partition that was named in the request under way. It may be gone by the answer. */
struct named {
    struct uuid topic_id;
    int32_t number;
    int32_t leader_epoch;
    size_t before; /* how many were in sync */
};

struct isr_link {
    struct node *node;
    struct timer timer;
    TAILQ_HEAD(, partition) list;
    bool due;
    bool sleeping; /* the timer is set */
    int64_t pause_ms;
    bool calling;
    struct peer_call call;
    struct named *named;
    size_t named_count;
};

static void sleep_until(struct isr_link *l, int64_t at_ms)
{
    timer_stop(l->node, &l->timer);
    timer_set(l->node, &l->timer, at_ms);
    l->sleeping = true;
}

static void on_timer(struct node *n, struct timer *t)
{
    struct isr_link *l = container_of(t, struct isr_link, timer);

    l->due = true;
    l->sleeping = false;
}

struct isr_link *isr_link_new(struct node *n)
{
    struct isr_link *l = must_zalloc(sizeof *l);

    l->node = n;
    l->timer.fire = on_timer;
    TAILQ_INIT(&l->list);
    return l;
}

void isr_link_free(struct isr_link *l)
{
    CHECK(!l->calling && TAILQ_EMPTY(&l->list));
    timer_stop(l->node, &l->timer);
    free(l->named);
    free(l);
}

void isr_link_watch(struct isr_link *l, struct partition *p)
{
    if (p->in_isr_list)
        return;
    p->in_isr_list = true;
    TAILQ_INSERT_TAIL(&l->list, p, isr_entry);
}

void isr_link_look(struct isr_link *l, struct partition *p)
{
    isr_link_watch(l, p);
    l->due = true;
}

void isr_link_forget(struct isr_link *l, struct partition *p)
{
    CHECK(p->in_isr_list);
    p->in_isr_list = false;
    TAILQ_REMOVE(&l->list, p, isr_entry);
}

/* ---- the answer ----------------------------------------------------------------------
 */

static void count_change(struct node *n, size_t before, size_t after)
{
    if (after < before)
        metric_add(n->o.metrics, METRIC_ISR_SHRINKS, before - after);
    else
        metric_add(n->o.metrics, METRIC_ISR_EXPANDS, after - before);
}

/* `r` NULL: nobody knows what happened. */
static void tell(struct isr_link *l, const struct named *x,
                 const Leat__AlterPartitionResult *r)
{
    struct partition *p = node_partition(l->node, x->topic_id, x->number);

    if (p == NULL || p->role != ROLE_LEADER || p->leader_epoch != x->leader_epoch)
        return;
    if (r == NULL) {
        leader_answered(p->leader, STATUS_UNKNOWN, 0, NULL, 0);
        return;
    }
    leader_answered(p->leader, (enum status)r->error, r->partition_epoch, r->in_sync,
                    r->n_in_sync);
    if (r->error || r->partition_epoch < p->partition_epoch)
        return;
    p->partition_epoch = r->partition_epoch;
    p->in_sync_count = (int32_t)r->n_in_sync;
    p->recovering = false;
    count_change(l->node, x->before, r->n_in_sync);
    if (!PLANT(18))
        partition_evidence(p);
}

static void on_answer(struct peer_call *c)
{
    struct isr_link *l = container_of(c, struct isr_link, call);
    const Leat__AlterPartitionsResponse *a = NULL;
    bool refused = false;
    ProtobufCMessage *m;
    struct arena arena;

    l->calling = false;
    arena_init(&arena, ARENA_BYTES + ARENA_FACTOR * c->answer.len);
    if (!c->status &&
        !rpc_unpack(&leat__alter_partitions_response__descriptor, c->answer, &arena, &m))
        a = (const void *)m;
    if (a != NULL && (a->error || a->n_partitions != l->named_count))
        a = NULL;
    for (size_t i = 0; i < l->named_count; i++) {
        tell(l, &l->named[i], a ? a->partitions[i] : NULL);
        refused |= a == NULL || a->partitions[i]->error != STATUS_OK;
    }
    l->named_count = 0;
    if (refused) { /* what we know is behind what the controller knows, or it is away */
        l->pause_ms = l->node->now.mono_ms + RETRY_MS;
        sleep_until(l, l->pause_ms);
    }
    l->due = true;
    arena_release(&arena);
}

/* ---- the question --------------------------------------------------------------------
 */

struct gathering {
    struct isr_link *link;
    struct arena arena;
    Leat__AlterPartition **list;
    size_t count;
};

/* False if there is nothing to propose. */
static bool add(struct gathering *g, struct partition *p)
{
    struct node *n = g->link->node;
    Leat__AlterPartition *a = arena_zalloc(&g->arena, sizeof *a);
    struct leader_proposal *x = arena_zalloc(&g->arena, sizeof *x);

    CHECK(a != NULL && x != NULL);
    if (!leader_propose(p->leader, &n->image, log_end(p->log), p->high_watermark,
                        config_number(n->o.config, CONFIG_REPLICA_LAG_MAX), n->now, x))
        return false;
    leat__alter_partition__init(a);
    a->topic_id = (ProtobufCBinaryData){UUID_BYTES, p->topic_id.id};
    a->partition = p->number;
    a->leader_epoch = p->leader_epoch;
    a->partition_epoch = x->partition_epoch;
    a->in_sync = x->in_sync;
    a->n_in_sync = x->count;
    a->broker_epochs = x->epochs;
    a->n_broker_epochs = x->count;
    a->recovered = x->recovered;
    g->link->named[g->count] =
        (struct named){p->topic_id, p->number, p->leader_epoch, (size_t)p->in_sync_count};
    g->list[g->count++] = a;
    return true;
}

static void gather(struct gathering *g)
{
    struct isr_link *l = g->link;
    struct partition *p = TAILQ_FIRST(&l->list), *next;

    for (; p != NULL && g->count < AT_A_TIME; p = next) {
        next = TAILQ_NEXT(p, isr_entry);
        if (p->role != ROLE_LEADER ||
            (!add(g, p) && !leader_is_unsettled(p->leader, log_end(p->log))))
            isr_link_forget(l, p);
    }
}

static void send(struct gathering *g, int32_t to, const struct endpoint *at)
{
    struct isr_link *l = g->link;
    Leat__AlterPartitionsRequest q = LEAT__ALTER_PARTITIONS_REQUEST__INIT;

    q.node_id = l->node->o.node_id;
    q.broker_epoch = node_broker_epoch(l->node);
    q.partitions = g->list;
    q.n_partitions = g->count;
    l->named_count = g->count;
    l->calling = true;
    l->call = (struct peer_call){.to = to,
                                 .at = *at,
                                 .api = RPC_ALTER_PARTITIONS,
                                 .header = &q.base,
                                 .timeout_ms = ASK_MS,
                                 .done = on_answer};
    node_call(l->node, &l->call);
}

void isr_link_turn(struct isr_link *l, struct instant now)
{
    struct gathering g = {.link = l};
    struct endpoint at;
    int32_t to = node_controller(l->node, &at);

    if (TAILQ_EMPTY(&l->list))
        return;
    if (!l->sleeping)
        sleep_until(l, now.mono_ms + SWEEP_MS);
    if (!l->due || l->calling || now.mono_ms < l->pause_ms || to < 0 ||
        node_broker_epoch(l->node) < 0 || l->node->stopping)
        return;
    l->due = false;
    arena_init(&g.arena, 0);
    g.list = arena_alloc(&g.arena, AT_A_TIME * sizeof *g.list);
    l->named = must_realloc(l->named, AT_A_TIME * sizeof *l->named);
    gather(&g);
    if (g.count > 0)
        send(&g, to, &at);
    arena_release(&g.arena);
}
