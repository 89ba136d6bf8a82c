/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/reconcile.h"

/* What it was told to give up and, for all we know, still has. */
static struct share still_revoking(const struct reconcile *r)
{
    return r->owned != NULL ? share_both(r->revoking, r->owned) : share_copy(r->revoking);
}

static struct share free_of(const struct reconcile *r, const struct share *kept)
{
    struct share missing = share_without(r->target, kept);
    size_t n = 0;

    for (size_t i = 0; i < missing.count; i++)
        if (!r->is_held(r->ctx, &missing.items[i]))
            missing.items[n++] = missing.items[i];
    missing.count = n;
    return missing;
}

/* Giving up comes before getting: while anything is being revoked the share only
 * shrinks. */
struct step reconcile_step(const struct reconcile *r)
{
    struct step s = {0};
    struct share lost = share_without(r->assigned, r->target);
    struct share left = still_revoking(r);

    s.revoking = share_either(&left, &lost);
    s.assigned = share_both(r->assigned, r->target);
    share_release(&left);
    share_release(&lost);
    if (s.revoking.count == 0) {
        struct share free_now = free_of(r, &s.assigned);

        share_replace(&s.assigned, share_either(&s.assigned, &free_now));
        share_release(&free_now);
    }
    s.told = !share_equal(&s.assigned, r->assigned);
    s.changed = s.told || !share_equal(&s.revoking, r->revoking);
    if (!s.changed) {
        share_release(&s.assigned);
        share_release(&s.revoking);
    }
    return s;
}
