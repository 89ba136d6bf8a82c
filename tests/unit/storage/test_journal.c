/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal on a disk that forgets: what it reported durable comes back, in order and
 * unaltered, wherever the power goes; what is damaged afterwards is reported, never cut.
 */
#include "storage/journal.h"
#include "tests/support/simdisk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = JOURNAL_BUFFER, FILES = 4 };

struct scene {
    struct simdisk *sim;
    struct disk *disk;
    struct journal *journal;
    int64_t appended;        /* next offset to append */
    int64_t durable;         /* offsets below were reported durable */
    int64_t offset_of[4096]; /* by group: the first offset of the group */
    journal_seq seen;
    bool failed;
    unsigned evictions;
};

static void on_durable(void *ctx, journal_seq durable, enum status status)
{
    struct scene *s = ctx;

    if (status) {
        s->failed = true;
        return;
    }
    ck_assert_uint_ge(durable, s->seen);
    s->seen = durable;
    s->durable = s->appended;
    for (journal_seq g = durable + 1; g < 4096; g++)
        if (s->offset_of[g] >= 0) {
            s->durable = s->offset_of[g];
            break;
        }
}

static void on_evict(void *ctx, journal_seq upto)
{
    struct scene *s = ctx;

    (void)upto;
    s->evictions++;
}

static enum status boot(struct scene *s)
{
    struct journal_options o = {"journal",  FILE_BYTES, FILES, 2 * JOURNAL_BUFFER,
                                on_durable, on_evict,   s};

    for (size_t g = 0; g < 4096; g++)
        s->offset_of[g] = -1;
    s->seen = 0;
    s->failed = false;
    return journal_open(&s->journal, s->disk, &o);
}

static void begin(struct scene *s, uint64_t seed)
{
    *s = (struct scene){.sim = simdisk_new(&(struct simdisk_options){.seed = seed})};
    s->disk = simdisk_disk(s->sim);
}

/* The payload of offset n: its length and every byte follow from n. */
static size_t payload_of(int64_t n, uint8_t *out)
{
    size_t len = 1 + (size_t)(n * 7919 % 3000);

    if (n % 50 == 49)
        len = 60000;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((uint64_t)n * 31 + i);
    return len;
}

static void append(struct scene *s, struct slice *hot)
{
    static uint8_t payload[65536];
    struct journal_frame f = {
        .kind = JOURNAL_APPEND,
        .log = {.topic = {1, 2, 3}, .partition = 7},
        .offset = s->appended,
        .payload = {payload, payload_of(s->appended, payload)},
    };
    journal_seq g = journal_append(s->journal, &f, hot);

    ck_assert_uint_lt(g, 4096);
    if (s->offset_of[g] < 0)
        s->offset_of[g] = s->appended;
    s->appended++;
}

static void commit_all(struct scene *s)
{
    while (!s->failed && s->durable < s->appended) {
        journal_commit(s->journal);
        disk_poll(s->disk, true);
    }
}

/* What replay hands over, checked as it comes. */
struct seen {
    int64_t from; /* replay may begin anywhere up to here */
    int64_t next; /* -1: nothing yet */
};

static enum status look(void *ctx, const struct journal_frame *f)
{
    static uint8_t expected[65536];
    struct seen *s = ctx;
    size_t len = payload_of(f->offset, expected);

    ck_assert_int_eq(f->kind, JOURNAL_APPEND);
    ck_assert_int_eq(f->log.partition, 7);
    if (s->next < 0)
        ck_assert_int_le(f->offset, s->from);
    else
        ck_assert_int_eq(f->offset, s->next);
    ck_assert_uint_eq(f->payload.len, len);
    ck_assert_mem_eq(f->payload.data, expected, len);
    s->next = f->offset + 1;
    return STATUS_OK;
}

static enum status replay(struct scene *s, struct seen *seen)
{
    struct journal_replay_result result;
    char why[256];

    return journal_replay(s->disk, "journal", look, seen, &result, why);
}

/* Every frame is durable after its group's write, and replay hands all of them back in
 * the order in which they went in. */
