/* SPDX-License-Identifier: Apache-2.0 */
#include "client/membership.h"

#include "proto/base/check.h"

#include <string.h>

static const char *const assignors[] = {"", "range", "sticky"};

static int64_t call_deadline(const struct membership *m)
{
    return engine_now_ms() + conf_number(m->conf, CONF_REQUEST_TIMEOUT);
}

static void pause_before(struct membership *m, int64_t pause_ms)
{
    timer_set_at(m->cluster->engine, &m->timer, engine_now_ms() + pause_ms);
}

/* Tell the owner, and try the same again in a while. */
static void stumble(struct membership *m, enum status why, const char *text)
{
    pause_before(m, conf_number(m->conf, CONF_RETRY_BACKOFF_MAX));
    m->failed(m, why, text);
}

/* ---- what the group says ---- */

/* The group's word becomes our target. */
static enum status target_set(struct membership *m, Leat__TopicPartitions **in,
                              size_t count)
{
    struct assignment target;
    enum status st = STATUS_OK;

    assignment_init(&target);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < in[i]->n_partitions && !st; k++)
            if (in[i]->partitions[k] >= 0)
                st = assignment_add(&target, in[i]->topic, in[i]->partitions[k]);
    if (st) {
        assignment_release(&target);
        return st;
    }
    assignment_release(&m->target);
    m->target = target;
    return STATUS_OK;
}

static void was_told(struct membership *m, int32_t epoch, int32_t interval_ms,
                     Leat__TopicPartitions **assigned, size_t count)
{
    m->epoch = epoch;
    m->interval_ms = interval_ms < 10 ? 10 : interval_ms;
    m->state = MEMBER_IN;
    pause_before(m, m->again ? 0 : m->interval_ms);
    m->again = false;
    /* Without memory the old target stands; the next answer repeats the new one. */
    if (!target_set(m, assigned, count))
        m->told(m);
}

static void forget(struct membership *m)
{
    timer_clear(m->cluster->engine, &m->timer);
    assignment_release(&m->target);
    m->state = MEMBER_OUT;
    m->epoch = -1;
    m->again = false;
    m->member_id[0] = 0;
}

/* ---- join ---- */

static void join(struct membership *m)
{
    Leat__GroupJoinRequest request = LEAT__GROUP_JOIN_REQUEST__INIT;

    request.group = (char *)conf_text(m->conf, CONF_GROUP_ID);
    request.client_id = (char *)conf_text(m->conf, CONF_CLIENT_ID);
    request.member_id = m->member_id;
    request.topics = (char **)m->topics;
    request.n_topics = m->topic_count;
    request.assignor = (char *)assignors[conf_number(m->conf, CONF_GROUP_ASSIGNOR)];
    request.session_timeout_ms = (int32_t)conf_number(m->conf, CONF_SESSION_TIMEOUT);
    m->call.once = false;
    if (call_start(&m->call, RPC_GROUP_JOIN, &request.base, call_deadline(m)))
        stumble(m, STATUS_NO_MEMORY, "");
}

static void joined(struct membership *m, const Leat__GroupJoinResponse *r)
{
    const size_t len = strnlen(r->member_id, MEMBER_ID_MAX);

    if (len == 0 || len == MEMBER_ID_MAX) {
        stumble(m, STATUS_PROTOCOL, "the broker gave no name that can be used");
        return;
    }
    memcpy(m->member_id, r->member_id, len + 1);
    was_told(m, r->member_epoch, r->heartbeat_interval_ms, r->assigned, r->n_assigned);
}

/* ---- heartbeat ---- */

/* The set as a message: partitions of one topic lie side by side. */
static enum status owned_write(const struct assignment *a,
                               Leat__GroupHeartbeatRequest *out, struct arena *arena)
{
    out->owned = arena_alloc(arena, (a->count + 1) * sizeof(void *));
    if (!out->owned)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < a->count;) {
        Leat__TopicPartitions *t = arena_alloc(arena, sizeof *t);
        const char *topic = a->items[i].topic;
        size_t n = 0;

        while (i + n < a->count && strcmp(a->items[i + n].topic, topic) == 0)
            n++;
        if (!t)
            return STATUS_NO_MEMORY;
        leat__topic_partitions__init(t);
        t->topic = (char *)topic;
        t->partitions = arena_alloc(arena, n * sizeof *t->partitions);
        if (!t->partitions)
            return STATUS_NO_MEMORY;
        while (t->n_partitions < n)
            t->partitions[t->n_partitions++] = a->items[i++].partition;
        out->owned[out->n_owned++] = t;
    }
    return STATUS_OK;
}

static enum status beat_start(struct membership *m)
{
    Leat__GroupHeartbeatRequest request = LEAT__GROUP_HEARTBEAT_REQUEST__INIT;
    struct assignment owned;
    struct arena arena;
    enum status st;

