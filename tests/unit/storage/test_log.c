/* SPDX-License-Identifier: Apache-2.0
 *
 * One log's life: what goes in comes out, from memory and from disk, whatever is rolled,
 * cut and let go in between. */
#include "tests/unit/storage/store_scene.h"

#include <check.h>
#include <stdlib.h>

/* Batches are read back from memory at once, whole and in order, before anything is on
 * disk. */
START_TEST(appended_batches_are_read_hot)
{
    struct scene s;
    struct log_read r;

    scene_begin(&s, 1);
    for (int i = 0; i < 20; i++)
        scene_append(&s, 0, 3, 100);
    ck_assert_int_eq(log_end(s.logs[0].log), 60);
    ck_assert_int_eq(log_durable(s.logs[0].log), 0);
    scene_verify(&s, 0);
    scene_read(&s, 0, 7, 60, 1, &r);
    ck_assert_uint_eq(r.slice_count, 1);
    ck_assert_int_eq((int64_t)load_u64(r.slices[0].data), 6);
    log_read_release(&r);
    scene_settle(&s);
    ck_assert_int_eq(s.logs[0].durable, 60);
    scene_end(&s);
}
END_TEST

/* Nothing at or above `upto` is given; outside of the log there is nothing at all. */
START_TEST(reads_stay_within_bounds)
{
    struct scene s;
    struct log_read r;

    scene_begin(&s, 2);
    for (int i = 0; i < 10; i++)
        scene_append(&s, 0, 1, 10);
    scene_read(&s, 0, 2, 5, 100000, &r);
    ck_assert_uint_eq(r.slice_count, 3);
    log_read_release(&r);
    scene_read(&s, 0, 5, 5, 100000, &r);
    ck_assert_int_eq(r.status, STATUS_OK);
    ck_assert_uint_eq(r.slice_count, 0);
    log_read_release(&r);
    scene_read(&s, 0, 10, 20, 100000, &r);
    ck_assert_int_eq(r.status, STATUS_OK);
    log_read_release(&r);
    scene_read(&s, 0, 11, 20, 100000, &r);
    ck_assert_int_eq(r.status, STATUS_OFFSET_OUT_OF_RANGE);
    log_read_release(&r);
    scene_end(&s);
}
END_TEST

/* After a restart nothing is in memory: the same bytes come from segment files, over many
 * of them. */
