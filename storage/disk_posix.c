/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk_posix.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/disk_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

TAILQ_HEAD(op_queue, disk_op);

struct posix_disk {
    struct disk disk;
    int root;
    int wake; /* eventfd: completions wait */
    pthread_t helper;
    unsigned under_way; /* the owner's */
    pthread_mutex_t lock;
    pthread_cond_t work;     /* something to do, or stopping */
    pthread_cond_t finished; /* something was done */
    struct op_queue todo;
    struct op_queue completed;
    bool stopping;
};

static struct posix_disk *from(struct disk *d)
{
    return container_of(d, struct posix_disk, disk);
}

static void *help(void *arg)
{
    struct posix_disk *p = arg;
    struct disk_op *op;
    uint64_t one = 1;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while ((op = TAILQ_FIRST(&p->todo)) == NULL && !p->stopping)
            pthread_cond_wait(&p->work, &p->lock);
        if (op == NULL)
            break;
        TAILQ_REMOVE(&p->todo, op, link);
        pthread_mutex_unlock(&p->lock);
        disk_carry_out(p->root, op);
        pthread_mutex_lock(&p->lock);
        TAILQ_INSERT_TAIL(&p->completed, op, link);
        pthread_cond_signal(&p->finished);
        CHECK(write(p->wake, &one, sizeof one) == sizeof one);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void posix_submit(struct disk *d, struct disk_op *op)
{
    struct posix_disk *p = from(d);

    op->bytes = 0;
    p->under_way++;
    pthread_mutex_lock(&p->lock);
    TAILQ_INSERT_TAIL(&p->todo, op, link);
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static size_t posix_poll(struct disk *d, bool wait)
{
    struct posix_disk *p = from(d);
    struct op_queue ready = TAILQ_HEAD_INITIALIZER(ready);
    struct disk_op *op;
    uint64_t count;
    size_t ran = 0;

    CHECK(!wait || p->under_way > 0);
    pthread_mutex_lock(&p->lock);
    while (wait && TAILQ_EMPTY(&p->completed))
        pthread_cond_wait(&p->finished, &p->lock);
    TAILQ_CONCAT(&ready, &p->completed, link);
    if (!TAILQ_EMPTY(&ready))
        CHECK(read(p->wake, &count, sizeof count) == sizeof count);
    pthread_mutex_unlock(&p->lock);
    while ((op = TAILQ_FIRST(&ready)) != NULL) {
        TAILQ_REMOVE(&ready, op, link);
        p->under_way--;
        op->done(op);
        ran++;
    }
    return ran;
}

static void posix_close(struct disk *d)
{
    struct posix_disk *p = from(d);

    CHECK(p->under_way == 0);
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->helper, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->finished);
    close(p->wake);
    close(p->root);
    free(p);
}

/* Signals are the main thread's business. */
static bool start_helper(struct posix_disk *p)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&p->helper, NULL, help, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

enum status disk_posix_open(const char *root, struct disk **out)
{
    static const struct disk_verbs verbs = {posix_submit, posix_poll, posix_close};
    struct posix_disk *p = must_zalloc(sizeof *p);
    enum status st;

    p->disk = (struct disk){&verbs, "posix"};
    TAILQ_INIT(&p->todo);
    TAILQ_INIT(&p->completed);
    p->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->root < 0) {
        st = disk_status_of(errno);
        goto fail_memory;
    }
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake < 0) {
        st = STATUS_IO;
        goto fail_root;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    if (!start_helper(p)) {
        st = STATUS_NO_MEMORY;
        goto fail_wake;
    }
    *out = &p->disk;
    return STATUS_OK;

fail_wake:
    close(p->wake);
fail_root:
    close(p->root);
fail_memory:
    free(p);
    return st;
}

int disk_posix_fd(struct disk *d)
{
    return from(d)->wake;
}
