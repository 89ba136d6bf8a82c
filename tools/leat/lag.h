/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a group is behind: what it committed against where its partitions end. */
#pragma once

#include "tools/leat/session.h"

struct lag_row {
    const char *topic; /* lives in the reply */
    int32_t partition;
    int64_t committed; /* -1: nothing */
    int64_t end;       /* -1: the topic is gone */
    int64_t lag;       /* -1: unknown */
    int64_t committed_ms;
    const char *member; /* client id of who works on it; NULL: nobody */
};

struct lag {
    struct lag_row *rows;
    size_t count;
    int64_t total;
    leat_reply *offsets; /* what the rows point into */
    leat_reply *members;
};

/* All partitions that the group has committed for or works on. Prints its own errors. */
int lag_read(struct invocation *i, const char *group, struct lag *out);
void lag_release(struct lag *lag);
