/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/admin.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct admin {
    struct client client;
    struct ask ask;
    struct event step;
    bool made[TOPICS_MAX];
    int making; /* topic of the request under way, -1: none */
    bool drained[BROKERS_MAX];
    int undraining; /* broker whose draining is being undone, -1: none */
    enum status last;
};

static void step_later(struct admin *a, moment in)
{
    struct world *w = a->client.town->world;

    world_set(w, &a->step, w->now + in);
}

static moment pause(struct admin *a)
{
    return chance_log(&a->client.random, 50, 3000) * MILLISECOND;
}

static void on_done(struct ask *ask)
{
    struct admin *a = container_of(ask, struct admin, ask);
    struct town *t = a->client.town;

    note(t->world, a->client.party + 95, "admin", (int64_t)ask->api, (int64_t)ask->status,
         a->making);
    a->last = ask->status;
    if (a->making >= 0 && (!ask->status || ask->status == STATUS_TOPIC_EXISTS))
        a->made[a->making] = true;
    if (ask->api == RPC_ALTER_BROKER && !ask->status && a->undraining >= 0)
        a->drained[a->undraining] = false;
    client_refresh(&a->client);
    step_later(a, ask->status ? chance_range(&a->client.random, 20, 300) * MILLISECOND
                              : pause(a));
}

static void ask(struct admin *a, enum rpc_api api, const ProtobufCMessage *m)
{
    struct client *c = &a->client;

    if (api != RPC_CREATE_TOPIC)
        a->making = -1;
    a->ask.api = api;
    a->ask.timeout_ms = 3000;
    a->ask.done = on_done;
    net_ask(c->town->net, c->party, client_any(c), 0, &a->ask, m, (struct bytes){0});
}

static void create(struct admin *a, int topic)
{
    const struct swarm *s = a->client.town->swarm;
    Leat__CreateTopicRequest q = LEAT__CREATE_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry e[2] = {LEAT__CONFIG_ENTRY__INIT, LEAT__CONFIG_ENTRY__INIT};
    Leat__ConfigEntry *list[] = {&e[0], &e[1]};
    char name[8], min[8], segment[16];

    topic_name(topic, name);
    snprintf(min, sizeof min, "%d", (int)s->min_in_sync);
    snprintf(segment, sizeof segment, "%d", (int)s->segment_kb * 1024);
    q.name = name;
    q.partitions = (int32_t)s->partitions;
    q.replication = (int32_t)s->replication;
    e[0].key = "min.insync.replicas";
    e[0].value = min;
    e[1].key = "segment.bytes";
    e[1].value = segment;
    q.config = list;
    q.n_config = 2;
    a->making = topic;
    ask(a, RPC_CREATE_TOPIC, &q.base);
}

static void delete (struct admin *a, int topic)
{
    Leat__DeleteTopicRequest q = LEAT__DELETE_TOPIC_REQUEST__INIT;
    char name[8];

    topic_name(topic, name);
    q.name = name;
    a->made[topic] = false;
    oracle_topic_removed(a->client.town->oracle, topic);
    ask(a, RPC_DELETE_TOPIC, &q.base);
}

static void grow(struct admin *a, int topic)
{
    Leat__AlterTopicRequest q = LEAT__ALTER_TOPIC_REQUEST__INIT;
    char name[8];

    topic_name(topic, name);
    q.name = name;
    q.partitions = (int32_t)chance_range(&a->client.random, 1, 6);
    ask(a, RPC_ALTER_TOPIC, &q.base);
}

/* Give up some of what is committed. */
static void trim(struct admin *a, int topic)
{
    struct client *c = &a->client;
    Leat__TrimRequest q = LEAT__TRIM_REQUEST__INIT;
    Leat__TrimPartition p = LEAT__TRIM_PARTITION__INIT, *list[] = {&p};
    char name[8];

    topic_name(topic, name);
    q.topic = name;
    q.partitions = list;
    q.n_partitions = 1;
    p.partition = (int32_t)chance_range(&c->random, 0, c->town->swarm->partitions - 1);
    p.before_offset =
        chance_range(&c->random, 0,
                     oracle_committed(c->town->oracle, c->topics[topic].id, p.partition));
    oracle_trimmed(c->town->oracle, topic, p.partition, p.before_offset);
    ask(a, RPC_TRIM, &q.base);
}

static void configure(struct admin *a, int topic)
{
    struct client *c = &a->client;
    Leat__AlterTopicRequest q = LEAT__ALTER_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry e = LEAT__CONFIG_ENTRY__INIT, *list[] = {&e};
    const bool retention = chance_one_in(&c->random, 3);
    char name[8], value[24];

    topic_name(topic, name);
    snprintf(value, sizeof value, "%d", (int)chance_log(&c->random, 65536, 1 << 20));
    q.name = name;
    e.key = retention ? "retention.bytes" : "segment.bytes";
    e.value = value;
    q.set = list;
    q.n_set = 1;
    for (int32_t i = 0; retention && i < PARTITIONS_MAX; i++)
        oracle_trimmed(c->town->oracle, topic, i, INT64_MAX);
    ask(a, RPC_ALTER_TOPIC, &q.base);
}

