/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/member.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "tests/sim/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CREW "crew"

enum { HEARTBEATS, OFFSETS }; /* connections */

enum stage { STAGE_OUT, STAGE_IN, STAGE_LEAVING };

/* A partition that it was told to work on. */
struct portion {
    struct page page;
    struct hold hold;
    struct uuid id;       /* of the topic whose offset was asked for */
    bool begun;           /* that is known, and the page is read */
    bool leaving;         /* to be let go of */
    int64_t committed;    /* as far as is known, -1: nothing */
    struct commit commit; /* the newest */
    bool committing;      /* and it is under way */
    int32_t asked;        /* hold.first when its offset was asked for, 0: it was not */
};

struct member {
    struct client client;
    struct crew *crew;
    int number;
    char id[24];
    uint32_t life;
    bool wants[TOPICS_MAX];
    int32_t session_ms;
    enum stage stage;
    int coordinator; /* 0 to 4; -1: unknown */
    int32_t epoch;
    int32_t joined_at;                       /* crew_epoch when it asked to join */
    bool defied[TOPICS_MAX][PARTITIONS_MAX]; /* held on to at the last heartbeat, although
                                              * another one had been told of it */
    struct ask voice, book;                  /* heartbeats and offsets */
    struct event speak, write, fate;
    moment silent_until;
    moment agreed, stable; /* when all was well, as far as it can tell */
    struct portion portions[TOPICS_MAX][PARTITIONS_MAX];
    enum status last;
};

static struct world *world_of(const struct member *m)
{
    return m->client.town->world;
}

static void speak_in(struct member *m, moment in)
{
    world_set(world_of(m), &m->speak, world_of(m)->now + in);
}

static void write_in(struct member *m, moment in)
{
    world_set(world_of(m), &m->write, world_of(m)->now + in);
}

static moment soon(struct member *m)
{
    return chance_range(&m->client.random, 10, 200) * MILLISECOND;
}

static void tell(const struct member *m, const char *what, int64_t a, int64_t b)
{
    note(world_of(m), m->client.party + 95, what, a, b, m->coordinator + 1);
}

static void ask(struct member *m, struct ask *a, enum rpc_api api, int to,
                const ProtobufCMessage *q, void (*done)(struct ask *a))
{
    a->api = api;
    a->timeout_ms = 1500;
    a->done = done;
    net_ask(m->client.town->net, m->client.party, to,
            a == &m->voice ? HEARTBEATS : OFFSETS, a, q, (struct bytes){0});
}

/* ---- lists of partitions -------------------------------------------------------------
 */

struct list {
    Leat__TopicPartitions rows[TOPICS_MAX], *topics[TOPICS_MAX];
    int32_t numbers[TOPICS_MAX][PARTITIONS_MAX];
    char names[TOPICS_MAX][8];
    size_t count;
};

static void list_add(struct list *l, int topic, int32_t partition)
{
    Leat__TopicPartitions *row = l->count > 0 ? l->topics[l->count - 1] : NULL;

    topic_name(topic, l->names[topic]);
    if (row == NULL || row->topic != l->names[topic]) {
        row = l->topics[l->count++] = &l->rows[topic];
        leat__topic_partitions__init(row);
        row->topic = l->names[topic];
        row->partitions = l->numbers[topic];
    }
    row->partitions[row->n_partitions++] = partition;
}

static struct portion *portion_of(struct member *m, const char *topic, int32_t partition)
{
    int t = topic[0] == 't' ? topic[1] - '0' : -1;

    CHECK(t >= 0 && t < TOPICS_MAX && partition >= 0 && partition < PARTITIONS_MAX);
    return &m->portions[t][partition];
}

/* Walk what it works on: `i` from 0. */
static struct portion *next_held(struct member *m, int *i)
{
    while (*i < TOPICS_MAX * PARTITIONS_MAX) {
        struct portion *p = &m->portions[*i / PARTITIONS_MAX][*i % PARTITIONS_MAX];

        ++*i;
        if (p->hold.on)
            return p;
    }
    return NULL;
}

/* ---- taking and letting go -----------------------------------------------------------
 */

