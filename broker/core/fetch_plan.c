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

bool fetch_plan_begin(struct node *n, struct fetch *f, size_t count)
{
    size_t groups = count < n->o.shards ? count : n->o.shards;

    f->parts = request_alloc(f->request, count * sizeof *f->parts + 1);
    f->groups = request_alloc(f->request, groups * sizeof *f->groups + 1);
    f->slots = request_alloc(f->request, count * sizeof *f->slots + 1);
    return f->parts != NULL && f->groups != NULL && f->slots != NULL;
}

struct fetch_part *fetch_plan_add(struct node *n, struct fetch *f,
                                  const struct topic *topic, int32_t partition)
{
    struct fetch_part *part = &f->parts[f->count++];

    part->partition = partition;
    part->high_watermark = -1;
    part->log_start = -1;
    if (topic == NULL || partition < 0 || partition >= topic->partition_count) {
        part->status = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        return part;
    }
    part->topic_id = topic->id;
    part->group = group_of(f, node_shard_of(&topic->id, partition, n->o.shards));
    part->group->count++;
    return part;
}

void fetch_plan_end(struct fetch *f)
{
    struct fetch_part **slots = f->slots;

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

static void plan_topic(struct node *n, struct fetch *f, const Leat__FetchTopic *in)
{
    struct topic *topic = NULL;

    if (image_find(&n->image, bytes_of(in->name),
                   (struct bytes){in->topic_id.data, in->topic_id.len}, &topic))
        topic = NULL;
    for (size_t i = 0; i < in->n_partitions; i++) {
        const Leat__FetchPartition *q = in->partitions[i];
        struct fetch_part *part = fetch_plan_add(n, f, topic, q->partition);

        part->offset = q->offset;
        part->bytes_max = q->max_bytes;
        part->leader_epoch = q->leader_epoch;
        part->last_epoch = q->last_epoch;
    }
}

bool fetch_plan(struct node *n, struct fetch *f)
{
    const Leat__FetchRequest *q =
        (const Leat__FetchRequest *)(const void *)f->request->header;
    size_t count = 0;

    for (size_t t = 0; t < q->n_topics; t++)
        count += q->topics[t]->n_partitions;
    if (!fetch_plan_begin(n, f, count))
        return false;
    for (size_t t = 0; t < q->n_topics; t++)
        plan_topic(n, f, q->topics[t]);
    fetch_plan_end(f);
    return true;
}
