/* SPDX-License-Identifier: Apache-2.0
 *
 * A store and its logs: many of them, deleted ones, a full disk, another number of shards
 * after a crash. */
#include "storage/paths.h"
#include "tests/unit/storage/store_scene.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint64_t listed(struct scene *s)
{
    struct log_id *ids;
    size_t count;

    ck_assert_int_eq(store_list(s->disk, &ids, &count), STATUS_OK);
    free(ids);
    return count;
}

START_TEST(logs_are_there_after_a_restart)
{
    struct scene s;
    struct store_recovery recovery;
    struct log *log;
    char why[256];

    scene_begin(&s, 1);
    for (unsigned n = 0; n < SCENE_LOGS; n++)
        for (unsigned i = 0; i <= n; i++)
            scene_append(&s, n, 1, 100);
    scene_settle(&s);
    ck_assert_int_eq(scene_close(&s), STATUS_OK);
    ck_assert_int_eq(store_recover(s.disk, &recovery, why), STATUS_OK);
    /* A clean close leaves nothing to repeat. */
    ck_assert_uint_eq(recovery.frames, 0);
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    for (unsigned n = 0; n < SCENE_LOGS; n++)
        scene_verify(&s, n);
    ck_assert_uint_eq(listed(&s), SCENE_LOGS);
    ck_assert_int_eq(
        store_log_open(s.store, (struct log_id){.partition = 99}, &s.config, false, &log),
        STATUS_NOT_FOUND);
    scene_end(&s);
}
END_TEST

/* An empty log is a log. */
START_TEST(empty_logs_are_kept)
{
    struct scene s;

    scene_begin(&s, 2);
    scene_log(&s, 3);
    scene_restart(&s);
    ck_assert_ptr_nonnull(s.logs[3].log);
    ck_assert_int_eq(log_end(s.logs[3].log), 0);
    scene_end(&s);
}
END_TEST

START_TEST(many_logs_share_one_store)
{
    enum { LOGS = 1500 };
    struct scene s;
    static struct log *logs[LOGS];
    struct log_id id = {.topic = {7}};
    struct store_stats stats;

    scene_begin(&s, 3);
    scene_append(&s, 0, 1, 1000);
    for (int round = 0; round < 2; round++) {
        for (id.partition = 0; id.partition < LOGS; id.partition++)
            ck_assert_int_eq(
                store_log_open(s.store, id, &s.config, round == 0, &logs[id.partition]),
                STATUS_OK);
        scene_restart(&s);
    }
    store_stats(s.store, &stats);
    ck_assert_uint_eq(stats.logs, 1);
    ck_assert_uint_eq(listed(&s), LOGS + 1);
    scene_end(&s);
}
END_TEST

/* A deleted log is gone at once and for good; one of the same id begins empty. */
START_TEST(deleted_logs_stay_away)
{
    struct scene s;

    scene_begin(&s, 4);
    for (int i = 0; i < 50; i++) {
        scene_append(&s, 0, 1, 3000);
        scene_append(&s, 1, 1, 3000);
    }
    scene_flush(&s);
    scene_delete(&s, 0);
    scene_flush(&s);
    ck_assert_uint_eq(listed(&s), 1);
    s.logs[0].deleted = false;
    scene_append(&s, 0, 1, 10);
    scene_restart(&s);
    ck_assert_int_eq(log_end(s.logs[0].log), 1);
    scene_verify(&s, 0);
    scene_verify(&s, 1);
    scene_delete(&s, 1);
    scene_restart(&s);
    ck_assert_ptr_null(s.logs[1].log);
    scene_end(&s);
}
END_TEST

/* Deleted and made again within one turn, with everything still in flight. */
START_TEST(deleted_and_made_again_at_once)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct scene s;

        scene_begin(&s, 50 + seed);
        for (int i = 0; i < 30; i++) {
            scene_append(&s, 0, 1, 3000);
            scene_turn(&s);
        }
        scene_delete(&s, 0);
        s.logs[0].deleted = false;
        scene_append(&s, 0, 1, 10);
        scene_append(&s, 0, 1, 20);
        if (seed % 2)
            scene_flush(&s);
        scene_verify(&s, 0);
        scene_restart(&s);
        scene_verify(&s, 0);
        scene_end(&s);
    }
}
END_TEST

