/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/cluster/elect.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"

#include <string.h>

/* ---- small sets of node ids ----------------------------------------------------------
 */

static void set_copy(int32_t *to, size_t *to_count, const int32_t *from, size_t count)
{
    CHECK(count <= PARTITION_REPLICAS_MAX);
    if (count > 0)
        memmove(to, from, count * sizeof *to);
    *to_count = count;
}

static void set_remove(int32_t *set, size_t *count, int32_t id)
{
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++)
        if (set[i] != id)
            set[kept++] = set[i];
    *count = kept;
}

static void set_add(int32_t *set, size_t *count, int32_t id)
{
    if (image_has(set, *count, id))
        return;
    CHECK(*count < PARTITION_REPLICAS_MAX);
    set[(*count)++] = id;
}

/* Keep those that are also in `other`. */
static void set_keep(int32_t *set, size_t *count, const int32_t *other, size_t others)
{
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++)
        if (image_has(other, others, set[i]))
            set[kept++] = set[i];
    *count = kept;
}

static bool set_equal(const int32_t *a, size_t an, const int32_t *b, size_t bn)
{
    return an == bn && (an == 0 || memcmp(a, b, an * sizeof *a) == 0);
}

static bool set_covers(const int32_t *set, size_t count, const int32_t *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!image_has(set, count, all[i]))
            return false;
    return true;
}

/* ---- drafts --------------------------------------------------------------------------
 */

int32_t partition_min_in_sync(const struct topic *topic, const struct image_partition *p)
{
    const struct topic_config *c = &topic->config;
    int64_t wanted = 1;
    int64_t most = (int64_t)(p->replica_count - p->adding_count);

    if (c->set >> TOPIC_KEY_MIN_INSYNC_REPLICAS & 1)
        wanted = c->value[TOPIC_KEY_MIN_INSYNC_REPLICAS];
    return (int32_t)(wanted < most ? wanted : most);
}

void draft_init(struct draft *d, const struct image_partition *now)
{
    *d = (struct draft){.p = *now};
    d->p.local = NULL;
    d->p.replicas = d->numbers[0];
    d->p.in_sync = d->numbers[1];
    d->p.eligible = d->numbers[2];
    d->p.adding = d->numbers[3];
    d->p.removing = d->numbers[4];
    set_copy(d->p.replicas, &d->p.replica_count, now->replicas, now->replica_count);
    set_copy(d->p.in_sync, &d->p.in_sync_count, now->in_sync, now->in_sync_count);
    set_copy(d->p.eligible, &d->p.eligible_count, now->eligible, now->eligible_count);
    set_copy(d->p.adding, &d->p.adding_count, now->adding, now->adding_count);
    set_copy(d->p.removing, &d->p.removing_count, now->removing, now->removing_count);
}

static bool is_active(const struct elect_rules *r, int32_t id)
{
    return id != r->gone && !image_has(r->faulty, r->faulty_count, id) &&
           (id == r->come || image_is_active(r->image, id));
}

/* The in-sync replicas become these. Below the minimum nothing is committed, so those who
 * leave then still hold everything that was; with enough in sync, commits go on without
 * them (KIP-966). */
static void set_in_sync(struct draft *d, const int32_t *in_sync, size_t count,
                        const struct elect_rules *r)
{
    struct image_partition *p = &d->p;

    for (size_t i = 0; i < p->in_sync_count; i++)
        set_add(p->eligible, &p->eligible_count, p->in_sync[i]);
    set_copy(p->in_sync, &p->in_sync_count, in_sync, count);
    for (size_t i = 0; i < p->in_sync_count; i++)
        set_remove(p->eligible, &p->eligible_count, p->in_sync[i]);
    if ((int32_t)p->in_sync_count >= r->min_in_sync)
        p->eligible_count = 0;
}

static void lose_leader(struct draft *d)
{
    if (d->p.leader >= 0)
        d->p.last_leader = d->p.leader;
    d->p.leader = -1;
}

static void lead(struct draft *d, int32_t id)
{
    CHECK(image_has(d->p.in_sync, d->p.in_sync_count, id));
    d->p.leader = id;
    d->p.last_leader = 0;
}

