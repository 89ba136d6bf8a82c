/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/assign.h"

#include "proto/base/prng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 4, TOPICS = 3 };

/* A group of at most MEMBERS members and TOPICS topics; a subscription is a mask. */
struct scene {
    struct assign_topic topics[TOPICS];
    struct assign_member members[MEMBERS];
    uint32_t lists[MEMBERS][TOPICS];
    struct share previous[MEMBERS];
    size_t topic_count, member_count;
};

static void scene_subscribe(struct scene *s, size_t member, unsigned mask)
{
    s->members[member].topic_count = 0;
    s->members[member].topics = s->lists[member];
    for (uint32_t t = 0; t < s->topic_count; t++)
        if (mask & 1u << t)
            s->lists[member][s->members[member].topic_count++] = t;
}

static struct scene scene_of(size_t members, size_t topics, const int32_t *partitions,
                             const unsigned *masks)
{
    struct scene s = {.topic_count = topics, .member_count = members};

    for (size_t t = 0; t < topics; t++) {
        s.topics[t].id.id[0] = (uint8_t)(9 - t); /* ids against the order of names */
        s.topics[t].partitions = partitions[t];
    }
    for (size_t m = 0; m < members; m++)
        scene_subscribe(&s, m, masks[m]);
    return s;
}

static void scene_assign(struct scene *s, const char *name)
{
    /* The scene was returned by value: its pointers are set here. */
    for (size_t m = 0; m < s->member_count; m++) {
        s->members[m].topics = s->lists[m];
        s->members[m].previous = &s->previous[m];
    }
    assign(assignor_find(name), s->topics, s->topic_count, s->members, s->member_count);
}

/* What was assigned is what the members have now. */
static void scene_turn(struct scene *s)
{
    for (size_t m = 0; m < s->member_count; m++) {
        share_replace(&s->previous[m], s->members[m].target);
        s->members[m].target = (struct share){0};
    }
}

static void scene_release(struct scene *s)
{
    for (size_t m = 0; m < MEMBERS; m++) {
        share_release(&s->members[m].target);
        share_release(&s->previous[m]);
    }
}

static bool subscribes(const struct scene *s, size_t member, size_t topic)
{
    for (size_t i = 0; i < s->members[member].topic_count; i++)
        if (s->lists[member][i] == topic)
            return true;
    return false;
}

/* Every partition has exactly one owner, a subscriber, or none if nobody subscribes. */
static void check_complete(const struct scene *s)
{
    size_t assigned = 0, held = 0;

    for (size_t t = 0; t < s->topic_count; t++)
        for (int32_t p = 0; p < s->topics[t].partitions; p++) {
            size_t owners = 0, subscribers = 0;

            for (size_t m = 0; m < s->member_count; m++) {
                struct topic_partition at = {s->topics[t].id, p};
                bool owns = share_has(&s->members[m].target, &at);

                owners += owns;
                subscribers += subscribes(s, m, t);
                ck_assert(!owns || subscribes(s, m, t));
            }
            ck_assert_uint_eq(owners, subscribers > 0);
            assigned += owners;
        }
    for (size_t m = 0; m < s->member_count; m++)
        held += s->members[m].target.count;
    ck_assert_uint_eq(assigned, held);
}

static void check_balanced(const struct scene *s)
{
    size_t most = 0, least = SIZE_MAX;

    for (size_t m = 0; m < s->member_count; m++) {
        size_t n = s->members[m].target.count;

        most = n > most ? n : most;
        least = n < least ? n : least;
    }
    ck_assert_uint_le(most, least + 1);
}

/* The most that n members can keep of what they have when all loads must lie within one
 * of each other: those with most keep the larger shares. */
static size_t keepable(const struct scene *s, size_t total)
{
    size_t n = s->member_count, larger = total % n, kept = 0;
    size_t has[MEMBERS];

    for (size_t m = 0; m < n; m++)
        has[m] = s->previous[m].count;
    for (size_t i = 0; i < n; i++) {
        size_t best = i, quota;

        for (size_t m = i; m < n; m++)
            if (has[m] > has[best])
                best = m;
        size_t swap = has[i];
        has[i] = has[best];
        has[best] = swap;
        quota = total / n + (i < larger);
        kept += has[i] < quota ? has[i] : quota;
    }
    return kept;
}

static size_t kept(const struct scene *s)
{
    size_t n = 0;

    for (size_t m = 0; m < s->member_count; m++) {
        struct share both = share_both(&s->previous[m], &s->members[m].target);

        n += both.count;
        share_release(&both);
    }
    return n;
}

static void share_print(const struct share *s, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < s->count; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%d/%d", i > 0 ? " " : "",
                               9 - s->items[i].topic.id[0], s->items[i].partition);
}

/* Seven partitions over three members: the first gets one more, as contiguous runs. */
START_TEST(range_gives_contiguous_runs_and_the_rest_to_the_first)
{
    struct scene s = scene_of(3, 2, (int32_t[]){7, 2}, (unsigned[]){3, 3, 3});
    const char *expected[] = {"1/0 0/0 0/1 0/2", "1/1 0/3 0/4", "0/5 0/6"};

    scene_assign(&s, "range");
    for (size_t m = 0; m < 3; m++) {
        char text[128];

        share_print(&s.members[m].target, text, sizeof text);
        ck_assert_str_eq(text, expected[m]);
    }
    scene_release(&s);
}
END_TEST

/* Every combination of three members' subscriptions to two topics of 0 to 4 partitions:
 * each partition goes to one subscriber, and equal wishes make equal shares. */
