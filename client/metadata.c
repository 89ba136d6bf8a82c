/* SPDX-License-Identifier: Apache-2.0 */
#include "client/metadata.h"

#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 1 << 20 };

enum status metadata_request(const struct cluster *c, struct writer *out)
{
    Leat__MetadataRequest m = LEAT__METADATA_REQUEST__INIT;
    struct topic *t;

    m.topics = calloc(c->topics.count + 1, sizeof m.topics[0]);
    if (m.topics == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; (t = map_next(&c->topics, &i)) != NULL;)
        m.topics[m.n_topics++] = t->name;
    rpc_pack(&m.base, out);
    free(m.topics);
    return writer_status(out);
}

static bool sound(const Leat__MetadataResponse *m)
{
    for (size_t i = 0; i < m->n_brokers; i++)
        if (m->brokers[i]->port == 0 || m->brokers[i]->port > UINT16_MAX ||
            m->brokers[i]->host[0] == '\0' ||
            strlen(m->brokers[i]->host) >= CONNECTION_HOST_MAX)
            return false;
    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__TopicInfo *t = m->topics[i];

        if (t->n_partitions > PARTITIONS_MAX)
            return false;
        for (size_t j = 0; j < t->n_partitions; j++)
            if (t->partitions[j]->partition != (int32_t)j)
                return false;
    }
    return true;
}

static enum status apply_broker(struct cluster *c, const Leat__BrokerInfo *b)
{
    struct node *n = cluster_find(c, b->node_id);
    enum status st;

    if (n != NULL) {
        connection_move(&n->connection, b->host, (uint16_t)b->port);
        return STATUS_OK;
    }
    n = calloc(1, sizeof *n);
    if (n == NULL)
        return STATUS_NO_MEMORY;
    n->id = b->node_id;
    st = connection_init(&n->connection, c->engine, c->conf, b->host, (uint16_t)b->port);
    if (st) {
        free(n);
        return st;
    }
    if (!map_put(&c->nodes, (struct bytes){(const uint8_t *)&n->id, sizeof n->id}, n)) {
        connection_release(&n->connection);
        free(n);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status apply_topic(struct cluster *c, const Leat__TopicInfo *info)
{
    struct topic *t = map_get(&c->topics, bytes_of(info->name));
    struct uuid id = {0};

    if (t == NULL)
        return STATUS_OK;
    uuid_from((struct bytes){info->topic_id.data, info->topic_id.len}, &id);
    t->known = true;
    t->status = (enum status)info->error;
    if (info->error)
        return STATUS_OK; /* the partitions that we knew stay: it may be passing */
    if (t->partition_count != (int32_t)info->n_partitions) {
        struct topic_partition *p =
            calloc(info->n_partitions + 1, sizeof t->partitions[0]);

        if (p == NULL)
            return STATUS_NO_MEMORY;
        free(t->partitions);
        t->partitions = p;
        t->partition_count = (int32_t)info->n_partitions;
        t->generation++;
    } else if (!uuid_equal(t->id, id)) {
        t->generation++;
        memset(t->partitions, 0, info->n_partitions * sizeof t->partitions[0]);
    }
    t->id = id;
    /* A broker that lags must not undo what a better one has said. */
    for (int32_t i = 0; i < t->partition_count; i++)
        if (info->partitions[i]->leader_epoch >= t->partitions[i].leader_epoch)
            t->partitions[i] = (struct topic_partition){
                info->partitions[i]->leader, info->partitions[i]->leader_epoch};
    return STATUS_OK;
}

enum status metadata_apply(struct cluster *c, const Leat__MetadataResponse *m)
{
    enum status st = STATUS_OK;

    if (!sound(m))
        return STATUS_PROTOCOL;
    uuid_from((struct bytes){m->cluster_id.data, m->cluster_id.len}, &c->cluster_id);
    c->controller_id = m->controller_id;
    c->coordinator_id = m->coordinator_id;
    for (size_t i = 0; i < m->n_brokers && !st; i++)
        st = apply_broker(c, m->brokers[i]);
    for (size_t i = 0; i < m->n_topics && !st; i++)
        st = apply_topic(c, m->topics[i]);
    return st;
}