START_TEST(what_was_committed_comes_back_in_order)
{
    struct scene s;
    struct seen seen = {0, -1};

    begin(&s, 1);
    ck_assert_int_eq(boot(&s), STATUS_OK);
    for (int n = 0; n < 300; n++) {
        append(&s, NULL);
        if (n % 3 == 0)
            journal_commit(s.journal);
        disk_poll(s.disk, false);
    }
    commit_all(&s);
    ck_assert_int_eq(s.durable, 300);
    journal_close(s.journal);
    ck_assert_int_eq(replay(&s, &seen), STATUS_OK);
    ck_assert_int_eq(seen.next, 300);
    simdisk_free(s.sim);
}
END_TEST

/* While one write is in flight everything gathers; the next write carries all of it. */
START_TEST(what_gathers_during_a_write_goes_with_the_next)
{
    struct scene s;
    struct journal_stats stats;

    begin(&s, 2);
    ck_assert_int_eq(boot(&s), STATUS_OK);
    append(&s, NULL);
    journal_commit(s.journal);
    for (int n = 0; n < 20; n++) {
        append(&s, NULL);
        journal_commit(s.journal);
    }
    while (s.durable < s.appended) {
        disk_poll(s.disk, true);
        journal_commit(s.journal);
    }
    journal_stats(s.journal, &stats);
    ck_assert_uint_eq(stats.frames, 21);
    ck_assert_uint_eq(stats.writes, 2);
    journal_close(s.journal);
    simdisk_free(s.sim);
}
END_TEST

/* A slice of a frame stays what it was as long as somebody holds it, even after the
 * journal has forgotten its buffer. */
START_TEST(hot_slices_outlive_their_eviction)
{
    static uint8_t expected[65536];
    struct scene s;
    struct slice first;
    size_t len;

    begin(&s, 3);
    ck_assert_int_eq(boot(&s), STATUS_OK);
    append(&s, &first);
    for (int n = 0; n < 600; n++) {
        append(&s, NULL);
        commit_all(&s);
        journal_release(s.journal, journal_durable(s.journal) + 1);
    }
    ck_assert_uint_gt(s.evictions, 0);
    len = payload_of(0, expected);
    ck_assert_uint_eq(first.len, len);
    ck_assert_mem_eq(first.data, expected, len);
    slice_release(&first);
    journal_close(s.journal);
    simdisk_free(s.sim);
}
END_TEST

/* Files are used again once their groups were released: the journal never holds more than
 * it may, and without any release it says that there is no room. */
START_TEST(without_release_there_is_no_room_and_with_it_there_is)
{
    struct scene s;
    struct journal_stats stats;

    begin(&s, 4);
    ck_assert_int_eq(boot(&s), STATUS_OK);
    for (int n = 0; journal_has_room(s.journal); n++) {
        ck_assert_int_lt(n, 4000);
        append(&s, NULL);
        journal_commit(s.journal);
        disk_poll(s.disk, false);
    }
    commit_all(&s);
    ck_assert_uint_gt(journal_pressure(s.journal), 0);
    journal_release(s.journal, journal_durable(s.journal) + 1);
    ck_assert(journal_has_room(s.journal));
    journal_stats(s.journal, &stats);
    ck_assert_uint_le(stats.files, FILES);
    journal_close(s.journal);
    simdisk_free(s.sim);
}
END_TEST

/* The scenario of the sweeps: several generations of files, some of it released. */
static int64_t run_until_death(struct scene *s, int frames)
{
    int64_t released = 0;

    for (int n = 0; n < frames && !s->failed; n++) {
        append(s, NULL);
        if (n % 4 == 3) {
            journal_commit(s->journal);
            disk_poll(s->disk, false);
        }
        while (!s->failed && !simdisk_is_dead(s->sim) && !journal_has_room(s->journal)) {
            journal_seq g = journal_durable(s->journal);

            journal_commit(s->journal);
            disk_poll(s->disk, false);
            /* All but the newest few durable groups are in segments. */
            if (g > 10 && s->offset_of[g - 5] >= 0) {
                journal_release(s->journal, g - 5);
                released = s->offset_of[g - 5];
            }
        }
    }
    return released;
}

/* Crash at operation `op`; whatever had been reported durable and not released comes
 * back, also when recovery itself is cut short. */
static bool crash_once(uint64_t seed, uint64_t op, enum simdisk_moment moment,
                       enum simdisk_crash_kind kind)
{
    enum { FRAMES = 900 };
    struct scene s;
    struct seen seen;
    int64_t released = 0;
    bool died;

