/* SPDX-License-Identifier: Apache-2.0
 *
 * The program's side of the producer. */
#include "client/producer.h"

#include "proto/base/check.h"

#include <stdlib.h>

enum { CLOSE_GRACE_MS = 1000 };

/* A public header is the same two views as ours. */
STATIC_CHECK(sizeof(leat_header) == sizeof(struct record_header));
STATIC_CHECK(offsetof(leat_header, value) == offsetof(struct record_header, value));
STATIC_CHECK(offsetof(leat_bytes, len) == offsetof(struct bytes, len));

/* ---- life ---- */

static void on_client_close(struct attachment *a, int timeout_ms)
{
    leat_producer_close(container_of(a, struct leat_producer, attachment), timeout_ms);
}

static void read_conf(struct leat_producer *p)
{
    static const int acks[] = {0, 1, -1}; /* of none|leader|all|0|1|-1 */

    p->acks = acks[conf_number(p->conf, CONF_ACKS) % 3];
    p->codec = conf_number(p->conf, CONF_COMPRESSION_TYPE) ? CODEC_LZ4 : CODEC_NONE;
    p->linger_ms = conf_number(p->conf, CONF_LINGER);
    p->delivery_ms = conf_number(p->conf, CONF_DELIVERY_TIMEOUT);
    p->in_flight_max = (size_t)conf_number(p->conf, CONF_MAX_IN_FLIGHT);
    p->idempotent = p->acks == -1 && conf_number(p->conf, CONF_IDEMPOTENCE) != 0;
    p->id = -1;
    accumulator_init(&p->accumulator, (size_t)conf_number(p->conf, CONF_BATCH_BYTES),
                     (size_t)conf_number(p->conf, CONF_BUFFER_BYTES),
                     p->delivered != NULL);
}

leat_producer *leat_producer_open(leat_client *client, const leat_conf *conf,
                                  leat_delivery_fn *delivered, void *producer_arg,
                                  leat_error *error)
{
    struct leat_producer *p;
    enum status st = STATUS_NO_MEMORY;

    if (client_check(client, error))
        return NULL;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        goto fail;
    p->conf = conf_copy(conf != NULL ? conf : client->conf);
    if (p->conf == NULL)
        goto fail_producer;
    p->attachment.close = on_client_close;
    p->client = client;
    p->delivered = delivered;
    p->arg = producer_arg;
    p->flush_ms = -1;
    read_conf(p);
    map_init(&p->topics);
    task_init(&p->task, producer_ship);
    notice_init(&p->failed_notice, producer_tell_failed);
    notice_init(&p->stage_notice, producer_unstage_notice);
    notice_init(&p->space_notice, producer_tell_space);
    TAILQ_INIT(&p->failed);
    LIST_INIT(&p->shipments);
    p->listener.changed = producer_on_metadata;
    engine_lock(&client->engine);
    st = timer_init(&client->engine, &p->timer, producer_on_timer);
    if (!st) {
        st = call_init(&p->id_call, &client->cluster, producer_on_id);
        if (st)
            timer_release(&client->engine, &p->timer);
    }
    if (!st) {
        cluster_listen(&client->cluster, &p->listener);
        client_attach(client, &p->attachment);
    }
    engine_unlock(&client->engine);
    if (st)
        goto fail_conf;
    error_clear(error);
    return p;

fail_conf:
    leat_conf_free(p->conf);
fail_producer:
    free(p);
fail:
    error_set(error, (int)st, NULL, "open producer");
    return NULL;
}

void leat_producer_partitioner(leat_producer *p, leat_partitioner_fn *fn, void *arg)
{
    engine_lock(&p->client->engine);
    p->partitioner = fn;
    p->partitioner_arg = arg;
    engine_unlock(&p->client->engine);
}

/* ---- sending ---- */

static bool well_formed(const leat_record *r)
{
    if (r == NULL || r->size < sizeof *r || r->topic == NULL || r->topic[0] == '\0' ||
        r->partition < LEAT_PARTITION_ANY || r->timestamp_ms < 0 ||
        (r->headers == NULL && r->header_count > 0))
        return false;
    for (size_t i = 0; i < r->header_count; i++)
        if (r->headers[i].name.data == NULL)
            return false;
    return true;
}

