/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/producer.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/record/build.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_MAX = 4, TOPICS_LEFT_MAX = 64 };

struct shipment {
    struct ask ask;
    struct lane *lane;
    uint8_t *data;
    struct batch batch;
    bool stored, under_way;
    unsigned tries;
    TAILQ_ENTRY(shipment) link;
};

/* What goes to one partition, in order. */
struct lane {
    struct producer *producer;
    int topic;
    int32_t partition;
    struct uuid id;
    struct uuid left[TOPICS_LEFT_MAX]; /* those it wrote to before */
    size_t left_count;
    int32_t sequence; /* of the next record */
    size_t count;
    TAILQ_HEAD(shipments, shipment) shipments;
    struct event step;
    enum status last;
};

struct producer {
    struct client client;
    bool careful, named;
    int64_t id;
    int16_t epoch;
    struct ask naming;
    struct event name_again;
    struct build build;
    uint64_t values;
    struct lane lanes[TOPICS_MAX][PARTITIONS_MAX];
};

static void step_later(struct lane *l, moment in)
{
    struct world *w = l->producer->client.town->world;

    if (!world_is_set(&l->step))
        world_set(w, &l->step, w->now + in);
}

static void drop(struct lane *l, struct shipment *s)
{
    TAILQ_REMOVE(&l->shipments, s, link);
    l->count--;
    net_forget(l->producer->client.town->net, &s->ask);
    free(s->data);
    free(s);
}

static struct shipment *pack(struct lane *l)
{
    struct producer *p = l->producer;
    struct client *c = &p->client;
    struct shipment *s = must_zalloc(sizeof *s);
    const int64_t records = chance_range(&c->random, 1, RECORDS_MAX);
    uint8_t value[4096];
    struct bytes out;

    build_begin(&p->build);
    for (int64_t i = 0; i < records; i++) {
        size_t len = (size_t)chance_range(&c->random, 16, c->town->swarm->value_bytes);

        memset(value, (int)p->values & 0xff, len);
        store_u64(value, (uint64_t)c->party);
        store_u64(value + 8, ++p->values);
        build_add(&p->build, 1700000000000 + c->town->world->now / MILLISECOND,
                  (struct bytes){0}, (struct bytes){value, len}, NULL, 0);
    }
    CHECK(!build_finish(&p->build, CODEC_NONE,
                        p->careful ? (struct build_producer){p->id, p->epoch, l->sequence}
                                   : (struct build_producer){-1, -1, -1},
                        &out));
    s->lane = l;
    s->data = must_alloc(out.len);
    memcpy(s->data, out.data, out.len);
    CHECK(!batch_parse(out, &s->batch));
    l->sequence += (int32_t)records;
    TAILQ_INSERT_TAIL(&l->shipments, s, link);
    l->count++;
    return s;
}

static const Leat__ProduceResult *only_result(const Leat__ProduceResponse *r)
{
    return r->n_topics == 1 && r->topics[0]->n_partitions == 1
               ? r->topics[0]->partitions[0]
               : NULL;
}

static void stored(struct shipment *s, int64_t base)
{
    struct lane *l = s->lane;
    struct client *c = &l->producer->client;
    struct shipment *first;

    note(c->town->world, c->party + 95, "stored", l->topic * 10 + l->partition, base,
         s->batch.base_sequence);
    oracle_acked(c->town->oracle, l->id, l->partition, base, &s->batch,
                 l->producer->careful);
    s->stored = true;
    while ((first = TAILQ_FIRST(&l->shipments)) != NULL && first->stored)
        drop(l, first);
    step_later(l, client_think(c));
}

static void on_produced(struct ask *a)
{
    struct shipment *s = container_of(a, struct shipment, ask);
    struct lane *l = s->lane;
    struct client *c = &l->producer->client;
    enum status st = a->status;
    struct arena arena;

    s->under_way = false;
    if (!st) {
        const Leat__ProduceResult *r = only_result(answer_unpack(a, &arena));

        st = r == NULL ? STATUS_PROTOCOL : (enum status)r->error;
        if (!st) {
            int64_t base = r->base_offset;

            arena_release(&arena);
            stored(s, base);
            return;
        }
        arena_release(&arena);
    }
    l->last = st;
    note(c->town->world, c->party + 95, "not stored", l->topic * 10 + l->partition,
         (int64_t)st, s->batch.base_sequence);
    client_refresh(c);
    step_later(l, chance_range(&c->random, 5, 150) * MILLISECOND);
}

static void ship(struct lane *l, struct shipment *s, int leader)
{
    struct client *c = &l->producer->client;
    Leat__ProduceRequest q = LEAT__PRODUCE_REQUEST__INIT;
    Leat__ProduceTopic t = LEAT__PRODUCE_TOPIC__INIT, *topics[] = {&t};
    Leat__ProducePartition p = LEAT__PRODUCE_PARTITION__INIT, *parts[] = {&p};
    char name[8];

    topic_name(l->topic, name);
    q.acks = l->producer->careful ? -1 : 1;
    q.timeout_ms = (int32_t)chance_range(&c->random, 200, 2000);
    q.topics = topics;
    q.n_topics = 1;
    t.name = name;
    t.topic_id = (ProtobufCBinaryData){UUID_BYTES, l->id.id};
    t.partitions = parts;
    t.n_partitions = 1;
    p.partition = l->partition;
    p.batch_bytes = (uint32_t)s->batch.size;
    s->ask.api = RPC_PRODUCE;
    s->ask.timeout_ms = q.timeout_ms + 500;
    s->ask.done = on_produced;
    s->under_way = true;
    s->tries++;
    net_ask(c->town->net, c->party, leader, (unsigned)l->partition, &s->ask, &q.base,
            (struct bytes){s->data, s->batch.size});
}

