/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a group's member: member.c keeps its place in the group, member_offsets.c
 * what it reads and commits, member_end.c says whether all is done. */
#pragma once

#include "tests/sim/member.h"
#include "tests/sim/page.h"

#define CREW "crew"

enum { HEARTBEATS, OFFSETS }; /* connections */

enum stage { STAGE_OUT, STAGE_IN, STAGE_LEAVING };

/* A partition that it was told to work on. */
struct portion {
    struct page page;
    struct hold hold;
    struct uuid id;       /* of the topic whose offset was asked for */
    bool begun;           /* that is known, and the page is read */
    bool leaving;         /* to be let go of */
    int64_t committed;    /* as far as is known, -1: nothing */
    struct commit commit; /* the newest */
    bool committing;      /* and it is under way */
    int32_t asked;        /* hold.first when its offset was asked for, 0: it was not */
};

struct member {
    struct client client;
    struct crew *crew;
    int number;
    char id[24];
    uint32_t life;
    bool wants[TOPICS_MAX];
    int32_t session_ms;
    enum stage stage;
    int coordinator; /* 0 to 4; -1: unknown */
    int32_t epoch;
    int32_t joined_at;                       /* crew_epoch when it asked to join */
    bool defied[TOPICS_MAX][PARTITIONS_MAX]; /* held on to at the last heartbeat, although
                                              * another one had been told of it */
    struct ask voice, book;                  /* heartbeats and offsets */
    struct event speak, write, fate;
    moment silent_until;
    moment agreed, stable; /* when all was well, as far as it can tell */
    struct portion portions[TOPICS_MAX][PARTITIONS_MAX];
    enum status last;
};

/* Partitions as a request lists them. */
struct owned_list {
    Leat__TopicPartitions rows[TOPICS_MAX], *topics[TOPICS_MAX];
    int32_t numbers[TOPICS_MAX][PARTITIONS_MAX];
    char names[TOPICS_MAX][8];
    size_t count;
};

/* In ascending order of topics. */
void owned_add(struct owned_list *l, int topic, int32_t partition);

struct world *member_world(const struct member *m);
void member_speak_in(struct member *m, moment in);
void member_write_in(struct member *m, moment in);
moment member_soon(struct member *m);
void member_tell(const struct member *m, const char *what, int64_t a, int64_t b);
void member_ask(struct member *m, struct ask *a, enum rpc_api api, int to,
                const ProtobufCMessage *q, void (*done)(struct ask *a));

struct portion *member_portion(struct member *m, const char *topic, int32_t partition);
/* Walk what it works on: `i` from 0. */
struct portion *member_next_held(struct member *m, int *i);
void member_let_go(struct member *m, struct portion *p);
/* Its next question about offsets. */
void member_write(struct event *e);
