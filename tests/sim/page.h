/* SPDX-License-Identifier: Apache-2.0
 *
 * One partition, being read in order from some offset on, by whoever was given it: a
 * consumer (consumer.h) or the member of a group (member.h). What was got once can never
 * become wrong; the oracle judges every batch. */
#pragma once

#include "tests/sim/client.h"

struct page {
    struct client *client;
    int topic;
    int32_t partition;
    struct uuid id; /* of the topic that is read */
    int64_t offset;
    int32_t epoch; /* of the record before `offset`, 0: unknown */
    bool is_told; /* nothing was read since a group told the offset, for a topic's name */
    struct ask ask;
    struct event step;
    enum status last;
};

void page_init(struct page *g, struct client *c, int topic, int32_t partition);
/* From the topic's beginning, whenever that is known. */
void page_begin(struct page *g);
/* From `offset` of the topic that the client knows by this name now; the record before it
 * is of `epoch`, so no leader before that is asked. */
void page_begin_at(struct page *g, int64_t offset, int32_t epoch);
void page_end(struct page *g);
