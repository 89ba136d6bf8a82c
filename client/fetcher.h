/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher keeps records of many partitions at hand. A *source* is one partition that
 * it reads; every source that has room is asked for at its leader, many in one request,
 * which waits at the broker until there is something. What comes back waits in the source
 * until it is taken; meanwhile more is fetched, until fetch.buffer.bytes are in use.
 *
 * A source is in at most one request. A few requests may be under way to one broker, so
 * that a source that has just found room does not wait for idle ones to hear something.
 * Sources take turns: who brought something goes to the end of both queues.
 *
 * Everything here is called with the engine's lock held. */
#pragma once

#include "client/batch.h"
#include "client/cluster.h"

struct fetch;

struct source {
    struct topic *topic;
    int32_t partition;
    bool paused;
    /* Another one makes buffered records stale: seek, pause, the end. No two sources ever
     * have the same. */
    uint32_t epoch;
    int64_t offset;         /* the next to ask for; -1: not known, so it rests */
    int64_t high_watermark; /* of the last answer; -1 before */

    /* Private. */
    TAILQ_ENTRY(source) link;
    TAILQ_ENTRY(source) ready_link;
    bool ready;
    STAILQ_HEAD(, chunk) chunks;
    size_t buffered;
    struct fetch *asked; /* the request that it is in */
    size_t asked_at;
    int64_t not_before_ms;
    unsigned failures;
};

struct fetcher {
    struct cluster *cluster;
    const struct leat_conf *conf;
    struct budget *budget;
    uint32_t epoch;  /* the last one that was given out */
    size_t reserved; /* bytes that requests under way may bring */
    TAILQ_HEAD(sources, source) sources;
    struct sources ready; /* by ready_link */
    TAILQ_HEAD(, fetch) fetches;
    struct engine_task task;
    struct engine_timer timer; /* the first pause ends */
    struct cluster_listener listener;

    /* Something can be taken. */
    void (*arrived)(struct fetcher *f);
    /* A source could not be read. After OFFSET_OUT_OF_RANGE it rests until it is told
     * where to go on; everything else is tried again by itself. */
    void (*failed)(struct fetcher *f, struct source *s, enum status why);
};

/* Set `arrived` and `failed` afterwards. Nothing to release after NO_MEMORY. */
STATUS_MUST_CHECK enum status fetcher_init(struct fetcher *f, struct cluster *cluster,
                                           const struct leat_conf *conf);
/* All sources have been removed. Without the lock. */
void fetcher_release(struct fetcher *f);

/* Add a source that rests until fetcher_seek. The caller owns it. */
void fetcher_add(struct fetcher *f, struct source *s, struct topic *topic,
                 int32_t partition);
void fetcher_remove(struct fetcher *f, struct source *s);

/* Go on from `offset`, or rest (-1). What was buffered or is under way is forgotten. */
void fetcher_seek(struct fetcher *f, struct source *s, int64_t offset);

/* The source whose turn it is to be read, or NULL. */
struct source *fetcher_next(struct fetcher *f);

/* Take its first chunk; it is the caller's, who may work on it without the lock, and then
 * gives back what is left of it. Between the two nothing else may be taken from this
 * source. If its epoch changed meanwhile, drop the chunk instead. */
struct chunk *source_take(struct fetcher *f, struct source *s);
void source_give_back(struct fetcher *f, struct source *s, struct chunk *rest);
void fetcher_drop(struct fetcher *f, struct chunk *rest);

/* The chunk that was taken could not be read: fetch it again from `offset`, after a
 * pause. */
void source_retry(struct fetcher *f, struct source *s, int64_t offset);

/* Append the header of a request for these sources (fetcher_request.c). NO_MEMORY. */
STATUS_MUST_CHECK enum status fetch_request_pack(const struct leat_conf *conf,
                                                 struct source *const *sources,
                                                 size_t count, size_t max_bytes,
                                                 struct writer *out);
