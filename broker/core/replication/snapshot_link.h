/* SPDX-License-Identifier: Apache-2.0
 *
 * A replica of a state machine that is too far behind for its leader's log fetches the
 * newest snapshot, piece by piece, and installs it; then it follows on from there. Lives
 * on shard 0, like the machine of the groups. */
#pragma once

#include "broker/core/partition.h"

struct node;
struct snapshot_link;

struct snapshot_link *snapshot_link_new(struct node *n);
/* No call may be under way. */
void snapshot_link_free(struct snapshot_link *s);

/* Begin, unless it is under way already. */
void snapshot_link_start(struct node *n, struct partition *p, int32_t from);
/* After an unclean election: the machine has applied what its leader does not know, and
 * forgets everything. Busy until that is so on disk. */
void snapshot_link_forget(struct node *n, struct partition *p);
/* End of the turn: perhaps it is. */
void snapshot_link_turn(struct node *n);
bool snapshot_link_is_busy(const struct node *n, const struct partition *p);
