/* SPDX-License-Identifier: Apache-2.0
 *
 * From lanes to brokers and back: everything here runs on the turner. */
#include "client/producer.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHIPMENT_PARCELS = 256,
    NUMBERED_PARCELS = 5,
    STALLED_MS = 1000, /* without an answer: does somebody else lead by now? */
    SHIPMENT_BYTES = 1024 * 1024,
    /* A lane that is alone waits for one answer at a time, so it takes more along. */
    SHIPMENT_BYTES_ALONE = 4 * 1024 * 1024,
};

/* One PRODUCE request: the first parcel, or parcels, of each of many partitions. */
struct shipment {
    LIST_ENTRY(shipment) link;
    struct leat_producer *producer;
    struct call call;
    int32_t node;
    int64_t looked_ms; /* when it was sent, or when the metadata was asked about it */
    size_t count;
    struct parcel *parcels[];
};

/* ---- the end of a parcel ---- */

static void finish_first(struct leat_producer *p, struct lane *lane, int code,
                         int64_t base_offset, const char *text)
{
    struct parcel *parcel = lane_take(&p->accumulator, lane);

    parcel->code = code;
    parcel->base_offset = base_offset;
    /* It may be the parcel's own: why it was last put back. */
    if (text != parcel->text)
        snprintf(parcel->text, sizeof parcel->text, "%s", text);
    producer_tell(p, parcel);
}

void producer_fail_first(struct leat_producer *p, struct lane *lane, int code,
                         const char *text)
{
    if (lane_first(lane)->maybe_sent)
        code = LEAT_E_MAYBE_PERSISTED;
    lane->renumber |= lane_first(lane)->numbered;
    finish_first(p, lane, code, -1, text);
}

static int64_t backoff_ms(const struct leat_producer *p, unsigned tries)
{
    int64_t most = conf_number(p->conf, CONF_RETRY_BACKOFF_MAX);
    int64_t pause = conf_number(p->conf, CONF_RETRY_BACKOFF);

    for (unsigned i = 1; i < tries && pause < most; i++)
        pause *= 2;
    return pause < most ? pause : most;
}

/* Put it back: it stays first in its lane, and nothing overtakes it. */
static void put_back(struct leat_producer *p, struct parcel *parcel, int code,
                     const char *text)
{
    struct lane *lane = parcel->lane;

    parcel->tries++;
    snprintf(parcel->text, sizeof parcel->text, "%s", text);
    lane->sending = false;
    lane->retry_ms = engine_now_ms() + backoff_ms(p, parcel->tries);
    if (status_retry(code) == STATUS_RETRY_REFRESH || code == STATUS_UNREACHABLE)
        cluster_refresh(&p->client->cluster);
}

/* A negative code is the connection's: whatever happened to it, another one may do. */
static bool passing(int code)
{
    return code < 0 || status_is_retriable(code);
}

/* The broker expects another number. What it cannot have seen is numbered anew; what it
 * may have stored under its old number is not ours to send again. */
static void out_of_step(struct leat_producer *p, struct parcel *parcel, int code,
                        const char *text)
{
    struct lane *lane = parcel->lane;

    lane->renumber = true;
    if (parcel->maybe_sent)
        producer_fail_first(p, lane, code, text);
    else
        put_back(p, parcel, code, text);
}

static void judge(struct leat_producer *p, struct parcel *parcel, int code,
                  int64_t base_offset, const char *text)
{
    struct lane *lane = parcel->lane;
    bool too_large =
        code == STATUS_MESSAGE_TOO_LARGE || code == STATUS_RECORD_LIST_TOO_LARGE;

    if (p->idempotent && producer_leaves_doubt(code))
        parcel->maybe_sent = true;
    /* One before it stays, and so does this one: the broker has refused it, too, or
     * nobody knows. */
    if (lane_first(lane) != parcel)
        return;
    if (code == STATUS_OK)
        finish_first(p, lane, LEAT_OK, base_offset, "");
    else if (producer_is_out_of_step(code))
        out_of_step(p, parcel, code, text);
    else if (too_large && parcel->count > 1 && !lane_split(&p->accumulator, lane))
        lane->retry_ms = 0;
    else if (passing(code))
        put_back(p, parcel, code, text);
    else
        producer_fail_first(p, lane, code, text);
}

/* ---- answers ---- */

