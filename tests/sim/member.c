/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/member_inner.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct world *member_world(const struct member *m)
{
    return m->client.town->world;
}

void member_speak_in(struct member *m, moment in)
{
    world_set(member_world(m), &m->speak, member_world(m)->now + in);
}

void member_write_in(struct member *m, moment in)
{
    world_set(member_world(m), &m->write, member_world(m)->now + in);
}

moment member_soon(struct member *m)
{
    return chance_range(&m->client.random, 10, 200) * MILLISECOND;
}

void member_tell(const struct member *m, const char *what, int64_t a, int64_t b)
{
    note(member_world(m), m->client.party + 95, what, a, b, m->coordinator + 1);
}

void member_ask(struct member *m, struct ask *a, enum rpc_api api, int to,
                const ProtobufCMessage *q, void (*done)(struct ask *a))
{
    a->api = api;
    a->timeout_ms = 1500;
    a->done = done;
    net_ask(m->client.town->net, m->client.party, to,
            a == &m->voice ? HEARTBEATS : OFFSETS, a, q, (struct bytes){0});
}

/* ---- taking and letting go -----------------------------------------------------------
 */

void member_let_go(struct member *m, struct portion *p)
{
    page_end(&p->page);
    crew_let_go(m->crew, p->page.topic, p->page.partition, &p->hold);
    p->begun = p->leaving = false;
}

static void name_anew(struct member *m)
{
    m->life = crew_new_life(m->crew);
    m->epoch = -1;
    if (m->id[0] == '\0' || chance_one_in(&m->client.random, 2))
        snprintf(m->id, sizeof m->id, "m%d.%u", m->number, m->life);
    m->session_ms = (int32_t)chance_range(&m->client.random, 1000, 3000);
    for (int t = 0; t < TOPICS_MAX; t++)
        m->wants[t] = t < m->client.town->swarm->topics &&
                      (t == 0 || !chance_one_in(&m->client.random, 3));
}

static void be_out(struct member *m)
{
    struct portion *p;

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;)
        member_let_go(m, p);
    m->stage = STAGE_OUT;
    name_anew(m);
}

static void take_share(struct member *m, bool told[TOPICS_MAX][PARTITIONS_MAX])
{
    bool gives_up = false;

    for (int t = 0; t < TOPICS_MAX; t++)
        for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
            struct portion *p = &m->portions[t][i];

            if (told[t][i] && !p->leaving) {
                crew_told(m->crew, t, i, &p->hold, m->life, m->epoch);
            } else if (p->hold.on && !told[t][i]) {
                p->leaving = gives_up = true;
                page_end(&p->page);
            }
        }
    if (gives_up)
        member_write_in(m, 0);
}

static void was_told(struct member *m, int32_t epoch, int32_t interval_ms,
                     Leat__TopicPartitions **assigned, size_t n)
{
    bool told[TOPICS_MAX][PARTITIONS_MAX] = {{false}};
    int64_t count = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < assigned[i]->n_partitions; j++, count++) {
            struct page *g =
                &member_portion(m, assigned[i]->topic, assigned[i]->partitions[j])->page;

            told[g->topic][g->partition] = true;
        }
    if (epoch != m->epoch)
        member_tell(m, "was told", epoch, count);
    m->epoch = epoch;
    m->stage = STAGE_IN;
    take_share(m, told);
    member_speak_in(m, interval_ms * MILLISECOND);
}

/* ---- heartbeats ----------------------------------------------------------------------
 */

static void stumble(struct member *m, enum status st)
{
    m->last = st;
    m->coordinator = -1;
    member_speak_in(m, member_soon(m));
}

static void on_found(struct ask *a)
{
    struct member *m = container_of(a, struct member, voice);
    const Leat__FindCoordinatorResponse *r;
    struct arena arena;

    if (a->status) {
        stumble(m, a->status);
        return;
    }
    r = answer_unpack(a, &arena);
    m->coordinator = r->node_id - 1;
    arena_release(&arena);
    member_speak_in(m, chance_range(&m->client.random, 1, 50) * MILLISECOND);
}

