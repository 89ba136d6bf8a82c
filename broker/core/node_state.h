/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a node, for the files that make it up and for the request handlers. */
#pragma once

#include "broker/core/image.h"
#include "broker/core/node.h"
#include "broker/core/partition.h"
#include "proto/base/heap.h"
#include "proto/base/prng.h"
#include "proto/record/build.h"

struct coordinator;
struct dynamic;
struct fetch;
struct quorum;

/* Something that happens at a time unless it is stopped. */
struct timer {
    struct heap_node at;
    void (*fire)(struct node *n, struct timer *t);
};

void timer_set(struct node *n, struct timer *t, int64_t at_ms);
void timer_stop(struct node *n, struct timer *t);

struct node {
    struct node_options o;
    struct instant now;
    struct image image;
    struct image_watcher watcher; /* node_watch_image on this node */
    struct store *store;
    bool stopping;
    bool failed; /* the disk allows no promise any more: no acknowledgement leaves */

    struct errand *errands; /* to this shard itself, for the end of the turn */
    struct errand **errands_last;
    struct heap timers;
    struct timer housekeeping;
    struct prng random;
    struct build build; /* for batches of plain records */

    TAILQ_HEAD(, fetch) fetches_ready;  /* woken: look again at the end of the turn */
    TAILQ_HEAD(, fetch) fetches_parked; /* all that wait, woken or not */
    size_t parked;
    size_t cold_bytes;  /* that reads from disk may bring, all together */
    uint64_t fetches;   /* rotates who is served first */
    uint64_t sticky;    /* rotates the partition of keyless records */
    size_t offline;     /* partitions whose log could not be opened */
    uint64_t producing; /* requests that wait for the disk */

    /* Shard 0 only. */
    struct quorum *quorum;
    struct coordinator *coordinator;
    struct log *metadata_log;
    struct log *group_log;
    struct dynamic *dynamic;
    bool topic_changed_pending;
    struct uuid topic_changed;
};

/* node_topics.c: partitions follow the image. */
void node_watch_image(void *ctx, enum image_change change, struct topic *topic,
                      int32_t partition, int64_t offset);
void node_open_partitions(struct node *n);
void node_retry_partitions(struct node *n); /* those that are offline */
void node_close_partitions(struct node *n);
void node_tell_groups(struct node *n); /* what changed, once per batch of records */
STATUS_MUST_CHECK enum status node_remove_orphans(struct node *n);

/* This shard's partition, or NULL. */
struct partition *node_partition(const struct node *n, struct uuid topic_id,
                                 int32_t number);

/* broadcast.c: send a committed metadata record to the other shards. */
void node_broadcast(void *ctx, int64_t offset, struct bytes record);

/* Once all other shards have applied everything that was committed so far. */
struct barrier;

struct barrier_leg {
    struct errand errand;
    struct barrier *barrier;
};

struct barrier {
    void *owner;
    size_t away;
    void (*done)(struct barrier *b); /* at once if there is but one shard */
    struct barrier_leg legs[];       /* per shard */
};

size_t barrier_bytes(const struct node *n);
void barrier_start(struct node *n, struct barrier *b);

/* errand.c */
void node_run_errands(struct node *n);
/* Carry a whole request to shard 0 and let `run` handle it there; request_answer brings
 * it home. */
void request_travel(struct node *n, struct request *r,
                    void (*run)(struct node *n, struct request *r));

/* peer.c */

/* Ask a broker, this one perhaps, as wire->call does. */
void node_call(struct node *n, struct peer_call *c);
/* Carry a client's request to the active controller and its answer back; from shard 0. A
 * request that came from a broker is not carried further: NOT_CONTROLLER. */
void request_forward(struct node *n, struct request *r);

void node_log(struct node *n, enum log_level level, const char *event, const char *format,
              ...) __attribute__((format(printf, 4, 5)));

/* fetch.c */
void fetches_run(struct node *n);
void fetches_stop(struct node *n);
