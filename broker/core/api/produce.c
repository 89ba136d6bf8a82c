/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/produce.h"

#include "proto/base/check.h"

#include <inttypes.h>

enum { TIMEOUT_DEFAULT_MS = 30000 };

static char *explain(struct arena *arena, const struct produce_part *part)
{
    if (part->status == STATUS_MESSAGE_TOO_LARGE)
        return arena_format(arena,
                            "the batch has %zu bytes; the topic's max.message.bytes is "
                            "%" PRId64,
                            part->batch_bytes, part->limit);
    if (part->status == STATUS_RECORD_LIST_TOO_LARGE)
        return arena_format(
            arena, "the batch has %zu bytes; the topic's segment.bytes is %" PRId64,
            part->batch_bytes, part->limit);
    return (char *)"";
}

static bool add_result(struct request *r, const struct produce_part *part,
                       Leat__ProduceResult *out)
{
    char *message = explain(&r->arena, part);

    out->partition = part->partition;
    out->error = part->status;
    out->base_offset = part->status ? -1 : part->base_offset;
    out->log_start = part->log_start;
    if (message != NULL)
        out->error_message = message;
    return message != NULL;
}

static bool add_topic(struct produce *p, uint32_t topic, size_t *at,
                      Leat__ProduceTopicResult *out)
{
    size_t first = *at;

    while (*at < p->count && p->parts[*at].topic == topic)
        ++*at;
    out->name = REQUEST_AS(Leat__ProduceRequest, p->request)->topics[topic]->name;
    out->n_partitions = *at - first;
    out->partitions = ANSWER_ARRAY(Leat__ProduceResult, leat__produce_result, p->request,
                                   out->n_partitions);
    for (size_t i = 0; out->partitions != NULL && i < out->n_partitions; i++)
        if (!add_result(p->request, &p->parts[first + i], out->partitions[i]))
            return false;
    return out->partitions != NULL;
}

/* The answer keeps the request's order of topics and partitions. */
static void answer(struct produce *p)
{
    struct request *r = p->request;
    size_t topics = REQUEST_AS(Leat__ProduceRequest, r)->n_topics;
    Leat__ProduceResponse *a =
        ANSWER_NEW(Leat__ProduceResponse, leat__produce_response, r);
    size_t at = 0;

    if (a != NULL)
        a->topics =
            ANSWER_ARRAY(Leat__ProduceTopicResult, leat__produce_topic_result, r, topics);
    if (a == NULL || a->topics == NULL) {
        request_refuse_memory(r);
        return;
    }
    for (; a->n_topics < topics; a->n_topics++) {
        if (!add_topic(p, (uint32_t)a->n_topics, &at, a->topics[a->n_topics])) {
            request_refuse_memory(r);
            return;
        }
    }
    request_answer(r, &a->base);
}

static void one_done(struct produce *p)
{
    CHECK(p->away > 0);
    if (--p->away == 0)
        answer(p);
}

static void run_away(struct node *n, struct errand *e)
{
    struct produce_group *g = container_of(e, struct produce_group, errand);

    if (produce_append(n, g))
        errand_return(n, e);
}

static void come_home(struct node *n, struct errand *e)
{
    one_done(container_of(e, struct produce_group, errand)->produce);
}

void produce_group_done(struct produce_group *g)
{
    if (g->errand.run != NULL)
        errand_return(g->node, &g->errand);
    else
        one_done(g->produce);
}

static void start(struct node *n, struct produce *p)
{
    p->away = p->group_count + 1; /* so that the last one is the end of this loop */
    for (size_t i = 0; i < p->group_count; i++) {
        struct produce_group *g = &p->groups[i];

        if (g->shard != n->o.shard) {
            g->errand.run = run_away;
            g->errand.back = come_home;
            errand_send(n, g->shard, &g->errand);
        } else if (produce_append(n, g)) {
            one_done(p);
        }
    }
    one_done(p);
}

void handle_produce(struct node *n, struct request *r)
{
    const Leat__ProduceRequest *q = REQUEST_AS(Leat__ProduceRequest, r);
    struct produce *p = request_alloc(r, sizeof *p);
    const char *why = NULL;
    enum status st;

    if (p == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (q->acks < -1 || q->acks > 1) {
        request_refuse(r, STATUS_INVALID_REQUEST, "acks is -1, 0 or 1, not %d", q->acks);
        return;
    }
    p->request = r;
    p->wait = q->acks != 0 && !r->one_way;
    p->ack = q->acks == -1 ? ACK_ALL : ACK_LEADER;
    p->timeout_ms = q->timeout_ms > 0 ? q->timeout_ms : TIMEOUT_DEFAULT_MS;
    st = produce_plan(n, p, &why);
    if (st == STATUS_THROTTLED)
        request_refuse_memory(r);
    else if (st)
        request_refuse(r, st, "%s", why);
    else
        start(n, p);
}
