/* SPDX-License-Identifier: Apache-2.0
 *
 * The one port through which a node reaches the world: answers to connections, errands to
 * the other shards of its process. The shell implements it with sockets and mailboxes,
 * the simulator with a queue. */
#pragma once

struct request;
struct errand;
struct node;

struct wire {
    /* Take back a finished request and send its answer, unless its connection is gone. */
    void (*answer)(struct wire *w, struct request *r);

    /* Carry an errand to the node of another shard and call node_errand there. Never
     * lost, never reordered between two shards, never inside this call. */
    void (*post)(struct wire *w, unsigned shard, struct errand *e);
};

/* A piece of work for another shard of the same process, embedded in what waits for it.
 * `run` is called there; when the work is done, errand_return (node.h) brings it home and
 * `back` is called. The memory stays the home shard's; while it is away only the shard
 * that has it touches it. */
typedef void errand_step(struct node *node, struct errand *e);

struct errand {
    unsigned home;
    errand_step *run;
    errand_step *back;
    errand_step *next;   /* private: the step to take on arrival */
    struct errand *link; /* private: the carrier's queue */
};
