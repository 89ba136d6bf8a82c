/* SPDX-License-Identifier: Apache-2.0 */
#include "client/call.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    UNKNOWN_TOPIC_ATTEMPTS = 3,
    SILENT_MS = 1000, /* without an answer: is it still the one to ask? */
};

/* ---- the end ---- */

static void settle(struct call *call)
{
    struct engine *e = call->cluster->engine;

    timer_clear(e, &call->timer);
    if (call->listening)
        cluster_unlisten(call->cluster, &call->listener);
    call->listening = false;
    call->active = false;
}

static void finish(struct call *call, const struct answer *answer)
{
    struct engine *e = call->cluster->engine;

    settle(call);
    call->done(call, answer);
    engine_changed(e);
}

static void fail(struct call *call, enum status status)
{
    char text[sizeof call->last_text];

    /* The call may be gone before its text has been read. */
    snprintf(text, sizeof text, "%s", call->last_text);
    finish(call,
           &(struct answer){
               .status = status, .text = text, .sent = call->maybe_sent, .node_id = -1});
}

/* ---- trying again ---- */

static int64_t pause_ms(const struct call *call)
{
    const struct leat_conf *conf = call->cluster->conf;
    int64_t most = conf_number(conf, CONF_RETRY_BACKOFF_MAX);
    int64_t pause = conf_number(conf, CONF_RETRY_BACKOFF);

    for (unsigned i = 1; i < call->attempts && pause < most; i++)
        pause *= 2;
    return pause < most ? pause : most;
}

static bool worth_retrying(const struct call *call, enum status why)
{
    if (call->once || !status_is_retriable(why))
        return false;
    /* Who asks for a topic that is not there wants to be told; a leader that does not
     * know its partition yet is given a moment. */
    if (why == STATUS_UNKNOWN_TOPIC_OR_PARTITION)
        return call->target == CALL_LEADER && call->attempts < UNKNOWN_TOPIC_ATTEMPTS;
    return true;
}

static void retry_later(struct call *call, enum status why)
{
    int64_t at = engine_now_ms() + pause_ms(call);

    call->active = true;
    call->last = why;
    if (status_retry(why) == STATUS_RETRY_REFRESH || why == STATUS_UNREACHABLE)
        cluster_refresh(call->cluster);
    timer_set_at(call->cluster->engine, &call->timer,
                 at < call->deadline_ms ? at : call->deadline_ms);
}

static void on_answer(void *owner, const struct answer *answer)
{
    struct call *call = owner;

    call->request = NULL;
    if (!answer->status) {
        finish(call, answer);
        return;
    }
    /* An ErrorResponse is a refusal: nothing was done. A lost answer tells nothing. */
    if (answer->sent && answer->status < 0) {
        call->maybe_sent = true;
        if (!call->repeat) {
            finish(call, answer);
            return;
        }
    }
    if (!worth_retrying(call, answer->status)) {
        finish(call, answer);
        return;
    }
    snprintf(call->last_text, sizeof call->last_text, "%s", answer->text);
    retry_later(call, answer->status);
}

/* ---- an attempt ---- */

/* The leader's connection, or NULL and why not. */
static struct connection *pick_leader(struct call *call, enum status *why)
{
    struct topic *t = cluster_topic(call->cluster, call->topic);

    *why = STATUS_LEADER_NOT_AVAILABLE;
    if (t == NULL) {
        *why = STATUS_NO_MEMORY;
        return NULL;
    }
    if (t->known && t->status) {
        *why = t->status;
        return NULL;
    }
    if (t->known && (call->partition < 0 || call->partition >= t->partition_count)) {
        *why = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        return NULL;
    }
    if (!t->known || t->partitions[call->partition].leader < 0)
        return NULL;
    return cluster_node(call->cluster, t->partitions[call->partition].leader);
}

static struct connection *pick_node(struct call *call, int32_t id, enum status *why)
{
    *why = STATUS_UNREACHABLE;
    return cluster_node(call->cluster, id);
}

/* Topics are managed by the controller, but any broker carries requests there. */
static struct connection *pick_controller(struct call *call)
{
    struct connection *c = cluster_node(call->cluster, call->cluster->controller_id);

    return c != NULL ? c : cluster_any(call->cluster);
}

/* Before it is known any broker is as good: it answers, or says that it is another. */
static struct connection *pick_coordinator(struct call *call)
{
    struct connection *c = cluster_node(call->cluster, call->cluster->coordinator_id);

    return c != NULL ? c : pick_controller(call);
}

static struct connection *pick(struct call *call, enum status *why)
{
    switch (call->target) {
    case CALL_ANY: return cluster_any(call->cluster);
    case CALL_CONTROLLER: return pick_controller(call);
    case CALL_COORDINATOR: return pick_coordinator(call);
    case CALL_NODE: return pick_node(call, call->node, why);
    case CALL_LEADER: return pick_leader(call, why);
    }
    return NULL;
}

static enum status send_now(struct call *call, struct connection *c)
{
    const struct leat_conf *conf = call->cluster->conf;
    int64_t expires =
        engine_now_ms() + conf_number(conf, CONF_REQUEST_TIMEOUT) + call->answer_ms;

    call->attempts++;
    call->asked = c;
    return connection_send(
        c, call->api, call->flags, (struct bytes){call->packed.data, call->packed.len},
        call->slices, call->slice_count, expires, call, on_answer, &call->request);
}

