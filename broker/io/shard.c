/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/shard.h"

#include "broker/io/clock.h"
#include "broker/io/log_sink.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SWEEP_MS = 1000,
    STOPPING_SWEEP_MS = 20,
    MAIL_PER_TURN = 256,
    BROKERS_RESERVE = 256, /* connections */
    LAST_PASSES = 8,
    SPIN_LEAST_US = 20,
    SPIN_GAP_US = 200, /* a disk that takes longer is slept over */
    GAP_STEP_US = 8,
};

static void report(struct shard *s, enum shard_state state)
{
    const uint64_t one = 1;

    atomic_store(&s->state, (int)state);
    CHECK(write(s->news_fd, &one, sizeof one) == sizeof one);
}

enum shard_state shard_state(const struct shard *s)
{
    return (enum shard_state)atomic_load(&s->state);
}

static enum shard_order order_of(const struct shard *s)
{
    return (enum shard_order)atomic_load(&s->order);
}

void shard_command(struct shard *s, enum shard_order order)
{
    const uint64_t one = 1;

    atomic_store(&s->order, (int)order);
    CHECK(write(s->wake_fd, &one, sizeof one) == sizeof one);
}

/* ---- the node's wire -----------------------------------------------------------------
 */

static void wire_answer(struct wire *w, struct request *r)
{
    (void)w;
    connection_answer(r);
}

static void wire_post(struct wire *w, unsigned shard, struct errand *e)
{
    struct shard *s = container_of(w, struct shard, wire);

    atomic_store_explicit(&s->sent,
                          atomic_load_explicit(&s->sent, memory_order_relaxed) + 1,
                          memory_order_release);
    mailbox_post(&s->all[shard].mail[s->index], e);
    s->has_posted = true;
}

static void wire_call(struct wire *w, struct peer_call *c)
{
    struct shard *s = container_of(w, struct shard, wire);

    peers_call(s->peers, c, s->now);
}

/* Wake those who sleep over mail of ours. */
static void deliver(struct shard *s)
{
    if (!s->has_posted && !s->mail_is_left)
        return;
    s->has_posted = s->mail_is_left = false;
    for (unsigned i = 0; i < s->count; i++) {
        struct mailbox *m = &s->all[i].mail[s->index];

        if (i == s->index)
            continue;
        s->mail_is_left |= mailbox_push(m);
        if (!mailbox_is_empty(m))
            loop_wake(&s->all[i].loop);
    }
}

static bool has_mail(const struct shard *s)
{
    for (unsigned i = 0; i < s->count; i++)
        if (i != s->index && !mailbox_is_empty(&s->mail[i]))
            return true;
    return false;
}

static void take_mail(struct shard *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct errand *e;

        for (unsigned n = 0; i != s->index && n < MAIL_PER_TURN; n++) {
            e = mailbox_take(&s->mail[i]);
            if (e == NULL)
                break;
            node_errand(s->node, e, s->now);
            atomic_fetch_add_explicit(&s->received, 1, memory_order_release);
        }
    }
}

/* ---- new connections -----------------------------------------------------------------
 */

/* A socket on its way to the shard that will serve it. */
struct newcomer {
    struct errand errand;
    struct shard *to;
    int fd;
    char host[CONNECTION_HOST];
};

static void arrive(struct node *node, struct errand *e)
{
    struct newcomer *n = container_of(e, struct newcomer, errand);

    (void)node;
    connections_add(&n->to->connections, n->fd, n->host);
    free(n);
}

static void on_accepted(void *ctx, int fd, const char *host)
{
    struct shard *s = ctx;
    unsigned to = s->next_shard++ % s->count;
    struct newcomer *n;

    if (to == s->index) {
        s->connections.now = s->now;
        connections_add(&s->connections, fd, host);
        return;
    }
    n = must_zalloc(sizeof *n);
    n->errand.next = arrive;
    n->to = &s->all[to];
    n->fd = fd;
    snprintf(n->host, sizeof n->host, "%s", host);
    wire_post(&s->wire, to, &n->errand);
}

