/* SPDX-License-Identifier: Apache-2.0
 *
 * A share is a set of partitions: what a member has, gives up, or should have. Sorted and
 * without repetition, so that two shares are compared and combined in one walk. Values:
 * the verbs below make new ones, which the caller releases. */
#pragma once

#include "proto/base/uuid.h"

struct topic_partition {
    struct uuid topic;
    int32_t partition;
};

struct share {
    struct topic_partition *items;
    size_t count;
};

int topic_partition_compare(const struct topic_partition *a,
                            const struct topic_partition *b);

/* Of partitions in any order; repeated ones count once. */
struct share share_of(const struct topic_partition *items, size_t count);
struct share share_copy(const struct share *s);
void share_release(struct share *s);
/* `s` becomes `with`, whose memory it takes over. */
void share_replace(struct share *s, struct share with);

bool share_has(const struct share *s, const struct topic_partition *p);
bool share_equal(const struct share *a, const struct share *b);
bool share_disjoint(const struct share *a, const struct share *b);

struct share share_both(const struct share *a, const struct share *b);
struct share share_either(const struct share *a, const struct share *b);
struct share share_without(const struct share *a, const struct share *b);

/* Drop every partition of one topic. True if there was one. */
bool share_drop_topic(struct share *s, struct uuid topic);