static void let_go(struct member *m, struct portion *p)
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

    for (int i = 0; (p = next_held(m, &i)) != NULL;)
        let_go(m, p);
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
        write_in(m, 0);
}

static void was_told(struct member *m, int32_t epoch, int32_t interval_ms,
                     Leat__TopicPartitions **assigned, size_t n)
{
    bool told[TOPICS_MAX][PARTITIONS_MAX] = {{false}};
    int64_t count = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < assigned[i]->n_partitions; j++, count++) {
            struct page *g =
                &portion_of(m, assigned[i]->topic, assigned[i]->partitions[j])->page;

            told[g->topic][g->partition] = true;
        }
    if (epoch != m->epoch)
        tell(m, "was told", epoch, count);
    m->epoch = epoch;
    m->stage = STAGE_IN;
    take_share(m, told);
    speak_in(m, interval_ms * MILLISECOND);
}

/* ---- heartbeats ----------------------------------------------------------------------
 */

static void stumble(struct member *m, enum status st)
{
    m->last = st;
    m->coordinator = -1;
    speak_in(m, soon(m));
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
    speak_in(m, chance_range(&m->client.random, 1, 50) * MILLISECOND);
}

static void find(struct member *m)
{
    Leat__FindCoordinatorRequest q = LEAT__FIND_COORDINATOR_REQUEST__INIT;

    q.group = CREW;
    ask(m, &m->voice, RPC_FIND_COORDINATOR, client_any(&m->client), &q.base, on_found);
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
    ask(m, &m->voice, RPC_GROUP_JOIN, m->coordinator, &q.base, on_joined);
}

/* What it held on to although another one had been told of it. */
static void judge_defiance(struct member *m)
{
    struct portion *p;

    for (int i = 0; (p = next_held(m, &i)) != NULL;)
        if (m->defied[p->page.topic][p->page.partition])
            crew_contested(m->crew, p->page.topic, p->page.partition, &p->hold);
}

static void on_beaten(struct ask *a)
{
    struct member *m = container_of(a, struct member, voice);
    const Leat__GroupHeartbeatResponse *r;
    struct arena arena;

    if (a->status == STATUS_UNKNOWN_MEMBER || a->status == STATUS_FENCED_MEMBER_EPOCH) {
        tell(m, "is out", m->epoch, (int64_t)a->status);
        be_out(m);
        speak_in(m, soon(m));
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
    struct list owned = {.count = 0};
    struct portion *p;

    memset(m->defied, 0, sizeof m->defied);
    for (int i = 0; (p = next_held(m, &i)) != NULL;) {
        list_add(&owned, p->page.topic, p->page.partition);
        m->defied[p->page.topic][p->page.partition] = p->hold.contested;
    }
    q.group = CREW;
    q.member_id = m->id;
    q.member_epoch = m->epoch;
    q.owned = owned.topics;
    q.n_owned = owned.count;
    ask(m, &m->voice, RPC_GROUP_HEARTBEAT, m->coordinator, &q.base, on_beaten);
}

/* ---- ways out ------------------------------------------------------------------------
 */

/* Told or not: it is gone for a while. */
static void on_left(struct ask *a)
{
    struct member *m = container_of(a, struct member, voice);

    tell(m, "has left", m->epoch, (int64_t)a->status);
    m->stage = STAGE_OUT;
    name_anew(m);
    speak_in(m, chance_log(&m->client.random, 10, 3000) * MILLISECOND);
}

static void say_farewell(struct member *m)
{
    Leat__GroupLeaveRequest q = LEAT__GROUP_LEAVE_REQUEST__INIT;

    q.group = CREW;
    q.member_id = m->id;
    ask(m, &m->voice, RPC_GROUP_LEAVE, m->coordinator, &q.base, on_left);
}

static void leave(struct member *m)
{
    struct portion *p;

    for (int i = 0; (p = next_held(m, &i)) != NULL;)
        let_go(m, p);
    m->stage = STAGE_LEAVING;
    net_forget(m->client.town->net, &m->voice);
    speak_in(m, 0);
}

/* What it has sent is on its way all the same. */
static void die(struct member *m)
{
    struct town *t = m->client.town;

    tell(m, "dies", m->epoch, 0);
    net_forget(t->net, &m->voice);
    net_forget(t->net, &m->book);
    for (int i = 0; i < TOPICS_MAX * PARTITIONS_MAX; i++)
        m->portions[i / PARTITIONS_MAX][i % PARTITIONS_MAX].committing = false;
    be_out(m);
    if (chance_one_in(&m->client.random, 2))
        net_break(t->net, m->client.party, false);
    m->coordinator = -1;
    speak_in(m, chance_log(&m->client.random, 10, 3000) * MILLISECOND);
    write_in(m, SECOND);
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
        tell(m, "is silent", m->epoch, m->silent_until / MILLISECOND);
        break;
    default: break;
    }
}