static void move(struct admin *a, int topic)
{
    const struct swarm *s = a->client.town->swarm;
    Leat__MovePartitionsRequest q = LEAT__MOVE_PARTITIONS_REQUEST__INIT;
    Leat__PartitionMove m = LEAT__PARTITION_MOVE__INIT, *list[] = {&m};
    int32_t replicas[BROKERS_MAX];
    const int64_t first = chance_range(&a->client.random, 0, s->brokers - 1);
    char name[8];

    topic_name(topic, name);
    for (int64_t i = 0; i < s->replication; i++)
        replicas[i] = (int32_t)((first + i) % s->brokers) + 1;
    m.topic = name;
    m.partition = (int32_t)chance_range(&a->client.random, 0, s->partitions - 1);
    m.cancel = chance_one_in(&a->client.random, 5);
    m.replicas = replicas;
    m.n_replicas = m.cancel ? 0 : (size_t)s->replication;
    q.moves = list;
    q.n_moves = 1;
    ask(a, RPC_MOVE_PARTITIONS, &q.base);
}

static void elect(struct admin *a)
{
    Leat__ElectLeadersRequest q = LEAT__ELECT_LEADERS_REQUEST__INIT;

    ask(a, RPC_ELECT_LEADERS, &q.base);
}

static void drain(struct admin *a, int broker, bool undo)
{
    Leat__AlterBrokerRequest q = LEAT__ALTER_BROKER_REQUEST__INIT;

    q.node_id = broker + 1;
    q.action = undo ? LEAT__ALTER_BROKER_REQUEST__ACTION__UNDRAIN
                    : LEAT__ALTER_BROKER_REQUEST__ACTION__DRAIN;
    if (!undo)
        a->drained[broker] = true;
    a->undraining = undo ? broker : -1;
    ask(a, RPC_ALTER_BROKER, &q.base);
}

static void change_voters(struct admin *a)
{
    const struct swarm *s = a->client.town->swarm;
    Leat__AlterQuorumRequest q = LEAT__ALTER_QUORUM_REQUEST__INIT;
    const int32_t who = (int32_t)chance_range(&a->client.random, 1, s->brokers);

    if (chance_one_in(&a->client.random, 3) &&
        oracle_voter_may_go(a->client.town->oracle))
        q.remove = who;
    else
        q.add = who;
    ask(a, RPC_ALTER_QUORUM, &q.base);
}

static void act(struct admin *a)
{
    const int topic =
        (int)chance_range(&a->client.random, 0, a->client.town->swarm->topics - 1);
    const int broker = client_any(&a->client);

    switch (prng_below(&a->client.random, 15)) {
    case 0: delete (a, topic); break;
    case 1:
    case 2: grow(a, topic); break;
    case 3:
    case 4:
    case 5: move(a, topic); break;
    case 6: elect(a); break;
    case 7: drain(a, broker, a->drained[broker]); break;
    case 8: change_voters(a); break;
    case 9:
        if (a->client.topics[topic].known)
            trim(a, topic);
        else
            step_later(a, pause(a));
        break;
    case 10: configure(a, topic); break;
    default: step_later(a, pause(a)); break;
    }
}

/* A removal that was given up may arrive later, even after its topic was found to be
 * there: while nothing new is begun, the metadata tells. */
static void look_for_topics(struct admin *a)
{
    const struct town *t = a->client.town;

    if (!t->resting && !t->settled)
        return;
    for (int i = 0; i < (int)t->swarm->topics; i++)
        a->made[i] &= a->client.topics[i].known;
    client_refresh(&a->client);
}

static void on_step(struct event *e)
{
    struct admin *a = container_of(e, struct admin, step);
    const struct town *t = a->client.town;

    look_for_topics(a);
    for (int i = 0; i < (int)t->swarm->topics; i++)
        if (!a->made[i]) {
            create(a, i);
            return;
        }
    if (t->swarm->admins && !t->resting && !t->settled) {
        act(a);
        return;
    }
    for (int i = 0; i < (int)t->swarm->brokers; i++)
        if (a->drained[i]) {
            drain(a, i, true);
            return;
        }
    step_later(a, 500 * MILLISECOND);
}

struct admin *admin_new(struct town *town, int number, uint64_t seed)
{
    struct admin *a = must_zalloc(sizeof *a);

    client_init(&a->client, town, number, seed);
    a->step.run = on_step;
    a->making = -1;
    step_later(a, 100 * MILLISECOND);
    return a;
}

bool admin_is_done(const struct admin *a, char why[static 200])
{
    for (int i = 0; i < (int)a->client.town->swarm->topics; i++)
        if (!a->made[i])
            return snprintf(why, 200, "L4 topic t%d cannot be made: %s", i,
                            status_name(a->last)) < 0;
    for (int i = 0; i < (int)a->client.town->swarm->brokers; i++)
        if (a->drained[i])
            return snprintf(why, 200, "L4 broker %d cannot be undrained: %s", i + 1,
                            status_name(a->last)) < 0;
    return true;
}
