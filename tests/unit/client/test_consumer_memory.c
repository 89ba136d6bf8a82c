/* SPDX-License-Identifier: Apache-2.0
 *
 * One allocation after the other fails, each in a run of its own: the program hears of it
 * or does not, but nothing breaks, nothing leaks, and trying again leads on. The client
 * has no thread here, so that all of its allocations are this one's. */
#include "tests/support/fail_alloc.h"
#include "tests/unit/client/consumer_scene.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORDS = 6, RUNS_MAX = 5000 };

/* What became of one life. Nothing is asserted before it is over: that allocates, too. */
struct life {
    int code;     /* of what could not even begin */
    int read;     /* records in order */
    int gaps;     /* records out of order */
    int hopeless; /* errors that were said to be for good */
};

/* Read all records, whatever is reported meanwhile. */
static void read_on(struct life *l, leat_consumer *c)
{
    const int64_t deadline_ms = engine_now_ms() + WAIT_MS;

    while (l->read < RECORDS && engine_now_ms() < deadline_ms) {
        const leat_record *r;
        const int n = leat_consumer_next(c, &r, 1000, &error);

        l->hopeless += n < 0 && !error.retriable;
        /* A batch that could not be decoded in one go comes again. */
        l->gaps += n > 0 && r->offset != l->read;
        l->read += n > 0;
    }
}

static struct life live(const leat_conf *conf, bool member)
{
    const leat_offset begin = {.topic = "orders", .offset = LEAT_OFFSET_EARLIEST};
    const char *topic = "orders";
    struct life l = {.code = LEAT_E_NO_MEMORY};
    leat_client *quiet = leat_client_open(conf, &error);
    leat_consumer *c;

    if (!quiet)
        return l;
    c = leat_consumer_open(quiet, NULL, &error);
    if (c)
        l.code = member ? leat_consumer_subscribe(c, &topic, 1, &error)
                        : leat_consumer_assign(c, &begin, 1, &error);
    if (!l.code)
        read_on(&l, c);
    leat_consumer_close(c, 1000);
    leat_client_close(quiet, 1000);
    return l;
}

/* The n-th allocation fails. False if there were not so many. */
static bool run(long n, bool member)
{
    char group[32]; /* a new one each time, that has committed nothing yet */
    leat_conf *conf;
    struct life l;
    bool failed;

    snprintf(group, sizeof group, "memory-%ld", n);
    conf = conf_of(CONF("client.threads", "0", "group.id", group));
    /* A leave that found no memory is settled by the session's end. */
    fake_groups_expel(groups);
    fail_alloc_arm(n);
    l = live(conf, member);
    failed = fail_alloc_disarm();
    leat_conf_free(conf);
    if (l.code) {
        ck_assert_int_eq(l.code, LEAT_E_NO_MEMORY);
        ck_assert(failed);
    } else {
        ck_assert_msg(l.read == RECORDS && l.gaps == 0, "allocation %ld: %d records", n,
                      l.read);
        ck_assert_int_eq(l.hopeless, 0);
    }
    return failed;
}

/* The first one, then the second one, until a life gets by without. */
static void sweep(bool member)
{
    long n = 1;

    topic_of("orders", 1);
    append_as("orders", 0, RECORDS / 2, CODEC_LZ4);
    append("orders", 0, RECORDS / 2);
    while (run(n, member))
        ck_assert_int_lt(n++, RUNS_MAX);
}

START_TEST(an_assigned_consumer_survives_every_failed_allocation)
{
    sweep(false);
}
END_TEST

START_TEST(a_member_survives_every_failed_allocation)
{
    sweep(true);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client consumer memory");
    TCase *t = tcase_create("memory");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, scene_setup, scene_teardown);
    tcase_add_test(t, an_assigned_consumer_survives_every_failed_allocation);
    tcase_add_test(t, a_member_survives_every_failed_allocation);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
