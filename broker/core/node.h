/* SPDX-License-Identifier: Apache-2.0
 *
 * A node is the broker as one shard sees it: the partitions that the shard owns, an image
 * of the cluster's metadata, and, on shard 0, the metadata quorum's log and the groups.
 * It is single-threaded and knows neither clocks nor sockets: requests, errands,
 * completions and time come in through these calls, answers and errands leave through the
 * wire.
 *
 * A turn of the shell's loop: requests and completions in any number, then node_turn_end
 * once (which starts the group commit), then sleep until node_deadline at the latest. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/metrics.h"
#include "broker/core/request.h"
#include "proto/base/uuid.h"
#include "storage/store.h"

struct image;

struct node_options {
    struct config *config; /* shared by all shards; changed by shard 0 only */
    struct uuid cluster_id;
    int32_t node_id;
    unsigned shard;
    unsigned shards;
    struct uuid directory;   /* of the data directory, from its identity */
    struct uuid incarnation; /* of this process */
    struct endpoint at;      /* what clients and other brokers are told */
    const char *rack;
    const struct voter *bootstrap; /* the first controllers (quorum.h); none: alone */
    size_t bootstrap_count;
    uint64_t seed;
    struct disk *disk; /* this shard's own; the node does not close it */
    struct wire *wire;
    struct metrics *metrics; /* this shard's counters */
    /* The disk allows no further promise: stop the process. */
    void (*on_failed)(void *ctx, enum status status, const char *what);
    /* One line about something that an operator should know; NULL: silent. */
    void (*on_log)(void *ctx, int level, const char *event, const char *text);
    void *ctx;
};

/* Open the shard's store and, on shard 0, the metadata and the groups. store_recover has
 * run. `source` is shard 0's image, for the others to begin with; NULL on shard 0.
 * Synchronous, at start. */
STATUS_MUST_CHECK enum status node_open(struct node **out, const struct node_options *o,
                                        const struct image *source, struct instant now,
                                        char why[static 256]);

/* Shard 0: ask the controller to take this broker's leaderships away before it stops;
 * node_may_stop is true once it has, or if nobody could take them. */
void node_leave(struct node *n, struct instant now);
bool node_may_stop(const struct node *n);

/* Shard 0: this broker is registered, active and knows its metadata; if not, `why` says
 * what is missing and what to do. */
bool node_is_ready(const struct node *n, char why[static 160]);

/* Shard 0: each replica here was in sync, or had no leader, at one moment since the
 * broker became ready. Stays true. `why` is for while it is ready. */
bool node_has_caught_up(const struct node *n, char why[static 160]);

/* Answer what is parked with SHUTTING_DOWN; no more requests may come. */
void node_stop(struct node *n, struct instant now);
/* Flush, checkpoint, close. All errands must have come home. */
STATUS_MUST_CHECK enum status node_close(struct node *n);

const struct image *node_image(const struct node *n);
struct store *node_store(const struct node *n);

/* A request arrived; its answer may leave inside this call or much later. */
void node_request(struct node *n, struct request *r, struct instant now);

/* An errand arrived, outward or homeward bound. */
void node_errand(struct node *n, struct errand *e, struct instant now);
/* Send an errand to `shard` (perhaps this one: then it runs at the end of the turn). */
void errand_send(struct node *n, unsigned shard, struct errand *e);
/* The work is done: send it home. */
void errand_return(struct node *n, struct errand *e);

/* Connections went away while requests are parked: nothing to tell the node, it answers
 * them all the same and the wire drops the answers. */

/* The time is now: before completions that reach the node by other ways than these. */
void node_clock(struct node *n, struct instant now);

/* End of the loop turn: run what became possible, start the group commit. */
void node_turn_end(struct node *n, struct instant now);

/* Time has passed: deadlines of parked requests, sessions, retention. */
void node_tick(struct node *n, struct instant now);
/* The next moment (mono_ms) at which node_tick has something to do. */
int64_t node_deadline(const struct node *n);

/* Which shard owns a partition; the same on all shards of the process. */
unsigned node_shard_of(const struct uuid *topic_id, int32_t partition, unsigned shards);
