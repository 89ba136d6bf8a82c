/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/loop.h"

#include "proto/base/check.h"
#include "storage/disk_posix.h"
#include "storage/disk_uring.h"

#include <stdio.h>
#include <unistd.h>

static void on_disk(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    l->disk_ready = true;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    /* Empty is fine: it has been woken all the same. */
    if (read(fd, &count, sizeof count) < 0)
        return;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    l->timer_ms = INT64_MAX;
}

/* Which disk, and where to listen for its completions. */
static enum status open_disk(struct loop *l, const char *data, enum disk_io io, int *fd)
{
    enum status st = STATUS_UNSUPPORTED_VERSION;

    if (io != DISK_IO_POSIX)
        st = disk_uring_open(data, &l->disk);
    if (!st) {
        l->disk_reason = io == DISK_IO_URING ? "disk.io says so" : "the kernel offers it";
        *fd = disk_uring_fd(l->disk);
        return STATUS_OK;
    }
    if (st != STATUS_UNSUPPORTED_VERSION || io == DISK_IO_URING)
        return st;
    st = disk_posix_open(data, &l->disk);
    if (st)
        return st;
    l->disk_reason = io == DISK_IO_POSIX ? "disk.io says so" : "io_uring is refused here";
    *fd = disk_posix_fd(l->disk);
    return STATUS_OK;
}

/* Without a changelist: it would speak of a descriptor in the next wait, when the number
 * may belong to another shard already. Ours change rarely, so it would save nothing. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    CHECK(config != NULL);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum status loop_open(struct loop *l, const char *data, enum disk_io io, int wake_fd,
                      char why[static 256])
{
    int disk_fd;
    enum status st;

    l->wake_fd = wake_fd;
    l->timer_ms = INT64_MAX;
    l->base = new_base();
    CHECK(l->base != NULL);
    st = open_disk(l, data, io, &disk_fd);
    if (st) {
        snprintf(why, 256, "the disk cannot be opened with %s: %s",
                 io == DISK_IO_URING ? "io_uring" : "any back end", status_text(st));
        event_base_free(l->base);
        return st;
    }
    event_assign(&l->disk_event, l->base, disk_fd, EV_READ | EV_PERSIST, on_disk, l);
    event_assign(&l->wake_event, l->base, wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    evtimer_assign(&l->timer, l->base, on_timer, l);
    event_add(&l->disk_event, NULL);
    event_add(&l->wake_event, NULL);
    return STATUS_OK;
}

void loop_close(struct loop *l)
{
    event_del(&l->disk_event);
    event_del(&l->wake_event);
    evtimer_del(&l->timer);
    disk_close(l->disk);
    event_base_free(l->base);
}

void loop_look(struct loop *l)
{
    /* Both: by itself NONBLOCK goes on as long as anything is ready, and what is ready is
     * only noted down here, so it stays ready. */
    event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void set_timer(struct loop *l, int64_t now_ms, int64_t deadline_ms)
{
    int64_t wait = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    const struct timeval t = {wait / 1000, wait % 1000 * 1000};

    if (deadline_ms == l->timer_ms)
        return;
    l->timer_ms = deadline_ms;
    if (deadline_ms == INT64_MAX)
        evtimer_del(&l->timer);
    else
        evtimer_add(&l->timer, &t);
}

void loop_sleep(struct loop *l, int64_t now_ms, int64_t deadline_ms)
{
    set_timer(l, now_ms, deadline_ms);
    event_base_loop(l->base, EVLOOP_ONCE);
}

void loop_wake(struct loop *l)
{
    const uint64_t one = 1;

    /* The flag is taken down by the first who wakes it, so one write is enough. */
    if (atomic_exchange(&l->asleep, false))
        CHECK(write(l->wake_fd, &one, sizeof one) == sizeof one);
}
