/* SPDX-License-Identifier: Apache-2.0
 *
 * Offset fetch: what is committed and applied, hence durable; answered at once. */
#include "broker/core/group/operation.h"

#include <string.h>

static Leat__OffsetFetchResult *row_of(struct request *r, int32_t partition,
                                       const struct committed *o)
{
    Leat__OffsetFetchResult *row = request_alloc(r, sizeof *row);

    if (row == NULL)
        return NULL;
    leat__offset_fetch_result__init(row);
    row->partition = partition;
    row->offset = -1;
    row->leader_epoch = -1;
    if (o == NULL)
        return row;
    row->offset = o->offset;
    row->leader_epoch = o->leader_epoch;
    row->committed_at_ms = o->committed_ms;
    row->metadata = arena_text(&r->arena, o->metadata, strlen(o->metadata));
    return row->metadata != NULL ? row : NULL;
}

static Leat__OffsetFetchTopic *topic_of(struct request *r, char *name, size_t rows)
{
    Leat__OffsetFetchTopic *t = request_alloc(r, sizeof *t);

    if (t == NULL)
        return NULL;
    leat__offset_fetch_topic__init(t);
    t->name = name;
    t->partitions = request_alloc(r, (rows + 1) * sizeof(Leat__OffsetFetchResult *));
    return t->partitions != NULL ? t : NULL;
}

static Leat__OffsetFetchTopic *asked(const struct coordinator *c, struct request *r,
                                     const struct group *g,
                                     const Leat__TopicPartitions *q)
{
    const struct topic *topic = image_topic(c->o.image, bytes_of(q->topic));
    Leat__OffsetFetchTopic *t = topic_of(r, q->topic, q->n_partitions);

    for (size_t i = 0; t != NULL && i < q->n_partitions; i++) {
        int32_t partition = q->partitions[i];
        bool exists =
            topic != NULL && partition >= 0 && partition < topic->partition_count;
        const struct committed *o = NULL;

        if (exists && g != NULL)
            o = group_offset(g, &(struct topic_partition){topic->id, partition});
        t->partitions[i] = row_of(r, partition, o);
        if (t->partitions[i] == NULL)
            return NULL;
        if (!exists)
            t->partitions[i]->error = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        t->n_partitions++;
    }
    return t;
}

static bool fill_asked(const struct coordinator *c, struct request *r,
                       const struct group *g, const Leat__OffsetFetchRequest *q,
                       Leat__OffsetFetchResponse *a)
{
    a->topics = request_alloc(r, q->n_topics * sizeof(Leat__OffsetFetchTopic *));
    for (size_t i = 0; a->topics != NULL && i < q->n_topics; i++) {
        a->topics[i] = asked(c, r, g, q->topics[i]);
        if (a->topics[i] == NULL)
            return false;
        a->n_topics++;
    }
    return a->topics != NULL;
}

/* Sorted, so a topic's rows stand together. */
static bool fill_all(const struct coordinator *c, struct request *r,
                     const struct group *g, Leat__OffsetFetchResponse *a)
{
    const struct committed **list = committed_sorted(r, g);
    size_t n = g->offsets.count;
    Leat__OffsetFetchTopic *t = NULL;

    a->topics = request_alloc(r, (n + 1) * sizeof(Leat__OffsetFetchTopic *));
    if (list == NULL || a->topics == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct topic *topic = image_topic_by_id(c->o.image, list[i]->at.topic);

        if (topic == NULL)
            continue;
        if (i == 0 || !uuid_equal(list[i - 1]->at.topic, list[i]->at.topic)) {
            t = topic_of(r, topic->name, n - i);
            if (t == NULL)
                return false;
            a->topics[a->n_topics++] = t;
        }
        t->partitions[t->n_partitions] = row_of(r, list[i]->at.partition, list[i]);
        if (t->partitions[t->n_partitions++] == NULL)
            return false;
    }
    return true;
}

static size_t count_asked(const Leat__OffsetFetchRequest *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_topics; i++)
        n += q->topics[i]->n_partitions;
    return n;
}

void request_offsets(struct coordinator *c, struct request *r)
{
    const Leat__OffsetFetchRequest *q = (const Leat__OffsetFetchRequest *)r->header;
    const struct group *g = groups_find(&c->groups, q->group);
    Leat__OffsetFetchResponse *a;
    bool filled = true;

    if (!name_is_valid(bytes_of(q->group))) {
        request_refuse(r, STATUS_INVALID_GROUP, NULL);
        return;
    }
    if (count_asked(q) > GROUP_ROWS_MAX) {
        request_refuse(r, STATUS_TOO_MANY, "ask for at most %d partitions at a time",
                       GROUP_ROWS_MAX);
        return;
    }
    a = request_alloc(r, sizeof *a);
    if (a != NULL) {
        leat__offset_fetch_response__init(a);
        if (q->n_topics > 0)
            filled = fill_asked(c, r, g, q, a);
        else if (g != NULL)
            filled = fill_all(c, r, g, a);
    }
    if (a != NULL && filled)
        request_answer(r, (ProtobufCMessage *)a);
    else
        request_refuse(r, STATUS_THROTTLED, NULL);
}
