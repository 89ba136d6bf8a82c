/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/produce.h"

/* A part that is not sent anywhere: its status says why. */
static void refuse(struct produce_part *part, int32_t partition, enum status status)
{
    part->partition = partition;
    part->status = status;
}

static size_t parts_bound(struct node *n, const Leat__ProduceRequest *q)
{
    size_t count = 0;

    for (size_t t = 0; t < q->n_topics; t++) {
        struct topic *topic = image_topic(&n->image, bytes_of(q->topics[t]->name));

        for (size_t i = 0; i < q->topics[t]->n_partitions; i++)
            count += produce_plain_parts(topic, q->topics[t]->partitions[i]) + 1;
    }
    return count;
}

static const char *check(const Leat__ProducePartition *in)
{
    if (in->batch_bytes > 0 && in->n_records > 0)
        return "a partition has either a ready batch or plain records, not both";
    if (in->partition < -1 || (in->partition == -1 && in->batch_bytes > 0))
        return "only plain records may leave the partition to the broker";
    return NULL;
}

/* One partition of the request becomes one part or, with plain records, several. */
static enum status plan_partition(struct node *n, struct produce *p,
                                  const struct topic *topic, uint32_t topic_at,
                                  const Leat__ProducePartition *in, struct slice *payload)
{
    struct produce_part *part = &p->parts[p->count];
    int made = 1;

    if (topic == NULL || in->partition >= topic->partition_count)
        refuse(part, in->partition, STATUS_UNKNOWN_TOPIC_OR_PARTITION);
    else if (in->batch_bytes == 0 && in->n_records == 0)
        refuse(part, in->partition, STATUS_INVALID_RECORD);
    else if (in->n_records > 0)
        made = produce_plain(n, &p->request->arena, topic, in, part);
    else {
        part->partition = in->partition;
        part->batch = (uint8_t *)payload->data;
        part->batch_bytes = in->batch_bytes;
    }
    if (made < 0)
        return STATUS_THROTTLED;
    for (int i = 0; i < made; i++) {
        part[i].topic = topic_at;
        part[i].base_offset = -1;
        part[i].log_start = -1;
        if (topic != NULL)
            part[i].topic_id = topic->id;
    }
    p->count += (size_t)made;
    payload->data += in->batch_bytes;
    payload->len -= in->batch_bytes;
    return STATUS_OK;
}

static enum status plan_parts(struct node *n, struct produce *p, const char **why)
{
    const Leat__ProduceRequest *q = REQUEST_AS(Leat__ProduceRequest, p->request);
    struct slice payload = p->request->payload;

    for (uint32_t t = 0; t < q->n_topics; t++) {
        const Leat__ProduceTopic *in = q->topics[t];
        struct topic *topic = NULL;

        if (image_find(&n->image, bytes_of(in->name),
                       (struct bytes){in->topic_id.data, in->topic_id.len}, &topic))
            topic = NULL;
        for (size_t i = 0; i < in->n_partitions; i++) {
            enum status st;

            *why = in->partitions[i]->batch_bytes > payload.len
                       ? "the payload is shorter than its batches"
                       : check(in->partitions[i]);
            if (*why != NULL)
                return STATUS_INVALID_REQUEST;
            st = plan_partition(n, p, topic, t, in->partitions[i], &payload);
            if (st)
                return st;
        }
    }
    *why = payload.len > 0 ? "the payload is longer than its batches" : NULL;
    return payload.len > 0 ? STATUS_INVALID_REQUEST : STATUS_OK;
}

static struct produce_group *group_of(struct produce *p, unsigned shard)
{
    for (size_t i = 0; i < p->group_count; i++)
        if (p->groups[i].shard == shard)
            return &p->groups[i];
    p->groups[p->group_count] = (struct produce_group){.produce = p, .shard = shard};
    return &p->groups[p->group_count++];
}

/* One array of pointers for all groups: counted first, then dealt out. */
static enum status plan_groups(struct node *n, struct produce *p)
{
    struct produce_part **slots;
    size_t most = p->count < n->o.shards ? p->count : n->o.shards;

    p->groups = request_alloc(p->request, most * sizeof *p->groups + 1);
    slots = request_alloc(p->request, p->count * sizeof(struct produce_part *) + 1);
    if (p->groups == NULL || slots == NULL)
        return STATUS_THROTTLED;
    for (size_t i = 0; i < p->count; i++) {
        struct produce_part *part = &p->parts[i];

        if (part->batch == NULL)
            continue;
        part->group =
            group_of(p, node_shard_of(&part->topic_id, part->partition, n->o.shards));
        part->group->count++;
    }
    for (size_t i = 0; i < p->group_count; i++) {
        p->groups[i].parts = slots;
        slots += p->groups[i].count;
        p->groups[i].count = 0;
    }
    for (size_t i = 0; i < p->count; i++) {
        struct produce_group *g = p->parts[i].group;

        if (g != NULL)
            g->parts[g->count++] = &p->parts[i];
    }
    return STATUS_OK;
}

enum status produce_plan(struct node *n, struct produce *p, const char **why)
{
    const Leat__ProduceRequest *q = REQUEST_AS(Leat__ProduceRequest, p->request);
    enum status st;

    *why = NULL;
    p->parts = request_alloc(p->request, parts_bound(n, q) * sizeof *p->parts + 1);
    if (p->parts == NULL)
        return STATUS_THROTTLED;
    st = plan_parts(n, p, why);
    return st ? st : plan_groups(n, p);
}
