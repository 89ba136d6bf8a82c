/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal on a disk that forgets, and beside it what was promised: which frames were
 * appended, reported durable and released, life by life. A life is one opening of the
 * journal; it is told apart by the partition that its frames name. */
#pragma once

#include "storage/journal.h"
#include "tests/support/simdisk.h"

enum { SCENE_GROUPS = 8192, SCENE_PAYLOAD_MAX = 64 * 1024 };

struct journal_scene {
    struct simdisk *sim;
    struct disk *disk;
    struct journal_options options; /* changed before journal_scene_boot */
    struct journal *journal;
    int32_t life;
    int64_t appended;                /* next offset to append */
    int64_t durable;                 /* offsets below were reported durable */
    int64_t released;                /* offsets below need not come back */
    int64_t offset_of[SCENE_GROUPS]; /* first offset of the group, or -1 */
    journal_seq seen;
    journal_seq evicted;
    unsigned reports, evictions, failures;
    bool begun; /* journal_open of this life succeeded */
};

void journal_scene_begin(struct journal_scene *s, const struct simdisk_options *o);
void journal_scene_end(struct journal_scene *s);

/* Begin a new life. */
enum status journal_scene_boot(struct journal_scene *s);

/* The payload of offset n: its length and every byte follow from life and n. */
size_t journal_scene_payload(int32_t life, int64_t n, uint8_t *out);
journal_seq journal_scene_append(struct journal_scene *s, struct slice *hot);

/* Commit until everything is durable or the disk has failed. */
void journal_scene_settle(struct journal_scene *s);

/* Append `frames`, committing and releasing now and then as a store would, until the disk
 * fails. */
void journal_scene_work(struct journal_scene *s, int frames);

/* What a replay found, checked against what was written as it came. */
struct journal_found {
    enum status status;
    int32_t life;        /* -1: nothing */
    int64_t first, next; /* offsets: one unbroken run */
    char why[256];
    struct journal_replay_result result;
};

struct journal_found journal_scene_replay(struct journal_scene *s);