/* ---- opening -------------------------------------------------------------------------
 */

/* No promise can be kept any more, and none may be given: the next start trusts only
 * what it reads. */
static void on_failed(void *ctx, enum status status, const char *what)
{
    const struct shard *s = ctx;

    SAY(ERROR, "disk.failed",
        "the disk failed; the broker stops at once and acknowledges nothing more",
        TEXT("what", what), TEXT("error", status_text(status)), NUM("shard", s->index));
    _exit(1);
}

static void on_log(void *ctx, int level, const char *event, const char *text)
{
    (void)ctx;
    sink_write((enum log_level)level, event, text, NULL, 0);
}

static struct endpoint endpoint_of(const struct address *a)
{
    struct endpoint at = {.port = a->port};

    snprintf(at.host, sizeof at.host, "%s", a->host);
    return at;
}

static enum status open_node(struct shard *s)
{
    const struct endpoint advertised = endpoint_of(&s->advertised);
    const struct node_options options = {
        .config = s->config,
        .cluster_id = s->cluster_id,
        .node_id = (int32_t)config_number(s->config, CONFIG_NODE_ID),
        .shard = s->index,
        .shards = s->count,
        .directory = s->directory,
        .incarnation = s->incarnation,
        .bootstrap = s->bootstrap,
        .bootstrap_count = s->bootstrap_count,
        .at = advertised,
        .rack = config_text(s->config, CONFIG_RACK),
        .seed = s->seed,
        .disk = s->loop.disk,
        .wire = &s->wire,
        .metrics = &s->metrics,
        .on_failed = on_failed,
        .on_log = on_log,
        .ctx = s,
    };
    const struct image *source = s->index == 0 ? NULL : node_image(s->all[0].node);

    return node_open(&s->node, &options, source, clock_now(), s->why);
}

static void open_peers(struct shard *s)
{
    const struct peers_options options = {
        .base = s->loop.base,
        .node = s->node,
        .config = s->config,
        .secret = s->secret,
        .cluster_id = s->cluster_id,
        .node_id = (int32_t)config_number(s->config, CONFIG_NODE_ID),
        .shard = s->index,
    };

    s->peers = peers_new(&options);
}

static enum status open_shard(struct shard *s)
{
    enum disk_io io = (enum disk_io)config_number(s->config, CONFIG_DISK_IO);
    enum status st = loop_open(&s->loop, s->data, io, s->wake_fd, s->why);

    if (st)
        return st;
    s->disk_kind = s->loop.disk->kind;
    s->disk_reason = s->loop.disk_reason;
    if (s->index == 0) {
        st = store_recover(s->loop.disk, &s->recovery, s->why);
        if (st)
            goto fail_loop;
        atomic_store(&s->state, SHARD_RECOVERED);
    }
    st = open_node(s);
    if (st)
        goto fail_loop;
    open_peers(s);
    return STATUS_OK;

fail_loop:
    loop_close(&s->loop);
    return st;
}

static void wait_for_order(const struct shard *s)
{
    struct pollfd wake = {.fd = s->wake_fd, .events = POLLIN};

    while (order_of(s) == SHARD_OPEN)
        poll(&wake, 1, -1);
}

static void start_serving(struct shard *s)
{
    const struct listener_options options = {
        .base = s->loop.base,
        .fd = s->listen_fd,
        .config = s->config,
        .metrics = &s->metrics,
        .total = s->total,
        .reserve = s->secret->len > 0 ? BROKERS_RESERVE : 0,
        .accepted = on_accepted,
        .ctx = s,
    };
    const struct connections_options connections = {
        .base = s->loop.base,
        .node = s->node,
        .metrics = &s->metrics,
        .config = s->config,
        .total = s->total,
        .secret = s->secret,
        .cluster_id = s->cluster_id,
        .node_id = (int32_t)config_number(s->config, CONFIG_NODE_ID),
    };

    s->now = clock_now();
    connections_init(&s->connections, &connections);
    if (s->index == 0) {
        s->listener = listener_new(&options);
        if (s->listener == NULL) {
            SAY(ERROR, "broker.listen", "somebody else listens on our port now");
            _exit(1);
        }
    }
    report(s, SHARD_SERVING);
}

