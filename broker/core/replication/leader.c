/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/replication/leader.h"

#include "broker/core/watermark.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { REPLICAS_MAX = 32 };

struct replica {
    int32_t id;
    int64_t broker_epoch; /* by its newest fetch; -1: none in this leader epoch */
    int64_t matched;      /* its log is ours up to here; -1: unknown */
    int64_t claimed;      /* it says that it has so much on its disk */
    int64_t caught_up_ms; /* it holds all that we had then */
    int64_t mark;         /* our end at a fetch of it: what it has to reach, */
    int64_t mark_ms;      /* and when that was */
};

/* DOUBTFUL: an attempt may still be on its way, unheard of. WITHDRAWN: the same, and we
 * do not want it any more. */
enum pending { NOTHING, PROPOSED, DOUBTFUL, WITHDRAWN };

struct leader {
    int32_t self;
    int64_t epoch_start;
    int32_t partition_epoch;
    bool recovering;
    struct replica replicas[REPLICAS_MAX];
    size_t replica_count;
    int32_t in_sync[REPLICAS_MAX]; /* committed */
    size_t in_sync_count;
    enum pending pending;
    bool in_flight;               /* somebody waits for the answer, */
    int32_t sent_epoch;           /* to what was asked on top of this partition epoch */
    bool overtaken;               /* newer metadata must come first */
    int32_t wanted[REPLICAS_MAX]; /* what was proposed, */
    int64_t wanted_epochs[REPLICAS_MAX]; /* and as which processes: also if repeated */
    size_t wanted_count;
};

static struct replica *find(struct leader *l, int32_t id)
{
    for (size_t i = 0; i < l->replica_count; i++)
        if (l->replicas[i].id == id)
            return &l->replicas[i];
    return NULL;
}

static bool is_in_sync(const struct leader *l, int32_t id)
{
    return image_has(l->in_sync, l->in_sync_count, id);
}

static void take_replicas(struct leader *l, const struct image_partition *record,
                          struct instant now)
{
    struct replica before[REPLICAS_MAX];
    size_t count = l->replica_count;

    CHECK(record->replica_count <= REPLICAS_MAX);
    memcpy(before, l->replicas, count * sizeof *before);
    l->replica_count = record->replica_count;
    for (size_t i = 0; i < record->replica_count; i++) {
        struct replica *r = &l->replicas[i];

        *r = (struct replica){.id = record->replicas[i],
                              .broker_epoch = -1,
                              .matched = -1,
                              .claimed = -1,
                              .caught_up_ms = now.mono_ms,
                              .mark = INT64_MAX};
        for (size_t j = 0; j < count; j++)
            if (before[j].id == r->id)
                *r = before[j];
    }
}

static void take_record(struct leader *l, const struct image_partition *record,
                        struct instant now)
{
    take_replicas(l, record, now);
    l->in_sync_count = record->in_sync_count;
    memcpy(l->in_sync, record->in_sync, record->in_sync_count * sizeof *l->in_sync);
    l->partition_epoch = record->partition_epoch;
    l->recovering = record->recovering;
    l->pending = NOTHING;
    l->overtaken = false;
}

struct leader *leader_new(int32_t self, const struct image_partition *record, int64_t end,
                          struct instant now)
{
    struct leader *l = must_zalloc(sizeof *l);

    l->self = self;
    l->epoch_start = end;
    take_record(l, record, now);
    return l;
}

void leader_free(struct leader *l)
{
    free(l);
}

void leader_update(struct leader *l, const struct image_partition *record,
                   struct instant now)
{
    if (record->partition_epoch > l->partition_epoch)
        take_record(l, record, now);
    else if (record->partition_epoch == l->partition_epoch)
        take_replicas(l, record, now); /* the answer that was first does not name them */
}

/* ---- evidence ------------------------------------------------------------------------
 */

/* What counts: the same as ours, and on its disk. */
static int64_t held(const struct replica *r)
{
    return r->matched < r->claimed ? r->matched : r->claimed;
}

static void see_progress(struct replica *r)
{
    if (held(r) < r->mark)
        return;
    if (r->mark_ms > r->caught_up_ms)
        r->caught_up_ms = r->mark_ms;
}

/* A new mark only where the one before was reached: whoever never gets there, be it his
 * network or his disk, is not caught up. */
static void set_mark(struct replica *r, int64_t our_end, struct instant now)
{
    see_progress(r);
    if (held(r) >= our_end)
        r->caught_up_ms = now.mono_ms;
    if (held(r) >= r->mark || r->mark == INT64_MAX) {
        r->mark = our_end;
        r->mark_ms = now.mono_ms;
    }
}

