/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/faults.h"

#include "broker/core/quorum/quorum.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "tests/sim/rot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LASTING_MAX = 4096 };

/* Something that ends by itself. */
struct lasting {
    struct event over;
    struct trouble *trouble;
    struct fault fault;
    bool cut[PARTIES][PARTIES]; /* what it cut */
    struct lasting *next;
};

struct planned {
    struct event event;
    struct trouble *trouble;
    struct fault fault;
};

struct trouble {
    struct world *world;
    struct net *net;
    const struct swarm *swarm;
    struct sim_broker *brokers;
    struct oracle *oracle;
    struct prng random;
    struct lasting *lasting;
    struct planned *plan;
    size_t planned;
    bool over;
    bool spent; /* a disk was lost, or may have been: no other one may be */
    uint64_t counts[SWARM_COUNT - SWARM_kill];
};

/* ---- the list ------------------------------------------------------------------------
 */

static int64_t total_weight(const struct swarm *s)
{
    int64_t sum = 0;

    for (size_t i = SWARM_kill; i < SWARM_COUNT; i++)
        sum += swarm_get(s, i);
    return sum;
}

static size_t draw_kind(const struct swarm *s, struct prng *p, int64_t total)
{
    int64_t at = chance_range(p, 0, total - 1);

    for (size_t i = SWARM_kill; i < SWARM_COUNT; i++) {
        at -= swarm_get(s, i);
        if (at < 0)
            return i;
    }
    return SWARM_kill;
}

void faults_draw(struct fault_list *l, const struct swarm *s, uint64_t seed)
{
    struct prng p = world_stream(seed, "faults", 0);
    const int64_t total = total_weight(s);
    moment at = 3 * SECOND;
    size_t capacity = 0;

    *l = (struct fault_list){0};
    while (total > 0 && !s->calm) {
        struct fault f;

        at += chance_range(&p, s->fault_ms / 4, s->fault_ms * 7 / 4) * MILLISECOND;
        if (at > s->seconds * SECOND)
            return;
        f = (struct fault){.at = at,
                           .kind = draw_kind(s, &p, total),
                           .a = chance_range(&p, 0, s->brokers - 1),
                           .b = chance_range(&p, 0, 1 << 20),
                           .length = chance_log(&p, 5, 8000) * MILLISECOND};
        if (l->count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            l->all = must_realloc(l->all, capacity * sizeof *l->all);
        }
        l->all[l->count++] = f;
    }
}

void fault_format(const struct fault *f, char *out, size_t size)
{
    snprintf(out, size, "%" PRId64 " %s %" PRId64 " %" PRId64 " %" PRId64, f->at,
             swarm_name(f->kind), f->a, f->b, f->length);
}

bool fault_parse(struct fault *f, const char *text)
{
    char kind[32];

    if (sscanf(text, "%" SCNd64 " %31s %" SCNd64 " %" SCNd64 " %" SCNd64, &f->at, kind,
               &f->a, &f->b, &f->length) != 5)
        return false;
    for (f->kind = SWARM_kill; f->kind < SWARM_COUNT; f->kind++)
        if (strcmp(kind, swarm_name(f->kind)) == 0)
            return f->at >= 0 && f->a >= 0 && f->a < BROKERS_MAX && f->length > 0;
    return false;
}

/* ---- cuts ----------------------------------------------------------------------------
 */

static void cut(struct lasting *l, int from, int to)
{
    if (from == to || l->cut[from][to])
        return;
    l->cut[from][to] = true;
    net_cut(l->trouble->net, from, to);
}

static void cut_both(struct lasting *l, int a, int b)
{
    cut(l, a, b);
    cut(l, b, a);
}

static void cut_from_all(struct lasting *l, int broker, bool clients, bool brokers)
{
    for (int i = 0; i < PARTIES; i++)
        if (i < BROKERS_MAX ? brokers : clients)
            cut_both(l, broker, i);
}

/* Camps by the bits of `set`; clients are on the side of broker 1. With a bridge, that
 * one broker belongs to both. */
static void cut_camps(struct lasting *l, int64_t set, int bridge)
{
    const int brokers = (int)l->trouble->swarm->brokers;

    for (int i = 0; i < brokers; i++)
        for (int j = 0; j < i; j++)
            if (i != bridge && j != bridge && ((set >> i) & 1) != ((set >> j) & 1))
                cut_both(l, i, j);
}

static void heal(struct lasting *l)
{
    for (int i = 0; i < PARTIES; i++)
        for (int j = 0; j < PARTIES; j++)
            if (l->cut[i][j]) {
                l->cut[i][j] = false;
                net_heal(l->trouble->net, i, j);
            }
}

/* ---- odd messages --------------------------------------------------------------------
 */

/* What hides the most when it is late or unanswered: a broker that learns late of other
 * leaders, is never told whether its set was changed, fetches or acknowledges from the
 * past, votes late; a producer whose repetitions meet another leader. */
