/* SPDX-License-Identifier: Apache-2.0
 *
 * A consumer asks for what is new and waits when there is nothing: it hears of records
 * once they are safe, at the latest when its time is over, and it is never polled for. */
#include "tests/unit/broker/asks.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct fake_wire *w;

static void begin(void)
{
    w = fake_wire_new(1);
    ask_from(0);
    ask_create(w, "t", 3);
    fake_wire_run(w);
    fake_wire_said(w);
}

static void end(void)
{
    fake_wire_free(w);
}

static struct fake_media_mood *mood(void)
{
    return fake_media_mood(fake_wire_media(w));
}

static void fill(int32_t partition, int32_t batches)
{
    for (int32_t i = 0; i < batches; i++)
        ask_produce_to(w, "t", partition, 2);
    fake_wire_run(w);
    fake_wire_said(w);
}

static uint64_t parked(void)
{
    return metric_get(fake_wire_metrics(w, 0), METRIC_FETCHES_PARKED);
}

START_TEST(what_is_there_is_given_at_once)
{
    fill(0, 3);
    ask_fetch_from(w, "t", 0, 0);
    ask_fetch_from(w, "t", 0, 3); /* in the middle of a batch: it is given whole */
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#5: topics={name='t' partitions={high_watermark=6 "
                     "batch_bytes=285}} [0..1] [2..3] [4..5]\n"
                     "fetch#6: topics={name='t' partitions={high_watermark=6 "
                     "batch_bytes=190}} [2..3] [4..5]\n");
}
END_TEST

/* What is above the watermark may be lost in a crash, so nobody sees it. */
START_TEST(fetch_waits_until_records_are_safe)
{
    ask_fetch_from(w, "t", 0, 0);
    ck_assert_uint_eq(parked(), 1);
    mood()->held = true;
    ask_produce_to(w, "t", 0, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w), "");
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#3: topics={name='t' partitions={}}\n"
                     "fetch#2: topics={name='t' partitions={high_watermark=1 "
                     "batch_bytes=78}} [0..0]\n");
    ck_assert_uint_eq(parked(), 0);
}
END_TEST

START_TEST(fetch_ends_with_its_time)
{
    ask_fetch_from(w, "t", 0, 0);
    fake_wire_pass_ms(w, 499);
    ck_assert_str_eq(fake_wire_said(w), "");
    fake_wire_pass_ms(w, 1);
    ck_assert_str_eq(fake_wire_said(w), "fetch#2: topics={name='t' partitions={}}\n");
    ck_assert_uint_eq(parked(), 0);
}
END_TEST

/* Records of another partition do not disturb; too few do not answer. */
START_TEST(fetch_waits_for_as_much_as_it_wants)
{
    ask_fetch(w, &(struct ask_fetch){.topic = "t",
                                     .partitions = {0, 1},
                                     .count = 2,
                                     .min_bytes = 200,
                                     .max_bytes = 1 << 20,
                                     .max_wait_ms = 500});
    fill(2, 5);
    fill(0, 1);
    fill(0, 1);
    ck_assert_uint_eq(parked(), 1);
    ask_produce_to(w, "t", 1, 2);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#10: topics={name='t' partitions={partition=1}}\n"
                     "fetch#2: topics={name='t' partitions={high_watermark=4 "
                     "batch_bytes=190} {partition=1 high_watermark=2 batch_bytes=95}} "
                     "[0..1] [2..3] [0..1]\n");
}
END_TEST

START_TEST(too_few_records_are_better_than_none_at_the_end)
{
    ask_fetch(w, &(struct ask_fetch){.topic = "t",
                                     .count = 1,
                                     .min_bytes = 10000,
                                     .max_bytes = 1 << 20,
                                     .max_wait_ms = 500});
    fill(0, 1);
    fake_wire_pass_ms(w, 500);
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#2: topics={name='t' partitions={high_watermark=2 "
                     "batch_bytes=95}} [0..1]\n");
}
END_TEST

START_TEST(no_patience_no_wait)
{
    ask_fetch(w, &(struct ask_fetch){.topic = "t", .count = 1, .min_bytes = 1});
    ask_fetch(w, &(struct ask_fetch){.topic = "t", .count = 0, .max_wait_ms = 100});
    ck_assert_str_eq(fake_wire_said(w), "fetch#2: topics={name='t' partitions={}}\n"
                                        "fetch#3: topics={name='t'}\n");
}
END_TEST

START_TEST(offsets_outside_of_the_log_are_refused)
{
    fill(0, 2);
    ask_trim(w, "t", 0, 2);
    fake_wire_run(w);
    fake_wire_said(w);
    ask_fetch_from(w, "t", 0, 1);
    ask_fetch_from(w, "t", 0, 5);
    ask_fetch_from(w, "t", 3, 0);
    ask_fetch_from(w, "u", 0, 0);
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#5: topics={name='t' partitions={error=OFFSET_OUT_OF_RANGE "
                     "high_watermark=4 log_start=2}}\n"
                     "fetch#6: topics={name='t' partitions={error=OFFSET_OUT_OF_RANGE "
                     "high_watermark=4 log_start=2}}\n"
                     "fetch#7: topics={name='t' partitions={partition=3 "
                     "error=UNKNOWN_TOPIC_OR_PARTITION high_watermark=-1 log_start=-1}}\n"
                     "fetch#8: topics={name='u' "
                     "partitions={error=UNKNOWN_TOPIC_OR_PARTITION high_watermark=-1 "
                     "log_start=-1}}\n");
}
END_TEST

