/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal against the world: it dies, by power cut or kill, at every operation of its
 * disk and of its recovery; operations fail; bits turn. What was reported durable comes
 * back, in order and unaltered, or the replay says that it cannot. */
#include "proto/base/check.h"
#include "proto/base/prng.h"
#include "tests/unit/storage/journal_scene.h"

#include <check.h>
#include <malloc.h>
#include <stdio.h>

enum { FRAMES = 650, SHORT = 260 };

static const enum simdisk_crash_kind kinds[] = {SIMDISK_POWER, SIMDISK_PROCESS};

/* What one life promised. */
struct promise {
    int32_t life;
    int64_t durable, released;
};

static struct promise promise_of(const struct journal_scene *s)
{
    return (struct promise){s->life, s->durable, s->released};
}

/* The replay holds everything that the promise covers. */
static bool is_kept(const struct journal_found *f, const struct promise *p)
{
    if (p->durable <= p->released)
        return f->life < 0 || f->life == p->life;
    return f->life == p->life && f->first <= p->released && f->next >= p->durable;
}

static void begin(struct journal_scene *s, uint64_t seed)
{
    journal_scene_begin(s, &(struct simdisk_options){.seed = seed});
    s->options.files_max = 3;
}

/* Live until the planned death, and then crash. */
static bool live_and_crash(struct journal_scene *s, int frames,
                           enum simdisk_crash_kind kind)
{
    bool died;

    if (journal_scene_boot(s) == STATUS_OK) {
        journal_scene_work(s, frames);
        journal_close(s->journal);
    }
    died = simdisk_is_dead(s->sim);
    simdisk_crash(s->sim, kind);
    return died;
}

/* Crash at every operation of a life in which files are made, filled, and used again. */
START_TEST(durable_frames_survive_a_crash_at_any_operation)
{
    enum simdisk_crash_kind kind = kinds[_i % 2];
    enum simdisk_moment moment = (enum simdisk_moment)(_i / 2);
    uint64_t op = 0;
    bool died = true;

    for (; died; op++) {
        struct journal_scene s;
        struct journal_found found;
        struct promise p;

        begin(&s, op);
        simdisk_die_at(s.sim, op, moment);
        died = live_and_crash(&s, FRAMES, kind);
        p = promise_of(&s);
        found = journal_scene_replay(&s);
        ck_assert_msg(found.status == STATUS_OK && is_kept(&found, &p),
                      "operation %llu: %s, found %lld to %lld, durable %lld to %lld: %s",
                      (unsigned long long)op, status_name(found.status),
                      (long long)found.first, (long long)found.next,
                      (long long)p.released, (long long)p.durable, found.why);
        /* A second cut after the first: what the replay saw is still there, or it was
         * never durable. */
        simdisk_crash(s.sim, SIMDISK_POWER);
        found = journal_scene_replay(&s);
        ck_assert(found.status == STATUS_OK && is_kept(&found, &p));
        journal_scene_end(&s);
    }
    ck_assert_uint_gt(op, 60);
}
END_TEST

/* Recovery and the next life's first steps are cut as well, at every operation: until the
 * journal was retired or begun anew the old life is whole; after that nothing of it ever
 * comes back. */
static void recover_and_crash(uint64_t at, enum simdisk_moment moment,
                              enum simdisk_crash_kind kind)
{
    struct journal_scene s;
    struct journal_found found;
    struct promise old, new;
    bool retired;

    begin(&s, at);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    journal_scene_work(&s, SHORT);
    journal_scene_settle(&s);
    journal_close(s.journal);
    simdisk_crash(s.sim, SIMDISK_POWER);
    old = promise_of(&s);

    simdisk_die_at(s.sim, simdisk_ops(s.sim) + at, moment);
    found = journal_scene_replay(&s);
    retired = at % 2 == 0 && found.status == STATUS_OK &&
              journal_retire(s.disk, "journal") == STATUS_OK;
    live_and_crash(&s, SHORT, kind);
    new = promise_of(&s);

    found = journal_scene_replay(&s);
    ck_assert_msg(found.status == STATUS_OK, "at %llu: %s", (unsigned long long)at,
                  found.why);
    if (s.begun)
        ck_assert(is_kept(&found, &new));
    else if (retired)
        ck_assert_int_ne(found.life, old.life);
    else
        ck_assert(found.life < 0 || is_kept(&found, &old));
    journal_scene_end(&s);
}

