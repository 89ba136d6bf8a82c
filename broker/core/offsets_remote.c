/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/offsets_remote.h"

#include "broker/core/node_state.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

enum { ASK_MS = 5000, ANSWER_BYTES = 64 * 1024 };

struct remote {
    struct peer_call call;
    struct offset_query *query;
    struct offset_question *question;
    void (*end)(struct offset_query *q);
};

static enum status read_answer(const struct peer_call *c, struct arena *arena,
                               struct offset_question *q)
{
    const Leat__ListOffsetsResponse *a;
    const Leat__ListOffsetsResult *result;
    ProtobufCMessage *m;

    if (rpc_unpack(&leat__list_offsets_response__descriptor, c->answer, arena, &m))
        return STATUS_UNKNOWN;
    a = (const Leat__ListOffsetsResponse *)(const void *)m;
    if (a->n_topics != 1 || a->topics[0]->n_partitions != 1)
        return STATUS_UNKNOWN;
    result = a->topics[0]->partitions[0];
    q->offset = result->offset;
    q->found_timestamp_ms = result->timestamp_ms;
    q->leader_epoch = result->leader_epoch;
    q->log_start = result->log_start;
    q->high_watermark = result->high_watermark;
    return (enum status)result->error;
}

static void on_answer(struct peer_call *c)
{
    struct remote *r = container_of(c, struct remote, call);
    struct offset_question *q = r->question;
    struct arena arena;

    arena_init(&arena, ANSWER_BYTES);
    q->status = c->status ? STATUS_LEADER_NOT_AVAILABLE : read_answer(c, &arena, q);
    arena_release(&arena);
    r->end(r->query);
    free(r);
}

void offset_ask_leader(struct node *n, struct offset_query *q,
                       struct offset_question *question,
                       void (*end)(struct offset_query *q))
{
    Leat__ListOffsetsRequest header = LEAT__LIST_OFFSETS_REQUEST__INIT;
    Leat__ListOffsetsTopic topic = LEAT__LIST_OFFSETS_TOPIC__INIT;
    Leat__ListOffsetsTopic *topics[] = {&topic};
    Leat__ListOffsetsPartition partition = LEAT__LIST_OFFSETS_PARTITION__INIT;
    Leat__ListOffsetsPartition *partitions[] = {&partition};
    const struct topic *t = image_topic_by_id(&n->image, question->topic_id);
    const struct image_broker *leader =
        t ? image_broker(&n->image, t->partitions[question->partition].leader) : NULL;
    struct remote *r;

    if (leader == NULL || leader->node_id == n->o.node_id) {
        question->status = STATUS_LEADER_NOT_AVAILABLE;
        end(q);
        return;
    }
    partition.partition = question->partition;
    partition.timestamp_ms = question->timestamp_ms;
    topic.name = t->name;
    topic.partitions = partitions;
    topic.n_partitions = 1;
    header.topics = topics;
    header.n_topics = 1;
    r = must_zalloc(sizeof *r);
    r->query = q;
    r->question = question;
    r->end = end;
    r->call = (struct peer_call){.to = leader->node_id,
                                 .at = leader->at,
                                 .api = RPC_LIST_OFFSETS,
                                 .header = &header.base,
                                 .timeout_ms = ASK_MS,
                                 .done = on_answer};
    node_call(n, &r->call);
}
