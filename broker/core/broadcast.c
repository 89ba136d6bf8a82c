/* SPDX-License-Identifier: Apache-2.0
 *
 * How the other shards' images keep up with shard 0's: each committed record travels to
 * each of them, in order. When a
 * snapshot replaces the image, a copy of it does. A barrier sent after a record has
 * passed all of them once it is home: then every shard knows what the record says. */
#include "broker/core/node_state.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct broadcast {
    struct errand errand;
    int64_t offset;
    size_t len;
    uint8_t record[];
};

static void hear(struct node *n, struct errand *e)
{
    struct broadcast *b = container_of(e, struct broadcast, errand);

    CHECK(!image_apply(&n->image, b->offset, (struct bytes){b->record, b->len},
                       &n->watcher));
    errand_return(n, e);
}

static void heard(struct node *n, struct errand *e)
{
    free(container_of(e, struct broadcast, errand));
}

void node_broadcast(void *ctx, int64_t offset, struct bytes record)
{
    struct node *n = ctx;

    for (unsigned shard = 1; shard < n->o.shards; shard++) {
        struct broadcast *b = must_alloc(sizeof *b + record.len);

        *b = (struct broadcast){
            .errand = {.run = hear, .back = heard}, .offset = offset, .len = record.len};
        memcpy(b->record, record.data, record.len);
        errand_send(n, shard, &b->errand);
    }
}

/* ---- a whole image -------------------------------------------------------------------
 */

struct renewal {
    struct errand errand;
    struct image image; /* built at home, adopted there */
};

static void copy_record(void *to, struct bytes record)
{
    CHECK(!image_apply(to, -1, record, NULL));
}

static void renew(struct node *n, struct errand *e)
{
    struct renewal *r = container_of(e, struct renewal, errand);
    struct image before = n->image;

    n->image = r->image;
    node_adopt_image(n, &before);
    image_release(&before);
    errand_return(n, e);
}

static void renewed(struct node *n, struct errand *e)
{
    free(container_of(e, struct renewal, errand));
}

void node_broadcast_image(struct node *n)
{
    for (unsigned shard = 1; shard < n->o.shards; shard++) {
        struct renewal *r = must_zalloc(sizeof *r);

        image_init(&r->image);
        image_snapshot(&n->image, copy_record, &r->image);
        r->image.applied = n->image.applied;
        r->errand = (struct errand){.run = renew, .back = renewed};
        errand_send(n, shard, &r->errand);
    }
}

/* ---- barriers ------------------------------------------------------------------------
 */

static void pass(struct node *n, struct errand *e)
{
    errand_return(n, e);
}

static void passed(struct node *n, struct errand *e)
{
    struct barrier *b = container_of(e, struct barrier_leg, errand)->barrier;

    CHECK(b->away > 0);
    if (--b->away == 0)
        b->done(b);
}

size_t barrier_bytes(const struct node *n)
{
    return sizeof(struct barrier) + n->o.shards * sizeof(struct barrier_leg);
}

void barrier_start(struct node *n, struct barrier *b)
{
    b->away = n->o.shards - 1;
    if (b->away == 0) {
        b->done(b);
        return;
    }
    for (unsigned shard = 1; shard < n->o.shards; shard++) {
        b->legs[shard] = (struct barrier_leg){{.run = pass, .back = passed}, b};
        errand_send(n, shard, &b->legs[shard].errand);
    }
}