void draft_leave(struct draft *d, int32_t node_id, bool lost, const struct elect_rules *r)
{
    struct image_partition *p = &d->p;
    int32_t left[PARTITION_REPLICAS_MAX];
    size_t count;

    if (image_has(p->in_sync, p->in_sync_count, node_id)) {
        set_copy(left, &count, p->in_sync, p->in_sync_count);
        set_remove(left, &count, node_id);
        set_in_sync(d, left, count, r);
    }
    if (lost)
        MARK("replica lost with its disk");
    if (lost)
        set_remove(p->eligible, &p->eligible_count, node_id);
    if (p->leader == node_id)
        lose_leader(d);
}

static bool others_hold_all(const struct image_partition *p, int32_t node_id)
{
    size_t holders = p->in_sync_count + p->eligible_count;

    return holders > (size_t)(image_has(p->in_sync, p->in_sync_count, node_id) ||
                              image_has(p->eligible, p->eligible_count, node_id));
}

void draft_fail(struct draft *d, int32_t node_id, bool damaged,
                const struct elect_rules *r)
{
    MARK("replica with a log that does not open");
    draft_leave(d, node_id, damaged && others_hold_all(&d->p, node_id), r);
}

void draft_in_sync(struct draft *d, const int32_t *in_sync, size_t count,
                   const struct elect_rules *r)
{
    CHECK(set_covers(d->p.replicas, d->p.replica_count, in_sync, count));
    set_in_sync(d, in_sync, count, r);
}

/* The first, in replica order, that is in `set` and active; -1 if none is. */
static int32_t first_active(const struct draft *d, const int32_t *set, size_t count,
                            const struct elect_rules *r)
{
    for (size_t i = 0; i < d->p.replica_count; i++)
        if (image_has(set, count, d->p.replicas[i]) && is_active(r, d->p.replicas[i]))
            return d->p.replicas[i];
    return -1;
}

void draft_elect(struct draft *d, const struct elect_rules *r)
{
    struct image_partition *p = &d->p;
    int32_t id;

    if (p->leader >= 0 && image_has(p->in_sync, p->in_sync_count, p->leader) &&
        is_active(r, p->leader))
        return;
    id = first_active(d, p->in_sync, p->in_sync_count, r);
    if (id < 0) {
        id = first_active(d, p->eligible, p->eligible_count, r);
        if (id >= 0) {
            MARK("elected one that was not in sync but eligible");
            set_in_sync(d, &id, 1, r);
        }
    }
    if (id < 0 && r->unclean) {
        id = first_active(d, p->replicas, p->replica_count, r);
        if (id >= 0) {
            set_in_sync(d, &id, 1, r);
            MARK("elected uncleanly");
            p->eligible_count = 0;
            p->recovering = true;
        }
    }
    if (id < 0)
        MARK("partition without a leader");
    if (id >= 0)
        lead(d, id);
    else
        lose_leader(d);
}

bool draft_prefer(struct draft *d, const struct elect_rules *r)
{
    int32_t preferred = d->p.replicas[0];

    if (d->p.leader == preferred || !is_active(r, preferred) ||
        !image_has(d->p.in_sync, d->p.in_sync_count, preferred))
        return false;
    MARK("preferred leader is back");
    lead(d, preferred);
    return true;
}

/* ---- moving --------------------------------------------------------------------------
 */

/* Whoever is no replica any more is nothing else either. */
static void drop_strangers(struct draft *d, const struct elect_rules *r)
{
    struct image_partition *p = &d->p;

    set_keep(p->in_sync, &p->in_sync_count, p->replicas, p->replica_count);
    set_keep(p->eligible, &p->eligible_count, p->replicas, p->replica_count);
    if (p->leader >= 0 && !image_has(p->replicas, p->replica_count, p->leader)) {
        lose_leader(d);
        draft_elect(d, r);
    }
}

/* What the replicas were before a move began. */
static void original(const struct draft *d, int32_t *out, size_t *count)
{
    set_copy(out, count, d->p.replicas, d->p.replica_count);
    for (size_t i = 0; i < d->p.adding_count; i++)
        set_remove(out, count, d->p.adding[i]);
}

/* Whether somebody stays that could lead, if these are the replicas. While anybody is in
 * sync that is one of them: who is eligible only may be gone for good. */
