/* SPDX-License-Identifier: Apache-2.0
 *
 * A membership in a consumer group: join, be told which partitions to work on, say by
 * heartbeats that we are alive and what we really work on, leave. It runs on the engine's
 * timer, so it lives on while the program is busy with its records. What to do about a
 * new share is its owner's affair: partitions that are to go are given up first, and the
 * next heartbeat confirms it.
 *
 * Everything here is called with the engine's lock held. */
#pragma once

#include "client/assignment.h"
#include "client/call.h"

enum { MEMBER_ID_MAX = 256 };

enum member_state {
    MEMBER_OUT,
    MEMBER_JOINING,
    MEMBER_IN,
    MEMBER_LEAVING,
};

struct membership {
    struct cluster *cluster;
    const struct leat_conf *conf;
    struct prng *random; /* for names */
    enum member_state state;
    /* We name ourselves, so that a join whose answer was lost can be repeated without
     * leaving a ghost behind that holds partitions. */
    char member_id[MEMBER_ID_MAX];
    int32_t epoch;             /* -1: not a member */
    struct assignment target;  /* what the group wants us to work on */
    const char *const *topics; /* the owner's */
    size_t topic_count;

    /* Private. */
    int64_t interval_ms;
    bool again;  /* another heartbeat is due as soon as this one is answered */
    bool rejoin; /* join once we have left */
    struct engine_timer timer;
    struct call call;

    /* Set by the owner after membership_init; all run on the turner. */
    enum status (*owned)(struct membership *m, struct assignment *out);
    void (*told)(struct membership *m); /* `target` is new */
    void (*lost)(struct membership *m); /* the group has put us out; state is OUT */
    void (*left)(struct membership *m); /* as we wished; state is OUT */
    void (*failed)(struct membership *m, enum status why, const char *text);
};

STATUS_MUST_CHECK enum status membership_init(struct membership *m,
                                              struct cluster *cluster,
                                              const struct leat_conf *conf,
                                              struct prng *random);
void membership_release(struct membership *m);

/* Join with these topics (borrowed until it is left), as soon as an earlier membership
 * has ended. Tries until it succeeds. */
void membership_join(struct membership *m, const char *const *topics, size_t count);

/* Say at once what we work on now. */
void membership_beat(struct membership *m);

/* Leave; `left` runs when that is known to the group, or cannot be told. */
void membership_leave(struct membership *m);
