/* SPDX-License-Identifier: Apache-2.0
 *
 * Words that several of the coordinator's requests use: sessions, and shares as the wire
 * writes them. */
#include "broker/core/group/operation.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

void member_heard(struct coordinator *c, struct member *m)
{
    m->heard_ms = c->now.mono_ms;
    CHECK(heap_set(&c->groups.sessions, &m->session, m->heard_ms + m->session_ms));
}

void member_watch_release(struct coordinator *c, struct member *m, bool from_now)
{
    if (m->revoking.count == 0)
        heap_remove(&c->groups.releases, &m->release);
    else if (from_now || !heap_contains(&m->release))
        CHECK(
            heap_set(&c->groups.releases, &m->release, c->now.mono_ms + m->rebalance_ms));
}

/* Who has something to give up or to get reports ten times as often, so that a rebalance
 * does not take as many rounds of idle heartbeats. */
int32_t coordinator_heartbeat_ms(const struct coordinator *c, const struct member *m)
{
    int64_t idle_ms = config_number(c->o.config, CONFIG_GROUP_HEARTBEAT);
    int64_t third_ms = m->session_ms / 3;

    if (idle_ms > third_ms)
        idle_ms = third_ms;
    if (!m->group->stale && member_is_settled(m))
        return (int32_t)idle_ms;
    return (int32_t)(idle_ms / 10 > 0 ? idle_ms / 10 : 1);
}

bool coordinator_has_room(const struct coordinator *c)
{
    int64_t max = config_number(c->o.config, CONFIG_GROUPS_MAX);

    return (int64_t)c->groups.by_name.count < max;
}

struct share share_of_wire(const struct coordinator *c, Leat__TopicPartitions **list,
                           size_t n)
{
    struct topic_partition *items;
    size_t room = 0, count = 0;
    struct share s;

    for (size_t i = 0; i < n; i++)
        room += list[i]->n_partitions;
    items = must_alloc((room + 1) * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        const struct topic *t = image_topic(c->o.image, bytes_of(list[i]->topic));

        for (size_t j = 0; t != NULL && j < list[i]->n_partitions; j++)
            items[count++] = (struct topic_partition){t->id, list[i]->partitions[j]};
    }
    s = share_of(items, count);
    free(items);
    return s;
}

static bool topic_to_wire(const struct topic *t, struct request *r,
                          const struct topic_partition *items, size_t count,
                          Leat__TopicPartitions **out)
{
    Leat__TopicPartitions *p = request_alloc(r, sizeof *p);
    int32_t *partitions = request_alloc(r, count * sizeof *partitions);

    if (p == NULL || partitions == NULL)
        return false;
    leat__topic_partitions__init(p);
    p->topic = t->name;
    p->partitions = partitions;
    p->n_partitions = count;
    for (size_t i = 0; i < count; i++)
        partitions[i] = items[i].partition;
    *out = p;
    return true;
}

bool share_to_wire(const struct coordinator *c, struct request *r, const struct share *s,
                   Leat__TopicPartitions ***list, size_t *n)
{
    *n = 0;
    *list = request_alloc(r, (s->count + 1) * sizeof(Leat__TopicPartitions *));
    if (*list == NULL)
        return false;
    for (size_t i = 0, end; i < s->count; i = end) {
        const struct topic *t = image_topic_by_id(c->o.image, s->items[i].topic);

        for (end = i; end < s->count; end++)
            if (!uuid_equal(s->items[end].topic, s->items[i].topic))
                break;
        if (t == NULL)
            continue;
        if (!topic_to_wire(t, r, &s->items[i], end - i, &(*list)[(*n)++]))
            return false;
    }
    return true;
}

static int by_partition(const void *a, const void *b)
{
    const struct committed *const *x = a, *const *y = b;

    return topic_partition_compare(&(*x)->at, &(*y)->at);
}

const struct committed **committed_sorted(struct request *r, const struct group *g)
{
    const struct committed **list =
        request_alloc(r, (g->offsets.count + 1) * sizeof(struct committed *));
    const struct committed *o;
    size_t n = 0;

    if (list == NULL)
        return NULL;
    for (size_t i = 0; (o = map_next(&g->offsets, &i)) != NULL;)
        list[n++] = o;
    if (n > 0)
        qsort(list, n, sizeof(struct committed *), by_partition);
    return list;
}