/* ---- turns ---------------------------------------------------------------------------
 */

static void start_stopping(struct shard *s)
{
    s->stopping = true;
    s->sweep_ms = s->now.mono_ms;
    listener_free(s->listener);
    s->listener = NULL;
    node_stop(s->node, s->now);
    peers_flush(s->peers); /* it may have said goodbye */
    peers_stop(s->peers);
    connections_stop(&s->connections, s->now);
}

static bool has_work(const struct shard *s)
{
    return s->loop.disk_ready || connections_are_runnable(&s->connections) ||
           peers_are_runnable(s->peers) || has_mail(s) || s->mail_is_left;
}

static void let_time_pass(struct shard *s)
{
    if (s->now.mono_ms >= node_deadline(s->node))
        node_tick(s->node, s->now);
    if (s->now.mono_ms >= s->sweep_ms) {
        connections_sweep(&s->connections, s->now);
        /* It may have been altered. */
        sink_set_level((enum log_level)config_number(s->config, CONFIG_LOG_LEVEL));
        s->sweep_ms = s->now.mono_ms + (s->stopping ? STOPPING_SWEEP_MS : SWEEP_MS);
    }
}

/* What the main thread asks the node about. */
static void publish(struct shard *s)
{
    const uint64_t one = 1;
    char why[160];
    bool ready = node_is_ready(s->node, why);
    bool caught_up = ready && node_has_caught_up(s->node, why);
    bool may_stop = s->leaving && node_may_stop(s->node);

    if (strcmp(why, s->not_ready) != 0) {
        pthread_mutex_lock(&s->why_lock);
        memcpy(s->not_ready, why, sizeof why);
        pthread_mutex_unlock(&s->why_lock);
    }
    atomic_store(&s->has_caught_up, caught_up);
    if (ready == atomic_load(&s->is_ready) && may_stop == atomic_load(&s->may_stop))
        return;
    atomic_store(&s->is_ready, ready);
    atomic_store(&s->may_stop, may_stop);
    CHECK(write(s->news_fd, &one, sizeof one) == sizeof one);
}

static void turn(struct shard *s)
{
    s->now = clock_now();
    atomic_store_explicit(&s->turned_ms, s->now.mono_ms, memory_order_relaxed);
    if (order_of(s) == SHARD_STOP && !s->stopping)
        start_stopping(s);
    if (order_of(s) == SHARD_LEAVE && !s->leaving) {
        s->leaving = true;
        node_leave(s->node, s->now);
    }
    s->loop.disk_ready = false;
    s->connections.now = s->now;
    disk_poll(s->loop.disk, false);
    take_mail(s);
    node_clock(s->node, s->now);
    peers_run(s->peers, s->now);
    connections_run(&s->connections, s->now);
    let_time_pass(s);
    node_turn_end(s->node, s->now);
    if (s->index == 0)
        publish(s);
    deliver(s);
    peers_flush(s->peers);
    /* Start the disk's work before the answers are sent. What completed already may have
     * made the next commit possible: then do not sleep. */
    s->loop.disk_ready = disk_poll(s->loop.disk, false) > 0;
    connections_flush(&s->connections);
}

/* Look again and again, for as long as it usually takes and half as long again. */
static bool spin(struct shard *s, int64_t from_us)
{
    int64_t until_us = from_us + s->gap_us * 3 / 2 + SPIN_LEAST_US;

    do {
        loop_look(&s->loop);
        if (has_work(s))
            return true;
    } while (clock_mono_us() < until_us);
    return false;
}

