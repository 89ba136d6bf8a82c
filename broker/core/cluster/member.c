/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/cluster/member.h"

#include "broker/core/config.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_LEAST_MS = 50,
    RETRY_MOST_MS = 1000,
    ANSWER_BYTES = 4096,
    FAULTS_TOLD = 4096
};

/* How much of a session may pass unheard before a broker stops believing in itself. */
enum { LEASE_PERCENT = 90 };
/* A call may take half a session: who asks again within the rest of that was never silent
 * for long enough to be fenced. */
enum { UNBROKEN_PERCENT = LEASE_PERCENT - 50 };

struct member_link {
    struct member_options o;
    struct prng random;
    struct instant now;
    int64_t epoch;     /* -1: not registered */
    int64_t heard_ms;  /* when the newest answered call was sent; INT64_MIN: never */
    int64_t must_know; /* metadata: up to there it may have been fenced unheard */
    int64_t due_ms;    /* of the next call */
    int64_t retry_ms;  /* the next pause after a failure */
    int64_t sent_ms;   /* of the call under way */
    bool calling;
    bool alone;   /* by the image when it was last looked at */
    bool news;    /* of logs, to be told with the next heartbeat, without delay */
    bool telling; /* the call under way does */
    bool leaving, may_stop, stopped;
    struct peer_call call;
};

struct member_link *member_link_new(const struct member_options *o, struct instant now)
{
    struct member_link *m = must_zalloc(sizeof *m);

    m->o = *o;
    m->random = o->random;
    m->now = now;
    m->epoch = -1;
    m->heard_ms = INT64_MIN;
    m->due_ms = now.mono_ms;
    m->retry_ms = RETRY_LEAST_MS;
    return m;
}

void member_link_free(struct member_link *m)
{
    CHECK(!m->calling);
    free(m);
}

static const struct image_broker *myself(const struct member_link *m)
{
    const struct image_broker *b = image_broker(m->o.image, m->o.node_id);

    return b != NULL && b->epoch == m->epoch ? b : NULL;
}

/* The only broker and the only voter there are: it is its own controller, and nobody else
 * can take that from it. */
static bool is_alone(const struct member_link *m)
{
    return member_link_is_active(m) && m->o.image->broker_count == 1 &&
           m->o.is_only_voter(m->o.ctx);
}

/* ---- answers -------------------------------------------------------------------------
 */

static void try_later(struct member_link *m)
{
    m->due_ms =
        m->now.mono_ms + 1 + (int64_t)prng_below(&m->random, (uint64_t)m->retry_ms);
    if (m->retry_ms < RETRY_MOST_MS)
        m->retry_ms *= 2;
}

/* After a silence others may lead what this broker led, and its metadata does not tell
 * yet: what the controller knew when it answered comes first. */
static void heard(struct member_link *m, int64_t applied)
{
    if (m->heard_ms != INT64_MIN &&
        m->sent_ms - m->heard_ms >= m->o.session_ms * UNBROKEN_PERCENT / 100)
        m->must_know = applied;
    m->heard_ms = m->sent_ms;
    m->retry_ms = RETRY_LEAST_MS;
}

static void log_line(const struct member_link *m, enum log_level level, const char *event,
                     const char *format, long long number)
{
    char text[160];

    snprintf(text, sizeof text, format, number);
    m->o.on_log(m->o.ctx, (int)level, event, text);
}

static enum status unpack(const struct peer_call *c, struct arena *arena,
                          const ProtobufCMessageDescriptor *type, const void **out)
{
    ProtobufCMessage *m;
    enum status st = c->status ? c->status : rpc_unpack(type, c->answer, arena, &m);

    if (!st)
        *out = m;
    return st;
}

