/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"
#include "broker/core/group/coordinator.h"

#include <string.h>

static const struct image_broker *coordinator_of(const struct node *n)
{
    const struct topic *t = image_topic_by_id(&n->image, groups_topic_id);

    return t ? image_broker(&n->image, t->partitions[0].leader) : NULL;
}

/* All groups are looked after by the leader of the group log. */
void handle_find_coordinator(struct node *n, struct request *r)
{
    const Leat__FindCoordinatorRequest *q = REQUEST_AS(Leat__FindCoordinatorRequest, r);
    const struct image_broker *broker = coordinator_of(n);
    Leat__FindCoordinatorResponse *a =
        ANSWER_NEW(Leat__FindCoordinatorResponse, leat__find_coordinator_response, r);

    if (!name_is_valid(bytes_of(q->group))) {
        request_refuse(r, STATUS_INVALID_GROUP, NULL);
        return;
    }
    if (broker == NULL) {
        request_refuse(r, STATUS_COORDINATOR_NOT_AVAILABLE, NULL);
        return;
    }
    if (a == NULL) {
        request_refuse_memory(r);
        return;
    }
    a->node_id = broker->node_id;
    a->host = arena_text(&r->arena, broker->at.host, strlen(broker->at.host));
    a->port = broker->at.port;
    if (a->host == NULL)
        request_refuse_memory(r);
    else
        request_answer(r, &a->base);
}
