/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's outer side: notices, dispatch, and waiting. */
#include "client/engine.h"

#include "proto/base/check.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <time.h>

/* ---- notices ---- */

void notice_init(struct notice *n, bool (*run)(struct notice *, int, int *))
{
    *n = (struct notice){.run = run};
}

static void show(struct engine *e)
{
    CHECK(eventfd_write(e->notice_fd, 1) == 0);
    engine_changed(e);
}

static void hide(struct engine *e)
{
    eventfd_t count;

    eventfd_read(e->notice_fd, &count); /* fails if it is hidden already: see block() */
}

void notice_post(struct engine *e, struct notice *n)
{
    if (n->queued)
        return;
    n->queued = true;
    TAILQ_INSERT_TAIL(&e->outbox, n, link);
    if (TAILQ_FIRST(&e->outbox) == n)
        show(e);
}

static void take(struct engine *e, struct notice *n)
{
    n->queued = false;
    TAILQ_REMOVE(&e->outbox, n, link);
    if (TAILQ_EMPTY(&e->outbox))
        hide(e);
}

void notice_cancel(struct engine *e, struct notice *n)
{
    for (;;) {
        if (n->queued)
            take(e, n);
        if (e->noticing != n)
            return;
        CHECK(!pthread_equal(e->dispatcher, pthread_self()));
        e->waiting++;
        pthread_cond_wait(&e->changed, &e->lock);
        e->waiting--;
    }
}

/* Run what is in the outbox now: what callbacks add waits for the next dispatch, so that
 * one call ends. */
static int run_notices(struct engine *e, int max)
{
    struct notice *last = TAILQ_LAST(&e->outbox, notices);
    int ran = 0;

    if (last == NULL || e->dispatching)
        return 0;
    e->dispatching = true;
    e->dispatcher = pthread_self();
    while (ran < max && !TAILQ_EMPTY(&e->outbox)) {
        struct notice *n = TAILQ_FIRST(&e->outbox);
        bool ends = n == last;
        bool finished;

        take(e, n);
        e->noticing = n;
        engine_unlock(e);
        finished = n->run(n, max - ran, &ran);
        engine_lock(e);
        e->noticing = NULL;
        if (!finished && !n->queued) {
            n->queued = true;
            TAILQ_INSERT_HEAD(&e->outbox, n, link);
            if (TAILQ_LAST(&e->outbox, notices) == n)
                show(e);
        }
        if (ends)
            break;
    }
    e->dispatching = false;
    engine_changed(e);
    return ran;
}

/* ---- waiting ---- */

static bool inside_callback(const struct engine *e)
{
    return e->dispatching && pthread_equal(e->dispatcher, pthread_self());
}

static void wait_changed_until(struct engine *e, int64_t deadline_ms)
{
    struct timespec until = {deadline_ms / 1000, deadline_ms % 1000 * 1000000};

    e->waiting++;
    if (deadline_ms < INT64_MAX / 2)
        pthread_cond_timedwait(&e->changed, &e->lock, &until);
    else
        pthread_cond_wait(&e->changed, &e->lock);
    e->waiting--;
}

/* Sleep until something happens. Without a thread of our own that is a turn, during which
 * notices that cannot be run now (another callback is running) must not keep the
 * descriptor readable. */
static void block(struct engine *e, int64_t deadline_ms)
{
    int64_t left = deadline_ms - engine_now_ms();
    int timeout_ms = left > INT_MAX ? -1 : left < 0 ? 0 : (int)left;

    if (e->threaded || e->turning) {
        wait_changed_until(e, deadline_ms);
        return;
    }
    if (!TAILQ_EMPTY(&e->outbox) && e->dispatching)
        hide(e);
    engine_turn(e, timeout_ms);
    if (!TAILQ_EMPTY(&e->outbox))
        show(e);
}

static bool wait_loop(struct engine *e, bool (*done)(void *), void *arg,
                      int64_t deadline_ms, int *ran)
{
    for (;;) {
        int some;

        if (done(arg))
            return true;
        if (e->stopping)
            return false;
        some = run_notices(e, INT_MAX);
        *ran += some;
        /* A notice may have changed everything without a single callback. */
        if (done(arg))
            return true;
        if (engine_now_ms() >= deadline_ms)
            return false;
        if (some == 0 && (TAILQ_EMPTY(&e->outbox) || e->dispatching))
            block(e, deadline_ms);
    }
}

bool engine_wait_for(struct engine *e, bool (*done)(void *arg), void *arg,
                     int64_t deadline_ms)
{
    int ran = 0;
    bool ok;

    engine_lock(e);
    ok = wait_loop(e, done, arg, deadline_ms, &ran);
    engine_unlock(e);
    return ok;
}

static bool any_ran(void *ran)
{
    return *(const int *)ran > 0;
}

bool engine_is_dispatching(struct engine *e)
{
    bool inside;

    engine_lock(e);
    inside = inside_callback(e);
    engine_unlock(e);
    return inside;
}

int engine_wait(struct engine *e, int64_t deadline_ms)
{
    int ran = 0;

    engine_lock(e);
    if (!inside_callback(e))
        wait_loop(e, any_ran, &ran, deadline_ms, &ran);
    engine_unlock(e);
    return ran;
}

int engine_dispatch(struct engine *e, int max)
{
    int ran = 0;

    engine_lock(e);
    if (!e->threaded)
        engine_turn(e, 0);
    if (max > 0)
        ran = run_notices(e, max);
    engine_unlock(e);
    return ran;
}

int engine_fd(const struct engine *e)
{
    return e->threaded ? e->notice_fd : e->poll_fd;
}
