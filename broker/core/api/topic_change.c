/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/topic_change.h"

#include "proto/base/check.h"

struct change_rules change_rules_of(const struct node *n)
{
    const struct config *c = n->o.config;

    return (struct change_rules){
        .topics_max = config_number(c, CONFIG_TOPICS_MAX),
        .partitions_max = config_number(c, CONFIG_PARTITIONS_MAX),
        .default_partitions = (int32_t)config_number(c, CONFIG_NUM_PARTITIONS),
        .default_replication = (int32_t)config_number(c, CONFIG_REPLICATION),
        .brokers = 1,
        .node_id = n->o.node_id,
        .topic_defaults = &c->topic_defaults,
    };
}

static void on_barrier(struct barrier *b)
{
    struct topic_change *t = b->owner;

    request_answer(t->request, t->answer);
}

static void on_done(struct proposal *p, enum status status)
{
    struct topic_change *t = container_of(p, struct topic_change, proposal);

    if (status)
        request_refuse(t->request, status, "%s",
                       p->change.why[0] ? p->change.why : status_text(status));
    else
        barrier_start(t->request->node, t->barrier);
}

void topic_change_start(struct node *n, struct request *r, struct topic_change *t,
                        ProtobufCMessage *answer,
                        enum status (*decide)(struct proposal *p, struct change *c))
{
    struct barrier *barrier = request_alloc(r, barrier_bytes(n));

    if (t == NULL || answer == NULL || barrier == NULL) {
        request_refuse_memory(r);
        return;
    }
    barrier->owner = t;
    barrier->done = on_barrier;
    t->barrier = barrier;
    t->request = r;
    t->answer = answer;
    t->proposal.decide = decide;
    t->proposal.done = on_done;
    t->proposal.change = change_of(&r->arena);
    quorum_propose(n->quorum, &t->proposal);
}
