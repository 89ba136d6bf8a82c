/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal on a disk that forgets: what it reported durable comes back, in order and
 * unaltered, wherever the power goes; what is damaged afterwards is reported, never cut.
 */
#include "tests/unit/storage/journal_scene.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void begin(struct journal_scene *s, uint64_t seed)
{
    journal_scene_begin(s, &(struct simdisk_options){.seed = seed});
}

/* Every frame is durable after its group's write, and replay hands all of them back in
 * the order in which they went in. */
START_TEST(what_was_committed_comes_back_in_order)
{
    struct journal_scene s;
    struct journal_found found;

    begin(&s, 1);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    for (int n = 0; n < 300; n++) {
        journal_scene_append(&s, NULL);
        if (n % 3 == 0)
            journal_commit(s.journal);
        disk_poll(s.disk, false);
    }
    journal_scene_settle(&s);
    ck_assert_int_eq(s.durable, 300);
    journal_close(s.journal);
    found = journal_scene_replay(&s);
    ck_assert_int_eq(found.status, STATUS_OK);
    ck_assert_int_eq(found.first, 0);
    ck_assert_int_eq(found.next, 300);
    journal_scene_end(&s);
}
END_TEST

/* While one write is in flight everything gathers; the next write carries all of it. */
START_TEST(what_gathers_during_a_write_goes_with_the_next)
{
    struct journal_scene s;
    struct journal_stats stats;

    begin(&s, 2);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    journal_scene_append(&s, NULL);
    journal_commit(s.journal);
    for (int n = 0; n < 20; n++) {
        journal_scene_append(&s, NULL);
        journal_commit(s.journal);
    }
    while (s.durable < s.appended) {
        disk_poll(s.disk, true);
        journal_commit(s.journal);
    }
    journal_stats(s.journal, &stats);
    ck_assert_uint_eq(stats.frames, 21);
    ck_assert_uint_eq(stats.writes, 2);
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

/* A slice of a frame stays what it was as long as somebody holds it, even after the
 * journal has forgotten its buffer. */
START_TEST(hot_slices_outlive_their_eviction)
{
    static uint8_t expected[SCENE_PAYLOAD_MAX];
    struct journal_scene s;
    struct slice first;
    size_t len;

    begin(&s, 3);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    journal_scene_append(&s, &first);
    for (int n = 0; n < 600; n++) {
        journal_scene_append(&s, NULL);
        journal_scene_settle(&s);
        journal_release(s.journal, journal_durable(s.journal) + 1);
    }
    ck_assert_uint_gt(s.evictions, 0);
    len = journal_scene_payload(s.life, 0, expected);
    ck_assert_uint_eq(first.len, len);
    ck_assert_mem_eq(first.data, expected, len);
    slice_release(&first);
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

/* Files are used again once their groups were released: the journal never holds more than
 * it may, and without any release it says that there is no room. */
START_TEST(without_release_there_is_no_room_and_with_it_there_is)
{
    struct journal_scene s;
    struct journal_stats stats;

    begin(&s, 4);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    for (int n = 0; journal_has_room(s.journal); n++) {
        ck_assert_int_lt(n, 4000);
        journal_scene_append(&s, NULL);
        journal_commit(s.journal);
        disk_poll(s.disk, false);
    }
    journal_scene_settle(&s);
    ck_assert_uint_gt(journal_pressure(s.journal), 0);
    journal_release(s.journal, journal_durable(s.journal) + 1);
    ck_assert(journal_has_room(s.journal));
    journal_stats(s.journal, &stats);
    ck_assert_uint_le(stats.files, s.options.files_max);
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

/* Turns until it says that it is stuck: nobody asked whether there was room. */
static void fill(struct journal_scene *s)
{
    for (int n = 0; !journal_is_stuck(s->journal); n++) {
        ck_assert_int_lt(n, 4000);
        journal_scene_append(s, NULL);
        journal_commit(s->journal);
        disk_poll(s->disk, false);
    }
}

/* A release may hang on a group that has no place itself. So much more is taken as that
 * group needs, and no more. */
START_TEST(a_full_journal_grows_for_what_its_release_hangs_on)
{
    struct journal_scene s;
    struct journal_stats stats;
    journal_seq last;

    begin(&s, 5);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    fill(&s);
    last = journal_durable(s.journal) + 1;
    journal_insist(s.journal, last - 1);
    disk_poll(s.disk, false);
    ck_assert(journal_is_stuck(s.journal));
    journal_insist(s.journal, last);
    for (int turns = 0; journal_durable(s.journal) < last; turns++) {
        ck_assert_int_lt(turns, 100);
        disk_poll(s.disk, false);
        journal_commit(s.journal);
    }
    journal_stats(s.journal, &stats);
    ck_assert_uint_eq(stats.files, s.options.files_max + 1);
    fill(&s);
    journal_stats(s.journal, &stats);
    ck_assert_uint_eq(stats.files, s.options.files_max + 1);
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

/* A turn may bring more than a small file holds: it becomes several groups, each of which
 * fits. */
START_TEST(no_group_is_larger_than_a_file)
{
    static const uint8_t payload[1000];
    struct journal_frame f = {.kind = JOURNAL_APPEND,
                              .payload = {payload, sizeof payload}};
    struct journal_scene s;
    journal_seq last = 0;

    begin(&s, 6);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    for (int n = 0; n < 1500; n++)
        last = journal_append(s.journal, &f, NULL);
    for (int turns = 0; journal_durable(s.journal) < last; turns++) {
        ck_assert_int_lt(turns, 1000);
        journal_commit(s.journal);
        disk_poll(s.disk, true);
    }
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

/* A payload beyond one buffer gets a buffer of its own, up to what a file holds; its
 * neighbours keep their order. */
struct sizes {
    size_t expected[3];
    size_t count;
};

static enum status look_at_size(void *ctx, const struct journal_frame *f)
{
    struct sizes *sizes = ctx;

    ck_assert_uint_lt(sizes->count, 3);
    ck_assert_uint_eq(f->payload.len, sizes->expected[sizes->count]);
    sizes->count++;
    ck_assert_uint_eq(f->payload.data[0], sizes->count);
    ck_assert_mem_eq(f->payload.data, f->payload.data + 1, f->payload.len - 1);
    return STATUS_OK;
}

START_TEST(a_frame_may_fill_a_file)
{
    struct journal_replay_result result;
    struct sizes sizes = {{100, 0, 5000}, 0};
    struct journal_scene s;
    struct slice hot[3];
    char why[256];
    uint8_t *payload;

    begin(&s, 7);
    s.options.file_bytes = 4 * JOURNAL_BUFFER;
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    sizes.expected[1] = journal_payload_max(s.journal);
    payload = malloc(sizes.expected[1]);
    s.offset_of[1] = 0;
    for (int n = 0; n < 3; n++) {
        struct journal_frame f = {.kind = JOURNAL_APPEND,
                                  .payload = {payload, sizes.expected[n]}};

        memset(payload, n + 1, sizes.expected[n]);
        journal_append(s.journal, &f, &hot[n]);
    }
    s.appended = 1;
    while (journal_durable(s.journal) + 1 < journal_gathering(s.journal) ||
           journal_durable(s.journal) == 0) {
        journal_commit(s.journal);
        disk_poll(s.disk, true);
    }
    journal_close(s.journal);
    for (int n = 0; n < 3; n++) {
        ck_assert_uint_eq(hot[n].len, sizes.expected[n]);
        ck_assert_int_eq(hot[n].data[0], n + 1);
        ck_assert_uint_eq((uintptr_t)hot[n].data % 8, 0);
        slice_release(&hot[n]);
    }
    ck_assert_int_eq(
        journal_replay(s.disk, "journal", look_at_size, &sizes, &result, why), STATUS_OK);
    ck_assert_uint_eq(sizes.count, 3);
    free(payload);
    journal_scene_end(&s);
}
END_TEST

/* A size that is no multiple of the buffers' is rounded up. */
START_TEST(any_file_size_will_do)
{
    struct journal_scene s;
    uint64_t length;

    begin(&s, 8);
    s.options.file_bytes = 3 * JOURNAL_BUFFER + 1;
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    ck_assert_ptr_nonnull(simdisk_peek(s.sim, "journal/00000000.journal", &length));
    ck_assert_uint_eq(length, 4 * JOURNAL_BUFFER);
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

/* A write that fails is the end: it is reported once, and nothing after it is ever
 * acknowledged. */
START_TEST(a_failed_write_ends_the_journal)
{
    struct journal_scene s;
    int64_t durable;

    begin(&s, 5);
    ck_assert_int_eq(journal_scene_boot(&s), STATUS_OK);
    journal_scene_append(&s, NULL);
    journal_scene_settle(&s);
    durable = s.durable;
    journal_scene_append(&s, NULL);
    simdisk_fail(s.sim, DISK_WRITE, 100, STATUS_IO);
    while (s.failures == 0) {
        journal_commit(s.journal);
        disk_poll(s.disk, true);
    }
    journal_scene_append(&s, NULL);
    journal_commit(s.journal);
    ck_assert_int_eq(s.durable, durable);
    journal_close(s.journal);
    journal_scene_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *t = tcase_create("journal");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 100);
    tcase_add_test(t, what_was_committed_comes_back_in_order);
    tcase_add_test(t, what_gathers_during_a_write_goes_with_the_next);
    tcase_add_test(t, hot_slices_outlive_their_eviction);
    tcase_add_test(t, without_release_there_is_no_room_and_with_it_there_is);
    tcase_add_test(t, a_full_journal_grows_for_what_its_release_hangs_on);
    tcase_add_test(t, no_group_is_larger_than_a_file);
    tcase_add_test(t, a_frame_may_fill_a_file);
    tcase_add_test(t, any_file_size_will_do);
    tcase_add_test(t, a_failed_write_ends_the_journal);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
