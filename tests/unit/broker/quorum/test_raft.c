/* SPDX-License-Identifier: Apache-2.0
 *
 * Elections among a few rafts, in fair weather and in foul. */
#include "tests/unit/broker/quorum/rafts.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef SEEDS
#define SEEDS 400
#endif

/* One voter is a majority of itself and waits for nobody. */
START_TEST(one_voter_leads_at_once)
{
    struct rafts *s = rafts_new(1, 1, 1);

    rafts_run_ms(s, 20);
    ck_assert_uint_eq(rafts_leader(s), 1);
    ck_assert(rafts_append(s, 1));
    rafts_run_ms(s, 10);
    ck_assert_int_eq(rafts_committed(s), 2);

    rafts_crash(s, 1);
    rafts_start(s, 1);
    rafts_run_ms(s, 20);
    ck_assert_int_eq(rafts_node(s, 1)->state.epoch, 2); /* never the old epoch again */
    ck_assert_int_eq(rafts_committed(s), 3);
    rafts_free(s);
}
END_TEST

/* Nothing ever wakes a leader that is alone, but one that has company resigns if it is
 * not heard. */
START_TEST(who_is_alone_sleeps)
{
    struct rafts *s = rafts_new(2, 1, 1);

    rafts_run_ms(s, 2000);
    ck_assert_uint_eq(rafts_leader(s), 1);
    ck_assert_int_eq(raft_deadline(rafts_node(s, 1)), INT64_MAX);
    ck_assert(rafts_change(s, 1, 3));
    ck_assert_int_ne(raft_deadline(rafts_node(s, 1)), INT64_MAX);
    rafts_run_ms(s, 2000);
    ck_assert_uint_eq(rafts_leader(s), 1);
    rafts_cut_off(s, 2, true);
    rafts_run_ms(s, 4000);
    ck_assert_uint_eq(rafts_leader(s), 0);
    rafts_free(s);
}
END_TEST

START_TEST(three_elect_one_and_commit)
{
    struct rafts *s = rafts_new(3, 3, 2);
    unsigned leader;

    rafts_run_ms(s, 2000);
    leader = rafts_leader(s);
    ck_assert_uint_ne(leader, 0);
    for (int i = 0; i < 20; i++)
        ck_assert(rafts_append(s, leader));
    rafts_run_ms(s, 200);
    ck_assert_int_eq(rafts_committed(s), 21);
    for (unsigned i = 1; i <= 3; i++)
        ck_assert_int_ge(rafts_node(s, i)->high_watermark, 21);
    rafts_free(s);
}
END_TEST

/* A follower that was alone for a while comes back without an election (KIP-996). */
START_TEST(pre_vote_does_not_disturb)
{
    struct rafts *s = rafts_new(3, 3, 3);
    unsigned leader, lonely;
    int32_t epoch;

    rafts_run_ms(s, 2000);
    leader = rafts_leader(s);
    lonely = leader % 3 + 1;
    epoch = rafts_node(s, leader)->state.epoch;
    rafts_cut_off(s, lonely, true);
    rafts_run_ms(s, 10000);
    rafts_cut_off(s, lonely, false);
    rafts_run_ms(s, 3000);
    ck_assert_uint_eq(rafts_leader(s), leader);
    for (unsigned i = 1; i <= 3; i++)
        ck_assert_int_eq(rafts_node(s, i)->state.epoch, epoch);
    rafts_free(s);
}
END_TEST

/* A leader that can send but hears nobody gives way. */
START_TEST(deaf_leader_resigns)
{
    struct rafts *s = rafts_new(3, 3, 4);
    unsigned leader;

    rafts_run_ms(s, 2000);
    leader = rafts_leader(s);
    for (unsigned i = 1; i <= 3; i++)
        rafts_cut(s, i, leader, true);
    rafts_run_ms(s, 4000);
    ck_assert_uint_ne(rafts_leader(s), leader);
    ck_assert_uint_ne(rafts_leader(s), 0);
    rafts_free(s);
}
END_TEST

