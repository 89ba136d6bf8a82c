/* SPDX-License-Identifier: Apache-2.0
 *
 * A call is one request to whoever can answer it, tried until it is answered, refused for
 * good, or out of time. Embedded in whatever waits for it:
 *
 *     call_init(&x->call, cluster, x_done);
 *     x->call.target = CALL_LEADER; x->call.topic = "orders"; x->call.partition = 3;
 *     call_start(&x->call, RPC_LIST_OFFSETS, &request.base, deadline_ms);
 *
 * What is tried again: failures of the class RETRY and REFRESH (status.def), the latter
 * after a look at the metadata. A request that changes something and may have been seen
 * is repeated only if `repeat` says that this does no harm. One that may be repeated does
 * not wait for a broker that has fallen silent once the metadata names another.
 *
 * Everything here is called with the engine's lock held. */
#pragma once

#include "client/cluster.h"

enum call_target {
    CALL_ANY,         /* any broker */
    CALL_CONTROLLER,  /* who decides about topics */
    CALL_NODE,        /* `node` */
    CALL_LEADER,      /* of `topic`, `partition` */
    CALL_COORDINATOR, /* of `group` */
};

struct call;

/* Runs once per call_start unless it was cancelled, on the turner, never inside
 * call_start. The call may be started again, or freed, from here. */
typedef void call_done_fn(struct call *call, const struct answer *answer);

struct call {
    /* The caller's, before call_start; texts are borrowed until the call is done. */
    enum call_target target;
    int32_t node;
    const char *topic;
    int32_t partition;
    const char *group;
    bool once;                   /* do not retry at all */
    bool repeat;                 /* harmless to repeat after it may have been seen */
    uint16_t flags;              /* FRAME_ONE_WAY or 0 */
    int answer_ms;               /* extra time that the broker may take (long polls) */
    const struct slice *payload; /* shared by call_start */
    size_t payload_count;

    /* Private. */
    struct cluster *cluster;
    call_done_fn *done;
    enum rpc_api api;
    struct writer packed; /* the request's header, for every attempt */
    struct slice *slices;
    size_t slice_count;
    int64_t deadline_ms;
    struct request *request;
    const struct connection *asked; /* whom, with `request` */
    struct engine_timer timer; /* the pause before a retry, silence, and the deadline */
    struct cluster_listener listener;
    bool listening;
    bool active;
    bool refreshed;    /* metadata has come in since it was started */
    bool failed_early; /* the timer shall report `last` */
    bool maybe_sent;
    unsigned attempts;
    enum status last;
    char last_text[256];
};

/* NO_MEMORY if its timer finds no room. */
STATUS_MUST_CHECK enum status call_init(struct call *call, struct cluster *cluster,
                                        call_done_fn *done);
/* Cancels. */
void call_release(struct call *call);

/* `message` is packed now. NO_MEMORY: not started, `done` will not run. */
STATUS_MUST_CHECK enum status call_start(struct call *call, enum rpc_api api,
                                         const ProtobufCMessage *message,
                                         int64_t deadline_ms);

/* From `done` only: the message itself says `why` (a partition's error, say) and that can
 * pass. True: it is tried again, `done` will run once more. False: no time is left, or
 * `why` is not a reason to try again. */
bool call_again(struct call *call, enum status why);

/* `done` will not run any more. */
void call_cancel(struct call *call);
bool call_is_active(const struct call *call);
