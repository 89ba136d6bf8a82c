/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes and parcels by themselves. */
#include "client/accumulator.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct accumulator a;
static struct lanes *topic;

static void setup(void)
{
    accumulator_init(&a, 1000, 100000, true);
    topic = lanes_new(&a, "orders");
    ck_assert_ptr_nonnull(topic);
    ck_assert_int_eq(lanes_grow(topic, 2), STATUS_OK);
}

static void teardown(void)
{
    for (int32_t i = 0; i < topic->count; i++)
        while (lane_first(topic->at[i]) != NULL)
            parcel_retire(&a, lane_take(&a, topic->at[i]));
    lanes_free(topic);
    accumulator_release(&a);
}

static struct parcel *add(int lane, const char *value)
{
    struct item item = {
        .timestamp_ms = 1, .value = bytes_of(value), .arg = (void *)value};
    struct parcel *opened;

    ck_assert_int_eq(accumulator_append(&a, topic->at[lane], &item, &opened), STATUS_OK);
    return opened;
}

/* A lane opens a parcel for its first record and fills it; retiring gives the bytes
 * back. */
START_TEST(bytes_come_and_go)
{
    ck_assert_ptr_nonnull(add(0, "a"));
    ck_assert_ptr_null(add(0, "b"));
    ck_assert_ptr_nonnull(add(1, "c"));
    ck_assert_uint_eq(a.records, 3);
    ck_assert_uint_gt(a.bytes, 0);
    parcel_retire(&a, lane_take(&a, topic->at[0]));
    parcel_retire(&a, lane_take(&a, topic->at[1]));
    ck_assert_uint_eq(a.records, 0);
    ck_assert_uint_eq(a.bytes, 0);
    ck_assert(TAILQ_EMPTY(&a.active));
}
END_TEST

/* While the first parcel is on its way records go to another one, and a finished parcel
 * that came back takes none. */
START_TEST(a_parcel_on_its_way_is_closed)
{
    struct lane *lane = topic->at[0];
    struct parcel *first = add(0, "a");

    lane->sending = true;
    ck_assert_uint_eq(lane_open_bytes(lane), 0);
    ck_assert_ptr_nonnull(add(0, "b"));
    ck_assert_ptr_eq(lane_first(lane), first);
    ck_assert_int_eq(parcel_finish(first, CODEC_NONE), STATUS_OK);
    lane->sending = false;
    ck_assert_ptr_null(add(0, "c"));
    ck_assert_int_eq(first->count, 1);
}
END_TEST

/* A parcel grows to eight times batch.bytes, not further. */
START_TEST(growth_has_an_end)
{
    struct lane *lane = topic->at[0];
    int opened = 0;

    for (int i = 0; i < 2000; i++)
        opened += add(0, "twenty bytes of text") != NULL;
    ck_assert_uint_le(lane_open_bytes(lane), 1000 * PARCEL_GROWTH);
    ck_assert_uint_le(build_size(&lane_first(lane)->build), 1000 * PARCEL_GROWTH);
    ck_assert_int_gt(opened, 4);
}
END_TEST

/* Split in halves, the records are the same in the same order, with their arguments, and
 * whoever waits for one of them still does. */
START_TEST(a_split_keeps_everything)
{
    static const char *const values[] = {"v0", "v1", "v2", "v3", "v4"};
    struct ticket ticket = {.code = -1};
    struct item item = {.timestamp_ms = 9, .value = bytes_of("v5"), .ticket = &ticket};
    struct record_header header = {bytes_of("h"), bytes_of("x")};
    struct lane *lane = topic->at[0];
    struct parcel *opened;
    int n = 0;

    for (int i = 0; i < 5; i++)
        add(0, values[i]);
    item.headers = &header;
    item.header_count = 1;
    ck_assert_int_eq(accumulator_append(&a, lane, &item, &opened), STATUS_OK);
    ck_assert_int_eq(parcel_finish(lane_first(lane), CODEC_LZ4), STATUS_OK);
    lane->sending = true;
    ck_assert_int_eq(lane_split(&a, lane), STATUS_OK);
    ck_assert_uint_eq(a.records, 6);
    for (int half = 0; half < 2; half++) {
        struct parcel *p = lane_take(&a, lane);
        struct iterate it;
        struct record r;

        ck_assert_int_eq(parcel_finish(p, CODEC_NONE), STATUS_OK);
        ck_assert_int_eq(iterate_begin(&it, p->batch, 4096), STATUS_OK);
        while (iterate_next(&it, &r) == STATUS_OK) {
            char expected[3] = {'v', (char)('0' + n), '\0'};

            ck_assert(bytes_equal(r.value, bytes_of(expected)));
            ck_assert_int_eq(r.header_count, n == 5);
            if (n < 5)
                ck_assert_ptr_eq(p->entries[r.offset].arg, values[n]);
            n++;
        }
        iterate_end(&it);
        p->base_offset = 100 + 3 * half;
        parcel_tell_tickets(p);
        parcel_retire(&a, p);
    }
    ck_assert_int_eq(n, 6);
    ck_assert(ticket.done);
    ck_assert_int_eq(ticket.offset, 105);
}
END_TEST

/* A parcel that a request still holds is not written to again. */
START_TEST(shared_parcels_are_not_reused)
{
    struct parcel *first = add(0, "a");
    struct parcel *second;
    struct buf *held;

    ck_assert_int_eq(parcel_finish(first, CODEC_NONE), STATUS_OK);
    held = buf_ref(&first->buf);
    parcel_retire(&a, lane_take(&a, topic->at[0]));
    second = add(0, "b");
    ck_assert_ptr_ne(second, first);
    buf_unref(held);
    ck_assert_ptr_eq(add(1, "c"), first);
}
END_TEST

/* What can never fit is told apart from what does not fit now. */
START_TEST(the_buffer_has_a_limit)
{
    ck_assert_int_eq(accumulator_admit(&a, 100001), STATUS_MESSAGE_TOO_LARGE);
    ck_assert_int_eq(accumulator_admit(&a, 100000), STATUS_OK);
    add(0, "a");
    ck_assert_int_eq(accumulator_admit(&a, 100000), STATUS_QUEUE_FULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("accumulator");
    TCase *t = tcase_create("accumulator");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bytes_come_and_go);
    tcase_add_test(t, a_parcel_on_its_way_is_closed);
    tcase_add_test(t, growth_has_an_end);
    tcase_add_test(t, a_split_keeps_everything);
    tcase_add_test(t, shared_parcels_are_not_reused);
    tcase_add_test(t, the_buffer_has_a_limit);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
