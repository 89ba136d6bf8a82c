/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/partition.h"

#include "broker/core/replication/leader.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/machine.h"

#include <stdlib.h>

struct partition *partition_new(struct uuid topic_id, int32_t number, struct log *log,
                                const struct partition_host *host)
{
    struct partition *p = must_zalloc(sizeof *p);

    p->topic_id = topic_id;
    p->number = number;
    p->host = host;
    p->leader_id = -1;
    for (int i = 0; i < 2; i++) {
        TAILQ_INIT(&p->waiting[i]);
        TAILQ_INIT(&p->watchers[i]);
    }
    if (log != NULL)
        partition_adopt(p, log);
    return p;
}

void partition_adopt(struct partition *p, struct log *log)
{
    CHECK(p->log == NULL);
    p->leader_epoch = 0; /* whatever epoch it is, this log begins it now */
    p->log = log;
    p->high_watermark = log_start(log);
    log_hold(log, p->high_watermark);
    log_set_owner(log, p);
}

/* ---- waiting -------------------------------------------------------------------------
 */

static void answer_waiters(struct ack_waiters *waiting, int64_t upto, enum status status)
{
    struct ack_waiter *w;

    while ((w = TAILQ_FIRST(waiting)) != NULL && w->upto <= upto) {
        TAILQ_REMOVE(waiting, w, link);
        w->partition = NULL;
        w->done(w, status);
    }
}

static void tell_watchers(struct partition *p, bool of_end)
{
    struct watcher *w;

    while ((w = TAILQ_FIRST(&p->watchers[of_end])) != NULL) {
        watcher_remove(w);
        w->moved(w);
    }
}

static void end_waits(struct partition *p, enum status status)
{
    answer_waiters(&p->waiting[ACK_LEADER], INT64_MAX, status);
    answer_waiters(&p->waiting[ACK_ALL], INT64_MAX, status);
    tell_watchers(p, false);
    tell_watchers(p, true);
}

/* What only our own disk has not yet, it will have; what others must have as well, or
 * more than there are, will wait in vain. */
void partition_stop(struct partition *p)
{
    if (p->in_sync_count < p->min_in_sync ||
        (p->role == ROLE_LEADER && leader_waits_for_others(p->leader)))
        answer_waiters(&p->waiting[ACK_ALL], INT64_MAX, STATUS_SHUTTING_DOWN);
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
    TAILQ_INSERT_TAIL(&p->watchers[w->of_end], w, link);
}

void watcher_remove(struct watcher *w)
{
    if (w->partition == NULL)
        return;
    TAILQ_REMOVE(&w->partition->watchers[w->of_end], w, link);
    w->partition = NULL;
}

/* ---- roles ---------------------------------------------------------------------------
 */

static void leave_role(struct partition *p)
{
    enum role role = p->role;

    p->role = ROLE_NONE;
    if (role == ROLE_LEADER) {
        leader_free(p->leader);
        p->leader = NULL;
        end_waits(p, STATUS_NOT_LEADER);
    } else if (role == ROLE_FOLLOWER) {
        tell_watchers(p, false);
    }
}

void partition_free(struct partition *p, enum status why)
{
    end_waits(p, why);
    leave_role(p);
    p->leader_id = -1;
    if (p->in_isr_list)
        p->host->ends(p->host->ctx, p);
    if (p->following != NULL)
        p->host->follows(p->host->ctx, p);
    free(p);
}

static void see_watermark(struct partition *p)
{
    partition_raise(p, leader_watermark(p->leader,
                                        PLANT(1) ? log_end(p->log) : log_durable(p->log),
                                        p->high_watermark, p->min_in_sync));
}

static void begin_to_lead(struct partition *p, const struct partition_news *news,
                          struct instant now)
{
    log_begin_epoch(p->log, p->leader_epoch);
    p->epoch_start = log_end(p->log);
    p->leader = leader_new(news->node_id, news->record, p->epoch_start, now);
    p->role = ROLE_LEADER;
}

/* What a leader told counts in its epoch only. */
static void begin_to_follow(struct partition *p)
{
    p->told_watermark = p->high_watermark;
    p->role = ROLE_FOLLOWER;
}

/* A leadership of an epoch that we have met before we were known was given to the process
 * before us; the epoch that ends it comes with the next records. */
static void take_role(struct partition *p, const struct partition_news *news,
                      bool new_epoch, struct instant now)
{
    leave_role(p);
    if (!news->known && p->leader_id == news->node_id)
        MARK("leadership of the process before is not continued");
    if (p->log == NULL || (!news->known && !PLANT(12)))
        return;
    if (p->leader_id != news->node_id)
        begin_to_follow(p);
    else if (new_epoch)
        begin_to_lead(p, news, now);
    if (PLANT(5) && p->role == ROLE_FOLLOWER && p->machine == NULL)
        partition_truncate(p, p->high_watermark);
}

/* A follower may still have to cut for an unclean leader that knows by now that its own
 * log is whole. */
