/* SPDX-License-Identifier: Apache-2.0
 *
 * Decisions about one group, as pure functions: from the state and a wish to the records
 * that make it so. Nothing changes until groups_apply has seen them. */
#pragma once

#include "broker/core/group/group.h"
#include "broker/core/group/records.h"

/* The group exists from now on. */
void decide_group(const char *name, const char *assignor, int64_t wall_ms,
                  struct records *out);

struct join {
    const char *group;
    const char *member_id;
    const char *client_id;
    const char *host;
    const char *assignor; /* the group's from now on */
    char **topics;        /* ascending, each once */
    size_t topic_count;
    int32_t session_ms;
    int32_t rebalance_ms;
};

/* Somebody new, or a member that starts anew. `g` is NULL for a group that is new. */
void decide_join(const struct group *g, const struct join *j, int64_t wall_ms,
                 struct records *out);

/* The member's next step (reconcile.h); the group is settled. `owned` is NULL when it did
 * not say, as in a join. False if it has nothing to hear. */
bool decide_step(const struct member *m, const struct share *owned, struct records *out);

void decide_leave(const struct member *m, int64_t wall_ms, struct records *out);

/* What a member that names this epoch may do. */
enum claim {
    CLAIM_CURRENT,  /* it has heard everything */
    CLAIM_PREVIOUS, /* the last answer was lost: tell it again */
    CLAIM_FENCED,   /* it is not who it thinks it is */
};

enum claim member_claim(const struct member *m, int32_t epoch);
/* Whether the member may commit for it under such a claim: it works on it or is about to
 * stop, and did so under the epoch that it names. Between the two epochs the partition
 * may have been another member's, whose commits must stand. */
bool member_may_commit(const struct member *m, enum claim claim,
                       const struct topic_partition *at);
