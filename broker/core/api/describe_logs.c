/* SPDX-License-Identifier: Apache-2.0
 *
 * Each shard fills in what it leads: one errand per shard goes around with all topics.
 * Then, for a client, the other brokers are asked for what they lead. */
#include "broker/core/api/api.h"

#include "proto/base/check.h"

#include <string.h>

enum { ASK_MS = 2000 };

struct survey_leg {
    struct errand errand;
    struct survey *survey;
};

struct survey;

struct survey_call {
    struct peer_call call;
    struct survey *survey;
};

struct survey {
    struct request *request;
    struct uuid *ids; /* per topic of the answer; zero: it has an error */
    size_t away;
    struct survey_leg *legs;   /* per shard */
    struct survey_call *calls; /* per broker */
    size_t call_count;
    Leat__DescribeLogsResponse answer;
};

static void describe(const struct partition *p, Leat__LogInfo *out)
{
    out->error = partition_ready(p);
    if (out->error)
        return;
    out->log_start = log_start(p->log);
    out->high_watermark = p->high_watermark;
    out->log_end = log_end(p->log);
    out->bytes = log_bytes(p->log);
    out->segments = log_segment_count(p->log);
    out->leader_epoch = p->leader_epoch;
    out->last_append_ms = log_last_append_ms(p->log);
}

/* Shards write to different elements, so they may do so at the same time. */
static void visit(struct node *n, struct errand *e)
{
    struct survey *s = container_of(e, struct survey_leg, errand)->survey;

    for (size_t t = 0; t < s->answer.n_topics; t++) {
        Leat__LogTopic *topic = s->answer.topics[t];

        for (size_t i = 0; i < topic->n_partitions; i++) {
            const struct partition *p = node_partition(n, s->ids[t], (int32_t)i);

            if (p != NULL)
                describe(p, topic->partitions[i]);
        }
    }
    errand_return(n, e);
}

/* ---- other brokers -------------------------------------------------------------------
 */

static void merge_topic(Leat__LogTopic *to, const Leat__LogTopic *from)
{
    for (size_t i = 0; i < from->n_partitions && i < to->n_partitions; i++)
        if (!from->partitions[i]->error)
            *to->partitions[i] = *from->partitions[i];
}

static Leat__LogTopic *find(const struct survey *s, const char *name, size_t hint)
{
    if (hint < s->answer.n_topics && !strcmp(s->answer.topics[hint]->name, name))
        return s->answer.topics[hint];
    for (size_t i = 0; i < s->answer.n_topics; i++)
        if (!strcmp(s->answer.topics[i]->name, name))
            return s->answer.topics[i];
    return NULL;
}

static void on_answer(struct peer_call *c)
{
    struct survey *s = container_of(c, struct survey_call, call)->survey;
    ProtobufCMessage *m;

    if (!c->status &&
        !rpc_unpack(s->request->row->response, c->answer, &s->request->arena, &m)) {
        const Leat__DescribeLogsResponse *a = (const void *)m;

        for (size_t i = 0; i < a->n_topics; i++) {
            Leat__LogTopic *to = find(s, a->topics[i]->name, i);

            if (to != NULL)
                merge_topic(to, a->topics[i]);
        }
    }
    if (--s->away == 0)
        request_answer(s->request, &s->answer.base);
}

static void ask_others(struct node *n, struct survey *s)
{
    size_t count = 0;

    s->away = 1;
    for (size_t i = 0; i < n->image.broker_count; i++) {
        const struct image_broker *b = &n->image.brokers[i];
        struct survey_call *sc = &s->calls[count];

        if (b->state == BROKER_FENCED || b->node_id == n->o.node_id ||
            count == s->call_count)
            continue;
        count++;
        s->away++;
        sc->survey = s;
        sc->call = (struct peer_call){.to = b->node_id,
                                      .at = b->at,
                                      .api = RPC_DESCRIBE_LOGS,
                                      .header = s->request->header,
                                      .timeout_ms = ASK_MS,
                                      .done = on_answer};
        node_call(n, &sc->call);
    }
    if (--s->away == 0)
        request_answer(s->request, &s->answer.base);
}

static void come_home(struct node *n, struct errand *e)
{
    struct survey *s = container_of(e, struct survey_leg, errand)->survey;

    if (--s->away == 0)
        ask_others(n, s);
}

static bool add_topic(struct survey *s, const struct topic *topic)
{
    struct request *r = s->request;
    Leat__LogTopic *out = s->answer.topics[s->answer.n_topics];
    size_t count = (size_t)topic->partition_count;

    out->name = arena_text(&r->arena, topic->name, strlen(topic->name));
    out->partitions = ANSWER_ARRAY(Leat__LogInfo, leat__log_info, r, count);
    if (out->name == NULL || out->partitions == NULL)
        return false;
    out->n_partitions = count;
    s->ids[s->answer.n_topics++] = topic->id;
    for (size_t i = 0; i < count; i++) {
        out->partitions[i]->partition = (int32_t)i;
        out->partitions[i]->error = STATUS_LEADER_NOT_AVAILABLE;
    }
    return true;
}

static bool add_all(struct node *n, struct survey *s)
{
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));)
        if (!topic_is_internal(topic) && !add_topic(s, topic))
            return false;
    return true;
}

static bool add_named(struct node *n, struct survey *s,
                      const Leat__DescribeLogsRequest *q)
{
    for (size_t i = 0; i < q->n_topics; i++) {
        struct topic *topic = image_topic(&n->image, bytes_of(q->topics[i]));

        if (topic == NULL) {
            Leat__LogTopic *out = s->answer.topics[s->answer.n_topics++];

            out->name = q->topics[i];
            out->error = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        } else if (!add_topic(s, topic)) {
            return false;
        }
    }
    return true;
}

static struct survey *survey_of(struct node *n, struct request *r)
{
    const Leat__DescribeLogsRequest *q = REQUEST_AS(Leat__DescribeLogsRequest, r);
    size_t count = q->n_topics > 0 ? q->n_topics : n->image.by_name.count;
    struct survey *s = request_alloc(r, sizeof *s);

    if (s == NULL)
        return NULL;
    leat__describe_logs_response__init(&s->answer);
    s->request = r;
    s->ids = request_alloc(r, count * sizeof *s->ids + 1);
    s->legs = request_alloc(r, n->o.shards * sizeof *s->legs);
    s->call_count = r->peer < 0 ? n->image.broker_count : 0;
    s->calls = request_alloc(r, s->call_count * sizeof *s->calls + 1);
    s->answer.topics = ANSWER_ARRAY(Leat__LogTopic, leat__log_topic, r, count);
    if (s->ids == NULL || s->legs == NULL || s->calls == NULL || s->answer.topics == NULL)
        return NULL;
    return (q->n_topics > 0 ? add_named(n, s, q) : add_all(n, s)) ? s : NULL;
}

void handle_describe_logs(struct node *n, struct request *r)
{
    struct survey *s = survey_of(n, r);

    if (s == NULL) {
        request_refuse_memory(r);
        return;
    }
    s->away = n->o.shards;
    for (unsigned shard = 0; shard < n->o.shards; shard++) {
        s->legs[shard] = (struct survey_leg){{.run = visit, .back = come_home}, s};
        errand_send(n, shard, &s->legs[shard].errand);
    }
}
