/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker's life as its clients see it: topics come and go, settings change, it stops
 * and starts, and it gives the same answers however many shards it has. */
#include "tests/unit/broker/asks.h"

#include "proto/base/memory.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_wire *w;

static void begin(void)
{
    w = fake_wire_new(1);
    ask_from(0);
}

static void end(void)
{
    fake_wire_free(w);
}

START_TEST(hello_tells_what_the_broker_is)
{
    ask_hello(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "hello#1: cluster_id=<16> node_id=1 software_version='" LEAT_VERSION
        "' frame_bytes_max=16777216 apis=1 2 3 4 5 6 7 8 9 10 11 12 13 20 21 "
        "22 23 24 25 26 27 28 29 40 41 42 43 44 45 batch_bytes_max=1048588\n");
}
END_TEST

START_TEST(created_topic_is_seen_and_used_after_a_restart)
{
    ask_create(w, "t", 2);
    fake_wire_run(w);
    ask_produce_to(w, "t", 1, 3);
    fake_wire_run(w);
    fake_wire_close(w);
    fake_wire_open(w);
    ask_metadata(w);
    ask_fetch_from(w, "t", 1, 0);
    ask_create(w, "t", 1);
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "create_topic#1: topic_id=<16> partitions=2 replication=1 metadata_offset=9\n"
        "produce#2: topics={name='t' partitions={partition=1}}\n"
        "metadata#3: cluster_id=<16> controller_id=1 brokers={node_id=1 host='localhost' "
        "port=9092} topics={name='t' topic_id=<16> partitions={leader=1 leader_epoch=3 "
        "replicas=1 in_sync=1 partition_epoch=2 min_in_sync=1} {partition=1 leader=1 "
        "leader_epoch=3 replicas=1 in_sync=1 partition_epoch=2 min_in_sync=1}} "
        "coordinator_id=1\n"
        "fetch#4: topics={name='t' partitions={partition=1 high_watermark=3 "
        "batch_bytes=112}} [0..2]\n"
        "create_topic#5: TOPIC_EXISTS, topic 't' exists already\n");
}
END_TEST

/* What a registration changes is as large as all that the broker leads, however short the
 * request: it must not be held to what a request of that length may take. */
START_TEST(many_partitions_are_led_again_after_a_restart)
{
    ask_create(w, "t", 3000);
    fake_wire_run(w);
    fake_wire_close(w);
    fake_wire_open(w);
    ask_produce_to(w, "t", 2999, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "create_topic#1: topic_id=<16> partitions=3000 replication=1 "
                     "metadata_offset=3007\n"
                     "produce#2: topics={name='t' partitions={partition=2999}}\n");
}
END_TEST

START_TEST(topic_is_not_told_before_it_is_durable)
{
    struct fake_media_mood *mood = fake_media_mood(fake_wire_media(w));

    mood->held = true;
    ask_create(w, "t", 1);
    ask_create(w, "t", 1); /* decided after the first one */
    fake_wire_run(w);
    ask_metadata(w);
    mood->held = false;
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "metadata#3: cluster_id=<16> controller_id=1 brokers={node_id=1 host='localhost' "
        "port=9092} coordinator_id=1\n"
        "create_topic#1: topic_id=<16> partitions=1 replication=1 metadata_offset=8\n"
        "create_topic#2: TOPIC_EXISTS, topic 't' exists already\n");
}
END_TEST

