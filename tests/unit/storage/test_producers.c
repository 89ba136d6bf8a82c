/* SPDX-License-Identifier: Apache-2.0
 *
 * What a log knows of its producers: which batch may come, which came before, and what is
 * left of that when the log is cut. */
#include "storage/producers.h"

#include <check.h>
#include <stdlib.h>

static struct producers *t;
static int64_t end, base, next;

static void setup(void)
{
    t = NULL;
    end = 0;
}

static void teardown(void)
{
    producers_free(t);
}

static struct batch batch(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    return (struct batch){.producer_id = id,
                          .producer_epoch = epoch,
                          .base_sequence = sequence,
                          .base_offset = end,
                          .last_offset_delta = count - 1,
                          .count = count};
}

static enum status ask(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    const struct batch b = batch(id, epoch, sequence, count);

    base = next = -1;
    return producers_check(t, &b, &base, &next);
}

static void sends_at(int64_t id, int16_t epoch, int32_t sequence, int32_t count,
                     int64_t wall_ms)
{
    const struct batch b = batch(id, epoch, sequence, count);

    producers_record(&t, &b, wall_ms);
    end = batch_next_offset(&b);
}

static void sends(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    sends_at(id, epoch, sequence, count, 1000);
}

/* Written down as of `upto` and read back. */
static void restarts(int64_t upto)
{
    struct writer w = writer_growing();
    struct reader r;

    producers_write(&w, t, upto);
    producers_free(t);
    ck_assert_int_eq(writer_status(&w), STATUS_OK);
    r = reader_of(w.data, w.len);
    ck_assert(producers_read(&r, upto, &t));
    ck_assert_uint_eq(reader_left(&r), 0);
    writer_release(&w);
}

