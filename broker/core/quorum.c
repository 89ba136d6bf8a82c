/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quorum.h"

#include "broker/core/watermark.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

enum { SNAPSHOT_BYTES = 4 * 1024 * 1024 };

/* No topic has this id: random ones are of version 4. */
static const struct log_id metadata_log_id = {
    .topic = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    .partition = 0,
};

struct quorum {
    struct quorum_options o;
    struct machine *machine;
    int32_t epoch;
    bool open;                      /* recovery is over: what is applied is news */
    struct proposal *decided;       /* the one whose records are on their way */
    TAILQ_HEAD(, proposal) waiting; /* in the order in which they came */
};

static enum status apply(void *ctx, int64_t offset, struct bytes record)
{
    struct quorum *q = ctx;
    enum status st =
        image_apply(q->o.image, offset, record, q->open ? q->o.watcher : NULL);

    if (q->open) {
        CHECK(!st); /* it was decided against this very image */
        q->o.committed(q->o.ctx, offset, record);
    }
    return st;
}

static void snapshot(void *ctx, void (*emit)(void *to, struct bytes record), void *to)
{
    struct quorum *q = ctx;

    image_snapshot(q->o.image, emit, to);
}

static const struct machine_verbs verbs = {.apply = apply, .snapshot = snapshot};

enum status quorum_open(struct quorum **out, const struct quorum_options *o)
{
    struct machine_options options = {
        .id = metadata_log_id,
        .name = "metadata",
        .verbs = &verbs,
        .snapshot_bytes = SNAPSHOT_BYTES,
    };
    struct quorum *q = must_zalloc(sizeof *q);
    enum status st;

    q->o = *o;
    TAILQ_INIT(&q->waiting);
    options.ctx = q;
    st = machine_open(&q->machine, o->store, o->disk, &options);
    if (st) {
        free(q);
        return st;
    }
    /* A majority of one: what is on disk is committed. */
    machine_commit(q->machine, log_durable(machine_log(q->machine)));
    q->epoch = log_last_epoch(machine_log(q->machine)) + 1;
    q->open = true;
    *out = q;
    return STATUS_OK;
}

void quorum_close(struct quorum *q)
{
    struct proposal *p = q->decided;

    CHECK(TAILQ_EMPTY(&q->waiting));
    /* On its way to the disk: it may or may not be there at the next start. */
    q->decided = NULL;
    if (p != NULL)
        p->done(p, STATUS_REQUEST_TIMED_OUT);
    machine_close(q->machine);
    free(q);
}

void quorum_propose(struct quorum *q, struct proposal *p)
{
    p->quorum = q;
    TAILQ_INSERT_TAIL(&q->waiting, p, link);
}

void quorum_durable(struct quorum *q)
{
    const int64_t voters[] = {log_durable(machine_log(q->machine))};

    machine_commit(q->machine, majority_end(voters, 1));
}

static void on_applied(struct machine_entry *entry, enum status status)
{
    struct proposal *p = container_of(entry, struct proposal, entry);

    CHECK(p->quorum->decided == p);
    p->quorum->decided = NULL;
    p->done(p, status);
}

static void take_turn(struct quorum *q, struct proposal *p, struct instant now)
{
    enum status st = p->decide(p, &p->change);

    if (st || p->change.count == 0) {
        p->done(p, st);
        return;
    }
    q->decided = p;
    p->entry.done = on_applied;
    machine_propose(q->machine, p->change.records, p->change.count, q->epoch, now,
                    &p->entry);
}

void quorum_turn(struct quorum *q, struct instant now)
{
    while (q->decided == NULL && !TAILQ_EMPTY(&q->waiting)) {
        struct proposal *p = TAILQ_FIRST(&q->waiting);

        TAILQ_REMOVE(&q->waiting, p, link);
        take_turn(q, p, now);
    }
}

void quorum_tick(struct quorum *q, struct instant now)
{
    machine_tick(q->machine, now);
}

void quorum_stop(struct quorum *q)
{
    while (!TAILQ_EMPTY(&q->waiting)) {
        struct proposal *p = TAILQ_FIRST(&q->waiting);

        TAILQ_REMOVE(&q->waiting, p, link);
        p->done(p, STATUS_SHUTTING_DOWN);
    }
}

struct log *quorum_log(const struct quorum *q)
{
    return machine_log(q->machine);
}

int32_t quorum_leader(const struct quorum *q, struct endpoint *at)
{
    (void)q;
    (void)at;
    return -1;
}

int32_t quorum_epoch(const struct quorum *q)
{
    return q->epoch;
}