static void on_speak(struct event *e)
{
    struct member *m = container_of(e, struct member, speak);
    const moment now = world_of(m)->now;

    if (m->voice.call != NULL)
        return;
    if (m->stage == STAGE_IN && now < m->silent_until) {
        speak_in(m, m->silent_until - now);
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

/* ---- commits -------------------------------------------------------------------------
 */

static bool is_dirty(const struct portion *p)
{
    return p->begun && uuid_equal(p->page.id, p->id) && p->page.offset > p->committed;
}

static bool any(struct member *m, bool (*is_so)(const struct portion *p))
{
    struct portion *p;

    for (int i = 0; (p = next_held(m, &i)) != NULL;)
        if (is_so(p))
            return true;
    return false;
}

static bool is_leaving(const struct portion *p)
{
    return p->leaving;
}

static bool is_dirty_and_leaving(const struct portion *p)
{
    return p->leaving && is_dirty(p);
}

static void let_go_of_leaving(struct member *m)
{
    struct portion *p;

    for (int i = 0; (p = next_held(m, &i)) != NULL;)
        if (p->leaving)
            let_go(m, p);
    if (m->voice.call == NULL)
        speak_in(m, 0);
}

static void was_committed(struct member *m, struct portion *p, enum status st)
{
    const struct commit *c = &p->commit;

    p->committing = false;
    crew_committed(m->crew, p->page.topic, p->page.partition, c, st);
    if (!st && p->hold.on && p->hold.life == c->life && p->hold.first == c->first)
        p->committed = c->offset;
}

static void take_rows(struct member *m, const Leat__OffsetCommitResponse *r)
{
    for (size_t i = 0; i < r->n_topics; i++)
        for (size_t j = 0; j < r->topics[i]->n_partitions; j++) {
            const Leat__OffsetCommitResult *row = r->topics[i]->partitions[j];

            was_committed(m, portion_of(m, r->topics[i]->name, row->partition),
                          (enum status)row->error);
        }
}

static void on_committed(struct ask *a)
{
    struct member *m = container_of(a, struct member, book);
    struct arena arena;

    if (!a->status) {
        take_rows(m, answer_unpack(a, &arena));
        arena_release(&arena);
    }
    for (int i = 0; i < TOPICS_MAX * PARTITIONS_MAX; i++) {
        struct portion *p = &m->portions[i / PARTITIONS_MAX][i % PARTITIONS_MAX];

        if (p->committing)
            was_committed(m, p, a->status ? a->status : STATUS_PROTOCOL);
    }
    tell(m, "committed", m->epoch, (int64_t)a->status);
    if (m->stage == STAGE_IN)
        let_go_of_leaving(m);
    write_in(m, soon(m));
}

static void commit(struct member *m)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic topics[TOPICS_MAX], *topic_list[TOPICS_MAX];
    Leat__OffsetPartition rows[TOPICS_MAX][PARTITIONS_MAX];
    Leat__OffsetPartition *lists[TOPICS_MAX][PARTITIONS_MAX];
    char names[TOPICS_MAX][8];
    struct portion *p;

    for (int i = 0; (p = next_held(m, &i)) != NULL;) {
        const int t = p->page.topic;
        Leat__OffsetTopic *topic = &topics[t];

        if (!is_dirty(p))
            continue;
        if (q.n_topics == 0 || topic_list[q.n_topics - 1] != topic) {
            leat__offset_topic__init(topic);
            topic_name(t, names[t]);
            topic->name = names[t];
            topic->partitions = lists[t];
            topic_list[q.n_topics++] = topic;
        }
        lists[t][topic->n_partitions] = &rows[t][topic->n_partitions];
        leat__offset_partition__init(&rows[t][topic->n_partitions]);
        rows[t][topic->n_partitions].partition = p->page.partition;
        rows[t][topic->n_partitions].offset = p->page.offset;
        rows[t][topic->n_partitions++].leader_epoch = p->page.epoch;
        crew_commit(m->crew, t, p->page.partition, &p->hold, p->page.offset, &p->commit);
        p->committing = true;
    }
    q.group = CREW;
    q.member_id = m->id;
    q.member_epoch = m->epoch;
    q.topics = topic_list;
    ask(m, &m->book, RPC_OFFSET_COMMIT, m->coordinator, &q.base, on_committed);
}

/* ---- committed offsets ---------------------------------------------------------------
 */

/* Its offset is not known, or is that of a topic that is no more. */
static bool is_to_begin(const struct portion *p)
{
    return !p->leaving && (!p->begun || !uuid_equal(p->page.id, p->id));
}

static void was_read(struct member *m, struct portion *p, int64_t offset)
{
    struct client *c = &m->client;
    const int t = p->page.topic;

    if (!p->hold.on || p->leaving || p->asked != p->hold.first || !c->topics[t].known)
        return;
    crew_read(m->crew, t, p->page.partition, &p->hold, offset);
    if (!is_to_begin(p))
        return;
    page_end(&p->page);
    p->begun = true;
    p->id = c->topics[t].id;
    p->committed = offset;
    page_begin_at(&p->page, offset < 0 ? 0 : offset);
}

static void on_read(struct ask *a)
{
    struct member *m = container_of(a, struct member, book);
    const Leat__OffsetFetchResponse *r;
    struct arena arena;

    m->last = a->status;
    if (a->status) {
        write_in(m, soon(m));
        return;
    }
    r = answer_unpack(a, &arena);
    for (size_t i = 0; i < r->n_topics; i++)
        for (size_t j = 0; j < r->topics[i]->n_partitions; j++) {
            const Leat__OffsetFetchResult *row = r->topics[i]->partitions[j];

            if (!row->error)
                was_read(m, portion_of(m, r->topics[i]->name, row->partition),
                         row->offset);
        }
    arena_release(&arena);
    if (!any(m, is_dirty) && !any(m, is_to_begin))
        m->agreed = world_of(m)->now;
    write_in(m, soon(m));
}

static void look(struct member *m)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;
    struct list list = {.count = 0};
    struct portion *p;

    for (int i = 0; (p = next_held(m, &i)) != NULL;) {
        const int t = p->page.topic;

        p->asked = 0;
        if (!m->client.topics[t].known ||
            p->page.partition >= m->client.topics[t].count) {
            client_refresh(&m->client);
            continue;
        }
        p->asked = p->hold.first;
        list_add(&list, t, p->page.partition);
    }
    q.group = CREW;
    q.topics = list.topics;
    q.n_topics = list.count;
    if (list.count > 0)
        ask(m, &m->book, RPC_OFFSET_FETCH, m->coordinator, &q.base, on_read);
    else
        write_in(m, soon(m));
    if (list.count == 0 && !any(m, is_to_begin))
        m->agreed = world_of(m)->now;
}