START_TEST(a_crash_in_recovery_brings_back_all_of_one_life_or_none)
{
    for (uint64_t at = 0; at < 60; at++)
        recover_and_crash(at, (enum simdisk_moment)(_i / 2), kinds[_i % 2]);
}
END_TEST

/* Life after life on one disk, each ended by a crash at a random moment. */
START_TEST(many_lives_never_mix)
{
    struct journal_scene s;
    struct journal_found found;
    struct prng random;
    struct promise old = {0}, new;

    prng_init(&random, (uint64_t)_i);
    journal_scene_begin(&s, &(struct simdisk_options){.seed = (uint64_t)_i,
                                                      .chaotic_names = _i % 2 == 1});
    for (int life = 0; life < 8; life++) {
        s.options.files_max = 3 + (unsigned)prng_below(&random, 3);
        s.options.file_bytes = JOURNAL_BUFFER * (1 + prng_below(&random, 2));
        simdisk_die_at(s.sim, simdisk_ops(s.sim) + prng_below(&random, 90),
                       (enum simdisk_moment)prng_below(&random, 3));
        live_and_crash(&s, FRAMES, kinds[prng_below(&random, 2)]);
        new = promise_of(&s);
        found = journal_scene_replay(&s);
        ck_assert_msg(found.status == STATUS_OK, "seed %d: %s", _i, found.why);
        if (s.begun)
            ck_assert(is_kept(&found, &new));
        else
            ck_assert(found.life < 0 || found.life == s.life || is_kept(&found, &old));
        if (s.begun)
            old = new;
        else if (found.life < 0)
            old = (struct promise){.life = old.life};
    }
    journal_scene_end(&s);
}
END_TEST

/* One operation fails, any one: the journal goes on or stops for good, but what it
 * reported durable, before and after, comes back. */
START_TEST(a_failed_operation_costs_no_durable_frame)
{
    enum status failure = _i == 0 ? STATUS_IO : STATUS_NO_SPACE;
    uint64_t op = 0, ops;

    do {
        struct journal_scene s;
        struct journal_found found;
        struct promise p;

        begin(&s, op);
        simdisk_fail_at(s.sim, op, failure);
        if (journal_scene_boot(&s) == STATUS_OK) {
            journal_scene_work(&s, FRAMES);
            journal_scene_settle(&s);
            journal_close(s.journal);
        }
        ops = simdisk_ops(s.sim);
        p = promise_of(&s);
        found = journal_scene_replay(&s);
        ck_assert_msg(found.status == STATUS_OK && is_kept(&found, &p),
                      "operation %llu: %s, found %lld to %lld, durable %lld to %lld: %s",
                      (unsigned long long)op, status_name(found.status),
                      (long long)found.first, (long long)found.next,
                      (long long)p.released, (long long)p.durable, found.why);
        simdisk_crash(s.sim, SIMDISK_POWER);
        found = journal_scene_replay(&s);
        ck_assert(found.status == STATUS_OK && is_kept(&found, &p));
        journal_scene_end(&s);
    } while (++op < ops);
}
END_TEST

/* A file that was prepared in vain (its header reached the disk, but the disk said no)
 * stands between the others with a generation of its own and nothing in it. The history
 * goes on behind it. */
START_TEST(a_file_that_was_prepared_in_vain_is_passed_over)
{
    for (uint64_t n = 0; n < 16; n++) {
        struct journal_scene s;
        struct journal_found found;
        struct promise p;

        begin(&s, n);
        s.options.files_max = 5;
        ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
        while (journal_has_room(s.journal)) {
            journal_scene_append(&s, NULL);
            journal_scene_settle(&s);
        }
        s.released = s.appended;
        journal_release(s.journal, s.seen + 1);
        simdisk_fail_at(s.sim, simdisk_ops(s.sim) + n % 4, STATUS_IO);
        for (int i = 0; i < 220; i++) {
            journal_scene_append(&s, NULL);
            journal_scene_settle(&s);
        }
        journal_close(s.journal);
        p = promise_of(&s);
        found = journal_scene_replay(&s);
        ck_assert_msg(found.status == STATUS_OK && is_kept(&found, &p),
                      "operation %llu: %s, found %lld to %lld, durable %lld to %lld: %s",
                      (unsigned long long)n, status_name(found.status),
                      (long long)found.first, (long long)found.next,
                      (long long)p.released, (long long)p.durable, found.why);
        journal_scene_end(&s);
    }
}
END_TEST

