/* SPDX-License-Identifier: Apache-2.0
 *
 * What the controller's files share: the controller, the sessions of the brokers, and the
 * task, a decision on its way: asked for by a request or by the controller itself,
 * decided on the newest image, committed, answered. */
#pragma once

#include "broker/core/api/api.h"
#include "broker/core/cluster/controller.h"
#include "broker/core/cluster/elect.h"
#include "broker/core/cluster/log_faults.h"

/* A broker as the controller hears it. Soft. */
struct session {
    int32_t node_id;
    int64_t heard_ms;
    int64_t applied;
    struct log_faults faults; /* by its newest heartbeat */
};

struct task;

struct controller {
    struct controller_options o;
    bool active;
    bool stopped;
    struct instant now;
    struct session *sessions; /* by node id */
    size_t session_count;
    int64_t balance_ms; /* when leaders go home next */
    int64_t look_ms;    /* when the gauges may be looked at next */
    int64_t gauged;     /* the image that they show */
    int64_t seen;       /* the image at which there was nothing to do */
    struct task *busy;  /* our own task under way; one at a time */
    unsigned tasks;     /* all of them */
    struct prng random;
};

/* Embedded in what it is about; from the request's arena, or our own. */
struct task {
    struct proposal proposal;
    struct controller *controller;
    struct request *request; /* NULL: our own wish */
    struct arena arena;      /* without a request */
    /* Write records; the status refuses the request. */
    enum status (*decide)(struct task *t, struct change *c);
    /* Committed: answer. Not called when it was refused. */
    void (*finish)(struct task *t);
    void (*release)(struct task *t); /* our own: free it */
};

/* For a request: `t` comes from its arena. */
void task_start(struct controller *c, struct request *r, struct task *t);
/* Our own: `t` is ours to release. */
void task_start_own(struct controller *c, struct task *t);

struct session *controller_session(struct controller *c, int32_t node_id);
int64_t controller_session_ms(const struct controller *c);
struct elect_rules controller_elect_rules(const struct controller *c,
                                          const struct topic *topic,
                                          const struct image_partition *p);

/* Walk all partitions; `each` may add to the change. */
void controller_each(const struct controller *c, struct change *change,
                     void (*each)(const struct controller *c, struct change *change,
                                  struct topic *topic, int32_t number, void *ctx),
                     void *ctx);
/* Finish a draft and add its record if anything has changed. */
bool controller_put(struct change *change, struct topic *topic, int32_t number,
                    struct draft *d);

/* register.c */
void handle_registration(struct controller *c, struct request *r);
void handle_heartbeat(struct controller *c, struct request *r);
/* A session is over: fence it. False if none is. */
bool controller_fence_expired(struct controller *c);
int64_t controller_next_expiry(const struct controller *c);

/* alter_partitions.c */
void handle_alter_partitions(struct controller *c, struct request *r);

/* operate.c */
void handle_elect_leaders(struct controller *c, struct request *r);
void handle_move_partitions(struct controller *c, struct request *r);
void handle_alter_broker(struct controller *c, struct request *r);

/* upkeep.c: what the controller does by itself; true if it began something. */
bool controller_upkeep(struct controller *c);
bool controller_balance(struct controller *c);

/* status.c */
void handle_describe_cluster(struct controller *c, struct request *r);
void controller_gauges(const struct controller *c);