static void on_described(struct ask *a)
{
    struct member *m = container_of(a, struct member, book);
    const Leat__GroupDescribeResponse *r;
    struct arena arena;

    if (!a->status) {
        r = answer_unpack(a, &arena);
        if (r->n_groups == 1 && strcmp(r->groups[0]->state, "stable") == 0 &&
            r->groups[0]->n_members == (size_t)m->client.town->swarm->members)
            m->stable = world_of(m)->now;
        arena_release(&arena);
    }
    write_in(m, soon(m));
}

static void describe(struct member *m)
{
    Leat__GroupDescribeRequest q = LEAT__GROUP_DESCRIBE_REQUEST__INIT;
    char name[] = CREW, *groups[] = {name};

    q.groups = groups;
    q.n_groups = 1;
    ask(m, &m->book, RPC_GROUP_DESCRIBE, m->coordinator, &q.base, on_described);
}

/* Giving up comes first, beginning second. */
static void on_write(struct event *e)
{
    struct member *m = container_of(e, struct member, write);
    struct client *c = &m->client;

    if (m->book.call != NULL)
        return;
    if (m->stage != STAGE_IN || m->coordinator < 0) {
        write_in(m, soon(m));
        return;
    }
    if (any(m, is_leaving)) {
        if (any(m, is_dirty_and_leaving)) {
            commit(m);
            return;
        }
        let_go_of_leaving(m);
    }
    if (any(m, is_to_begin))
        look(m);
    else if (any(m, is_dirty) && (c->town->resting || chance_one_in(&c->random, 3)))
        commit(m);
    else if (c->town->resting && chance_one_in(&c->random, 2))
        describe(m);
    else if (c->town->resting || chance_one_in(&c->random, 4))
        look(m);
    else
        write_in(m, soon(m) + client_think(c));
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
    m->write.run = on_write;
    m->fate.run = on_fate;
    speak_in(m, chance_log(&m->client.random, 100, 5000) * MILLISECOND);
    write_in(m, SECOND);
    world_set(town->world, &m->fate, town->world->now + 2 * SECOND);
    return m;
}

