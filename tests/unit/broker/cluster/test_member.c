/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker as a member of the cluster: it registers, is heard by heartbeats, doubts
 * itself when they are not answered, and after it was stopped it asks nothing more. */
#include "broker/core/cluster/member.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_MS = 300, SESSION_MS = 3000, EPOCH = 7 };

static struct image image;
static struct member_link *member;
static struct peer_call *asked; /* the call under way */
static struct instant now;
static int32_t controller;
static int changes;
static bool only_voter;
static int32_t faults;                   /* logs that do not open */
static size_t told_faults, told_damaged; /* by the call under way */

static int32_t on_controller(void *ctx, struct endpoint *at)
{
    *at = (struct endpoint){.host = "one", .port = 9092};
    return controller;
}

static bool is_only_voter(void *ctx)
{
    return only_voter;
}

static void on_call(void *ctx, struct peer_call *c)
{
    const Leat__BrokerHeartbeatRequest *q;

    ck_assert_ptr_null(asked);
    asked = c;
    told_faults = told_damaged = 0;
    if (c->api != RPC_BROKER_HEARTBEAT)
        return;
    q = (const void *)c->header;
    told_faults = q->n_faults;
    for (size_t i = 0; i < q->n_faults; i++)
        told_damaged += q->faults[i]->damaged ? 1 : 0;
}

static void on_faults(void *ctx, struct log_faults *out)
{
    for (int32_t i = 0; i < faults; i++)
        log_faults_add(out, (struct log_fault){.partition = i, .damaged = i % 2 == 1});
}

static void on_changed(void *ctx)
{
    changes++;
}

static void on_log(void *ctx, int level, const char *event, const char *text)
{
}

static void begin(void)
{
    struct member_options o = {
        .image = &image,
        .node_id = 2,
        .rack = "",
        .heartbeat_ms = HEARTBEAT_MS,
        .session_ms = SESSION_MS,
        .controller = on_controller,
        .is_only_voter = is_only_voter,
        .faults = on_faults,
        .call = on_call,
        .changed = on_changed,
        .on_log = on_log,
    };

    image_init(&image);
    prng_init(&o.random, 1);
    now = (struct instant){.mono_ms = 1000};
    controller = 1;
    asked = NULL;
    changes = 0;
    only_voter = false;
    faults = 0;
    member = member_link_new(&o, now);
}

static void end(void)
{
    member_link_free(member);
    image_release(&image);
}

static void answer(enum status st, const ProtobufCMessage *m)
{
    struct peer_call *c = asked;
    uint8_t packed[256];

    ck_assert_ptr_nonnull(c);
    asked = NULL;
    c->status = st;
    c->message = "";
    c->answer = (struct bytes){0};
    if (m != NULL)
        c->answer = (struct bytes){packed, protobuf_c_message_pack(m, packed)};
    c->done(c);
}

static void answer_registered(void)
{
    Leat__RegisterBrokerResponse a = LEAT__REGISTER_BROKER_RESPONSE__INIT;

    ck_assert_int_eq(asked->api, RPC_REGISTER_BROKER);
    a.broker_epoch = EPOCH;
    answer(STATUS_OK, &a.base);
}

static void answer_heartbeat(bool may_stop)
{
    Leat__BrokerHeartbeatResponse a = LEAT__BROKER_HEARTBEAT_RESPONSE__INIT;

    ck_assert_int_eq(asked->api, RPC_BROKER_HEARTBEAT);
    a.may_stop = may_stop;
    answer(STATUS_OK, &a.base);
}

/* Go to the next thing that is due; how long that took. */
static int64_t wait_for_call(void)
{
    int64_t from_ms = now.mono_ms;

    for (int i = 0; i < 10 && asked == NULL; i++) {
        int64_t due_ms = member_link_deadline(member);

        ck_assert_int_ne(due_ms, INT64_MAX);
        if (due_ms > now.mono_ms)
            now.mono_ms = due_ms;
        member_link_tick(member, now);
    }
    ck_assert_ptr_nonnull(asked);
    return now.mono_ms - from_ms;
}

static void register_now(void)
{
    wait_for_call();
    answer_registered();
    wait_for_call();
    answer_heartbeat(false);
}

