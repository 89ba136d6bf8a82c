/* SPDX-License-Identifier: Apache-2.0
 *
 * What the group wants us to work on becomes what we work on, one step per turn of the
 * program's dispatch: commit what the leaving shares have done, tell the program, let go
 * of them, say so to the group; then take what is new. */
#include "client/consumer.h"

#include "proto/base/check.h"

#include <stdlib.h>

/* ---- telling the program ---- */

static bool is_told(const struct share *s, enum leat_rebalance what)
{
    return what == LEAT_ASSIGNED ? s->stage == SHARE_ARRIVED : s->leaving;
}

enum status consumer_tell(leat_consumer *c, enum leat_rebalance what)
{
    struct engine *e = consumer_engine(c);
    leat_offset *list;
    struct share *s;
    size_t n = 0;

    if (!c->on_rebalance)
        return STATUS_OK;
    list = calloc(c->shares.count + 1, sizeof *list);
    if (!list)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        if (is_told(s, what))
            list[n++] = (leat_offset){
                .topic = s->source.topic->name,
                .partition = s->source.partition,
                .offset =
                    s->progress.done >= 0 ? s->progress.done : LEAT_OFFSET_COMMITTED,
            };
    if (n > 0) {
        c->calling = true;
        c->caller = pthread_self();
        engine_unlock(e);
        c->on_rebalance(c, what, list, n, c->on_rebalance_arg);
        engine_lock(e);
        c->calling = false;
    }
    free(list);
    return STATUS_OK;
}

/* ---- giving up ---- */

/* Mark what is not ours any more; it is not read from now on. */
static bool mark_leaving(leat_consumer *c)
{
    const struct assignment *target = &c->membership.target;
    bool any = false;
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));) {
        if (s->leaving ||
            assignment_contains(target, s->source.topic->name, s->source.partition))
            continue;
        s->leaving = true;
        share_ask_nothing(s);
        fetcher_seek(&c->fetcher, &s->source, -1);
        any = true;
    }
    return any;
}

void consumer_remove_leaving(leat_consumer *c)
{
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        if (s->leaving)
            consumer_remove(c, s);
}

void consumer_leave_all(leat_consumer *c)
{
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));) {
        s->leaving = true;
        share_ask_nothing(s);
        fetcher_seek(&c->fetcher, &s->source, -1);
    }
}

static void leaving_committed(struct commit *commit)
{
    leat_consumer *c = commit->consumer;

    commit_free(commit);
    if (c->step != REBALANCE_COMMITTING)
        return; /* lost meanwhile */
    c->step = REBALANCE_COMMITTED;
    notice_post(consumer_engine(c), &c->rebalance);
}

/* Without memory, or when it fails, the partition goes uncommitted: the next one to have
 * it repeats what we did, which is what at least once allows. */
static void commit_leaving(leat_consumer *c)
{
    struct commit *commit = NULL;

    c->step = REBALANCE_COMMITTED;
    if (!consumer_commits_by_itself(c) || commit_new(c, NULL, 0, true, true, &commit) ||
        !commit)
        return;
    c->step = REBALANCE_COMMITTING;
    commit->done = leaving_committed;
    commit_start(commit, engine_now_ms() + conf_number(c->conf, CONF_REQUEST_TIMEOUT));
}

/* True when it is through; without memory it is tried again with the next heartbeat. */
static bool give_up(leat_consumer *c)
{
    struct commit *commit = NULL;

    if (consumer_tell(c, LEAT_REVOKED))
        return false;
    /* What the program acknowledged in its callback, if it did: it goes ahead of the
     * heartbeat that gives up. */
    if (!c->lost && consumer_commits_by_itself(c) &&
        !commit_new(c, NULL, 0, true, true, &commit) && commit)
        commit_start(commit,
                     engine_now_ms() + conf_number(c->conf, CONF_REQUEST_TIMEOUT));
    consumer_remove_leaving(c);
    c->step = REBALANCE_NONE;
    membership_beat(&c->membership);
    return true;
}

/* ---- taking over ---- */