static struct bytes view(leat_bytes b)
{
    return (struct bytes){b.data, b.data != NULL ? b.len : 0};
}

/* Which partition, for a topic whose partitions are known. May let go of the lock. */
static int32_t partition_of(struct leat_producer *p, struct lanes *t,
                            const leat_record *record, struct bytes key)
{
    int32_t count = t->count;
    int32_t partition;

    if (record->partition != LEAT_PARTITION_ANY)
        return record->partition;
    if (p->partitioner == NULL)
        return producer_pick(p, t, key);
    engine_unlock(&p->client->engine);
    partition = p->partitioner(t->name, record->key, count, p->partitioner_arg);
    engine_lock(&p->client->engine);
    return partition;
}

/* Room for one more record, or a promise to tell when there is. */
static enum status admit(struct leat_producer *p, const struct lanes *t,
                         const struct item *item)
{
    size_t size =
        sizeof(struct entry) +
        build_record_bound(item->key, item->value, item->headers, item->header_count);
    enum status st;

    if (lanes_unsettled(t))
        size += sizeof(struct staged);
    st = accumulator_admit(&p->accumulator, size);
    if (st == STATUS_QUEUE_FULL) {
        p->space_wanted = p->delivered == NULL;
        p->flush_ms = engine_now_ms(); /* what lingers now only costs room */
        task_queue(&p->client->engine, &p->task);
    }
    return st;
}

static enum status enqueue(struct leat_producer *p, const leat_record *record,
                           const struct item *item)
{
    struct lanes *t;
    int32_t partition;
    enum status st;

    if (p->closing)
        return STATUS_CLOSED;
    t = producer_lanes(p, record->topic);
    if (t == NULL)
        return STATUS_NO_MEMORY;
    st = admit(p, t, item);
    if (st)
        return st;
    if (lanes_unsettled(t))
        return producer_stage(p, t, record->partition, item);
    partition = partition_of(p, t, record, item->key);
    if (p->closing)
        return STATUS_CLOSED;
    if (partition < 0)
        return STATUS_INVALID_ARGUMENT;
    if (partition >= t->count) {
        cluster_refresh(&p->client->cluster);
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return producer_append(p, t->at[partition], item, 0);
}

static int send_record(struct leat_producer *p, const leat_record *record, void *arg,
                       struct ticket *ticket, leat_error *error)
{
    struct item item = {.arg = arg, .ticket = ticket};
    enum status st;

    if (!well_formed(record))
        return error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "send");
    if (client_check(p->client, error))
        return LEAT_E_FORKED;
    item.timestamp_ms =
        record->timestamp_ms > 0 ? record->timestamp_ms : engine_wall_ms();
    item.key = view(record->key);
    item.value = view(record->value);
    item.headers = (const struct record_header *)record->headers;
    item.header_count = record->header_count;
    engine_lock(&p->client->engine);
    st = enqueue(p, record, &item);
    engine_unlock(&p->client->engine);
    if (st)
        return error_set(error, (int)st, NULL, "send %s", record->topic);
    return LEAT_OK;
}

int leat_producer_send(leat_producer *producer, const leat_record *record, void *arg,
                       leat_error *error)
{
    return send_record(producer, record, arg, NULL, error);
}

static bool ticket_done(void *ticket)
{
    return ((const struct ticket *)ticket)->done;
}

static void flush_from_now(struct leat_producer *p)
{
    p->flush_ms = engine_now_ms();
    task_queue(&p->client->engine, &p->task);
}

/* The record goes its way without us. */
static void forget_ticket(struct leat_producer *p, struct ticket *ticket)
{
    struct lanes *t;
    struct staged *s;

    if (!ticket->queued)
        return;
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;)
        TAILQ_FOREACH (s, &t->stage, link)
            if (s->ticket == ticket) {
                s->ticket = NULL;
                s->arg = &entry_silent;
                return;
            }
    LIST_REMOVE(ticket, link);
}

