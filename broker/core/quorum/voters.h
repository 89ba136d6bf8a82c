/* SPDX-License-Identifier: Apache-2.0
 *
 * Who votes, by the log. A set of voters counts from the moment its record is in the log,
 * committed or not, and cutting the record off restores the set before it: so the sets
 * are kept as a stack, by offset, from the newest one that is committed on. At its bottom
 * lies what a snapshot said, or the configured set while no record was ever written. */
#pragma once

#include "broker/core/quorum/raft.h"

struct voter_set {
    int64_t offset; /* of its record; -1: from a snapshot or the configuration */
    struct voter *voters;
    size_t count;
};

struct voters {
    struct voter_set *sets; /* oldest first, never empty */
    size_t count;
    bool configured; /* the lowest set was never in a log; its directories are unknown */
};

void voters_init(struct voters *v, const struct voter *configured, size_t count);
void voters_release(struct voters *v);

void voters_append(struct voters *v, int64_t offset, const struct voter *set,
                   size_t count);
/* The log ends at `offset` now. */
void voters_truncate(struct voters *v, int64_t offset);
/* Everything before `offset` is committed: older sets can never come back. */
void voters_commit(struct voters *v, int64_t offset);
/* A snapshot took the place of the log. No voters in it: the configured set stays. */
void voters_restart(struct voters *v, const struct voter *set, size_t count);

const struct voter_set *voters_newest(const struct voters *v);
/* Whether this node may stand for election. One that is in the newest set may, be it
 * known to be committed or not: after a crash nobody knows, and who was the last to come
 * may have more than all others. While the newest set is not known to be committed, one
 * that was in the set before may as well: its log may be the only one that holds the set
 * without it, and then nobody else could be elected. */
bool voters_may_stand(const struct voters *v, struct raft_key self);
/* No record of voters is in the log. */
bool voters_are_configured(const struct voters *v);

/* The voter with this key, or NULL. An unknown directory fits any. */
const struct voter *voter_find(const struct voter_set *set, struct raft_key key);

enum { VOTERS_NAME = 16 };

/* What names a configured set, in whatever order it was written down. */
void voters_name(const struct voter *set, size_t count, uint8_t name[static VOTERS_NAME]);
