/* SPDX-License-Identifier: Apache-2.0
 *
 * How a producer sees to it that each batch is stored once (KIP-98): the cluster gives it
 * an id, and each lane numbers its records. A batch keeps its number through all retries,
 * so a broker that has it already says so. What can not be kept is the sequence once a
 * parcel was given up: then the lane goes on under the next epoch, which shuts out
 * whatever of the one before is still on its way. A parcel that may be stored already is
 * never sent under another number (Redpanda 3039, KAFKA-14034). */
#include "client/producer.h"

#include "proto/base/check.h"

enum { ID_WAIT_MS = 10000, ID_PAUSE_MS = 100 };

bool producer_is_out_of_step(int code)
{
    return code == STATUS_OUT_OF_ORDER_SEQUENCE || code == STATUS_UNKNOWN_PRODUCER ||
           code == STATUS_INVALID_PRODUCER_EPOCH;
}

bool producer_leaves_doubt(int code)
{
    return code < 0 || code == STATUS_NOT_LEADER || code == STATUS_REQUEST_TIMED_OUT ||
           code == STATUS_STORAGE_FAILED || code == STATUS_SHUTTING_DOWN ||
           code == STATUS_UNKNOWN_TOPIC_OR_PARTITION;
}

void producer_on_id(struct call *call, const struct answer *answer)
{
    struct leat_producer *p = container_of(call, struct leat_producer, id_call);
    const Leat__InitProducerResponse *m = (const void *)answer->message;

    if (answer->status == STATUS_UNKNOWN_API)
        p->idempotent = false; /* an older broker: at least once, then */
    else if (answer->status)
        p->id_retry_ms = engine_now_ms() + ID_PAUSE_MS;
    else
        p->id = m->producer_id;
    task_queue(&p->client->engine, &p->task);
}

bool producer_has_id(struct leat_producer *p, int64_t now_ms)
{
    Leat__InitProducerRequest q = LEAT__INIT_PRODUCER_REQUEST__INIT;

    if (!p->idempotent || p->id >= 0)
        return true;
    if (call_is_active(&p->id_call) || now_ms < p->id_retry_ms ||
        TAILQ_EMPTY(&p->accumulator.active))
        return false;
    p->id_call.target = CALL_ANY;
    p->id_call.repeat = true;
    if (call_start(&p->id_call, RPC_INIT_PRODUCER, &q.base, now_ms + ID_WAIT_MS))
        p->id_retry_ms = now_ms + ID_PAUSE_MS;
    return false;
}

/* The next epoch, or the first of a new id when there is none left. */
static void begin_anew(struct leat_producer *p, struct lane *lane)
{
    while (lane->active && lane_first(lane)->maybe_sent)
        producer_fail_first(p, lane, LEAT_E_MAYBE_PERSISTED, lane_first(lane)->text);
    if (lane->producer_id == p->id && lane->producer_epoch == INT16_MAX)
        p->id = -1;
    else if (lane->producer_id == p->id)
        lane_number(lane, p->id, (int16_t)(lane->producer_epoch + 1));
    else
        lane_number(lane, p->id, 0);
}

void producer_renumber(struct leat_producer *p)
{
    struct lane *lane = TAILQ_FIRST(&p->accumulator.active);

    while (lane != NULL && p->idempotent && p->id >= 0) {
        struct lane *next = TAILQ_NEXT(lane, link);

        if (!lane->sending && (lane->renumber || lane->producer_id != p->id))
            begin_anew(p, lane);
        lane = next;
    }
}
