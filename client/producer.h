/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer's parts and who does what: producer.c is the program's side; stage.c finds
 * the lane of a record; ship.c sends parcels and judges the answers (on the turner);
 * delivery.c tells the program (from dispatch). */
#pragma once

#include "client/accumulator.h"
#include "client/call.h"
#include "client/client.h"

struct shipment;

struct leat_producer {
    struct attachment attachment;
    struct leat_client *client;
    struct leat_conf *conf;
    leat_delivery_fn *delivered;
    void *arg;
    leat_partitioner_fn *partitioner;
    void *partitioner_arg;

    int acks; /* as on the wire: 0, 1, -1 */
    enum codec codec;
    int64_t linger_ms;
    int64_t delivery_ms;
    size_t in_flight_max;
    bool idempotent; /* batches are numbered */
    int64_t id;      /* as which; -1: not known yet */
    struct call id_call;
    int64_t id_retry_ms;

    struct accumulator accumulator;
    struct map topics;  /* struct lanes by name */
    struct lanes *last; /* most sends are for the topic of the one before */
    struct engine_task task;
    struct engine_timer timer;
    struct cluster_listener listener;
    LIST_HEAD(, shipment) shipments;
    struct stage failed; /* staged records that failed, to be told */
    struct notice failed_notice;
    struct notice stage_notice; /* the program's partitioner has work */
    struct notice space_notice;
    bool space_wanted;
    int64_t flush_ms; /* what was queued up to then does not linger */
    bool closing;
};

/* ---- stage.c ---- */

/* The topic's lanes, made if need be; NULL without memory. */
struct lanes *producer_lanes(struct leat_producer *p, const char *topic);
/* Records of this topic must be staged. */
bool lanes_unsettled(const struct lanes *t);
int32_t producer_pick(struct leat_producer *p, struct lanes *t, struct bytes key);
/* Into the lane, and wake what must be woken; `opened_ms` 0: now. */
STATUS_MUST_CHECK enum status producer_append(struct leat_producer *p, struct lane *lane,
                                              const struct item *item, int64_t opened_ms);
STATUS_MUST_CHECK enum status producer_stage(struct leat_producer *p, struct lanes *t,
                                             int32_t partition, const struct item *item);
void producer_on_metadata(struct cluster_listener *l, enum status status);
bool producer_unstage_notice(struct notice *n, int max, int *ran);
/* Fail what is staged for `t` since before `before_ms`. */
void producer_fail_staged(struct leat_producer *p, struct lanes *t, int64_t before_ms,
                          int code);

/* ---- number.c ---- */

/* Batches may be sent: they need no number, or we have an id. If not, it is asked for. */
bool producer_has_id(struct leat_producer *p, int64_t now_ms);
void producer_on_id(struct call *call, const struct answer *answer);
/* Lanes that a parcel was given up in begin to number anew; what was sent of them and
 * never answered cannot be sent again, so it fails. */
void producer_renumber(struct leat_producer *p);
/* The broker does not see our numbers as we do. */
bool producer_is_out_of_step(int code);
/* Whether a batch that was refused so may be stored all the same. */
bool producer_leaves_doubt(int code);

/* ---- ship.c ---- */

void producer_ship(struct engine_task *task);
/* The metadata is new: what waits for an answer of a broker that does not lead any more
 * is sent to the one that does. */
void producer_leave_former_leaders(struct leat_producer *p);
void producer_on_timer(struct engine_timer *t);
/* Fail the first parcel of `lane` for good. */
void producer_fail_first(struct leat_producer *p, struct lane *lane, int code,
                         const char *text);
/* Cancel what is on its way and fail everything. Returns how many records that were. */
size_t producer_fail_all(struct leat_producer *p, int code);

/* ---- delivery.c ---- */

/* The parcel is off its lane and has its outcome: tell whoever is to be told. */
void producer_tell(struct leat_producer *p, struct parcel *parcel);
bool producer_tell_failed(struct notice *n, int max, int *ran);
bool producer_tell_space(struct notice *n, int max, int *ran);
/* Records left the buffer. */
void producer_freed(struct leat_producer *p);
