/* SPDX-License-Identifier: Apache-2.0
 *
 * The metadata quorum on real storage: a few brokers, their disks and their network. */
#include "tests/support/simdisk.h"
#include "tests/unit/broker/quorum/quorums.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void settle(struct quorums *s)
{
    for (int i = 0; i < 100 && quorums_leader(s) == 0; i++)
        quorums_run_ms(s, 100);
    ck_assert_uint_ne(quorums_leader(s), 0);
    quorums_run_ms(s, 1000);
    ck_assert_uint_ne(quorums_leader(s), 0);
}

/* A broker alone waits for its disk and for nothing else. */
START_TEST(alone_it_leads_at_once)
{
    struct quorums *s = quorums_new(1, 0, 1);

    quorums_run_ms(s, 100);
    ck_assert_uint_eq(quorums_leader(s), 1);
    ck_assert_str_eq(quorums_describe(s, 1), "1 ");
    quorums_propose(s, 1);
    quorums_run_ms(s, 100);
    ck_assert_uint_eq(quorums_accepted(s), 1);

    quorums_crash(s, 1);
    quorums_start(s, 1);
    quorums_run_ms(s, 100);
    ck_assert_int_eq(quorum_epoch(quorums_at(s, 1)), 2);
    quorums_check(s);
    quorums_free(s);
}
END_TEST

START_TEST(three_agree)
{
    struct quorums *s = quorums_new(3, 3, 2);

    settle(s);
    for (int i = 0; i < 20; i++)
        quorums_propose(s, quorums_leader(s));
    quorums_run_ms(s, 3000);
    ck_assert_uint_eq(quorums_accepted(s), 20);
    quorums_check(s);
    ck_assert_str_eq(quorums_describe(s, quorums_leader(s)), "1 2 3 ");
    quorums_free(s);
}
END_TEST

/* Who does not lead says so. */
START_TEST(only_the_leader_decides)
{
    struct quorums *s = quorums_new(3, 3, 3);

    settle(s);
    quorums_propose(s, quorums_leader(s) % 3 + 1);
    quorums_run_ms(s, 10);
    ck_assert_uint_eq(quorums_refused(s), 1);
    quorums_free(s);
}
END_TEST

/* What a leader decided alone is told to be unknown, and another one goes on. */
START_TEST(a_cut_off_leader_gives_up)
{
    struct quorums *s = quorums_new(3, 3, 4);
    unsigned leader;

    settle(s);
    leader = quorums_leader(s);
    quorums_cut_off(s, leader, true);
    quorums_propose(s, leader);
    quorums_run_ms(s, 4000);
    ck_assert_uint_eq(quorums_refused(s), 1);
    ck_assert_uint_ne(quorums_leader(s), leader);
    quorums_propose(s, quorums_leader(s));
    quorums_run_ms(s, 500);
    quorums_cut_off(s, leader, false);
    quorums_run_ms(s, 2000);
    ck_assert_uint_eq(quorums_accepted(s), 1);
    quorums_check(s);
    quorums_free(s);
}
END_TEST

START_TEST(stopping_hands_over)
{
    struct quorums *s = quorums_new(3, 3, 5);
    unsigned leader;

    settle(s);
    leader = quorums_leader(s);
    quorums_stop(s, leader);
    quorums_run_ms(s, 200);
    ck_assert_uint_ne(quorums_leader(s), 0);
    ck_assert_uint_ne(quorums_leader(s), leader);
    quorums_start(s, leader);
    settle(s);
    quorums_check(s);
    quorums_free(s);
}
END_TEST

/* And who leaves first hands over while it is still up. */
START_TEST(leaving_waits_for_the_successor)
{
    struct quorums *s = quorums_new(3, 3, 12);
    unsigned leader;

    settle(s);
    leader = quorums_leader(s);
    quorum_leave(quorums_at(s, leader), quorums_now(s));
    ck_assert(!quorum_has_left(quorums_at(s, leader)));
    quorums_run_ms(s, 100);
    ck_assert(quorum_has_left(quorums_at(s, leader)));
    ck_assert_uint_ne(quorums_leader(s), 0);
    ck_assert_uint_ne(quorums_leader(s), leader);
    quorums_free(s);
}
END_TEST

