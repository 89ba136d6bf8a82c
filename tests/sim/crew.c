/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/crew.h"

#include "proto/base/memory.h"

#include <inttypes.h>

enum { EPOCHS_KNOWN = 4096, PAST_MAX = 16, DOUBTS_MAX = 64 };

struct place {
    struct hold *holds[CLIENTS_MAX]; /* that are on */
    size_t hold_count;
    struct hold past[PAST_MAX]; /* the newest that are over */
    size_t past_count;
    struct hold owner; /* told under the newest epoch; life 0: nobody yet */
    bool owner_has_read;
    int64_t acked;                    /* the newest that was acknowledged, -1: none */
    struct commit doubts[DOUBTS_MAX]; /* any of them may be what is stored */
    size_t doubt_count;
};

struct crew {
    struct town *town;
    int32_t newest;
    uint32_t lives;
    uint32_t told_to[EPOCHS_KNOWN]; /* life by epoch; 0: nobody yet */
    struct place places[TOPICS_MAX][PARTITIONS_MAX];
};

static struct place *place_of(struct crew *c, int topic, int32_t partition)
{
    return oracle_may_go(c->town->oracle, topic) ? NULL : &c->places[topic][partition];
}

uint32_t crew_new_life(struct crew *c)
{
    return ++c->lives;
}

/* ---- epochs --------------------------------------------------------------------------
 */

int32_t crew_epoch(const struct crew *c)
{
    return c->newest;
}

void crew_heard(struct crew *c, uint32_t life, int32_t epoch, int32_t joined_at)
{
    struct oracle *o = c->town->oracle;

    if (epoch <= joined_at)
        oracle_violation(o, "S20",
                         "a member joined under epoch %d, but %d was told before it "
                         "asked",
                         (int)epoch, (int)joined_at);
    if (epoch > c->newest)
        c->newest = epoch;
    if (epoch < 0 || epoch >= EPOCHS_KNOWN)
        return;
    if (c->told_to[epoch] != 0 && c->told_to[epoch] != life)
        oracle_violation(o, "S20", "epoch %d was told to two lives of members, %u and %u",
                         (int)epoch, c->told_to[epoch], life);
    c->told_to[epoch] = life;
}

/* ---- owners --------------------------------------------------------------------------
 */

static void judge_pair(struct crew *c, int topic, int32_t partition, const struct hold *a,
                       const struct hold *b)
{
    if (a->life == b->life || a->first > b->last || b->first > a->last)
        return;
    oracle_violation(c->town->oracle, "S20",
                     "t%d/%d belongs to the members' lives %u from epoch %d to %d and %u "
                     "from %d to %d",
                     topic, (int)partition, a->life, (int)a->first, (int)a->last, b->life,
                     (int)b->first, (int)b->last);
}

static void judge_owners(struct crew *c, int topic, int32_t partition,
                         const struct place *p, const struct hold *h)
{
    size_t past = p->past_count < PAST_MAX ? p->past_count : PAST_MAX;

    for (size_t i = 0; i < p->hold_count; i++)
        judge_pair(c, topic, partition, h, p->holds[i]);
    for (size_t i = 0; i < past; i++)
        judge_pair(c, topic, partition, h, &p->past[i]);
}

static bool same_hold(const struct hold *a, uint32_t life, int32_t first)
{
    return a->life == life && a->first == first;
}

static void take(struct place *p, struct hold *h)
{
    for (size_t i = 0; i < p->hold_count; i++)
        if (p->holds[i]->first < h->first)
            p->holds[i]->contested = true;
    p->holds[p->hold_count++] = h;
    h->contested = h->first < p->owner.first;
    if (!h->contested) {
        p->owner = *h;
        p->owner_has_read = false;
    }
}

void crew_told(struct crew *c, int topic, int32_t partition, struct hold *h,
               uint32_t life, int32_t epoch)
{
    struct place *p = place_of(c, topic, partition);
    bool is_new = !h->on;

    if (is_new)
        *h = (struct hold){.on = true, .life = life, .first = epoch};
    h->last = epoch;
    if (is_new)
        take(&c->places[topic][partition], h);
    if (p != NULL)
        judge_owners(c, topic, partition, p, h);
}