static void see_recovery(struct partition *p, bool recovering)
{
    p->recovering = recovering || (p->recovering && p->role != ROLE_LEADER);
}

void partition_update(struct partition *p, const struct partition_news *news,
                      struct instant now)
{
    const struct image_partition *r = news->record;
    bool new_epoch = r->leader_epoch > p->leader_epoch;
    bool awakened = p->role == ROLE_NONE && p->log != NULL;

    p->min_in_sync = news->min_in_sync;
    if (new_epoch || r->partition_epoch >= p->partition_epoch) {
        p->leader_id = r->leader;
        p->leader_epoch = r->leader_epoch;
        p->partition_epoch = r->partition_epoch;
        p->in_sync_count = (int32_t)r->in_sync_count;
        see_recovery(p, r->recovering);
    }
    if (new_epoch || awakened)
        take_role(p, news, new_epoch, now);
    else if (p->role == ROLE_LEADER)
        leader_update(p->leader, r, now);
    if (p->role == ROLE_LEADER && (new_epoch || awakened || !PLANT(18)))
        see_watermark(p);
    p->host->follows(p->host->ctx, p);
    if (p->role == ROLE_LEADER)
        p->host->wants_change(p->host->ctx, p);
}

enum status partition_ready(const struct partition *p)
{
    if (p->log == NULL)
        return STATUS_STORAGE_FAILED;
    return p->role == ROLE_LEADER ? STATUS_OK : STATUS_NOT_LEADER;
}

enum status partition_settled(const struct partition *p)
{
    return p->role == ROLE_LEADER && p->high_watermark < p->epoch_start
               ? STATUS_OFFSET_NOT_AVAILABLE
               : STATUS_OK;
}

/* ---- progress ------------------------------------------------------------------------
 */

void partition_raise(struct partition *p, int64_t high_watermark)
{
    int64_t before = p->high_watermark;

    if (high_watermark > log_durable(p->log) && !PLANT(1))
        high_watermark = log_durable(p->log);
    if (high_watermark <= before)
        return;
    p->high_watermark = high_watermark;
    log_hold(p->log, high_watermark);
    if (p->machine != NULL)
        machine_commit(p->machine, high_watermark);
    answer_waiters(&p->waiting[ACK_ALL], high_watermark, STATUS_OK);
    tell_watchers(p, false);
}

void partition_durable(struct partition *p, struct instant now)
{
    if (p->role == ROLE_LEADER) {
        answer_waiters(&p->waiting[ACK_LEADER], log_durable(p->log), STATUS_OK);
        see_watermark(p);
    } else if (p->role == ROLE_FOLLOWER) {
        partition_raise(p, p->told_watermark);
        p->host->follower_durable(p->host->ctx, p);
    }
}

static void see_lag(struct partition *p)
{
    if (!p->in_isr_list && leader_is_ahead(p->leader, log_end(p->log)))
        p->host->lags(p->host->ctx, p);
}

void partition_appended(struct partition *p)
{
    see_lag(p);
    tell_watchers(p, true);
}

void partition_evidence(struct partition *p)
{
    if (p->role != ROLE_LEADER)
        return;
    see_watermark(p);
    if (leader_has_outsiders(p->leader))
        p->host->wants_change(p->host->ctx, p);
    see_lag(p);
}

void partition_told(struct partition *p, int64_t high_watermark)
{
    if (high_watermark > p->told_watermark)
        p->told_watermark = high_watermark;
    partition_raise(p, p->told_watermark);
}

void partition_append_replica(struct partition *p, const struct batch *b,
                              const uint8_t *data, struct instant now)
{
    CHECK(p->role == ROLE_FOLLOWER);
    log_append_replica(p->log, b, data, now.wall_ms);
    if (p->machine != NULL)
        machine_note(p->machine, b, data);
}

void partition_matches(struct partition *p)
{
    p->recovering = false;
}

void partition_truncate(struct partition *p, int64_t offset)
{
    CHECK(p->role == ROLE_FOLLOWER);
    CHECK(offset >= p->high_watermark || p->recovering);
    if (p->high_watermark > offset)
        p->high_watermark = offset;
    if (p->told_watermark > offset)
        p->told_watermark = offset;
    log_hold(p->log, p->high_watermark);
    log_truncate(p->log, offset);
    if (p->machine != NULL)
        machine_note_truncated(p->machine, offset);
}

/* A log that begins at `offset`, where all before it is committed. */
static void take_log(struct partition *p, struct log *log, int64_t offset)
{
    p->log = log;
    log_set_owner(log, p);
    log_hold(log, offset);
    p->high_watermark = p->told_watermark = offset;
}

void partition_reset(struct partition *p, struct store *store, int64_t offset)
{
    CHECK(p->machine == NULL);
    take_log(p, store_log_restart(store, p->log, offset, -1), offset);
}

void partition_renewed(struct partition *p, struct log *log, int64_t offset)
{
    take_log(p, log, offset);
}
