/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/topic_change.h"
#include "broker/core/cluster/controller.h"

#include "proto/base/check.h"

struct creation {
    struct topic_change change;
    struct uuid id;
    Leat__CreateTopicResponse answer;
};

static enum status decide(struct proposal *p, struct change *c)
{
    struct creation *creation = container_of(p, struct creation, change.proposal);
    struct request *r = creation->change.request;
    const Leat__CreateTopicRequest *q = REQUEST_AS(Leat__CreateTopicRequest, r);
    struct change_rules rules = controller_rules(r->node->controller);
    enum status st;

    do /* a seed that was used before draws what it drew before */
        creation->id = uuid_random(&r->node->random);
    while (image_topic_by_id(&r->node->image, creation->id) != NULL);
    st = change_create(c, &r->node->image, &rules, q, creation->id, r->node->now.wall_ms,
                       &creation->answer.partitions, &creation->answer.replication);

    if (!st && q->validate_only)
        c->count = 0;
    else if (!st)
        creation->answer.topic_id = (ProtobufCBinaryData){UUID_BYTES, creation->id.id};
    return st;
}

void handle_create_topic(struct node *n, struct request *r)
{
    struct creation *creation = request_alloc(r, sizeof *creation);

    if (creation == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (store_admit(n->store) == STATUS_DISK_FULL) {
        request_refuse(r, STATUS_DISK_FULL, NULL);
        return;
    }
    leat__create_topic_response__init(&creation->answer);
    creation->change.metadata_offset = &creation->answer.metadata_offset;
    topic_change_start(n, r, &creation->change, &creation->answer.base, decide);
}
