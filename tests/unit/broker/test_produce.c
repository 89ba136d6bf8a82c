/* SPDX-License-Identifier: Apache-2.0
 *
 * A producer's batch is checked, appended, and acknowledged once it is as safe as the
 * producer asked for, and not before. */
#include "tests/unit/broker/asks.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

START_TEST(answer_waits_for_the_disk)
{
    mood()->held = true;
    ask_produce_to(w, "t", 0, 2);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w), "");
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w), "produce#2: topics={name='t' partitions={}}\n");
    ask_produce_to(w, "t", 0, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#3: topics={name='t' partitions={base_offset=2}}\n");
}
END_TEST

/* acks=none and topics that prefer speed are answered at once. */
START_TEST(some_do_not_wait_for_the_disk)
{
    const struct ask_batch batch = {.records = 1, .bytes = 1};

    ask_create_with(w, "fast", "flush.messages", "1000");
    fake_wire_run(w);
    fake_wire_said(w);
    mood()->held = true;
    ask_produce(w, &(struct ask_produce){"t", .acks = 0, .batches = &batch, .count = 1});
    ask_produce_to(w, "fast", 0, 1);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#3: topics={name='t' partitions={}}\n"
                     "produce#4: topics={name='fast' partitions={}}\n");
}
END_TEST

START_TEST(several_partitions_in_one_request)
{
    const struct ask_batch batches[] = {
        {.partition = 2, .records = 1, .bytes = 10},
        {.partition = 7, .records = 1, .bytes = 10},
        {.partition = 0, .records = 3, .bytes = 10},
        {.partition = 2, .records = 1, .bytes = 10},
    };

    ask_produce(w, &(struct ask_produce){
                       .topic = "t", .acks = 1, .batches = batches, .count = 4});
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' partitions={partition=2} "
                     "{partition=7 error=UNKNOWN_TOPIC_OR_PARTITION base_offset=-1 "
                     "log_start=-1} {} {partition=2 base_offset=1}}\n");
}
END_TEST

START_TEST(bad_batches_are_refused)
{
    static const struct {
        struct ask_batch batch;
        const char *error;
    } rows[] = {
        {{.records = 1, .bytes = 9, .damaged = true}, "CORRUPT_MESSAGE"},
        {{.records = 1, .attributes = 0x20}, "INVALID_RECORD"},
        {{.records = 1, .attributes = 0x08}, "INVALID_TIMESTAMP"},
        {{.records = 1, .bytes = 3000},
         "MESSAGE_TOO_LARGE error_message='the batch has 3070 bytes; the topic's "
         "max.message.bytes is 2048'"},
    };

    ask_create_with(w, "small", "max.message.bytes", "2048");
    fake_wire_run(w);
    fake_wire_said(w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[256];

        snprintf(wanted, sizeof wanted,
                 "produce#%zu: topics={name='small' partitions={error=%s base_offset=-1 "
                 "log_start=-1}}\n",
                 i + 3, rows[i].error);
        ask_produce(
            w, &(struct ask_produce){
                   .topic = "small", .acks = -1, .batches = &rows[i].batch, .count = 1});
        fake_wire_run(w);
        ck_assert_str_eq(fake_wire_said(w), wanted);
    }
    ck_assert_uint_eq(metric_get(fake_wire_metrics(w, 0), METRIC_BATCHES_REFUSED), 4);
}
END_TEST

START_TEST(requests_that_contradict_themselves_are_refused)
{
    const struct ask_batch batch = {.records = 1, .bytes = 1};
    const struct ask_batch nowhere = {.partition = -1, .records = 1, .bytes = 1};

    ask_produce(w, &(struct ask_produce){"t", .acks = 2, .batches = &batch, .count = 1});
    ask_produce(w, &(struct ask_produce){"t", .acks = 1, .batches = &batch, .count = 1,
                                         .surplus = "?"});
    ask_produce(w,
                &(struct ask_produce){"t", .acks = 1, .batches = &nowhere, .count = 1});
    ck_assert_str_eq(
        fake_wire_said(w),
        "produce#2: INVALID_REQUEST, acks is -1, 0 or 1, not 2\n"
        "produce#3: INVALID_REQUEST, the payload is longer than its batches\n"
        "produce#4: INVALID_REQUEST, only plain records may leave the partition to the "
        "broker\n");
}
END_TEST

