/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's life: what it is made of, in which order it opens and closes, and what happens
 * in a turn. */
#include "broker/core/node_state.h"

#include "broker/core/dynamic.h"
#include "broker/core/group/coordinator.h"
#include "broker/core/housekeeping.h"
#include "broker/core/offsets.h"
#include "broker/core/quorum/quorum.h"
#include "broker/core/replication/fetcher.h"
#include "broker/core/replication/isr_link.h"
#include "broker/core/replication/snapshot_link.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void node_log(struct node *n, enum log_level level, const char *event, const char *format,
              ...)
{
    char text[256];
    va_list args;

    if (n->o.on_log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->o.on_log(n->o.ctx, (int)level, event, text);
}

static void on_durable(void *ctx, struct log *log)
{
    struct node *n = ctx;

    if (n->failed)
        return;
    if (log == n->metadata_log) {
        quorum_durable(n->quorum, n->now);
        return;
    }
    if (log == n->group_log)
        coordinator_clock(n->coordinator, n->now);
    if (log_owner(log) != NULL)
        partition_durable(log_owner(log), n->now);
}

static void on_failed(void *ctx, enum status status, const char *what)
{
    struct node *n = ctx;

    n->failed = true;
    n->o.on_failed(n->o.ctx, status, what);
}

static enum status open_store(struct node *n)
{
    const struct config *c = n->o.config;
    const struct store_options options = {
        .shard = n->o.shard,
        .journal_file_bytes = (uint64_t)config_number(c, CONFIG_JOURNAL_FILE_BYTES),
        .journal_files_max = (unsigned)config_number(c, CONFIG_JOURNAL_FILES),
        .hot_bytes = (uint64_t)config_number(c, CONFIG_HOT_BYTES),
        .reserve_bytes = (uint64_t)config_number(c, CONFIG_DISK_RESERVE),
        .on_durable = on_durable,
        .on_failed = on_failed,
        .ctx = n,
    };

    return store_open(&n->store, n->o.disk, &options);
}

static void query(void *ctx, struct offset_query *q)
{
    offset_query_start(ctx, q);
}

static enum status open_coordinator(struct node *n)
{
    const struct coordinator_options options = {
        .image = &n->image,
        .config = n->o.config,
        .metrics = n->o.metrics,
        .store = n->store,
        .disk = n->o.disk,
        .random = prng_split(&n->random, 1),
        .node_id = n->o.node_id,
        .query = query,
        .appended = node_groups_appended,
        .ctx = n,
    };
    enum status st = coordinator_open(&n->coordinator, &options, n->now);

    if (!st)
        n->group_log = machine_log(coordinator_machine(n->coordinator));
    return st;
}

static enum status failed(enum status st, const char *what, char why[static 256])
{
    snprintf(why, 256, "the %s cannot be opened: %s", what, status_text(st));
    return st;
}

/* What only shard 0 has: the cluster's metadata and the groups. */
static enum status open_first(struct node *n, char why[static 256])
{
    enum status st = dynamic_open(&n->dynamic, n->o.disk, n->o.config, why);

    if (st)
        return st;
    st = node_cluster_open(n, why);
    if (st)
        goto fail_dynamic;
    st = open_coordinator(n);
    if (st) {
        failed(st, "group log", why);
        goto fail_cluster;
    }
    return STATUS_OK;

fail_cluster:
    node_cluster_stop(n);
    node_cluster_close(n);
fail_dynamic:
    dynamic_close(n->dynamic);
    return st;
}

static void copy_record(void *to, struct bytes record)
{
    CHECK(!image_apply(to, -1, record, NULL));
}

/* Plant M20: what the image does not know is taken for what was left behind. But at the
 * start it knows no more than the newest snapshot does. */
static void remove_unknown_logs(struct node *n)
{
    struct log_id *ids;
    size_t count;

    if (store_list(n->o.disk, &ids, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        struct uuid topic;

        memcpy(topic.id, ids[i].topic, sizeof topic.id);
        if (node_shard_of(&topic, ids[i].partition, n->o.shards) == n->o.shard &&
            image_topic_by_id(&n->image, topic) == NULL &&
            topic.id[6] >> 4 == 4) /* not the broker's own, which are open */
            store_log_discard(n->store, ids[i]);
    }
    free(ids);
}

static void on_wants_change(void *ctx, struct partition *p)
{
    isr_link_look(((struct node *)ctx)->isr_link, p);
}

static void on_lags(void *ctx, struct partition *p)
{
    isr_link_watch(((struct node *)ctx)->isr_link, p);
}

static void on_ends(void *ctx, struct partition *p)
{
    isr_link_forget(((struct node *)ctx)->isr_link, p);
}

static void on_follows(void *ctx, struct partition *p)
{
    fetchers_follow(((struct node *)ctx)->fetchers, p);
}

static void on_follower_durable(void *ctx, struct partition *p)
{
    fetchers_durable(((struct node *)ctx)->fetchers, p);
}

static struct node *node_new(const struct node_options *o, struct instant now)
{
    struct node *n = must_zalloc(sizeof *n);

    n->o = *o;
    n->now = now;
    image_init(&n->image);
    n->watcher = (struct image_watcher){node_watch_image, n};
    heap_init(&n->timers);
    n->errands_last = &n->errands;
    n->host = (struct partition_host){on_wants_change,     on_lags, on_ends, on_follows,
                                      on_follower_durable, n};
    n->view.controller = -1;
    n->view.broker_epoch = -1;
    TAILQ_INIT(&n->fetches_ready);
    TAILQ_INIT(&n->fetches_parked);
    prng_init(&n->random, o->seed);
    n->random = prng_split(&n->random, o->shard);
    build_init(&n->build);
    n->fetchers = fetchers_new(n);
    n->isr_link = isr_link_new(n);
    if (o->shard == 0) {
        n->snapshot_link = snapshot_link_new(n);
        n->shard_faults = must_zalloc(o->shards * sizeof *n->shard_faults);
    }
    return n;
}

static void node_free(struct node *n)
{
    isr_link_free(n->isr_link);
    fetchers_free(n->fetchers);
    if (n->snapshot_link != NULL)
        snapshot_link_free(n->snapshot_link);
    node_release_faults(n);
    build_release(&n->build);
    heap_release(&n->timers);
    image_release(&n->image);
    free(n);
}

enum status node_open(struct node **out, const struct node_options *o,
                      const struct image *source, struct instant now,
                      char why[static 256])
{
    struct node *n = node_new(o, now);
    enum status st = open_store(n);

    CHECK((source == NULL) == (o->shard == 0));
    if (st) {
        failed(st, "store", why);
        goto fail_node;
    }
    if (source != NULL) {
        image_snapshot(source, copy_record, &n->image);
        n->image.applied = source->applied;
    } else {
        st = open_first(n, why);
        if (st)
            goto fail_store;
    }
    if (PLANT(20))
        remove_unknown_logs(n);
    node_open_partitions(n);
    housekeeping_start(n);
    *out = n;
    return STATUS_OK;

fail_store:
    if (store_close(n->store))
        node_log(n, LOG_LEVEL_ERROR, "store", "the store did not close cleanly");
fail_node:
    node_free(n);
    return st;
}

void node_stop(struct node *n, struct instant now)
{
    n->now = now;
    n->stopping = true;
    fetches_stop(n);
    node_stop_partitions(n);
    fetchers_stop(n->fetchers);
    if (n->quorum != NULL) {
        dynamic_stop(n->dynamic);
        node_cluster_stop(n);
        coordinator_stop(n->coordinator);
        forwards_turn(n);
    }
}

enum status node_close(struct node *n)
{
    enum status st;

    CHECK(n->stopping);
    node_run_errands(n);
    node_close_partitions(n);
    if (n->quorum != NULL) {
        n->group_log = NULL;
        coordinator_close(n->coordinator);
        node_cluster_close(n);
        dynamic_close(n->dynamic);
    }
    st = store_close(n->store);
    node_free(n);
    return st;
}

const struct image *node_image(const struct node *n)
{
    return &n->image;
}

struct store *node_store(const struct node *n)
{
    return n->store;
}

void timer_set(struct node *n, struct timer *t, int64_t at_ms)
{
    CHECK(heap_set(&n->timers, &t->at, at_ms));
}

void timer_stop(struct node *n, struct timer *t)
{
    heap_remove(&n->timers, &t->at);
}

void node_clock(struct node *n, struct instant now)
{
    n->now = now;
}

void node_turn_end(struct node *n, struct instant now)
{
    n->now = now;
    node_run_errands(n);
    fetches_run(n);
    if (n->quorum != NULL) {
        node_cluster_turn(n);
        node_tell_groups(n);
        node_groups_turn(n);
        dynamic_turn(n->dynamic);
    }
    node_faults_turn(n);
    if (n->snapshot_link != NULL)
        snapshot_link_turn(n);
    fetchers_turn(n->fetchers, now);
    isr_link_turn(n->isr_link, now);
    store_turn_end(n->store);
    metric_add(n->o.metrics, METRIC_LOOP_TURNS, 1);
}

void node_tick(struct node *n, struct instant now)
{
    struct heap_node *first;

    n->now = now;
    while ((first = heap_first(&n->timers)) != NULL && first->at_ms <= now.mono_ms) {
        struct timer *t = container_of(first, struct timer, at);

        heap_remove(&n->timers, first);
        t->fire(n, t);
    }
    if (n->quorum == NULL)
        return;
    node_cluster_tick(n);
    if (coordinator_deadline(n->coordinator) <= now.mono_ms)
        coordinator_tick(n->coordinator, now);
}

int64_t node_deadline(const struct node *n)
{
    const struct heap_node *first = heap_first(&n->timers);
    int64_t deadline = first ? first->at_ms : INT64_MAX;

    if (n->quorum != NULL && coordinator_deadline(n->coordinator) < deadline)
        deadline = coordinator_deadline(n->coordinator);
    if (n->quorum != NULL && node_cluster_deadline(n) < deadline)
        deadline = node_cluster_deadline(n);
    if (n->errands != NULL || !TAILQ_EMPTY(&n->fetches_ready))
        return n->now.mono_ms;
    return deadline;
}

unsigned node_shard_of(const struct uuid *topic_id, int32_t partition, unsigned shards)
{
    /* Neighbours go to different shards, and topics begin at different ones. */
    return shards == 1 ? 0 : (topic_id->id[0] + (unsigned)partition) % shards;
}