    begin(&s, seed);
    simdisk_die_at(s.sim, op, moment);
    if (boot(&s) == STATUS_OK) {
        released = run_until_death(&s, FRAMES);
        journal_close(s.journal);
    }
    died = simdisk_is_dead(s.sim);
    simdisk_crash(s.sim, kind);

    seen = (struct seen){released, -1};
    ck_assert_int_eq(replay(&s, &seen), STATUS_OK);
    if (s.durable > released)
        ck_assert_int_ge(seen.next, s.durable);

    /* Nothing of an earlier life is repeated once a new journal was begun. */
    simdisk_die_at(s.sim, simdisk_ops(s.sim) + seed % 40, moment);
    if (boot(&s) == STATUS_OK)
        journal_close(s.journal);
    simdisk_crash(s.sim, kind);
    seen = (struct seen){released, -1};
    ck_assert_int_eq(replay(&s, &seen), STATUS_OK);
    if (seen.next >= 0)
        ck_assert_int_ge(seen.next, s.durable);
    ck_assert_int_eq(journal_retire(s.disk, "journal"), STATUS_OK);
    simdisk_crash(s.sim, SIMDISK_POWER);
    seen = (struct seen){0, -1};
    ck_assert_int_eq(replay(&s, &seen), STATUS_OK);
    ck_assert_int_eq(seen.next, -1);
    simdisk_free(s.sim);
    return died;
}

/* Crash at every operation of the scenario, before it, in the middle of it and after it,
 * by power cut and by kill. */
START_TEST(durable_frames_survive_a_crash_at_any_operation)
{
    uint64_t op = 0, crashes = 0;
    bool died = true;

    for (; died; op++)
        for (int moment = SIMDISK_BEFORE; moment <= SIMDISK_AFTER; moment++) {
            died = crash_once(op * 3 + (uint64_t)moment, op, (enum simdisk_moment)moment,
                              op % 3 == 0 ? SIMDISK_PROCESS : SIMDISK_POWER);
            crashes += died;
        }
    printf("%llu crashes at %llu operations\n", (unsigned long long)crashes,
           (unsigned long long)op);
    ck_assert_uint_gt(op, 100);
}
END_TEST

/* A bit that turns in a group which was durable is damage: replay says so and hands over
 * nothing that was altered. */
START_TEST(damage_to_durable_groups_is_reported)
{
    for (uint64_t n = 0; n < 60; n++) {
        struct scene s;
        struct seen seen = {0, -1};
        enum status st;

        begin(&s, n);
        ck_assert_int_eq(boot(&s), STATUS_OK);
        for (int i = 0; i < 120; i++) {
            append(&s, NULL);
            commit_all(&s);
        }
        journal_close(s.journal);
        /* Somewhere in the first hundred groups, each of at least one block. */
        ck_assert(
            simdisk_flip(s.sim, "journal/00000000.journal", 4096 + n * 4096 + n % 64, 1));
        st = replay(&s, &seen);
        ck_assert_int_eq(st, STATUS_CORRUPT);
        simdisk_free(s.sim);
    }
}
END_TEST

/* A write that fails is the end: it is reported once, and nothing after it is ever
 * acknowledged. */
START_TEST(a_failed_write_ends_the_journal)
{
    struct scene s;
    int64_t durable;

    begin(&s, 5);
    ck_assert_int_eq(boot(&s), STATUS_OK);
    append(&s, NULL);
    commit_all(&s);
    durable = s.durable;
    append(&s, NULL);
    simdisk_fail(s.sim, DISK_WRITE, 100, STATUS_IO);
    while (!s.failed) {
        journal_commit(s.journal);
        disk_poll(s.disk, true);
    }
    append(&s, NULL);
    journal_commit(s.journal);
    ck_assert_int_eq(s.durable, durable);
    journal_close(s.journal);
    simdisk_free(s.sim);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *t = tcase_create("journal");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 100);
    tcase_add_test(t, what_was_committed_comes_back_in_order);
    tcase_add_test(t, what_gathers_during_a_write_goes_with_the_next);
    tcase_add_test(t, hot_slices_outlive_their_eviction);
    tcase_add_test(t, without_release_there_is_no_room_and_with_it_there_is);
    tcase_add_test(t, durable_frames_survive_a_crash_at_any_operation);
    tcase_add_test(t, damage_to_durable_groups_is_reported);
    tcase_add_test(t, a_failed_write_ends_the_journal);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
