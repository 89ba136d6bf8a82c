/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/client.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <string.h>

void topic_name(int topic, char out[static 8])
{
    snprintf(out, 8, "t%d", topic);
}

void *answer_unpack(const struct ask *a, struct arena *arena)
{
    ProtobufCMessage *m;

    arena_init(arena, 16 << 20);
    CHECK(!rpc_unpack(rpc_api_row((uint16_t)a->api)->response, a->answer, arena, &m));
    return m;
}

int client_any(struct client *c)
{
    return (int)prng_below(&c->random, (uint64_t)c->town->swarm->brokers);
}

int client_leader(const struct client *c, int topic, int32_t partition)
{
    if (!c->topics[topic].known || partition >= c->topics[topic].count)
        return -1;
    return c->topics[topic].leader[partition] - 1;
}

moment client_think(struct client *c)
{
    moment think = c->town->swarm->think_us * MICROSECOND;

    return think / 2 + chance_range(&c->random, 0, think);
}

static void learn(struct client *c, const Leat__TopicInfo *t)
{
    int number = t->name[0] == 't' ? t->name[1] - '0' : -1;

    if (number < 0 || number >= TOPICS_MAX || t->name[2] != '\0')
        return;
    c->topics[number].known =
        t->error == 0 && uuid_from((struct bytes){t->topic_id.data, t->topic_id.len},
                                   &c->topics[number].id);
    c->topics[number].count =
        t->n_partitions < PARTITIONS_MAX ? (int32_t)t->n_partitions : PARTITIONS_MAX;
    for (int32_t i = 0; i < c->topics[number].count; i++) {
        c->topics[number].leader[i] = t->partitions[i]->leader;
        c->topics[number].epoch[i] = t->partitions[i]->leader_epoch;
    }
}

static void ask_again(struct client *c, moment in)
{
    if (!world_is_set(&c->again) && c->metadata.call == NULL)
        world_set(c->town->world, &c->again, c->town->world->now + in);
}

static void on_metadata(struct ask *a)
{
    struct client *c = container_of(a, struct client, metadata);
    struct arena arena;
    const Leat__MetadataResponse *r;

    if (a->status) {
        ask_again(c, chance_range(&c->random, 10, 100) * MILLISECOND);
        return;
    }
    r = answer_unpack(a, &arena);
    for (int i = 0; i < TOPICS_MAX; i++)
        c->topics[i].known = false;
    for (size_t i = 0; i < r->n_topics; i++)
        learn(c, r->topics[i]);
    c->refreshed++;
    arena_release(&arena);
}

static void on_again(struct event *e)
{
    struct client *c = container_of(e, struct client, again);
    Leat__MetadataRequest q = LEAT__METADATA_REQUEST__INIT;

    q.all_topics = true;
    c->metadata.api = RPC_METADATA;
    c->metadata.timeout_ms = 1000;
    c->metadata.done = on_metadata;
    net_ask(c->town->net, c->party, client_any(c), 0, &c->metadata, &q.base,
            (struct bytes){0});
}

void client_refresh(struct client *c)
{
    ask_again(c, chance_range(&c->random, 1, 60) * MILLISECOND);
}

void client_init(struct client *c, struct town *town, int number, uint64_t seed)
{
    c->town = town;
    c->party = BROKERS_MAX + number;
    c->random = world_stream(seed, "client", number);
    c->again.run = on_again;
    CHECK(c->party < PARTIES);
    client_refresh(c);
}