/* A journal of three files with known contents, every group in a write of its own. */
static void fill(struct journal_scene *s, uint64_t seed, int frames)
{
    begin(s, seed);
    ck_assert_int_eq(journal_scene_boot(s), STATUS_OK);
    for (int n = 0; n < frames; n++) {
        journal_scene_append(s, NULL);
        journal_scene_settle(s);
        if (n % 100 == 99 && n < frames - 100) {
            s->released = s->offset_of[s->seen - 60];
            journal_release(s->journal, s->seen - 60);
        }
    }
    journal_close(s->journal);
}

/* A bit turns, in any block of any file, file headers included. Either nothing that
 * counts was hit, or the replay says CORRUPT. Only the last write has no witness: damage
 * to it looks like a write that was torn. */
START_TEST(a_turned_bit_is_harmless_or_reported)
{
    struct journal_scene s;
    struct prng random;
    unsigned reported = 0, harmless = 0;
    char path[64];

    prng_init(&random, (uint64_t)_i);
    fill(&s, (uint64_t)_i, 500);
    for (uint64_t block = 0; block < 3 * 256; block++) {
        uint64_t in_block = prng_below(&random, block % 256 == 0 ? 40 : 256);
        uint64_t at = block % 256 * DISK_ALIGN + in_block;
        uint8_t mask = (uint8_t)(1u << prng_below(&random, 8));
        struct journal_found found;

        snprintf(path, sizeof path, "journal/%08llx.journal",
                 (unsigned long long)(block / 256));
        ck_assert(simdisk_flip(s.sim, path, at, mask));
        found = journal_scene_replay(&s);
        if (found.status == STATUS_OK) {
            ck_assert_msg(found.life == s.life && found.first <= s.released &&
                              found.next >= s.durable - 1,
                          "%s, byte %llu: only %lld to %lld came back", path,
                          (unsigned long long)at, (long long)found.first,
                          (long long)found.next);
            harmless++;
        } else {
            ck_assert(found.status == STATUS_CORRUPT ||
                      found.status == STATUS_UNSUPPORTED_VERSION);
            ck_assert_str_ne(found.why, "");
            reported++;
        }
        ck_assert(simdisk_flip(s.sim, path, at, mask));
    }
    ck_assert_uint_gt(reported, 100);
    ck_assert_uint_gt(harmless, 10);
    journal_scene_end(&s);
}
END_TEST

/* Every bit of the header of the file that holds everything. */
START_TEST(a_damaged_file_header_is_never_an_empty_journal)
{
    struct journal_scene s;

    begin(&s, 3);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    for (int n = 0; n < 30; n++) {
        journal_scene_append(&s, NULL);
        journal_scene_settle(&s);
    }
    journal_close(s.journal);
    for (uint64_t bit = 0; bit < 40 * 8; bit++) {
        uint8_t mask = (uint8_t)(1u << bit % 8);
        enum status st;

        simdisk_flip(s.sim, "journal/00000000.journal", bit / 8, mask);
        st = journal_scene_replay(&s).status;
        ck_assert_msg(st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED_VERSION,
                      "bit %llu: %s", (unsigned long long)bit, status_name(st));
        simdisk_flip(s.sim, "journal/00000000.journal", bit / 8, mask);
    }
    journal_scene_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal crash sweep");
    TCase *t = tcase_create("journal crash sweep");
    SRunner *runner;
    int failed;

    /* Thousands of lives with megabytes each: keep the memory from one to the next. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    tcase_set_timeout(t, 110);
    tcase_add_loop_test(t, durable_frames_survive_a_crash_at_any_operation, 0, 6);
    tcase_add_loop_test(t, a_crash_in_recovery_brings_back_all_of_one_life_or_none, 0, 6);
    tcase_add_loop_test(t, many_lives_never_mix, 0, 16);
    tcase_add_loop_test(t, a_failed_operation_costs_no_durable_frame, 0, 2);
    tcase_add_test(t, a_file_that_was_prepared_in_vain_is_passed_over);
    tcase_add_loop_test(t, a_turned_bit_is_harmless_or_reported, 0, 1);
    tcase_add_test(t, a_damaged_file_header_is_never_an_empty_journal);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