/* The result of the lane's `nth` parcel in the request. */
static const Leat__ProduceResult *find_result(const Leat__ProduceResponse *m,
                                              const struct lane *lane, size_t nth)
{
    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__ProduceTopicResult *t = m->topics[i];

        if (strcmp(t->name, lane->topic->name) != 0)
            continue;
        /* In the order of the request as a rule, so this ends early. */
        for (size_t j = 0; j < t->n_partitions; j++)
            if (t->partitions[j]->partition == lane->partition && nth-- == 0)
                return t->partitions[j];
    }
    return NULL;
}

static void judge_by_answer(struct leat_producer *p, struct parcel *parcel, size_t nth,
                            const struct answer *answer)
{
    const Leat__ProduceResult *r;

    if (answer->status) {
        if (answer->sent && (int)answer->status < 0)
            parcel->maybe_sent = true;
        judge(p, parcel, (int)answer->status, -1, answer->text);
        return;
    }
    if (answer->message == NULL) {
        judge(p, parcel, LEAT_OK, -1, "");
        return;
    }
    r = find_result((const void *)answer->message, parcel->lane, nth);
    if (r == NULL) {
        parcel->maybe_sent = true;
        judge(p, parcel, LEAT_E_PROTOCOL, -1, "the broker's answer leaves it out");
    } else {
        judge(p, parcel, r->error, r->error ? -1 : r->base_offset,
              r->error_message[0] != '\0' ? r->error_message : status_text(r->error));
    }
}

static void shipment_free(struct shipment *s)
{
    LIST_REMOVE(s, link);
    call_release(&s->call);
    free(s);
}

static void on_shipped(struct call *call, const struct answer *answer)
{
    struct shipment *s = container_of(call, struct shipment, call);
    struct leat_producer *p = s->producer;
    const struct lane *last = NULL;
    size_t nth = 0;

    for (size_t i = 0; i < s->count; i++)
        s->parcels[i]->lane->sending = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct lane *lane = s->parcels[i]->lane;

        nth = lane == last ? nth + 1 : 0;
        last = lane;
        judge_by_answer(p, s->parcels[i], nth, answer);
    }
    shipment_free(s);
    task_queue(&p->client->engine, &p->task);
}

/* ---- brokers that fall silent ---- */

static bool has_moved(struct leat_producer *p, const struct shipment *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct lane *lane = s->parcels[i]->lane;
        int32_t leader =
            cluster_leader(&p->client->cluster, lane->topic->name, lane->partition);

        if (leader >= 0 && leader != s->node)
            return true;
    }
    return false;
}

/* Somebody else leads: whether the silent one has stored it nobody knows, but numbered
 * batches may be sent again. */
void producer_leave_former_leaders(struct leat_producer *p)
{
    const struct answer lost = {.status = STATUS_UNREACHABLE,
                                .sent = true,
                                .text = "the partition has another leader now"};
    struct shipment *s, *next;

    for (s = LIST_FIRST(&p->shipments); s != NULL && p->idempotent; s = next) {
        next = LIST_NEXT(s, link);
        if (!has_moved(p, s))
            continue;
        call_cancel(&s->call);
        on_shipped(&s->call, &lost);
    }
}

/* When the next shipment will have waited for long; asks about those that have. */
static int64_t watch_shipments(struct leat_producer *p, int64_t now)
{
    int64_t at = INT64_MAX;
    struct shipment *s;

    LIST_FOREACH (s, &p->shipments, link) {
        if (now >= s->looked_ms + STALLED_MS) {
            s->looked_ms = now;
            cluster_refresh(&p->client->cluster);
        }
        if (s->looked_ms + STALLED_MS < at)
            at = s->looked_ms + STALLED_MS;
    }
    return at;
}

/* ---- the request ---- */

static Leat__ProducePartition *add_partition(struct arena *a, const struct parcel *parcel)
{
    Leat__ProducePartition *m = arena_alloc(a, sizeof *m);

    if (m == NULL)
        return NULL;
    *m = (Leat__ProducePartition)LEAT__PRODUCE_PARTITION__INIT;
    m->partition = parcel->lane->partition;
    m->batch_bytes = (uint32_t)parcel->batch.len;
    return m;
}

