/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection: its states, its requests, its books. */
#include "broker/io/connection_inner.h"

#include "broker/core/node.h"
#include "broker/io/log_sink.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPARE_CALLS = 256 };

bool connection_reads(const struct connection *c)
{
    return c->state <= CONNECTION_OPEN;
}

/* What takes the shard's last memory are mostly records that wait to be replicated: were
 * the other brokers not heard either, they would wait for ever. Those who greet may be
 * brokers too, and have but a small frame to say so. */
static bool has_priority(const struct connection *c)
{
    return c->peer >= 0 || c->state < CONNECTION_OPEN;
}

/* Its own share is used up, or the shard's. */
bool connection_is_full(const struct connection *c)
{
    return (c->set->over && !has_priority(c)) ||
           c->calls_cost + c->out.bytes > c->set->connection_max;
}

void connection_make_runnable(struct connection *c)
{
    if (c->is_runnable || c->state == CONNECTION_GONE)
        return;
    c->is_runnable = true;
    TAILQ_INSERT_TAIL(&c->set->runnable, c, runnable_link);
}

void connection_touch(struct connection *c)
{
    if (c->is_dirty || c->state == CONNECTION_GONE)
        return;
    c->is_dirty = true;
    TAILQ_INSERT_TAIL(&c->set->dirty, c, dirty_link);
}

void connection_pause(struct connection *c)
{
    if (c->is_paused)
        return;
    c->is_paused = true;
    TAILQ_INSERT_TAIL(&c->set->paused, c, paused_link);
    event_del(&c->read);
}

void connection_resume(struct connection *c)
{
    CHECK(c->is_paused);
    c->is_paused = false;
    TAILQ_REMOVE(&c->set->paused, c, paused_link);
    if (!c->eof)
        event_add(&c->read, NULL);
    /* Whole messages may lie in the buffer already. */
    connection_make_runnable(c);
}

void connection_account(struct connection *c)
{
    struct connections *s = c->set;
    size_t held = c->calls_cost + c->out.bytes;

    if (c->in != NULL)
        held += c->in->capacity;
    s->held = s->held - c->held + held;
    c->held = held;
    if (s->held > s->memory_max)
        s->over = true;
    else if (s->held <= s->memory_max / 2)
        s->over = false;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    if (what & EV_READ) {
        c->readable = true;
        connection_make_runnable(c);
    }
    if (what & EV_WRITE) {
        c->writing = false;
        connection_touch(c);
    }
}

struct connection *connection_new(struct connections *s, int fd, const char *host)
{
    struct connection *c = must_zalloc(sizeof *c);

    c->set = s;
    c->fd = fd;
    c->chunk_bytes = CHUNK_SMALL;
    c->peer = -1;
    c->opened_ms = c->traffic_ms = s->now.mono_ms;
    snprintf(c->host, sizeof c->host, "%s", host);
    output_init(&c->out);
    event_assign(&c->read, s->o.base, fd, EV_READ | EV_PERSIST, on_event, c);
    event_assign(&c->write, s->o.base, fd, EV_WRITE, on_event, c);
    TAILQ_INSERT_TAIL(&s->all, c, all_link);
    return c;
}

static void leave_lists(struct connection *c)
{
    struct connections *s = c->set;

    if (c->is_runnable)
        TAILQ_REMOVE(&s->runnable, c, runnable_link);
    if (c->is_dirty)
        TAILQ_REMOVE(&s->dirty, c, dirty_link);
    if (c->is_paused)
        TAILQ_REMOVE(&s->paused, c, paused_link);
    c->is_runnable = c->is_dirty = c->is_paused = false;
}

void connection_free_when_done(struct connection *c)
{
    if (c->state != CONNECTION_GONE || c->calls > 0 || c->running)
        return;
    TAILQ_REMOVE(&c->set->all, c, all_link);
    c->set->held -= c->held;
    free(c->acquaintance);
    free(c);
}

void connection_drop(struct connection *c)
{
    if (c->state == CONNECTION_GONE)
        return;
    event_del(&c->read);
    event_del(&c->write);
    close(c->fd);
    c->fd = -1;
    leave_lists(c);
    c->state = CONNECTION_GONE;
    connection_release_input(c);
    output_release(&c->out);
    connection_account(c);
    atomic_fetch_sub(c->set->o.total, 1);
    metric_set(c->set->o.metrics, METRIC_CONNECTIONS,
               metric_get(c->set->o.metrics, METRIC_CONNECTIONS) - 1);
    connection_free_when_done(c);
}

static void tell(const struct connection *c, const char *why)
{
    if (why == NULL) {
        SAY(DEBUG, "connection.closed", NULL, TEXT("peer", c->host),
            TEXT("client", c->client_id));
        return;
    }
    metric_add(c->set->o.metrics, METRIC_CONNECTIONS_REFUSED, 1);
    SAY(WARN, "connection.refused", why, TEXT("peer", c->host),
        TEXT("client", c->client_id));
}

void connection_abort(struct connection *c, const char *why)
{
    if (c->state == CONNECTION_GONE)
        return;
    tell(c, why);
    connection_drop(c);
}

void connection_finish(struct connection *c, const char *why)
{
    if (!connection_reads(c))
        return;
    if (why != NULL)
        tell(c, why);
    c->state = CONNECTION_CLOSING;
    c->closing_ms = c->set->now.mono_ms + CONNECTION_CLOSING_MS;
    event_del(&c->read);
    connection_release_input(c);
    connection_touch(c);
}