START_TEST(the_next_sequence_follows_the_last)
{
    ck_assert_int_eq(ask(7, 0, 0, 3), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 5, 3), STATUS_UNKNOWN_PRODUCER);
    ck_assert_int_eq(ask(-1, -1, -1, 3), STATUS_OK);
    sends(7, 0, 0, 3);
    sends(-1, -1, -1, 10);
    ck_assert_uint_eq(producers_count(t), 1);
    ck_assert_int_eq(ask(7, 0, 3, 1), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 4, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
    ck_assert_int_eq(ask(7, 0, 1, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
}
END_TEST

/* A table that begins in the middle of a log takes whom it does not know for somebody who
 * was there before; that survives a restart, and nothing else makes it so. */
START_TEST(who_may_have_been_there_before_goes_on)
{
    producers_begin_late(&t);
    restarts(0);
    ck_assert_int_eq(ask(7, 0, 5, 3), STATUS_OK);
    sends(7, 0, 5, 3);
    ck_assert_int_eq(ask(7, 0, 8, 1), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 9, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
    restarts(end);
    ck_assert_int_eq(ask(8, 0, 1, 1), STATUS_OK);
}
END_TEST

START_TEST(five_batches_are_known_again)
{
    for (int i = 0; i < 7; i++) {
        sends(7, 0, 2 * i, 2);
        sends(8, 0, i, 1);
    }
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(ask(7, 0, 2 * i, 2), i < 2 ? STATUS_OUT_OF_ORDER_SEQUENCE
                                                    : STATUS_DUPLICATE_SEQUENCE);
        if (i >= 2) {
            ck_assert_int_eq(base, 3 * i);
            ck_assert_int_eq(next, 3 * i + 2);
        }
    }
    /* The same beginning, another length: not the same batch. */
    ck_assert_int_eq(ask(7, 0, 12, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
}
END_TEST

START_TEST(a_newer_epoch_takes_over)
{
    sends(7, 3, 0, 5);
    ck_assert_int_eq(ask(7, 2, 5, 1), STATUS_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(ask(7, 4, 5, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
    ck_assert_int_eq(ask(7, 4, 0, 5), STATUS_OK);
    sends(7, 4, 0, 5);
    ck_assert_int_eq(ask(7, 3, 5, 1), STATUS_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(ask(7, 4, 0, 5), STATUS_DUPLICATE_SEQUENCE);
    ck_assert_int_eq(base, 5);
}
END_TEST

/* KAFKA-7692: between two batches, and inside of one. */
START_TEST(sequences_wrap_to_zero)
{
    sends(7, 0, INT32_MAX - 2, 3);
    ck_assert_int_eq(ask(7, 0, 0, 4), STATUS_OK);
    sends(8, 0, INT32_MAX - 1, 4);
    ck_assert_int_eq(ask(8, 0, 2, 1), STATUS_OK);
    ck_assert_int_eq(ask(8, 0, INT32_MAX - 1, 4), STATUS_DUPLICATE_SEQUENCE);
    sends(8, 0, 2, 1);
    producers_cut(t, 7);
    ck_assert_int_eq(ask(8, 0, 2, 1), STATUS_OK);
    restarts(7);
    ck_assert_int_eq(ask(8, 0, 2, 1), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 0, 4), STATUS_OK);
}
END_TEST

/* What is cut off may come again, and nothing else. */
START_TEST(the_cut_goes_through_producers_too)
{
    for (int i = 0; i < 4; i++)
        sends(7, 0, i, 1);
    sends(8, 0, 0, 1);
    producers_cut(t, 2);
    ck_assert_uint_eq(producers_count(t), 1);
    ck_assert_int_eq(ask(7, 0, 1, 1), STATUS_DUPLICATE_SEQUENCE);
    ck_assert_int_eq(ask(7, 0, 2, 1), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 3, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
    producers_cut(t, 0);
    ck_assert_uint_eq(producers_count(t), 0);
}
END_TEST

/* All that was in flight is gone, but the table has seen more than that once. */
START_TEST(a_producer_whose_batches_are_all_cut_off_goes_on)
{
    for (int i = 0; i < 9; i++)
        sends(7, 0, i, 1);
    producers_cut(t, 4);
    ck_assert_int_eq(ask(7, 0, 4, 1), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 5, 1), STATUS_OUT_OF_ORDER_SEQUENCE);
    end = 4;
    sends(7, 0, 4, 2);
    ck_assert_int_eq(ask(7, 0, 4, 2), STATUS_DUPLICATE_SEQUENCE);
    ck_assert_int_eq(ask(7, 0, 6, 1), STATUS_OK);
}
END_TEST

START_TEST(silent_producers_are_forgotten)
{
    sends_at(7, 0, 0, 1, 1000);
    sends_at(8, 0, 0, 1, 1500);
    sends_at(9, 0, 0, 1, -1); /* time begins to run now */
    producers_expire(t, 500, 1600);
    ck_assert_int_eq(ask(7, 0, 1, 1), STATUS_UNKNOWN_PRODUCER);
    ck_assert_int_eq(ask(8, 0, 1, 1), STATUS_OK);
    producers_expire(t, 500, 2099);
    ck_assert_uint_eq(producers_count(t), 1);
    ck_assert_int_eq(ask(9, 0, 1, 1), STATUS_OK);
    /* A clock that went back makes nobody older. */
    producers_expire(t, 500, 100);
    producers_expire(t, 500, 599);
    ck_assert_uint_eq(producers_count(t), 1);
    producers_expire(t, 500, 600);
    ck_assert_uint_eq(producers_count(t), 0);
}
END_TEST

START_TEST(too_many_producers_push_out_the_most_silent)
{
    sends(0, 0, 0, 1);
    sends(1, 0, 0, 1);
    sends(0, 0, 1, 1);
    for (int64_t id = 2; id <= PRODUCERS_MAX; id++)
        sends(id, 0, 0, 1);
    ck_assert_uint_eq(producers_count(t), PRODUCERS_MAX);
    ck_assert_int_eq(ask(1, 0, 1, 1), STATUS_UNKNOWN_PRODUCER);
    ck_assert_int_eq(ask(0, 0, 2, 1), STATUS_OK);
}
END_TEST

/* What a checkpoint says is what was in the files then. */
START_TEST(the_table_is_written_as_it_was)
{
    restarts(0);
    ck_assert_ptr_null(t);
    for (int i = 0; i < 6; i++) {
        sends(7, 1, 3 * i, 3);
        sends(8, 0, i, 1);
    }
    sends(9, 0, 0, 1);
    restarts(22);
    ck_assert_uint_eq(producers_count(t), 2);
    ck_assert_int_eq(ask(7, 1, 12, 3), STATUS_DUPLICATE_SEQUENCE);
    ck_assert_int_eq(base, 16);
    ck_assert_int_eq(next, 19);
    ck_assert_int_eq(ask(7, 1, 15, 3), STATUS_OK);
    ck_assert_int_eq(ask(7, 0, 15, 3), STATUS_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(ask(8, 0, 5, 1), STATUS_OK);
}
END_TEST

/* No byte of it can be damaged or missing so that it does harm: at worst the table is
 * another one. */
START_TEST(damaged_tables_are_refused_or_harmless)
{
    struct writer w = writer_growing();
    struct producers *read;

    for (int i = 0; i < 3; i++)
        sends(7, 1, 3 * i, 3);
    producers_write(&w, t, end);
    for (size_t len = 0; len < w.len; len++) {
        struct reader r = reader_of(w.data, len);

        ck_assert(!producers_read(&r, end, &read));
        ck_assert_ptr_null(read);
    }
    for (size_t i = 0; i < w.len * 8; i++) {
        struct reader r = reader_of(w.data, w.len);

        w.data[i / 8] ^= (uint8_t)(1 << i % 8);
        if (producers_read(&r, end, &read))
            producers_free(read);
        w.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    writer_release(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers");
    TCase *tc = tcase_create("producers");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_next_sequence_follows_the_last);
    tcase_add_test(tc, who_may_have_been_there_before_goes_on);
    tcase_add_test(tc, five_batches_are_known_again);
    tcase_add_test(tc, a_newer_epoch_takes_over);
    tcase_add_test(tc, sequences_wrap_to_zero);
    tcase_add_test(tc, the_cut_goes_through_producers_too);
    tcase_add_test(tc, a_producer_whose_batches_are_all_cut_off_goes_on);
    tcase_add_test(tc, silent_producers_are_forgotten);
    tcase_add_test(tc, too_many_producers_push_out_the_most_silent);
    tcase_add_test(tc, the_table_is_written_as_it_was);
    tcase_add_test(tc, damaged_tables_are_refused_or_harmless);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
