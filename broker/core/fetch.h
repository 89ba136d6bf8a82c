/* SPDX-License-Identifier: Apache-2.0
 *
 * A fetch, a consumer's or a replica's, asks several partitions for what is new since an
 * offset, and waits if that is not enough. It goes in rounds. A round reads what there
 * is, below the watermarks, hot parts inline and cold ones from disk, on each shard that
 * owns some of the partitions. If the round found enough, or something went wrong, or the
 * time is over, it becomes the answer; else what it found is let go (so that waiting pins
 * no memory), the fetch registers with its partitions and sleeps until one of them has
 * more. */
#pragma once

#include "broker/core/node_state.h"

struct fetch;
struct fetch_group;
struct fetch_watch;

struct fetch_part {
    struct uuid topic_id;
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch; /* that the asker knows; 0: unknown */
    int32_t last_epoch;   /* of the record before `offset`; 0 (a replica: -1): unknown */
    int64_t durable;      /* a replica: what it has on disk */
    bool counted;         /* a replica: its leader has taken note of it */
    size_t bytes_max;
    struct fetch_group *group; /* NULL: refused at the door, `status` says why */
    struct watcher watcher;

    /* What the last round found. */
    enum status status;
    int64_t high_watermark;
    int64_t log_start;
    int64_t upto; /* what it may be given ends here; more wakes it */
    bool diverges;
    int32_t diverging_epoch;
    int64_t diverging_end;
    int64_t snapshot_offset;   /* a replica of a state machine: begin there */
    int32_t preferred_replica; /* a consumer should read there; 0: here */
    struct log_read read;
    size_t cold_bytes; /* that were set aside for it */
};

/* The parts that one shard owns, and one round of reading them. */
struct fetch_group {
    struct errand errand;
    struct fetch *fetch;
    struct node *node; /* where it is read */
    unsigned shard;
    struct fetch_part **parts;
    size_t count;
    size_t first;   /* who is served first, in this round */
    size_t budget;  /* bytes */
    size_t reading; /* cold reads under way */
    size_t found;   /* bytes */
    bool failed;    /* a part has something to say other than records */
    void (*done)(struct fetch_group *g);
    struct fetch_watch *watch; /* on another shard: who waits there for us */
};

struct fetch {
    struct request *request;
    struct node *node;
    struct fetch_part *parts;
    size_t count;
    struct fetch_group *groups;
    size_t group_count;
    struct fetch_part **slots; /* the parts by group */
    size_t away;               /* groups whose round is not over */
    size_t bytes_min, bytes_max;
    bool replica;         /* a follower asks, */
    int32_t node_id;      /* this one, */
    int64_t broker_epoch; /* as this process */
    const char *rack;     /* a consumer: where it stands; "": reads from leaders only */
    bool parked;          /* in fetches_parked */
    bool ready;           /* in fetches_ready: look again at the end of the turn */
    bool last;            /* time is over: what the next round finds is the answer */
    struct timer deadline;
    TAILQ_ENTRY(fetch) parked_link;
    TAILQ_ENTRY(fetch) ready_link;
};

/* fetch_read.c: one round on the shard that owns the group. True when it is complete
 * already; else g->done comes later. */
bool fetch_read(struct node *n, struct fetch_group *g);
void fetch_read_release(struct fetch_group *g);

/* fetch_wait.c */
void fetch_park(struct fetch *f);
void fetch_unpark(struct fetch *f); /* no harm if it is not parked */
void fetch_wake(struct fetch *f);

/* fetch_look.c: what a part may be given now, before anything is read. */
void fetch_look(struct node *n, struct fetch_group *g, struct fetch_part *part);

/* fetch_plan.c: take the request apart; false without memory. */
bool fetch_plan(struct node *n, struct fetch *f);
/* Room for `count` parts; then each is added, with its place among `topics`; then they
 * are dealt out to their groups. */
bool fetch_plan_begin(struct node *n, struct fetch *f, size_t count);
struct fetch_part *fetch_plan_add(struct node *n, struct fetch *f,
                                  const struct topic *topic, int32_t partition);
void fetch_plan_end(struct fetch *f);

/* fetch_answer.c: make the last round the answer. */
void fetch_answer(struct fetch *f);
/* The slices of all parts, in order, become the request's; false without memory. */
bool fetch_take_slices(struct fetch *f);

/* api/replica_fetch.c: the same for a replica. */
void fetch_answer_replica(struct fetch *f);

/* api/fetch.c */
struct fetch *fetch_new(struct node *n, struct request *r, uint32_t bytes_max);
void fetch_start(struct fetch *f, int64_t wait_ms);
void fetch_round(struct fetch *f);
