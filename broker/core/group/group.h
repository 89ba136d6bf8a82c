/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer groups as the group log tells them: members with their epochs and shares,
 * committed offsets. groups_apply is the only writer of what is durable; decide.h turns
 * requests into records for it. What stands under "soft" is not in the log: it is worked
 * out anew after a restart. */
#pragma once

#include "broker/core/group/share.h"
#include "proto/base/heap.h"
#include "proto/base/map.h"

struct group;

struct member {
    char *id;
    char *client_id;
    char *host;
    char **topics; /* ascending, each once */
    size_t topic_count;
    int32_t session_ms;
    int32_t rebalance_ms;
    int32_t epoch;          /* the newest that it was told */
    int32_t previous_epoch; /* the one before: its answer may have been lost */
    struct share assigned;  /* what it was told to work on */
    struct share revoking;  /* what it was told to give up and has not confirmed */

    /* Soft. */
    struct group *group;
    struct share target;      /* what it should have, see group_settle */
    struct share gained;      /* came with `epoch`; all of it after a snapshot */
    int64_t heard_ms;         /* last sign of life, mono */
    struct heap_node session; /* in groups.sessions: out if silent until then */
    struct heap_node release; /* in groups.releases: out if still revoking then */
};

struct committed {
    uint8_t key[UUID_BYTES + 4];
    struct topic_partition at;
    int64_t offset;
    int32_t leader_epoch;
    char *metadata;
    char *committer;
    int64_t committed_ms;
};

struct group {
    char *name;
    char *assignor;
    int32_t epoch;      /* grows with every record about a member */
    int64_t active_ms;  /* wall time of the last commit or departure */
    struct map members; /* struct member by id, in the order of joining */
    struct map offsets; /* struct committed by key */

    /* Soft. */
    bool stale; /* members, subscriptions or topics changed: targets are out of date */
};

struct groups {
    struct map by_name;
    size_t member_count;
    size_t offset_count;
    struct heap sessions; /* soft; a member that is removed leaves both */
    struct heap releases;
};

void groups_init(struct groups *gs);
void groups_release(struct groups *gs);

/* Apply one record of the log. CORRUPT if it cannot follow what was before: somebody who
 * is not there, or a partition that another member has. */
STATUS_MUST_CHECK enum status groups_apply(struct groups *gs, struct bytes record);
/* The records from which empty groups become these. */
void groups_snapshot(const struct groups *gs, void (*emit)(void *to, struct bytes record),
                     void *to);

struct group *groups_find(const struct groups *gs, const char *name);
struct member *group_member(const struct group *g, const char *id);
const struct committed *group_offset(const struct group *g,
                                     const struct topic_partition *at);

/* "empty", "reconciling" (somebody has not yet what it should have) or "stable". */
const char *group_state(const struct group *g);
/* Whether anybody but `except` has the partition, or is giving it up. */
bool group_holds(const struct group *g, const struct member *except,
                 const struct topic_partition *at);
bool member_subscribes(const struct member *m, const char *topic);
bool member_is_settled(const struct member *m);

/* How groups learn about topics: false if there is none of that name. */
struct catalog {
    bool (*find)(const void *from, const char *name, struct uuid *id,
                 int32_t *partitions);
    const void *from;
};

/* Bring the targets up to date if they are stale. What members have is what counts as
 * "previous" for the assignor. True if a target changed. */
bool group_settle(struct group *g, const struct catalog *catalog);
