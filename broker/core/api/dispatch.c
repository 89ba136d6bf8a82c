/* SPDX-License-Identifier: Apache-2.0
 *
 * Which request is whose, and where it is handled: where it arrived, or on shard 0, which
 * keeps the metadata and the groups. */
#include "broker/core/api/api.h"

#include "broker/core/group/coordinator.h"
#include "proto/base/check.h"

struct route {
    void (*run)(struct node *n, struct request *r);
    bool first_shard; /* the request travels there as a whole */
};

static const struct route routes[METRIC_API_MAX] = {
    [RPC_HELLO] = {handle_hello, false},
    [RPC_METADATA] = {handle_metadata, false},
    [RPC_PRODUCE] = {handle_produce, false},
    [RPC_FETCH] = {handle_fetch, false},
    [RPC_LIST_OFFSETS] = {handle_list_offsets, false},
    [RPC_CREATE_TOPIC] = {handle_create_topic, true},
    [RPC_DELETE_TOPIC] = {handle_delete_topic, true},
    [RPC_ALTER_TOPIC] = {handle_alter_topic, true},
    [RPC_TRIM] = {handle_trim, true},
    [RPC_DESCRIBE_LOGS] = {handle_describe_logs, false},
    [RPC_DESCRIBE_CONFIG] = {handle_describe_config, true},
    [RPC_ALTER_CONFIG] = {handle_alter_config, true},
    [RPC_GROUP_JOIN] = {handle_group, true},
    [RPC_GROUP_HEARTBEAT] = {handle_group, true},
    [RPC_GROUP_LEAVE] = {handle_group, true},
    [RPC_OFFSET_COMMIT] = {handle_group, true},
    [RPC_OFFSET_FETCH] = {handle_group, true},
    [RPC_GROUP_LIST] = {handle_group, true},
    [RPC_GROUP_DESCRIBE] = {handle_group, true},
    [RPC_GROUP_DELETE] = {handle_group, true},
    [RPC_GROUP_RESET] = {handle_group, true},
};

void handle_group(struct node *n, struct request *r)
{
    coordinator_request(n->coordinator, r, n->now);
}

void request_refuse_memory(struct request *r)
{
    request_refuse(r, STATUS_THROTTLED, "the request needs more memory than one may use");
}

void node_request(struct node *n, struct request *r, struct instant now)
{
    const struct route *route = &routes[r->row->api];

    n->now = now;
    r->node = n;
    r->away = false;
    CHECK(r->row->api < METRIC_API_MAX);
    if (route->run == NULL)
        request_refuse(r, STATUS_UNKNOWN_API, NULL);
    else if (r->row->api >= RPC_PEER_PROOF && r->peer < 0)
        request_refuse(r, STATUS_CLUSTER_AUTHORIZATION_FAILED, NULL);
    else if (n->stopping)
        request_refuse(r, STATUS_SHUTTING_DOWN, NULL);
    else if (route->first_shard)
        request_travel(n, r, route->run);
    else
        route->run(n, r);
}
