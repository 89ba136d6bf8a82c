/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/share.h"

#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

int topic_partition_compare(const struct topic_partition *a,
                            const struct topic_partition *b)
{
    int order = memcmp(a->topic.id, b->topic.id, UUID_BYTES);

    if (order != 0)
        return order;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare_items(const void *a, const void *b)
{
    return topic_partition_compare(a, b);
}

static struct share with_room(size_t count)
{
    struct share s = {0};

    if (count > 0)
        s.items = must_alloc(count * sizeof *s.items);
    return s;
}

struct share share_of(const struct topic_partition *items, size_t count)
{
    struct share s = with_room(count);

    if (count == 0)
        return s;
    memcpy(s.items, items, count * sizeof *items);
    qsort(s.items, count, sizeof *items, compare_items);
    for (size_t i = 0; i < count; i++)
        if (s.count == 0 ||
            topic_partition_compare(&s.items[s.count - 1], &s.items[i]) != 0)
            s.items[s.count++] = s.items[i];
    return s;
}

struct share share_copy(const struct share *s)
{
    struct share copy = with_room(s->count);

    if (s->count > 0)
        memcpy(copy.items, s->items, s->count * sizeof *s->items);
    copy.count = s->count;
    return copy;
}

void share_release(struct share *s)
{
    free(s->items);
    *s = (struct share){0};
}

void share_replace(struct share *s, struct share with)
{
    share_release(s);
    *s = with;
}

bool share_has(const struct share *s, const struct topic_partition *p)
{
    return s->count > 0 &&
           bsearch(p, s->items, s->count, sizeof *p, compare_items) != NULL;
}

bool share_equal(const struct share *a, const struct share *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (topic_partition_compare(&a->items[i], &b->items[i]) != 0)
            return false;
    return true;
}

enum side { ONLY_A = 1, ONLY_B = 2, BOTH = 4 };

/* Walk both in order and keep what lies on the wanted sides. */
static struct share merge(const struct share *a, const struct share *b, unsigned wanted)
{
    struct share out = with_room(a->count + b->count);
    size_t i = 0, j = 0;

    while (i < a->count || j < b->count) {
        int order = i == a->count   ? 1
                    : j == b->count ? -1
                                    : topic_partition_compare(&a->items[i], &b->items[j]);
        unsigned side = order < 0 ? ONLY_A : order > 0 ? ONLY_B : BOTH;

        if (side & wanted)
            out.items[out.count++] = side == ONLY_B ? b->items[j] : a->items[i];
        i += order <= 0;
        j += order >= 0;
    }
    if (out.count == 0)
        share_release(&out);
    return out;
}

bool share_disjoint(const struct share *a, const struct share *b)
{
    struct share both = share_both(a, b);
    bool disjoint = both.count == 0;

    share_release(&both);
    return disjoint;
}

struct share share_both(const struct share *a, const struct share *b)
{
    return merge(a, b, BOTH);
}

struct share share_either(const struct share *a, const struct share *b)
{
    return merge(a, b, ONLY_A | ONLY_B | BOTH);
}

struct share share_without(const struct share *a, const struct share *b)
{
    return merge(a, b, ONLY_A);
}

bool share_drop_topic(struct share *s, struct uuid topic)
{
    size_t kept = 0, before = s->count;

    for (size_t i = 0; i < s->count; i++)
        if (!uuid_equal(s->items[i].topic, topic))
            s->items[kept++] = s->items[i];
    s->count = kept;
    return kept < before;
}
