/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"
#include "broker/core/cluster/elect.h"
#include "broker/core/group/coordinator.h"

#include <string.h>

/* The image may change before the answer is packed on another shard. */
static bool copy(struct request *r, const int32_t *from, size_t count, int32_t **out)
{
    *out = request_alloc(r, count * sizeof **out + 1);
    if (*out != NULL && count > 0)
        memcpy(*out, from, count * sizeof **out);
    return *out != NULL;
}

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

        out->partition = (int32_t)i;
        out->leader = p->leader;
        out->leader_epoch = p->leader_epoch;
        out->partition_epoch = p->partition_epoch;
        out->min_in_sync = partition_min_in_sync(topic, p);
        out->n_replicas = p->replica_count;
        out->n_in_sync = p->in_sync_count;
        out->n_eligible = p->eligible_count;
        out->n_adding = p->adding_count;
        out->n_removing = p->removing_count;
        if (!copy(r, p->replicas, p->replica_count, &out->replicas) ||
            !copy(r, p->in_sync, p->in_sync_count, &out->in_sync) ||
            !copy(r, p->eligible, p->eligible_count, &out->eligible) ||
            !copy(r, p->adding, p->adding_count, &out->adding) ||
            !copy(r, p->removing, p->removing_count, &out->removing))
            return false;
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

static void tell_broker(Leat__BrokerInfo *out, int32_t node_id, const struct endpoint *at,
                        const char *rack)
{
    out->node_id = node_id;
    out->host = (char *)at->host;
    out->port = at->port;
    out->rack = (char *)rack;
}

/* Those that are up; before anybody has registered there is but this one. The answer is
 * packed before the image can change. */
static bool describe_brokers(const struct node *n, struct request *r,
                             Leat__MetadataResponse *a)
{
    a->brokers =
        ANSWER_ARRAY(Leat__BrokerInfo, leat__broker_info, r, n->image.broker_count + 1);
    if (a->brokers == NULL)
        return false;
    for (size_t i = 0; i < n->image.broker_count; i++) {
        const struct image_broker *b = &n->image.brokers[i];

        if (b->state != BROKER_FENCED)
            tell_broker(a->brokers[a->n_brokers++], b->node_id, &b->at, b->rack);
    }
    if (a->n_brokers == 0)
        tell_broker(a->brokers[a->n_brokers++], n->o.node_id, &n->o.at, n->o.rack);
    return true;
}

static int32_t coordinator_of(const struct node *n)
{
    const struct topic *t = image_topic_by_id(&n->image, groups_topic_id);

    return t != NULL && t->partitions[0].leader > 0 ? t->partitions[0].leader : 0;
}

void handle_metadata(struct node *n, struct request *r)
{
    const Leat__MetadataRequest *q = REQUEST_AS(Leat__MetadataRequest, r);
    Leat__MetadataResponse *a =
        ANSWER_NEW(Leat__MetadataResponse, leat__metadata_response, r);
    struct endpoint at;

    if (a == NULL || !describe_brokers(n, r, a) ||
        !(q->all_topics ? describe_all(n, r, q->include_internal, a)
                        : describe_named(n, r, q, a))) {
        request_refuse_memory(r);
        return;
    }
    a->cluster_id = (ProtobufCBinaryData){UUID_BYTES, n->o.cluster_id.id};
    a->controller_id = node_controller(n, &at);
    a->coordinator_id = coordinator_of(n);
    request_answer(r, &a->base);
}