START_TEST(registers_then_is_heard_each_heartbeat)
{
    register_now();
    ck_assert_int_eq(member_link_epoch(member), EPOCH);
    ck_assert(member_link_is_heard(member, now));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(wait_for_call(), HEARTBEAT_MS);
        answer_heartbeat(false);
    }
    ck_assert(!member_link_may_stop(member));
}
END_TEST

/* The controller hears of a log that does not open at once, then with each heartbeat; and
 * if the first of them did not arrive, once more as soon as it can. */
START_TEST(logs_that_do_not_open_are_told_at_once_and_each_time)
{
    register_now();
    faults = 2;
    member_link_faults_changed(member, now);
    ck_assert_uint_eq(told_faults, 2);
    ck_assert_uint_eq(told_damaged, 1);
    answer(STATUS_TIMED_OUT, NULL);
    ck_assert_int_lt(wait_for_call(), HEARTBEAT_MS);
    ck_assert_uint_eq(told_faults, 2);
    answer_heartbeat(false);
    ck_assert_int_eq(wait_for_call(), HEARTBEAT_MS);
    ck_assert_uint_eq(told_faults, 2);
    faults = 0;
    member_link_faults_changed(member, now); /* while another one is under way */
    answer_heartbeat(false);
    ck_assert_int_eq(wait_for_call(), 0);
    ck_assert_uint_eq(told_faults, 0);
    answer_heartbeat(false);
}
END_TEST

START_TEST(without_a_controller_it_waits_to_be_told)
{
    controller = -1;
    member_link_tick(member, now);
    ck_assert_ptr_null(asked);
    ck_assert_int_eq(member_link_deadline(member), INT64_MAX);
    controller = 1;
    member_link_controller_changed(member, now);
    answer_registered();
}
END_TEST

/* What fails is tried again, and not at once: a restarted controller is not stormed. */
START_TEST(failed_calls_pause_ever_longer)
{
    int64_t total_ms = 0;

    wait_for_call();
    for (int i = 0; i < 8; i++) {
        answer(STATUS_UNREACHABLE, NULL);
        ck_assert_int_gt(member_link_deadline(member), now.mono_ms);
        total_ms += wait_for_call();
    }
    ck_assert_int_gt(total_ms, 500);
    ck_assert_int_eq(member_link_epoch(member), -1);
    answer_registered();
}
END_TEST

START_TEST(unheard_for_most_of_a_session_it_doubts_itself)
{
    register_now();
    now.mono_ms += SESSION_MS * 8 / 10;
    ck_assert(member_link_is_heard(member, now));
    now.mono_ms += SESSION_MS * 2 / 10;
    ck_assert(!member_link_is_heard(member, now));
}
END_TEST

/* It was silent for so long that others may lead by now what it led: the metadata that
 * tells so must come first. */
START_TEST(after_a_silence_it_learns_before_it_is_heard)
{
    Leat__BrokerHeartbeatResponse a = LEAT__BROKER_HEARTBEAT_RESPONSE__INIT;

    register_now();
    image.applied = 20;
    now.mono_ms += SESSION_MS;
    member_link_tick(member, now);
    a.applied_offset = 30;
    answer(STATUS_OK, &a.base);
    ck_assert(!member_link_is_heard(member, now));
    image.applied = 30;
    ck_assert(member_link_is_heard(member, now));
    wait_for_call();
    a.applied_offset = 40; /* it was not silent since */
    answer(STATUS_OK, &a.base);
    ck_assert(member_link_is_heard(member, now));
}
END_TEST

/* Heard is what was sent: an answer that took long proves little. */
START_TEST(a_late_answer_counts_from_when_it_was_asked)
{
    register_now();
    wait_for_call();
    now.mono_ms += SESSION_MS;
    member_link_tick(member, now);
    answer_heartbeat(false);
    ck_assert(!member_link_is_heard(member, now));
}
END_TEST

