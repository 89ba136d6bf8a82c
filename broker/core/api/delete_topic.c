/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/topic_change.h"

#include "proto/base/check.h"

struct deletion {
    struct topic_change change;
    struct uuid id;
    Leat__DeleteTopicResponse answer;
};

static enum status decide(struct proposal *p, struct change *c)
{
    struct deletion *deletion = container_of(p, struct deletion, change.proposal);
    struct request *r = deletion->change.request;
    const Leat__DeleteTopicRequest *q = REQUEST_AS(Leat__DeleteTopicRequest, r);
    enum status st = change_delete(c, &r->node->image, q->name, &deletion->id);

    deletion->answer.topic_id = (ProtobufCBinaryData){UUID_BYTES, deletion->id.id};
    return st;
}

void handle_delete_topic(struct node *n, struct request *r)
{
    struct deletion *deletion = request_alloc(r, sizeof *deletion);

    if (deletion == NULL) {
        request_refuse_memory(r);
        return;
    }
    leat__delete_topic_response__init(&deletion->answer);
    deletion->change.metadata_offset = &deletion->answer.metadata_offset;
    topic_change_start(n, r, &deletion->change, &deletion->answer.base, decide);
}