static Leat__ProduceTopic *add_topic(struct arena *a, const struct leat_producer *p,
                                     const struct lanes *lanes, size_t partitions_max)
{
    const struct topic *topic =
        map_get(&p->client->cluster.topics, bytes_of(lanes->name));
    Leat__ProduceTopic *m = arena_alloc(a, sizeof *m);

    if (m == NULL)
        return NULL;
    *m = (Leat__ProduceTopic)LEAT__PRODUCE_TOPIC__INIT;
    m->name = lanes->name;
    if (topic != NULL && !uuid_is_zero(topic->id))
        m->topic_id = (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)topic->id.id};
    m->partitions = arena_alloc(a, partitions_max * sizeof m->partitions[0]);
    return m->partitions != NULL ? m : NULL;
}

static int by_topic(const void *a, const void *b)
{
    const struct lane *x = (*(struct parcel *const *)a)->lane;
    const struct lane *y = (*(struct parcel *const *)b)->lane;
    size_t first = (*(struct parcel *const *)a)->place;
    size_t second = (*(struct parcel *const *)b)->place;
    int order = strcmp(x->topic->name, y->topic->name);

    if (order == 0)
        order = (x->partition > y->partition) - (x->partition < y->partition);
    return order != 0 ? order : (first > second) - (first < second);
}

/* Parcels are sorted by topic, and the payload follows the header's order. */
static bool fill_request(struct shipment *s, struct arena *a, Leat__ProduceRequest *m)
{
    const struct lanes *last = NULL;

    m->topics = arena_alloc(a, s->count * sizeof m->topics[0]);
    if (m->topics == NULL)
        return false;
    for (size_t i = 0; i < s->count; i++) {
        const struct lanes *lanes = s->parcels[i]->lane->topic;
        Leat__ProduceTopic *t;

        if (lanes != last) {
            t = add_topic(a, s->producer, lanes, s->count - i);
            if (t == NULL)
                return false;
            m->topics[m->n_topics++] = t;
            last = lanes;
        }
        t = m->topics[m->n_topics - 1];
        t->partitions[t->n_partitions] = add_partition(a, s->parcels[i]);
        if (t->partitions[t->n_partitions++] == NULL)
            return false;
    }
    return true;
}

/* As soon as the first parcel's time is over, all are judged anew. */
static int64_t shipment_deadline(const struct shipment *s)
{
    int64_t deadline = INT64_MAX;

    for (size_t i = 0; i < s->count; i++)
        if (s->parcels[i]->opened_ms + s->producer->delivery_ms < deadline)
            deadline = s->parcels[i]->opened_ms + s->producer->delivery_ms;
    return deadline;
}

static enum status start_call(struct shipment *s)
{
    Leat__ProduceRequest m = LEAT__PRODUCE_REQUEST__INIT;
    struct slice *payload = calloc(s->count, sizeof payload[0]);
    struct arena a;
    enum status st = STATUS_NO_MEMORY;

    arena_init(&a, 0);
    m.acks = s->producer->acks;
    m.timeout_ms = (int32_t)conf_number(s->producer->conf, CONF_REQUEST_TIMEOUT);
    if (payload != NULL && fill_request(s, &a, &m)) {
        for (size_t i = 0; i < s->count; i++)
            payload[i] = (struct slice){&s->parcels[i]->buf, s->parcels[i]->batch.data,
                                        s->parcels[i]->batch.len};
        s->call.target = CALL_NODE;
        s->call.node = s->node;
        s->call.once = true;
        s->call.flags = m.acks == 0 ? FRAME_ONE_WAY : 0;
        s->call.payload = payload;
        s->call.payload_count = s->count;
        st = call_start(&s->call, RPC_PRODUCE, &m.base, shipment_deadline(s));
    }
    arena_release(&a);
    free(payload);
    return st;
}

/* ---- choosing ---- */

static bool is_ripe(const struct leat_producer *p, const struct lane *lane, int64_t now)
{
    const struct parcel *first = lane_first(lane);

    return first->batch.data != NULL || TAILQ_NEXT(first, link) != NULL || p->closing ||
           first->opened_ms <= p->flush_ms || now >= first->opened_ms + p->linger_ms ||
           build_size(&first->build) >= p->accumulator.batch_bytes;
}

static bool is_ready(const struct leat_producer *p, const struct lane *lane, int64_t now)
{
    return !lane->sending && now >= lane->retry_ms && is_ripe(p, lane, now);
}

