/* SPDX-License-Identifier: Apache-2.0
 *
 * A fetch asks several partitions for what is new since an offset, and waits if that is
 * not enough. It goes in rounds. A round reads what there is, below the watermarks, hot
 * parts inline and cold ones from disk, on each shard that owns some of the partitions.
 * If the round found enough, or something went wrong, or the time is over, it becomes the
 * answer; else what it found is let go (so that waiting pins no memory), the fetch
 * registers with its partitions and sleeps until one of them has more. */
#pragma once

#include "broker/core/node_state.h"

struct fetch;
struct fetch_group;
struct fetch_watch;

struct fetch_part {
    struct uuid topic_id;
    int32_t partition;
    uint32_t topic; /* its place in the request */
    int64_t offset;
    size_t bytes_max;
    struct fetch_group *group; /* NULL: refused at the door, `status` says why */
    struct watcher watcher;

    /* What the last round found. */
    enum status status;
    int64_t high_watermark;
    int64_t log_start;
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
    size_t away; /* groups whose round is not over */
    size_t bytes_min, bytes_max;
    bool parked; /* in fetches_parked */
    bool ready;  /* in fetches_ready: look again at the end of the turn */
    bool last;   /* time is over: what the next round finds is the answer */
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

/* fetch_plan.c: take the request apart; false without memory. */
bool fetch_plan(struct node *n, struct fetch *f);

/* fetch_answer.c: make the last round the answer. */
void fetch_answer(struct fetch *f);

/* api/fetch.c */
void fetch_round(struct fetch *f);