bool leader_on_fetch(struct leader *l, const struct leader_fetch *f, struct instant now)
{
    struct replica *r = find(l, f->node_id);

    /* What its former process has sent may arrive late, and says nothing of this one. */
    if (r == NULL || f->node_id == l->self || f->broker_epoch < r->broker_epoch)
        return false;
    if (f->broker_epoch > r->broker_epoch) { /* another process: nothing is known of it */
        r->broker_epoch = f->broker_epoch;
        r->matched = r->claimed = -1;
        r->mark = INT64_MAX;
    }
    /* Within a leader epoch what was validated only grows; an acknowledgement may have
     * overtaken this fetch. */
    if (f->offset > r->matched)
        r->matched = f->offset;
    if (f->durable > r->claimed)
        r->claimed = f->durable;
    set_mark(r, f->our_end, now);
    return true;
}

bool leader_on_ack(struct leader *l, int32_t node_id, int64_t broker_epoch,
                   int64_t durable)
{
    struct replica *r = find(l, node_id);

    if (r == NULL || node_id == l->self || r->broker_epoch != broker_epoch)
        return false;
    if (durable > r->claimed)
        r->claimed = durable;
    see_progress(r);
    return true;
}

/* Whoever may be in sync is waited for: the committed set, and those we want to add. */
static bool is_waited_for(const struct leader *l, int32_t id)
{
    if (PLANT(3) && l->pending != NOTHING)
        return image_has(l->wanted, l->wanted_count, id);
    return is_in_sync(l, id) ||
           (l->pending != NOTHING && image_has(l->wanted, l->wanted_count, id));
}

bool leader_waits_for_others(const struct leader *l)
{
    for (size_t i = 0; i < l->replica_count; i++)
        if (l->replicas[i].id != l->self && is_waited_for(l, l->replicas[i].id))
            return true;
    return false;
}

int64_t leader_watermark(const struct leader *l, int64_t ours, int64_t before,
                         int32_t min_in_sync)
{
    struct replica_end ends[REPLICAS_MAX];

    if ((int32_t)l->in_sync_count < min_in_sync || !is_in_sync(l, l->self)) {
        MARK("too few in sync: the watermark waits");
        return before;
    }
    for (size_t i = 0; i < l->replica_count; i++) {
        const struct replica *r = &l->replicas[i];

        ends[i] = (struct replica_end){r->id == l->self ? ours : held(r),
                                       is_waited_for(l, r->id)};
    }
    return watermark(ends, l->replica_count, before);
}

int64_t leader_replica_end(const struct leader *l, int32_t node_id)
{
    for (size_t i = 0; i < l->replica_count; i++)
        if (l->replicas[i].id == node_id)
            return held(&l->replicas[i]);
    return -1;
}

/* ---- who should be in sync -----------------------------------------------------------
 */

/* It holds everything committed and everything that was there when we were elected
 * (KAFKA-7128), and it is the process that the metadata knows (KIP-903). */
static bool may_join(const struct leader *l, const struct image *image,
                     const struct replica *r, int64_t high_watermark)
{
    const struct image_broker *b = image_broker(image, r->id);

    return b != NULL && b->state == BROKER_ACTIVE && b->epoch == r->broker_epoch &&
           held(r) >= high_watermark && (held(r) >= l->epoch_start || PLANT(4));
}

static bool has_fallen_behind(const struct replica *r, int64_t our_end, int64_t lag_ms,
                              struct instant now)
{
    return held(r) < our_end && now.mono_ms - r->caught_up_ms >= lag_ms;
}

/* Who should be, by the evidence of now. */
static size_t choose(const struct leader *l, const struct image *image, int64_t our_end,
                     int64_t high_watermark, int64_t lag_ms, struct instant now,
                     int32_t *out)
{
    size_t count = 0;

    for (size_t i = 0; i < l->replica_count; i++) {
        const struct replica *r = &l->replicas[i];
        bool in = is_in_sync(l, r->id) ||
                  (!l->recovering && may_join(l, image, r, high_watermark));

        /* Who has not moved since it went must not come back, although the watermark has
         * not moved either: it would come and go without end. */
        if (r->id == l->self || (in && !has_fallen_behind(r, our_end, lag_ms, now)))
            out[count++] = r->id;
    }
    return count;
}

static bool is_committed(const struct leader *l, const int32_t *set, size_t count)
{
    if (count != l->in_sync_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_in_sync(l, set[i]))
            return false;
    return true;
}

