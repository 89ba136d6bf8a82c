/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fake broker keeps, and its answers. Private to it; the lock is held. */
#pragma once

#include "tests/support/fake_broker.h"

#include <sys/queue.h>

struct fake_batch {
    uint8_t *data;
    size_t len;
    int64_t base;
    int32_t count;
};

struct fake_partition {
    struct fake_batch *batches;
    size_t len;
    int64_t start;
    int64_t end;
};

struct fake_topic {
    SLIST_ENTRY(fake_topic) link;
    char *name;
    int32_t partitions;
    struct fake_partition *p;
};

struct fake_commit {
    SLIST_ENTRY(fake_commit) link;
    char *group;
    char *topic;
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch;
    char *metadata;
};

struct fake_topics {
    SLIST_HEAD(, fake_topic) topics;
    SLIST_HEAD(, fake_commit) commits;
    uint16_t port;
    bool leaderless;
};

void fake_topics_release(struct fake_topics *t);
struct fake_partition *fake_topics_find(struct fake_topics *t, const char *name,
                                        int32_t partition);
void fake_topics_add(struct fake_topics *t, const char *name, int32_t partitions);
int64_t fake_partition_append(struct fake_partition *p, struct bytes batch);
struct fake_commit *fake_commit_find(struct fake_topics *t, const char *group,
                                     const char *topic, int32_t partition);

/* `code` other than 0: every partition answers with it. False: nobody knows this request.
 */
bool fake_topics_answer(struct fake_topics *t, struct fake_request *r, int code);

/* Whether a fetch has anything to say now: records, or an error. */
bool fake_fetch_ready(struct fake_topics *t, const Leat__FetchRequest *f);
