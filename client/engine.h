/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine is the client's heart: one lock, one place where things happen, one box for
 * what the program is to be told.
 *
 * The lock. Everything that several threads touch (timers, calls, metadata, producers,
 * consumers) is guarded by the engine's one mutex. It is never held while bytes move:
 * socket calls, name lookups, compression and checksums are done without it.
 *
 * The turn. At any time at most one thread *turns* the engine: its own thread, or, when
 * it was opened without one, whoever is inside engine_dispatch or engine_wait_for. The
 * turner waits for sockets and timers and runs everything that this header calls a
 * handler. Handlers are entered with the lock held. A socket's `ready` and a task's `run`
 * may let go of it for a while (engine_unlock, then engine_lock); all others keep it.
 *
 * The outbox. Callbacks of the program wait in it as notices; they are run in order by
 * engine_dispatch, on the thread that called it, without the lock, never one inside the
 * other. engine_fd is readable exactly while the outbox holds something (or, without a
 * thread of our own, while there is I/O to do). */
#pragma once

#include "proto/base/heap.h"
#include "proto/base/status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct engine;

/* A descriptor that the turner watches. Without EPOLLET: level-triggered. */
struct engine_socket {
    int fd; /* -1: not watched */
    void (*ready)(struct engine_socket *s, uint32_t events);
};

/* Runs `fire` once at or after a time of engine_now_ms. */
struct engine_timer {
    struct heap_node node;
    void (*fire)(struct engine_timer *t);
};

/* Runs `run` once, soon, on the turner; queueing it again meanwhile is no harm. */
struct engine_task {
    TAILQ_ENTRY(engine_task) link;
    bool queued;
    void (*run)(struct engine_task *t);
};

/* Callbacks that wait for the program. `run` is entered without the lock, calls back at
 * most `max` times, adds to `*ran` how often it did, and returns true when it is
 * finished; then the notice is its owner's again (`run` may have freed it). */
struct notice {
    TAILQ_ENTRY(notice) link;
    bool queued;
    bool (*run)(struct notice *n, int max, int *ran);
};

TAILQ_HEAD(engine_tasks, engine_task);
TAILQ_HEAD(notices, notice);

struct engine {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something that a waiting thread may be waiting for */
    int waiting;            /* threads in that wait */
    unsigned forks;         /* process generation in which it was opened */
    bool threaded;
    bool turning;
    bool stopping;
    bool ended; /* our thread has left */
    void (*late)(struct engine *e);
    pthread_t thread;
    pthread_t turner;
    int poll_fd;   /* epoll: sockets, timer_fd, wake_fd and without a thread notice_fd */
    int timer_fd;  /* armed to the first timer */
    int wake_fd;   /* eventfd: look at the tasks */
    int notice_fd; /* eventfd: the outbox is not empty */
    int64_t armed_ms;
    atomic_bool woken; /* wake_fd was written and not yet read */
    struct heap timers;
    size_t timers_max; /* room for them is reserved */
    struct engine_tasks tasks;
    struct engine_task *running; /* the task that may have let go of the lock */
    struct notices outbox;
    struct notice *noticing; /* at work without the lock */
    bool dispatching;
    pthread_t dispatcher;
};

/* ---- life ---- */

STATUS_MUST_CHECK enum status engine_open(struct engine *e, bool threaded);

/* Stop turning: no notice or task runs afterwards. False if our thread is still stuck in
 * a name lookup at the deadline: then it calls `late` when it is through, as the last
 * thing that it does, and until then nothing may be freed. */
bool engine_stop(struct engine *e, int64_t deadline_ms, void (*late)(struct engine *e));
void engine_release(struct engine *e); /* after engine_stop said true, or in `late` */
void engine_abandon(struct engine *e); /* in a forked child: close descriptors, no more */

/* True in a child process that inherited the engine: it must not touch anything. */
bool engine_forked(const struct engine *e);

void engine_lock(struct engine *e);
void engine_unlock(struct engine *e);

/* Monotonic time in milliseconds; what people call the time. */
int64_t engine_now_ms(void);
int64_t engine_wall_ms(void);
/* `timeout_ms` from now, without overflow; negative means the far future. */
int64_t engine_deadline(int timeout_ms);

/* ---- handlers; all of these with the lock held ---- */

STATUS_MUST_CHECK enum status engine_watch(struct engine *e, struct engine_socket *s,
                                           uint32_t events);
void engine_rewatch(struct engine *e, struct engine_socket *s, uint32_t events);
/* Stop watching and close the descriptor. */
void engine_unwatch(struct engine *e, struct engine_socket *s);

/* Reserves the timer's place, so that setting it cannot fail. */
STATUS_MUST_CHECK enum status timer_init(struct engine *e, struct engine_timer *t,
                                         void (*fire)(struct engine_timer *));
void timer_release(struct engine *e, struct engine_timer *t);
void timer_set_at(struct engine *e, struct engine_timer *t, int64_t at_ms);
void timer_clear(struct engine *e, struct engine_timer *t);
bool timer_is_set(const struct engine_timer *t);

void task_init(struct engine_task *t, void (*run)(struct engine_task *));
void task_queue(struct engine *e, struct engine_task *t);
/* Not queued and not running any more afterwards; may let go of the lock meanwhile. */
void task_cancel(struct engine *e, struct engine_task *t);

void notice_init(struct notice *n, bool (*run)(struct notice *, int, int *));
void notice_post(struct engine *e, struct notice *n); /* no harm if it is posted */
/* Not posted and not running any more afterwards; may let go of the lock meanwhile. Must
 * not be called from the notice itself. */
void notice_cancel(struct engine *e, struct notice *n);

/* Threads in engine_wait_for look at their condition again. */
void engine_changed(struct engine *e);

/* One round of the turn, waiting for at most `timeout_ms` (-1: for ever). False if
 * somebody else is turning. For dispatch.c alone. */
bool engine_turn(struct engine *e, int timeout_ms);

/* ---- the program's side; all of these without the lock ---- */

int engine_fd(const struct engine *e);

/* Run notices, at most `max` callbacks; without a thread also turn once, not waiting.
 * 0 if another callback is running. */
int engine_dispatch(struct engine *e, int max);

/* Dispatch until `done(arg)`, which is asked with the lock held, or until the deadline.
 * Inside a callback nothing is dispatched, only waited. Returns the last answer. */
bool engine_wait_for(struct engine *e, bool (*done)(void *arg), void *arg,
                     int64_t deadline_ms);

/* Whether the caller is inside a callback. */
bool engine_is_dispatching(struct engine *e);

/* Wait until at least one callback ran. */
int engine_wait(struct engine *e, int64_t deadline_ms);

/* Make every wait look at its condition. Async-signal-safe. */
void engine_kick(struct engine *e);
