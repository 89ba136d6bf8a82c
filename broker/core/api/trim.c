/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up records is a fact of the cluster, so it goes through the metadata log; each
 * shard trims when the record reaches its image. First the owners are asked how far their
 * logs reach, because nothing above the watermark may be given up. */
#include "broker/core/api/topic_change.h"
#include "broker/core/offsets.h"

#include "proto/base/check.h"

struct trimming {
    struct topic_change change;
    struct offset_query query;
    struct uuid topic_id;
    Leat__TrimResponse answer;
};

static enum status decide(struct proposal *p, struct change *c)
{
    struct trimming *t = container_of(p, struct trimming, change.proposal);
    struct request *r = t->change.request;

    for (size_t i = 0; i < t->query.count; i++) {
        Leat__TrimResult *result = t->answer.partitions[i];
        enum status st;

        if (result->error || result->log_start == t->query.questions[i].log_start)
            continue;
        st = change_trim(c, &r->node->image, t->topic_id, result->partition,
                         result->log_start);
        if (st)
            return st;
    }
    return STATUS_OK;
}

static void on_ends(struct offset_query *query)
{
    struct trimming *t = container_of(query, struct trimming, query);
    struct request *r = t->change.request;
    const Leat__TrimRequest *q = REQUEST_AS(Leat__TrimRequest, r);

    for (size_t i = 0; i < query->count; i++) {
        const struct offset_question *ends = &query->questions[i];
        Leat__TrimResult *result = t->answer.partitions[i];
        int64_t before = q->partitions[i]->before_offset;

        result->partition = ends->partition;
        result->error = ends->status;
        if (before == -1)
            before = ends->high_watermark;
        if (!result->error && (before < 0 || before > ends->high_watermark))
            result->error = STATUS_OFFSET_OUT_OF_RANGE;
        result->log_start = result->error              ? -1
                            : before > ends->log_start ? before
                                                       : ends->log_start;
    }
    t->change.metadata_offset = &t->answer.metadata_offset;
    topic_change_start(r->node, r, &t->change, &t->answer.base, decide);
}

void handle_trim(struct node *n, struct request *r)
{
    const Leat__TrimRequest *q = REQUEST_AS(Leat__TrimRequest, r);
    struct trimming *t = request_alloc(r, sizeof *t);
    struct offset_question *questions =
        request_alloc(r, q->n_partitions * sizeof *questions + 1);
    struct topic *topic;
    enum status st = image_find(&n->image, bytes_of(q->topic), (struct bytes){0}, &topic);

    if (st) {
        request_refuse(r, st, "there is no topic '%.64s'", q->topic);
        return;
    }
    if (t != NULL) {
        leat__trim_response__init(&t->answer);
        t->answer.partitions =
            ANSWER_ARRAY(Leat__TrimResult, leat__trim_result, r, q->n_partitions);
    }
    if (t == NULL || questions == NULL || t->answer.partitions == NULL) {
        request_refuse_memory(r);
        return;
    }
    t->answer.n_partitions = q->n_partitions;
    t->change.request = r;
    t->topic_id = topic->id;
    for (size_t i = 0; i < q->n_partitions; i++)
        questions[i] = (struct offset_question){.topic_id = topic->id,
                                                .partition = q->partitions[i]->partition,
                                                .timestamp_ms = OFFSET_QUERY_LATEST};
    t->query = (struct offset_query){.questions = questions,
                                     .count = q->n_partitions,
                                     .done = on_ends,
                                     .anywhere = true};
    offset_query_start(n, &t->query);
}