/* Who stops last need not wait for a successor: it has looked who is there. */
START_TEST(last_to_leave_knows_that_nobody_is_left)
{
    struct quorums *s = quorums_new(3, 3, 12);
    unsigned last;

    settle(s);
    last = quorums_leader(s);
    quorums_stop(s, last % 3 + 1);
    quorum_look_around(quorums_at(s, last), quorums_now(s));
    quorums_run_ms(s, 50);
    ck_assert(quorum_is_possible(quorums_at(s, last)));
    quorums_stop(s, (last + 1) % 3 + 1);
    quorums_run_ms(s, 200);
    ck_assert(!quorum_is_possible(quorums_at(s, last)));
    quorums_start(s, last % 3 + 1);
    quorums_run_ms(s, 200);
    ck_assert(quorum_is_possible(quorums_at(s, last)));
    quorums_free(s);
}
END_TEST

/* The same when no answer says that nobody is there. */
START_TEST(cut_off_while_leaving_is_alone)
{
    struct quorums *s = quorums_new(3, 3, 12);

    settle(s);
    quorum_look_around(quorums_at(s, 1), quorums_now(s));
    quorums_run_ms(s, 50);
    ck_assert(quorum_is_possible(quorums_at(s, 1)));
    quorums_cut_off(s, 1, true);
    quorums_run_ms(s, 3000);
    ck_assert(!quorum_is_possible(quorums_at(s, 1)));
    ck_assert(quorum_is_possible(quorums_at(s, 2)));
    quorums_free(s);
}
END_TEST

static void grow(struct quorums *s)
{
    for (int i = 0; i < 24; i++) {
        quorums_propose_bulk(s, quorums_leader(s), 1000);
        quorums_run_ms(s, 1500);
    }
    quorums_propose(s, quorums_leader(s));
    quorums_run_ms(s, 1000);
}

/* The log that a late comer would need is gone: it gets the state instead. */
START_TEST(who_is_far_behind_gets_a_snapshot)
{
    struct quorums *s = quorums_new(4, 3, 6);

    settle(s);
    ck_assert_str_eq(quorums_describe(s, quorums_leader(s)), "1 2 3 (4) ");
    quorums_crash(s, 4);
    quorums_wipe(s, 4);
    grow(s);
    ck_assert_int_gt(log_start(quorum_log(quorums_at(s, quorums_leader(s)))), 0);
    quorums_start(s, 4);
    quorums_run_ms(s, 3000);
    ck_assert_uint_eq(quorums_replaced(s, 4), 1);
    quorums_check(s);

    quorums_crash(s, 4);
    quorums_start(s, 4);
    quorums_run_ms(s, 3000);
    ck_assert_uint_eq(quorums_replaced(s, 4), 1);
    quorums_check(s);
    quorums_free(s);
}
END_TEST

/* ---- voters ---------------------------------------------------------------------------
 */

static void register_broker(struct quorums *s, unsigned node)
{
    quorums_propose_registration(s, quorums_leader(s), node);
    quorums_run_ms(s, 500);
}

START_TEST(voters_come_and_go)
{
    struct quorums *s = quorums_new(4, 3, 7);
    unsigned leader;

    settle(s);
    quorums_alter(s, quorums_leader(s), 4, 0);
    quorums_run_ms(s, 500);
    ck_assert_int_eq(quorums_altered(s), STATUS_BROKER_UNKNOWN);
    register_broker(s, 4);
    quorums_alter(s, quorums_leader(s), 4, 0);
    quorums_run_ms(s, 500);
    ck_assert_int_eq(quorums_altered(s), STATUS_OK);
    ck_assert_str_eq(quorums_describe(s, 4), "1 2 3 4 ");
    quorums_alter(s, quorums_leader(s), 4, 0);
    quorums_run_ms(s, 500);
    ck_assert_int_eq(quorums_altered(s), STATUS_VOTER_EXISTS);

    leader = quorums_leader(s);
    quorums_alter(s, leader, 0, (int32_t)leader);
    quorums_run_ms(s, 3000);
    ck_assert_int_eq(quorums_altered(s), STATUS_OK);
    ck_assert_uint_ne(quorums_leader(s), leader);
    quorums_alter(s, quorums_leader(s), 0, (int32_t)leader);
    quorums_run_ms(s, 500);
    ck_assert_int_eq(quorums_altered(s), STATUS_VOTER_NOT_FOUND);
    quorums_check(s);
    quorums_free(s);
}
END_TEST

