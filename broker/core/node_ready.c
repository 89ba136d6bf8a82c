/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a broker serves, and whether the next one may be restarted. The cluster takes a
 * broker in long before its replicas have caught up; who restarts brokers one after the
 * other must wait for that, or partitions lose a second replica. */
#include "broker/core/cluster/member.h"
#include "broker/core/node_state.h"

#include <stdio.h>

bool node_is_ready(const struct node *n, char why[static 160])
{
    const struct cluster_view *v = &n->view;

    why[0] = '\0';
    if (v->controller < 0)
        snprintf(why, 160,
                 "no controller is known: most of the 'controllers' must be up and reach "
                 "each other; peer.lost in the log says what is wrong");
    else if (v->broker_epoch < 0)
        snprintf(why, 160,
                 "not registered with the controller, broker %d, yet: if this lasts, see "
                 "broker_duplicate and peer.lost in the log",
                 v->controller);
    else if (!member_link_is_active(n->member))
        snprintf(why, 160,
                 "fenced until the metadata here is up to date: if this lasts, check the "
                 "network to the controller, broker %d",
                 v->controller);
    else if (!v->heard)
        snprintf(why, 160,
                 "the controller, broker %d, does not answer: check it, and the network "
                 "to it; peer.lost in the log says more",
                 v->controller);
    return why[0] == '\0';
}

/* Its leader goes on without it. What has no leader cannot be caught up with, and what a
 * move brings was not missed. */
static bool is_behind(const struct image_partition *p, int32_t id)
{
    return p->leader >= 0 && image_has(p->replicas, p->replica_count, id) &&
           !image_has(p->adding, p->adding_count, id) &&
           !image_has(p->in_sync, p->in_sync_count, id);
}

static void count_behind(struct node *n)
{
    const struct topic *topic;

    n->behind = 0;
    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));)
        for (int32_t k = 0; k < topic->partition_count; k++) {
            if (!is_behind(&topic->partitions[k], n->o.node_id))
                continue;
            if (n->behind++ == 0)
                snprintf(n->behind_first, sizeof n->behind_first, "%.*s/%d", BEHIND_NAME,
                         topic->name, k);
        }
}

void node_look_behind(struct node *n)
{
    if (n->caught_up || !member_link_is_active(n->member))
        return;
    count_behind(n);
    if (n->behind > 0)
        return;
    n->caught_up = true;
    node_log(n, LOG_LEVEL_INFO, "caught_up",
             "every replica here is in sync, for the first time since the start");
}

bool node_has_caught_up(const struct node *n, char why[static 160])
{
    why[0] = '\0';
    if (n->caught_up)
        return true;
    snprintf(why, 160,
             "serving, but %zu replicas here still catch up, first %s: stop no other "
             "broker",
             n->behind, n->behind_first);
    return false;
}
