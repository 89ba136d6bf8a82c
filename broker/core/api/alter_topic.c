/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/topic_change.h"
#include "broker/core/cluster/controller.h"

#include "proto/base/check.h"

struct alteration {
    struct topic_change change;
    Leat__AlterTopicResponse answer;
};

static enum status decide(struct proposal *p, struct change *c)
{
    struct alteration *alteration = container_of(p, struct alteration, change.proposal);
    struct request *r = alteration->change.request;
    const Leat__AlterTopicRequest *q = REQUEST_AS(Leat__AlterTopicRequest, r);
    struct change_rules rules = controller_rules(r->node->controller);
    enum status st =
        change_alter(c, &r->node->image, &rules, q, &alteration->answer.partitions);

    if (q->validate_only)
        c->count = 0;
    return st;
}

void handle_alter_topic(struct node *n, struct request *r)
{
    struct alteration *alteration = request_alloc(r, sizeof *alteration);

    if (alteration == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (REQUEST_AS(Leat__AlterTopicRequest, r)->partitions > 0 &&
        store_admit(n->store) == STATUS_DISK_FULL) {
        request_refuse(r, STATUS_DISK_FULL, NULL);
        return;
    }
    leat__alter_topic_response__init(&alteration->answer);
    alteration->change.metadata_offset = &alteration->answer.metadata_offset;
    topic_change_start(n, r, &alteration->change, &alteration->answer.base, decide);
}
