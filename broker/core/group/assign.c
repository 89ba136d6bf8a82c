/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/assign.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { NOBODY = -1 };

/* A topic by its id. */
struct named {
    struct uuid id; /* first, for the comparison */
    uint32_t topic;
};

/* The question turned by topic, and the answer while it is being found. */
struct plan {
    const struct assign_topic *topics;
    size_t topic_count;
    struct assign_member *members;
    size_t member_count;
    size_t *first;       /* per topic: place of its partition 0 in `owner` */
    size_t *first_sub;   /* per topic: place of its first subscriber in `subs` */
    uint32_t *subs;      /* members, ascending, topic after topic */
    int32_t *owner;      /* per partition: a member or NOBODY */
    size_t *load;        /* per member: partitions that it owns */
    struct named *by_id; /* topics in the order of their ids */
};

struct assignor {
    const char *name;
    void (*fill)(struct plan *p);
};

static void own(struct plan *p, size_t at, uint32_t member)
{
    if (p->owner[at] != NOBODY)
        p->load[p->owner[at]]--;
    p->owner[at] = (int32_t)member;
    p->load[member]++;
}

static size_t sub_count(const struct plan *p, size_t topic)
{
    return p->first_sub[topic + 1] - p->first_sub[topic];
}

/* ---- range ------------------------------------------------------------------------ */

static void range_fill(struct plan *p)
{
    for (size_t t = 0; t < p->topic_count; t++) {
        size_t subs = sub_count(p, t);
        size_t partitions = (size_t)p->topics[t].partitions;
        size_t at = p->first[t];

        for (size_t i = 0; i < subs; i++) {
            size_t run = partitions / subs + (i < partitions % subs);

            while (run-- > 0)
                own(p, at++, p->subs[p->first_sub[t] + i]);
        }
    }
}

/* ---- sticky ----------------------------------------------------------------------- */

static int compare_named(const void *a, const void *b)
{
    return memcmp(a, b, UUID_BYTES);
}

/* The topic's place, or topic_count if it is not in the plan. */
static size_t topic_place(const struct plan *p, struct uuid id)
{
    const struct named *found =
        bsearch(&id, p->by_id, p->topic_count, sizeof *p->by_id, compare_named);

    return found != NULL ? found->topic : p->topic_count;
}

