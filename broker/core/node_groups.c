/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator follows the partition that holds its log: it leads when this broker
 * leads that, and serves once all that was there at the election is committed. */
#include "broker/core/group/coordinator.h"
#include "broker/core/node_state.h"
#include "proto/base/mark.h"

static bool leads(const struct partition *p)
{
    return p != NULL && p->log != NULL && p->role == ROLE_LEADER;
}

void node_follow_groups(struct node *n)
{
    const struct partition *p = node_partition(n, groups_topic_id, 0);

    if (!leads(p))
        coordinator_resign(n->coordinator, n->now);
    else if (p->leader_epoch != coordinator_epoch(n->coordinator))
        coordinator_lead(n->coordinator, p->leader_epoch, n->now);
}

void node_groups_turn(struct node *n)
{
    const struct partition *p = node_partition(n, groups_topic_id, 0);

    if (coordinator_is_ready(n->coordinator) || !leads(p) ||
        p->leader_epoch != coordinator_epoch(n->coordinator) ||
        (!PLANT(14) && (partition_settled(p) || machine_applied(coordinator_machine(
                                                    n->coordinator)) < p->epoch_start)))
        return;
    MARK("coordinator is ready");
    coordinator_ready(n->coordinator, n->now);
}

/* The coordinator appended to its log. */
void node_groups_appended(void *ctx)
{
    struct partition *p = node_partition(ctx, groups_topic_id, 0);

    if (leads(p))
        partition_appended(p);
}
