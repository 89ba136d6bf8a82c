/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/reconcile.h"

#include <check.h>
#include <stdlib.h>

/* Four partitions of one topic; a share is a mask of them. */
enum { BITS = 4, ALL = 1 << BITS };

static struct share share_of_mask(unsigned mask)
{
    struct topic_partition items[BITS];
    size_t n = 0;

    for (int32_t p = 0; p < BITS; p++)
        if (mask & 1u << p)
            items[n++] = (struct topic_partition){.partition = p};
    return share_of(items, n);
}

static unsigned mask_of(const struct share *s)
{
    unsigned mask = 0;

    for (size_t i = 0; i < s->count; i++)
        mask |= 1u << s->items[i].partition;
    return mask;
}

static bool is_in_mask(const void *ctx, const struct topic_partition *p)
{
    return *(const unsigned *)ctx & 1u << p->partition;
}

struct outcome {
    unsigned assigned, revoking;
    bool changed, told;
};

/* One step in terms of masks; an unchanged share comes back as it was. */
static struct outcome take_step(unsigned assigned, unsigned revoking, unsigned target,
                                const unsigned *owned, unsigned held)
{
    struct share a = share_of_mask(assigned), r = share_of_mask(revoking);
    struct share t = share_of_mask(target);
    struct share o = share_of_mask(owned != NULL ? *owned : 0);
    struct step s = reconcile_step(&(struct reconcile){.assigned = &a,
                                                       .revoking = &r,
                                                       .target = &t,
                                                       .owned = owned ? &o : NULL,
                                                       .is_held = is_in_mask,
                                                       .ctx = &held});
    struct outcome out = {assigned, revoking, s.changed, s.told};

    if (s.changed) {
        out.assigned = mask_of(&s.assigned);
        out.revoking = mask_of(&s.revoking);
        share_release(&s.assigned);
        share_release(&s.revoking);
    }
    share_release(&a);
    share_release(&r);
    share_release(&t);
    share_release(&o);
    return out;
}

/* A member that is to lose a partition keeps the rest, is told so, and the partition is
 * nobody's until it has confirmed; only then does it receive what is free. */
START_TEST(giving_up_comes_before_getting)
{
    unsigned still = 0x3, only = 0x1;
    struct outcome o = take_step(0x3, 0, 0x5, &still, 0);

    ck_assert_uint_eq(o.assigned, 0x1);
    ck_assert_uint_eq(o.revoking, 0x2);
    ck_assert(o.told);
    o = take_step(o.assigned, o.revoking, 0x5, &still, 0);
    ck_assert(!o.changed);
    o = take_step(o.assigned, o.revoking, 0x5, &only, 0);
    ck_assert_uint_eq(o.assigned, 0x5);
    ck_assert_uint_eq(o.revoking, 0);
    ck_assert(o.told);
}
END_TEST

/* Every state of four partitions (81 of assigned and revoking, times target, owned,
 * held): nothing is dropped unconfirmed, nothing is got that somebody holds, and a
 * smaller share is always told. */
START_TEST(no_step_breaks_a_rule)
{
    for (unsigned a = 0; a < ALL; a++)
        for (unsigned r = 0; r < ALL; r++)
            for (unsigned t = 0; (a & r) == 0 && t < ALL; t++)
                for (unsigned owned = 0; owned < ALL; owned++)
                    for (unsigned held = 0; held < ALL; held++) {
                        struct outcome o;

                        if (held & (a | r))
                            continue; /* held by others is disjoint from ours */
                        o = take_step(a, r, t, &owned, held);
                        ck_assert_uint_eq(o.assigned & o.revoking, 0);
                        ck_assert_uint_eq((o.assigned | o.revoking) & held, 0);
                        /* What it had is kept, revoking, or was confirmed as given up. */
                        ck_assert_uint_eq(
                            (a | r) & ~(o.assigned | o.revoking) & ~(r & ~owned), 0);
                        /* Getting only with nothing left to give up, and of the target.
                         */
                        if (o.assigned & ~a)
                            ck_assert_uint_eq(o.revoking, 0);
                        ck_assert_uint_eq(o.assigned & ~t, 0);
                        ck_assert_int_eq(o.told, o.assigned != a);
                        ck_assert_int_eq(o.changed, o.told || o.revoking != r);
                    }
}
END_TEST

/* An honest member reaches its target in at most two steps once others let go. */
START_TEST(honest_member_converges)
{
    for (unsigned a = 0; a < ALL; a++)
        for (unsigned r = 0; r < ALL; r++)
            for (unsigned t = 0; (a & r) == 0 && t < ALL; t++) {
                struct outcome o = {a, r, true, true};

                for (int step = 0; step < 2; step++) {
                    unsigned owned = o.assigned;

                    o = take_step(o.assigned, o.revoking, t, &owned, 0);
                }
                ck_assert_uint_eq(o.assigned, t);
                ck_assert_uint_eq(o.revoking, 0);
            }
}
END_TEST

/* A join says nothing about what the member owns: nothing is taken for given up. */
START_TEST(silence_confirms_nothing)
{
    for (unsigned a = 0; a < ALL; a++)
        for (unsigned r = 0; r < ALL; r++)
            for (unsigned t = 0; (a & r) == 0 && t < ALL; t++) {
                struct outcome o = take_step(a, r, t, NULL, 0);

                ck_assert_uint_eq((a | r) & ~(o.assigned | o.revoking), 0);
            }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group: reconcile");
    TCase *tc = tcase_create("reconcile");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, giving_up_comes_before_getting);
    tcase_add_test(tc, no_step_breaks_a_rule);
    tcase_add_test(tc, honest_member_converges);
    tcase_add_test(tc, silence_confirms_nothing);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