static void on_read(struct log_read *read)
{
    read->max_bytes = 0;
}

/* A read that is under way when its log is deleted or truncated ends, with NOT_FOUND. */
START_TEST(reads_end_when_their_log_goes)
{
    for (int how = 0; how < 2; how++) {
        struct scene s;
        struct log_read r = {.from = 2,
                             .upto = 100,
                             .max_bytes = 100000,
                             .first_whole = true,
                             .done = on_read};

        scene_begin(&s, 5);
        for (int i = 0; i < 50; i++)
            scene_append(&s, 0, 1, 3000);
        scene_restart(&s);
        ck_assert(!log_read_hot(s.logs[0].log, &r));
        log_read_cold(s.logs[0].log, &r);
        if (how == 0)
            scene_delete(&s, 0);
        else
            scene_truncate(&s, 0, 3);
        while (r.max_bytes != 0)
            disk_poll(s.disk, true);
        ck_assert_int_eq(r.status, STATUS_NOT_FOUND);
        ck_assert_uint_eq(r.slice_count, 0);
        log_read_release(&r);
        scene_end(&s);
    }
}
END_TEST

/* A full disk stops nothing but the produce requests, and is forgotten when space comes
 * back. */
START_TEST(full_disk_recovers_by_itself)
{
    struct scene s;
    int i;

    scene_begin(&s, 6);
    for (i = 0; i < 20; i++)
        scene_append(&s, 0, 1, 3000);
    scene_flush(&s);
    simdisk_set_capacity(s.sim, 1);
    for (i = 0; i < 1000 && store_admit(s.store) == STATUS_OK; i++) {
        scene_append(&s, 0, 1, 3000);
        scene_turn(&s);
        s.now.mono_ms += 1000;
        if (i % 10 == 0)
            store_tick(s.store, s.now);
    }
    ck_assert_int_eq(store_admit(s.store), STATUS_DISK_FULL);
    scene_settle(&s);
    scene_verify(&s, 0);
    simdisk_set_capacity(s.sim, 0);
    scene_flush(&s);
    ck_assert_uint_eq(s.failures, 0);
    ck_assert_int_eq(store_admit(s.store), STATUS_OK);
    scene_restart(&s);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* A store that cannot write its segments when it closes says so; the journal keeps the
 * records for the next start. */
START_TEST(closing_on_a_full_disk_loses_nothing)
{
    struct scene s;

    scene_begin(&s, 7);
    for (int i = 0; i < 50; i++)
        scene_append(&s, 0, 1, 3000);
    scene_settle(&s);
    simdisk_set_capacity(s.sim, 1);
    ck_assert_int_eq(scene_close(&s), STATUS_NO_SPACE);
    simdisk_set_capacity(s.sim, 0);
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* A failed journal write or segment sync is told once, and nothing is acknowledged after
 * it. */
START_TEST(failed_disk_stops_the_store)
{
    for (int how = 0; how < 2; how++) {
        struct scene s;
        int64_t durable;

        scene_begin(&s, 8);
        for (int i = 0; i < 30; i++)
            scene_append(&s, 0, 1, 3000);
        scene_settle(&s);
        simdisk_fail(s.sim, how == 0 ? DISK_WRITE : DISK_SYNC, 1000000, STATUS_IO);
        durable = s.logs[0].durable;
        for (int i = 0; i < 1000 && s.failures == 0; i++) {
            if (how == 0 && i == 0)
                scene_append(&s, 0, 1, 100);
            s.now.mono_ms += 1000;
            store_tick(s.store, s.now);
            disk_poll(s.disk, false);
        }
        ck_assert_uint_eq(s.failures, 1);
        ck_assert_int_eq(store_admit(s.store), STATUS_STORAGE_FAILED);
        for (int i = 0; i < 100; i++)
            scene_turn(&s);
        ck_assert_uint_eq(s.failures, 1);
        ck_assert_int_eq(s.logs[0].durable, durable);
        ck_assert_int_eq(scene_close(&s), STATUS_STORAGE_FAILED);
        simdisk_fail(s.sim, how == 0 ? DISK_WRITE : DISK_SYNC, 0, STATUS_OK);
        simdisk_crash(s.sim, SIMDISK_POWER);
        s.failures = 0;
        ck_assert_int_eq(scene_open(&s), STATUS_OK);
        scene_verify_survivors(&s, 0);
        scene_end(&s);
    }
}
END_TEST

/* The journals of several shards are repeated, and what they told lies open to any number
 * of shards afterwards. */
START_TEST(another_number_of_shards_after_a_crash)
{
    struct scene s;
    struct store *second;
    struct store_options options;
    struct log *log;

    scene_begin(&s, 9);
    options = s.options;
    options.shard = 1;
    ck_assert_int_eq(store_open(&second, s.disk, &options), STATUS_OK);
    for (int i = 0; i < 30; i++)
        scene_append(&s, 0, 1, 2000);
    /* Log 1 lives on the second shard. */
    ck_assert_int_eq(store_log_open(second, scene_id(1), &s.config, true, &log),
                     STATUS_OK);
    s.logs[1].log = log;
    s.logs[1].exists = true;
    for (int i = 0; i < 30; i++)
        scene_append(&s, 1, 2, 2000);
    for (int i = 0; i < 10000 && (s.logs[0].durable < 30 || s.logs[1].durable < 60);
         i++) {
        store_turn_end(second);
        scene_turn(&s);
    }
    simdisk_die_at(s.sim, simdisk_ops(s.sim), SIMDISK_BEFORE);
    ck_assert_int_ne(store_close(second), STATUS_OK);
    s.logs[1].log = NULL;
    scene_crash(&s, SIMDISK_POWER);
    s.failures = 0;
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    scene_verify(&s, 0);
    scene_verify(&s, 1);
    scene_append(&s, 1, 1, 100);
    scene_restart(&s);
    scene_verify(&s, 0);
    scene_verify(&s, 1);
    scene_end(&s);
}
END_TEST

/* A lost checkpoint costs time, not data: the files are read instead. */
START_TEST(lost_checkpoint_is_made_up_for)
{
    for (int crash = 0; crash < 2; crash++) {
        struct scene s;
        struct disk_op remove = {.kind = DISK_REMOVE, .path = "checkpoint"};

        scene_begin(&s, 10);
        for (int i = 0; i < 100; i++)
            scene_append(&s, 0, 1, 3000);
        scene_restart(&s);
        scene_append(&s, 0, 1, 3000);
        scene_settle(&s);
        if (crash) {
            scene_crash(&s, SIMDISK_PROCESS);
            s.failures = 0;
        } else {
            ck_assert_int_eq(scene_close(&s), STATUS_OK);
            remove.path = "checkpoint-0";
            ck_assert_int_eq(disk_call(s.disk, &remove), STATUS_OK);
            remove.path = "checkpoint";
        }
        ck_assert_int_eq(disk_call(s.disk, &remove), STATUS_OK);
        ck_assert_int_eq(scene_open(&s), STATUS_OK);
        scene_verify(&s, 0);
        scene_end(&s);
    }
}
END_TEST

/* The common checkpoint, which is older, does not stand in for it. */
START_TEST(damaged_checkpoint_of_a_shard_is_made_up_for)
{
    struct scene s;

    scene_begin(&s, 12);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50; i++)
            scene_append(&s, 0, 1, 3000);
        if (round == 0)
            scene_restart(&s);
    }
    scene_settle(&s);
    ck_assert_int_eq(scene_close(&s), STATUS_OK);
    ck_assert(simdisk_flip(s.sim, "checkpoint-0", 20, 1));
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* What nobody knows any more can be removed without opening it. */
START_TEST(unknown_logs_can_be_removed)
{
    struct scene s;
    struct store_recovery recovery;
    char why[256];

    scene_begin(&s, 11);
    scene_append(&s, 0, 1, 100);
    scene_append(&s, 1, 1, 100);
    ck_assert_int_eq(scene_close(&s), STATUS_OK);
    ck_assert_int_eq(store_recover(s.disk, &recovery, why), STATUS_OK);
    ck_assert_int_eq(store_remove(s.disk, scene_id(1)), STATUS_OK);
    ck_assert_int_eq(store_remove(s.disk, scene_id(2)), STATUS_NOT_FOUND);
    s.logs[1].deleted = true;
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    ck_assert_ptr_null(s.logs[1].log);
    scene_verify(&s, 0);
    scene_end(&s);
}
END_TEST

/* The log's first segment goes, and the model forgets what was in the log. */
static void lose_segment(struct scene *s, unsigned n)
{
    const struct log_id id = scene_id(n);
    struct model_log *m = &s->logs[n];
    char path[PATH_BYTES];
    struct disk_op op = {.kind = DISK_REMOVE, .path = path};

    path_segment(path, &id, 0);
    ck_assert_int_eq(disk_call(s->disk, &op), STATUS_OK);
    while (m->count > 0)
        free(m->batches[--m->count].bytes);
    m->exists = false;
    m->durable = 0;
}

/* A log of which a segment is missing does not open; the others do. Given up, it can be
 * made anew at once, and nothing of the old one ever comes back, whatever happens next.
 */
START_TEST(a_log_that_does_not_open_can_be_given_up)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct scene s;
        struct log *log;

        scene_begin(&s, 100 + seed);
        for (int i = 0; i < 30; i++) {
            scene_append(&s, 0, 1, 3000);
            scene_append(&s, 1, 1, 3000);
            scene_turn(&s);
        }
        ck_assert_int_eq(scene_close(&s), STATUS_OK);
        lose_segment(&s, 1);
        ck_assert_int_eq(scene_open(&s), STATUS_OK);
        ck_assert_int_eq(store_log_open(s.store, scene_id(1), &s.config, true, &log),
                         STATUS_CORRUPT);
        store_log_discard(s.store, scene_id(1));
        scene_append(&s, 1, 1, 10);
        scene_append(&s, 0, 1, 20);
        if (seed % 3 == 1)
            scene_flush(&s);
        else
            scene_settle(&s);
        scene_verify(&s, 1);
        if (seed % 2) {
            scene_crash(&s, SIMDISK_POWER);
            ck_assert_int_eq(scene_open(&s), STATUS_OK);
            scene_verify_survivors(&s, 1);
        } else {
            scene_restart(&s);
        }
        scene_verify(&s, 0);
        scene_verify(&s, 1);
        scene_end(&s);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, logs_are_there_after_a_restart);
    tcase_add_test(tc, empty_logs_are_kept);
    tcase_add_test(tc, many_logs_share_one_store);
    tcase_add_test(tc, deleted_logs_stay_away);
    tcase_add_test(tc, deleted_and_made_again_at_once);
    tcase_add_test(tc, reads_end_when_their_log_goes);
    tcase_add_test(tc, full_disk_recovers_by_itself);
    tcase_add_test(tc, closing_on_a_full_disk_loses_nothing);
    tcase_add_test(tc, failed_disk_stops_the_store);
    tcase_add_test(tc, another_number_of_shards_after_a_crash);
    tcase_add_test(tc, lost_checkpoint_is_made_up_for);
    tcase_add_test(tc, damaged_checkpoint_of_a_shard_is_made_up_for);
    tcase_add_test(tc, unknown_logs_can_be_removed);
    tcase_add_test(tc, a_log_that_does_not_open_can_be_given_up);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
