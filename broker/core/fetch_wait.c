/* SPDX-License-Identifier: Apache-2.0
 *
 * How a fetch waits. For partitions of its own shard it stands in their lists. To another
 * shard it sends a watch: that stands in the lists there, and comes home, once, when one
 * of its partitions has moved or when the fetch has called it back. The two may cross, so
 * a watch is its own piece of memory, and ends when both it and the call are home. */
#include "broker/core/fetch.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

struct watch_part {
    struct watcher watcher;
    struct fetch_watch *watch;
    struct uuid topic_id;
    int32_t partition;
    int64_t seen; /* where what the fetch was given ended */
};

struct fetch_watch {
    struct errand errand; /* the watch itself */
    struct errand recall;
    struct fetch_group *group; /* NULL: the fetch does not care any more */
    struct node *node;         /* where it stands */
    bool standing;             /* there; touched there only */
    bool home, recalled, recall_home;
    size_t count;
    struct watch_part parts[];
};

void fetch_wake(struct fetch *f)
{
    if (f->ready || !f->parked)
        return;
    f->ready = true;
    TAILQ_INSERT_TAIL(&f->node->fetches_ready, f, ready_link);
}

static void on_moved(struct watcher *w)
{
    fetch_wake(container_of(w, struct fetch_part, watcher)->group->fetch);
}

/* What moved between the round and now will not be told again. */
static bool stand(struct node *n, struct watcher *w, struct uuid topic_id,
                  int32_t partition, int64_t seen)
{
    struct partition *p = node_partition(n, topic_id, partition);

    if (p == NULL || p->role == ROLE_NONE ||
        (w->of_end ? log_end(p->log) : p->high_watermark) != seen)
        return false;
    partition_watch(p, w);
    return true;
}

/* ---- on the other shard --------------------------------------------------------------
 */

static void watch_leave(struct fetch_watch *w)
{
    w->standing = false;
    for (size_t i = 0; i < w->count; i++)
        watcher_remove(&w->parts[i].watcher);
    errand_return(w->node, &w->errand);
}

static void on_moved_there(struct watcher *watcher)
{
    watch_leave(container_of(watcher, struct watch_part, watcher)->watch);
}

static void watch_arrive(struct node *n, struct errand *e)
{
    struct fetch_watch *w = container_of(e, struct fetch_watch, errand);

    w->node = n;
    w->standing = true;
    for (size_t i = 0; i < w->count; i++) {
        struct watch_part *part = &w->parts[i];

        part->watch = w;
        part->watcher.moved = on_moved_there;
        if (!stand(n, &part->watcher, part->topic_id, part->partition, part->seen)) {
            watch_leave(w);
            return;
        }
    }
}

static void recall_arrive(struct node *n, struct errand *e)
{
    struct fetch_watch *w = container_of(e, struct fetch_watch, recall);

    if (w->standing)
        watch_leave(w);
    errand_return(n, e);
}

/* ---- at home -------------------------------------------------------------------------
 */

static void watch_end(struct fetch_watch *w)
{
    if (w->home && (!w->recalled || w->recall_home))
        free(w);
}

static void watch_back(struct node *n, struct errand *e)
{
    struct fetch_watch *w = container_of(e, struct fetch_watch, errand);

    w->home = true;
    if (w->group != NULL) {
        w->group->watch = NULL;
        fetch_wake(w->group->fetch);
    }
    watch_end(w);
}

static void recall_back(struct node *n, struct errand *e)
{
    struct fetch_watch *w = container_of(e, struct fetch_watch, recall);

    w->recall_home = true;
    watch_end(w);
}

static void watch_send(struct node *n, struct fetch_group *g)
{
    struct fetch_watch *w = must_zalloc(sizeof *w + g->count * sizeof w->parts[0]);

    w->group = g;
    w->count = g->count;
    w->errand.run = watch_arrive;
    w->errand.back = watch_back;
    for (size_t i = 0; i < g->count; i++) {
        w->parts[i].topic_id = g->parts[i]->topic_id;
        w->parts[i].partition = g->parts[i]->partition;
        w->parts[i].seen = g->parts[i]->upto;
        w->parts[i].watcher.of_end = g->fetch->replica;
    }
    g->watch = w;
    errand_send(n, g->shard, &w->errand);
}

static void watch_recall(struct node *n, struct fetch_group *g)
{
    struct fetch_watch *w = g->watch;

    if (w == NULL)
        return;
    g->watch = NULL;
    w->group = NULL;
    w->recalled = true;
    w->recall.run = recall_arrive;
    w->recall.back = recall_back;
    errand_send(n, g->shard, &w->recall);
}

static void stand_here(struct fetch *f, struct fetch_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct fetch_part *part = g->parts[i];

        part->watcher.moved = on_moved;
        part->watcher.of_end = f->replica;
        if (!stand(f->node, &part->watcher, part->topic_id, part->partition,
                   part->upto)) {
            fetch_wake(f);
            return;
        }
    }
}

void fetch_park(struct fetch *f)
{
    CHECK(!f->parked);
    f->parked = true;
    TAILQ_INSERT_TAIL(&f->node->fetches_parked, f, parked_link);
    metric_set(f->node->o.metrics, METRIC_FETCHES_PARKED, ++f->node->parked);
    for (size_t i = 0; i < f->group_count; i++) {
        if (f->groups[i].shard == f->node->o.shard)
            stand_here(f, &f->groups[i]);
        else
            watch_send(f->node, &f->groups[i]);
    }
}

void fetch_unpark(struct fetch *f)
{
    if (!f->parked)
        return;
    f->parked = false;
    TAILQ_REMOVE(&f->node->fetches_parked, f, parked_link);
    metric_set(f->node->o.metrics, METRIC_FETCHES_PARKED, --f->node->parked);
    if (f->ready)
        TAILQ_REMOVE(&f->node->fetches_ready, f, ready_link);
    f->ready = false;
    for (size_t i = 0; i < f->count; i++)
        watcher_remove(&f->parts[i].watcher);
    for (size_t i = 0; i < f->group_count; i++)
        watch_recall(f->node, &f->groups[i]);
}
