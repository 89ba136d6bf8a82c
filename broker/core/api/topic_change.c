/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/topic_change.h"

#include "proto/base/check.h"

static void on_barrier(struct barrier *b)
{
    struct topic_change *t = b->owner;

    request_answer(t->request, t->answer);
}

static void finish(struct topic_change *t)
{
    struct node *n = t->request->node;

    *t->metadata_offset = n->image.applied;
    barrier_start(n, t->barrier);
}

static void on_done(struct proposal *p, enum status status)
{
    struct topic_change *t = container_of(p, struct topic_change, proposal);

    if (status)
        request_refuse(t->request, status, "%s",
                       p->change.why[0] ? p->change.why : status_text(status));
    else
        finish(t);
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