/* The successor is named, so nobody waits for a timer. */
START_TEST(handing_over_takes_a_moment)
{
    struct rafts *s = rafts_new(3, 3, 5);
    unsigned leader;

    rafts_run_ms(s, 2000);
    leader = rafts_leader(s);
    rafts_hand_over(s, leader);
    rafts_crash(s, leader);
    rafts_run_ms(s, 50);
    ck_assert_uint_ne(rafts_leader(s), 0);
    ck_assert_uint_ne(rafts_leader(s), leader);
    rafts_free(s);
}
END_TEST

START_TEST(a_dead_leader_is_replaced_soon)
{
    int64_t worst = 0;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct rafts *s = rafts_new(3, 3, seed);
        int64_t waited = 0;

        rafts_run_ms(s, 3000);
        rafts_crash(s, rafts_leader(s));
        for (; rafts_leader(s) == 0 && waited < 10000; waited++)
            rafts_run_ms(s, 1);
        worst = waited > worst ? waited : worst;
        rafts_free(s);
    }
    ck_assert_int_lt(worst, 2000);
}
END_TEST

/* A set counts while it is in the log and no longer. */
START_TEST(cutting_off_a_set_restores_the_one_before)
{
    struct rafts *s = rafts_new(4, 3, 6);
    unsigned leader;

    rafts_run_ms(s, 2000);
    leader = rafts_leader(s);
    rafts_cut_off(s, leader, true);
    ck_assert(rafts_change(s, leader, 15));
    ck_assert_uint_eq(rafts_voters(s, leader), 15);
    ck_assert(!rafts_change(s, leader, 7)); /* one at a time */
    rafts_run_ms(s, 4000);
    rafts_cut_off(s, leader, false);
    rafts_run_ms(s, 2000);
    for (unsigned i = 1; i <= 4; i++)
        ck_assert_uint_eq(rafts_voters(s, i), 7);
    rafts_free(s);
}
END_TEST

START_TEST(a_leader_takes_itself_out)
{
    struct rafts *s = rafts_new(3, 3, 7);
    unsigned leader;

    rafts_run_ms(s, 2000);
    leader = rafts_leader(s);
    ck_assert(rafts_change(s, leader, 7u & ~(1u << (leader - 1))));
    rafts_run_ms(s, 4000);
    ck_assert_uint_ne(rafts_leader(s), leader);
    ck_assert_uint_ne(rafts_leader(s), 0);
    rafts_free(s);
}
END_TEST

/* What a leader had not yet on its own disk, its newest voter may have on its own: after
 * a crash of both nobody else can lead, whether or not they know by then that its coming
 * was committed. */
START_TEST(a_newcomer_that_has_more_than_all_others_leads)
{
    struct rafts *s = rafts_new(2, 1, 8);

    rafts_run_ms(s, 1000);
    ck_assert(rafts_change(s, 1, 3));
    rafts_run_ms(s, 1000);
    rafts_mood(s)->disk_ms_max = 400;
    ck_assert(rafts_append(s, 1));
    while (rafts_node(s, 2)->end < rafts_node(s, 1)->end)
        rafts_run_ms(s, 1);
    rafts_crash(s, 1);
    rafts_run_ms(s, 400);
    rafts_crash(s, 2);
    for (unsigned i = 1; i <= 2; i++)
        rafts_start(s, i);
    rafts_run_ms(s, 5000);
    ck_assert_uint_eq(rafts_leader(s), 2);
    rafts_free(s);
}
END_TEST

/* ---- foul weather ---------------------------------------------------------------------
 */

static unsigned any(struct prng *p, unsigned n)
{
    return (unsigned)prng_below(p, n);
}

static void misfortune(struct rafts *s, struct prng *p, unsigned nodes)
{
    unsigned node = 1 + any(p, nodes), other = 1 + any(p, nodes);

    switch (any(p, 10)) {
    case 0:
    case 1:
        if (rafts_is_up(s, node))
            rafts_crash(s, node);
        break;
    case 2:
    case 3:
    case 4:
        if (!rafts_is_up(s, node))
            rafts_start(s, node);
        break;
    case 5: rafts_cut(s, node, other, true); break;
    case 6: rafts_cut_off(s, node, true); break;
    case 7:
    case 8: rafts_cut_off(s, node, false); break;
    case 9:
        if (rafts_is_up(s, node))
            rafts_hand_over(s, node);
        break;
    }
}

