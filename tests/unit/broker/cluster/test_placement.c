/* SPDX-License-Identifier: Apache-2.0
 *
 * Where replicas go. Whatever the cluster looks like: on different brokers, in as many
 * racks as there are, spread evenly, on nobody who is leaving or silent while others are
 * there. */
#include "broker/core/cluster/placement.h"
#include "broker/core/change.h"
#include "proto/base/prng.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

enum { BROKERS_MAX = 9, PARTITIONS = 36, REPLICAS_MAX = 3 };

static struct image_broker brokers[BROKERS_MAX];
static struct image image;
static struct arena arena;
static int32_t placed[PARTITIONS * REPLICAS_MAX];

/* One letter per broker: its rack; '-' for none. */
static void begin(const char *racks)
{
    static char names[128][2];

    image_init(&image);
    arena_init(&arena, 0);
    image.brokers = brokers;
    for (image.broker_count = 0; racks[image.broker_count] != '\0';
         image.broker_count++) {
        char *name = names[(unsigned char)racks[image.broker_count]];

        name[0] = racks[image.broker_count] == '-' ? '\0' : racks[image.broker_count];
        brokers[image.broker_count] =
            (struct image_broker){.node_id = (int32_t)image.broker_count + 1,
                                  .state = BROKER_ACTIVE,
                                  .rack = name};
    }
}

static void end(void)
{
    image.brokers = NULL;
    image.broker_count = 0;
    image_release(&image);
    arena_release(&arena);
}

/* Make a topic of what was placed. */
static void create(const char *name, int32_t count, int32_t replication)
{
    struct change c = change_of(&arena);
    struct uuid id = {.id = {(uint8_t)name[0]}};

    change_new_topic(&c, id, name, 0);
    for (int32_t n = 0; n < count; n++) {
        int32_t *replicas = placed + n * replication;

        change_partition(&c, id, n,
                         &(struct image_partition){.replicas = replicas,
                                                   .replica_count = (size_t)replication,
                                                   .in_sync = replicas,
                                                   .in_sync_count = (size_t)replication,
                                                   .leader = replicas[0],
                                                   .leader_epoch = 1});
    }
    for (size_t i = 0; i < c.count; i++)
        ck_assert(!image_apply(&image, image.applied, c.records[i], NULL));
}

static int32_t replicas_of(int32_t id, int32_t count, int32_t replication, int32_t every)
{
    int32_t sum = 0;

    for (int32_t n = 0; n < count * replication; n += every)
        sum += placed[n] == id;
    return sum;
}

/* The difference between who has most and who has fewest. */
static int32_t spread(int32_t count, int32_t replication, int32_t every)
{
    int32_t least = INT32_MAX, most = 0;

    for (size_t i = 0; i < image.broker_count; i++) {
        int32_t has = replicas_of(brokers[i].node_id, count, replication, every);

        least = has < least ? has : least;
        most = has > most ? has : most;
    }
    return most - least;
}

static size_t distinct_racks(const int32_t *replicas, int32_t replication)
{
    bool seen[128] = {false};
    size_t count = 0;

    for (int32_t r = 0; r < replication; r++) {
        unsigned char rack = (unsigned char)brokers[replicas[r] - 1].rack[0];

        count += !seen[rack];
        seen[rack] = true;
    }
    return count;
}

static const struct {
    const char *racks;
    int32_t replication;
    size_t racks_each; /* that every partition is in */
    int32_t uneven;    /* replicas by which brokers may differ */
} clusters[] = {
    {"-", 1, 1, 0},
    {"---", 3, 1, 0},
    {"------", 3, 1, 1},
    {"-----", 2, 1, 1},
    {"aabbcc", 3, 3, 1},
    {"abcabcabc", 3, 3, 1},
    {"aabb", 2, 2, 1},
    {"aabb", 3, 2, 1},
    {"aaab", 2, 2, PARTITIONS}, /* b has one of each: racks come before balance */
};

START_TEST(replicas_are_spread_over_brokers_and_racks)
{
    int32_t replication = clusters[_i].replication;

    begin(clusters[_i].racks);
    ck_assert(!placement_choose(&image, PARTITIONS, replication, placed));
    for (int32_t n = 0; n < PARTITIONS; n++) {
        const int32_t *replicas = placed + n * replication;

        for (int32_t r = 1; r < replication; r++)
            ck_assert(!image_has(replicas, (size_t)r, replicas[r]));
        ck_assert_uint_eq(distinct_racks(replicas, replication), clusters[_i].racks_each);
    }
    ck_assert_int_le(spread(PARTITIONS, replication, 1), clusters[_i].uneven);
    ck_assert_int_le(spread(PARTITIONS, replication, replication), 1);
    end();
}
END_TEST