static const struct oddity {
    enum rpc_api api;
    bool clients, late, lost;
} oddities[][2] = {
    {{RPC_QUORUM_FETCH, false, true, false}, {RPC_ALTER_PARTITIONS, false, false, true}},
    {{RPC_QUORUM_FETCH, false, true, false}, {RPC_REPLICA_FETCH, false, true, false}},
    {{RPC_ALTER_PARTITIONS, false, true, true},
     {RPC_BROKER_HEARTBEAT, false, true, false}},
    {{RPC_REPLICA_FETCH, false, true, false}, {RPC_REPLICA_ACK, false, true, false}},
    {{RPC_PRODUCE, true, true, false}, {RPC_REPLICA_FETCH, false, true, false}},
    {{RPC_PRODUCE, true, false, true}, {RPC_REPLICA_ACK, false, true, false}},
    {{RPC_VOTE, false, true, false}, {RPC_BEGIN_EPOCH, false, true, false}},
    {{RPC_VOTE, false, false, true}, {RPC_QUORUM_FETCH, false, false, true}},
};

static void make_odd(struct lasting *l, bool on)
{
    const struct fault *f = &l->fault;
    const size_t which = (size_t)f->b % (sizeof oddities / sizeof *oddities);

    for (size_t i = 0; i < 2; i++) {
        const struct oddity *o = &oddities[which][i];
        const moment late = on && o->late ? 1 + f->length / (1 + f->b % 4) : 0;

        for (int party = 0; party < PARTIES; party++)
            if (o->clients ? party >= BROKERS_MAX : party == (int)f->a)
                net_make_odd(l->trouble->net, party, o->api, late, on && o->lost);
    }
}

/* ---- what lasts ----------------------------------------------------------------------
 */

static void begin(struct lasting *l)
{
    struct trouble *t = l->trouble;
    const struct fault *f = &l->fault;
    struct sim_broker *b = &t->brokers[f->a];
    const int other = (int)((f->a + 1 + f->b % t->swarm->brokers) % t->swarm->brokers);

    switch (f->kind) {
    case SWARM_pause: sim_broker_pause(b); break;
    case SWARM_isolate:
    case SWARM_flap: cut_from_all(l, (int)f->a, true, true); break;
    case SWARM_one_way: cut(l, (int)f->a, other); break;
    case SWARM_split: cut_camps(l, f->b, -1); break;
    case SWARM_bridge: cut_camps(l, f->b, (int)f->a); break;
    case SWARM_alone: cut_from_all(l, (int)f->a, true, false); break;
    case SWARM_slow_disk: b->disk_slow = 1 + f->b % 100; break;
    case SWARM_odd: make_odd(l, true); break;
    case SWARM_full: sim_broker_fill(b, (uint64_t)(f->b % (1 << 20)) + 1); break;
    default: break;
    }
}

static void end(struct lasting *l)
{
    struct sim_broker *b = &l->trouble->brokers[l->fault.a];

    switch (l->fault.kind) {
    case SWARM_pause: sim_broker_resume(b); break;
    case SWARM_slow_disk: b->disk_slow = 0; break;
    case SWARM_full: sim_broker_fill(b, 0); break;
    case SWARM_odd: make_odd(l, false); break;
    default: heal(l); break;
    }
}

static void drop(struct lasting *l)
{
    struct lasting **at = &l->trouble->lasting;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    world_unset(l->trouble->world, &l->over);
    end(l);
    free(l);
}

static void on_over(struct event *e)
{
    struct lasting *l = container_of(e, struct lasting, over);
    struct trouble *t = l->trouble;

    note(t->world, 0, "over", l->fault.a, 0, 0);
    /* A flapping link is down about as often as it is up. */
    if (l->fault.kind == SWARM_flap && l->fault.b % 16 > 0) {
        l->fault.b--;
        if (l->fault.b % 2)
            heal(l);
        else
            begin(l);
        world_set(t->world, e, t->world->now + l->fault.length / 8 + MILLISECOND);
        return;
    }
    drop(l);
}

static void last(struct trouble *t, const struct fault *f)
{
    struct lasting *l = must_zalloc(sizeof *l);

    l->trouble = t;
    l->fault = *f;
    l->over.run = on_over;
    l->next = t->lasting;
    t->lasting = l;
    begin(l);
    world_set(t->world, &l->over, t->world->now + f->length);
}

/* ---- what strikes --------------------------------------------------------------------
 */

static bool all_are_up(const struct trouble *t)
{
    for (int64_t i = 0; i < t->swarm->brokers; i++)
        if (t->brokers[i].life == BROKER_DOWN)
            return false;
    return true;
}

/* A majority of the voters must be left, by the newest set that anybody knows: one voter
 * less may be on its way. */
static bool quorum_can_lose(const struct trouble *t)
{
    for (int64_t i = 0; i < t->swarm->brokers; i++) {
        const struct quorum *q = t->brokers[i].shards[0].node->quorum;
        int voters = 0;

        for (int32_t j = 1; j <= (int32_t)t->swarm->brokers; j++)
            voters += quorum_is_voter(q, j);
        if (voters < 3)
            return false;
    }
    return true;
}

