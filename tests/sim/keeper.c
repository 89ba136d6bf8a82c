/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/keeper.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBTS_MAX = 64 };

struct keeper {
    struct client client;
    struct ask ask;
    struct event step;
    char group[16], topic[8];
    struct uuid id;             /* of the topic that the commits are about */
    int coordinator;            /* 0 to 4; -1: unknown */
    int64_t acked;              /* the newest commit that was acknowledged, -1: none */
    int64_t tried;              /* the newest that was sent */
    int64_t doubts[DOUBTS_MAX]; /* the newest whose fate is unknown: they may come late */
    size_t doubt_count;
    bool agreed; /* resting, and the last answer was the newest */
    enum status last;
};

static void step_later(struct keeper *k, moment in)
{
    struct world *w = k->client.town->world;

    world_set(w, &k->step, w->now + in);
}

/* Every answer that is not about the offsets themselves. */
static void go_on(struct keeper *k, enum status st)
{
    k->last = st;
    if (st)
        k->coordinator = -1;
    step_later(k, st ? chance_range(&k->client.random, 10, 200) * MILLISECOND
                     : client_think(&k->client));
}

static void ask(struct keeper *k, enum rpc_api api, int to, const ProtobufCMessage *q,
                void (*done)(struct ask *a))
{
    k->ask.api = api;
    k->ask.timeout_ms = 2000;
    k->ask.done = done;
    net_ask(k->client.town->net, k->client.party, to, 0, &k->ask, q, (struct bytes){0});
}

static void on_found(struct ask *a)
{
    struct keeper *k = container_of(a, struct keeper, ask);
    struct arena arena;

    k->last = a->status;
    if (!a->status) {
        const Leat__FindCoordinatorResponse *r = answer_unpack(a, &arena);

        k->coordinator = r->node_id - 1;
        arena_release(&arena);
    }
    step_later(k, chance_range(&k->client.random, 1, 100) * MILLISECOND);
}

/* What was sent and not answered may arrive any time later, as from a connection that the
 * keeper has long given up: an offset goes back then, as with any client that commits
 * again. */
static void doubt(struct keeper *k)
{
    k->doubts[k->doubt_count++ % DOUBTS_MAX] = k->tried;
}

static bool is_in_doubt(const struct keeper *k, int64_t offset)
{
    size_t kept = k->doubt_count < DOUBTS_MAX ? k->doubt_count : DOUBTS_MAX;

    for (size_t i = 0; i < kept; i++)
        if (k->doubts[i] == offset)
            return true;
    return false;
}

static void on_committed(struct ask *a)
{
    struct keeper *k = container_of(a, struct keeper, ask);
    enum status st = a->status;
    struct arena arena;

    if (!st) {
        const Leat__OffsetCommitResponse *r = answer_unpack(a, &arena);

        st = r->n_topics == 1 && r->topics[0]->n_partitions == 1
                 ? (enum status)r->topics[0]->partitions[0]->error
                 : STATUS_PROTOCOL;
        arena_release(&arena);
    }
    if (!st)
        k->acked = k->tried;
    else if (st < 0)
        doubt(k);
    note(k->client.town->world, k->client.party + 95, "committed", k->tried, (int64_t)st,
         k->coordinator + 1);
    go_on(k, st);
}

static void judge(struct keeper *k, int64_t offset)
{
    struct town *t = k->client.town;

    note(t->world, k->client.party + 95, "is committed", offset, k->acked,
         k->coordinator + 1);
    if (oracle_may_go(t->oracle, k->topic[1] - '0'))
        k->acked = -1; /* and with the topic its offsets */
    if (is_in_doubt(k, offset))
        k->acked = offset;
    if (offset < k->acked || offset > k->tried)
        oracle_violation(t->oracle, "S10",
                         "group %s: offset %" PRId64 " is committed, but %" PRId64
                         " was acknowledged and %" PRId64 " tried",
                         k->group, offset, k->acked, k->tried);
    k->agreed = t->resting;
}

static void on_read(struct ask *a)
{
    struct keeper *k = container_of(a, struct keeper, ask);
    enum status st = a->status;
    struct arena arena;

    if (!st) {
        const Leat__OffsetFetchResponse *r = answer_unpack(a, &arena);

        if (r->n_topics == 1 && r->topics[0]->n_partitions == 1) {
            st = (enum status)r->topics[0]->partitions[0]->error;
            if (!st || st == STATUS_UNKNOWN_TOPIC_OR_PARTITION)
                judge(k, st ? -1 : r->topics[0]->partitions[0]->offset);
        }
        arena_release(&arena);
    }
    go_on(k, st);
}

static void commit(struct keeper *k)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT, *topics[] = {&t};
    Leat__OffsetPartition p = LEAT__OFFSET_PARTITION__INIT, *parts[] = {&p};

    q.group = k->group;
    q.member_epoch = -1;
    q.topics = topics;
    q.n_topics = 1;
    t.name = k->topic;
    t.partitions = parts;
    t.n_partitions = 1;
    p.offset = ++k->tried;
    p.leader_epoch = -1;
    ask(k, RPC_OFFSET_COMMIT, k->coordinator, &q.base, on_committed);
}

static void look(struct keeper *k)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;
    Leat__TopicPartitions t = LEAT__TOPIC_PARTITIONS__INIT, *topics[] = {&t};
    int32_t zero = 0;

    q.group = k->group;
    q.topics = topics;
    q.n_topics = 1;
    t.topic = k->topic;
    t.partitions = &zero;
    t.n_partitions = 1;
    ask(k, RPC_OFFSET_FETCH, k->coordinator, &q.base, on_read);
}

static void on_step(struct event *e)
{
    struct keeper *k = container_of(e, struct keeper, step);
    Leat__FindCoordinatorRequest q = LEAT__FIND_COORDINATOR_REQUEST__INIT;

    if (k->coordinator < 0) {
        q.group = k->group;
        ask(k, RPC_FIND_COORDINATOR, client_any(&k->client), &q.base, on_found);
    } else if (k->client.town->resting || chance_one_in(&k->client.random, 3)) {
        look(k);
    } else {
        commit(k);
    }
}

struct keeper *keeper_new(struct town *town, int number, uint64_t seed)
{
    struct keeper *k = must_zalloc(sizeof *k);

    client_init(&k->client, town, number, seed);
    snprintf(k->group, sizeof k->group, "g%d", number);
    topic_name(0, k->topic);
    k->coordinator = -1;
    k->acked = k->tried = -1;
    k->step.run = on_step;
    step_later(k, 500 * MILLISECOND);
    return k;
}

bool keeper_is_done(const struct keeper *k, char why[static 200])
{
    return k->agreed || snprintf(why, 200, "L4 group %s cannot be read: %s", k->group,
                                 status_name(k->last)) < 0;
}
