/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumer groups for the fake broker: any group name means the one group it has. Members
 * share the partitions of their topics evenly; one that is to lose some is told first,
 * and the others get them once it has confirmed. Commits are fenced by member and epoch.
 *
 * Test code: it dies on errors instead of returning them. */
#pragma once

#include "tests/support/fake_broker.h"

struct fake_groups;

/* Answers GROUP_JOIN, GROUP_HEARTBEAT and GROUP_LEAVE of the broker from now on, and
 * looks at OFFSET_COMMIT before the broker does. To be freed after the broker was
 * stopped. */
struct fake_groups *fake_groups_start(struct fake_broker *b, int heartbeat_ms);
void fake_groups_free(struct fake_groups *g);

/* A topic that members may share; as many partitions as the broker's. */
void fake_groups_topic(struct fake_groups *g, const char *name, int32_t partitions);

/* Forget all members, as after their sessions have expired. */
void fake_groups_expel(struct fake_groups *g);

/* Wait until there are `count` members and all of them work on what they shall. */
void fake_groups_await(struct fake_groups *g, int count);

/* How often a partition was in two hands: never. */
int fake_groups_conflicts(struct fake_groups *g);
