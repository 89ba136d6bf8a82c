/* SPDX-License-Identifier: Apache-2.0
 *
 * Who should work on which partition: pure functions over members, what they subscribe to
 * and what they have had so far. Every partition of a topic that somebody subscribes to
 * goes to exactly one of its subscribers.
 *
 *   range    per topic, members in order of id get contiguous runs, the first ones one
 *            partition more: Kafka's meaning. Partitions of the same number of two topics
 *            land on the same member, which is what joining streams needs.
 *   sticky   everybody keeps what it has as long as that is balanced: with equal
 *            subscriptions nobody has more than one partition more than another, and no
 *            fewer partitions move than that takes. */
#pragma once

#include "broker/core/group/share.h"

struct assign_topic {
    struct uuid id;
    int32_t partitions;
};

struct assign_member {
    const uint32_t *topics; /* places in the list of topics, ascending */
    size_t topic_count;
    const struct share *previous;
    struct share target; /* the answer; the caller releases it */
};

struct assignor;

/* NULL if there is none of that name. The empty name is sticky. */
const struct assignor *assignor_find(const char *name);
const char *assignor_name(const struct assignor *a);
const struct assignor *assignor_at(size_t index); /* walk the table; NULL past its end */

/* `members` stand in the order of their ids. */
void assign(const struct assignor *a, const struct assign_topic *topics,
            size_t topic_count, struct assign_member *members, size_t member_count);
