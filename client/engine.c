/* SPDX-License-Identifier: Apache-2.0
 *
 * Handlers: sockets, timers, tasks, and the turn that runs them. The program's side is in
 * dispatch.c. */
#include "client/engine.h"

#include "proto/base/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 32, TASKS_PER_TURN = 256 };

/* Grows in every child, so that an engine knows whether it still is at home. */
static atomic_uint forks;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    CHECK(pthread_atfork(NULL, NULL, count_fork) == 0);
}

bool engine_forked(const struct engine *e)
{
    return atomic_load_explicit(&forks, memory_order_relaxed) != e->forks;
}

/* ---- time ---- */

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;

    CHECK(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t engine_now_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t engine_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t engine_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : engine_now_ms() + timeout_ms;
}

/* ---- lock ---- */

void engine_lock(struct engine *e)
{
    CHECK(pthread_mutex_lock(&e->lock) == 0);
}

void engine_unlock(struct engine *e)
{
    CHECK(pthread_mutex_unlock(&e->lock) == 0);
}

void engine_changed(struct engine *e)
{
    if (e->waiting > 0)
        pthread_cond_broadcast(&e->changed);
}

/* ---- descriptors ---- */

static void eventfd_raise(int fd)
{
    const uint64_t one = 1;

    /* Fails only when it is raised already, four billion billion times. */
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

static void eventfd_clear(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

/* Make the turner look at the tasks, unless it is looking already. */
static void wake(struct engine *e)
{
    if (e->turning && pthread_equal(e->turner, pthread_self()))
        return;
    engine_kick(e);
}

void engine_kick(struct engine *e)
{
    if (!atomic_exchange(&e->woken, true))
        eventfd_raise(e->wake_fd);
}

static enum status watch(struct engine *e, int fd, void *what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(e->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return STATUS_OK;
    return errno == ENOMEM ? STATUS_NO_MEMORY : STATUS_IO;
}

enum status engine_watch(struct engine *e, struct engine_socket *s, uint32_t events)
{
    return watch(e, s->fd, s, events);
}

void engine_rewatch(struct engine *e, struct engine_socket *s, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = s};

    CHECK(epoll_ctl(e->poll_fd, EPOLL_CTL_MOD, s->fd, &event) == 0);
}

void engine_unwatch(struct engine *e, struct engine_socket *s)
{
    if (s->fd < 0)
        return;
    epoll_ctl(e->poll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    close(s->fd);
    s->fd = -1;
}

/* ---- timers ---- */

enum status timer_init(struct engine *e, struct engine_timer *t,
                       void (*fire)(struct engine_timer *))
{
    struct heap *h = &e->timers;

    if (e->timers_max == h->capacity) {
        size_t capacity = h->capacity > 0 ? h->capacity * 2 : 32;
        struct heap_node **nodes = realloc(h->nodes, capacity * sizeof nodes[0]);

        if (nodes == NULL)
            return STATUS_NO_MEMORY;
        h->nodes = nodes;
        h->capacity = capacity;
    }
    e->timers_max++;
    *t = (struct engine_timer){.fire = fire};
    return STATUS_OK;
}

void timer_release(struct engine *e, struct engine_timer *t)
{
    CHECK(e->timers_max > 0);
    timer_clear(e, t);
    e->timers_max--;
}

/* Let timer_fd be readable at `at_ms`; it is only ever moved forward here, a turn that
 * finds it fired too early moves it back. */
static void arm(struct engine *e, int64_t at_ms)
{
    struct itimerspec when = {0};

    if (at_ms >= e->armed_ms)
        return;
    e->armed_ms = at_ms;
    if (at_ms < 1)
        at_ms = 1; /* zero would disarm it */
    when.it_value.tv_sec = at_ms / 1000;
    when.it_value.tv_nsec = at_ms % 1000 * 1000000;
    CHECK(timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

void timer_set_at(struct engine *e, struct engine_timer *t, int64_t at_ms)
{
    CHECK(heap_set(&e->timers, &t->node, at_ms));
    if (at_ms < INT64_MAX / 2)
        arm(e, at_ms);
}

void timer_clear(struct engine *e, struct engine_timer *t)
{
    heap_remove(&e->timers, &t->node);
}

bool timer_is_set(const struct engine_timer *t)
{
    return heap_contains(&t->node);
}

static void run_timers(struct engine *e)
{
    int64_t now = engine_now_ms();
    struct heap_node *n;

    while ((n = heap_first(&e->timers)) != NULL && n->at_ms <= now) {
        struct engine_timer *t = container_of(n, struct engine_timer, node);

        heap_remove(&e->timers, n);
        t->fire(t);
    }
    if (e->armed_ms > now)
        return;
    e->armed_ms = INT64_MAX;
    if (n != NULL && n->at_ms < INT64_MAX / 2)
        arm(e, n->at_ms);
    else
        eventfd_clear(e->timer_fd); /* a timerfd is read in the same way */
}

/* ---- tasks ---- */

void task_init(struct engine_task *t, void (*run)(struct engine_task *))
{
    *t = (struct engine_task){.run = run};
}

void task_queue(struct engine *e, struct engine_task *t)
{
    if (t->queued)
        return;
    t->queued = true;
    TAILQ_INSERT_TAIL(&e->tasks, t, link);
    wake(e);
}

static void wait_changed(struct engine *e)
{
    e->waiting++;
    pthread_cond_wait(&e->changed, &e->lock);
    e->waiting--;
}

void task_cancel(struct engine *e, struct engine_task *t)
{
    for (;;) {
        if (t->queued)
            TAILQ_REMOVE(&e->tasks, t, link);
        t->queued = false;
        if (e->running != t || pthread_equal(e->turner, pthread_self()))
            return;
        wait_changed(e);
    }
}

/* Tasks may queue themselves anew: those that are there now have their turn, the others
 * the next one, so that sockets and timers are not starved. */
static void run_tasks(struct engine *e)
{
    struct engine_task *last = TAILQ_LAST(&e->tasks, engine_tasks);

    for (int i = 0; i < TASKS_PER_TURN && !TAILQ_EMPTY(&e->tasks); i++) {
        struct engine_task *t = TAILQ_FIRST(&e->tasks);

        TAILQ_REMOVE(&e->tasks, t, link);
        t->queued = false;
        e->running = t;
        t->run(t);
        e->running = NULL;
        engine_changed(e);
        if (t == last)
            break;
    }
}

/* ---- the turn ---- */

static void on_event(struct engine *e, const struct epoll_event *event)
{
    if (event->data.ptr == &e->wake_fd) {
        eventfd_clear(e->wake_fd);
        /* After the read: a kick from now on writes again. */
        atomic_store(&e->woken, false);
        engine_changed(e);
    } else if (event->data.ptr != &e->timer_fd && event->data.ptr != &e->notice_fd) {
        struct engine_socket *s = event->data.ptr;

        if (s->fd >= 0)
            s->ready(s, event->events);
    }
}

/* One round: wait for something, then let everything run that can. Entered and left with
 * the lock held; nobody else turns meanwhile. */
static void turn(struct engine *e, int timeout_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n;

    if (!TAILQ_EMPTY(&e->tasks))
        timeout_ms = 0;
    engine_unlock(e);
    n = epoll_wait(e->poll_fd, events, EVENTS_PER_TURN, timeout_ms);
    engine_lock(e);
    for (int i = 0; i < n; i++)
        on_event(e, &events[i]);
    run_timers(e);
    run_tasks(e);
}

bool engine_turn(struct engine *e, int timeout_ms)
{
    if (e->turning || e->stopping)
        return false;
    e->turning = true;
    e->turner = pthread_self();
    turn(e, timeout_ms);
    e->turning = false;
    /* What the next turn has to do must be visible on the descriptor. */
    if (!TAILQ_EMPTY(&e->tasks))
        engine_kick(e);
    engine_changed(e);
    return true;
}

static void *thread_main(void *arg)
{
    struct engine *e = arg;
    void (*late)(struct engine *);

    engine_lock(e);
    e->turning = true;
    e->turner = pthread_self();
    while (!e->stopping)
        turn(e, -1);
    e->turning = false;
    e->ended = true;
    pthread_cond_broadcast(&e->changed);
    late = e->late;
    engine_unlock(e);
    if (late != NULL)
        late(e);
    return NULL;
}

/* ---- life ---- */

static enum status start_thread(struct engine *e)
{
    sigset_t all;
    sigset_t before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&e->thread, NULL, thread_main, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? STATUS_NO_MEMORY : STATUS_OK;
}

static void close_all(struct engine *e)
{
    int fds[] = {e->poll_fd, e->timer_fd, e->wake_fd, e->notice_fd};

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static enum status open_all(struct engine *e)
{
    enum status st = STATUS_OK;

    e->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->poll_fd < 0 || e->timer_fd < 0 || e->wake_fd < 0 || e->notice_fd < 0)
        return STATUS_IO;
    st = watch(e, e->timer_fd, &e->timer_fd, EPOLLIN);
    if (!st)
        st = watch(e, e->wake_fd, &e->wake_fd, EPOLLIN);
    if (!st && !e->threaded)
        st = watch(e, e->notice_fd, &e->notice_fd, EPOLLIN);
    return st;
}

enum status engine_open(struct engine *e, bool threaded)
{
    pthread_condattr_t attributes;
    enum status st;

    CHECK(pthread_once(&forks_once, watch_forks) == 0);
    *e = (struct engine){
        .forks = atomic_load(&forks),
        .threaded = threaded,
        .ended = !threaded,
        .armed_ms = INT64_MAX,
    };
    TAILQ_INIT(&e->tasks);
    TAILQ_INIT(&e->outbox);
    heap_init(&e->timers);
    CHECK(pthread_mutex_init(&e->lock, NULL) == 0);
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&e->changed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);

    st = open_all(e);
    if (!st && threaded)
        st = start_thread(e);
    if (st) {
        e->ended = true;
        engine_release(e);
    }
    return st;
}

bool engine_stop(struct engine *e, int64_t deadline_ms, void (*late)(struct engine *))
{
    struct timespec until = {deadline_ms / 1000, deadline_ms % 1000 * 1000000};
    bool ended;

    engine_lock(e);
    e->stopping = true;
    engine_kick(e);
    pthread_cond_broadcast(&e->changed);
    while (!e->ended && engine_now_ms() < deadline_ms) {
        e->waiting++;
        pthread_cond_timedwait(&e->changed, &e->lock, &until);
        e->waiting--;
    }
    ended = e->ended;
    if (e->threaded && !ended) {
        e->late = late;
        CHECK(pthread_detach(e->thread) == 0);
    }
    engine_unlock(e);
    if (e->threaded && ended)
        CHECK(pthread_join(e->thread, NULL) == 0);
    return ended;
}

void engine_abandon(struct engine *e)
{
    close_all(e);
}

void engine_release(struct engine *e)
{
    CHECK(e->ended);
    close_all(e);
    heap_release(&e->timers);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
}
