/* SPDX-License-Identifier: Apache-2.0
 *
 * How the cluster is: for operators who ask, and for the metrics page. */
#include "broker/core/cluster/controller_inner.h"
#include "broker/core/cluster/placement.h"

#include <string.h>

struct counts {
    uint64_t partitions, leaderless, offline, under_replicated, under_min, moving;
};

static bool anybody_could_lead(const struct elect_rules *r, const int32_t *set,
                               size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (image_is_active(r->image, set[i]) &&
            !image_has(r->faulty, r->faulty_count, set[i]))
            return true;
    return false;
}

static bool is_offline(const struct controller *c, const struct topic *topic,
                       const struct image_partition *p)
{
    struct elect_rules r;

    if (p->leader >= 0)
        return false;
    r = controller_elect_rules(c, topic, p);
    return !anybody_could_lead(&r, p->in_sync, p->in_sync_count) &&
           !anybody_could_lead(&r, p->eligible, p->eligible_count);
}

static void count_partition(const struct controller *c, const struct topic *topic,
                            const struct image_partition *p, struct counts *out)
{
    out->partitions++;
    out->leaderless += p->leader < 0;
    out->offline += is_offline(c, topic, p);
    out->under_replicated += p->in_sync_count < p->replica_count - p->adding_count;
    out->under_min += (int32_t)p->in_sync_count < partition_min_in_sync(topic, p);
    out->moving += p->adding_count > 0 || p->removing_count > 0;
}

static struct counts count_all(const struct controller *c)
{
    struct counts out = {0};
    const struct topic *topic;

    for (size_t i = 0; (topic = map_next(&c->o.image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++)
            count_partition(c, topic, &topic->partitions[n], &out);
    return out;
}

void controller_gauges(const struct controller *c)
{
    struct counts counts = {0};
    uint64_t active = 0, fenced = 0;
    struct metrics *m = c->o.metrics;

    for (size_t i = 0; c->active && i < c->o.image->broker_count; i++) {
        active += c->o.image->brokers[i].state == BROKER_ACTIVE;
        fenced += c->o.image->brokers[i].state == BROKER_FENCED;
    }
    if (c->active)
        counts = count_all(c);
    metric_set(m, METRIC_BROKERS_ACTIVE, active);
    metric_set(m, METRIC_BROKERS_FENCED, fenced);
    metric_set(m, METRIC_LEADERLESS, counts.leaderless);
    metric_set(m, METRIC_OFFLINE, counts.offline);
    metric_set(m, METRIC_UNDER_REPLICATED, counts.under_replicated);
    metric_set(m, METRIC_UNDER_MIN_IN_SYNC, counts.under_min);
    metric_set(m, METRIC_MOVING, counts.moving);
}

static const struct session *session_of(const struct controller *c, int32_t node_id)
{
    for (size_t i = 0; c->active && i < c->session_count; i++)
        if (c->sessions[i].node_id == node_id)
            return &c->sessions[i];
    return NULL;
}

static void count_of_broker(const struct image *image, int32_t id,
                            Leat__BrokerStatus *out)
{
    const struct topic *topic;

    for (size_t i = 0; (topic = map_next(&image->by_name, &i));)
        for (int32_t n = 0; n < topic->partition_count; n++) {
            const struct image_partition *p = &topic->partitions[n];
            bool has = image_has(p->replicas, p->replica_count, id);

            out->replicas += has;
            out->leaders += p->leader == id;
            out->homeless += has && p->adding_count == 0 && p->removing_count == 0 &&
                             !placement_has_home(image, p->replicas, p->replica_count);
            out->out_of_sync += has && !image_has(p->in_sync, p->in_sync_count, id);
        }
}

static void describe(const struct controller *c, const struct image_broker *b,
                     Leat__BrokerStatus *out)
{
    static const char *const states[] = {
        [BROKER_FENCED] = "fenced",
        [BROKER_ACTIVE] = "active",
        [BROKER_STOPPING] = "stopping",
    };
    const struct session *s = session_of(c, b->node_id);

    out->node_id = b->node_id;
    out->host = (char *)(uintptr_t)b->at.host;
    out->port = b->at.port;
    out->rack = b->rack;
    out->state = (char *)(uintptr_t)states[b->state];
    out->draining = b->draining;
    out->broker_epoch = b->epoch;
    out->silent_ms = s == NULL                    ? -1
                     : b->node_id == c->o.node_id ? 0
                                                  : c->now.mono_ms - s->heard_ms;
    out->applied_offset = s ? s->applied : -1;
    out->faulty = s ? s->faults.count : 0;
    out->software_version = b->version;
    out->voter = quorum_is_voter(c->o.quorum, b->node_id);
    count_of_broker(c->o.image, b->node_id, out);
}

void handle_describe_cluster(struct controller *c, struct request *r)
{
    const struct image *image = c->o.image;
    Leat__DescribeClusterResponse *a =
        ANSWER_NEW(Leat__DescribeClusterResponse, leat__describe_cluster_response, r);
    struct counts counts = count_all(c);
    struct endpoint at;

    if (a != NULL)
        a->brokers =
            ANSWER_ARRAY(Leat__BrokerStatus, leat__broker_status, r, image->broker_count);
    if (a == NULL || a->brokers == NULL) {
        request_refuse_memory(r);
        return;
    }
    a->cluster_id = (ProtobufCBinaryData){UUID_BYTES, r->node->o.cluster_id.id};
    a->controller_id = quorum_leader(c->o.quorum, &at);
    a->controller_epoch = quorum_epoch(c->o.quorum);
    for (size_t i = 0; i < image->broker_count; i++)
        describe(c, &image->brokers[i], a->brokers[a->n_brokers++]);
    a->topics = image_topic_count(image);
    a->partitions = counts.partitions;
    a->leaderless = counts.leaderless;
    a->offline = counts.offline;
    a->under_replicated = counts.under_replicated;
    a->under_min_in_sync = counts.under_min;
    a->moving = counts.moving;
    a->metadata_offset = image->applied;
    request_answer(r, &a->base);
}