static bool subscribes(const struct assign_member *m, size_t topic)
{
    size_t low = 0, high = m->topic_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (m->topics[mid] == topic)
            return true;
        if (m->topics[mid] < topic)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static void keep_previous(struct plan *p)
{
    for (uint32_t m = 0; m < p->member_count; m++) {
        const struct share *previous = p->members[m].previous;

        for (size_t i = 0; i < previous->count; i++) {
            size_t t = topic_place(p, previous->items[i].topic);
            int32_t partition = previous->items[i].partition;

            if (t == p->topic_count || partition >= p->topics[t].partitions ||
                !subscribes(&p->members[m], t))
                continue;
            if (p->owner[p->first[t] + (size_t)partition] == NOBODY)
                own(p, p->first[t] + (size_t)partition, m);
        }
    }
}

static uint32_t least_loaded(const struct plan *p, size_t topic)
{
    const uint32_t *subs = p->subs + p->first_sub[topic];
    uint32_t least = subs[0];

    for (size_t i = 1; i < sub_count(p, topic); i++)
        if (p->load[subs[i]] < p->load[least])
            least = subs[i];
    return least;
}

/* The partition of that topic whose owner carries most; the last such one, so that low
 * numbers stay where they are. */
static size_t heaviest(const struct plan *p, size_t topic)
{
    size_t found = p->first[topic];

    for (size_t at = found; at < p->first[topic + 1]; at++)
        if (p->load[p->owner[at]] >= p->load[p->owner[found]])
            found = at;
    return found;
}

/* One move takes from a member that has at least two more than the one that gets it, so
 * the sum of the squared loads falls with each and this comes to an end. */
static bool even_out(struct plan *p, size_t topic)
{
    bool moved = false;

    for (;;) {
        size_t at = heaviest(p, topic);
        uint32_t to = least_loaded(p, topic);

        if (p->load[p->owner[at]] <= p->load[to] + 1)
            return moved;
        own(p, at, to);
        moved = true;
    }
}

/* What nobody can keep whatever else moves: everything above the mean, in one walk. The
 * exact search of even_out is left with a few. */
static void skim(struct plan *p, size_t topic)
{
    size_t sum = 0, mean;

    for (size_t i = p->first_sub[topic]; i < p->first_sub[topic + 1]; i++)
        sum += p->load[p->subs[i]];
    mean = (sum + sub_count(p, topic) - 1) / sub_count(p, topic);
    for (size_t at = p->first[topic + 1]; at > p->first[topic]; at--) {
        uint32_t to;

        if (p->load[p->owner[at - 1]] <= mean)
            continue;
        to = least_loaded(p, topic);
        if (p->load[p->owner[at - 1]] > p->load[to] + 1)
            own(p, at - 1, to);
    }
}

static bool is_wanted(const struct plan *p, size_t topic)
{
    return sub_count(p, topic) > 0 && p->topics[topic].partitions > 0;
}

static void sticky_fill(struct plan *p)
{
    bool moved = true;

    keep_previous(p);
    for (size_t t = 0; t < p->topic_count; t++)
        for (size_t at = p->first[t]; is_wanted(p, t) && at < p->first[t + 1]; at++)
            if (p->owner[at] == NOBODY)
                own(p, at, least_loaded(p, t));
    for (size_t t = 0; t < p->topic_count; t++)
        if (is_wanted(p, t))
            skim(p, t);
    while (moved) {
        moved = false;
        for (size_t t = 0; t < p->topic_count; t++)
            if (is_wanted(p, t))
                moved |= even_out(p, t);
    }
}

/* ---- the frame around both -------------------------------------------------------- */

static void index_topics(struct plan *p)
{
    p->first = must_zalloc((p->topic_count + 1) * sizeof *p->first);
    p->by_id = must_alloc((p->topic_count + 1) * sizeof *p->by_id);
    for (size_t t = 0; t < p->topic_count; t++) {
        CHECK(p->topics[t].partitions >= 0);
        p->first[t + 1] = p->first[t] + (size_t)p->topics[t].partitions;
        p->by_id[t] = (struct named){p->topics[t].id, (uint32_t)t};
    }
    qsort(p->by_id, p->topic_count, sizeof *p->by_id, compare_named);
}

/* Count, add up, place: subscribers grouped by topic without sorting. */
static void index_subscribers(struct plan *p)
{
    size_t *next = must_zalloc((p->topic_count + 1) * sizeof *next);

    p->first_sub = must_zalloc((p->topic_count + 1) * sizeof *p->first_sub);
    for (size_t m = 0; m < p->member_count; m++)
        for (size_t i = 0; i < p->members[m].topic_count; i++)
            p->first_sub[p->members[m].topics[i] + 1]++;
    for (size_t t = 0; t < p->topic_count; t++)
        p->first_sub[t + 1] += p->first_sub[t];
    memcpy(next, p->first_sub, (p->topic_count + 1) * sizeof *next);
    p->subs = must_alloc((p->first_sub[p->topic_count] + 1) * sizeof *p->subs);
    for (uint32_t m = 0; m < p->member_count; m++)
        for (size_t i = 0; i < p->members[m].topic_count; i++)
            p->subs[next[p->members[m].topics[i]]++] = m;
    free(next);
}

static void hand_out(struct plan *p)
{
    for (size_t m = 0; m < p->member_count; m++) {
        p->members[m].target = (struct share){0};
        if (p->load[m] > 0)
            p->members[m].target.items =
                must_alloc(p->load[m] * sizeof(struct topic_partition));
    }
    for (size_t i = 0; i < p->topic_count; i++) {
        size_t t = p->by_id[i].topic;

        for (size_t at = p->first[t]; at < p->first[t + 1]; at++) {
            struct share *target;

            if (p->owner[at] == NOBODY)
                continue;
            target = &p->members[p->owner[at]].target;
            target->items[target->count++] =
                (struct topic_partition){p->topics[t].id, (int32_t)(at - p->first[t])};
        }
    }
}

void assign(const struct assignor *a, const struct assign_topic *topics,
            size_t topic_count, struct assign_member *members, size_t member_count)
{
    struct plan p = {.topics = topics,
                     .topic_count = topic_count,
                     .members = members,
                     .member_count = member_count};

    index_topics(&p);
    index_subscribers(&p);
    p.owner = must_alloc((p.first[topic_count] + 1) * sizeof *p.owner);
    p.load = must_zalloc((member_count + 1) * sizeof *p.load);
    for (size_t at = 0; at < p.first[topic_count]; at++)
        p.owner[at] = NOBODY;
    if (member_count > 0)
        a->fill(&p);
    hand_out(&p);
    free(p.load);
    free(p.owner);
    free(p.subs);
    free(p.first_sub);
    free(p.by_id);
    free(p.first);
}

static const struct assignor assignors[] = {
    {"sticky", sticky_fill},
    {"range", range_fill},
};

const struct assignor *assignor_at(size_t index)
{
    return index < sizeof assignors / sizeof assignors[0] ? &assignors[index] : NULL;
}

const struct assignor *assignor_find(const char *name)
{
    const struct assignor *a;

    if (name[0] == '\0')
        return &assignors[0];
    for (size_t i = 0; (a = assignor_at(i)) != NULL; i++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

const char *assignor_name(const struct assignor *a)
{
    return a->name;
}