static void work(struct rafts *s, struct prng *p, unsigned nodes, bool change)
{
    for (unsigned i = 1; i <= nodes; i++) {
        if (any(p, 3) == 0)
            rafts_append(s, i);
        if (change && rafts_is_up(s, i) && any(p, 20) == 0)
            rafts_change(s, i, rafts_voters(s, i) ^ 1u << any(p, nodes));
    }
}

static void heal(struct rafts *s, unsigned nodes)
{
    *rafts_mood(s) = (struct rafts_mood){0, 3, 3};
    for (unsigned i = 1; i <= nodes; i++) {
        rafts_cut_off(s, i, false);
        if (!rafts_is_up(s, i))
            rafts_start(s, i);
    }
}

/* In the end somebody leads, stays, and commits. */
static void settle(struct rafts *s, unsigned nodes, uint64_t seed)
{
    int64_t committed;
    int32_t epoch;

    heal(s, nodes);
    rafts_run_ms(s, 5000);
    ck_assert_msg(rafts_leader(s) != 0, "seed %lu: nobody leads", seed);
    epoch = rafts_node(s, rafts_leader(s))->state.epoch;
    committed = rafts_committed(s);
    ck_assert(rafts_append(s, rafts_leader(s)));
    rafts_run_ms(s, 3000);
    ck_assert_msg(rafts_committed(s) > committed, "seed %lu: nothing commits", seed);
    for (unsigned i = 1; i <= nodes; i++)
        ck_assert_msg(rafts_node(s, i)->state.epoch == epoch,
                      "seed %lu: node %u is not at rest", seed, i);
}

static void storm(unsigned nodes, unsigned voters, bool change, uint64_t seed)
{
    struct rafts *s = rafts_new(nodes, voters, seed);
    struct prng p;

    prng_init(&p, seed * 31 + nodes);
    rafts_mood(s)->lost = any(&p, 3) == 0 ? any(&p, 200) : 0;
    rafts_mood(s)->delay_ms_max = any(&p, 4) == 0 ? 300 : 20;
    rafts_mood(s)->disk_ms_max = any(&p, 4) == 0 ? 200 : 10;
    for (int i = 0; i < 60; i++) {
        if (any(&p, 3) == 0)
            misfortune(s, &p, nodes);
        work(s, &p, nodes, change);
        rafts_run_ms(s, 1 + any(&p, 300));
    }
    settle(s, nodes, seed);
    rafts_free(s);
}

static uint64_t seeds_from(uint64_t *count)
{
    const char *one = getenv("SEED");

    *count = one != NULL ? 1 : SEEDS;
    return one != NULL ? strtoull(one, NULL, 10) : 1;
}

static void storms(unsigned nodes, unsigned voters, bool change)
{
    uint64_t count, first = seeds_from(&count);

    for (uint64_t seed = first; seed < first + count; seed++) {
        if (getenv("VERBOSE") != NULL)
            fprintf(stderr, "seed %lu\n", seed);
        storm(nodes, voters, change, seed);
    }
}

START_TEST(three_in_a_storm)
{
    storms(3, 3, false);
}
END_TEST

START_TEST(five_in_a_storm)
{
    storms(5, 5, false);
}
END_TEST

START_TEST(voters_come_and_go_in_a_storm)
{
    storms(5, 3, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft");
    TCase *fair = tcase_create("fair weather"), *foul = tcase_create("foul weather");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(fair, one_voter_leads_at_once);
    tcase_add_test(fair, who_is_alone_sleeps);
    tcase_add_test(fair, three_elect_one_and_commit);
    tcase_add_test(fair, pre_vote_does_not_disturb);
    tcase_add_test(fair, deaf_leader_resigns);
    tcase_add_test(fair, handing_over_takes_a_moment);
    tcase_add_test(fair, a_dead_leader_is_replaced_soon);
    tcase_add_test(fair, cutting_off_a_set_restores_the_one_before);
    tcase_add_test(fair, a_leader_takes_itself_out);
    tcase_add_test(fair, a_newcomer_that_has_more_than_all_others_leads);
    tcase_add_test(foul, three_in_a_storm);
    tcase_add_test(foul, five_in_a_storm);
    tcase_add_test(foul, voters_come_and_go_in_a_storm);
    suite_add_tcase(suite, fair);
    suite_add_tcase(suite, foul);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