START_TEST(segments_give_back_what_memory_gave)
{
    struct scene s;

    scene_begin(&s, 3);
    for (int i = 0; i < 300; i++) {
        scene_append(&s, 0, 1 + i % 5, 10 + (size_t)(i * 37 % 3000));
        scene_turn(&s);
    }
    scene_restart(&s);
    ck_assert_uint_gt(log_segment_count(s.logs[0].log), 5);
    scene_verify(&s, 0);
    scene_append(&s, 0, 1, 10);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* A batch larger than a piece of the write-behind is written and read in parts. */
START_TEST(batches_larger_than_a_write_survive)
{
    struct scene s;

    scene_begin(&s, 4);
    s.options.journal_file_bytes = 8 * JOURNAL_BUFFER;
    scene_restart(&s);
    scene_append(&s, 0, 1, 100);
    scene_append(&s, 0, 3, 1000000);
    scene_append(&s, 0, 1, 100);
    scene_restart(&s);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* Truncation in every place, in memory and on disk: the log goes on from there, and the
 * old records do not come back. */
START_TEST(truncated_records_do_not_come_back)
{
    for (int cold = 0; cold < 2; cold++)
        for (int64_t at = 0; at <= 120; at += 8) {
            struct scene s;

            scene_begin(&s, 5);
            for (int i = 0; i < 60; i++)
                scene_append(&s, 0, 2, 3000);
            if (cold)
                scene_restart(&s);
            else
                scene_settle(&s);
            scene_truncate(&s, 0, at);
            for (int i = 0; i < 10; i++)
                scene_append(&s, 0, 1, 2000);
            scene_verify(&s, 0);
            scene_flush(&s);
            scene_verify(&s, 0);
            scene_restart(&s);
            scene_verify(&s, 0);
            scene_end(&s);
        }
}
END_TEST

/* Two truncations in one turn, the second below or above the first. */
START_TEST(truncations_add_up)
{
    for (int64_t second = 2; second < 110; second += 12) {
        struct scene s;

        scene_begin(&s, 6);
        for (int i = 0; i < 60; i++)
            scene_append(&s, 0, 2, 3000);
        scene_restart(&s);
        scene_truncate(&s, 0, 60);
        for (int i = 0; i < 30; i++)
            scene_append(&s, 0, 2, 1000);
        scene_truncate(&s, 0, second);
        for (int i = 0; i < 30; i++)
            scene_append(&s, 0, 2, 1000);
        scene_flush(&s);
        scene_verify(&s, 0);
        scene_restart(&s);
        scene_verify(&s, 0);
        scene_end(&s);
    }
}
END_TEST

/* What is trimmed is refused at once, and its segment files go. */
START_TEST(trimmed_records_are_refused)
{
    struct scene s;
    struct log_read r;
    unsigned before;

    scene_begin(&s, 7);
    for (int i = 0; i < 100; i++)
        scene_append(&s, 0, 1, 3000);
    scene_flush(&s);
    before = log_segment_count(s.logs[0].log);
    scene_trim(&s, 0, 70);
    scene_read(&s, 0, 69, 100, 1000, &r);
    ck_assert_int_eq(r.status, STATUS_OFFSET_OUT_OF_RANGE);
    log_read_release(&r);
    scene_verify(&s, 0);
    ck_assert_uint_lt(log_segment_count(s.logs[0].log), before);
    scene_restart(&s);
    ck_assert_int_eq(log_start(s.logs[0].log), 70);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* Every time leads to an offset from which on all younger records are found. */
START_TEST(offsets_are_found_by_time)
{
    struct scene s;

    scene_begin(&s, 8);
    s.config.index_interval_bytes = 500;
    for (int i = 0; i < 200; i++)
        scene_append_at(&s, 0, 1, 1000, 1, 10 * i);
    for (int round = 0; round < 2; round++) {
        scene_settle(&s);
        for (int64_t time = 0; time < 1990; time += 7) {
            int64_t offset = log_offset_for_time(s.logs[0].log, time);

            ck_assert_int_le(offset, (time + 9) / 10);
            ck_assert_int_ge(offset, (time + 9) / 10 - 2);
        }
        ck_assert_int_eq(log_offset_for_time(s.logs[0].log, 1991), 200);
        scene_restart(&s);
    }
    scene_end(&s);
}
END_TEST

/* Epochs survive a restart, and a truncation takes back those that it cuts. */
START_TEST(epochs_follow_the_log)
{
    struct scene s;
    int32_t found;
    int64_t end;

    scene_begin(&s, 9);
    scene_append_at(&s, 0, 4, 10, 1, 0);
    scene_append_at(&s, 0, 4, 10, 3, 0);
    scene_append_at(&s, 0, 4, 10, 6, 0);
    scene_restart(&s);
    log_end_for_epoch(s.logs[0].log, 4, &found, &end);
    ck_assert_int_eq(found, 3);
    ck_assert_int_eq(end, 8);
    ck_assert_int_eq(log_last_epoch(s.logs[0].log), 6);
    scene_truncate(&s, 0, 8);
    scene_restart(&s);
    ck_assert_int_eq(log_last_epoch(s.logs[0].log), 3);
    log_end_for_epoch(s.logs[0].log, 9, &found, &end);
    ck_assert_int_eq(found, 3);
    ck_assert_int_eq(end, 8);
    scene_end(&s);
}
END_TEST

/* Retention by size lets old segments go, never the active one. */
START_TEST(retention_lets_old_segments_go)
{
    struct scene s;

    scene_begin(&s, 10);
    s.config.retention_bytes = 100 * 1024;
    for (int i = 0; i < 200; i++) {
        scene_append(&s, 0, 1, 3000);
        scene_turn(&s);
    }
    scene_flush(&s);
    ck_assert_int_gt(log_start(s.logs[0].log), 0);
    ck_assert_uint_ge(log_bytes(s.logs[0].log), 100 * 1024);
    ck_assert_uint_le(log_bytes(s.logs[0].log), 170 * 1024);
    s.logs[0].start = log_start(s.logs[0].log);
    scene_verify(&s, 0);
    scene_restart(&s);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* Damage in a sealed segment ends the read that meets it; everything before it is given,
 * and the broker lives. */
START_TEST(damage_is_told_to_the_reader)
{
    struct scene s;
    struct log_read r;

    scene_begin(&s, 11);
    for (int i = 0; i < 60; i++)
        scene_append(&s, 0, 1, 3000);
    scene_restart(&s);
    ck_assert(simdisk_flip(
        s.sim, "logs/40404040404040404040404040404040-0/00000000000000000000.log",
        10 * (uint64_t)s.logs[0].batches[0].size + BATCH_AT_MAGIC, 0xff));
    scene_read(&s, 0, 8, 60, 1000000, &r);
    ck_assert_int_eq(r.status, STATUS_OK);
    ck_assert_uint_eq(r.bytes, 2 * s.logs[0].batches[0].size);
    log_read_release(&r);
    scene_read(&s, 0, 10, 60, 1000000, &r);
    ck_assert_int_eq(r.status, STATUS_CORRUPT);
    log_read_release(&r);
    scene_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, appended_batches_are_read_hot);
    tcase_add_test(tc, reads_stay_within_bounds);
    tcase_add_test(tc, segments_give_back_what_memory_gave);
    tcase_add_test(tc, batches_larger_than_a_write_survive);
    tcase_add_test(tc, truncated_records_do_not_come_back);
    tcase_add_test(tc, truncations_add_up);
    tcase_add_test(tc, trimmed_records_are_refused);
    tcase_add_test(tc, offsets_are_found_by_time);
    tcase_add_test(tc, epochs_follow_the_log);
    tcase_add_test(tc, retention_lets_old_segments_go);
    tcase_add_test(tc, damage_is_told_to_the_reader);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