START_TEST(topic_grows_and_changes_its_settings)
{
    const struct ask_batch old = {.records = 1, .bytes = 2000};
    const struct ask_produce large = {
        .topic = "t", .acks = 1, .batches = &old, .count = 1};

    ask_create(w, "t", 1);
    ask_alter(w, "t", 3, "max.message.bytes", "1K");
    fake_wire_run(w);
    ask_produce_to(w, "t", 2, 1);
    ask_produce(w, &large);
    ask_topic_config(w, "t", "max.message.bytes");
    ask_alter(w, "t", 0, "max.message.bytes", NULL);
    fake_wire_run(w);
    ask_produce(w, &large);
    ask_alter(w, "t", 2, NULL, NULL);
    ask_topic_config(w, "u", "max.message.bytes");
    ask_topic_config(w, "t", "no.such.key");
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "create_topic#1: topic_id=<16> partitions=1 replication=1 metadata_offset=8\n"
        "alter_topic#2: partitions=3 metadata_offset=11\n"
        "produce#4: topics={name='t' partitions={error=MESSAGE_TOO_LARGE "
        "error_message='the batch has 2070 bytes; the topic's max.message.bytes is 1024' "
        "base_offset=-1 log_start=-1}}\n"
        "describe_config#5: entries={key='max.message.bytes' value='1KiB' "
        "default_value='1048588' origin='topic' type='bytes' range='1KiB .. 64MiB' "
        "text='largest record batch that is accepted' dynamic=true}\n"
        "produce#3: topics={name='t' partitions={partition=2}}\n"
        "alter_topic#6: partitions=3 metadata_offset=12\n"
        "describe_config#9: UNKNOWN_TOPIC_OR_PARTITION, there is no topic 'u'\n"
        "describe_config#10: INVALID_CONFIG, no setting is called 'no.such.key'\n"
        "alter_topic#8: INVALID_PARTITIONS, topic 't' has 3 partitions; their number can "
        "only grow, not become 2\n"
        "produce#7: topics={name='t' partitions={}}\n");
}
END_TEST

/* That the metadata does not know a log is no reason to delete it: the metadata might be
 * the one that is wrong. Only a topic's removal deletes. */
START_TEST(logs_without_a_topic_are_left_alone)
{
    struct fake_media *media = fake_wire_media(w);
    const size_t own = fake_media_logs(media);

    ask_create(w, "t", 3);
    fake_wire_run(w);
    ck_assert_uint_eq(fake_media_logs(media), own + 3);
    fake_wire_close(w);
    fake_media_add_log(media, 0x77);
    fake_wire_open(w);
    ck_assert_uint_eq(fake_media_logs(media), own + 4);
    ask_delete(w, "t");
    fake_wire_run(w);
    ck_assert_uint_eq(fake_media_logs(media), own + 1);
}
END_TEST

START_TEST(partition_without_a_log_says_so_and_recovers)
{
    fake_media_mood(fake_wire_media(w))->no_new_logs = true;
    ask_create(w, "t", 1);
    fake_wire_run(w);
    ask_produce_to(w, "t", 0, 1);
    ask_fetch_from(w, "t", 0, 0);
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "create_topic#1: topic_id=<16> partitions=1 replication=1 metadata_offset=8\n"
        "produce#2: topics={name='t' partitions={error=STORAGE_FAILED base_offset=-1 "
        "log_start=-1}}\n"
        "fetch#3: topics={name='t' partitions={error=STORAGE_FAILED high_watermark=-1 "
        "log_start=-1}}\n");

    fake_media_mood(fake_wire_media(w))->no_new_logs = false;
    fake_wire_pass_ms(w, 1000);
    ask_produce_to(w, "t", 0, 1);
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w), "produce#4: topics={name='t' partitions={}}\n");
}
END_TEST

START_TEST(full_disk_takes_no_new_partitions)
{
    fake_media_mood(fake_wire_media(w))->full = true;
    ask_create(w, "t", 1);
    ck_assert_str_eq(fake_wire_said(w), "create_topic#1: DISK_FULL\n");
}
END_TEST

