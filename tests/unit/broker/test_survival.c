/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker on real storage, on a disk that forgets. The machine goes down at every
 * moment of a short day in turn; what was acknowledged before is there afterwards, and
 * what is sent once more for want of an answer is there once. */
#include "tests/support/sim_media.h"
#include "tests/unit/broker/asks.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOPIC_RECORDS = 12 };

/* What clients were promised. */
struct promises {
    bool topic;
    int64_t records;
    bool setting;
};

static bool said(struct fake_wire *w, const char *wanted)
{
    return strstr(fake_wire_said(w), wanted) != NULL;
}

/* The answer came, and it is not a refusal. */
static bool stored(struct fake_wire *w)
{
    const char *text = fake_wire_said(w);

    return strstr(text, "partitions={partition=1") != NULL &&
           strstr(text, "error=") == NULL;
}

/* The producer's batch that begins with this record. */
static void send(struct fake_wire *w, int64_t record)
{
    const struct ask_batch batch = {.partition = 1,
                                    .records = 2,
                                    .bytes = 10,
                                    .time_ms = 100,
                                    .producer = 7,
                                    .sequence = (int32_t)record};

    ask_produce(w, &(struct ask_produce){
                       .topic = "t", .acks = -1, .batches = &batch, .count = 1});
    fake_wire_pass_ms(w, 1000);
}

/* One request after the other; stops at the first that is not granted. */
static struct promises day(struct fake_wire *w)
{
    struct promises p = {0};

    ask_create(w, "t", 2);
    fake_wire_pass_ms(w, 1000);
    p.topic = said(w, "topic_id");
    while (p.records < TOPIC_RECORDS && p.topic) {
        send(w, p.records);
        if (!stored(w))
            break;
        p.records += 2;
    }
    ask_set(w, "topics.max", "7");
    fake_wire_pass_ms(w, 60000);
    p.setting =
        strcmp(fake_wire_said(w), "") != 0 && fake_wire_answer(w) != NULL &&
        fake_wire_answer(w)->descriptor == &leat__alter_config_response__descriptor;
    return p;
}

static void look(struct fake_wire *w, const struct promises *p)
{
    const Leat__FetchResponse *a;
    const Leat__FetchResult *result;

    if (p->setting)
        ck_assert_int_eq(config_number(fake_wire_config(w), CONFIG_TOPICS_MAX), 7);
    if (!p->topic)
        return;
    ask_fetch_from(w, "t", 1, 0);
    fake_wire_pass_ms(w, 1000);
    a = (const Leat__FetchResponse *)(const void *)fake_wire_answer(w);
    result = a->topics[0]->partitions[0];
    ck_assert_int_eq(result->error, 0);
    ck_assert_int_ge(result->high_watermark, p->records);
    ck_assert_int_le(result->high_watermark, TOPIC_RECORDS);
}

/* The producer goes on with the last batch of which it heard, to be sure. */
static void go_on(struct fake_wire *w, const struct promises *p)
{
    const Leat__FetchResponse *a;

    if (!p->topic)
        return;
    for (int64_t at = p->records > 2 ? p->records - 2 : 0; at < TOPIC_RECORDS; at += 2) {
        send(w, at);
        ck_assert(stored(w));
    }
    ask_fetch_from(w, "t", 1, 0);
    fake_wire_pass_ms(w, 1000);
    a = (const Leat__FetchResponse *)(const void *)fake_wire_answer(w);
    ck_assert_int_eq(a->topics[0]->partitions[0]->high_watermark, TOPIC_RECORDS);
}

START_TEST(what_was_acknowledged_survives)
{
    struct fake_wire *w = fake_wire_new(1);
    struct promises all;
    uint64_t first, ops;

    first = simdisk_ops(sim_media_disk(fake_wire_media(w)));
    all = day(w);
    ck_assert(all.topic && all.setting && all.records == TOPIC_RECORDS);
    ops = simdisk_ops(sim_media_disk(fake_wire_media(w)));
    fake_wire_close(w);
    fake_wire_open(w);
    look(w, &all);
    go_on(w, &all);
    fake_wire_free(w);

    for (uint64_t op = first; op < ops; op++) {
        struct simdisk *disk;
        struct promises p;

        w = fake_wire_new(1);
        disk = sim_media_disk(fake_wire_media(w));
        simdisk_die_at(disk, op, (enum simdisk_moment)(op % 3));
        p = day(w);
        fake_wire_pass_ms(w, 60000);
        fake_wire_break(w);
        simdisk_crash(disk, op % 2 ? SIMDISK_POWER : SIMDISK_PROCESS);
        fake_wire_open(w);
        fake_wire_said(w);
        look(w, &p);
        go_on(w, &p);
        fake_wire_free(w);
    }
}
END_TEST

/* A broker that cannot begin says why, whatever it is that fails. */
START_TEST(a_disk_that_fails_at_the_start_is_named)
{
    struct fake_wire *w = fake_wire_new(1);
    struct simdisk *disk = sim_media_disk(fake_wire_media(w));
    unsigned refused = 0, ops = 1000;
    char why[256];

    day(w);
    fake_wire_close(w);
    for (unsigned op = 0; op < ops; op++) {
        fake_media_recover(fake_wire_media(w));
        simdisk_fail_at(disk, simdisk_ops(disk) + op, STATUS_IO);
        why[0] = '\0';
        if (!fake_wire_try(w, why)) {
            refused++;
            ck_assert_str_ne(why, "");
        } else if (refused > 0 && ops == 1000) {
            ops = op + 20;
        }
        simdisk_crash(disk, SIMDISK_PROCESS);
    }
    ck_assert_uint_gt(refused, 10);
    fake_wire_open(w);
    fake_wire_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("survival");
    TCase *tc = tcase_create("survival");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, what_was_acknowledged_survives);
    tcase_add_test(tc, a_disk_that_fails_at_the_start_is_named);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