START_TEST(a_forgotten_registration_is_made_anew)
{
    register_now();
    wait_for_call();
    answer(STATUS_STALE_BROKER_EPOCH, NULL);
    ck_assert_int_eq(member_link_epoch(member), -1);
    ck_assert_int_eq(wait_for_call(), 0);
    answer_registered();
    ck_assert_int_eq(member_link_epoch(member), EPOCH);
}
END_TEST

START_TEST(leaving_it_asks_until_it_may_stop)
{
    register_now();
    member_link_leave(member, now);
    answer_heartbeat(false);
    ck_assert(!member_link_may_stop(member));
    wait_for_call();
    answer_heartbeat(true);
    ck_assert(member_link_may_stop(member));
}
END_TEST

/* The last call fails because the shell has stopped; a retry would never be answered. */
START_TEST(stopped_it_asks_nothing_more)
{
    register_now();
    wait_for_call();
    member_link_stop(member);
    answer(STATUS_CLOSED, NULL);
    ck_assert_int_eq(member_link_deadline(member), INT64_MAX);
    now.mono_ms += SESSION_MS;
    member_link_tick(member, now);
    member_link_look(member, now);
    member_link_controller_changed(member, now);
    ck_assert_ptr_null(asked);
}
END_TEST

static struct image_broker brokers[2];

static void take_in(size_t count)
{
    brokers[0] =
        (struct image_broker){.node_id = 2, .epoch = EPOCH, .state = BROKER_ACTIVE};
    brokers[1] = (struct image_broker){.node_id = 3, .epoch = EPOCH + 1};
    image.brokers = brokers;
    image.broker_count = count;
    member_link_look(member, now);
}

/* The whole cluster in one broker: it is heard by itself, and nothing wakes it. When
 * another one comes it is heard like everybody else, without a moment of doubt. */
START_TEST(alone_it_needs_no_heartbeats)
{
    only_voter = true;
    register_now();
    take_in(1);
    ck_assert_int_eq(member_link_deadline(member), INT64_MAX);
    now.mono_ms += 100 * SESSION_MS;
    ck_assert(member_link_is_heard(member, now));
    ck_assert_ptr_null(asked);
    faults = 1; /* but the controller, itself, must know what it cannot lead */
    member_link_faults_changed(member, now);
    ck_assert_uint_eq(told_faults, 1);
    answer(STATUS_UNREACHABLE, NULL);
    wait_for_call();
    answer_heartbeat(false);
    ck_assert_int_eq(member_link_deadline(member), INT64_MAX);
    take_in(2);
    ck_assert(member_link_is_heard(member, now));
    wait_for_call();
    answer_heartbeat(false);
    ck_assert_int_eq(wait_for_call(), HEARTBEAT_MS);
    answer(STATUS_UNREACHABLE, NULL);
    now.mono_ms += SESSION_MS;
    ck_assert(!member_link_is_heard(member, now));
    image_init(&image);
}
END_TEST

/* The first of several voters is not alone, whoever else has registered. */
START_TEST(first_of_many_is_not_alone)
{
    register_now();
    take_in(1);
    ck_assert_int_eq(wait_for_call(), HEARTBEAT_MS);
    answer_heartbeat(false);
    now.mono_ms += SESSION_MS;
    ck_assert(!member_link_is_heard(member, now));
    image_init(&image);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("member");
    SRunner *runner;
    Suite *s = suite_create("member");
    int failed;

    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, registers_then_is_heard_each_heartbeat);
    tcase_add_test(c, logs_that_do_not_open_are_told_at_once_and_each_time);
    tcase_add_test(c, without_a_controller_it_waits_to_be_told);
    tcase_add_test(c, failed_calls_pause_ever_longer);
    tcase_add_test(c, unheard_for_most_of_a_session_it_doubts_itself);
    tcase_add_test(c, after_a_silence_it_learns_before_it_is_heard);
    tcase_add_test(c, a_late_answer_counts_from_when_it_was_asked);
    tcase_add_test(c, a_forgotten_registration_is_made_anew);
    tcase_add_test(c, leaving_it_asks_until_it_may_stop);
    tcase_add_test(c, stopped_it_asks_nothing_more);
    tcase_add_test(c, alone_it_needs_no_heartbeats);
    tcase_add_test(c, first_of_many_is_not_alone);
    suite_add_tcase(s, c);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