/* A voter's disk may go once, when others hold the metadata as well. Where one replica in
 * sync is enough, that may be the very one whose disk is lost, long after it went; then
 * only an operator can say that nothing better will come. */
static bool can_lose(const struct trouble *t, const struct sim_broker *b)
{
    return !t->spent && t->swarm->voters >= 3 && t->swarm->min_in_sync >= 2 &&
           all_are_up(t) && quorum_can_lose(t) && oracle_can_lose(t->oracle, b);
}

static bool wipe(struct trouble *t, const struct fault *f)
{
    struct sim_broker *b = &t->brokers[f->a];

    if (!can_lose(t, b))
        return false;
    t->spent = true;
    sim_broker_kill(b, SIMDISK_POWER, -1);
    sim_broker_wipe(b);
    world_set(t->world, &b->comeback, t->world->now + f->length);
    return true;
}

/* Its broker may refuse such a disk: then it is as lost as if it were gone. */
static bool rot(struct trouble *t, const struct fault *f)
{
    struct sim_broker *b = &t->brokers[f->a];

    if (!can_lose(t, b))
        return false;
    sim_broker_kill(b, SIMDISK_POWER, f->length);
    t->spent = rot_disk(b, f->b);
    return t->spent;
}

static bool strike(struct trouble *t, const struct fault *f)
{
    struct sim_broker *b = &t->brokers[f->a];

    switch (f->kind) {
    case SWARM_kill: sim_broker_kill(b, SIMDISK_PROCESS, f->length); break;
    case SWARM_power: sim_broker_kill(b, SIMDISK_POWER, f->length); break;
    case SWARM_blackout:
        for (int64_t i = 0; i < t->swarm->brokers; i++)
            sim_broker_kill(&t->brokers[i], SIMDISK_POWER,
                            f->length + (f->b >> i) % 7 * 100 * MILLISECOND);
        break;
    case SWARM_ambush:
        sim_broker_ambush(b, (uint64_t)f->b % 40, (enum simdisk_moment)(f->b / 40 % 3));
        break;
    case SWARM_stop: sim_broker_leave(b, f->length); break;
    case SWARM_wipe: return wipe(t, f);
    case SWARM_rot: return rot(t, f);
    case SWARM_reset: net_break(t->net, (int)f->a, false); break;
    case SWARM_deaf: net_break(t->net, (int)f->a, true); break;
    case SWARM_sync_error:
        if (b->life == BROKER_DOWN)
            return false;
        simdisk_fail(b->disk, f->b % 2 ? DISK_SYNC : DISK_WRITE, 1, STATUS_IO);
        break;
    case SWARM_clock: b->wall_offset += (f->b % 2 ? 1 : -1) * f->length; break;
    default: last(t, f); break;
    }
    return true;
}

static void on_planned(struct event *e)
{
    struct planned *p = container_of(e, struct planned, event);
    struct trouble *t = p->trouble;

    if (t->over || p->fault.a >= t->swarm->brokers)
        return;
    note(t->world, 0, swarm_name(p->fault.kind), p->fault.a + 1, p->fault.b,
         p->fault.length / MILLISECOND);
    if (strike(t, &p->fault))
        t->counts[p->fault.kind - SWARM_kill]++;
}

struct trouble *trouble_new(struct world *w, struct net *n, const struct swarm *s,
                            struct sim_broker *brokers, struct oracle *o, uint64_t seed)
{
    struct trouble *t = must_zalloc(sizeof *t);

    *t = (struct trouble){.world = w, .net = n, .swarm = s};
    t->brokers = brokers;
    t->oracle = o;
    t->random = world_stream(seed, "trouble", 0);
    return t;
}

void trouble_plan(struct trouble *t, const struct fault_list *l)
{
    t->planned = l->count;
    t->plan = must_zalloc((l->count + 1) * sizeof *t->plan);
    for (size_t i = 0; i < l->count; i++) {
        t->plan[i].trouble = t;
        t->plan[i].fault = l->all[i];
        t->plan[i].event.run = on_planned;
        world_set(t->world, &t->plan[i].event, l->all[i].at);
    }
}

void trouble_end(struct trouble *t)
{
    t->over = true;
    while (t->lasting != NULL)
        drop(t->lasting);
    for (int64_t i = 0; i < t->swarm->brokers; i++) {
        struct sim_broker *b = &t->brokers[i];

        if (b->ambushed)
            sim_broker_ambush(b, UINT64_MAX / 2, SIMDISK_BEFORE);
        b->ambushed = false;
        simdisk_fail(b->disk, DISK_SYNC, 0, STATUS_OK);
        if (b->life == BROKER_DOWN)
            world_set(t->world, &b->comeback, t->world->now + 100 * MILLISECOND);
    }
}

const uint64_t *trouble_counts(const struct trouble *t)
{
    return t->counts;
}