START_TEST(offsets_are_found_by_time)
{
    const struct ask_batch batches[] = {
        {.records = 10, .bytes = 5, .time_ms = 1000},
        {.records = 10, .bytes = 5, .time_ms = 2000},
    };

    ask_create(w, "t", 1);
    fake_wire_run(w);
    ask_produce(w, &(struct ask_produce){
                       .topic = "t", .acks = -1, .batches = batches, .count = 2});
    fake_wire_run(w);
    fake_wire_said(w);
    for (int cold = 0; cold < 2; cold++) {
        fake_media_mood(fake_wire_media(w))->cold = cold;
        ask_list(w, "t", 0, 0);
        fake_wire_run(w);
        ask_list(w, "t", 0, 1003);
        fake_wire_run(w);
        ask_list(w, "t", 0, 1500);
        fake_wire_run(w);
    }
    ask_list(w, "t", 0, 9999);
    ask_list(w, "t", 0, -2);
    ask_list(w, "t", 0, -1);
    ask_list(w, "t", 0, -3);
    ask_list(w, "t", 1, -1);
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "list_offsets#3: topics={name='t' partitions={timestamp_ms=1000 leader_epoch=1 "
        "high_watermark=20}}\n"
        "list_offsets#4: topics={name='t' partitions={offset=3 timestamp_ms=1003 "
        "leader_epoch=1 high_watermark=20}}\n"
        "list_offsets#5: topics={name='t' partitions={offset=10 timestamp_ms=2000 "
        "leader_epoch=1 high_watermark=20}}\n"
        "list_offsets#6: topics={name='t' partitions={timestamp_ms=1000 leader_epoch=1 "
        "high_watermark=20}}\n"
        "list_offsets#7: topics={name='t' partitions={offset=3 timestamp_ms=1003 "
        "leader_epoch=1 high_watermark=20}}\n"
        "list_offsets#8: topics={name='t' partitions={offset=10 timestamp_ms=2000 "
        "leader_epoch=1 high_watermark=20}}\n"
        "list_offsets#9: topics={name='t' partitions={offset=20 timestamp_ms=-1 "
        "leader_epoch=1 high_watermark=20}}\n"
        "list_offsets#10: topics={name='t' partitions={timestamp_ms=-1 leader_epoch=1 "
        "high_watermark=20}}\n"
        "list_offsets#11: topics={name='t' partitions={offset=20 timestamp_ms=-1 "
        "leader_epoch=1 high_watermark=20}}\n"
        "list_offsets#12: topics={name='t' partitions={error=INVALID_TIMESTAMP offset=-1 "
        "timestamp_ms=-1 leader_epoch=-1 log_start=-1 high_watermark=-1}}\n"
        "list_offsets#13: topics={name='t' partitions={partition=1 "
        "error=UNKNOWN_TOPIC_OR_PARTITION offset=-1 timestamp_ms=-1 leader_epoch=-1 "
        "log_start=-1 high_watermark=-1}}\n");
}
END_TEST

START_TEST(records_can_be_given_up)
{
    ask_create(w, "t", 1);
    fake_wire_run(w);
    ask_produce_to(w, "t", 0, 5);
    fake_wire_run(w);
    fake_wire_said(w);
    ask_trim(w, "t", 0, 3);
    fake_wire_run(w);
    ask_trim(w, "t", 0, 1); /* behind the start: nothing to do */
    fake_wire_run(w);
    ask_trim(w, "t", 0, 6);
    fake_wire_run(w);
    ask_trim(w, "t", 0, -1);
    fake_wire_run(w);
    ask_trim(w, "t", 1, 0);
    fake_wire_run(w);
    ask_trim(w, "u", 0, 0);
    fake_wire_run(w);
    ask_logs(w);
    fake_wire_run(w);
    ck_assert_str_eq(
        fake_wire_said(w),
        "trim#3: partitions={log_start=3} metadata_offset=9\n"
        "trim#4: partitions={log_start=3} metadata_offset=9\n"
        "trim#5: partitions={error=OFFSET_OUT_OF_RANGE log_start=-1} metadata_offset=9\n"
        "trim#6: partitions={log_start=5} metadata_offset=10\n"
        "trim#7: partitions={partition=1 error=UNKNOWN_TOPIC_OR_PARTITION log_start=-1} "
        "metadata_offset=10\n"
        "trim#8: UNKNOWN_TOPIC_OR_PARTITION, there is no topic 'u'\n"
        "describe_logs#9: topics={name='t' partitions={log_start=5 high_watermark=5 "
        "log_end=5 bytes=146 segments=1 leader_epoch=1 last_append_ms=1700000000000}}\n");
}
END_TEST

