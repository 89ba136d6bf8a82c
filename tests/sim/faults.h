/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong, and when: a list, drawn from the seed before anything happens, so that
 * a case can be replayed with some of it left out. A fault with a duration undoes itself.
 *
 * A fault is skipped where it would break a promise that the cluster never made: a disk
 * is replaced only while other copies exist. */
#pragma once

#include "tests/sim/broker.h"
#include "tests/sim/oracle.h"

struct fault {
    moment at;
    size_t kind; /* SWARM_kill and what follows it */
    int64_t a;   /* a broker, or a set of them */
    int64_t b;
    moment length;
};

struct fault_list {
    struct fault *all;
    size_t count;
};

void faults_draw(struct fault_list *l, const struct swarm *s, uint64_t seed);
/* "at kind a b length" and back; false if it is not one. */
void fault_format(const struct fault *f, char *out, size_t size);
bool fault_parse(struct fault *f, const char *text);

/* Those who carry them out. */
struct trouble;

struct trouble *trouble_new(struct world *w, struct net *n, const struct swarm *s,
                            struct sim_broker *brokers, struct oracle *o, uint64_t seed);
void trouble_plan(struct trouble *t, const struct fault_list *l);
/* Undo everything that lasts; whoever is down comes back. */
void trouble_end(struct trouble *t);
/* How many were carried out, by kind - SWARM_kill. */
const uint64_t *trouble_counts(const struct trouble *t);
