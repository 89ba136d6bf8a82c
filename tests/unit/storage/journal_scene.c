/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/storage/journal_scene.h"

#include <check.h>
#include <string.h>

static void on_durable(void *ctx, journal_seq durable, enum status status)
{
    struct journal_scene *s = ctx;

    ck_assert_uint_eq(s->failures, 0);
    if (status) {
        s->failures++;
        return;
    }
    ck_assert_uint_gt(durable, s->seen);
    s->seen = durable;
    s->reports++;
    s->durable = s->appended;
    if (s->offset_of[durable + 1] >= 0)
        s->durable = s->offset_of[durable + 1];
}

static void on_evict(void *ctx, journal_seq upto)
{
    struct journal_scene *s = ctx;

    ck_assert_uint_gt(upto, s->evicted);
    s->evicted = upto;
    s->evictions++;
}

void journal_scene_begin(struct journal_scene *s, const struct simdisk_options *o)
{
    *s = (struct journal_scene){.sim = simdisk_new(o)};
    s->disk = simdisk_disk(s->sim);
    s->options = (struct journal_options){.dir = "journal",
                                          .file_bytes = JOURNAL_BUFFER,
                                          .files_max = 4,
                                          .hot_bytes = 2 * JOURNAL_BUFFER,
                                          .on_durable = on_durable,
                                          .on_evict = on_evict};
}

void journal_scene_end(struct journal_scene *s)
{
    simdisk_free(s->sim);
}

enum status journal_scene_boot(struct journal_scene *s)
{
    enum status st;

    s->life++;
    s->appended = s->durable = s->released = 0;
    s->seen = s->evicted = 0;
    s->failures = 0;
    memset(s->offset_of, 0xff, sizeof s->offset_of);
    s->options.ctx = s;
    st = journal_open(&s->journal, s->disk, &s->options);
    s->begun = st == STATUS_OK;
    return st;
}

size_t journal_scene_payload(int32_t life, int64_t n, uint8_t *out)
{
    size_t len = 1 + (size_t)(n * 7919 % 3000);

    if (n % 20 == 19)
        len = 60000;
    memset(out, (int)((n * 31 + life) & 0xff), len);
    for (size_t i = 0; i < len && i < 64; i++)
        out[i] = (uint8_t)((uint64_t)n * 37 + (uint64_t)life * 101 + i);
    return len;
}

journal_seq journal_scene_append(struct journal_scene *s, struct slice *hot)
{
    static uint8_t payload[SCENE_PAYLOAD_MAX];
    struct journal_frame f = {
        .kind = JOURNAL_APPEND,
        .log = {.topic = {1, 2, 3}, .partition = s->life},
        .offset = s->appended,
        .segment = s->appended / 100,
        .position = (uint64_t)s->appended * 10,
    };
    journal_seq g;

    f.payload.len = journal_scene_payload(s->life, s->appended, payload);
    f.payload.data = payload;
    g = journal_append(s->journal, &f, hot);
    ck_assert_uint_lt(g + 1, SCENE_GROUPS);
    if (s->offset_of[g] < 0)
        s->offset_of[g] = s->appended;
    s->appended++;
    return g;
}

void journal_scene_settle(struct journal_scene *s)
{
    for (int turns = 0; s->failures == 0 && s->durable < s->appended; turns++) {
        ck_assert_int_lt(turns, 10000);
        journal_commit(s->journal);
        disk_poll(s->disk, true);
    }
}

/* All but the newest few durable groups are in segments. */
static void release_most(struct journal_scene *s)
{
    journal_seq durable = journal_durable(s->journal);

    if (durable <= 5 || s->offset_of[durable - 4] <= s->released)
        return;
    s->released = s->offset_of[durable - 4];
    journal_release(s->journal, durable - 4);
}

void journal_scene_work(struct journal_scene *s, int frames)
{
    for (int n = 0; n < frames && s->failures == 0; n++) {
        journal_scene_append(s, NULL);
        if (n % 4 == 3) {
            journal_commit(s->journal);
            disk_poll(s->disk, false);
        }
        for (int turns = 0; s->failures == 0 && !journal_has_room(s->journal); turns++) {
            if (simdisk_is_dead(s->sim))
                return;
            ck_assert_int_lt(turns, 10000);
            release_most(s);
            journal_commit(s->journal);
            disk_poll(s->disk, false);
        }
    }
}

static enum status look(void *ctx, const struct journal_frame *f)
{
    static uint8_t expected[SCENE_PAYLOAD_MAX];
    struct journal_found *found = ctx;
    size_t len;

    ck_assert_int_eq(f->kind, JOURNAL_APPEND);
    if (found->life < 0) {
        found->life = f->log.partition;
        found->first = found->next = f->offset;
    }
    ck_assert_int_eq(f->log.partition, found->life);
    ck_assert_int_eq(f->offset, found->next);
    ck_assert_int_eq(f->segment, f->offset / 100);
    ck_assert_uint_eq(f->position, (uint64_t)f->offset * 10);
    len = journal_scene_payload(found->life, f->offset, expected);
    ck_assert_uint_eq(f->payload.len, len);
    ck_assert_mem_eq(f->payload.data, expected, len);
    found->next++;
    return STATUS_OK;
}

struct journal_found journal_scene_replay(struct journal_scene *s)
{
    struct journal_found found = {.life = -1};

    found.status =
        journal_replay(s->disk, s->options.dir, look, &found, &found.result, found.why);
    return found;
}
