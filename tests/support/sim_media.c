/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_store.h's disks, made of the simulated disk and of real storage on top of it: the
 * same scenes then run on everything but the shell. Moods have no effect here; whoever
 * wants trouble plans it with simdisk.h. */
#include "tests/support/sim_media.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/store.h"

#include <stdlib.h>

struct fake_media {
    struct simdisk *disk;
    struct fake_media_mood mood;
};

struct fake_media *fake_media_new(void)
{
    struct fake_media *m = must_zalloc(sizeof *m);

    m->disk = simdisk_new(&(struct simdisk_options){.seed = 1});
    return m;
}

void fake_media_free(struct fake_media *m)
{
    simdisk_free(m->disk);
    free(m);
}

struct simdisk *sim_media_disk(struct fake_media *m)
{
    return m->disk;
}

void fake_media_recover(struct fake_media *m)
{
    struct store_recovery recovery;
    char why[256];

    CHECK(!store_recover(simdisk_disk(m->disk), &recovery, why));
}

struct disk *fake_media_disk(struct fake_media *m)
{
    return simdisk_disk(m->disk);
}

void fake_media_disk_free(struct disk *d)
{
}

struct fake_media_mood *fake_media_mood(struct fake_media *m)
{
    return &m->mood;
}
