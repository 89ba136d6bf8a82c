/* SPDX-License-Identifier: Apache-2.0
 *
 * A member of the one group "crew", as a consumer of libleat is: it joins, is told which
 * partitions to work on, says by heartbeats that it lives and what it works on, reads
 * from the committed offsets and commits what it has read. What it shall give up it
 * commits and lets go. Now and then it leaves, dies, or is silent for longer than its
 * session while it reads and commits on; it comes back as somebody new, or under its old
 * name.
 *
 * What it is told goes to the crew (crew.h), which judges. */
#pragma once

#include "tests/sim/crew.h"

struct member;

struct member *member_new(struct town *town, struct crew *crew, int number,
                          uint64_t seed);
/* All are in, each partition that somebody wants has one owner, who has committed all of
 * it, and the group calls itself stable. If not, `why` says what is missing. */
bool members_are_done(struct member *const *members, size_t n, char why[static 200]);