START_TEST(settings_change_while_it_runs_and_are_kept)
{
    struct fake_media_mood *mood = fake_media_mood(fake_wire_media(w));

    mood->held = true;
    ask_set(w, "topics.max", "1");
    fake_wire_run(w);
    ck_assert_int_eq(config_number(fake_wire_config(w), CONFIG_TOPICS_MAX), 10000);
    mood->held = false;
    fake_wire_run(w);
    ask_set(w, "topics.mox", "1");
    ask_set(w, "listen", "1");
    ask_config(w, "topics.max");
    fake_wire_run(w);
    fake_wire_close(w);
    fake_wire_open(w);
    ask_create(w, "a", 1);
    ask_create(w, "b", 1);
    fake_wire_run(w);
    ask_set(w, "topics.max", NULL);
    fake_wire_run(w);
    ck_assert_int_eq(config_number(fake_wire_config(w), CONFIG_TOPICS_MAX), 10000);
    ck_assert_str_eq(
        fake_wire_said(w),
        "alter_config#1: \n"
        "describe_config#4: entries={key='topics.max' value='1' default_value='10000' "
        "origin='dynamic' type='int' range='1 .. 1000000' text='topics that may exist' "
        "dynamic=true}\n"
        "alter_config#2: INVALID_CONFIG, no setting is called 'topics.mox'; did you mean "
        "'topics.max'?\n"
        "alter_config#3: INVALID_CONFIG, listen cannot change while the broker runs: set "
        "it in the file and restart\n"
        "create_topic#5: topic_id=<16> partitions=1 replication=1 metadata_offset=13\n"
        "create_topic#6: TOO_MANY, there are 1 topics and topics.max is 1\n"
        "alter_config#7: \n");
}
END_TEST

START_TEST(setting_that_cannot_be_kept_does_not_change)
{
    fake_media_mood(fake_wire_media(w))->full = true;
    ask_set(w, "topics.max", "1");
    fake_wire_run(w);
    ck_assert_str_eq(fake_wire_said(w),
                     "alter_config#1: STORAGE_FAILED, the change could "
                     "not be kept: no space is left on the device\n");
    ck_assert_int_eq(config_number(fake_wire_config(w), CONFIG_TOPICS_MAX), 10000);
}
END_TEST

/* The same day at the office, on brokers of one, two and three shards, with clients
 * connected to any of them: a line of the transcript never depends on it. */
static char *day(unsigned shards, unsigned at)
{
    const struct ask_batch batches[] = {
        {.partition = 0, .records = 1, .bytes = 5, .time_ms = 10},
        {.partition = 1, .records = 2, .bytes = 5, .time_ms = 10},
        {.partition = 2, .records = 3, .bytes = 5, .time_ms = 10},
        {.partition = 3, .records = 4, .bytes = 5, .time_ms = 10, .damaged = true},
    };
    struct fake_wire *office = fake_wire_new(shards);
    const struct ask_fetch all = {.topic = "t",
                                  .partitions = {0, 1, 2, 3, 4},
                                  .count = 5,
                                  .min_bytes = 1,
                                  .max_bytes = 1 << 20,
                                  .max_wait_ms = 500};
    char *text;

    ask_from(at);
    ask_create(office, "t", 5);
    fake_wire_run(office);
    ask_fetch(office, &all);
    fake_wire_run(office);
    ask_produce(office, &(struct ask_produce){
                            .topic = "t", .acks = -1, .batches = batches, .count = 4});
    fake_wire_run(office);
    ask_fetch(office, &all);
    fake_wire_run(office);
    ask_fetch_from(office, "t", 4, 0);
    fake_wire_pass_ms(office, 500);
    ask_list(office, "t", 2, 12);
    fake_wire_run(office);
    ask_trim(office, "t", 2, -1);
    fake_wire_run(office);
    ask_logs(office);
    fake_wire_run(office);
    ask_set(office, "num.partitions", "3");
    fake_wire_run(office);
    ask_create(office, "u", 0);
    fake_wire_run(office);
    fake_wire_close(office);
    fake_wire_open(office);
    ask_metadata(office);
    fake_wire_run(office);
    ask_fetch_from(office, "t", 4, 0);
    fake_wire_run(office);
    ask_delete(office, "t");
    fake_wire_run(office);
    ask_metadata(office);
    fake_wire_run(office);
    text = must_text(fake_wire_said(office));
    fake_wire_free(office);
    return text;
}

