/* SPDX-License-Identifier: Apache-2.0
 *
 * The sparse index never skips what is looked for, never outgrows its limit, and believes
 * nothing of its file that is not whole. */
#include "storage/index.h"

#include <check.h>
#include <stdlib.h>

/* Batch i: offset 3 i, 100 bytes, timestamp 10 i. */
static struct index_entry batch(uint32_t i)
{
    return (struct index_entry){3 * i, 100 * i, 10 * (int64_t)i - 10};
}

static struct index filled(uint32_t batches, uint64_t interval)
{
    struct index x;

    index_init(&x);
    for (uint32_t i = 0; i < batches; i++)
        index_add(&x, interval, batch(i));
    return x;
}

START_TEST(lookups_land_at_or_before_the_target)
{
    struct index x = filled(1000, 350);

    for (uint32_t offset = 0; offset < 3000; offset++) {
        struct index_entry e = index_find(&x, offset);

        ck_assert_uint_le(e.offset, offset);
        ck_assert_uint_gt(e.offset + 3 * 6, offset);
    }
    for (int64_t time = 0; time < 10000; time++) {
        struct index_entry e = index_find_time(&x, time);

        ck_assert(e.position == 0 || e.time_before < time);
        ck_assert_int_gt((int64_t)e.position / 10 + 60, time);
    }
    index_release(&x);
}
END_TEST

START_TEST(size_is_bounded_by_thinning)
{
    struct index x = filled(200000, 1);

    ck_assert_uint_le(x.count, INDEX_ENTRIES_MAX);
    ck_assert_uint_ge(x.count, INDEX_ENTRIES_MAX / 4);
    for (uint32_t i = 1; i < x.count; i++)
        ck_assert_uint_gt(x.entries[i].position, x.entries[i - 1].position);
    ck_assert_uint_le(index_find(&x, 300000).offset, 300000);
    ck_assert_uint_ge(index_find(&x, 300000).offset, 300000 - 3 * 128);
    index_release(&x);
}
END_TEST

START_TEST(cut_forgets_what_lies_above)
{
    for (uint32_t cut = 0; cut < 310; cut++) {
        struct index x = filled(100, 100);

        index_cut(&x, cut);
        if (x.count > 0)
            ck_assert_uint_lt(index_last(&x).offset, cut);
        index_add(&x, 100, batch(200));
        ck_assert_uint_eq(index_last(&x).offset, 600);
        index_release(&x);
    }
}
END_TEST

/* Whatever byte of the file is damaged, the entries before it are taken, none after. */
START_TEST(damage_ends_the_file)
{
    enum { ENTRIES = 20 };
    uint8_t file[ENTRIES * INDEX_ENTRY_BYTES];

    for (size_t at = 0; at < sizeof file; at++) {
        struct index x;

        for (uint32_t i = 0; i < ENTRIES; i++)
            index_entry_encode(file + i * INDEX_ENTRY_BYTES, 7000, batch(i + 1));
        file[at] ^= 0x10;
        index_init(&x);
        index_decode(&x, (struct bytes){file, sizeof file}, 7000, 100, UINT64_MAX);
        ck_assert_uint_eq(x.count, at / INDEX_ENTRY_BYTES);
        index_release(&x);
    }
}
END_TEST

/* Entries of another segment, beyond the end, or out of order give nothing. */
START_TEST(foreign_entries_are_refused)
{
    uint8_t file[4 * INDEX_ENTRY_BYTES];
    const uint32_t order[] = {1, 2, 2, 1};
    struct index x;

    for (size_t i = 0; i < 4; i++)
        index_entry_encode(file + i * INDEX_ENTRY_BYTES, 7000, batch(order[i]));
    index_init(&x);
    index_decode(&x, (struct bytes){file, sizeof file}, 7001, 100, UINT64_MAX);
    ck_assert_uint_eq(x.count, 0);
    index_decode(&x, (struct bytes){file, sizeof file}, 7000, 100, 150);
    ck_assert_uint_eq(x.count, 1);
    index_release(&x);
    index_decode(&x, (struct bytes){file, sizeof file}, 7000, 100, UINT64_MAX);
    ck_assert_uint_eq(x.count, 2);
    index_release(&x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index");
    TCase *tc = tcase_create("index");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, lookups_land_at_or_before_the_target);
    tcase_add_test(tc, size_is_bounded_by_thinning);
    tcase_add_test(tc, cut_forgets_what_lies_above);
    tcase_add_test(tc, damage_ends_the_file);
    tcase_add_test(tc, foreign_entries_are_refused);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
