/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a node, for the files that make it up and for the request handlers. */
#pragma once

#include "broker/core/cluster/log_faults.h"
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
struct controller;
struct member_link;
struct producer_ids;
struct fetchers;
struct isr_link;
struct snapshot_link;

/* Something that happens at a time unless it is stopped. */
struct timer {
    struct heap_node at;
    void (*fire)(struct node *n, struct timer *t);
};

void timer_set(struct node *n, struct timer *t, int64_t at_ms);
void timer_stop(struct node *n, struct timer *t);

enum { BEHIND_NAME = 40 };

struct node {
    struct node_options o;
    struct instant now;
    struct image image;
    struct image_watcher watcher; /* node_watch_image on this node */
    struct store *store;
    bool leaving; /* node_leave was called */
    bool stopping;
    bool failed; /* the disk allows no promise any more: no acknowledgement leaves */

    struct errand *errands; /* to this shard itself, for the end of the turn */
    struct errand **errands_last;
    struct heap timers;
    struct timer housekeeping;
    struct partition_host host; /* what partitions ask of this node */
    struct fetchers *fetchers;
    struct isr_link *isr_link;
    struct prng random;
    struct build build; /* for batches of plain records */

    TAILQ_HEAD(, fetch) fetches_ready;  /* woken: look again at the end of the turn */
    TAILQ_HEAD(, fetch) fetches_parked; /* all that wait, woken or not */
    size_t parked;
    size_t cold_bytes;   /* that reads from disk may bring, all together */
    uint64_t fetches;    /* rotates who is served first */
    uint64_t sticky;     /* rotates the partition of keyless records */
    size_t offline;      /* partitions whose log could not be opened */
    bool faults_changed; /* which ones they are, or why */
    uint64_t producing;  /* requests that wait for the disk */

    /* What shard 0 told about the cluster. */
    struct cluster_view {
        int32_t controller;
        struct endpoint controller_at;
        int64_t broker_epoch;
        bool heard;
        bool knows; /* the metadata was complete at least once since the start */
    } view;

    /* Shard 0 only. */
    struct quorum *quorum;
    struct controller *controller;
    struct member_link *member;
    struct producer_ids *producer_ids;
    struct snapshot_link *snapshot_link;
    struct log_faults *shard_faults; /* per shard: logs that do not open */
    TAILQ_HEAD(, forward) forwards;  /* answers that wait for our own metadata */
    bool leader_changed;             /* of the quorum: the controller must hear of it */
    int64_t looked;                  /* up to where the membership has seen the image */
    struct coordinator *coordinator;
    bool caught_up; /* once, since the start */
    size_t behind;  /* replicas here that were not in sync when last looked at */
    char behind_first[BEHIND_NAME + 12];
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
/* The image was replaced as a whole: what both know goes on, what is gone goes. */
void node_adopt_image(struct node *n, struct image *before);
/* What the metadata says of one partition, to the replica here. */
void node_follow_partition(struct node *n, struct topic *topic, int32_t number);
struct log_id node_log_id(const struct uuid *topic, int32_t partition);
struct log_config node_log_config(const struct node *n, const struct topic *topic);
void node_stop_partitions(struct node *n);
void node_close_partitions(struct node *n);
void node_tell_groups(struct node *n); /* what changed, once per batch of records */

/* node_ready.c, shard 0: now and then, and when the cluster has taken it in. */
void node_look_behind(struct node *n);

/* node_faults.c: replicas whose logs do not open. */

/* `*why` is what it was when it was last tried, and what it is now; NULL if it is not OK.
 */
struct log *node_open_log(struct node *n, struct topic *topic, int32_t number,
                          enum status *why);
void node_note_fault(struct node *n, struct partition *p, enum status why); /* or OK */
void node_retry_partitions(struct node *n);
bool node_may_copy_anew(const struct node *n, const struct image_partition *ip);
void node_copy_anew(struct node *n, struct topic *topic, int32_t number);
void node_faults_turn(struct node *n); /* tell shard 0 what has changed */
void node_add_faults(void *node, struct log_faults *out); /* shard 0: of all shards */
void node_release_faults(struct node *n);

/* node_groups.c: the coordinator follows its partition. */
void node_follow_groups(struct node *n); /* the partition changed its role */
void node_groups_turn(struct node *n);
void node_groups_appended(void *ctx);

/* This shard's partition, or NULL: then node_absent says why, NOT_LEADER if other brokers
 * have it. */
struct partition *node_partition(const struct node *n, struct uuid topic_id,
                                 int32_t number);
enum status node_absent(const struct node *n, struct uuid topic_id, int32_t number);

/* node_cluster.c: this broker in its cluster; the same answers on every shard. */

/* The active controller, -1 if none is known. */
int32_t node_controller(const struct node *n, struct endpoint *at);
/* Of this broker's registration, -1 before the first. */
int64_t node_broker_epoch(const struct node *n);
/* The controller has heard this broker lately: what only a leader may say may be said. */
bool node_is_heard(const struct node *n);

STATUS_MUST_CHECK enum status node_cluster_open(struct node *n, char why[static 256]);
void node_cluster_stop(struct node *n);
void node_cluster_close(struct node *n);
void node_cluster_turn(struct node *n);
void node_cluster_tick(struct node *n);
int64_t node_cluster_deadline(const struct node *n);

/* broadcast.c: send a committed metadata record to the other shards; or all of the image,
 * when a snapshot has replaced it. */
void node_broadcast(void *ctx, int64_t offset, struct bytes record);
void node_broadcast_image(struct node *n);

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

/* peer.c, forward.c */

/* Ask a broker, this one perhaps, as wire->call does. */
void node_call(struct node *n, struct peer_call *c);
/* Carry a client's request to the active controller and its answer back; from shard 0. A
 * request that came from a broker is not carried further: NOT_CONTROLLER. */
void request_forward(struct node *n, struct request *r);
/* The metadata may have come as far as answers wait for. */
void forwards_turn(struct node *n);

void node_log(struct node *n, enum log_level level, const char *event, const char *format,
              ...) __attribute__((format(printf, 4, 5)));

/* fetch.c */
void fetches_run(struct node *n);
void fetches_stop(struct node *n);
