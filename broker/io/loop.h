/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard's event loop: libevent tells who is ready, the shard's disk is one of those who
 * may be. Events only leave notes; the shard does its work between two waits, in an order
 * of its own. */
#pragma once

#include "broker/core/config.h"
#include "storage/disk.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdbool.h>

struct loop {
    struct event_base *base;
    struct disk *disk;
    const char *disk_reason; /* why this back end */
    int wake_fd;             /* eventfd: whoever writes it wakes the loop */
    struct event disk_event, wake_event, timer;
    int64_t timer_ms; /* when the timer is set to go off; INT64_MAX: it is not */
    bool disk_ready;  /* completions wait */
    atomic_bool asleep;
};

/* Synchronous, on the thread that will run it. */
STATUS_MUST_CHECK enum status loop_open(struct loop *l, const char *data, enum disk_io io,
                                        int wake_fd, char why[static 256]);
void loop_close(struct loop *l);

/* Collect what is ready, without waiting. */
void loop_look(struct loop *l);
/* Wait until something is, at most until `deadline_ms`. The caller has set `asleep`, and
 * looked once more for mail after that. */
void loop_sleep(struct loop *l, int64_t now_ms, int64_t deadline_ms);

/* Callable from anywhere: wake the loop if it sleeps. */
void loop_wake(struct loop *l);
