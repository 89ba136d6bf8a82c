/* SPDX-License-Identifier: Apache-2.0 */
#include "client/assignment.h"

#include <stdlib.h>
#include <string.h>

static int partition_compare(const leat_partition *item, const char *topic,
                             int32_t partition)
{
    const int names = strcmp(item->topic, topic);

    if (names)
        return names;
    return (item->partition > partition) - (item->partition < partition);
}

/* The first item that is not before the partition. */
static size_t lower_bound(const struct assignment *a, const char *topic,
                          int32_t partition)
{
    size_t low = 0, high = a->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (partition_compare(&a->items[middle], topic, partition) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct assignment *a, size_t at, const char *topic,
                  int32_t partition)
{
    return at < a->count && partition_compare(&a->items[at], topic, partition) == 0;
}

void assignment_init(struct assignment *a)
{
    *a = (struct assignment){0};
    arena_init(&a->names, 0);
}

void assignment_release(struct assignment *a)
{
    free(a->items);
    arena_release(&a->names);
    assignment_init(a);
}

/* Partitions of a topic lie side by side, so a neighbour may have the name already. */
static const char *name_at(struct assignment *a, size_t at, const char *topic)
{
    if (at < a->count && strcmp(a->items[at].topic, topic) == 0)
        return a->items[at].topic;
    if (at > 0 && strcmp(a->items[at - 1].topic, topic) == 0)
        return a->items[at - 1].topic;
    return arena_text(&a->names, topic, strlen(topic));
}

enum status assignment_add(struct assignment *a, const char *topic, int32_t partition)
{
    const size_t at = lower_bound(a, topic, partition);
    const char *name;

    if (is_at(a, at, topic, partition))
        return STATUS_OK;
    if (a->count == a->capacity) {
        const size_t capacity = a->capacity ? 2 * a->capacity : 8;
        leat_partition *grown = realloc(a->items, capacity * sizeof *grown);

        if (!grown)
            return STATUS_NO_MEMORY;
        a->items = grown;
        a->capacity = capacity;
    }
    name = name_at(a, at, topic);
    if (!name)
        return STATUS_NO_MEMORY;
    memmove(a->items + at + 1, a->items + at, (a->count - at) * sizeof *a->items);
    a->items[at] = (leat_partition){.topic = name, .partition = partition};
    a->count++;
    return STATUS_OK;
}

bool assignment_contains(const struct assignment *a, const char *topic, int32_t partition)
{
    return is_at(a, lower_bound(a, topic, partition), topic, partition);
}

bool assignment_equal(const struct assignment *a, const struct assignment *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!is_at(a, i, b->items[i].topic, b->items[i].partition))
            return false;
    return true;
}

void assignment_change_release(struct assignment_change *change)
{
    assignment_release(&change->added);
    assignment_release(&change->removed);
    assignment_release(&change->kept);
}

/* Sort the items of `from` into two sets, by whether `other` has them; either may be
 * NULL. */
static enum status part(const struct assignment *from, const struct assignment *other,
                        struct assignment *with, struct assignment *without)
{
    for (size_t i = 0; i < from->count; i++) {
        const leat_partition *item = &from->items[i];
        struct assignment *to =
            assignment_contains(other, item->topic, item->partition) ? with : without;
        enum status st;

        st = to ? assignment_add(to, item->topic, item->partition) : STATUS_OK;
        if (st)
            return st;
    }
    return STATUS_OK;
}

enum status assignment_diff(const struct assignment *before,
                            const struct assignment *after, struct assignment_change *out)
{
    struct assignment_change change;
    enum status st;

    assignment_init(&change.added);
    assignment_init(&change.removed);
    assignment_init(&change.kept);
    st = part(before, after, &change.kept, &change.removed);
    if (!st)
        st = part(after, before, NULL, &change.added);
    if (st) {
        assignment_change_release(&change);
        return st;
    }
    *out = change;
    return STATUS_OK;
}
