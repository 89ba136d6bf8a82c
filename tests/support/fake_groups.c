/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_groups.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEMBERS_MAX = 8, TOPICS_MAX = 4, PARTITIONS_MAX = 16, AWAIT_S = 20 };

struct member {
    char id[64]; /* empty: free */
    int32_t epoch;
    bool wants[TOPICS_MAX];
};

struct place {
    int owner;      /* member that was told to work on it, -1 none */
    int target;     /* member that shall */
    bool worked_on; /* its owner has said so */
};

struct fake_groups {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int heartbeat_ms;
    int32_t epoch;
    int named;
    int conflicts;
    struct member members[MEMBERS_MAX];
    int topic_count;
    char topics[TOPICS_MAX][64];
    int32_t partitions[TOPICS_MAX];
    struct place places[TOPICS_MAX][PARTITIONS_MAX];
};

static int find_topic(const struct fake_groups *g, const char *name)
{
    for (int i = 0; i < g->topic_count; i++)
        if (strcmp(g->topics[i], name) == 0)
            return i;
    return -1;
}

static int find_member(const struct fake_groups *g, const char *id)
{
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (id[0] && strcmp(g->members[i].id, id) == 0)
            return i;
    return -1;
}

/* Every partition gets a member that wants its topic, in turn. */
static void share_out(struct fake_groups *g)
{
    g->epoch++;
    for (int t = 0; t < g->topic_count; t++) {
        int who[MEMBERS_MAX], n = 0;

        for (int m = 0; m < MEMBERS_MAX; m++)
            if (g->members[m].id[0] && g->members[m].wants[t])
                who[n++] = m;
        for (int32_t p = 0; p < g->partitions[t]; p++)
            g->places[t][p].target = n ? who[p % n] : -1;
    }
}

/* What member `m` may work on; what it gets now is its own from here on. */
static size_t assign(struct fake_groups *g, int m, Leat__TopicPartitions *topics,
                     int32_t (*numbers)[PARTITIONS_MAX], Leat__TopicPartitions **list)
{
    size_t n = 0;

    for (int t = 0; t < g->topic_count; t++) {
        leat__topic_partitions__init(&topics[n]);
        topics[n].topic = g->topics[t];
        topics[n].partitions = numbers[n];
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            struct place *place = &g->places[t][p];

            if (place->target != m || (place->owner >= 0 && place->owner != m))
                continue;
            place->owner = m;
            topics[n].partitions[topics[n].n_partitions++] = p;
        }
        list[n] = &topics[n];
        n += topics[n].n_partitions > 0;
    }
    return n;
}

static void remove_member(struct fake_groups *g, int m)
{
    g->members[m].id[0] = 0;
    for (int t = 0; t < g->topic_count; t++)
        for (int32_t p = 0; p < g->partitions[t]; p++)
            if (g->places[t][p].owner == m)
                g->places[t][p] = (struct place){.owner = -1, .target = -1};
}

static int add_member(struct fake_groups *g, const char *id)
{
    int m = 0;

    while (g->members[m].id[0])
        CHECK(++m < MEMBERS_MAX);
    g->members[m] = (struct member){0};
    if (id[0])
        snprintf(g->members[m].id, sizeof g->members[m].id, "%s", id);
    else
        snprintf(g->members[m].id, sizeof g->members[m].id, "member-%d", ++g->named);
    return m;
}

static bool on_join(struct fake_request *r, void *arg)
{
    const Leat__GroupJoinRequest *q = (const void *)r->message;
    Leat__GroupJoinResponse a = LEAT__GROUP_JOIN_RESPONSE__INIT;
    Leat__TopicPartitions topics[TOPICS_MAX], *list[TOPICS_MAX];
    int32_t numbers[TOPICS_MAX][PARTITIONS_MAX];
    struct fake_groups *g = arg;
    int m;

    pthread_mutex_lock(&g->lock);
    m = find_member(g, q->member_id);
    if (m < 0)
        m = add_member(g, q->member_id);
    for (size_t i = 0; i < q->n_topics; i++)
        if (find_topic(g, q->topics[i]) >= 0)
            g->members[m].wants[find_topic(g, q->topics[i])] = true;
    share_out(g);
    g->members[m].epoch = g->epoch;
    a.member_id = g->members[m].id;
    a.member_epoch = g->epoch;
    a.heartbeat_interval_ms = g->heartbeat_ms;
    a.assigned = list;
    a.n_assigned = assign(g, m, topics, numbers, list);
    fake_answer(r, &a.base, (struct bytes){0});
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return true;
}

static bool is_owned(const Leat__GroupHeartbeatRequest *q, const char *topic, int32_t p)
{
    for (size_t i = 0; i < q->n_owned; i++)
        for (size_t k = 0; k < q->owned[i]->n_partitions; k++)
            if (strcmp(q->owned[i]->topic, topic) == 0 && q->owned[i]->partitions[k] == p)
                return true;
    return false;
}

/* What the member says it works on settles what it has taken and what it has given up. */
static void confirm(struct fake_groups *g, int m, const Leat__GroupHeartbeatRequest *q)
{
    for (int t = 0; t < g->topic_count; t++)
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            struct place *place = &g->places[t][p];
            const bool owned = is_owned(q, g->topics[t], p);

            g->conflicts += owned && place->owner != m;
            if (place->owner != m)
                continue;
            place->worked_on = owned;
            if (!owned && place->target != m)
                place->owner = -1;
        }
}