static bool has_room(const struct leat_producer *p, int32_t node)
{
    const struct shipment *s;
    size_t n = 0;

    LIST_FOREACH (s, &p->shipments, link)
        n += s->node == node;
    return n < p->in_flight_max;
}

/* The node that `lane` can be sent to now; -1 if it has to wait. */
static int32_t destination(struct leat_producer *p, struct lane *lane, int64_t now)
{
    int32_t node;

    if (!is_ready(p, lane, now))
        return -1;
    node = cluster_leader(&p->client->cluster, lane->topic->name, lane->partition);
    if (node < 0 || cluster_node(&p->client->cluster, node) == NULL) {
        lane->retry_ms = now + backoff_ms(p, 1);
        cluster_refresh(&p->client->cluster);
        return -1;
    }
    return has_room(p, node) ? node : -1;
}

/* The lane's first parcel, and those behind it that are closed: the last one may still
 * grow. */
static size_t take_parcels(const struct leat_producer *p, struct lane *lane,
                           struct parcel **out, size_t room, size_t most, size_t *bytes)
{
    struct parcel *parcel = lane_first(lane);
    size_t n = 0;

    /* Of so many batches a broker knows whether it has them (KIP-98). */
    if (p->idempotent && room > NUMBERED_PARCELS)
        room = NUMBERED_PARCELS;
    do {
        parcel->place = n;
        out[n++] = parcel;
        *bytes += build_size(&parcel->build);
        parcel = TAILQ_NEXT(parcel, link);
    } while (parcel != NULL && TAILQ_NEXT(parcel, link) != NULL && n < room &&
             *bytes + build_size(&parcel->build) <= most);
    return n;
}

/* Ready lanes of one node. Those taken go to the end of the row, so that all have their
 * turn. */
static size_t choose(struct leat_producer *p, int64_t now, struct parcel **out,
                     int32_t *node)
{
    struct lane *lane = TAILQ_FIRST(&p->accumulator.active);
    struct lane *last = TAILQ_LAST(&p->accumulator.active, lane_row);
    size_t most = lane == last ? SHIPMENT_BYTES_ALONE : SHIPMENT_BYTES;
    size_t bytes = 0;
    size_t n = 0;

    *node = -1;
    while (lane != NULL && n < SHIPMENT_PARCELS && bytes < most) {
        struct lane *next = lane == last ? NULL : TAILQ_NEXT(lane, link);
        int32_t to = destination(p, lane, now);

        if (to >= 0 && (*node < 0 || *node == to)) {
            *node = to;
            lane->sending = true;
            n += take_parcels(p, lane, out + n, SHIPMENT_PARCELS - n, most, &bytes);
            TAILQ_REMOVE(&p->accumulator.active, lane, link);
            TAILQ_INSERT_TAIL(&p->accumulator.active, lane, link);
        }
        lane = next;
    }
    return n;
}

/* Compress and checksum, without the lock. */
static enum status finish_parcels(struct leat_producer *p, struct parcel **parcels,
                                  size_t count)
{
    enum status st = STATUS_OK;

    engine_unlock(&p->client->engine);
    for (size_t i = 0; i < count && !st; i++)
        st = parcel_finish(parcels[i], p->codec);
    engine_lock(&p->client->engine);
    return st;
}

static enum status dispatch_parcels(struct leat_producer *p, struct parcel **parcels,
                                    size_t count, int32_t node)
{
    struct shipment *s;
    enum status st = finish_parcels(p, parcels, count);

    if (st)
        return st;
    s = calloc(1, sizeof *s + count * sizeof s->parcels[0]);
    if (s == NULL)
        return STATUS_NO_MEMORY;
    s->producer = p;
    s->node = node;
    s->looked_ms = engine_now_ms();
    s->count = count;
    memcpy(s->parcels, parcels, count * sizeof parcels[0]);
    st = call_init(&s->call, &p->client->cluster, on_shipped);
    if (st) {
        free(s);
        return st;
    }
    LIST_INSERT_HEAD(&p->shipments, s, link);
    st = start_call(s);
    if (st)
        shipment_free(s);
    return st;
}

