/* SPDX-License-Identifier: Apache-2.0
 *
 * What followers have on disk: each shard hears of the partitions that it leads. */
#include "broker/core/api/api.h"
#include "broker/core/replication/leader.h"
#include "proto/base/check.h"

struct ack_leg {
    struct errand errand;
    struct acks *acks;
};

struct acks {
    struct request *request;
    size_t away;
    struct ack_leg *legs; /* per shard */
    Leat__ReplicaAckResponse answer;
};

static void hear(struct node *n, const Leat__ReplicaAckRequest *q,
                 const Leat__ReplicaAckPartition *a)
{
    struct partition *p;
    struct uuid id;

    if (!uuid_from((struct bytes){a->topic_id.data, a->topic_id.len}, &id) ||
        node_shard_of(&id, a->partition, n->o.shards) != n->o.shard)
        return;
    p = node_partition(n, id, a->partition);
    if (p == NULL || p->role != ROLE_LEADER || p->leader_epoch != a->leader_epoch)
        return;
    if (leader_on_ack(p->leader, q->node_id, q->broker_epoch, a->durable))
        partition_evidence(p);
}

static void visit(struct node *n, struct errand *e)
{
    const struct acks *acks = container_of(e, struct ack_leg, errand)->acks;
    const Leat__ReplicaAckRequest *q = REQUEST_AS(Leat__ReplicaAckRequest, acks->request);

    for (size_t i = 0; i < q->n_partitions; i++)
        hear(n, q, q->partitions[i]);
    errand_return(n, e);
}

static void come_home(struct node *n, struct errand *e)
{
    struct acks *acks = container_of(e, struct ack_leg, errand)->acks;

    if (--acks->away == 0)
        request_answer(acks->request, &acks->answer.base);
}

void handle_replica_ack(struct node *n, struct request *r)
{
    const Leat__ReplicaAckRequest *q = REQUEST_AS(Leat__ReplicaAckRequest, r);
    struct acks *acks = request_alloc(r, sizeof *acks);

    if (acks != NULL)
        acks->legs = request_alloc(r, n->o.shards * sizeof *acks->legs);
    if (acks == NULL || acks->legs == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (q->node_id != r->peer) {
        request_refuse(r, STATUS_INVALID_REQUEST, "it comes from another broker");
        return;
    }
    leat__replica_ack_response__init(&acks->answer);
    acks->request = r;
    acks->away = n->o.shards;
    for (unsigned shard = 0; shard < n->o.shards; shard++) {
        acks->legs[shard] = (struct ack_leg){{.run = visit, .back = come_home}, acks};
        errand_send(n, shard, &acks->legs[shard].errand);
    }
}