/* False without memory: the rest comes with the next heartbeat. */
static bool take_new(leat_consumer *c)
{
    const struct assignment *target = &c->membership.target;
    bool any = false;

    for (size_t i = 0; i < target->count; i++) {
        const leat_partition *p = &target->items[i];

        if (consumer_share(c, p->topic, p->partition))
            continue;
        if (!consumer_add(c, p->topic, p->partition))
            break;
        any = true;
    }
    return any;
}

static bool any_arrived(const leat_consumer *c)
{
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        if (s->stage == SHARE_ARRIVED)
            return true;
    return false;
}

static void begin_new(leat_consumer *c)
{
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        if (s->stage == SHARE_ARRIVED && !s->leaving)
            share_begin(c, s, LEAT_OFFSET_COMMITTED);
    membership_beat(&c->membership);
}

/* ---- losing ---- */

static void lose(leat_consumer *c)
{
    if (c->shares.count > 0 && consumer_tell(c, LEAT_LOST))
        return;
    consumer_remove_leaving(c);
    c->lost = false;
    c->step = REBALANCE_NONE;
    if (c->topic_count > 0 && !c->closing)
        membership_join(&c->membership, (const char *const *)c->topics, c->topic_count);
}

/* One step, with at most one callback. True if another one may follow at once. */
static bool step(leat_consumer *c)
{
    if (c->lost) {
        lose(c);
        return false;
    }
    if (c->step == REBALANCE_COMMITTING || c->membership.state != MEMBER_IN)
        return false;
    if (c->step == REBALANCE_COMMITTED)
        return give_up(c);
    if (mark_leaving(c)) {
        commit_leaving(c);
        return c->step == REBALANCE_COMMITTED;
    }
    if ((take_new(c) || any_arrived(c)) && !consumer_tell(c, LEAT_ASSIGNED))
        begin_new(c);
    return false;
}

bool consumer_rebalance(struct notice *n, int max, int *ran)
{
    leat_consumer *c = container_of(n, leat_consumer, rebalance);
    struct engine *e = consumer_engine(c);

    engine_lock(e);
    if (!c->closing && step(c))
        notice_post(e, n);
    ++*ran;
    engine_unlock(e);
    return true;
}

/* ---- what the membership says ---- */

static bool settled(const leat_consumer *c)
{
    const struct assignment *target = &c->membership.target;
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        if (s->leaving || s->stage == SHARE_ARRIVED ||
            !assignment_contains(target, s->source.topic->name, s->source.partition))
            return false;
    return c->shares.count == target->count;
}

static enum status on_owned(struct membership *m, struct assignment *out)
{
    leat_consumer *c = container_of(m, leat_consumer, membership);
    enum status st = STATUS_OK;
    struct share *s;

    for (size_t i = 0; !st && (s = map_next(&c->shares, &i));)
        st = assignment_add(out, s->source.topic->name, s->source.partition);
    return st;
}

static void on_told(struct membership *m)
{
    leat_consumer *c = container_of(m, leat_consumer, membership);

    if (!settled(c))
        notice_post(consumer_engine(c), &c->rebalance);
}

void consumer_lose_all(leat_consumer *c)
{
    c->lost = true;
    consumer_leave_all(c);
    notice_post(consumer_engine(c), &c->rebalance);
}

static void on_lost(struct membership *m)
{
    consumer_lose_all(container_of(m, leat_consumer, membership));
}

static void on_left(struct membership *m)
{
    engine_changed(m->cluster->engine);
}

static void on_failed(struct membership *m, enum status why, const char *text)
{
    leat_consumer *c = container_of(m, leat_consumer, membership);

    consumer_report(c, why, text, m->state == MEMBER_JOINING ? "join" : "heartbeat",
                    conf_text(c->conf, CONF_GROUP_ID));
}

void consumer_membership(leat_consumer *c)
{
    c->membership.owned = on_owned;
    c->membership.told = on_told;
    c->membership.lost = on_lost;
    c->membership.left = on_left;
    c->membership.failed = on_failed;
}