static void wait_for_answer(struct call *call)
{
    int64_t at = call->deadline_ms;

    if (call->repeat && !call->once && at > engine_now_ms() + SILENT_MS + call->answer_ms)
        at = engine_now_ms() + SILENT_MS + call->answer_ms;
    timer_set_at(call->cluster->engine, &call->timer, at);
}

static void listen_for_news(struct call *call)
{
    if (!call->listening)
        cluster_listen(call->cluster, &call->listener);
    call->listening = true;
    cluster_refresh(call->cluster);
}

/* What keeps it from being sent may be news of yesterday, as long as no metadata came in
 * since the call began. STATUS_OK: it was sent, or waits. */
static enum status attempt(struct call *call)
{
    enum status why = STATUS_UNREACHABLE;
    struct connection *c = pick(call, &why);

    if (c != NULL) {
        why = send_now(call, c);
        if (!why)
            wait_for_answer(call);
        return why;
    }
    if (why == STATUS_NO_MEMORY)
        return why;
    call->last = why;
    if (call->refreshed && (!status_is_retriable(why) || call->once ||
                            why == STATUS_UNKNOWN_TOPIC_OR_PARTITION))
        return why;
    listen_for_news(call);
    timer_set_at(call->cluster->engine, &call->timer, call->deadline_ms);
    return STATUS_OK;
}

static void attempt_or_fail(struct call *call)
{
    enum status st = attempt(call);

    if (st)
        fail(call, st);
}

/* Whoever was asked is silent. Is there another to ask by now? */
static void look_elsewhere(struct call *call)
{
    enum status why;
    const struct connection *c = pick(call, &why);

    if (c == NULL || c == call->asked)
        return;
    call->maybe_sent = request_abandon(call->request) || call->maybe_sent;
    call->request = NULL;
    attempt_or_fail(call);
}

static void on_changed(struct cluster_listener *l, enum status status)
{
    struct call *call = container_of(l, struct call, listener);

    cluster_unlisten(call->cluster, l);
    call->listening = false;
    if (call->request != NULL) {
        if (!status)
            look_elsewhere(call);
        return;
    }
    if (status) {
        snprintf(call->last_text, sizeof call->last_text, "%s", call->cluster->last_text);
        call->last = status;
        if (call->once || !status_is_retriable(status)) {
            fail(call, status);
            return;
        }
        call->listening = true;
        cluster_listen(call->cluster, l);
        return;
    }
    call->refreshed = true;
    attempt_or_fail(call);
}

static void on_timer(struct engine_timer *t)
{
    struct call *call = container_of(t, struct call, timer);

    if (call->failed_early) {
        fail(call, call->last);
    } else if (engine_now_ms() >= call->deadline_ms) {
        if (call->request != NULL) {
            call->maybe_sent = request_abandon(call->request) || call->maybe_sent;
            call->request = NULL;
        }
        fail(call, call->last ? call->last : STATUS_TIMED_OUT);
    } else if (call->request != NULL) {
        listen_for_news(call);
        wait_for_answer(call);
    } else {
        attempt_or_fail(call);
    }
}

/* ---- the caller's side ---- */

enum status call_init(struct call *call, struct cluster *cluster, call_done_fn *done)
{
    *call = (struct call){.cluster = cluster, .done = done, .node = -1};
    call->listener.changed = on_changed;
    return timer_init(cluster->engine, &call->timer, on_timer);
}

static void forget(struct call *call)
{
    writer_release(&call->packed);
    call->packed = (struct writer){0};
    for (size_t i = 0; i < call->slice_count; i++)
        slice_release(&call->slices[i]);
    free(call->slices);
    call->slices = NULL;
    call->slice_count = 0;
}

void call_release(struct call *call)
{
    call_cancel(call);
    forget(call);
    timer_release(call->cluster->engine, &call->timer);
}

static enum status keep(struct call *call, const ProtobufCMessage *message)
{
    enum status st;

    call->packed = writer_growing();
    rpc_pack(message, &call->packed);
    st = writer_status(&call->packed);
    if (st || call->payload_count == 0)
        return st;
    call->slices = calloc(call->payload_count, sizeof call->slices[0]);
    if (call->slices == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < call->payload_count; i++)
        call->slices[i] =
            slice_of(call->payload[i].buf, call->payload[i].data, call->payload[i].len);
    call->slice_count = call->payload_count;
    return STATUS_OK;
}

enum status call_start(struct call *call, enum rpc_api api,
                       const ProtobufCMessage *message, int64_t deadline_ms)
{
    enum status st;

    CHECK(!call->active);
    forget(call);
    st = keep(call, message);
    if (st) {
        forget(call);
        return st;
    }
    call->api = api;
    call->deadline_ms = deadline_ms;
    call->active = true;
    call->attempts = 0;
    call->refreshed = call->failed_early = call->maybe_sent = false;
    call->last = STATUS_OK;
    call->last_text[0] = '\0';
    st = attempt(call);
    if (st) {
        call->last = st;
        call->failed_early = true;
        timer_set_at(call->cluster->engine, &call->timer, 0);
    }
    return STATUS_OK;
}

bool call_again(struct call *call, enum status why)
{
    CHECK(!call->active);
    if (!worth_retrying(call, why) || engine_now_ms() >= call->deadline_ms)
        return false;
    call->last_text[0] = '\0';
    retry_later(call, why);
    return true;
}

void call_cancel(struct call *call)
{
    if (!call->active)
        return;
    if (call->request != NULL)
        request_abandon(call->request);
    call->request = NULL;
    settle(call);
}

bool call_is_active(const struct call *call)
{
    return call->active;
}