int leat_producer_send_sync(leat_producer *producer, const leat_record *record,
                            int32_t *partition, int64_t *offset, int timeout_ms,
                            leat_error *error)
{
    struct ticket ticket = {.code = LEAT_E_TIMED_OUT, .partition = -1};
    struct engine *e = &producer->client->engine;
    int code = send_record(producer, record, NULL, &ticket, error);

    if (code)
        return code;
    engine_lock(e);
    flush_from_now(producer);
    engine_unlock(e);
    engine_wait_for(e, ticket_done, &ticket, engine_deadline(timeout_ms));
    engine_lock(e);
    if (!ticket.done)
        forget_ticket(producer, &ticket);
    engine_unlock(e);
    if (ticket.code)
        return error_set(error, ticket.code, ticket.text, "produce %s", record->topic);
    if (partition != NULL)
        *partition = ticket.partition;
    if (offset != NULL)
        *offset = ticket.offset;
    return error_clear(error);
}

/* ---- flushing and closing ---- */

static bool nothing_pending(void *producer)
{
    return ((const struct leat_producer *)producer)->accumulator.records == 0;
}

size_t leat_producer_pending(const leat_producer *producer)
{
    struct engine *e = &producer->client->engine;
    size_t n;

    if (engine_forked(e))
        return 0;
    engine_lock(e);
    n = producer->accumulator.records;
    engine_unlock(e);
    return n;
}

size_t leat_producer_flush(leat_producer *producer, int timeout_ms)
{
    struct engine *e = &producer->client->engine;
    int64_t deadline_ms = engine_deadline(timeout_ms);

    if (engine_forked(e))
        return 0;
    engine_lock(e);
    flush_from_now(producer);
    engine_unlock(e);
    /* Waiting for one's own callbacks inside of one would be in vain. */
    if (!engine_is_dispatching(e))
        engine_wait_for(e, nothing_pending, producer, deadline_ms);
    return leat_producer_pending(producer);
}

static void release(struct leat_producer *p)
{
    struct engine *e = &p->client->engine;
    struct lanes *t;

    engine_lock(e);
    notice_cancel(e, &p->failed_notice);
    notice_cancel(e, &p->stage_notice);
    notice_cancel(e, &p->space_notice);
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;)
        lanes_free(t);
    map_release(&p->topics);
    accumulator_release(&p->accumulator);
    engine_unlock(e);
    leat_conf_free(p->conf);
    free(p);
}

/* Nothing of the producer happens on the turner any more. */
static size_t stop(struct leat_producer *p)
{
    struct engine *e = &p->client->engine;
    size_t left;

    engine_lock(e);
    cluster_unlisten(&p->client->cluster, &p->listener);
    task_cancel(e, &p->task);
    notice_cancel(e, &p->stage_notice);
    left = producer_fail_all(p, LEAT_E_CLOSED);
    task_cancel(e, &p->task);
    call_release(&p->id_call);
    timer_release(e, &p->timer);
    client_detach(p->client, &p->attachment);
    engine_unlock(e);
    return left;
}

size_t leat_producer_close(leat_producer *producer, int timeout_ms)
{
    struct engine *e;
    int64_t deadline_ms = engine_deadline(timeout_ms);
    int64_t grace_ms = engine_now_ms() + CLOSE_GRACE_MS;
    size_t failed;

    if (producer == NULL)
        return 0;
    e = &producer->client->engine;
    if (engine_forked(e))
        return 0;
    if (engine_is_dispatching(e))
        return leat_producer_pending(producer);
    engine_lock(e);
    producer->closing = true;
    flush_from_now(producer);
    engine_unlock(e);
    engine_wait_for(e, nothing_pending, producer, deadline_ms);
    failed = stop(producer);
    if (deadline_ms < grace_ms)
        deadline_ms = grace_ms;
    /* If another thread never comes back from a callback, the memory is its. */
    if (engine_wait_for(e, nothing_pending, producer, deadline_ms))
        release(producer);
    return failed;
}
