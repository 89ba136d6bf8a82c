/* SPDX-License-Identifier: Apache-2.0
 *
 * A log as a follower keeps it: batches come as the leader had them, epochs come and go
 * without records, and a log that is too far behind begins anew somewhere else. */
#include "proto/record/build.h"
#include "tests/unit/storage/store_scene.h"

#include <check.h>
#include <stdlib.h>

/* A batch of two records at the log's end, as the leader of `epoch` stored it. */
static void follow(struct scene *s, int32_t epoch, int32_t sequence)
{
    struct log *log = scene_log(s, 0);
    struct build build;
    struct bytes data, value = bytes_of("some value");
    struct batch b;

    build_init(&build);
    build_begin(&build);
    for (int i = 0; i < 2; i++)
        build_add(&build, 1000 + sequence, (struct bytes){0}, value, NULL, 0);
    ck_assert_int_eq(
        build_finish(&build, CODEC_NONE, (struct build_producer){7, 0, sequence}, &data),
        STATUS_OK);
    ck_assert_int_eq(batch_parse(data, &b), STATUS_OK);
    b.base_offset = log_end(log);
    b.leader_epoch = epoch;
    log_append_replica(log, &b, data.data, s->now.wall_ms);
    build_release(&build);
}

static void follow_many(struct scene *s, int32_t epoch, int32_t sequence, int count)
{
    for (int i = 0; i < count; i++)
        follow(s, epoch, sequence + 2 * i);
}

/* What is read from `from` on is unbroken, up to the log's end. */
static void expect_whole(struct scene *s, int64_t from)
{
    int64_t end = log_end(s->logs[0].log);

    while (from < end) {
        struct log_read r;
        struct batch b;

        scene_read(s, 0, from, end, 1, &r);
        ck_assert_int_eq(r.status, STATUS_OK);
        ck_assert_uint_eq(r.slice_count, 1);
        ck_assert_int_eq(
            batch_parse((struct bytes){r.slices[0].data, r.slices[0].len}, &b),
            STATUS_OK);
        ck_assert_int_eq(b.base_offset, from);
        from = batch_next_offset(&b);
        log_read_release(&r);
    }
}

static void expect_epoch_end(const struct log *log, int32_t epoch, int32_t found,
                             int64_t end)
{
    int32_t f;
    int64_t e;

    log_end_for_epoch(log, epoch, &f, &e);
    ck_assert_int_eq(f, found);
    ck_assert_int_eq(e, end);
}

static void begin(struct scene *s, uint64_t seed)
{
    scene_begin(s, seed);
    scene_log(s, 0);
}

START_TEST(batches_keep_the_epochs_of_their_leader)
{
    struct scene s;

    begin(&s, 1);
    ck_assert_int_eq(log_tail_epoch(s.logs[0].log), -1);
    follow(&s, 3, 0);
    follow(&s, 3, 2);
    follow(&s, 5, 4);
    for (int i = 0; i < 2; i++) {
        const struct log *log = s.logs[0].log;

        ck_assert_int_eq(log_tail_epoch(log), 5);
        expect_epoch_end(log, 3, 3, 4);
        expect_epoch_end(log, 4, 3, 4);
        expect_epoch_end(log, 9, 5, 6);
        expect_whole(&s, 0);
        if (i == 0)
            scene_restart(&s);
    }
    scene_end(&s);
}
END_TEST

/* Followers read what is not on the leader's disk yet, but no further than they may. */
START_TEST(what_is_not_durable_can_be_read)
{
    struct scene s;
    struct log_read r;

    begin(&s, 2);
    follow_many(&s, 1, 0, 3);
    ck_assert_int_eq(log_durable(s.logs[0].log), 0);
    expect_whole(&s, 0);
    scene_read(&s, 0, 0, 4, 100000, &r);
    ck_assert_uint_eq(r.slice_count, 2);
    log_read_release(&r);
    scene_end(&s);
}
END_TEST

/* KAFKA-7415: a leader's epoch counts from its election on. If it came to nothing,
 * records of an older epoch may still follow, and then it never was. */
START_TEST(an_epoch_without_records_leaves_no_trace)
{
    struct scene s;

    begin(&s, 3);
    follow(&s, 3, 0);
    log_begin_epoch(s.logs[0].log, 6);
    ck_assert_int_eq(log_last_epoch(s.logs[0].log), 6);
    ck_assert_int_eq(log_tail_epoch(s.logs[0].log), 3);
    expect_epoch_end(s.logs[0].log, 3, 3, 2);
    follow(&s, 4, 2);
    ck_assert_int_eq(log_last_epoch(s.logs[0].log), 4);
    expect_epoch_end(s.logs[0].log, 6, 4, 4);
    log_begin_epoch(s.logs[0].log, 7);
    scene_restart(&s);
    ck_assert_int_eq(log_last_epoch(s.logs[0].log), 4);
    ck_assert_int_eq(log_tail_epoch(s.logs[0].log), 4);
    scene_end(&s);
}
END_TEST

static void restart_log(struct scene *s, int64_t offset, int32_t epoch)
{
    s->logs[0].log = store_log_restart(s->store, s->logs[0].log, offset, epoch);
    s->logs[0].deleted = true; /* a crash may leave nothing */
    s->logs[0].durable = 0;
}

static enum status ask_stranger(const struct log *log)
{
    const struct batch b = {.producer_id = 77, .base_sequence = 5, .count = 1};
    int64_t base, next;

    return log_check_producer(log, &b, &base, &next);
}

/* A log knows all its producers, trimmed or not, so that no batch of a new one can come
 * before its first; one that began in the middle must take strangers at their word. */