/* Somebody who is proposed again is proposed as the process whose log was looked at: its
 * next one may have an empty disk (KIP-903). */
static void note_processes(struct leader *l)
{
    for (size_t i = 0; i < l->wanted_count; i++) {
        const struct replica *r = find(l, l->wanted[i]);

        l->wanted_epochs[i] = r->id == l->self ? -1 : r->broker_epoch;
    }
}

/* Once this is committed, under another partition epoch, whatever is still on its way for
 * the present one comes too late. */
static void propose_what_is(const struct leader *l, struct leader_proposal *out)
{
    out->recovered = l->recovering;
    out->count = l->in_sync_count;
    memcpy(out->in_sync, l->in_sync, l->in_sync_count * sizeof *l->in_sync);
    for (size_t i = 0; i < l->in_sync_count; i++)
        out->epochs[i] = -1;
}

bool leader_propose(struct leader *l, const struct image *image, int64_t our_end,
                    int64_t high_watermark, int64_t lag_ms, struct instant now,
                    struct leader_proposal *out)
{
    if (l->in_flight || l->overtaken)
        return false;
    if (l->pending == NOTHING) {
        l->wanted_count =
            choose(l, image, our_end, high_watermark, lag_ms, now, l->wanted);
        if (is_committed(l, l->wanted, l->wanted_count) && !l->recovering)
            return false;
        l->pending = PROPOSED;
        note_processes(l);
    }
    l->in_flight = true;
    l->sent_epoch = l->partition_epoch;
    out->partition_epoch = l->partition_epoch;
    if (l->pending == WITHDRAWN) {
        propose_what_is(l, out);
        return true;
    }
    out->recovered = l->recovering;
    out->count = l->wanted_count;
    memcpy(out->in_sync, l->wanted, l->wanted_count * sizeof *l->wanted);
    memcpy(out->epochs, l->wanted_epochs, l->wanted_count * sizeof *l->wanted_epochs);
    return true;
}

bool leader_has_outsiders(const struct leader *l)
{
    return l->in_sync_count < l->replica_count;
}

bool leader_is_ahead(const struct leader *l, int64_t our_end)
{
    for (size_t i = 0; i < l->replica_count; i++) {
        const struct replica *r = &l->replicas[i];

        if (r->id != l->self && held(r) < our_end && is_in_sync(l, r->id))
            return true;
    }
    return false;
}

bool leader_is_unsettled(const struct leader *l, int64_t our_end)
{
    return l->pending != NOTHING || l->recovering || leader_is_ahead(l, our_end);
}

/* INELIGIBLE_REPLICA says that the controller looked at this attempt under our very
 * epochs and will not have it. An earlier one, whose answer was lost, may still be on its
 * way and find it in a better mood. */
static enum pending after_failure(enum pending before, enum status status)
{
    if (PLANT(19))
        return NOTHING;
    if (status != STATUS_INELIGIBLE_REPLICA)
        MARK("outcome of a set change is unknown");
    else if (before != PROPOSED)
        MARK("a doubtful set change is withdrawn");
    if (status != STATUS_INELIGIBLE_REPLICA)
        return before == PROPOSED ? DOUBTFUL : before;
    return before == PROPOSED ? NOTHING : WITHDRAWN;
}

/* The metadata has moved on and will tell; asking again is of no use. */
static bool is_overtaken(enum status status)
{
    return status == STATUS_INVALID_UPDATE_VERSION ||
           status == STATUS_FENCED_LEADER_EPOCH || status == STATUS_INVALID_REQUEST ||
           status == STATUS_UNKNOWN_TOPIC_OR_PARTITION ||
           status == STATUS_NEW_LEADER_ELECTED;
}

void leader_answered(struct leader *l, enum status status, int32_t partition_epoch,
                     const int32_t *in_sync, size_t count)
{
    l->in_flight = false;
    if (status) {
        if (l->pending != NOTHING)
            l->pending = after_failure(l->pending, status);
        if (is_overtaken(status))
            MARK("set change was overtaken by metadata");
        l->overtaken = is_overtaken(status) && l->sent_epoch == l->partition_epoch;
        return;
    }
    if (partition_epoch < l->partition_epoch)
        MARK("metadata was quicker than the answer to a set change");
    if (partition_epoch < l->partition_epoch || count > REPLICAS_MAX)
        return; /* the metadata was quicker, and is newer */
    l->partition_epoch = partition_epoch;
    l->in_sync_count = count;
    memcpy(l->in_sync, in_sync, count * sizeof *in_sync);
    l->pending = NOTHING;
    l->recovering = false;
}
