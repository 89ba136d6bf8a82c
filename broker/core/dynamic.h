/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings that were changed while the broker ran, kept in `dynamic.conf` of the data
 * directory. A change is in force only once the file that holds it is on disk. Changes
 * are made one after the other. Lives on shard 0. */
#pragma once

#include "broker/core/config.h"
#include "storage/disk.h"

struct dynamic;

struct dynamic_change {
    /* Make the change; called on a copy first, so it may be refused, and on the
     * settings themselves once that copy is on disk. */
    enum status (*apply)(struct dynamic_change *c, struct config *config);
    /* Once, later. */
    void (*done)(struct dynamic_change *c, enum status status);
    TAILQ_ENTRY(dynamic_change) link;
};

/* Read the file and apply it. Synchronous, at start. */
STATUS_MUST_CHECK enum status dynamic_open(struct dynamic **out, struct disk *d,
                                           struct config *config, char why[static 256]);
/* Refuse with SHUTTING_DOWN what was not begun. */
void dynamic_stop(struct dynamic *d);
/* Waits for the write in flight. */
void dynamic_close(struct dynamic *d);

void dynamic_submit(struct dynamic *d, struct dynamic_change *c);
/* End of a loop turn: start what waits. */
void dynamic_turn(struct dynamic *d);