START_TEST(who_is_not_known_is_new_unless_the_log_began_late)
{
    struct scene s;

    begin(&s, 4);
    follow_many(&s, 2, 0, 300);
    scene_flush(&s);
    scene_trim(&s, 0, 200);
    ck_assert_int_eq(ask_stranger(s.logs[0].log), STATUS_UNKNOWN_PRODUCER);
    scene_restart(&s);
    ck_assert_int_eq(ask_stranger(s.logs[0].log), STATUS_UNKNOWN_PRODUCER);
    restart_log(&s, 1000, 5);
    ck_assert_int_eq(ask_stranger(s.logs[0].log), STATUS_OK);
    scene_crash(&s, SIMDISK_PROCESS);
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    if (s.logs[0].log == NULL || log_start(s.logs[0].log) != 1000)
        restart_log(&s, 1000, 5);
    scene_restart(&s);
    ck_assert_int_eq(ask_stranger(s.logs[0].log), STATUS_OK);
    scene_end(&s);
}
END_TEST

/* In memory or in files, with or without records before: it is empty, and goes on at its
 * new beginning. */
START_TEST(a_log_begins_anew_anywhere)
{
    for (int how = 0; how < 4; how++) {
        struct scene s;

        begin(&s, 4);
        follow_many(&s, 2, 0, how % 2 ? 300 : 0);
        if (how / 2)
            scene_flush(&s);
        restart_log(&s, 1000, 5);
        ck_assert_int_eq(log_start(s.logs[0].log), 1000);
        ck_assert_int_eq(log_end(s.logs[0].log), 1000);
        ck_assert_int_eq(log_tail_epoch(s.logs[0].log), 5);
        ck_assert_uint_eq(log_producer_count(s.logs[0].log), 0);
        scene_restart(&s);
        ck_assert_int_eq(log_start(s.logs[0].log), 1000);
        ck_assert_int_eq(log_end(s.logs[0].log), 1000);
        follow_many(&s, 6, 700, 300);
        expect_whole(&s, 1000);
        scene_restart(&s);
        ck_assert_int_eq(log_start(s.logs[0].log), 1000);
        ck_assert_int_eq(log_end(s.logs[0].log), 1600);
        ck_assert_uint_eq(log_producer_count(s.logs[0].log), 1);
        expect_whole(&s, 1000);
        scene_end(&s);
    }
}
END_TEST

enum { BEFORE = 40, AFTER = 30, NEW_START = 500 };

static bool alive(const struct scene *s)
{
    return s->failures == 0 && !simdisk_is_dead(s->sim);
}

static void settle_if_alive(struct scene *s)
{
    for (int i = 0; i < 200 && alive(s); i++)
        scene_turn(s);
}

/* Grow, begin anew, grow; cycles in between. Returns what is durable of the new log. */
static int64_t live(struct scene *s)
{
    follow_many(s, 1, 0, BEFORE / 2);
    settle_if_alive(s);
    s->now.mono_ms += 6000;
    if (alive(s))
        store_tick(s->store, s->now);
    follow_many(s, 1, BEFORE, BEFORE / 2);
    settle_if_alive(s);
    if (!alive(s))
        return 0;
    restart_log(s, NEW_START, 1);
    if (simdisk_ops(s->sim) % 2)
        settle_if_alive(s);
    follow_many(s, 2, 2 * BEFORE, AFTER / 2);
    settle_if_alive(s);
    s->now.mono_ms += 6000;
    if (alive(s))
        store_tick(s->store, s->now);
    follow_many(s, 2, 2 * BEFORE + AFTER, AFTER / 2);
    settle_if_alive(s);
    return log_durable(s->logs[0].log);
}

static void crash_while_beginning_anew(uint64_t at, enum simdisk_moment moment,
                                       enum simdisk_crash_kind kind)
{
    struct scene s;
    struct log *log;
    int64_t durable;
    bool begun;

    begin(&s, at);
    s.config.segment_bytes = 2048;
    log_configure(s.logs[0].log, &s.config);
    simdisk_die_at(s.sim, simdisk_ops(s.sim) + at, moment);
    durable = live(&s);
    begun = s.logs[0].deleted;
    scene_crash(&s, kind);
    s.failures = 0;
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    log = scene_log(&s, 0);
    if (log_start(log) == NEW_START) {
        ck_assert(begun);
        ck_assert_int_ge(log_end(log), durable);
    } else {
        ck_assert_int_eq(log_start(log), 0);
        ck_assert_int_le(durable, NEW_START);
        ck_assert_int_le(log_end(log), 2 * BEFORE);
    }
    expect_whole(&s, log_start(log));
    restart_log(&s, NEW_START, 1);
    follow_many(&s, 3, 1000, 5);
    scene_settle(&s);
    scene_restart(&s);
    ck_assert_int_eq(log_start(s.logs[0].log), NEW_START);
    ck_assert_int_eq(log_end(s.logs[0].log), NEW_START + 10);
    expect_whole(&s, NEW_START);
    scene_end(&s);
}

/* A crash leaves the old log, none, or the new one with all that was durable in it. */
START_TEST(crashes_leave_the_old_log_or_the_new)
{
    for (uint64_t at = 0; at < 40; at++)
        for (int how = 0; how < 6; how++)
            crash_while_beginning_anew(at, (enum simdisk_moment)(how % 3),
                                       how < 3 ? SIMDISK_POWER : SIMDISK_PROCESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log of a replica");
    TCase *tc = tcase_create("replica");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, batches_keep_the_epochs_of_their_leader);
    tcase_add_test(tc, what_is_not_durable_can_be_read);
    tcase_add_test(tc, an_epoch_without_records_leaves_no_trace);
    tcase_add_test(tc, who_is_not_known_is_new_unless_the_log_began_late);
    tcase_add_test(tc, a_log_begins_anew_anywhere);
    tcase_add_test(tc, crashes_leave_the_old_log_or_the_new);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
