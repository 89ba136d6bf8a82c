/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fetch.h"

#include "proto/base/check.h"

#include <string.h>

static void count_result(struct fetch_group *g, struct fetch_part *part)
{
    g->found += part->read.bytes;
    if (part->read.status == STATUS_NOT_FOUND) /* removed while it was read */
        part->status = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    else if (part->read.status < STATUS_UNKNOWN) /* the disk's own words stay inside */
        part->status = STATUS_STORAGE_FAILED;
    else if (part->read.status)
        part->status = part->read.status;
    g->failed |= part->status != STATUS_OK;
}

static void on_cold(struct log_read *read)
{
    struct fetch_part *part = container_of(read, struct fetch_part, read);
    struct fetch_group *g = part->group;

    g->node->cold_bytes -= part->cold_bytes;
    count_result(g, part);
    CHECK(g->reading > 0);
    if (--g->reading == 0)
        g->done(g);
}

/* Memory for cold reads is bounded for all fetches of the shard together. */
static void read_cold(struct fetch_group *g, struct fetch_part *part, struct log *log)
{
    struct node *n = g->node;
    size_t most = (size_t)config_number(n->o.config, CONFIG_MEMORY_REQUESTS);

    if (n->cold_bytes > 0 && n->cold_bytes + part->read.max_bytes > most) {
        part->status = STATUS_THROTTLED;
        g->failed = true;
        return;
    }
    part->cold_bytes = part->read.max_bytes;
    n->cold_bytes += part->cold_bytes;
    g->reading++;
    log_read_cold(log, &part->read);
}

static bool is_behind(const struct fetch_part *part)
{
    return !part->status && !part->diverges && part->preferred_replica == 0 &&
           part->offset < part->upto;
}

/* First a look at all: how many have something for us? */
static size_t look_at_all(struct fetch_group *g)
{
    size_t behind = 0;

    for (size_t i = 0; i < g->count; i++) {
        struct fetch_part *part = g->parts[i];

        memset(&part->read, 0, sizeof part->read);
        fetch_look(g->node, g, part);
        g->failed |= part->status || part->diverges || part->preferred_replica != 0;
        behind += is_behind(part);
    }
    return behind;
}

/* What a hot read leaves goes to the next. A cold one cannot tell yet how much it needs,
 * so it gets an equal share. `behind` counts this part and those after it. */
static void read_part(struct fetch_group *g, struct fetch_part *part, size_t behind,
                      size_t *left, bool first)
{
    struct partition *p = node_partition(g->node, part->topic_id, part->partition);
    size_t limit = part->bytes_max < *left ? part->bytes_max : *left;
    size_t share = *left / behind;

    if (limit == 0 && !first)
        return;
    part->read = (struct log_read){.from = part->offset,
                                   .upto = part->upto,
                                   .max_bytes = limit,
                                   .first_whole = first,
                                   .done = on_cold};
    if (log_read_hot(p->log, &part->read)) {
        count_result(g, part);
        limit = part->read.bytes;
    } else {
        limit = limit < share ? limit : share;
        part->read.max_bytes = limit;
        read_cold(g, part, p->log);
    }
    *left -= limit < *left ? limit : *left;
}

bool fetch_read(struct node *n, struct fetch_group *g)
{
    size_t left = g->budget, behind;
    bool first = true;

    g->node = n;
    g->found = 0;
    g->failed = false;
    g->reading = 0;
    behind = look_at_all(g);
    for (size_t i = 0; behind > 0; i++) {
        struct fetch_part *part = g->parts[(g->first + i) % g->count];

        if (!is_behind(part))
            continue;
        read_part(g, part, behind--, &left, first);
        first = false;
    }
    return g->reading == 0;
}

void fetch_read_release(struct fetch_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        log_read_release(&g->parts[i]->read);
        memset(&g->parts[i]->read, 0, sizeof g->parts[i]->read);
    }
}