/* A topic deleted and created anew is not the one that the producer means. */
START_TEST(wrong_topic_id_is_refused)
{
    const struct ask_batch batch = {.records = 1, .bytes = 1};

    ask_produce(w, &(struct ask_produce){.topic = "t",
                                         .topic_id = bytes_of("0123456789abcdef"),
                                         .acks = 1,
                                         .batches = &batch,
                                         .count = 1});
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' "
                     "partitions={error=UNKNOWN_TOPIC_OR_PARTITION base_offset=-1 "
                     "log_start=-1}}\n");
}
END_TEST

/* Equal keys meet in equal partitions, whichever client wrote them; records without a key
 * stay together. */
START_TEST(broker_chooses_partitions_of_plain_records)
{
    static const char *const keys[] = {"a", "b", "a", "c"};
    static const char *const none[] = {NULL, NULL, NULL};

    ask_produce_keys(w, "t", keys, 4);
    ask_produce_keys(w, "t", none, 3);
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "produce#3: topics={name='t' partitions={partition=1 base_offset=3}}\n"
        "produce#2: topics={name='t' partitions={partition=1} "
        "{partition=2}}\n");
}
END_TEST

/* Two records of producer 7 with that sequence. */
static void send(int32_t sequence)
{
    const struct ask_batch batch = {
        .records = 2, .bytes = 1, .producer = 7, .sequence = sequence};

    ask_produce(w, &(struct ask_produce){"t", .acks = -1, .timeout_ms = 1000,
                                         .batches = &batch, .count = 1});
}

START_TEST(a_batch_sent_twice_is_stored_once)
{
    send(0);
    send(2);
    fake_wire_run(w);
    fake_wire_said(w);
    send(0); /* safe long since: answered at once */
    ck_assert_str_eq(fake_wire_said(w), "produce#4: topics={name='t' partitions={}}\n");
    send(2);
    send(4);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#5: topics={name='t' partitions={base_offset=2}}\n"
                     "produce#6: topics={name='t' partitions={base_offset=4}}\n");
    ck_assert_uint_eq(metric_get(fake_wire_metrics(w, 0), METRIC_BATCHES_IN), 3);
}
END_TEST

/* The first one's answer was lost on the way, or never came: the second has no more to
 * say than the first. */
START_TEST(a_batch_sent_twice_is_answered_when_the_first_is_safe)
{
    mood()->held = true;
    send(0);
    send(2);
    send(0);
    send(2);
    ck_assert_str_eq(fake_wire_said(w), "");
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' partitions={}}\n"
                     "produce#4: topics={name='t' partitions={}}\n"
                     "produce#3: topics={name='t' partitions={base_offset=2}}\n"
                     "produce#5: topics={name='t' partitions={base_offset=2}}\n");
}
END_TEST

START_TEST(a_batch_out_of_order_is_refused)
{
    send(2);
    send(0);
    send(4);
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "produce#2: topics={name='t' partitions={error=UNKNOWN_PRODUCER "
        "base_offset=-1 log_start=-1}}\n"
        "produce#4: topics={name='t' partitions={error=OUT_OF_ORDER_SEQUENCE "
        "base_offset=-1 log_start=-1}}\n"
        "produce#3: topics={name='t' partitions={}}\n");
}
END_TEST

/* Batches of one request follow each other; what stands behind a refused one is not
 * looked at. */
START_TEST(batches_of_one_request_count_in_order)
{
    const struct ask_batch batches[] = {
        {.records = 1, .bytes = 1, .producer = 7, .sequence = 0},
        {.records = 1, .bytes = 1, .producer = 7, .sequence = 1},
        {.records = 1, .bytes = 1, .producer = 7, .sequence = 0},
        {.records = 1, .bytes = 1, .producer = 7, .sequence = 3},
        {.records = 1, .bytes = 1, .producer = 7, .sequence = 2},
    };

    ask_produce(w, &(struct ask_produce){"t", .acks = -1, .timeout_ms = 1000,
                                         .batches = batches, .count = 5});
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' partitions={} {base_offset=1} {} "
                     "{error=OUT_OF_ORDER_SEQUENCE base_offset=-1 log_start=-1} "
                     "{error=AFTER_REFUSED base_offset=-1 log_start=-1}}\n");
}
END_TEST