/* A broker that has just come has nothing, so it gets the next. */
START_TEST(what_is_there_already_counts)
{
    begin("---");
    ck_assert(!placement_choose(&image, 4, 2, placed));
    create("a", 4, 2);
    brokers[3] = (struct image_broker){.node_id = 4, .state = BROKER_ACTIVE, .rack = ""};
    image.broker_count = 4;
    ck_assert(!placement_choose(&image, 2, 2, placed));
    ck_assert_int_eq(replicas_of(4, 2, 2, 1), 2);
    end();
}
END_TEST

/* Who is silent or leaving gets something only if there are no others. */
START_TEST(the_unfit_come_last)
{
    begin("-----");
    brokers[0].draining = true;
    brokers[1].state = BROKER_FENCED;
    ck_assert(!placement_choose(&image, PARTITIONS, 3, placed));
    ck_assert_int_eq(replicas_of(1, PARTITIONS, 3, 1), 0);
    ck_assert_int_eq(replicas_of(2, PARTITIONS, 3, 1), 0);
    ck_assert(!placement_choose(&image, 1, 4, placed));
    ck_assert_int_eq(placed[3], 1); /* rather leaving than silent */
    ck_assert(!placement_choose(&image, 1, 5, placed));
    ck_assert_int_eq(placed[4], 2);
    ck_assert_int_eq(placement_choose(&image, 1, 6, placed),
                     STATUS_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(placement_choose(&image, 1, 0, placed),
                     STATUS_INVALID_REPLICATION_FACTOR);
    end();
}
END_TEST

/* One replica goes, the others stay; its rack is taken by another broker of it if no rack
 * is free. */
START_TEST(a_new_home_keeps_racks_apart)
{
    begin("abcab");
    ck_assert_int_eq(placement_replace(&image, (int32_t[]){1, 2, 3}, 3, 2), 5);
    ck_assert_int_eq(placement_replace(&image, (int32_t[]){1, 2, 3}, 3, 1), 4);
    ck_assert_int_eq(placement_replace(&image, (int32_t[]){1, 2}, 2, 2), 3);
    brokers[4].draining = true;
    ck_assert_int_eq(placement_replace(&image, (int32_t[]){1, 2, 3}, 3, 2), 4);
    brokers[3].state = BROKER_STOPPING;
    ck_assert_int_eq(placement_replace(&image, (int32_t[]){1, 2, 3}, 3, 2), -1);
    ck_assert(!placement_has_home(&image, (int32_t[]){1, 2, 3}, 3));
    end();
}
END_TEST

/* The quick question and the thorough one agree. */
START_TEST(there_is_a_home_exactly_if_one_is_found)
{
    struct prng prng;

    prng_init(&prng, 11);
    for (int n = 0; n < 2000; n++) {
        int32_t replicas[REPLICAS_MAX], home;
        size_t count = 0;

        begin("aabbc");
        for (size_t i = 0; i < image.broker_count; i++) {
            brokers[i].state = (enum broker_state)prng_below(&prng, 3);
            brokers[i].draining = prng_below(&prng, 3) == 0;
            if (count < REPLICAS_MAX && prng_below(&prng, 2) == 0)
                replicas[count++] = brokers[i].node_id;
        }
        home = placement_replace(&image, replicas, count, count ? replicas[0] : -1);
        ck_assert_int_eq(placement_has_home(&image, replicas, count), home >= 0);
        ck_assert(home < 0 || !image_has(replicas, count, home));
        ck_assert(home < 0 || (image_is_active(&image, home) &&
                               !image_broker(&image, home)->draining));
        end();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("placement");
    TCase *tc = tcase_create("placement");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tc, replicas_are_spread_over_brokers_and_racks, 0,
                        (int)(sizeof clusters / sizeof clusters[0]));
    tcase_add_test(tc, what_is_there_already_counts);
    tcase_add_test(tc, the_unfit_come_last);
    tcase_add_test(tc, a_new_home_keeps_racks_apart);
    tcase_add_test(tc, there_is_a_home_exactly_if_one_is_found);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
