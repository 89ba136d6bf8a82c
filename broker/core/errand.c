/* SPDX-License-Identifier: Apache-2.0
 *
 * Work for other shards, and requests on their way there and back. */
#include "broker/core/node_state.h"

#include "proto/base/check.h"

static void send_to(struct node *n, unsigned shard, struct errand *e)
{
    if (shard != n->o.shard) {
        n->o.wire->post(n->o.wire, shard, e);
        return;
    }
    e->link = NULL;
    *n->errands_last = e;
    n->errands_last = &e->link;
}

void errand_send(struct node *n, unsigned shard, struct errand *e)
{
    e->home = n->o.shard;
    e->next = e->run;
    send_to(n, shard, e);
}

void errand_return(struct node *n, struct errand *e)
{
    e->next = e->back;
    send_to(n, e->home, e);
}

void node_errand(struct node *n, struct errand *e, struct instant now)
{
    n->now = now;
    e->next(n, e);
}

void node_run_errands(struct node *n)
{
    while (n->errands != NULL) {
        struct errand *e = n->errands;

        n->errands = e->link;
        if (n->errands == NULL)
            n->errands_last = &n->errands;
        e->next(n, e);
    }
}

static void arrive(struct node *n, struct errand *e)
{
    struct request *r = container_of(e, struct request, errand);

    r->node = n;
    if (n->stopping)
        request_refuse(r, STATUS_SHUTTING_DOWN, NULL);
    else
        r->run(n, r);
}

static void come_home(struct node *n, struct errand *e)
{
    struct request *r = container_of(e, struct request, errand);

    r->node = n;
    r->away = false;
    request_finish(r);
}

void request_travel(struct node *n, struct request *r,
                    void (*run)(struct node *n, struct request *r))
{
    if (n->o.shard == 0) {
        run(n, r);
        return;
    }
    r->away = true;
    r->run = run;
    r->errand.run = arrive;
    r->errand.back = come_home;
    errand_send(n, 0, &r->errand);
}
