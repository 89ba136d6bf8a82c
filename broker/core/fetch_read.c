/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fetch.h"

#include "proto/base/check.h"

#include <string.h>

static void count_result(struct fetch_group *g, struct fetch_part *part)
{
    g->found += part->read.bytes;
    if (part->read.status == STATUS_NOT_FOUND) /* removed while it was read */
        part->status = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    else if (part->read.status)
        part->status = part->read.status;
    g->failed |= part->status != STATUS_OK;
}

static void on_cold(struct log_read *read)
{
    struct fetch_part *part = container_of(read, struct fetch_part, read);
    struct fetch_group *g = part->group;

    count_result(g, part);
    CHECK(g->reading > 0);
    if (--g->reading == 0)
        g->done(g);
}

/* The offset must lie in the log; between watermark and end it only has to wait. */
static enum status look(struct fetch_part *part, const struct partition *p)
{
    if (p == NULL)
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    if (partition_ready(p))
        return partition_ready(p);
    part->high_watermark = p->high_watermark;
    part->log_start = log_start(p->log);
    return part->offset < part->log_start || part->offset > log_end(p->log)
               ? STATUS_OFFSET_OUT_OF_RANGE
               : STATUS_OK;
}

/* A cold read takes its share of the budget before it is known whether it needs it. */
static void read_part(struct fetch_group *g, struct fetch_part *part, size_t *left,
                      bool *first)
{
    const struct partition *p = node_partition(g->node, part->topic_id, part->partition);
    size_t limit = part->bytes_max < *left ? part->bytes_max : *left;

    memset(&part->read, 0, sizeof part->read);
    part->status = look(part, p);
    g->failed |= part->status != STATUS_OK;
    if (part->status || part->offset >= part->high_watermark || (limit == 0 && !*first))
        return;
    part->read = (struct log_read){.from = part->offset,
                                   .upto = part->high_watermark,
                                   .max_bytes = limit,
                                   .first_whole = *first,
                                   .done = on_cold};
    if (log_read_hot(p->log, &part->read)) {
        count_result(g, part);
        limit = part->read.bytes;
    } else {
        g->reading++;
        log_read_cold(p->log, &part->read);
    }
    *first = false;
    *left -= limit < *left ? limit : *left;
}

bool fetch_read(struct node *n, struct fetch_group *g)
{
    size_t left = g->budget;
    bool first = true;

    g->node = n;
    g->found = 0;
    g->failed = false;
    g->reading = 0;
    for (size_t i = 0; i < g->count; i++)
        read_part(g, g->parts[(g->first + i) % g->count], &left, &first);
    return g->reading == 0;
}

void fetch_read_release(struct fetch_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        log_read_release(&g->parts[i]->read);
        memset(&g->parts[i]->read, 0, sizeof g->parts[i]->read);
    }
}