static bool somebody_stays(const struct draft *d, const int32_t *target, size_t count,
                           const int32_t *before, size_t before_count)
{
    const struct image_partition *p = &d->p;
    const int32_t *set = p->in_sync_count > 0 ? p->in_sync : p->eligible;
    size_t n = p->in_sync_count > 0 ? p->in_sync_count : p->eligible_count;

    for (size_t i = 0; i < n; i++)
        if (image_has(target, count, set[i]) || image_has(before, before_count, set[i]))
            return true;
    return n == 0;
}

bool draft_move(struct draft *d, const int32_t *target, size_t count,
                const struct elect_rules *r)
{
    struct image_partition *p = &d->p;
    int32_t before[PARTITION_REPLICAS_MAX];
    size_t before_count;

    CHECK(count > 0 && count <= PARTITION_REPLICAS_MAX);
    original(d, before, &before_count);
    if (!somebody_stays(d, target, count, before, before_count))
        return false; /* only those that this would drop again hold everything */
    p->adding_count = p->removing_count = 0;
    set_copy(p->replicas, &p->replica_count, target, count);
    for (size_t i = 0; i < count; i++)
        if (!image_has(before, before_count, target[i]))
            set_add(p->adding, &p->adding_count, target[i]);
    for (size_t i = 0; i < before_count; i++)
        if (!image_has(target, count, before[i])) {
            set_add(p->removing, &p->removing_count, before[i]);
            set_add(p->replicas, &p->replica_count, before[i]);
        }
    drop_strangers(d, r);
    draft_settle(d, r);
    return true;
}

bool draft_cancel(struct draft *d, const struct elect_rules *r)
{
    struct image_partition *p = &d->p;
    int32_t before[PARTITION_REPLICAS_MAX], left[PARTITION_REPLICAS_MAX];
    size_t before_count, left_count;

    if (p->adding_count == 0 && p->removing_count == 0)
        return false;
    original(d, before, &before_count);
    set_copy(left, &left_count, p->in_sync, p->in_sync_count);
    set_keep(left, &left_count, before, before_count);
    if (left_count == 0)
        return false; /* only those that were added hold everything */
    set_copy(p->replicas, &p->replica_count, before, before_count);
    p->adding_count = p->removing_count = 0;
    drop_strangers(d, r);
    return true;
}

bool draft_settle(struct draft *d, const struct elect_rules *r)
{
    struct image_partition *p = &d->p;
    int32_t target[PARTITION_REPLICAS_MAX];
    size_t count;

    if (p->adding_count == 0 && p->removing_count == 0)
        return false;
    set_copy(target, &count, p->replicas, p->replica_count);
    for (size_t i = 0; i < p->removing_count; i++)
        set_remove(target, &count, p->removing[i]);
    if (!set_covers(p->in_sync, p->in_sync_count, target, count))
        return false;
    set_copy(p->replicas, &p->replica_count, target, count);
    p->adding_count = p->removing_count = 0;
    drop_strangers(d, r);
    return true;
}

/* ---- epochs --------------------------------------------------------------------------
 */

static bool is_same(const struct image_partition *a, const struct image_partition *b)
{
    return a->leader == b->leader && a->recovering == b->recovering &&
           set_equal(a->replicas, a->replica_count, b->replicas, b->replica_count) &&
           set_equal(a->in_sync, a->in_sync_count, b->in_sync, b->in_sync_count) &&
           set_equal(a->eligible, a->eligible_count, b->eligible, b->eligible_count) &&
           set_equal(a->adding, a->adding_count, b->adding, b->adding_count) &&
           set_equal(a->removing, a->removing_count, b->removing, b->removing_count);
}

bool draft_finish(struct draft *d, const struct image_partition *before)
{
    struct image_partition *p = &d->p;

    if (is_same(p, before) && !d->new_epoch && !d->touched)
        return false;
    CHECK(p->leader < 0 || image_has(p->in_sync, p->in_sync_count, p->leader));
    p->partition_epoch = before->partition_epoch + 1;
    if (p->leader != before->leader || d->new_epoch ||
        !set_covers(p->replicas, p->replica_count, before->replicas,
                    before->replica_count))
        p->leader_epoch = before->leader_epoch + 1;
    return true;
}
