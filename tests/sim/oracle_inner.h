/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the oracle: oracle.c follows the replicas, oracle_clients.c what clients
 * were told, oracle_end.c whether all is well again. */
#pragma once

#include "tests/sim/ballots.h"
#include "tests/sim/history.h"

struct cold_read;

enum { EPOCHS_MAX = 4096, REPLICAS_MAX = 8 };

/* A partition's replica, as its broker last showed it. It outlives the process. */
struct replica {
    struct history log;
    int64_t start, durable, end, watermark;
    int64_t compared; /* with the committed history, up to here */
    int64_t judged;   /* as a leader's: it was on all disks that count, up to here */
    int32_t epoch;
    enum role role;
    unsigned life;
    struct cold_read *reading; /* by the oracle */
    bool wiped;                /* and the metadata does not know it yet */
};

struct sim_partition {
    struct log_id id;
    int topic; /* t<n>; -1: another one */
    bool removed;
    bool is_metadata; /* the quorum's log: the same laws, and some of its own */
    struct history committed;
    struct seen seen;
    struct sequences sequences;
    struct replica replicas[BROKERS_MAX];
    struct claim {
        int broker; /* number + 1; 0: nobody yet */
        unsigned life;
    } * claims; /* who appended in which leader epoch */
    /* What the newest metadata says. */
    int32_t partition_epoch, leader, leader_epoch;
    int32_t in_sync[REPLICAS_MAX], eligible[REPLICAS_MAX], members[REPLICAS_MAX];
    size_t in_sync_count, eligible_count, member_count;
    int64_t min_in_sync;
    bool recovering;
};

struct promise {
    struct sim_partition *partition;
    int64_t base;
    struct batch sent;
};

struct oracle {
    struct world *world;
    const struct swarm *swarm;
    struct sim_broker *brokers;
    void (*violated)(void *ctx, const char *id, const char *text);
    void *ctx;
    struct map partitions;                   /* struct sim_partition by id */
    int64_t looked[BROKERS_MAX][SIM_SHARDS]; /* applied metadata */
    struct promise *promises;
    /* Nothing else may be given up, by topic and partition, whatever becomes of them. */
    int64_t trimmed[10][32];
    bool may_go[10];   /* topics that somebody wanted removed */
    moment voter_gone; /* by then the removal of a voter has arrived, or never will */
    bool wiped[BROKERS_MAX]; /* the metadata does not know its new disk yet */
    struct sim_partition *metadata;
    struct ballots *ballots;
    bool amid; /* a turn */
    size_t promise_count, promise_capacity;
    uint64_t acked, leader_changes;
};

struct sim_partition *oracle_partition(struct oracle *o, struct uuid topic,
                                       int32_t number);
/* For a report; valid until the next call. */
const char *oracle_name(const struct sim_partition *p);