/* Closing at once could take the last answer with it: unread input makes the kernel send
 * a reset. So: no more from us, and a moment for the peer to close. */
static void start_to_linger(struct connection *c)
{
    c->state = CONNECTION_LINGERING;
    c->closing_ms = c->set->now.mono_ms +
                    (c->set->stopping ? CONNECTION_STOP_LINGER_MS : CONNECTION_LINGER_MS);
    shutdown(c->fd, SHUT_WR);
    if (c->eof)
        connection_drop(c);
    else
        event_add(&c->read, NULL);
}

void connection_linger_on(struct connection *c)
{
    char waste[16384];
    ssize_t n = recv(c->fd, waste, sizeof waste, MSG_DONTWAIT);

    c->readable = false;
    if (n == 0)
        connection_drop(c);
}

static void send_output(struct connection *c)
{
    size_t written;

    if (c->out.bytes == 0 || c->writing)
        return;
    if (!output_write(&c->out, c->fd, &written)) {
        connection_abort(c, NULL);
        return;
    }
    metric_add(c->set->o.metrics, METRIC_BYTES_OUT, written);
    if (written > 0)
        c->traffic_ms = c->set->now.mono_ms;
    if (c->out.bytes == 0) {
        c->stall_ms = 0;
        return;
    }
    if (c->stall_ms == 0 || written > 0)
        c->stall_ms = c->set->now.mono_ms;
    c->writing = true;
    event_add(&c->write, NULL);
}

static bool has_room_again(const struct connection *c)
{
    return (!c->set->over || has_priority(c)) &&
           c->calls_cost + c->out.bytes <= c->set->connection_max / 2;
}

void connection_settle(struct connection *c)
{
    bool idle;

    send_output(c);
    if (c->state == CONNECTION_GONE)
        return;
    connection_account(c);
    idle = c->calls == 0 && c->out.bytes == 0;
    if (c->state == CONNECTION_CLOSING && idle) {
        start_to_linger(c);
    } else if (connection_reads(c) && connection_is_full(c)) {
        connection_pause(c);
    } else if (c->is_paused && connection_reads(c) && has_room_again(c)) {
        connection_resume(c);
    } else if (connection_reads(c) && c->eof && idle && !c->is_runnable) {
        connection_abort(c, NULL);
    }
}

struct call *connection_call(struct connection *c)
{
    struct connections *s = c->set;
    struct call *call = SLIST_FIRST(&s->spare_calls);

    if (call != NULL) {
        SLIST_REMOVE_HEAD(&s->spare_calls, link);
        s->spare_call_count--;
    } else {
        call = must_alloc(sizeof *call);
    }
    *call = (struct call){.connection = c};
    call->request.client_id = c->client_id;
    call->request.host = c->host;
    call->request.arrived = s->now;
    return call;
}

void connection_forget(struct connection *c, struct call *call)
{
    struct connections *s = c->set;
    struct request *r = &call->request;

    slice_release(&r->payload);
    for (size_t i = 0; i < r->slice_count; i++)
        slice_release(&r->slices[i]);
    arena_release(&r->arena);
    if (s->spare_call_count == SPARE_CALLS) {
        free(call);
        return;
    }
    SLIST_INSERT_HEAD(&s->spare_calls, call, link);
    s->spare_call_count++;
}

void connection_ask(struct connection *c, struct call *call, size_t message_bytes)
{
    call->cost = sizeof *call + message_bytes + call->request.arena.used;
    c->calls++;
    c->calls_cost += call->cost;
    c->set->calls++;
    node_request(c->set->o.node, &call->request, c->set->now);
}

void connection_answer(struct request *r)
{
    struct call *call = container_of(r, struct call, request);
    struct connection *c = call->connection;

    CHECK(c->calls > 0 && c->set->calls > 0);
    c->calls--;
    c->calls_cost -= call->cost;
    c->set->calls--;
    if (c->state != CONNECTION_GONE) {
        c->protocol->answer(c, call);
        connection_touch(c);
    }
    connection_forget(c, call);
    connection_account(c);
    connection_free_when_done(c);
}

const char *connection_overdue(const struct connection *c, int64_t now_ms,
                               int64_t idle_ms)
{
    bool ours = c->calls_cost + c->out.bytes > c->set->connection_max / 2;

    if (c->state >= CONNECTION_CLOSING)
        return now_ms >= c->closing_ms ? "it did not close in time" : NULL;
    if (c->stall_ms > 0 && now_ms - c->stall_ms >= CONNECTION_STALL_MS)
        return "it does not read its answers";
    if (c->state < CONNECTION_OPEN && now_ms - c->opened_ms >= CONNECTION_GREETING_MS)
        return "it did not finish its greeting in time";
    if (c->frame_ms > 0 && !(c->is_paused && ours) &&
        now_ms - c->frame_ms >=
            CONNECTION_FRAME_MS + (int64_t)(c->in_whole / CONNECTION_FRAME_BYTES_PER_MS))
        return "it did not finish a frame in time";
    if (c->calls == 0 && c->out.bytes == 0 && now_ms - c->traffic_ms >= idle_ms)
        return "it was idle for too long";
    return NULL;
}