static void find(struct member *m)
{
    Leat__FindCoordinatorRequest q = LEAT__FIND_COORDINATOR_REQUEST__INIT;

    q.group = CREW;
    member_ask(m, &m->voice, RPC_FIND_COORDINATOR, client_any(&m->client), &q.base,
               on_found);
}

static void on_joined(struct ask *a)
{
    struct member *m = container_of(a, struct member, voice);
    const Leat__GroupJoinResponse *r;
    struct arena arena;

    if (a->status) {
        stumble(m, a->status);
        return;
    }
    r = answer_unpack(a, &arena);
    crew_heard(m->crew, m->life, r->member_epoch, m->joined_at);
    was_told(m, r->member_epoch, r->heartbeat_interval_ms, r->assigned, r->n_assigned);
    arena_release(&arena);
}

static void join(struct member *m)
{
    Leat__GroupJoinRequest q = LEAT__GROUP_JOIN_REQUEST__INIT;
    char names[TOPICS_MAX][8], *topics[TOPICS_MAX];

    q.group = CREW;
    q.member_id = m->id;
    q.topics = topics;
    for (int t = 0; t < TOPICS_MAX; t++)
        if (m->wants[t]) {
            topic_name(t, names[t]);
            topics[q.n_topics++] = names[t];
        }
    q.session_timeout_ms = m->session_ms;
    q.rebalance_timeout_ms = 2 * m->session_ms;
    m->joined_at = crew_epoch(m->crew);
    member_ask(m, &m->voice, RPC_GROUP_JOIN, m->coordinator, &q.base, on_joined);
}

/* What it held on to although another one had been told of it. */
static void judge_defiance(struct member *m)
{
    struct portion *p;

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;)
        if (m->defied[p->page.topic][p->page.partition])
            crew_contested(m->crew, p->page.topic, p->page.partition, &p->hold);
}

static void on_beaten(struct ask *a)
{
    struct member *m = container_of(a, struct member, voice);
    const Leat__GroupHeartbeatResponse *r;
    struct arena arena;

    if (a->status == STATUS_UNKNOWN_MEMBER || a->status == STATUS_FENCED_MEMBER_EPOCH) {
        member_tell(m, "is out", m->epoch, (int64_t)a->status);
        be_out(m);
        member_speak_in(m, member_soon(m));
        return;
    }
    if (a->status) {
        stumble(m, a->status);
        return;
    }
    judge_defiance(m);
    r = answer_unpack(a, &arena);
    if (r->member_epoch < m->epoch)
        oracle_violation(m->client.town->oracle, "S20",
                         "member %s said epoch %d and was answered with %d", m->id,
                         (int)m->epoch, (int)r->member_epoch);
    crew_heard(m->crew, m->life, r->member_epoch, -1);
    was_told(m, r->member_epoch, r->heartbeat_interval_ms, r->assigned, r->n_assigned);
    arena_release(&arena);
}

static void beat(struct member *m)
{
    Leat__GroupHeartbeatRequest q = LEAT__GROUP_HEARTBEAT_REQUEST__INIT;
    struct owned_list owned = {.count = 0};
    struct portion *p;

    memset(m->defied, 0, sizeof m->defied);
    for (int i = 0; (p = member_next_held(m, &i)) != NULL;) {
        owned_add(&owned, p->page.topic, p->page.partition);
        m->defied[p->page.topic][p->page.partition] = p->hold.contested;
    }
    q.group = CREW;
    q.member_id = m->id;
    q.member_epoch = m->epoch;
    q.owned = owned.topics;
    q.n_owned = owned.count;
    member_ask(m, &m->voice, RPC_GROUP_HEARTBEAT, m->coordinator, &q.base, on_beaten);
}

/* ---- ways out ------------------------------------------------------------------------
 */

