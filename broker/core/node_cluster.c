/* SPDX-License-Identifier: Apache-2.0
 *
 * This broker in its cluster. Shard 0 keeps the metadata quorum, the controller (which
 * sleeps unless this broker leads the quorum) and the membership; what the other shards
 * must know of these travels to them whenever it changes. */
#include "broker/core/cluster/controller.h"
#include "broker/core/cluster/member.h"
#include "broker/core/node_producers.h"
#include "broker/core/node_state.h"
#include "broker/core/quorum/quorum.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the view ------------------------------------------------------------------------
 */

struct view_news {
    struct errand errand;
    struct cluster_view view;
};

static void hear(struct node *n, struct errand *e)
{
    n->view = container_of(e, struct view_news, errand)->view;
    errand_return(n, e);
}

static void heard(struct node *n, struct errand *e)
{
    free(container_of(e, struct view_news, errand));
}

static bool views_differ(const struct cluster_view *a, const struct cluster_view *b)
{
    return a->controller != b->controller || a->broker_epoch != b->broker_epoch ||
           a->heard != b->heard || a->knows != b->knows ||
           a->controller_at.port != b->controller_at.port ||
           strcmp(a->controller_at.host, b->controller_at.host) != 0;
}

static void look(struct node *n)
{
    struct cluster_view view = {0};

    view.controller = quorum_leader(n->quorum, &view.controller_at);
    view.broker_epoch = member_link_epoch(n->member);
    view.heard = member_link_is_heard(n->member, n->now);
    view.knows = n->view.knows || member_link_is_active(n->member);
    if (!views_differ(&view, &n->view))
        return;
    n->view = view;
    node_look_behind(n);
    for (unsigned shard = 1; shard < n->o.shards; shard++) {
        struct view_news *news = must_zalloc(sizeof *news);

        news->view = view;
        news->errand.run = hear;
        news->errand.back = heard;
        errand_send(n, shard, &news->errand);
    }
}

int32_t node_controller(const struct node *n, struct endpoint *at)
{
    *at = n->view.controller_at;
    return n->view.controller;
}

int64_t node_broker_epoch(const struct node *n)
{
    return n->view.broker_epoch;
}

bool node_is_heard(const struct node *n)
{
    return n->view.heard;
}

/* ---- what the parts tell -------------------------------------------------------------
 */

static void on_log(void *ctx, int level, const char *event, const char *text)
{
    node_log(ctx, (enum log_level)level, event, "%s", text);
}

static void on_fatal(void *ctx, const char *what)
{
    struct node *n = ctx;

    n->failed = true;
    n->o.on_failed(n->o.ctx, STATUS_CORRUPT, what);
}

static void on_replaced(void *ctx, struct image *before)
{
    struct node *n = ctx;

    n->metadata_log = quorum_log(n->quorum);
    node_adopt_image(ctx, before);
    node_broadcast_image(ctx);
}

static void on_leader_changed(void *ctx)
{
    struct node *n = ctx;

    if (n->controller != NULL)
        n->leader_changed = true;
}

static void on_member_changed(void *ctx)
{
    (void)ctx; /* every turn looks */
}

static int32_t ask_controller(void *ctx, struct endpoint *at)
{
    const struct node *n = ctx;

    return quorum_leader(n->quorum, at);
}

static bool ask_only_voter(void *ctx)
{
    return quorum_is_alone(((struct node *)ctx)->quorum);
}

static void call(void *ctx, struct peer_call *c)
{
    node_call(ctx, c);
}

/* ---- life ----------------------------------------------------------------------------
 */

static enum status open_quorum(struct node *n, char why[static 256])
{
    const struct config *c = n->o.config;
    int64_t fetch_ms = config_number(c, CONFIG_QUORUM_FETCH_TIMEOUT);
    const struct quorum_options options = {
        .store = n->store,
        .disk = n->o.disk,
        .wire = n->o.wire,
        .image = &n->image,
        .watcher = &n->watcher,
        .node_id = n->o.node_id,
        .directory = n->o.directory,
        .at = n->o.at,
        .bootstrap = n->o.bootstrap,
        .bootstrap_count = n->o.bootstrap_count,
        .times = {.fetch_timeout = fetch_ms,
                  .election_timeout = config_number(c, CONFIG_QUORUM_ELECTION_TIMEOUT),
                  .fetch_wait = fetch_ms / 3,
                  .request_timeout = fetch_ms},
        .random = prng_split(&n->random, 2),
        .committed = node_broadcast,
        .replaced = on_replaced,
        .leader_changed = on_leader_changed,
        .fatal = on_fatal,
        .on_log = on_log,
        .ctx = n,
    };
    enum status st = quorum_open(&n->quorum, &options, n->now, why);

