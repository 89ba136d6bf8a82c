/* SPDX-License-Identifier: Apache-2.0
 *
 * Which request is whose, and where it is handled: where it arrived, on shard 0, which
 * keeps the metadata and the groups, or on the broker that is the active controller. */
#include "broker/core/api/api.h"

#include "broker/core/cluster/controller.h"
#include "broker/core/group/coordinator.h"
#include "broker/core/quorum/quorum.h"
#include "proto/base/check.h"

enum where {
    HERE,       /* where it arrived */
    FIRST,      /* on shard 0, to which it travels as a whole */
    CONTROLLER, /* there, if this broker is the active controller; else it goes on to that
                 */
    ANYWHERE,   /* the same, but in need shard 0 answers by what it knows */
};

struct route {
    void (*run)(struct node *n, struct request *r);
    enum where where;
};

static const struct route routes[METRIC_API_MAX] = {
    [RPC_HELLO] = {handle_hello, HERE},
    [RPC_METADATA] = {handle_metadata, HERE},
    [RPC_PRODUCE] = {handle_produce, HERE},
    [RPC_FETCH] = {handle_fetch, HERE},
    [RPC_LIST_OFFSETS] = {handle_list_offsets, HERE},
    [RPC_CREATE_TOPIC] = {handle_create_topic, CONTROLLER},
    [RPC_DELETE_TOPIC] = {handle_delete_topic, CONTROLLER},
    [RPC_ALTER_TOPIC] = {handle_alter_topic, CONTROLLER},
    [RPC_TRIM] = {handle_trim, CONTROLLER},
    [RPC_DESCRIBE_LOGS] = {handle_describe_logs, HERE},
    [RPC_DESCRIBE_CONFIG] = {handle_describe_config, FIRST},
    [RPC_ALTER_CONFIG] = {handle_alter_config, FIRST},
    [RPC_INIT_PRODUCER] = {handle_init_producer, FIRST},
    [RPC_GROUP_JOIN] = {handle_group, FIRST},
    [RPC_GROUP_HEARTBEAT] = {handle_group, FIRST},
    [RPC_GROUP_LEAVE] = {handle_group, FIRST},
    [RPC_OFFSET_COMMIT] = {handle_group, FIRST},
    [RPC_OFFSET_FETCH] = {handle_group, FIRST},
    [RPC_GROUP_LIST] = {handle_group, FIRST},
    [RPC_GROUP_DESCRIBE] = {handle_group, FIRST},
    [RPC_GROUP_DELETE] = {handle_group, FIRST},
    [RPC_GROUP_RESET] = {handle_group, FIRST},
    [RPC_FIND_COORDINATOR] = {handle_find_coordinator, HERE},
    [RPC_DESCRIBE_CLUSTER] = {handle_controller, ANYWHERE},
    [RPC_DESCRIBE_QUORUM] = {handle_quorum, ANYWHERE},
    [RPC_ALTER_QUORUM] = {handle_quorum, CONTROLLER},
    [RPC_ALTER_BROKER] = {handle_controller, CONTROLLER},
    [RPC_MOVE_PARTITIONS] = {handle_controller, CONTROLLER},
    [RPC_ELECT_LEADERS] = {handle_controller, CONTROLLER},
    [RPC_VOTE] = {handle_quorum, FIRST},
    [RPC_BEGIN_EPOCH] = {handle_quorum, FIRST},
    [RPC_END_EPOCH] = {handle_quorum, FIRST},
    [RPC_QUORUM_FETCH] = {handle_quorum, FIRST},
    [RPC_FETCH_SNAPSHOT] = {handle_fetch_snapshot, FIRST},
    [RPC_REGISTER_BROKER] = {handle_controller, FIRST},
    [RPC_BROKER_HEARTBEAT] = {handle_controller, FIRST},
    [RPC_REPLICA_FETCH] = {handle_replica_fetch, HERE},
    [RPC_REPLICA_ACK] = {handle_replica_ack, HERE},
    [RPC_ALTER_PARTITIONS] = {handle_controller, FIRST},
    [RPC_ALLOCATE_PRODUCER_IDS] = {handle_controller, FIRST},
};

/* One that the controller has not heard lately may have a successor already. What it
 * would write could not be committed, but what it remembers may be old. */
void handle_group(struct node *n, struct request *r)
{
    if (!node_is_heard(n))
        request_refuse(r, STATUS_NOT_COORDINATOR, NULL);
    else
        coordinator_request(n->coordinator, r, n->now);
}

void handle_controller(struct node *n, struct request *r)
{
    controller_request(n->controller, r, n->now);
}

void handle_quorum(struct node *n, struct request *r)
{
    quorum_request(n->quorum, r, n->now);
}

static void run_on_controller(struct node *n, struct request *r)
{
    const struct route *route = &routes[r->row->api];
    struct endpoint at;

    if (quorum_is_active(n->quorum) ||
        (route->where == ANYWHERE && (r->peer >= 0 || quorum_leader(n->quorum, &at) < 0)))
        route->run(n, r);
    else
        request_forward(n, r);
}

void request_refuse_memory(struct request *r)
{
    request_refuse(r, STATUS_THROTTLED, "the request needs more memory than one may use");
}

/* What may be asked of a broker that does not know the cluster yet. */
static bool is_for_operators(uint16_t api)
{
    return api == RPC_HELLO || api == RPC_DESCRIBE_CLUSTER ||
           api == RPC_DESCRIBE_QUORUM || api == RPC_DESCRIBE_CONFIG;
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
    else if (!n->view.knows && r->peer < 0 && !is_for_operators(r->row->api))
        request_refuse(r, STATUS_NOT_READY, NULL);
    else if (route->where == HERE)
        route->run(n, r);
    else
        request_travel(n, r, route->where == FIRST ? route->run : run_on_controller);
}
