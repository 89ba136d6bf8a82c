/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/consumer.h"

#include "proto/base/memory.h"
#include "tests/sim/page.h"

#include <inttypes.h>
#include <stdio.h>

struct consumer {
    struct client client;
    struct page pages[TOPICS_MAX][PARTITIONS_MAX];
};

struct consumer *consumer_new(struct town *town, int number, uint64_t seed)
{
    struct consumer *r = must_zalloc(sizeof *r);

    client_init(&r->client, town, number, seed);
    for (int t = 0; t < town->swarm->topics; t++)
        for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
            page_init(&r->pages[t][i], &r->client, t, i);
            page_begin(&r->pages[t][i]);
        }
    return r;
}

bool consumer_is_done(const struct consumer *r, char why[static 200])
{
    const struct client *c = &r->client;

    for (int t = 0; t < c->town->swarm->topics; t++)
        for (int32_t i = 0; c->topics[t].known && i < c->topics[t].count; i++) {
            const struct page *g = &r->pages[t][i];
            int64_t end = oracle_committed(c->town->oracle, c->topics[t].id, i);

            if (uuid_equal(g->id, c->topics[t].id) && g->offset >= end)
                continue;
            if (end == 0)
                continue;
            snprintf(why, 200,
                     "L4 client %d has read t%d/%d to %" PRId64 " of %" PRId64 ": %s",
                     c->party + 95, t, (int)i, g->offset, end, status_name(g->last));
            return false;
        }
    return true;
}
