/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/cluster/log_faults.h"

#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

void log_faults_release(struct log_faults *f)
{
    free(f->list);
    *f = (struct log_faults){0};
}

static int compare(const struct log_fault *f, const struct uuid *topic_id,
                   int32_t partition)
{
    int by_topic = memcmp(f->topic_id.id, topic_id->id, sizeof topic_id->id);

    return by_topic ? by_topic : (f->partition > partition) - (f->partition < partition);
}

/* The first that is not before it. */
static size_t place(const struct log_faults *f, const struct uuid *topic_id,
                    int32_t partition)
{
    size_t from = 0, to = f->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (compare(&f->list[middle], topic_id, partition) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

const struct log_fault *log_faults_find(const struct log_faults *f, struct uuid topic_id,
                                        int32_t partition)
{
    size_t at = place(f, &topic_id, partition);

    return at < f->count && compare(&f->list[at], &topic_id, partition) == 0
               ? &f->list[at]
               : NULL;
}

void log_faults_add(struct log_faults *f, struct log_fault fault)
{
    size_t at = place(f, &fault.topic_id, fault.partition);

    if (log_faults_find(f, fault.topic_id, fault.partition) != NULL)
        return;
    f->list = must_realloc(f->list, (f->count + 1) * sizeof *f->list);
    memmove(&f->list[at + 1], &f->list[at], (f->count - at) * sizeof *f->list);
    f->list[at] = fault;
    f->count++;
}

bool log_faults_equal(const struct log_faults *a, const struct log_faults *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (compare(&a->list[i], &b->list[i].topic_id, b->list[i].partition) != 0 ||
            a->list[i].damaged != b->list[i].damaged)
            return false;
    return true;
}