/* With several shards a woken fetch may come home before all of the producer's
 * partitions have, and before or after the request that woke it. */
static char *without_line(char *text, const char *begin)
{
    char *line = strstr(text, begin);
    char *next = line ? strchr(line, '\n') : NULL;

    if (next != NULL)
        memmove(line, next + 1, strlen(next + 1) + 1);
    return text;
}

START_TEST(shards_do_not_show)
{
    char *one = without_line(without_line(day(1, 0), "fetch#2"), "fetch#12");

    ck_assert_ptr_nonnull(strstr(one, "produce#3: topics={name='t' partitions={} "));
    for (unsigned shards = 2; shards <= 3; shards++) {
        for (unsigned at = 0; at < shards; at++) {
            char *many =
                without_line(without_line(day(shards, at), "fetch#2"), "fetch#12");

            ck_assert_str_eq(many, one);
            free(many);
        }
    }
    free(one);
}
END_TEST

/* Watches and the calls that bring them back cross each other between the shards. */
START_TEST(watches_come_home)
{
    fake_wire_free(w);
    w = fake_wire_new(3);
    ask_from(1);
    ask_create(w, "t", 6);
    fake_wire_run(w);
    fake_wire_said(w);
    for (int i = 0; i < 20; i++) {
        for (int at = 0; at < 3; at++) {
            ask_from((unsigned)at);
            ask_fetch(w, &(struct ask_fetch){.topic = "t",
                                             .partitions = {0, 1, 2, 3, 4, 5},
                                             .offsets = {i, i, i, i, i, i},
                                             .count = 6,
                                             .min_bytes = 1,
                                             .max_bytes = 1 << 20,
                                             .max_wait_ms = 500});
        }
        fake_wire_run(w);
        ck_assert_uint_eq(fake_wire_open_requests(w), 3);
        for (int p = 0; p < 6; p++)
            ask_produce_to(w, "t", p, 1);
        fake_wire_run(w);
        ck_assert_uint_eq(fake_wire_open_requests(w), 0);
    }
    ask_fetch_from(w, "t", 0, 20);
    ask_fetch_from(w, "t", 1, 20);
    ask_fetch_from(w, "t", 2, 20);
    fake_wire_run(w);
    ask_delete(w, "t");
    fake_wire_run(w);
    ck_assert_uint_eq(fake_wire_open_requests(w), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node");
    TCase *tc = tcase_create("node");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, hello_tells_what_the_broker_is);
    tcase_add_test(tc, created_topic_is_seen_and_used_after_a_restart);
    tcase_add_test(tc, many_partitions_are_led_again_after_a_restart);
    tcase_add_test(tc, topic_is_not_told_before_it_is_durable);
    tcase_add_test(tc, topic_grows_and_changes_its_settings);
    tcase_add_test(tc, logs_without_a_topic_are_left_alone);
    tcase_add_test(tc, partition_without_a_log_says_so_and_recovers);
    tcase_add_test(tc, full_disk_takes_no_new_partitions);
    tcase_add_test(tc, offsets_are_found_by_time);
    tcase_add_test(tc, records_can_be_given_up);
    tcase_add_test(tc, settings_change_while_it_runs_and_are_kept);
    tcase_add_test(tc, setting_that_cannot_be_kept_does_not_change);
    tcase_add_test(tc, shards_do_not_show);
    tcase_add_test(tc, watches_come_home);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
