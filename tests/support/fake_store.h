/* SPDX-License-Identifier: Apache-2.0
 *
 * Storage as the core sees it (store.h, log.h, machine.h, disk.h), in memory and under a
 * test's thumb: records become durable when the test lets them, reads are hot or cold as
 * it says, and the disk fills up or breaks on request. What the core decides is tested
 * against this; what storage keeps is tested with storage. */
#pragma once

#include "storage/machine.h"

/* What all shards' disks are made of; outlives the broker. */
struct fake_media;

struct fake_media *fake_media_new(void);
void fake_media_free(struct fake_media *m);

/* Before a broker starts on it: what a crash left is brought into order. */
void fake_media_recover(struct fake_media *m);

/* A shard's view of it. */
struct disk *fake_media_disk(struct fake_media *m);
void fake_media_disk_free(struct disk *d);

struct fake_media_mood {
    bool held;        /* nothing becomes durable and no operation completes */
    bool cold;        /* reads do not find what they want in memory */
    bool full;        /* appends are not welcome */
    bool broken;      /* the next journal write fails */
    bool no_new_logs; /* logs cannot be made */
};

struct fake_media_mood *fake_media_mood(struct fake_media *m);
/* The topic's logs do not open (CORRUPT), or do again. */
void fake_media_damage(struct fake_media *m, const uint8_t topic[static 16],
                       bool damaged);
/* Logs that exist. */
size_t fake_media_logs(const struct fake_media *m);
/* A log of some topic, as a crash in the middle of a deletion may leave it. */
void fake_media_add_log(struct fake_media *m, uint8_t topic);
