/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker on real storage, on a disk that forgets. The machine goes down at every
 * moment of a short day in turn; what was acknowledged before is there afterwards. */
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

/* One request after the other; stops at the first that is not granted. */
static struct promises day(struct fake_wire *w)
{
    struct promises p = {0};

    ask_create(w, "t", 2);
    fake_wire_pass_ms(w, 1000);
    p.topic = said(w, "topic_id");
    for (int i = 0; i < TOPIC_RECORDS / 2 && p.topic; i++) {
        ask_produce_to(w, "t", 1, 2);
        fake_wire_pass_ms(w, 1000);
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
        fake_wire_free(w);
    }
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
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