static void on_registered(struct peer_call *call)
{
    struct member_link *m = container_of(call, struct member_link, call);
    const void *answer;
    struct arena arena;
    enum status st;

    m->calling = false;
    arena_init(&arena, ANSWER_BYTES);
    st = unpack(call, &arena, &leat__register_broker_response__descriptor, &answer);
    if (!st) {
        m->epoch = ((const Leat__RegisterBrokerResponse *)answer)->broker_epoch;
        heard(m, m->epoch + 1);
        m->due_ms = m->now.mono_ms;
        log_line(m, LOG_LEVEL_INFO, "broker_registered", "broker epoch %lld", m->epoch);
        m->o.changed(m->o.ctx);
    } else {
        if (st == STATUS_DUPLICATE_BROKER)
            log_line(
                m, LOG_LEVEL_WARN, "broker_duplicate",
                "another process with node.id %lld is alive; if it is not this one's "
                "former self, give one of them another node.id",
                m->o.node_id);
        try_later(m);
    }
    arena_release(&arena);
}

static void forget_registration(struct member_link *m)
{
    m->epoch = -1;
    m->alone = false;
    m->due_ms = m->now.mono_ms;
    m->o.changed(m->o.ctx);
}

static void on_heard(struct peer_call *call)
{
    struct member_link *m = container_of(call, struct member_link, call);
    const void *answer;
    struct arena arena;
    enum status st;

    m->calling = false;
    arena_init(&arena, ANSWER_BYTES);
    st = unpack(call, &arena, &leat__broker_heartbeat_response__descriptor, &answer);
    if (!st) {
        const Leat__BrokerHeartbeatResponse *a = answer;

        heard(m, a->applied_offset);
        m->due_ms = m->now.mono_ms + (m->news ? 0 : m->o.heartbeat_ms);
        m->may_stop = a->may_stop;
        m->o.changed(m->o.ctx);
    } else if (st == STATUS_STALE_BROKER_EPOCH) {
        m->news |= m->telling;
        forget_registration(m);
    } else {
        m->news |= m->telling;
        try_later(m);
    }
    arena_release(&arena);
}

/* ---- calls ---------------------------------------------------------------------------
 */

static void send(struct member_link *m, enum rpc_api api, const ProtobufCMessage *header,
                 void (*done)(struct peer_call *c))
{
    m->call = (struct peer_call){
        .api = api, .header = header, .timeout_ms = m->o.session_ms / 2, .done = done};
    m->call.to = m->o.controller(m->o.ctx, &m->call.at);
    m->calling = true;
    m->sent_ms = m->now.mono_ms;
    m->o.call(m->o.ctx, &m->call);
}

static void send_registration(struct member_link *m)
{
    Leat__RegisterBrokerRequest q = LEAT__REGISTER_BROKER_REQUEST__INIT;

    q.node_id = m->o.node_id;
    q.incarnation = (ProtobufCBinaryData){UUID_BYTES, m->o.incarnation.id};
    q.directory_id = (ProtobufCBinaryData){UUID_BYTES, m->o.directory.id};
    q.host = m->o.at.host;
    q.port = m->o.at.port;
    q.rack = (char *)(uintptr_t)m->o.rack;
    q.software_version = (char *)(uintptr_t)LEAT_VERSION;
    send(m, RPC_REGISTER_BROKER, &q.base, on_registered);
}

/* Those behind the first so many are told when some of these open again. */
static void add_faults(struct member_link *m, Leat__BrokerHeartbeatRequest *q,
                       struct arena *arena)
{
    struct log_faults faults = {0};
    size_t count;

    m->o.faults(m->o.ctx, &faults);
    count = faults.count < FAULTS_TOLD ? faults.count : FAULTS_TOLD;
    q->faults = arena_alloc(arena, count * sizeof(void *));
    CHECK(q->faults != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct log_fault *f = &faults.list[i];
        Leat__ReplicaFault *told = arena_alloc(arena, sizeof *told);

        CHECK(told != NULL);
        leat__replica_fault__init(told);
        told->topic_id.data = arena_alloc(arena, UUID_BYTES);
        CHECK(told->topic_id.data != NULL);
        memcpy(told->topic_id.data, f->topic_id.id, UUID_BYTES);
        told->topic_id.len = UUID_BYTES;
        told->partition = f->partition;
        told->damaged = f->damaged;
        q->faults[q->n_faults++] = told;
    }
    log_faults_release(&faults);
}