/* Limits are kept, except that the first batch always comes whole. */
START_TEST(limits_are_kept)
{
    fill(0, 3);
    ask_fetch(w, &(struct ask_fetch){.topic = "t", .count = 1, .max_bytes = 200});
    ask_fetch(w, &(struct ask_fetch){.topic = "t", .count = 1, .max_bytes = 1});
    ask_fetch(w,
              &(struct ask_fetch){
                  .topic = "t", .count = 1, .max_bytes = 1000, .partition_bytes = 100});
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#5: topics={name='t' partitions={high_watermark=6 "
                     "batch_bytes=190}} [0..1] [2..3]\n"
                     "fetch#6: topics={name='t' partitions={high_watermark=6 "
                     "batch_bytes=95}} [0..1]\n"
                     "fetch#7: topics={name='t' partitions={high_watermark=6 "
                     "batch_bytes=95}} [0..1]\n");
}
END_TEST

/* When there is not enough room for all, everybody has his turn. */
START_TEST(partitions_take_turns)
{
    const struct ask_fetch q = {
        .topic = "t", .partitions = {0, 1, 2}, .count = 3, .max_bytes = 1};
    unsigned seen[3] = {0};

    for (int32_t p = 0; p < 3; p++)
        fill(p, 1);
    for (int i = 0; i < 6; i++) {
        const Leat__FetchResponse *a;

        ask_fetch(w, &q);
        a = (const Leat__FetchResponse *)(const void *)fake_wire_answer(w);
        for (int p = 0; p < 3; p++)
            seen[p] += a->topics[0]->partitions[p]->batch_bytes > 0;
    }
    for (int p = 0; p < 3; p++)
        ck_assert_uint_eq(seen[p], 2);
}
END_TEST

START_TEST(cold_records_come_from_the_disk)
{
    fill(0, 2);
    fill(1, 1);
    mood()->cold = true;
    mood()->held = true;
    ask_fetch(w, &(struct ask_fetch){.topic = "t",
                                     .partitions = {0, 1, 2},
                                     .offsets = {2, 0, 0},
                                     .count = 3,
                                     .min_bytes = 1,
                                     .max_bytes = 1 << 20,
                                     .max_wait_ms = 500});
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w), "");
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#5: topics={name='t' partitions={high_watermark=4 "
                     "batch_bytes=95} {partition=1 high_watermark=2 batch_bytes=95} "
                     "{partition=2}} [2..3] [0..1]\n");
}
END_TEST

/* Many who read old records at a time do not take more memory than there is. */
START_TEST(cold_reads_have_a_limit_in_all)
{
    char why[160];

    fill(0, 1);
    mood()->cold = true;
    mood()->held = true;
    ck_assert(!config_set(fake_wire_config(w), bytes_of("memory.requests"), "1M",
                          CONFIG_FROM_FLAG, why));
    ask_fetch_from(w, "t", 0, 0);
    ask_fetch_from(w, "t", 0, 0);
    ck_assert_str_eq(fake_wire_said(w), "fetch#4: topics={name='t' partitions={"
                                        "error=THROTTLED high_watermark=2}}\n");
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#3: topics={name='t' partitions={high_watermark=2 "
                     "batch_bytes=95}} [0..1]\n");
    ask_fetch_from(w, "t", 0, 0);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#5: topics={name='t' partitions={high_watermark=2 "
                     "batch_bytes=95}} [0..1]\n");
}
END_TEST

START_TEST(time_may_end_during_a_cold_read)
{
    fill(0, 2);
    mood()->cold = true;
    mood()->held = true;
    ask_fetch_from(w, "t", 0, 0);
    fake_wire_pass_ms(w, 1000);
    ck_assert_str_eq(fake_wire_said(w), "");
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "fetch#4: topics={name='t' partitions={high_watermark=4 "
                     "batch_bytes=190}} [0..1] [2..3]\n");
}
END_TEST

START_TEST(deleted_topic_ends_the_wait)
{
    fill(1, 1);
    ask_fetch_from(w, "t", 0, 0);
    mood()->cold = true;
    ask_fetch_from(w, "t", 1, 0); /* its read is under way */
    ask_delete(w, "t");
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "fetch#4: topics={name='t' partitions={partition=1 high_watermark=2 "
        "batch_bytes=95}} [0..1]\n"
        "delete_topic#5: topic_id=<16> metadata_offset=11\n"
        "fetch#3: topics={name='t' partitions={error=UNKNOWN_TOPIC_OR_PARTITION}}\n");
}
END_TEST

START_TEST(stopping_broker_answers_who_waits)
{
    ask_fetch_from(w, "t", 0, 0);
    fake_wire_close(w);
    ck_assert_str_eq(fake_wire_said(w), "fetch#2: SHUTTING_DOWN\n");
    fake_wire_open(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fetch");
    TCase *tc = tcase_create("fetch");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, what_is_there_is_given_at_once);
    tcase_add_test(tc, fetch_waits_until_records_are_safe);
    tcase_add_test(tc, fetch_ends_with_its_time);
    tcase_add_test(tc, fetch_waits_for_as_much_as_it_wants);
    tcase_add_test(tc, too_few_records_are_better_than_none_at_the_end);
    tcase_add_test(tc, no_patience_no_wait);
    tcase_add_test(tc, offsets_outside_of_the_log_are_refused);
    tcase_add_test(tc, limits_are_kept);
    tcase_add_test(tc, partitions_take_turns);
    tcase_add_test(tc, cold_records_come_from_the_disk);
    tcase_add_test(tc, cold_reads_have_a_limit_in_all);
    tcase_add_test(tc, time_may_end_during_a_cold_read);
    tcase_add_test(tc, deleted_topic_ends_the_wait);
    tcase_add_test(tc, stopping_broker_answers_who_waits);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
