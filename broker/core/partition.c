/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/partition.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

struct partition *partition_new(struct uuid topic_id, int32_t number, struct log *log)
{
    struct partition *p = must_zalloc(sizeof *p);

    p->topic_id = topic_id;
    p->number = number;
    TAILQ_INIT(&p->waiting[ACK_LEADER]);
    TAILQ_INIT(&p->waiting[ACK_ALL]);
    TAILQ_INIT(&p->watchers);
    if (log != NULL)
        partition_adopt(p, log);
    return p;
}

void partition_adopt(struct partition *p, struct log *log)
{
    CHECK(p->log == NULL);
    p->log = log;
    p->high_watermark = log_durable(log);
    log_set_owner(log, p);
}

static void answer_waiters(struct ack_waiters *waiting, int64_t upto, enum status status)
{
    struct ack_waiter *w;

    while ((w = TAILQ_FIRST(waiting)) != NULL && w->upto <= upto) {
        TAILQ_REMOVE(waiting, w, link);
        w->partition = NULL;
        w->done(w, status);
    }
}

static void tell_watchers(struct partition *p)
{
    struct watcher *w;

    while ((w = TAILQ_FIRST(&p->watchers)) != NULL) {
        watcher_remove(w);
        w->moved(w);
    }
}

static void end_waits(struct partition *p, enum status status)
{
    answer_waiters(&p->waiting[ACK_LEADER], INT64_MAX, status);
    answer_waiters(&p->waiting[ACK_ALL], INT64_MAX, status);
    tell_watchers(p);
}

void partition_free(struct partition *p, enum status why)
{
    end_waits(p, why);
    free(p);
}

void partition_lead(struct partition *p, int32_t leader_epoch, int32_t in_sync_count)
{
    CHECK(leader_epoch >= p->leader_epoch);
    p->role = ROLE_LEADER;
    p->leader_epoch = leader_epoch;
    p->in_sync_count = in_sync_count;
}

void partition_resign(struct partition *p)
{
    if (p->role == ROLE_NONE)
        return;
    p->role = ROLE_NONE;
    end_waits(p, STATUS_NOT_LEADER);
}

enum status partition_ready(const struct partition *p)
{
    if (p->log == NULL)
        return STATUS_STORAGE_FAILED;
    return p->role == ROLE_LEADER ? STATUS_OK : STATUS_NOT_LEADER;
}

void partition_durable(struct partition *p)
{
    const struct replica_end replicas[] = {{log_durable(p->log), true}};
    int64_t before = p->high_watermark;

    p->high_watermark = watermark(replicas, 1, before);
    CHECK(p->high_watermark <= log_end(p->log));
    answer_waiters(&p->waiting[ACK_LEADER], log_durable(p->log), STATUS_OK);
    if (p->high_watermark == before)
        return;
    answer_waiters(&p->waiting[ACK_ALL], p->high_watermark, STATUS_OK);
    tell_watchers(p);
}

void partition_await(struct partition *p, enum ack ack, struct ack_waiter *w)
{
    struct ack_waiter *before = TAILQ_LAST(&p->waiting[ack], ack_waiters);

    /* Offsets are given in order, but a batch sent twice waits for its old one. */
    while (before != NULL && before->upto > w->upto)
        before = TAILQ_PREV(before, ack_waiters, link);
    w->partition = p;
    if (before != NULL)
        TAILQ_INSERT_AFTER(&p->waiting[ack], before, w, link);
    else
        TAILQ_INSERT_HEAD(&p->waiting[ack], w, link);
}

void partition_forget(struct partition *p, enum ack ack, struct ack_waiter *w)
{
    CHECK(w->partition == p);
    TAILQ_REMOVE(&p->waiting[ack], w, link);
    w->partition = NULL;
}

void partition_watch(struct partition *p, struct watcher *w)
{
    CHECK(w->partition == NULL);
    w->partition = p;
    TAILQ_INSERT_TAIL(&p->watchers, w, link);
}

void watcher_remove(struct watcher *w)
{
    if (w->partition == NULL)
        return;
    TAILQ_REMOVE(&w->partition->watchers, w, link);
    w->partition = NULL;
}
