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