static bool on_heartbeat(struct fake_request *r, void *arg)
{
    const Leat__GroupHeartbeatRequest *q = (const void *)r->message;
    Leat__GroupHeartbeatResponse a = LEAT__GROUP_HEARTBEAT_RESPONSE__INIT;
    Leat__TopicPartitions topics[TOPICS_MAX], *list[TOPICS_MAX];
    int32_t numbers[TOPICS_MAX][PARTITIONS_MAX];
    struct fake_groups *g = arg;
    int m;

    pthread_mutex_lock(&g->lock);
    m = find_member(g, q->member_id);
    if (m < 0) {
        fake_refuse(r, STATUS_UNKNOWN_MEMBER, "");
    } else {
        confirm(g, m, q);
        g->members[m].epoch = g->epoch;
        a.member_epoch = g->epoch;
        a.heartbeat_interval_ms = g->heartbeat_ms;
        a.assigned = list;
        a.n_assigned = assign(g, m, topics, numbers, list);
        fake_answer(r, &a.base, (struct bytes){0});
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return true;
}

static bool on_leave(struct fake_request *r, void *arg)
{
    const Leat__GroupLeaveRequest *q = (const void *)r->message;
    const Leat__GroupLeaveResponse a = LEAT__GROUP_LEAVE_RESPONSE__INIT;
    struct fake_groups *g = arg;
    int m;

    pthread_mutex_lock(&g->lock);
    m = find_member(g, q->member_id);
    if (m < 0) {
        fake_refuse(r, STATUS_UNKNOWN_MEMBER, "");
    } else {
        remove_member(g, m);
        share_out(g);
        fake_answer(r, &a.base, (struct bytes){0});
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return true;
}

static bool on_commit(struct fake_request *r, void *arg)
{
    const Leat__OffsetCommitRequest *q = (const void *)r->message;
    struct fake_groups *g = arg;
    int members = 0, m, error = 0;

    pthread_mutex_lock(&g->lock);
    for (int i = 0; i < MEMBERS_MAX; i++)
        members += g->members[i].id[0] != 0;
    m = find_member(g, q->member_id);
    if (m < 0)
        error = q->member_id[0] || members ? STATUS_UNKNOWN_MEMBER : 0;
    else if (q->member_epoch != g->members[m].epoch)
        error = STATUS_FENCED_MEMBER_EPOCH;
    pthread_mutex_unlock(&g->lock);
    if (error)
        fake_refuse(r, error, "");
    return error != 0;
}

struct fake_groups *fake_groups_start(struct fake_broker *b, int heartbeat_ms)
{
    struct fake_groups *g = must_zalloc(sizeof *g);

    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->heartbeat_ms = heartbeat_ms;
    fake_broker_handle(b, RPC_GROUP_JOIN, on_join, g);
    fake_broker_handle(b, RPC_GROUP_HEARTBEAT, on_heartbeat, g);
    fake_broker_handle(b, RPC_GROUP_LEAVE, on_leave, g);
    fake_broker_handle(b, RPC_OFFSET_COMMIT, on_commit, g);
    return g;
}

void fake_groups_free(struct fake_groups *g)
{
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void fake_groups_topic(struct fake_groups *g, const char *name, int32_t partitions)
{
    pthread_mutex_lock(&g->lock);
    CHECK(g->topic_count < TOPICS_MAX && partitions <= PARTITIONS_MAX);
    snprintf(g->topics[g->topic_count], sizeof g->topics[0], "%s", name);
    g->partitions[g->topic_count] = partitions;
    for (int32_t p = 0; p < partitions; p++)
        g->places[g->topic_count][p] = (struct place){.owner = -1, .target = -1};
    g->topic_count++;
    pthread_mutex_unlock(&g->lock);
}

void fake_groups_expel(struct fake_groups *g)
{
    pthread_mutex_lock(&g->lock);
    for (int m = 0; m < MEMBERS_MAX; m++)
        if (g->members[m].id[0])
            remove_member(g, m);
    share_out(g);
    pthread_mutex_unlock(&g->lock);
}

static bool is_settled(const struct fake_groups *g, int count)
{
    int members = 0;

    for (int m = 0; m < MEMBERS_MAX; m++)
        members += g->members[m].id[0] != 0;
    for (int t = 0; t < g->topic_count; t++)
        for (int32_t p = 0; p < g->partitions[t]; p++)
            if (g->places[t][p].owner != g->places[t][p].target ||
                (g->places[t][p].target >= 0 && !g->places[t][p].worked_on))
                return false;
    return members == count;
}

void fake_groups_await(struct fake_groups *g, int count)
{
    struct timespec until;

    CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += AWAIT_S;
    pthread_mutex_lock(&g->lock);
    while (!is_settled(g, count))
        CHECK(pthread_cond_timedwait(&g->changed, &g->lock, &until) == 0);
    pthread_mutex_unlock(&g->lock);
}

int fake_groups_conflicts(struct fake_groups *g)
{
    int n;

    pthread_mutex_lock(&g->lock);
    n = g->conflicts;
    pthread_mutex_unlock(&g->lock);
    return n;
}
