/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/member.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBTS_MAX = 64 };

struct member {
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

static void step_later(struct member *m, moment in)
{
    struct world *w = m->client.town->world;

    world_set(w, &m->step, w->now + in);
}

/* Every answer that is not about the offsets themselves. */
static void go_on(struct member *m, enum status st)
{
    m->last = st;
    if (st)
        m->coordinator = -1;
    step_later(m, st ? chance_range(&m->client.random, 10, 200) * MILLISECOND
                     : client_think(&m->client));
}

static void ask(struct member *m, enum rpc_api api, int to, const ProtobufCMessage *q,
                void (*done)(struct ask *a))
{
    m->ask.api = api;
    m->ask.timeout_ms = 2000;
    m->ask.done = done;
    net_ask(m->client.town->net, m->client.party, to, 0, &m->ask, q, (struct bytes){0});
}

static void on_found(struct ask *a)
{
    struct member *m = container_of(a, struct member, ask);
    struct arena arena;

    m->last = a->status;
    if (!a->status) {
        const Leat__FindCoordinatorResponse *r = answer_unpack(a, &arena);

        m->coordinator = r->node_id - 1;
        arena_release(&arena);
    }
    step_later(m, chance_range(&m->client.random, 1, 100) * MILLISECOND);
}

/* What was sent and not answered may arrive any time later, as from a connection that the
 * member has long given up: an offset goes back then, as with any client that commits
 * again. */
static void doubt(struct member *m)
{
    m->doubts[m->doubt_count++ % DOUBTS_MAX] = m->tried;
}

static bool is_in_doubt(const struct member *m, int64_t offset)
{
    size_t kept = m->doubt_count < DOUBTS_MAX ? m->doubt_count : DOUBTS_MAX;

    for (size_t i = 0; i < kept; i++)
        if (m->doubts[i] == offset)
            return true;
    return false;
}

static void on_committed(struct ask *a)
{
    struct member *m = container_of(a, struct member, ask);
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
        m->acked = m->tried;
    else if (st < 0)
        doubt(m);
    note(m->client.town->world, m->client.party + 95, "committed", m->tried, (int64_t)st,
         m->coordinator + 1);
    go_on(m, st);
}

static void judge(struct member *m, int64_t offset)
{
    struct town *t = m->client.town;

    note(t->world, m->client.party + 95, "is committed", offset, m->acked,
         m->coordinator + 1);
    if (oracle_may_go(t->oracle, m->topic[1] - '0'))
        m->acked = -1; /* and with the topic its offsets */
    if (is_in_doubt(m, offset))
        m->acked = offset;
    if (offset < m->acked || offset > m->tried)
        oracle_violation(t->oracle, "S10",
                         "group %s: offset %" PRId64 " is committed, but %" PRId64
                         " was acknowledged and %" PRId64 " tried",
                         m->group, offset, m->acked, m->tried);
    m->agreed = t->resting;
}

static void on_read(struct ask *a)
{
    struct member *m = container_of(a, struct member, ask);
    enum status st = a->status;
    struct arena arena;

    if (!st) {
        const Leat__OffsetFetchResponse *r = answer_unpack(a, &arena);

        if (r->n_topics == 1 && r->topics[0]->n_partitions == 1) {
            st = (enum status)r->topics[0]->partitions[0]->error;
            if (!st || st == STATUS_UNKNOWN_TOPIC_OR_PARTITION)
                judge(m, st ? -1 : r->topics[0]->partitions[0]->offset);
        }
        arena_release(&arena);
    }
    go_on(m, st);
}

static void commit(struct member *m)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT, *topics[] = {&t};
    Leat__OffsetPartition p = LEAT__OFFSET_PARTITION__INIT, *parts[] = {&p};

    q.group = m->group;
    q.member_epoch = -1;
    q.topics = topics;
    q.n_topics = 1;
    t.name = m->topic;
    t.partitions = parts;
    t.n_partitions = 1;
    p.offset = ++m->tried;
    p.leader_epoch = -1;
    ask(m, RPC_OFFSET_COMMIT, m->coordinator, &q.base, on_committed);
}

static void look(struct member *m)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;
    Leat__TopicPartitions t = LEAT__TOPIC_PARTITIONS__INIT, *topics[] = {&t};
    int32_t zero = 0;

    q.group = m->group;
    q.topics = topics;
    q.n_topics = 1;
    t.topic = m->topic;
    t.partitions = &zero;
    t.n_partitions = 1;
    ask(m, RPC_OFFSET_FETCH, m->coordinator, &q.base, on_read);
}

static void on_step(struct event *e)
{
    struct member *m = container_of(e, struct member, step);
    Leat__FindCoordinatorRequest q = LEAT__FIND_COORDINATOR_REQUEST__INIT;

    if (m->coordinator < 0) {
        q.group = m->group;
        ask(m, RPC_FIND_COORDINATOR, client_any(&m->client), &q.base, on_found);
    } else if (m->client.town->resting || chance_one_in(&m->client.random, 3)) {
        look(m);
    } else {
        commit(m);
    }
}

struct member *member_new(struct town *town, int number, uint64_t seed)
{
    struct member *m = must_zalloc(sizeof *m);

    client_init(&m->client, town, number, seed);
    snprintf(m->group, sizeof m->group, "g%d", number);
    topic_name(0, m->topic);
    m->coordinator = -1;
    m->acked = m->tried = -1;
    m->step.run = on_step;
    step_later(m, 500 * MILLISECOND);
    return m;
}

bool member_is_done(const struct member *m, char why[static 200])
{
    return m->agreed || snprintf(why, 200, "L4 group %s cannot be read: %s", m->group,
                                 status_name(m->last)) < 0;
}
