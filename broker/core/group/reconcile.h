/* SPDX-License-Identifier: Apache-2.0
 *
 * One member's next step from what it has to what it should have. Three rules make it
 * safe whatever is lost or repeated on the way:
 *
 *   1. What a member was told under epoch e it may work on until it has *heard* of a
 * later epoch. So a smaller share is told under a new epoch, and what it lost stays
 *      `revoking`, which is nobody else's, until a heartbeat *of that epoch* no longer
 *      owns it.
 *   2. A larger share is made only of what nobody has and nobody is giving up, and is
 *      told under a new epoch.
 *   3. The next step waits until the member has heard of the one before: a step is taken
 *      only in answer to a heartbeat of the current epoch.
 *
 * So at every moment what a member works on is part of its assigned and revoking
 * partitions, and these are disjoint between members. (After KIP-848, with one epoch per
 * step instead of one per target.) */
#pragma once

#include "broker/core/group/share.h"

struct reconcile {
    const struct share *assigned;
    const struct share *revoking;
    const struct share *target;
    const struct share
        *owned; /* what the member says it works on; NULL: it did not say */
    /* Whether another member has it, or is giving it up. */
    bool (*is_held)(const void *ctx, const struct topic_partition *p);
    const void *ctx;
};

struct step {
    bool changed;          /* anything: a record must be written */
    bool told;             /* `assigned` changed: it takes a new epoch */
    struct share assigned; /* valid, and the caller's to release, if changed */
    struct share revoking;
};

struct step reconcile_step(const struct reconcile *r);
