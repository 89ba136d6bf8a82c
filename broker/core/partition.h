/* SPDX-License-Identifier: Apache-2.0
 *
 * A partition as its shard keeps it: the log, the role in which this broker holds it, the
 * high watermark, and everybody who waits for something to happen to it. Produce requests
 * wait for an offset to become safe; fetches wait for anything new. A partition begins
 * when the image tells of it and ends when its topic is removed or its replica moves
 * away; whoever still waits then hears of it.
 *
 * A leader knows of each replica how far its log is the same (what it fetched) and how
 * much of that is on its disk (what it acknowledged): replication/leader.h. A follower is
 * fed by its shard's fetcher for that leader: replication/fetcher.h. Roles change only by
 * committed metadata, and each under its leader epoch. */
#pragma once

#include "broker/core/image.h"
#include "broker/core/watermark.h"
#include "proto/base/uuid.h"
#include "storage/store.h"

struct partition;

/* Somebody who wants to hear once everything before `upto` is safe. */
struct ack_waiter {
    int64_t upto;
    /* OK, or why it will never be. The waiter is not in the list any more when it runs.
     */
    void (*done)(struct ack_waiter *w, enum status status);
    TAILQ_ENTRY(ack_waiter) link;
    struct partition *partition; /* NULL: waits no more */
};

/* Somebody who wants to hear, once, of new records or of the partition's end. A replica
 * wants to hear of everything appended, a consumer of what is committed. */
struct watcher {
    /* Not registered any more when it runs; registers again later at the earliest. */
    void (*moved)(struct watcher *w);
    bool of_end; /* a replica */
    TAILQ_ENTRY(watcher) link;
    struct partition *partition; /* NULL: not registered */
};

enum ack { ACK_LEADER, ACK_ALL };

enum role { ROLE_NONE, ROLE_LEADER, ROLE_FOLLOWER };

struct leader;
struct machine;

/* What the metadata says of it; borrowed for the call. */
struct partition_news {
    int32_t node_id; /* this broker's */
    bool known;      /* the metadata knows this process, and speaks of it */
    const struct image *image;
    const struct image_partition *record;
    int32_t min_in_sync; /* of the topic, not above its replicas */
};

/* What a partition asks of its node. */
struct partition_host {
    /* Somebody should be in sync or not any more: leader_propose has something to say. */
    void (*wants_change)(void *ctx, struct partition *p);
    /* Somebody in sync lacks some of its log: leader_propose may have something to say
     * later, if that lasts. */
    void (*lags)(void *ctx, struct partition *p);
    /* It ends, and is in `isr_link`'s list. */
    void (*ends)(void *ctx, struct partition *p);
    /* It follows another leader, or none, now: tell the fetchers. */
    void (*follows)(void *ctx, struct partition *p);
    /* What it has on disk as a follower has grown: its leader should know. */
    void (*follower_durable)(void *ctx, struct partition *p);
    void *ctx;
};

struct partition {
    struct uuid topic_id;
    int32_t number;
    struct log *log; /* NULL: could not be opened, because of `fault` */
    enum status fault;
    int64_t retry_ms;        /* without a log: when it is tried again */
    struct machine *machine; /* a state machine over the log that hears of it, or NULL */
    const struct partition_host *host;
    enum role role;
    int32_t leader_id; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t in_sync_count;
    int32_t min_in_sync;
    bool recovering;        /* it was led uncleanly, and since then this log was not yet
                             * found to be its leader's: what was committed may be cut */
    int64_t high_watermark; /* never above log_durable; by what this replica knows */
    int64_t told_watermark; /* follower: by its leader, perhaps above what is durable */
    int64_t epoch_start;    /* leader: the log's end when it was elected */
    struct leader *leader;  /* leader: its view of the replicas; else NULL */
    void *following;        /* follower: the fetcher's part for it; else NULL */
    bool in_isr_list;       /* replication/isr_link.h */
    TAILQ_ENTRY(partition) isr_entry;
    TAILQ_HEAD(ack_waiters, ack_waiter) waiting[2]; /* per enum ack, by offset */
    TAILQ_HEAD(, watcher) watchers[2];              /* per of_end */
};

/* Takes over `log`. What of it is committed is not known yet, unless this broker leads it
 * and is alone in sync. */
struct partition *partition_new(struct uuid topic_id, int32_t number, struct log *log,
                                const struct partition_host *host);
/* A log after all, for one that had none. */
void partition_adopt(struct partition *p, struct log *log);
/* Tell those who wait that it is over, and why; then the log is the caller's again. */
void partition_free(struct partition *p, enum status why);

/* What the metadata says about it now: lead, follow or neither. Old news, by its epochs,
 * changes nothing. */
void partition_update(struct partition *p, const struct partition_news *news,
                      struct instant now);

/* NOT_LEADER, STORAGE_FAILED, or OK when requests may be served. */
STATUS_MUST_CHECK enum status partition_ready(const struct partition *p);
/* The leader's watermark has reached what was there when it was elected: what must know
 * everything committed may be asked (reliability D8). OFFSET_NOT_AVAILABLE if not. */
STATUS_MUST_CHECK enum status partition_settled(const struct partition *p);

/* The log's durable end moved: move the watermark, tell those who waited. */
void partition_durable(struct partition *p, struct instant now);

/* Something was appended by us, the leader: followers that wait may have it, durable here
 * or not. */
void partition_appended(struct partition *p);

/* As the leader: something is new about a replica (replication/leader.h). */
void partition_evidence(struct partition *p);
/* As a follower: the leader's watermark. */
void partition_told(struct partition *p, int64_t high_watermark);

/* The watermark is at least this, by the evidence that its owner has: moves it and tells
 * those who waited. Never back, never above log_durable. */
void partition_raise(struct partition *p, int64_t high_watermark);

/* As a follower: what it has is the beginning of its leader's log. */
void partition_matches(struct partition *p);

/* As a follower: a verified batch at the log's end; a cut; the log begins anew. The
 * machine, if there is one, hears of it. Cutting below the watermark is the caller's
 * crime, except while the partition recovers from an unclean election. */
void partition_append_replica(struct partition *p, const struct batch *b,
                              const uint8_t *data, struct instant now);
void partition_truncate(struct partition *p, int64_t offset);
/* Only without a machine: that is renewed by a snapshot. */
void partition_reset(struct partition *p, struct store *store, int64_t offset);

/* A snapshot has replaced the machine's state and its log. */
void partition_renewed(struct partition *p, struct log *log, int64_t offset);

/* This broker stops: those who wait for other replicas will not hear of them here. */
void partition_stop(struct partition *p);

void partition_await(struct partition *p, enum ack ack, struct ack_waiter *w);
void partition_forget(struct partition *p, enum ack ack, struct ack_waiter *w);
void partition_watch(struct partition *p, struct watcher *w);
void watcher_remove(struct watcher *w); /* no harm if it is not registered */