START_TEST(every_partition_has_one_owner_iff_somebody_subscribes)
{
    const struct assignor *a;

    for (size_t i = 0; (a = assignor_at(i)) != NULL; i++)
        for (unsigned wishes = 0; wishes < 64; wishes++)
            for (int32_t sizes = 0; sizes < 25; sizes++) {
                unsigned masks[3] = {wishes & 3, wishes >> 2 & 3, wishes >> 4 & 3};
                int32_t partitions[2] = {sizes % 5, sizes / 5};
                struct scene s = scene_of(3, 2, partitions, masks);

                scene_assign(&s, assignor_name(a));
                check_complete(&s);
                if (strcmp(assignor_name(a), "sticky") == 0 && masks[0] == masks[1] &&
                    masks[1] == masks[2])
                    check_balanced(&s);
                scene_release(&s);
            }
}
END_TEST

/* From any distribution whatever, sticky reaches balance by as few moves as that takes.
 */
START_TEST(sticky_moves_no_more_than_balance_takes)
{
    struct prng random;

    prng_init(&random, 11);
    for (int round = 0; round < 20000; round++) {
        int32_t partitions[TOPICS] = {(int32_t)prng_below(&random, 6),
                                      (int32_t)prng_below(&random, 6),
                                      (int32_t)prng_below(&random, 6)};
        size_t members = 1 + prng_below(&random, MEMBERS);
        size_t total = (size_t)(partitions[0] + partitions[1] + partitions[2]);
        struct scene s = scene_of(members, TOPICS, partitions, (unsigned[]){7, 7, 7, 7});
        struct topic_partition had[MEMBERS][TOPICS * 6];
        size_t n[MEMBERS] = {0};

        for (size_t t = 0; t < TOPICS; t++)
            for (int32_t p = 0; p < partitions[t]; p++) {
                size_t m = prng_below(&random, members + 1);

                if (m < members)
                    had[m][n[m]++] = (struct topic_partition){s.topics[t].id, p};
            }
        for (size_t m = 0; m < members; m++)
            s.previous[m] = share_of(had[m], n[m]);
        scene_assign(&s, "sticky");
        check_complete(&s);
        check_balanced(&s);
        ck_assert_uint_eq(kept(&s), keepable(&s, total));
        scene_release(&s);
    }
}
END_TEST

/* With different subscriptions: still complete, and no single move would even it out. */
START_TEST(sticky_leaves_no_single_move_that_helps)
{
    struct prng random;

    prng_init(&random, 12);
    for (int round = 0; round < 20000; round++) {
        int32_t partitions[TOPICS] = {(int32_t)prng_below(&random, 6),
                                      (int32_t)prng_below(&random, 6),
                                      (int32_t)prng_below(&random, 6)};
        unsigned masks[MEMBERS];
        struct scene s;

        for (size_t m = 0; m < MEMBERS; m++)
            masks[m] = (unsigned)prng_below(&random, 8);
        s = scene_of(MEMBERS, TOPICS, partitions, masks);
        scene_assign(&s, "sticky");
        scene_turn(&s);
        for (size_t m = 0; m < MEMBERS; m++)
            scene_subscribe(&s, m, (unsigned)prng_below(&random, 8));
        scene_assign(&s, "sticky");
        check_complete(&s);
        for (size_t from = 0; from < MEMBERS; from++)
            for (size_t to = 0; to < MEMBERS; to++)
                for (size_t i = 0; i < s.members[from].target.count; i++) {
                    size_t t = 9u - s.members[from].target.items[i].topic.id[0];

                    if (subscribes(&s, to, t))
                        ck_assert_uint_le(s.members[from].target.count,
                                          s.members[to].target.count + 1);
                }
        scene_release(&s);
    }
}
END_TEST

/* A second assignment without any change moves nothing. */
START_TEST(both_are_stable)
{
    const struct assignor *a;

    for (size_t i = 0; (a = assignor_at(i)) != NULL; i++) {
        struct scene s = scene_of(4, 3, (int32_t[]){5, 1, 3}, (unsigned[]){7, 3, 6, 5});
        size_t total = 9;

        scene_assign(&s, assignor_name(a));
        scene_turn(&s);
        scene_assign(&s, assignor_name(a));
        ck_assert_uint_eq(kept(&s), total);
        scene_release(&s);
    }
}
END_TEST

/* One large topic and a second member: half of it moves, in reasonable time. */
START_TEST(large_topics_are_skimmed)
{
    struct scene s = scene_of(1, 1, (int32_t[]){100000}, (unsigned[]){1});

    scene_assign(&s, "sticky");
    scene_turn(&s);
    s.member_count = 3;
    for (size_t m = 0; m < 3; m++)
        scene_subscribe(&s, m, 1);
    scene_assign(&s, "sticky");
    check_balanced(&s);
    ck_assert_uint_eq(kept(&s), keepable(&s, 100000));
    scene_release(&s);
}
END_TEST

START_TEST(assignors_are_found_by_name)
{
    ck_assert_str_eq(assignor_name(assignor_find("")), "sticky");
    ck_assert_str_eq(assignor_name(assignor_find("range")), "range");
    ck_assert_ptr_null(assignor_find("roundrobin"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group: assign");
    TCase *tc = tcase_create("assign");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, range_gives_contiguous_runs_and_the_rest_to_the_first);
    tcase_add_test(tc, every_partition_has_one_owner_iff_somebody_subscribes);
    tcase_add_test(tc, sticky_moves_no_more_than_balance_takes);
    tcase_add_test(tc, sticky_leaves_no_single_move_that_helps);
    tcase_add_test(tc, both_are_stable);
    tcase_add_test(tc, large_topics_are_skimmed);
    tcase_add_test(tc, assignors_are_found_by_name);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