    if (!st)
        n->metadata_log = quorum_log(n->quorum);
    return st;
}

static void open_controller(struct node *n)
{
    const struct controller_options options = {
        .quorum = n->quorum,
        .image = &n->image,
        .config = n->o.config,
        .metrics = n->o.metrics,
        .node_id = n->o.node_id,
        .random = prng_split(&n->random, 3),
        .on_log = on_log,
        .ctx = n,
    };

    n->controller = controller_new(&options);
}

static void open_member(struct node *n)
{
    const struct config *c = n->o.config;
    const struct member_options options = {
        .image = &n->image,
        .node_id = n->o.node_id,
        .incarnation = n->o.incarnation,
        .directory = n->o.directory,
        .at = n->o.at,
        .rack = n->o.rack,
        .heartbeat_ms = config_number(c, CONFIG_BROKER_HEARTBEAT),
        .session_ms = config_number(c, CONFIG_BROKER_SESSION),
        .random = prng_split(&n->random, 4),
        .controller = ask_controller,
        .is_only_voter = ask_only_voter,
        .faults = node_add_faults,
        .call = call,
        .changed = on_member_changed,
        .on_log = on_log,
        .ctx = n,
    };

    n->member = member_link_new(&options, n->now);
}

enum status node_cluster_open(struct node *n, char why[static 256])
{
    enum status st = open_quorum(n, why);

    if (st)
        return st;
    open_controller(n);
    open_member(n);
    n->producer_ids = producer_ids_new(n);
    TAILQ_INIT(&n->forwards);
    return STATUS_OK;
}

void node_cluster_stop(struct node *n)
{
    member_link_stop(n->member);
    controller_stop(n->controller);
    quorum_stop(n->quorum, n->now);
}

void node_cluster_close(struct node *n)
{
    n->metadata_log = NULL;
    quorum_close(n->quorum); /* ends what the others have proposed */
    producer_ids_free(n->producer_ids);
    member_link_free(n->member);
    controller_free(n->controller);
    n->controller = NULL;
}

/* ---- turns ---------------------------------------------------------------------------
 */

void node_cluster_turn(struct node *n)
{
    /* Not before the controller, which may be here, has taken the partitions away. */
    if (n->leaving && member_link_may_stop(n->member))
        quorum_leave(n->quorum, n->now);
    quorum_turn(n->quorum, n->now);
    if (n->leader_changed) {
        n->leader_changed = false;
        controller_leader_changed(n->controller, n->now);
        member_link_controller_changed(n->member, n->now);
    }
    if (n->image.applied != n->looked) {
        n->looked = n->image.applied;
        member_link_look(n->member, n->now);
    }
    forwards_turn(n);
    look(n);
}

void node_cluster_tick(struct node *n)
{
    if (quorum_deadline(n->quorum) <= n->now.mono_ms)
        quorum_tick(n->quorum, n->now);
    if (controller_deadline(n->controller) <= n->now.mono_ms)
        controller_tick(n->controller, n->now);
    if (member_link_deadline(n->member) <= n->now.mono_ms)
        member_link_tick(n->member, n->now);
}

int64_t node_cluster_deadline(const struct node *n)
{
    int64_t quorum = quorum_deadline(n->quorum);
    int64_t controller = controller_deadline(n->controller);
    int64_t member = member_link_deadline(n->member);
    int64_t first = quorum < controller ? quorum : controller;

    if (n->leader_changed || n->image.applied != n->looked)
        return n->now.mono_ms;
    return first < member ? first : member;
}

/* ---- coming and going ----------------------------------------------------------------
 */

void node_leave(struct node *n, struct instant now)
{
    n->now = now;
    n->leaving = true;
    quorum_look_around(n->quorum, now);
    member_link_leave(n->member, now);
}

bool node_may_stop(const struct node *n)
{
    return !quorum_is_possible(n->quorum) ||
           (member_link_may_stop(n->member) && quorum_has_left(n->quorum));
}
