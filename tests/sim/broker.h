/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker of a simulated cluster: one machine with a disk, a clock that runs a little
 * wrong, and a process that lives, stands still, dies and comes back. The process is the
 * real node, all its shards, on the simulated disk; a turn of its loop is an event.
 *
 * A process that is killed just stops: nothing of it runs again, and what it had in
 * memory is forgotten (never freed: the simulation ends soon). What its disk keeps
 * depends on whether the process died or the power went. */
#pragma once

#include "broker/core/node_state.h"
#include "tests/sim/net.h"
#include "tests/sim/swarm.h"
#include "tests/support/simdisk.h"

enum { SIM_SHARDS = 2 };

enum broker_life { BROKER_DOWN, BROKER_UP, BROKER_PAUSED };

struct sim_broker;

struct sim_shard {
    struct wire wire;
    struct sim_broker *owner;
    struct node *node;
    struct metrics *metrics;
    struct errand *inbox, **inbox_last;
};

struct broker_hooks {
    void (*turned)(void *ctx, struct sim_broker *b);   /* after each turn */
    void (*promises)(void *ctx, struct sim_broker *b); /* in a turn: it acknowledges */
    void (*voted)(void *ctx, struct sim_broker *b, const struct request *r);
    void (*died)(void *ctx, struct sim_broker *b); /* its nodes can still be read */
    void (*started)(void *ctx, struct sim_broker *b);
    void (*wiped)(void *ctx, struct sim_broker *b);
    void (*broken)(void *ctx, struct sim_broker *b, const char *why); /* a violation */
    void *ctx;
};

struct sim_broker {
    struct world *world;
    struct net *net;
    const struct swarm *swarm;
    const struct broker_hooks *hooks;
    int number; /* 0 is broker 1 */
    struct prng random;
    struct simdisk *disk;
    unsigned disks; /* how many it has had */
    struct uuid directory;
    enum broker_life life;
    unsigned lives;
    struct config *config;
    struct sim_shard shards[SIM_SHARDS];
    struct event turn, disk_ready, comeback, leave_over;
    bool failed, leaving, stopping, ambushed;
    bool absent;        /* for good, as far as the others can know */
    bool rotten;        /* bits turned on its disk, and it was not opened since */
    unsigned in_server; /* requests that the node has, and by api */
    unsigned asked[METRIC_API_MAX];
    int64_t drift_ppm;
    moment wall_offset;
    int64_t disk_slow; /* times as slow as usual; 0: as usual */
    uint64_t capacity; /* of the disk, 0: no limit */
};

void sim_broker_init(struct sim_broker *b, uint64_t seed);
/* From the disk as it is. */
void sim_broker_start(struct sim_broker *b);
/* The process dies, or the machine; it comes back by itself after `back_in`, -1: never.
 */
void sim_broker_kill(struct sim_broker *b, enum simdisk_crash_kind kind, moment back_in);
/* It dies in the middle of a disk operation, `ops` from now. */
void sim_broker_ambush(struct sim_broker *b, uint64_t ops, enum simdisk_moment how);
/* Hand leaderships over, stop, come back. */
void sim_broker_leave(struct sim_broker *b, moment back_in);
void sim_broker_pause(struct sim_broker *b);
void sim_broker_resume(struct sim_broker *b);
/* Dead already: its disk is replaced by an empty one. */
void sim_broker_wipe(struct sim_broker *b);
/* The disk is full up to `room` bytes; or has as much as ever. */
void sim_broker_fill(struct sim_broker *b, uint64_t room);

/* What the network asks of it. */
void sim_broker_deliver(struct sim_broker *b, unsigned way, struct request *r);

struct instant sim_broker_now(const struct sim_broker *b);