static bool ship_some(struct leat_producer *p, int64_t now)
{
    struct parcel *parcels[SHIPMENT_PARCELS];
    int32_t node;
    size_t n = choose(p, now, parcels, &node);
    enum status st;

    if (n == 0)
        return false;
    qsort(parcels, n, sizeof parcels[0], by_topic);
    st = dispatch_parcels(p, parcels, n, node);
    for (size_t i = 0; st && i < n; i++)
        put_back(p, parcels[i], (int)st, status_text((int)st));
    return true;
}

/* ---- time ---- */

static void expire_lanes(struct leat_producer *p, int64_t now)
{
    struct lane *lane = TAILQ_FIRST(&p->accumulator.active);

    while (lane != NULL) {
        struct lane *next = TAILQ_NEXT(lane, link);
        char why[PARCEL_TEXT] = "";

        /* Those behind it had no try of their own: they failed for the same reason. */
        while (lane->active && !lane->sending &&
               now >= lane_first(lane)->opened_ms + p->delivery_ms) {
            struct parcel *first = lane_first(lane);

            if (first->text[0] != '\0')
                snprintf(why, sizeof why, "%s", first->text);
            else
                snprintf(first->text, sizeof first->text, "%s", why);
            producer_fail_first(p, lane, LEAT_E_TIMED_OUT, first->text);
        }
        lane = next;
    }
}

static void expire(struct leat_producer *p, int64_t now)
{
    struct lanes *t;

    expire_lanes(p, now);
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;)
        producer_fail_staged(p, t, now - p->delivery_ms + 1, LEAT_E_TIMED_OUT);
}

/* When something becomes ready, or too old, by itself. */
static void schedule(struct leat_producer *p, int64_t now)
{
    int64_t at = watch_shipments(p, now);
    struct lane *lane;
    struct lanes *t;

    TAILQ_FOREACH (lane, &p->accumulator.active, link) {
        const struct parcel *first = lane_first(lane);
        int64_t due = first->opened_ms + p->delivery_ms;

        if (lane->sending)
            continue;
        if (lane->retry_ms > now)
            due = lane->retry_ms < due ? lane->retry_ms : due;
        else if (!is_ripe(p, lane, now) && first->opened_ms + p->linger_ms < due)
            due = first->opened_ms + p->linger_ms;
        at = due < at ? due : at;
    }
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;)
        if (!TAILQ_EMPTY(&t->stage) &&
            TAILQ_FIRST(&t->stage)->staged_ms + p->delivery_ms < at)
            at = TAILQ_FIRST(&t->stage)->staged_ms + p->delivery_ms;
    if (p->idempotent && p->id < 0 && at < INT64_MAX && p->id_retry_ms > now &&
        p->id_retry_ms < at)
        at = p->id_retry_ms;
    if (at < INT64_MAX)
        timer_set_at(&p->client->engine, &p->timer, at);
    else
        timer_clear(&p->client->engine, &p->timer);
}

void producer_on_timer(struct engine_timer *t)
{
    struct leat_producer *p = container_of(t, struct leat_producer, timer);

    task_queue(&p->client->engine, &p->task);
}

void producer_ship(struct engine_task *task)
{
    struct leat_producer *p = container_of(task, struct leat_producer, task);
    int64_t now = engine_now_ms();

    expire(p, now);
    if (producer_has_id(p, now)) {
        producer_renumber(p);
        while (ship_some(p, now))
            ;
    }
    schedule(p, engine_now_ms());
}

/* ---- giving up ---- */

static size_t fail_stage(struct leat_producer *p, struct lanes *t, int code)
{
    struct staged *s;
    size_t n = 0;

    TAILQ_FOREACH (s, &t->stage, link)
        n++;
    producer_fail_staged(p, t, INT64_MAX, code);
    return n;
}

size_t producer_fail_all(struct leat_producer *p, int code)
{
    struct shipment *s;
    struct lane *lane;
    struct lanes *t;
    size_t n = 0;

    while ((s = LIST_FIRST(&p->shipments)) != NULL) {
        for (size_t i = 0; i < s->count; i++) {
            s->parcels[i]->maybe_sent = true;
            s->parcels[i]->lane->sending = false;
        }
        shipment_free(s);
    }
    while ((lane = TAILQ_FIRST(&p->accumulator.active)) != NULL) {
        n += (size_t)lane_first(lane)->count;
        producer_fail_first(p, lane, code, lane_first(lane)->text);
    }
    for (size_t i = 0; (t = map_next(&p->topics, &i)) != NULL;)
        n += fail_stage(p, t, code);
    return n;
}
