/* SPDX-License-Identifier: Apache-2.0
 *
 * What the client knows of the cluster: brokers and how to reach them, topics, partitions
 * and their leaders. It is learnt from METADATA, which is asked for when somebody needs
 * something that is not known, when an answer said that we are out of date, and every
 * metadata.max.age.ms. One request at a time, whatever the number of those who wait; they
 * are all told by `changed` when it came back, or failed.
 *
 * Everything here is called with the engine's lock held. */
#pragma once

#include "client/connection.h"
#include "proto/base/map.h"
#include "proto/base/uuid.h"

struct topic_partition {
    int32_t leader; /* -1: none at the moment */
    int32_t leader_epoch;
};

/* One topic that somebody asked for. Lives as long as the cluster; never moves. */
struct topic {
    char *name;
    bool known;         /* a METADATA answer spoke of it */
    enum status status; /* that answer: OK, UNKNOWN_TOPIC_OR_PARTITION, ... */
    struct uuid id;     /* zero: unknown */
    int32_t partition_count;
    struct topic_partition *partitions;
    unsigned generation; /* counts changes of partition_count and id */
};

struct node {
    int32_t id;
    struct connection connection;
};

/* Told after each METADATA answer, and after each failure to get one (`status`). */
struct cluster_listener {
    LIST_ENTRY(cluster_listener) link;
    void (*changed)(struct cluster_listener *l, enum status status);
};

struct server { /* one of bootstrap.servers */
    TAILQ_ENTRY(server) link;
    struct connection connection;
};

struct cluster {
    struct engine *engine;
    const struct leat_conf *conf;
    TAILQ_HEAD(servers, server) servers;
    struct map nodes;  /* by id */
    struct map topics; /* by name */
    LIST_HEAD(listeners, cluster_listener) listeners;
    struct engine_timer timer; /* the next refresh */
    struct engine_task task;
    struct request *request; /* METADATA in flight */
    bool wanted;             /* another one is needed after it */
    bool closed;
    int64_t asked_ms; /* when the last one began */
    unsigned failures;
    const struct connection *asked; /* for metadata, the last time */
    int32_t controller_id;
    int32_t coordinator_id; /* of all groups; 0: unknown */
    struct uuid cluster_id;
    enum status last;
    char last_text[256]; /* why the last refresh failed */
};

/* INVALID_ARGUMENT if bootstrap.servers cannot be read; `text` then says why. */
STATUS_MUST_CHECK enum status cluster_init(struct cluster *c, struct engine *e,
                                           const struct leat_conf *conf, char *text,
                                           size_t text_size);
void cluster_release(struct cluster *c);

/* The topic's entry, made if it is not there; NULL without memory. A new one is asked for
 * at once. */
struct topic *cluster_topic(struct cluster *c, const char *name);

/* Ask soon (after retry.backoff.ms at the earliest since the last time). */
void cluster_refresh(struct cluster *c);

void cluster_listen(struct cluster *c, struct cluster_listener *l);
void cluster_unlisten(struct cluster *c, struct cluster_listener *l);

/* NULL if this node is not known. */
struct connection *cluster_node(struct cluster *c, int32_t node_id);
/* Any broker: one that is connected if there is one, else the next in turn. */
struct connection *cluster_any(struct cluster *c);
/* The leader's node id; -1 if there is none or nobody knows. */
int32_t cluster_leader(struct cluster *c, const char *topic, int32_t partition);

/* "host:port", "[v6]:port" or "host" (port 9092). False if it is none of these. */
bool cluster_address(const char *text, size_t len, char host[static CONNECTION_HOST_MAX],
                     uint16_t *port);
