/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/cluster/placement.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What speaks against a broker, the weightiest first. */
struct candidate {
    const struct image_broker *broker;
    int64_t replicas, leaders; /* that it has, or was given just now */
};

static void add_load(struct candidate *list, size_t count, int32_t node_id,
                     bool is_leader)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].broker->node_id != node_id)
            continue;
        list[i].replicas++;
        list[i].leaders += is_leader;
    }
}

static struct candidate *candidates(const struct image *image)
{
    struct candidate *list = must_zalloc(image->broker_count * sizeof *list + 1);
    const struct topic *topic;

    for (size_t i = 0; i < image->broker_count; i++)
        list[i].broker = &image->brokers[i];
    for (size_t i = 0; (topic = map_next(&image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++)
            for (size_t r = 0; r < topic->partitions[n].replica_count; r++)
                add_load(list, image->broker_count, topic->partitions[n].replicas[r],
                         r == 0);
    return list;
}

/* How often the broker's rack is among those chosen already. */
static size_t rack_mates(const struct image *image, const struct image_broker *b,
                         const int32_t *chosen, size_t count)
{
    size_t mates = 0;

    for (size_t i = 0; i < count && b->rack[0] != '\0'; i++) {
        const struct image_broker *other = image_broker(image, chosen[i]);

        mates += other != NULL && !strcmp(other->rack, b->rack);
    }
    return mates;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Below 0: `a` is the better home. */
static int prefer(const struct image *image, const struct candidate *a,
                  const struct candidate *b, const int32_t *chosen, size_t count)
{
    int by =
        compare(a->broker->state != BROKER_ACTIVE, b->broker->state != BROKER_ACTIVE);

    if (by == 0)
        by = compare(a->broker->draining, b->broker->draining);
    if (by == 0)
        by = compare((int64_t)rack_mates(image, a->broker, chosen, count),
                     (int64_t)rack_mates(image, b->broker, chosen, count));
    if (by == 0 && count == 0)
        by = compare(a->leaders, b->leaders);
    if (by == 0)
        by = compare(a->replicas, b->replicas);
    return by ? by : compare(a->broker->node_id, b->broker->node_id);
}

static struct candidate *best(const struct image *image, struct candidate *list,
                              const int32_t *chosen, size_t count)
{
    struct candidate *found = NULL;

    for (size_t i = 0; i < image->broker_count; i++) {
        struct candidate *c = &list[i];

        if (!image_has(chosen, count, c->broker->node_id) &&
            (found == NULL || prefer(image, c, found, chosen, count) < 0))
            found = c;
    }
    return found;
}

enum status placement_choose(const struct image *image, int32_t count,
                             int32_t replication, int32_t *replicas)
{
    struct candidate *list;

    if (replication < 1 || (size_t)replication > image->broker_count)
        return STATUS_INVALID_REPLICATION_FACTOR;
    list = candidates(image);
    for (int32_t n = 0; n < count; n++) {
        int32_t *chosen = replicas + (size_t)n * (size_t)replication;

        for (int32_t r = 0; r < replication; r++) {
            struct candidate *c = best(image, list, chosen, (size_t)r);

            chosen[r] = c->broker->node_id;
            c->replicas++;
            c->leaders += r == 0;
        }
    }
    free(list);
    return STATUS_OK;
}

static bool is_free(const struct image_broker *b, const int32_t *replicas, size_t count)
{
    return b->state == BROKER_ACTIVE && !b->draining &&
           !image_has(replicas, count, b->node_id);
}

bool placement_has_home(const struct image *image, const int32_t *replicas, size_t count)
{
    for (size_t i = 0; i < image->broker_count; i++)
        if (is_free(&image->brokers[i], replicas, count))
            return true;
    return false;
}

int32_t placement_replace(const struct image *image, const int32_t *replicas,
                          size_t count, int32_t leaving)
{
    struct candidate *list = candidates(image);
    const struct candidate *found = NULL;
    int32_t staying[32], id = -1;
    size_t kept = 0;

    CHECK(count <= 32);
    for (size_t i = 0; i < count; i++)
        if (replicas[i] != leaving)
            staying[kept++] = replicas[i];
    for (size_t i = 0; i < image->broker_count; i++) {
        const struct candidate *c = &list[i];

        if (is_free(c->broker, replicas, count) &&
            (found == NULL || prefer(image, c, found, staying, kept) < 0))
            found = c;
    }
    if (found != NULL)
        id = found->broker->node_id;
    free(list);
    return id;
}
