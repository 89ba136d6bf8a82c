/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of partitions: what the group gave us, or what we work on. It is kept in order of
 * topic and number and owns its names, so it outlives the message that it came from. */
#pragma once

#include "client/include/leat/leat.h"
#include "proto/base/arena.h"
#include "proto/base/status.h"

struct assignment {
    leat_partition *items; /* sorted, no two alike */
    size_t count;
    size_t capacity;
    struct arena names;
};

void assignment_init(struct assignment *a);
void assignment_release(struct assignment *a);

/* Add one partition; no harm if it is there already. NO_MEMORY leaves the set as it was.
 */
STATUS_MUST_CHECK enum status assignment_add(struct assignment *a, const char *topic,
                                             int32_t partition);
bool assignment_contains(const struct assignment *a, const char *topic,
                         int32_t partition);