/* Told or not: it is gone for a while. */
static void on_left(struct ask *a)
{
    struct member *m = container_of(a, struct member, voice);

    member_tell(m, "has left", m->epoch, (int64_t)a->status);
    m->stage = STAGE_OUT;
    name_anew(m);
    member_speak_in(m, chance_log(&m->client.random, 10, 3000) * MILLISECOND);
}

static void say_farewell(struct member *m)
{
    Leat__GroupLeaveRequest q = LEAT__GROUP_LEAVE_REQUEST__INIT;

    q.group = CREW;
    q.member_id = m->id;
    member_ask(m, &m->voice, RPC_GROUP_LEAVE, m->coordinator, &q.base, on_left);
}

static void leave(struct member *m)
{
    struct portion *p;

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;)
        member_let_go(m, p);
    m->stage = STAGE_LEAVING;
    net_forget(m->client.town->net, &m->voice);
    member_speak_in(m, 0);
}

/* What it has sent is on its way all the same. */
static void die(struct member *m)
{
    struct town *t = m->client.town;

    member_tell(m, "dies", m->epoch, 0);
    net_forget(t->net, &m->voice);
    net_forget(t->net, &m->book);
    for (int i = 0; i < TOPICS_MAX * PARTITIONS_MAX; i++)
        m->portions[i / PARTITIONS_MAX][i % PARTITIONS_MAX].committing = false;
    be_out(m);
    if (chance_one_in(&m->client.random, 2))
        net_break(t->net, m->client.party, false);
    m->coordinator = -1;
    member_speak_in(m, chance_log(&m->client.random, 10, 3000) * MILLISECOND);
    member_write_in(m, SECOND);
}

static void on_fate(struct event *e)
{
    struct member *m = container_of(e, struct member, fate);
    const struct town *t = m->client.town;

    world_set(t->world, e,
              t->world->now + chance_log(&m->client.random, 500, 8000) * MILLISECOND);
    if (m->stage != STAGE_IN || t->resting || t->settled || t->swarm->calm)
        return;
    switch (prng_below(&m->client.random, 6)) {
    case 0: leave(m); break;
    case 1: die(m); break;
    case 2:
        m->silent_until =
            t->world->now + chance_log(&m->client.random, 200, 4000) * MILLISECOND;
        member_tell(m, "is silent", m->epoch, m->silent_until / MILLISECOND);
        break;
    default: break;
    }
}

static void on_speak(struct event *e)
{
    struct member *m = container_of(e, struct member, speak);
    const moment now = member_world(m)->now;

    if (m->voice.call != NULL)
        return;
    if (m->stage == STAGE_IN && now < m->silent_until) {
        member_speak_in(m, m->silent_until - now);
        return;
    }
    if (m->coordinator < 0) {
        find(m);
        return;
    }
    switch (m->stage) {
    case STAGE_OUT: join(m); break;
    case STAGE_IN: beat(m); break;
    case STAGE_LEAVING: say_farewell(m); break;
    }
}

/* ---- beginning and end ---------------------------------------------------------------
 */

struct member *member_new(struct town *town, struct crew *crew, int number, uint64_t seed)
{
    struct member *m = must_zalloc(sizeof *m);

    client_init(&m->client, town, number, seed);
    m->crew = crew;
    m->number = number;
    m->coordinator = -1;
    for (int i = 0; i < TOPICS_MAX * PARTITIONS_MAX; i++) {
        const int t = i / PARTITIONS_MAX, partition = i % PARTITIONS_MAX;

        page_init(&m->portions[t][partition].page, &m->client, t, partition);
    }
    name_anew(m);
    m->speak.run = on_speak;
    m->write.run = member_write;
    m->fate.run = on_fate;
    member_speak_in(m, chance_log(&m->client.random, 100, 5000) * MILLISECOND);
    member_write_in(m, SECOND);
    world_set(town->world, &m->fate, town->world->now + 2 * SECOND);
    return m;
}
