/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"
#include "broker/core/offsets.h"

#include "proto/base/check.h"

struct listing {
    struct offset_query query;
    struct request *request;
    struct offset_question *questions;
    Leat__ListOffsetsResult **results; /* the result of each question */
    Leat__ListOffsetsResponse answer;
};

static void on_answered(struct offset_query *query)
{
    struct listing *l = container_of(query, struct listing, query);

    for (size_t i = 0; i < query->count; i++) {
        const struct offset_question *q = &query->questions[i];
        Leat__ListOffsetsResult *result = l->results[i];

        result->error = q->status;
        result->offset = q->status ? -1 : q->offset;
        result->timestamp_ms = q->status ? -1 : q->found_timestamp_ms;
        result->leader_epoch = q->status ? -1 : q->leader_epoch;
        result->log_start = q->status ? -1 : q->log_start;
        result->high_watermark = q->status ? -1 : q->high_watermark;
    }
    request_answer(l->request, &l->answer.base);
}

static bool add_topic(struct node *n, struct listing *l, const Leat__ListOffsetsTopic *q,
                      Leat__ListOffsetsTopicResult *out)
{
    struct topic *topic = image_topic(&n->image, bytes_of(q->name));

    out->name = q->name;
    out->n_partitions = q->n_partitions;
    out->partitions = ANSWER_ARRAY(Leat__ListOffsetsResult, leat__list_offsets_result,
                                   l->request, q->n_partitions);
    if (out->partitions == NULL)
        return false;
    for (size_t i = 0; i < q->n_partitions; i++) {
        const Leat__ListOffsetsPartition *p = q->partitions[i];
        Leat__ListOffsetsResult *result = out->partitions[i];

        result->partition = p->partition;
        result->offset = -1;
        result->timestamp_ms = -1;
        result->leader_epoch = -1;
        result->log_start = -1;
        result->high_watermark = -1;
        if (topic == NULL || p->partition < 0 || p->partition >= topic->partition_count) {
            result->error = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        if (p->timestamp_ms < OFFSET_QUERY_EARLIEST) {
            result->error = STATUS_INVALID_TIMESTAMP;
            continue;
        }
        l->results[l->query.count] = result;
        l->questions[l->query.count++] =
            (struct offset_question){.topic_id = topic->id,
                                     .partition = p->partition,
                                     .timestamp_ms = p->timestamp_ms};
    }
    return true;
}

static bool add_topics(struct node *n, struct listing *l)
{
    const Leat__ListOffsetsRequest *q = REQUEST_AS(Leat__ListOffsetsRequest, l->request);
    size_t count = 0;

    for (size_t i = 0; i < q->n_topics; i++)
        count += q->topics[i]->n_partitions;
    l->questions = request_alloc(l->request, count * sizeof *l->questions + 1);
    l->results = request_alloc(l->request, count * sizeof *l->results + 1);
    l->answer.topics =
        ANSWER_ARRAY(Leat__ListOffsetsTopicResult, leat__list_offsets_topic_result,
                     l->request, q->n_topics);
    if (l->questions == NULL || l->results == NULL || l->answer.topics == NULL)
        return false;
    for (; l->answer.n_topics < q->n_topics; l->answer.n_topics++)
        if (!add_topic(n, l, q->topics[l->answer.n_topics],
                       l->answer.topics[l->answer.n_topics]))
            return false;
    return true;
}

void handle_list_offsets(struct node *n, struct request *r)
{
    struct listing *l = request_alloc(r, sizeof *l);

    if (l != NULL) {
        leat__list_offsets_response__init(&l->answer);
        l->request = r;
    }
    if (l == NULL || !add_topics(n, l)) {
        request_refuse_memory(r);
        return;
    }
    l->query.questions = l->questions;
    l->query.done = on_answered;
    offset_query_start(n, &l->query);
}
