/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fetch.h"

#include "broker/core/api/api.h"
#include "proto/base/check.h"

enum { PARKED_MAX = 20000, WAIT_MAX_MS = 3600000 };

static void round_over(struct fetch *f);

static void one_done(struct fetch *f)
{
    CHECK(f->away > 0);
    if (--f->away == 0)
        round_over(f);
}

static void on_read_here(struct fetch_group *g)
{
    one_done(g->fetch);
}

static void on_read_there(struct fetch_group *g)
{
    errand_return(g->node, &g->errand);
}

static void run_away(struct node *n, struct errand *e)
{
    struct fetch_group *g = container_of(e, struct fetch_group, errand);

    if (fetch_read(n, g))
        errand_return(n, e);
}

static void come_home(struct node *n, struct errand *e)
{
    one_done(container_of(e, struct fetch_group, errand)->fetch);
}

void fetch_round(struct fetch *f)
{
    struct node *n = f->node;
    uint64_t turn = n->fetches++;

    f->away = f->group_count + 1; /* so that the last one is the end of this loop */
    for (size_t i = 0; i < f->group_count; i++) {
        struct fetch_group *g = &f->groups[i];

        g->first = turn % g->count;
        g->budget = f->bytes_max / f->group_count;
        if (g->shard == n->o.shard) {
            g->done = on_read_here;
            if (fetch_read(n, g))
                one_done(f);
        } else {
            g->done = on_read_there;
            g->errand = (struct errand){.run = run_away, .back = come_home};
            errand_send(n, g->shard, &g->errand);
        }
    }
    one_done(f);
}

static bool is_enough(const struct fetch *f)
{
    bool failed = false;
    size_t found = 0;

    for (size_t i = 0; i < f->count; i++)
        failed |= f->parts[i].group == NULL;
    for (size_t i = 0; i < f->group_count; i++) {
        found += f->groups[i].found;
        failed |= f->groups[i].failed;
    }
    return failed || found >= f->bytes_min || found >= f->bytes_max;
}

static void round_over(struct fetch *f)
{
    struct node *n = f->node;

    if (f->last || n->stopping || n->parked >= PARKED_MAX || is_enough(f)) {
        timer_stop(n, &f->deadline);
        if (f->replica)
            fetch_answer_replica(f);
        else
            fetch_answer(f);
        return;
    }
    for (size_t i = 0; i < f->group_count; i++)
        fetch_read_release(&f->groups[i]);
    fetch_park(f);
}

/* Time is over. If a round is under way it is the last one. */
static void on_deadline(struct node *n, struct timer *t)
{
    struct fetch *f = container_of(t, struct fetch, deadline);

    f->last = true;
    fetch_wake(f);
}

void fetches_run(struct node *n)
{
    struct fetch *f;

    while ((f = TAILQ_FIRST(&n->fetches_ready)) != NULL) {
        fetch_unpark(f);
        fetch_round(f);
    }
}

void fetches_stop(struct node *n)
{
    struct fetch *f;

    while ((f = TAILQ_FIRST(&n->fetches_parked)) != NULL) {
        fetch_unpark(f);
        timer_stop(n, &f->deadline);
        request_refuse(f->request, STATUS_SHUTTING_DOWN, NULL);
    }
}

struct fetch *fetch_new(struct node *n, struct request *r, uint32_t bytes_max)
{
    const int64_t most = config_number(n->o.config, CONFIG_CONNECTION_BYTES);
    struct fetch *f = request_alloc(r, sizeof *f);

    if (f == NULL)
        return NULL;
    f->request = r;
    f->node = n;
    f->bytes_max = bytes_max < most ? bytes_max : (size_t)most;
    f->deadline.fire = on_deadline;
    return f;
}

void fetch_start(struct fetch *f, int64_t wait_ms)
{
    struct node *n = f->node;

    f->last = wait_ms <= 0 || f->count == 0; /* nobody would ever wake it */
    if (!f->last)
        timer_set(n, &f->deadline,
                  n->now.mono_ms + (wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS));
    fetch_round(f);
}

void handle_fetch(struct node *n, struct request *r)
{
    const Leat__FetchRequest *q = REQUEST_AS(Leat__FetchRequest, r);
    struct fetch *f = fetch_new(n, r, q->max_bytes);

    if (f != NULL) {
        f->bytes_min = q->min_bytes;
        f->rack = q->rack;
    }
    if (f == NULL || !fetch_plan(n, f))
        request_refuse_memory(r);
    else
        fetch_start(f, q->max_wait_ms);
}