void crew_let_go(struct crew *c, int topic, int32_t partition, struct hold *h)
{
    struct place *p = &c->places[topic][partition];

    h->on = false;
    p->past[p->past_count++ % PAST_MAX] = *h;
    for (size_t i = 0; i < p->hold_count; i++)
        if (p->holds[i] == h)
            p->holds[i] = p->holds[--p->hold_count];
}

void crew_contested(struct crew *c, int topic, int32_t partition, const struct hold *h)
{
    const struct place *p = place_of(c, topic, partition);

    if (p != NULL)
        oracle_violation(c->town->oracle, "S20",
                         "the member's life %u, told of t%d/%d under epoch %d to %d, has "
                         "not let go of it, and is a member still after life %u was told "
                         "of it under epoch %d",
                         h->life, topic, (int)partition, (int)h->first, (int)h->last,
                         p->owner.life, (int)p->owner.first);
}

/* ---- commits -------------------------------------------------------------------------
 */

static void doubt_remove(struct place *p, size_t i)
{
    p->doubts[i] = p->doubts[--p->doubt_count];
}

static bool is_in_doubt(const struct place *p, int64_t offset)
{
    for (size_t i = 0; i < p->doubt_count; i++)
        if (p->doubts[i].offset == offset)
            return true;
    return false;
}

static void doubt_add(struct place *p, const struct commit *m)
{
    if (p->doubt_count == DOUBTS_MAX)
        doubt_remove(p, 0);
    p->doubts[p->doubt_count++] = *m;
}

static void settle(struct place *p, const struct commit *m)
{
    for (size_t i = 0; i < p->doubt_count; i++)
        if (p->doubts[i].life == m->life && p->doubts[i].first == m->first &&
            p->doubts[i].offset == m->offset) {
            doubt_remove(p, i);
            return;
        }
}

static bool is_refused(enum status st)
{
    return st == STATUS_UNKNOWN_MEMBER || st == STATUS_FENCED_MEMBER_EPOCH ||
           st == STATUS_NON_EMPTY_GROUP || st == STATUS_OFFSET_OUT_OF_RANGE ||
           st == STATUS_UNKNOWN_TOPIC_OR_PARTITION;
}

void crew_commit(struct crew *c, int topic, int32_t partition, const struct hold *h,
                 int64_t offset, struct commit *out)
{
    struct place *p = &c->places[topic][partition];

    *out = (struct commit){h->life, h->first, offset, h->contested};
    doubt_add(p, out);
}

void crew_committed(struct crew *c, int topic, int32_t partition, const struct commit *m,
                    enum status st)
{
    struct place *p = &c->places[topic][partition];

    if (!st && m->late && place_of(c, topic, partition) != NULL)
        oracle_violation(c->town->oracle, "S21",
                         "t%d/%d: a commit of %" PRId64 " by the member's life %u is "
                         "accepted, sent after life %u was told of it under epoch %d",
                         topic, (int)partition, m->offset, m->life, p->owner.life,
                         (int)p->owner.first);
    if (!st || is_refused(st))
        settle(p, m);
    if (!st && (!p->owner_has_read || same_hold(&p->owner, m->life, m->first)))
        p->acked = m->offset;
}

void crew_read(struct crew *c, int topic, int32_t partition, const struct hold *h,
               int64_t offset)
{
    struct place *p = place_of(c, topic, partition);

    if (p == NULL || !h->on || !same_hold(&p->owner, h->life, h->first))
        return;
    if (offset != p->acked && !is_in_doubt(p, offset))
        oracle_violation(c->town->oracle, "S10",
                         "t%d/%d: offset %" PRId64 " is committed, says the group to the "
                         "member's life %u, but %" PRId64 " was acknowledged last",
                         topic, (int)partition, offset, h->life, p->acked);
    p->acked = offset;
    p->owner_has_read = true;
    for (size_t i = 0; i < p->doubt_count;)
        if (same_hold(h, p->doubts[i].life, p->doubts[i].first))
            i++;
        else
            doubt_remove(p, i);
}

struct crew *crew_new(struct town *town)
{
    struct crew *c = must_zalloc(sizeof *c);

    c->town = town;
    for (int t = 0; t < TOPICS_MAX; t++)
        for (int32_t i = 0; i < PARTITIONS_MAX; i++)
            c->places[t][i].acked = -1;
    return c;
}
