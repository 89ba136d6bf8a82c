/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"

#include <string.h>

static bool describe(const struct topic *topic, struct request *r, Leat__TopicInfo *info)
{
    size_t count = (size_t)topic->partition_count;

    info->name = arena_text(&r->arena, topic->name, strlen(topic->name));
    info->topic_id.len = UUID_BYTES;
    info->topic_id.data = (uint8_t *)arena_text(&r->arena, topic->id.id, UUID_BYTES);
    info->internal = topic_is_internal(topic);
    info->partitions = ANSWER_ARRAY(Leat__PartitionInfo, leat__partition_info, r, count);
    if (info->name == NULL || info->topic_id.data == NULL || info->partitions == NULL)
        return false;
    info->n_partitions = count;
    for (size_t i = 0; i < count; i++) {
        const struct image_partition *p = &topic->partitions[i];
        Leat__PartitionInfo *out = info->partitions[i];
        int32_t *numbers =
            request_alloc(r, (p->replica_count + p->in_sync_count) * sizeof *numbers);

        if (numbers == NULL)
            return false;
        memcpy(numbers, p->replicas, p->replica_count * sizeof *numbers);
        memcpy(numbers + p->replica_count, p->in_sync,
               p->in_sync_count * sizeof *numbers);
        out->partition = (int32_t)i;
        out->leader = p->leader;
        out->leader_epoch = p->leader_epoch;
        out->replicas = numbers;
        out->n_replicas = p->replica_count;
        out->in_sync = numbers + p->replica_count;
        out->n_in_sync = p->in_sync_count;
    }
    return true;
}

static bool describe_all(const struct node *n, struct request *r, bool internal,
                         Leat__MetadataResponse *a)
{
    struct topic *topic;

    a->topics =
        ANSWER_ARRAY(Leat__TopicInfo, leat__topic_info, r, n->image.by_name.count);
    if (a->topics == NULL)
        return false;
    for (size_t i = 0; (topic = map_next(&n->image.by_name, &i));) {
        if (topic_is_internal(topic) && !internal)
            continue;
        if (!describe(topic, r, a->topics[a->n_topics++]))
            return false;
    }
    return true;
}

static bool describe_named(const struct node *n, struct request *r,
                           const Leat__MetadataRequest *q, Leat__MetadataResponse *a)
{
    a->topics = ANSWER_ARRAY(Leat__TopicInfo, leat__topic_info, r, q->n_topics);
    if (a->topics == NULL)
        return false;
    a->n_topics = q->n_topics;
    for (size_t i = 0; i < q->n_topics; i++) {
        struct bytes name = bytes_of(q->topics[i]);
        struct topic *topic = image_topic(&n->image, name);

        a->topics[i]->name = q->topics[i];
        if (topic == NULL)
            a->topics[i]->error = name_is_valid(name) ? STATUS_UNKNOWN_TOPIC_OR_PARTITION
                                                      : STATUS_INVALID_TOPIC;
        else if (!describe(topic, r, a->topics[i]))
            return false;
    }
    return true;
}

void handle_metadata(struct node *n, struct request *r)
{
    const Leat__MetadataRequest *q = REQUEST_AS(Leat__MetadataRequest, r);
    Leat__MetadataResponse *a =
        ANSWER_NEW(Leat__MetadataResponse, leat__metadata_response, r);

    if (a != NULL)
        a->brokers = ANSWER_ARRAY(Leat__BrokerInfo, leat__broker_info, r, 1);
    if (a == NULL || a->brokers == NULL ||
        !(q->all_topics ? describe_all(n, r, q->include_internal, a)
                        : describe_named(n, r, q, a))) {
        request_refuse_memory(r);
        return;
    }
    a->cluster_id = (ProtobufCBinaryData){UUID_BYTES, n->o.cluster_id.id};
    a->controller_id = n->o.node_id;
    a->n_brokers = 1;
    a->brokers[0]->node_id = n->o.node_id;
    a->brokers[0]->host = (char *)n->o.at.host;
    a->brokers[0]->port = n->o.at.port;
    request_answer(r, &a->base);
}
