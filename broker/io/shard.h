/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard is a thread with a node, a disk, a loop and connections of its own; with the
 * other shards it shares nothing but mailboxes. The main thread tells it what to do next
 * (`order`) and reads how far it has come (`state`); the shard never waits for anybody
 * but the kernel.
 *
 * A turn: see who is ready; run disk completions; take the mail; read connections and ask
 * the node; let time pass; end the node's turn, which starts the group commit; send mail
 * and answers; sleep. */
#pragma once

#include "broker/core/node.h"
#include "broker/io/connection.h"
#include "broker/io/listener.h"
#include "broker/io/loop.h"
#include "broker/io/mailbox.h"
#include "broker/io/peers.h"

#include <pthread.h>

enum shard_order {
    SHARD_OPEN,  /* recover, open the node, then wait */
    SHARD_SERVE, /* take part */
    SHARD_LEAVE, /* shard 0: give our leaderships away */
    SHARD_STOP,  /* accept nothing, answer what is under way */
    SHARD_CLOSE, /* flush and end the thread */
};

enum shard_state {
    SHARD_OPENING,
    SHARD_RECOVERED, /* shard 0: on to opening the node */
    SHARD_OPENED,
    SHARD_SERVING,
    SHARD_DRAINED,
    SHARD_CLOSED,
    SHARD_FAILED, /* `why` says what; the thread has ended */
};

struct shard {
    /* Set before the thread starts. */
    unsigned index, count;
    struct shard *all; /* `count` of them */
    struct config *config;
    const char *data;
    struct uuid cluster_id, directory, incarnation;
    const struct secret *secret;
    const struct voter *bootstrap; /* the first controllers */
    size_t bootstrap_count;
    uint64_t seed;
    struct address advertised;
    int listen_fd; /* shard 0: bound, for its listener; -1 on the others */
    int wake_fd;
    int news_fd; /* eventfd of the main thread: `state` has changed */
    atomic_uint *total;

    _Atomic int order;
    _Atomic int state;
    _Atomic int64_t
        turned_ms; /* when the last turn began, by the clock that never jumps */
    atomic_size_t sent, received; /* errands, ever */
    /* Shard 0: what node_is_ready, node_has_caught_up and node_may_stop say. */
    atomic_bool is_ready, has_caught_up, may_stop;
    pthread_mutex_t why_lock;
    char not_ready[160]; /* under why_lock: what is missing */

    /* Readable by others once `state` says OPENED or FAILED. */
    char why[256];
    enum status status;
    struct store_recovery recovery;
    const char *disk_kind, *disk_reason;

    /* The shard's own. */
    pthread_t thread;
    struct loop loop;
    struct node *node;
    struct wire wire;
    struct metrics metrics;
    struct connections connections;
    struct listener *listener;
    struct peers *peers;
    struct mailbox *mail; /* one per sender, filled by that shard */
    unsigned next_shard;  /* who gets the next connection */
    bool has_posted;
    bool mail_is_left; /* some target's mailbox was full */
    bool stopping, leaving;
    struct instant now;
    int64_t sweep_ms;
    int64_t gap_us; /* how long the disk lately made us wait: about the median */
};

void shard_init(struct shard *s);
void shard_release(struct shard *s);

/* From the main thread. */
STATUS_MUST_CHECK enum status shard_start(struct shard *s);
void shard_command(struct shard *s, enum shard_order order);
enum shard_state shard_state(const struct shard *s);