    assignment_init(&owned);
    arena_init(&arena, 0);
    request.group = (char *)conf_text(m->conf, CONF_GROUP_ID);
    request.member_id = m->member_id;
    request.member_epoch = m->epoch;
    st = m->owned(m, &owned);
    if (!st)
        st = owned_write(&owned, &request, &arena);
    m->call.once = false;
    if (!st)
        st = call_start(&m->call, RPC_GROUP_HEARTBEAT, &request.base, call_deadline(m));
    arena_release(&arena);
    assignment_release(&owned);
    return st;
}

static void beat(struct membership *m)
{
    if (beat_start(m))
        stumble(m, STATUS_NO_MEMORY, "");
}

void membership_beat(struct membership *m)
{
    if (m->state != MEMBER_IN)
        return;
    if (call_is_active(&m->call))
        m->again = true;
    else
        timer_set_at(m->cluster->engine, &m->timer, engine_now_ms());
}

/* ---- leave ---- */

static void gone(struct membership *m)
{
    forget(m);
    m->left(m);
    if (m->rejoin)
        membership_join(m, m->topics, m->topic_count);
}

void membership_leave(struct membership *m)
{
    Leat__GroupLeaveRequest request = LEAT__GROUP_LEAVE_REQUEST__INIT;

    m->rejoin = false;
    if (m->state == MEMBER_LEAVING)
        return;
    call_cancel(&m->call);
    timer_clear(m->cluster->engine, &m->timer);
    m->state = MEMBER_LEAVING;
    request.group = (char *)conf_text(m->conf, CONF_GROUP_ID);
    request.member_id = m->member_id;
    m->call.once = true;
    if (!m->member_id[0] ||
        call_start(&m->call, RPC_GROUP_LEAVE, &request.base, call_deadline(m)))
        timer_set_at(m->cluster->engine, &m->timer, engine_now_ms());
}

/* ---- life ---- */

static bool has_put_us_out(enum status st)
{
    return st == STATUS_UNKNOWN_MEMBER || st == STATUS_FENCED_MEMBER_EPOCH ||
           st == STATUS_ILLEGAL_GENERATION;
}

static void beaten(struct membership *m, const struct answer *answer)
{
    const Leat__GroupHeartbeatResponse *r;

    if (has_put_us_out(answer->status)) {
        forget(m);
        m->lost(m);
        return;
    }
    if (answer->status) {
        stumble(m, answer->status, answer->text);
        return;
    }
    r = (const Leat__GroupHeartbeatResponse *)answer->message;
    was_told(m, r->member_epoch, r->heartbeat_interval_ms, r->assigned, r->n_assigned);
}

static void on_answer(struct call *call, const struct answer *answer)
{
    struct membership *m = container_of(call, struct membership, call);

    switch (m->state) {
    case MEMBER_OUT: break;
    case MEMBER_JOINING:
        if (answer->status)
            stumble(m, answer->status, answer->text);
        else
            joined(m, (const Leat__GroupJoinResponse *)answer->message);
        break;
    case MEMBER_IN: beaten(m, answer); break;
    case MEMBER_LEAVING: gone(m); break;
    }
}

static void on_timer(struct engine_timer *t)
{
    struct membership *m = container_of(t, struct membership, timer);

    if (call_is_active(&m->call))
        return;
    switch (m->state) {
    case MEMBER_OUT: break;
    case MEMBER_JOINING: join(m); break;
    case MEMBER_IN: beat(m); break;
    case MEMBER_LEAVING: gone(m); break;
    }
}

enum status membership_init(struct membership *m, struct cluster *cluster,
                            const struct leat_conf *conf, struct prng *random)
{
    enum status st;

    *m = (struct membership){
        .cluster = cluster, .conf = conf, .random = random, .epoch = -1};
    assignment_init(&m->target);
    st = timer_init(cluster->engine, &m->timer, on_timer);
    if (st)
        return st;
    st = call_init(&m->call, cluster, on_answer);
    if (st) {
        timer_release(cluster->engine, &m->timer);
        return st;
    }
    m->call.target = CALL_COORDINATOR;
    m->call.group = conf_text(conf, CONF_GROUP_ID);
    m->call.repeat = true;
    return STATUS_OK;
}

void membership_release(struct membership *m)
{
    call_release(&m->call);
    timer_release(m->cluster->engine, &m->timer);
    assignment_release(&m->target);
}

void membership_join(struct membership *m, const char *const *topics, size_t count)
{
    m->topics = topics;
    m->topic_count = count;
    m->rejoin = m->state == MEMBER_LEAVING;
    if (m->state != MEMBER_OUT)
        return;
    m->state = MEMBER_JOINING;
    uuid_format(uuid_random(m->random), m->member_id);
    timer_set_at(m->cluster->engine, &m->timer, engine_now_ms());
}