/* With one of three gone, a second one may not be taken out: the two that were left
 * could not even elect. */
START_TEST(a_majority_must_be_left)
{
    struct quorums *s = quorums_new(3, 3, 13);
    unsigned leader, lost;

    settle(s);
    leader = quorums_leader(s);
    lost = leader % 3 + 1;
    quorums_crash(s, lost);
    quorums_run_ms(s, 2000);
    quorums_alter(s, leader, 0, (int32_t)(lost % 3 + 1));
    quorums_run_ms(s, 200);
    ck_assert_int_eq(quorums_altered(s), STATUS_INELIGIBLE_REPLICA);
    quorums_alter(s, leader, 0, (int32_t)lost);
    quorums_run_ms(s, 200);
    ck_assert_int_eq(quorums_altered(s), STATUS_OK);
    quorums_free(s);
}
END_TEST

/* That its broker is back with another disk tells more of a voter than that it was heard
 * a moment ago. */
START_TEST(a_voter_whose_disk_was_replaced_is_gone_at_once)
{
    struct quorums *s = quorums_new(3, 3, 14);
    unsigned leader, lost;

    settle(s);
    leader = quorums_leader(s);
    lost = leader % 3 + 1;
    quorums_crash(s, lost);
    quorums_wipe(s, lost);
    quorums_start(s, lost);
    quorums_propose_registration(s, leader, lost);
    quorums_run_ms(s, 30);
    ck_assert_uint_eq(quorums_leader(s), leader);
    quorums_alter(s, leader, 0, (int32_t)(lost % 3 + 1));
    quorums_run_ms(s, 30);
    ck_assert_int_eq(quorums_altered(s), STATUS_INELIGIBLE_REPLICA);
    quorums_free(s);
}
END_TEST

/* A replaced disk is another voter: the old one's place must be given up first. */
START_TEST(a_new_disk_is_a_new_voter)
{
    struct quorums *s = quorums_new(3, 3, 8);
    unsigned leader, lost;
    char text[16];

    settle(s);
    leader = quorums_leader(s);
    lost = leader % 3 + 1;
    quorums_crash(s, lost);
    quorums_wipe(s, lost);
    quorums_start(s, lost);
    quorums_run_ms(s, 2000);
    register_broker(s, lost);
    snprintf(text, sizeof text, "1 2 3 (%u) ", lost);
    ck_assert_str_eq(quorums_describe(s, leader), text);
    quorums_alter(s, leader, (int32_t)lost, 0);
    quorums_run_ms(s, 200);
    ck_assert_int_eq(quorums_altered(s), STATUS_VOTER_EXISTS);
    quorums_alter(s, leader, 0, (int32_t)lost);
    quorums_run_ms(s, 500);
    quorums_alter(s, leader, (int32_t)lost, 0);
    quorums_run_ms(s, 500);
    ck_assert_int_eq(quorums_altered(s), STATUS_OK);
    ck_assert_str_eq(quorums_describe(s, leader), "1 2 3 ");
    quorums_check(s);
    quorums_free(s);
}
END_TEST

START_TEST(another_list_of_controllers_gets_no_vote)
{
    struct quorums *s = quorums_new(3, 3, 9);

    for (unsigned i = 1; i <= 3; i++)
        quorums_crash(s, i);
    for (unsigned i = 1; i <= 3; i++)
        quorums_wipe(s, i);
    quorums_misconfigure(s, 1, 2); /* it thinks of 1 and 2 only */
    quorums_start(s, 1);
    quorums_start(s, 2);
    quorums_run_ms(s, 5000);
    ck_assert_uint_eq(quorums_leader(s), 0);
    ck_assert_uint_gt(quorums_warnings(s, 1) + quorums_warnings(s, 2), 0);
    quorums_free(s);
}
END_TEST

/* ---- the vote file --------------------------------------------------------------------
 */

/* Of two slots one may be torn. */
START_TEST(one_slot_is_enough)
{
    struct quorums *s = quorums_new(1, 0, 10);

    quorums_run_ms(s, 100);
    quorums_stop(s, 1);
    ck_assert(simdisk_flip(quorums_disk(s, 1), "quorum-state", 10, 1));
    quorums_start(s, 1);
    quorums_run_ms(s, 100);
    ck_assert_uint_eq(quorums_leader(s), 1);
    ck_assert_int_eq(quorum_epoch(quorums_at(s, 1)), 2);
    quorums_free(s);
}
END_TEST