static void send_heartbeat(struct member_link *m)
{
    Leat__BrokerHeartbeatRequest q = LEAT__BROKER_HEARTBEAT_REQUEST__INIT;
    struct arena arena;

    q.node_id = m->o.node_id;
    q.broker_epoch = m->epoch;
    q.applied_offset = m->o.image->applied;
    q.want_stop = m->leaving;
    arena_init(&arena, 0);
    add_faults(m, &q, &arena);
    m->telling = m->news;
    m->news = false;
    send(m, RPC_BROKER_HEARTBEAT, &q.base, on_heard);
    arena_release(&arena);
}

static void run(struct member_link *m)
{
    struct endpoint at;

    if (m->calling || m->stopped || m->now.mono_ms < m->due_ms)
        return;
    if (m->o.controller(m->o.ctx, &at) < 0)
        return; /* member_link_look comes when one is known */
    if (m->epoch >= 0)
        send_heartbeat(m);
    else if (!m->leaving)
        send_registration(m);
}

/* Until now nobody but ourselves was to hear us. */
static void see_company(struct member_link *m)
{
    bool alone = is_alone(m);

    if (m->alone && !alone)
        m->heard_ms = m->now.mono_ms;
    m->alone = alone;
}

void member_link_look(struct member_link *m, struct instant now)
{
    const struct image_broker *b = myself(m);

    m->now = now;
    see_company(m);
    /* Fenced, and the metadata has come as far as it must: say so at once. */
    if (b != NULL && b->state == BROKER_FENCED && m->due_ms > now.mono_ms &&
        m->retry_ms == RETRY_LEAST_MS)
        m->due_ms = now.mono_ms;
    run(m);
}

void member_link_controller_changed(struct member_link *m, struct instant now)
{
    m->now = now;
    see_company(m);
    m->retry_ms = RETRY_LEAST_MS;
    m->due_ms = now.mono_ms;
    run(m);
}

void member_link_faults_changed(struct member_link *m, struct instant now)
{
    m->now = now;
    m->news = true;
    m->due_ms = now.mono_ms;
    run(m);
}

void member_link_tick(struct member_link *m, struct instant now)
{
    m->now = now;
    run(m);
}

int64_t member_link_deadline(const struct member_link *m)
{
    struct endpoint at;

    if (m->calling || m->stopped || m->o.controller(m->o.ctx, &at) < 0 ||
        (m->epoch < 0 && m->leaving) || (m->alone && !m->leaving && !m->news))
        return INT64_MAX;
    return m->due_ms;
}

void member_link_leave(struct member_link *m, struct instant now)
{
    m->now = now;
    m->leaving = true;
    m->due_ms = now.mono_ms;
    run(m);
}

void member_link_stop(struct member_link *m)
{
    m->stopped = true;
}

/* ---- questions -----------------------------------------------------------------------
 */

bool member_link_may_stop(const struct member_link *m)
{
    return m->may_stop || m->epoch < 0;
}

int64_t member_link_epoch(const struct member_link *m)
{
    return m->epoch;
}

bool member_link_is_active(const struct member_link *m)
{
    const struct image_broker *b = myself(m);

    return b != NULL && b->state == BROKER_ACTIVE;
}

bool member_link_is_heard(const struct member_link *m, struct instant now)
{
    return m->alone ||
           (m->epoch >= 0 && m->heard_ms != INT64_MIN &&
            m->o.image->applied >= m->must_know &&
            now.mono_ms - m->heard_ms < m->o.session_ms * LEASE_PERCENT / 100);
}
