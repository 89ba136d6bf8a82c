/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"
#include "broker/core/fetch.h"

/* The slices' references move from the reads to the answer. */
bool fetch_take_slices(struct fetch *f)
{
    struct request *r = f->request;
    size_t slices = 0;

    for (size_t i = 0; i < f->count; i++)
        slices += f->parts[i].read.slice_count;
    r->slices = request_alloc(r, slices * sizeof *r->slices + 1);
    if (r->slices == NULL)
        return false;
    for (size_t i = 0; i < f->count; i++) {
        struct log_read *read = &f->parts[i].read;

        if (f->parts[i].status || f->parts[i].diverges)
            continue;
        for (size_t j = 0; j < read->slice_count; j++)
            r->slices[r->slice_count++] = read->slices[j];
        read->slice_count = 0;
    }
    return true;
}

static void add_result(const struct fetch_part *part, Leat__FetchResult *out)
{
    out->partition = part->partition;
    out->error = part->status;
    out->high_watermark = part->high_watermark;
    out->log_start = part->log_start;
    out->preferred_replica = part->preferred_replica;
    if (part->status)
        return;
    if (part->diverges) {
        out->diverging_epoch = part->diverging_epoch;
        out->diverging_end = part->diverging_end;
        return;
    }
    out->batch_bytes = (uint32_t)part->read.bytes;
}

static bool add_topic(struct fetch *f, uint32_t topic, size_t *at,
                      Leat__FetchTopicResult *out)
{
    const Leat__FetchTopic *q = REQUEST_AS(Leat__FetchRequest, f->request)->topics[topic];

    out->name = q->name;
    out->partitions =
        ANSWER_ARRAY(Leat__FetchResult, leat__fetch_result, f->request, q->n_partitions);
    if (out->partitions == NULL)
        return false;
    for (; out->n_partitions < q->n_partitions; out->n_partitions++)
        add_result(&f->parts[(*at)++], out->partitions[out->n_partitions]);
    return true;
}

static Leat__FetchResponse *make(struct fetch *f)
{
    struct request *r = f->request;
    size_t topics = REQUEST_AS(Leat__FetchRequest, r)->n_topics;
    Leat__FetchResponse *a = ANSWER_NEW(Leat__FetchResponse, leat__fetch_response, r);
    size_t at = 0;

    if (a == NULL)
        return NULL;
    a->topics = ANSWER_ARRAY(Leat__FetchTopicResult, leat__fetch_topic_result, r, topics);
    if (a->topics == NULL)
        return NULL;
    for (; a->n_topics < topics; a->n_topics++)
        if (!add_topic(f, (uint32_t)a->n_topics, &at, a->topics[a->n_topics]))
            return NULL;
    return fetch_take_slices(f) ? a : NULL;
}

static void count(struct fetch *f)
{
    size_t bytes = 0;

    for (size_t i = 0; i < f->request->slice_count; i++)
        bytes += f->request->slices[i].len;
    metric_add(f->node->o.metrics, METRIC_FETCHED_BYTES, bytes);
}

void fetch_answer(struct fetch *f)
{
    struct request *r = f->request;
    Leat__FetchResponse *a = make(f);

    count(f);
    for (size_t i = 0; i < f->group_count; i++)
        fetch_read_release(&f->groups[i]);
    if (a != NULL)
        request_answer(r, &a->base);
    else
        request_refuse_memory(r);
}
