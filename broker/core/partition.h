/* SPDX-License-Identifier: Apache-2.0
 *
 * A partition as its shard keeps it: the log, the role in which this broker holds it, the
 * high watermark, and everybody who waits for something to happen to it. Produce requests
 * wait for an offset to become safe; fetches wait for anything new. A partition begins
 * when the image tells of it and ends when its topic is removed; whoever still waits then
 * hears of it. */
#pragma once

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

/* Somebody who wants to hear, once, of new records or of the partition's end. */
struct watcher {
    /* Not registered any more when it runs; registers again later at the earliest. */
    void (*moved)(struct watcher *w);
    TAILQ_ENTRY(watcher) link;
    struct partition *partition; /* NULL: not registered */
};

enum ack { ACK_LEADER, ACK_ALL };

enum role { ROLE_NONE, ROLE_LEADER };

struct partition {
    struct uuid topic_id;
    int32_t number;
    struct log *log; /* NULL: could not be opened */
    enum role role;
    int32_t leader_epoch;
    int32_t in_sync_count;
    int64_t high_watermark;
    TAILQ_HEAD(ack_waiters, ack_waiter) waiting[2]; /* per enum ack, by offset */
    TAILQ_HEAD(, watcher) watchers;
};

/* Takes over `log`, whose records up to its durable end are committed. */
struct partition *partition_new(struct uuid topic_id, int32_t number, struct log *log);
/* A log after all, for one that had none. */
void partition_adopt(struct partition *p, struct log *log);
/* Tell those who wait that it is over, and why; then the log is the caller's again. */
void partition_free(struct partition *p, enum status why);

/* What the metadata says about it now. */
void partition_lead(struct partition *p, int32_t leader_epoch, int32_t in_sync_count);
void partition_resign(struct partition *p);

/* NOT_LEADER, STORAGE_FAILED, or OK when requests may be served. */
STATUS_MUST_CHECK enum status partition_ready(const struct partition *p);

/* The log's durable end moved: move the watermark, tell those who waited. */
void partition_durable(struct partition *p);

void partition_await(struct partition *p, enum ack ack, struct ack_waiter *w);
void partition_forget(struct partition *p, enum ack ack, struct ack_waiter *w);
void partition_watch(struct partition *p, struct watcher *w);
void watcher_remove(struct watcher *w); /* no harm if it is not registered */