static void sleep_until(struct shard *s, int64_t deadline_ms)
{
    atomic_store(&s->loop.asleep, true);
    if (has_mail(s))
        loop_look(&s->loop);
    else
        loop_sleep(&s->loop, s->now.mono_ms, deadline_ms);
    atomic_store(&s->loop.asleep, false);
}

/* A producer waits for the disk. On a quick disk, falling asleep and being woken would
 * take as long as the write, so it is not worth it; on a slow or busy one it is. */
static void wait_for_disk(struct shard *s, int64_t deadline_ms)
{
    int64_t from_us = clock_mono_us(), gap_us;

    if (s->gap_us > SPIN_GAP_US || !spin(s, from_us))
        sleep_until(s, deadline_ms);
    gap_us = clock_mono_us() - from_us;
    /* Up and down by equal steps finds the median, whatever the rare long ones are. */
    if (gap_us < s->gap_us)
        s->gap_us -= GAP_STEP_US;
    else if (s->gap_us < 2 * SPIN_GAP_US)
        s->gap_us += GAP_STEP_US;
}

static void wait_for_work(struct shard *s)
{
    int64_t deadline_ms = node_deadline(s->node);

    if (deadline_ms > s->sweep_ms &&
        (s->stopping || connections_need_sweep(&s->connections)))
        deadline_ms = s->sweep_ms;
    if (deadline_ms > peers_deadline(s->peers))
        deadline_ms = peers_deadline(s->peers);
    if (has_work(s) || deadline_ms <= s->now.mono_ms)
        loop_look(&s->loop);
    else if (metric_get(&s->metrics, METRIC_PRODUCES_WAITING) > 0)
        wait_for_disk(s, deadline_ms);
    else
        sleep_until(s, deadline_ms);
}

static void serve(struct shard *s)
{
    while (order_of(s) != SHARD_CLOSE) {
        wait_for_work(s);
        turn(s);
        if (s->stopping && shard_state(s) != SHARD_DRAINED &&
            connections_are_drained(&s->connections) && peers_are_idle(s->peers))
            report(s, SHARD_DRAINED);
    }
    connections_drop(&s->connections);
}

/* What the node asked others after the last turn ends now, so that nothing is left. */
static void end_calls(struct shard *s)
{
    for (unsigned i = 0; i < LAST_PASSES && !peers_are_idle(s->peers); i++)
        peers_run(s->peers, s->now);
}

static void *shard_main(void *arg)
{
    struct shard *s = arg;
    char name[16];

    snprintf(name, sizeof name, "shard-%u", s->index);
    pthread_setname_np(pthread_self(), name);
    s->status = open_shard(s);
    if (s->status) {
        report(s, SHARD_FAILED);
        return NULL;
    }
    report(s, SHARD_OPENED);
    wait_for_order(s);
    start_serving(s);
    serve(s);
    end_calls(s);
    s->status = node_close(s->node);
    peers_free(s->peers);
    connections_release(&s->connections);
    loop_close(&s->loop);
    report(s, SHARD_CLOSED);
    return NULL;
}

void shard_init(struct shard *s)
{
    s->wire = (struct wire){wire_answer, wire_post, wire_call};
    s->mail = aligned_alloc(_Alignof(struct mailbox), s->count * sizeof *s->mail);
    CHECK(s->mail != NULL);
    pthread_mutex_init(&s->why_lock, NULL);
    for (unsigned i = 0; i < s->count; i++)
        mailbox_init(&s->mail[i]);
}

void shard_release(struct shard *s)
{
    free(s->mail);
    pthread_mutex_destroy(&s->why_lock);
    close(s->wake_fd);
}

/* Signals are the main thread's business. */
enum status shard_start(struct shard *s)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&s->thread, NULL, shard_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}
