/* SPDX-License-Identifier: Apache-2.0
 *
 * A few rafts with logs, disks and a network that are models: messages come late, in any
 * order or never, disks take their time, nodes crash and come back with what was durable.
 * After every event the promises of Raft are checked against what the whole cluster
 * knows: one leader per epoch, what was committed stays and is in the log of every leader
 * to come, watermarks only rise. */
#pragma once

#include "broker/core/quorum/voters.h"

enum { RAFTS_MAX = 5 };

struct rafts;

struct rafts *rafts_new(unsigned nodes, unsigned voters, uint64_t seed);
void rafts_free(struct rafts *s);

/* What the world does, per mille of the events it could do it to. */
struct rafts_mood {
    unsigned lost;
    int64_t delay_ms_max;
    int64_t disk_ms_max;
};

struct rafts_mood *rafts_mood(struct rafts *s);

void rafts_run_ms(struct rafts *s, int64_t ms);
/* Cut or heal the way from one node to another; numbers from 1. */
void rafts_cut(struct rafts *s, unsigned from, unsigned to, bool cut);
void rafts_cut_off(struct rafts *s, unsigned node, bool cut);
void rafts_crash(struct rafts *s, unsigned node);
void rafts_start(struct rafts *s, unsigned node);
bool rafts_is_up(const struct rafts *s, unsigned node);
void rafts_hand_over(struct rafts *s, unsigned node); /* it resigns in good order */

/* The leader appends something. False if `node` does not lead. */
bool rafts_append(struct rafts *s, unsigned node);
/* The leader makes this set of nodes (bits, the lowest is node 1) the voters; false if
 * the rules forbid it now. */
bool rafts_change(struct rafts *s, unsigned node, unsigned set);
unsigned rafts_voters(const struct rafts *s, unsigned node); /* newest, as bits */

struct raft *rafts_node(struct rafts *s, unsigned node);
/* Who leads with the highest epoch; 0: nobody. */
unsigned rafts_leader(const struct rafts *s);
int64_t rafts_committed(const struct rafts *s);
