/* SPDX-License-Identifier: Apache-2.0
 *
 * What all clients of a simulation have in common: a place in the network, and an idea of
 * who leads what, which they refresh when somebody tells them that it is wrong. Producers
 * are in producer.h, readers in consumer.h, groups in member.h, the operator in admin.h.
 */
#pragma once

#include "tests/sim/net.h"
#include "tests/sim/oracle.h"
#include "tests/sim/swarm.h"

enum { TOPICS_MAX = 3, PARTITIONS_MAX = 8 };

/* What clients share. */
struct town {
    struct world *world;
    struct net *net;
    const struct swarm *swarm;
    struct oracle *oracle;
    bool settled; /* the operator lets things be from now on */
    bool resting; /* nothing new is sent any more; what was begun is finished */
};

struct client {
    struct town *town;
    int party;
    struct prng random;
    struct {
        bool known;
        struct uuid id;
        int32_t count;
        int32_t leader[PARTITIONS_MAX];
        int32_t epoch[PARTITIONS_MAX];
    } topics[TOPICS_MAX];
    uint64_t refreshed; /* how often the view was renewed */
    struct ask metadata;
    int32_t any; /* broker to ask next */
    struct event again;
    bool stale;
};

void client_init(struct client *c, struct town *town, int number, uint64_t seed);
/* Somebody said that the view is wrong. */
void client_refresh(struct client *c);
/* The broker to ask about a partition, 0 to 4; -1 while unknown. */
int client_leader(const struct client *c, int topic, int32_t partition);
/* Some broker. */
int client_any(struct client *c);
moment client_think(struct client *c);

void topic_name(int topic, char out[static 8]);
/* Unpack an answer; the arena must be released. */
void *answer_unpack(const struct ask *a, struct arena *arena);