START_TEST(producer_without_patience_is_told)
{
    const struct ask_batch batch = {.records = 1, .bytes = 1};

    mood()->held = true;
    ask_produce(w, &(struct ask_produce){"t", .acks = -1, .timeout_ms = 100,
                                         .batches = &batch, .count = 1});
    fake_wire_pass_ms(w, 99);
    ck_assert_str_eq(fake_wire_said(w), "");
    fake_wire_pass_ms(w, 1);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' partitions={error=REQUEST_TIMED_OUT "
                     "base_offset=-1}}\n");
    ck_assert_uint_eq(metric_get(fake_wire_metrics(w, 0), METRIC_PRODUCES_WAITING), 0);
}
END_TEST

START_TEST(broker_stamps_its_own_time_when_told_to)
{
    ask_create_with(w, "stamped", "message.timestamp.type", "LogAppendTime");
    fake_wire_run(w);
    ask_produce_to(w, "stamped", 0, 2);
    fake_wire_run(w);
    fake_wire_said(w);
    ask_list(w, "stamped", 0, 1700000000000);
    ask_fetch_from(w, "stamped", 0, 0); /* fake_wire checks the checksum */
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "fetch#5: topics={name='stamped' partitions={high_watermark=2 batch_bytes=95}} "
        "[0..1]\n"
        "list_offsets#4: topics={name='stamped' partitions={timestamp_ms=1700000000000 "
        "leader_epoch=1 high_watermark=2}}\n");
}
END_TEST

START_TEST(full_disk_refuses_and_recovers)
{
    mood()->full = true;
    ask_produce_to(w, "t", 0, 1);
    mood()->full = false;
    ask_produce_to(w, "t", 0, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' partitions={error=DISK_FULL "
                     "base_offset=-1 log_start=-1}}\n"
                     "produce#3: topics={name='t' partitions={}}\n");
}
END_TEST

/* After a failed write nothing is acknowledged any more, whatever the disk says later. */
START_TEST(failed_disk_ends_all_promises)
{
    mood()->broken = true;
    ask_produce_to(w, "t", 0, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_failure(w), "journal write: IO");
    mood()->broken = false;
    ask_produce_to(w, "t", 1, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#3: topics={name='t' partitions={partition=1 "
                     "error=STORAGE_FAILED base_offset=-1 log_start=-1}}\n");
    fake_wire_pass_ms(w, 30000);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#2: topics={name='t' partitions={error=REQUEST_TIMED_OUT "
                     "base_offset=-1}}\n");
}
END_TEST

START_TEST(deleted_topic_ends_the_wait)
{
    mood()->held = true;
    ask_delete(w, "t");
    fake_wire_turn(w);
    ask_produce_to(w, "t", 0, 1);
    mood()->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "produce#3: topics={name='t' "
                     "partitions={error=UNKNOWN_TOPIC_OR_PARTITION base_offset=-1}}\n"
                     "delete_topic#2: topic_id=<16> metadata_offset=11\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("produce");
    TCase *tc = tcase_create("produce");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, answer_waits_for_the_disk);
    tcase_add_test(tc, some_do_not_wait_for_the_disk);
    tcase_add_test(tc, several_partitions_in_one_request);
    tcase_add_test(tc, bad_batches_are_refused);
    tcase_add_test(tc, requests_that_contradict_themselves_are_refused);
    tcase_add_test(tc, wrong_topic_id_is_refused);
    tcase_add_test(tc, broker_chooses_partitions_of_plain_records);
    tcase_add_test(tc, a_batch_sent_twice_is_stored_once);
    tcase_add_test(tc, a_batch_sent_twice_is_answered_when_the_first_is_safe);
    tcase_add_test(tc, a_batch_out_of_order_is_refused);
    tcase_add_test(tc, batches_of_one_request_count_in_order);
    tcase_add_test(tc, producer_without_patience_is_told);
    tcase_add_test(tc, broker_stamps_its_own_time_when_told_to);
    tcase_add_test(tc, full_disk_refuses_and_recovers);
    tcase_add_test(tc, failed_disk_ends_all_promises);
    tcase_add_test(tc, deleted_topic_ends_the_wait);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
