/* SPDX-License-Identifier: Apache-2.0
 *
 * The records that a change consists of, packed one after the other. */
#include "broker/core/change.h"

#include "proto/rpc/metadata.pb-c.h"

#include <string.h>

struct change change_of(struct arena *arena)
{
    return (struct change){.arena = arena};
}

static void add(struct change *c, const Leat__Metadata__Record *r)
{
    size_t size = leat__metadata__record__get_packed_size(r);
    uint8_t *data = arena_alloc(c->arena, size);

    if (c->count == c->capacity) {
        size_t capacity = c->capacity > 0 ? 2 * c->capacity : 8;
        struct bytes *records = arena_alloc(c->arena, capacity * sizeof *records);

        if (records == NULL) {
            c->failed = true;
            return;
        }
        if (c->count > 0)
            memcpy(records, c->records, c->count * sizeof *records);
        c->records = records;
        c->capacity = capacity;
    }
    if (data == NULL) {
        c->failed = true;
        return;
    }
    leat__metadata__record__pack(r, data);
    c->records[c->count++] = (struct bytes){data, size};
}

static ProtobufCBinaryData id_bytes(const struct uuid *id)
{
    return (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)id->id};
}

/* ---- topics --------------------------------------------------------------------------
 */

void change_new_topic(struct change *c, struct uuid id, const char *name, int64_t wall_ms)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Topic topic = LEAT__METADATA__TOPIC__INIT;

    topic.topic_id = id_bytes(&id);
    topic.name = (char *)name;
    topic.created_ms = wall_ms;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
    r.topic = &topic;
    add(c, &r);
}

void change_remove_topic(struct change *c, struct uuid id)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__RemoveTopic removal = LEAT__METADATA__REMOVE_TOPIC__INIT;

    removal.topic_id = id_bytes(&id);
    r.kind_case = LEAT__METADATA__RECORD__KIND_REMOVE_TOPIC;
    r.remove_topic = &removal;
    add(c, &r);
}

void change_topic_setting(struct change *c, struct uuid topic, const char *key,
                          const char *value)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__TopicConfig config = LEAT__METADATA__TOPIC_CONFIG__INIT;

    config.topic_id = id_bytes(&topic);
    config.key = (char *)key;
    config.value = (char *)(value ? value : "");
    config.unset = value == NULL;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC_CONFIG;
    r.topic_config = &config;
    add(c, &r);
}

void change_partition(struct change *c, struct uuid topic, int32_t number,
                      const struct image_partition *p)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Partition partition = LEAT__METADATA__PARTITION__INIT;

    partition.topic_id = id_bytes(&topic);
    partition.partition = number;
    partition.replicas = p->replicas;
    partition.n_replicas = p->replica_count;
    partition.in_sync = p->in_sync;
    partition.n_in_sync = p->in_sync_count;
    partition.leader = p->leader;
    partition.leader_epoch = p->leader_epoch;
    partition.partition_epoch = p->partition_epoch;
    partition.eligible = p->eligible;
    partition.n_eligible = p->eligible_count;
    partition.adding = p->adding;
    partition.n_adding = p->adding_count;
    partition.removing = p->removing;
    partition.n_removing = p->removing_count;
    partition.recovering = p->recovering;
    partition.last_leader = p->last_leader;
    r.kind_case = LEAT__METADATA__RECORD__KIND_PARTITION;
    r.partition = &partition;
    add(c, &r);
}

void change_log_start(struct change *c, struct uuid topic, int32_t number, int64_t offset)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Trim trim = LEAT__METADATA__TRIM__INIT;

    trim.topic_id = id_bytes(&topic);
    trim.partition = number;
    trim.offset = offset;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TRIM;
    r.trim = &trim;
    add(c, &r);
}

/* ---- the cluster ---------------------------------------------------------------------
 */

void change_broker(struct change *c, const Leat__RegisterBrokerRequest *wish)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Broker broker = LEAT__METADATA__BROKER__INIT;

    broker.node_id = wish->node_id;
    broker.incarnation = wish->incarnation;
    broker.directory_id = wish->directory_id;
    broker.host = wish->host;
    broker.port = wish->port;
    broker.rack = wish->rack;
    broker.software_version = wish->software_version;
    r.kind_case = LEAT__METADATA__RECORD__KIND_BROKER;
    r.broker = &broker;
    add(c, &r);
}

void change_broker_state(struct change *c, int32_t node_id, enum broker_state state,
                         bool draining)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__BrokerState to = LEAT__METADATA__BROKER_STATE__INIT;

    to.node_id = node_id;
    to.state = (Leat__Metadata__BrokerState__State)state;
    to.draining = draining;
    r.kind_case = LEAT__METADATA__RECORD__KIND_BROKER_STATE;
    r.broker_state = &to;
    add(c, &r);
}

void change_remove_broker(struct change *c, int32_t node_id)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__RemoveBroker removal = LEAT__METADATA__REMOVE_BROKER__INIT;

    removal.node_id = node_id;
    r.kind_case = LEAT__METADATA__RECORD__KIND_REMOVE_BROKER;
    r.remove_broker = &removal;
    add(c, &r);
}

void change_producer_ids(struct change *c, int64_t next)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__ProducerIds ids = LEAT__METADATA__PRODUCER_IDS__INIT;

    ids.next = next;
    r.kind_case = LEAT__METADATA__RECORD__KIND_PRODUCER_IDS;
    r.producer_ids = &ids;
    add(c, &r);
}