static bool is_fresh(const struct member *m, moment at)
{
    return at > 0 && at > world_of(m)->now - SECOND;
}

static bool is_done(const struct member *m, char why[static 200])
{
    if (m->stage != STAGE_IN)
        return snprintf(why, 200, "L4 member %s is not in the group: %s", m->id,
                        status_name(m->last)) < 0;
    if (!is_fresh(m, m->stable))
        return snprintf(why, 200, "L4 the group is not stable, says who member %s asked",
                        m->id) < 0;
    return is_fresh(m, m->agreed) ||
           snprintf(why, 200, "L4 member %s has not read what it committed: %s", m->id,
                    status_name(m->last)) < 0;
}

static bool has_one_owner(struct member *const *members, size_t n,
                          const struct topic *topic, int t, int32_t partition,
                          char why[static 200])
{
    struct oracle *o = members[0]->client.town->oracle;
    const int64_t end = oracle_committed(o, topic->id, partition);
    size_t owners = 0;

    for (size_t i = 0; i < n; i++) {
        const struct portion *p = &members[i]->portions[t][partition];

        owners += p->hold.on;
        if (p->hold.on && (!p->begun || p->leaving || !uuid_equal(p->id, topic->id) ||
                           (end > 0 && p->committed < end)))
            return snprintf(why, 200,
                            "L4 member %s has committed t%d/%d to %" PRId64 " of %" PRId64
                            ", read it to %" PRId64 ": %s",
                            members[i]->id, t, (int)partition, p->committed, end,
                            p->page.offset, status_name(p->page.last)) < 0;
    }
    return owners == 1 || snprintf(why, 200, "L4 t%d/%d is worked on by %zu members", t,
                                   (int)partition, owners) < 0;
}

bool members_are_done(struct member *const *members, size_t n, char why[static 200])
{
    const struct image *image =
        n > 0 ? oracle_image(members[0]->client.town->oracle) : NULL;

    for (size_t i = 0; i < n; i++)
        if (!is_done(members[i], why))
            return false;
    for (int t = 0; n > 0 && t < TOPICS_MAX; t++) {
        const struct topic *topic;
        char name[8];
        bool wanted = false;

        topic_name(t, name);
        for (size_t i = 0; i < n; i++)
            wanted |= members[i]->wants[t];
        topic = image_topic(image, bytes_of(name));
        if (wanted && topic == NULL)
            return snprintf(why, 200, "L4 there is no topic %s", name) < 0;
        for (int32_t i = 0; wanted && i < topic->partition_count; i++)
            if (!has_one_owner(members, n, topic, t, i, why))
                return false;
    }
    return true;
}