/* Who does not know whom it voted for must not vote. */
START_TEST(without_its_vote_a_node_does_not_start)
{
    struct quorums *s = quorums_new(1, 0, 11);
    char why[256];

    quorums_run_ms(s, 100);
    quorums_stop(s, 1);
    ck_assert(simdisk_flip(quorums_disk(s, 1), "quorum-state", 10, 1));
    ck_assert(simdisk_flip(quorums_disk(s, 1), "quorum-state", 4106, 1));
    ck_assert_int_eq(quorums_try_start(s, 1, why), STATUS_CORRUPT);
    ck_assert_ptr_nonnull(strstr(why, "vote twice"));
    quorums_free(s);
}
END_TEST

/* ---- foul weather ---------------------------------------------------------------------
 */

static void misfortune(struct quorums *s, struct prng *p, unsigned nodes)
{
    unsigned node = 1 + (unsigned)prng_below(p, nodes);

    switch (prng_below(p, 8)) {
    case 0:
        if (quorums_is_up(s, node))
            quorums_crash(s, node);
        break;
    case 1:
        if (quorums_is_up(s, node))
            quorums_stop(s, node);
        break;
    case 2:
    case 3:
    case 4:
        if (!quorums_is_up(s, node))
            quorums_start(s, node);
        break;
    case 5: quorums_cut_off(s, node, true); break;
    case 6: quorums_cut_off(s, node, false); break;
    case 7: quorums_lose(s, (unsigned)prng_below(p, 100)); break;
    }
}

static void storm(unsigned nodes, unsigned voters, uint64_t seed)
{
    struct quorums *s = quorums_new(nodes, voters, seed);
    struct prng p;

    prng_init(&p, seed);
    for (int i = 0; i < 60; i++) {
        misfortune(s, &p, nodes);
        for (unsigned k = 1; k <= nodes; k++)
            quorums_propose(s, k);
        quorums_run_ms(s, 1 + (int64_t)prng_below(&p, 400));
    }
    quorums_lose(s, 0);
    for (unsigned i = 1; i <= nodes; i++) {
        quorums_cut_off(s, i, false);
        if (!quorums_is_up(s, i))
            quorums_start(s, i);
    }
    quorums_run_ms(s, 5000);
    ck_assert_msg(quorums_leader(s) != 0, "seed %lu: nobody leads", seed);
    ck_assert_msg(quorums_open(s) == 0, "seed %lu: a proposal waits for ever", seed);
    for (unsigned i = 1; i <= nodes; i++)
        ck_assert_msg(quorums_failure(s, i)[0] == '\0', "seed %lu: %s", seed,
                      quorums_failure(s, i));
    quorums_check(s);
    quorums_free(s);
}

START_TEST(nothing_accepted_is_lost_in_a_storm)
{
    const char *one = getenv("SEED"), *many = getenv("SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : 20;

    for (uint64_t seed = first; seed < first + count; seed++) {
        storm(3, 3, seed);
        storm(4, 3, seed);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quorum");
    TCase *fair = tcase_create("fair weather"), *foul = tcase_create("foul weather");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(fair, alone_it_leads_at_once);
    tcase_add_test(fair, three_agree);
    tcase_add_test(fair, only_the_leader_decides);
    tcase_add_test(fair, a_cut_off_leader_gives_up);
    tcase_add_test(fair, stopping_hands_over);
    tcase_add_test(fair, leaving_waits_for_the_successor);
    tcase_add_test(fair, last_to_leave_knows_that_nobody_is_left);
    tcase_add_test(fair, cut_off_while_leaving_is_alone);
    tcase_add_test(fair, who_is_far_behind_gets_a_snapshot);
    tcase_add_test(fair, voters_come_and_go);
    tcase_add_test(fair, a_majority_must_be_left);
    tcase_add_test(fair, a_voter_whose_disk_was_replaced_is_gone_at_once);
    tcase_add_test(fair, a_new_disk_is_a_new_voter);
    tcase_add_test(fair, another_list_of_controllers_gets_no_vote);
    tcase_add_test(fair, one_slot_is_enough);
    tcase_add_test(fair, without_its_vote_a_node_does_not_start);
    tcase_add_test(foul, nothing_accepted_is_lost_in_a_storm);
    suite_add_tcase(suite, fair);
    suite_add_tcase(suite, foul);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
