/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/rot.h"

#include "proto/base/memory.h"
#include "storage/journal_format.h"
#include "storage/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPOT_PATH = 2 * PATH_BYTES, TRIES = 64 };

/* A run of bytes of which one may turn. */
struct spot {
    char path[SPOT_PATH];
    uint64_t at, length;
    journal_seq sequence; /* of a group; 0: this is none */
};

struct spots {
    struct spot *all;
    size_t count;
};

static void spot_add(struct spots *s, const struct spot *spot)
{
    s->all = must_realloc(s->all, (s->count + 1) * sizeof *s->all);
    s->all[s->count++] = *spot;
}

/* The names in a directory, each with its NUL, an empty one at the end; NULL if there is
 * no such directory. The caller frees them. */
static char *names_in(struct sim_broker *b, const char *path)
{
    struct disk_op list = {.kind = DISK_LIST, .path = path};

    return disk_call(simdisk_disk(b->disk), &list) ? NULL : list.names;
}

/* ---- journals -----------------------------------------------------------------------
 */

/* What is found in one journal; files of older epochs do not count. */
struct groups {
    struct spots spots;
    uint64_t epoch;
    journal_seq durable, released;
};

static void take_groups(struct groups *g, const char *path, const uint8_t *data,
                        uint64_t length)
{
    struct journal_file_header file;
    struct journal_group_header h;

    if (length < JOURNAL_HEADER || !journal_file_header_read(data, &file) ||
        file.epoch < g->epoch)
        return;
    if (file.epoch > g->epoch)
        g->spots.count = 0, g->durable = g->released = 0;
    g->epoch = file.epoch;
    if (g->released < file.released)
        g->released = file.released;
    for (uint64_t at = JOURNAL_HEADER; at + JOURNAL_GROUP_HEADER <= length;
         at += DISK_ALIGN) {
        struct spot spot = {.at = at};

        if (!journal_group_header_read(data + at, length - at, &h) ||
            h.generation != file.generation || !journal_group_checks(data + at, &h))
            continue;
        if (g->durable < h.durable)
            g->durable = h.durable;
        snprintf(spot.path, sizeof spot.path, "%s", path);
        spot.length = h.length;
        spot.sequence = h.sequence;
        spot_add(&g->spots, &spot);
    }
}

static void find_groups(struct sim_broker *b, unsigned shard, struct spots *out)
{
    struct groups g = {0};
    char dir[24], *names;

    snprintf(dir, sizeof dir, "journal-%u", shard);
    names = names_in(b, dir);
    for (const char *n = names; n != NULL && *n != '\0'; n += strlen(n) + 1) {
        char path[SPOT_PATH];
        uint32_t number;
        uint64_t length;
        const uint8_t *data;

        snprintf(path, sizeof path, "%s/%s", dir, n);
        data = simdisk_peek(b->disk, path, &length);
        if (journal_name_parse(n, &number) && data != NULL)
            take_groups(&g, path, data, length);
    }
    for (size_t i = 0; i < g.spots.count; i++)
        if (g.spots.all[i].sequence >= g.released && g.spots.all[i].sequence <= g.durable)
            spot_add(out, &g.spots.all[i]);
    free(g.spots.all);
    free(names);
}

/* ---- indexes ------------------------------------------------------------------------
 */

static void find_indexes_of(struct sim_broker *b, const struct log_id *id,
                            struct spots *out)
{
    char dir[PATH_BYTES], *names;

    path_log(dir, id);
    names = names_in(b, dir);
    for (const char *n = names; n != NULL && *n != '\0'; n += strlen(n) + 1) {
        struct spot spot = {0};
        int64_t base;
        bool is_index;

        snprintf(spot.path, sizeof spot.path, "%s/%s", dir, n);
        if (path_parse_segment(n, &base, &is_index) && is_index &&
            simdisk_peek(b->disk, spot.path, &spot.length) != NULL && spot.length > 0)
            spot_add(out, &spot);
    }
    free(names);
}

static void find_indexes(struct sim_broker *b, struct spots *out)
{
    char *names = names_in(b, PATH_LOGS);

    for (const char *n = names; n != NULL && *n != '\0'; n += strlen(n) + 1) {
        struct log_id id;

        if (path_parse_log(n, &id))
            find_indexes_of(b, &id, out);
    }
    free(names);
}

/* ---- turning ------------------------------------------------------------------------
 */

/* Preferably where something was written: files are made longer than what is in them. */
static uint64_t place_in(struct sim_broker *b, const struct spot *spot)
{
    uint64_t length, at = spot->at;
    const uint8_t *data = simdisk_peek(b->disk, spot->path, &length);

    for (int i = 0; i < TRIES; i++) {
        at = spot->at + prng_below(&b->random, spot->length);
        if (data[at] != 0)
            break;
    }
    return at;
}

bool rot_disk(struct sim_broker *b, int64_t what)
{
    struct spots spots = {0};
    const struct spot *spot;
    uint64_t at;

    if (what % 8 < 6)
        find_groups(b, (unsigned)(what / 8 % b->swarm->shards), &spots);
    else
        find_indexes(b, &spots);
    if (spots.count == 0)
        return false;
    spot = &spots.all[prng_below(&b->random, spots.count)];
    at = place_in(b, spot);
    simdisk_flip(b->disk, spot->path, at, (uint8_t)(1u << (what / 16 % 8)));
    b->rotten = true;
    note(b->world, b->number + 1, "rots", what % 8, (int64_t)spot->sequence, (int64_t)at);
    if (b->world->loud)
        printf("%*s%s, byte %llu\n", 33, "", spot->path, (unsigned long long)at);
    free(spots.all);
    return true;
}
