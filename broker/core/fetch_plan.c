/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fetch.h"

static struct fetch_group *group_of(struct fetch *f, unsigned shard)
{
    for (size_t i = 0; i < f->group_count; i++)
        if (f->groups[i].shard == shard)
            return &f->groups[i];
    f->groups[f->group_count] = (struct fetch_group){.fetch = f, .shard = shard};
    return &f->groups[f->group_count++];
}

static void plan_topic(struct node *n, struct fetch *f, uint32_t topic_at,
                       const Leat__FetchTopic *in)
{
    struct topic *topic = NULL;

    if (image_find(&n->image, bytes_of(in->name),
                   (struct bytes){in->topic_id.data, in->topic_id.len}, &topic))
        topic = NULL;
    for (size_t i = 0; i < in->n_partitions; i++) {
        const Leat__FetchPartition *q = in->partitions[i];
        struct fetch_part *part = &f->parts[f->count++];

        part->partition = q->partition;
        part->topic = topic_at;
        part->offset = q->offset;
        part->bytes_max = q->max_bytes;
        part->high_watermark = -1;
        part->log_start = -1;
        if (topic == NULL || q->partition < 0 || q->partition >= topic->partition_count) {
            part->status = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        part->topic_id = topic->id;
        part->group = group_of(f, node_shard_of(&topic->id, q->partition, n->o.shards));
        part->group->count++;
    }
}

static void deal_out(struct fetch *f, struct fetch_part **slots)
{
    for (size_t i = 0; i < f->group_count; i++) {
        f->groups[i].parts = slots;
        slots += f->groups[i].count;
        f->groups[i].count = 0;
    }
    for (size_t i = 0; i < f->count; i++) {
        struct fetch_group *g = f->parts[i].group;

        if (g != NULL)
            g->parts[g->count++] = &f->parts[i];
    }
}

bool fetch_plan(struct node *n, struct fetch *f)
{
    const Leat__FetchRequest *q =
        (const Leat__FetchRequest *)(const void *)f->request->header;
    struct fetch_part **slots;
    size_t count = 0, groups;

    for (size_t t = 0; t < q->n_topics; t++)
        count += q->topics[t]->n_partitions;
    groups = count < n->o.shards ? count : n->o.shards;
    f->parts = request_alloc(f->request, count * sizeof *f->parts + 1);
    f->groups = request_alloc(f->request, groups * sizeof *f->groups + 1);
    slots = request_alloc(f->request, count * sizeof *slots + 1);
    if (f->parts == NULL || f->groups == NULL || slots == NULL)
        return false;
    for (uint32_t t = 0; t < q->n_topics; t++)
        plan_topic(n, f, t, q->topics[t]);
    deal_out(f, slots);
    return true;
}