/* A broker that is behind may name a topic that is no more: what begins anew there would
 * repeat sequences. */
static bool has_left(const struct lane *l, struct uuid id)
{
    for (size_t i = 0; i < l->left_count; i++)
        if (uuid_equal(l->left[i], id))
            return true;
    return false;
}

/* The topic is gone, or another one has its name: what was not stored never will be. */
static bool lane_is_lost(struct lane *l)
{
    const struct client *c = &l->producer->client;
    struct shipment *s;

    if (!c->topics[l->topic].known || has_left(l, c->topics[l->topic].id) ||
        l->left_count == TOPICS_LEFT_MAX)
        return true;
    if (!uuid_equal(l->id, c->topics[l->topic].id)) {
        while ((s = TAILQ_FIRST(&l->shipments)) != NULL)
            drop(l, s);
        l->left[l->left_count++] = l->id;
        l->id = c->topics[l->topic].id;
        l->sequence = 0;
    }
    return l->partition >= c->topics[l->topic].count;
}

static bool has_room(const struct lane *l)
{
    const struct town *t = l->producer->client.town;
    int64_t window = l->producer->careful ? t->swarm->window : 1;

    return !t->resting && l->count < (size_t)window && l->producer->named;
}

static void on_step(struct event *e)
{
    struct lane *l = container_of(e, struct lane, step);
    struct client *c = &l->producer->client;
    struct shipment *s;
    int leader;

    if (lane_is_lost(l)) {
        /* A broker that is behind may know fewer partitions than there are, too. */
        if (!c->topics[l->topic].known || has_left(l, c->topics[l->topic].id) ||
            !TAILQ_EMPTY(&l->shipments))
            client_refresh(c);
        step_later(l, 300 * MILLISECOND);
        return;
    }
    if (has_room(l))
        pack(l);
    leader = client_leader(c, l->topic, l->partition);
    TAILQ_FOREACH (s, &l->shipments, link)
        if (!s->under_way && !s->stored && leader >= 0)
            ship(l, s, leader);
    if (leader < 0)
        client_refresh(c);
    if (has_room(l))
        step_later(l, client_think(c));
    else if (leader < 0 || !l->producer->named || c->town->resting)
        step_later(l, 200 * MILLISECOND);
}

static void name_later(struct producer *p, moment in)
{
    struct world *w = p->client.town->world;

    world_set(w, &p->name_again, w->now + in);
}

static void on_named(struct ask *a)
{
    struct producer *p = container_of(a, struct producer, naming);
    struct arena arena;
    const Leat__InitProducerResponse *r;

    if (a->status) {
        name_later(p, chance_range(&p->client.random, 20, 300) * MILLISECOND);
        return;
    }
    r = answer_unpack(a, &arena);
    p->id = r->producer_id;
    p->epoch = (int16_t)r->producer_epoch;
    p->named = true;
    arena_release(&arena);
}

static void on_name_again(struct event *e)
{
    struct producer *p = container_of(e, struct producer, name_again);
    Leat__InitProducerRequest q = LEAT__INIT_PRODUCER_REQUEST__INIT;

    p->naming.api = RPC_INIT_PRODUCER;
    p->naming.timeout_ms = 2000;
    p->naming.done = on_named;
    net_ask(p->client.town->net, p->client.party, client_any(&p->client), 0, &p->naming,
            &q.base, (struct bytes){0});
}

struct producer *producer_new(struct town *town, int number, uint64_t seed, bool careful)
{
    struct producer *p = must_zalloc(sizeof *p);

    client_init(&p->client, town, number, seed);
    build_init(&p->build);
    p->careful = careful;
    p->named = !careful;
    p->name_again.run = on_name_again;
    if (careful)
        name_later(p, MILLISECOND);
    for (int t = 0; t < TOPICS_MAX; t++)
        for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
            struct lane *l = &p->lanes[t][i];

            l->producer = p;
            l->topic = t;
            l->partition = i;
            l->step.run = on_step;
            TAILQ_INIT(&l->shipments);
            if (t < town->swarm->topics)
                step_later(l, client_think(&p->client));
        }
    return p;
}

bool producer_is_done(const struct producer *p, char why[static 200])
{
    for (int t = 0; t < TOPICS_MAX; t++)
        for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
            const struct lane *l = &p->lanes[t][i];
            const struct shipment *s = TAILQ_FIRST(&l->shipments);

            if (s == NULL || !p->client.topics[t].known)
                continue;
            snprintf(why, 200,
                     "L4 client %d waits for t%d/%d, sequence %d, tried %u times: %s",
                     p->client.party + 95, t, (int)i, (int)s->batch.base_sequence,
                     s->tries, status_name(l->last));
            return false;
        }
    return true;
}
