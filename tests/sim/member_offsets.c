/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/member_inner.h"

#include "proto/base/check.h"

#include <string.h>

/* ---- lists of partitions -------------------------------------------------------------
 */

void owned_add(struct owned_list *l, int topic, int32_t partition)
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

struct portion *member_portion(struct member *m, const char *topic, int32_t partition)
{
    int t = topic[0] == 't' ? topic[1] - '0' : -1;

    CHECK(t >= 0 && t < TOPICS_MAX && partition >= 0 && partition < PARTITIONS_MAX);
    return &m->portions[t][partition];
}

struct portion *member_next_held(struct member *m, int *i)
{
    while (*i < TOPICS_MAX * PARTITIONS_MAX) {
        struct portion *p = &m->portions[*i / PARTITIONS_MAX][*i % PARTITIONS_MAX];

        ++*i;
        if (p->hold.on)
            return p;
    }
    return NULL;
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

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;)
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

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;)
        if (p->leaving)
            member_let_go(m, p);
    if (m->voice.call == NULL)
        member_speak_in(m, 0);
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

            was_committed(m, member_portion(m, r->topics[i]->name, row->partition),
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
    member_tell(m, "committed", m->epoch, (int64_t)a->status);
    if (m->stage == STAGE_IN)
        let_go_of_leaving(m);
    member_write_in(m, member_soon(m));
}

static void commit(struct member *m)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic topics[TOPICS_MAX], *topic_list[TOPICS_MAX];
    Leat__OffsetPartition rows[TOPICS_MAX][PARTITIONS_MAX];
    Leat__OffsetPartition *lists[TOPICS_MAX][PARTITIONS_MAX];
    char names[TOPICS_MAX][8];
    struct portion *p;

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;) {
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
    member_ask(m, &m->book, RPC_OFFSET_COMMIT, m->coordinator, &q.base, on_committed);
}

/* ---- committed offsets ---------------------------------------------------------------
 */

/* Its offset is not known, or is that of a topic that is no more. */
static bool is_to_begin(const struct portion *p)
{
    return !p->leaving && (!p->begun || !uuid_equal(p->page.id, p->id));
}

static void was_read(struct member *m, struct portion *p, int64_t offset, int32_t epoch)
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
    page_begin_at(&p->page, offset < 0 ? 0 : offset, epoch < 0 ? 0 : epoch);
}

static void on_read(struct ask *a)
{
    struct member *m = container_of(a, struct member, book);
    const Leat__OffsetFetchResponse *r;
    struct arena arena;

    m->last = a->status;
    if (a->status) {
        member_write_in(m, member_soon(m));
        return;
    }
    r = answer_unpack(a, &arena);
    for (size_t i = 0; i < r->n_topics; i++)
        for (size_t j = 0; j < r->topics[i]->n_partitions; j++) {
            const Leat__OffsetFetchResult *row = r->topics[i]->partitions[j];

            if (!row->error)
                was_read(m, member_portion(m, r->topics[i]->name, row->partition),
                         row->offset, row->leader_epoch);
        }
    arena_release(&arena);
    if (!any(m, is_dirty) && !any(m, is_to_begin))
        m->agreed = member_world(m)->now;
    member_write_in(m, member_soon(m));
}

static void look(struct member *m)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;
    struct owned_list list = {.count = 0};
    struct portion *p;

    for (int i = 0; (p = member_next_held(m, &i)) != NULL;) {
        const int t = p->page.topic;

        p->asked = 0;
        if (!m->client.topics[t].known ||
            p->page.partition >= m->client.topics[t].count) {
            client_refresh(&m->client);
            continue;
        }
        p->asked = p->hold.first;
        owned_add(&list, t, p->page.partition);
    }
    q.group = CREW;
    q.topics = list.topics;
    q.n_topics = list.count;
    if (list.count > 0)
        member_ask(m, &m->book, RPC_OFFSET_FETCH, m->coordinator, &q.base, on_read);
    else
        member_write_in(m, member_soon(m));
    if (list.count == 0 && !any(m, is_to_begin))
        m->agreed = member_world(m)->now;
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
            m->stable = member_world(m)->now;
        arena_release(&arena);
    }
    member_write_in(m, member_soon(m));
}

static void describe(struct member *m)
{
    Leat__GroupDescribeRequest q = LEAT__GROUP_DESCRIBE_REQUEST__INIT;
    char name[] = CREW, *groups[] = {name};

    q.groups = groups;
    q.n_groups = 1;
    member_ask(m, &m->book, RPC_GROUP_DESCRIBE, m->coordinator, &q.base, on_described);
}

/* Giving up comes first, beginning second. */
void member_write(struct event *e)
{
    struct member *m = container_of(e, struct member, write);
    struct client *c = &m->client;

    if (m->book.call != NULL)
        return;
    if (m->stage != STAGE_IN || m->coordinator < 0) {
        member_write_in(m, member_soon(m));
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
        member_write_in(m, member_soon(m) + client_think(c));
}
