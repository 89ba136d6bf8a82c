/* SPDX-License-Identifier: Apache-2.0
 *
 * A follower's fetch goes the way of a consumer's, but is given everything, committed or
 * not, and leaves evidence behind. */
#include "broker/core/api/api.h"
#include "broker/core/fetch.h"
#include "proto/base/check.h"

static const struct topic *topic_of(const struct node *n,
                                    const Leat__ReplicaFetchPartition *q)
{
    struct uuid id;

    return uuid_from((struct bytes){q->topic_id.data, q->topic_id.len}, &id)
               ? image_topic_by_id(&n->image, id)
               : NULL;
}

static bool plan(struct node *n, struct fetch *f, const Leat__ReplicaFetchRequest *q)
{
    if (!fetch_plan_begin(n, f, q->n_partitions))
        return false;
    for (size_t i = 0; i < q->n_partitions; i++) {
        const Leat__ReplicaFetchPartition *in = q->partitions[i];
        struct fetch_part *part = fetch_plan_add(n, f, topic_of(n, in), in->partition);

        part->offset = in->offset;
        part->durable = in->durable;
        part->leader_epoch = in->leader_epoch;
        part->last_epoch = in->last_epoch;
        part->bytes_max = in->max_bytes;
    }
    fetch_plan_end(f);
    return true;
}

static void add_result(const struct fetch_part *part, Leat__ReplicaFetchResult *out)
{
    out->error = part->status;
    out->high_watermark = part->high_watermark;
    out->log_start = part->log_start;
    out->snapshot_offset = part->snapshot_offset;
    out->diverging_end = -1;
    if (part->status)
        return;
    if (part->diverges) {
        out->diverging_epoch = part->diverging_epoch;
        out->diverging_end = part->diverging_end;
    } else {
        out->batch_bytes = (uint32_t)part->read.bytes;
    }
}

void fetch_answer_replica(struct fetch *f)
{
    struct request *r = f->request;
    Leat__ReplicaFetchResponse *a =
        ANSWER_NEW(Leat__ReplicaFetchResponse, leat__replica_fetch_response, r);
    bool ok = a != NULL;

    if (ok)
        a->partitions = ANSWER_ARRAY(Leat__ReplicaFetchResult, leat__replica_fetch_result,
                                     r, f->count);
    ok = ok && a->partitions != NULL && fetch_take_slices(f);
    for (size_t i = 0; ok && i < f->count; i++)
        add_result(&f->parts[i], a->partitions[a->n_partitions++]);
    for (size_t i = 0; i < f->group_count; i++)
        fetch_read_release(&f->groups[i]);
    if (ok)
        request_answer(r, &a->base);
    else
        request_refuse_memory(r);
}

void handle_replica_fetch(struct node *n, struct request *r)
{
    const Leat__ReplicaFetchRequest *q = REQUEST_AS(Leat__ReplicaFetchRequest, r);
    struct fetch *f = fetch_new(n, r, q->max_bytes);

    if (q->node_id != r->peer) {
        request_refuse(r, STATUS_INVALID_REQUEST, "it comes from another broker");
        return;
    }
    if (f != NULL) {
        f->bytes_min = 1;
        f->replica = true;
        f->node_id = q->node_id;
        f->broker_epoch = q->broker_epoch;
    }
    if (f == NULL || !plan(n, f, q))
        request_refuse_memory(r);
    else
        fetch_start(f, q->max_wait_ms);
}
