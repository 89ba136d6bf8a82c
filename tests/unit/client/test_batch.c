/* SPDX-License-Identifier: Apache-2.0
 *
 * From received bytes to records, and back to the budget. */
#include "client/batch.h"

#include "proto/record/build.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int freed_count;

static void on_freed(void *owner)
{
    freed_count++;
}

/* One answer in the making: batches of `count` records each, one behind the other. */
struct scene {
    struct budget *budget;
    struct writer bytes;
    struct buf *buf;
    struct haul *haul;
};

static struct scene scene_new(void)
{
    freed_count = 0;
    return (struct scene){
        .budget = budget_new(&freed_count, on_freed),
        .bytes = writer_growing(),
    };
}

static void scene_add(struct scene *s, int64_t base, int count, enum codec codec)
{
    const struct record_header header = {bytes_of("trace"), bytes_of("0af7")};
    struct build b;
    struct bytes out;
    size_t at = s->bytes.len;

    build_init(&b);
    build_begin(&b);
    for (int i = 0; i < count; i++) {
        char value[64];

        snprintf(value, sizeof value, "value %lld", (long long)base + i);
        build_add(&b, 1000 + i, i % 2 ? bytes_of("key") : (struct bytes){0},
                  bytes_of(value), &header, i % 3 == 0);
    }
    ck_assert_int_eq(build_finish(&b, codec, (struct build_producer){-1, -1, -1}, &out),
                     STATUS_OK);
    write_bytes(&s->bytes, out.data, out.len);
    batch_stamp(s->bytes.data + at, base, 0);
    build_release(&b);
}

static struct bytes scene_receive(struct scene *s)
{
    s->buf = buf_new(s->bytes.len);
    memcpy(s->buf->data, s->bytes.data, s->bytes.len);
    s->haul = haul_new(s->budget, s->buf, s->bytes.len);
    return (struct bytes){s->buf->data, s->bytes.len};
}

static void scene_end(struct scene *s)
{
    if (s->haul)
        haul_unref(s->haul);
    if (s->buf)
        buf_unref(s->buf);
    writer_release(&s->bytes);
    ck_assert_uint_eq(atomic_load(&s->budget->used), 0);
    budget_leave(s->budget);
}

static void assert_record(const leat_record *r, int64_t offset)
{
    char value[64];

    snprintf(value, sizeof value, "value %lld", (long long)offset);
    ck_assert_int_eq(r->offset, offset);
    ck_assert_str_eq(r->topic, "orders");
    ck_assert_int_eq(r->partition, 3);
    ck_assert_uint_eq(r->value.len, strlen(value));
    ck_assert_mem_eq(r->value.data, value, r->value.len);
}

START_TEST(records_come_out_as_they_went_in)
{
    struct scene s = scene_new();
    struct leat_batch *b;
    struct chunk *c;

    scene_add(&s, 40, 4, CODEC_NONE);
    ck_assert_int_eq(chunk_new(NULL, (struct bytes){s.bytes.data, 20}, 40, &c),
                     STATUS_CORRUPT_MESSAGE);
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 40, &c), STATUS_OK);
    ck_assert_int_eq(c->next, 44);
    ck_assert_int_eq(chunk_decode(c, 40, "orders", 3, &b), STATUS_OK);
    ck_assert_uint_eq(leat_batch_len(b), 4);
    for (size_t i = 0; i < 4; i++)
        assert_record(leat_batch_at(b, i), 40 + (int64_t)i);
    ck_assert_ptr_null(leat_batch_at(b, 4));
    ck_assert_ptr_null(leat_batch_at(b, 0)->key.data);
    ck_assert_uint_eq(leat_batch_at(b, 1)->key.len, 3);
    ck_assert_int_eq(leat_batch_at(b, 2)->timestamp_ms, 1002);
    ck_assert_uint_eq(leat_batch_at(b, 2)->header_count, 0);
    ck_assert_uint_eq(leat_batch_at(b, 3)->header_count, 1);
    ck_assert_mem_eq(leat_batch_at(b, 3)->headers[0].name.data, "trace", 5);
    ck_assert_mem_eq(leat_batch_at(b, 3)->headers[0].value.data, "0af7", 4);
    /* Not a byte was copied. */
    const uint8_t *value = leat_batch_at(b, 0)->value.data;
    ck_assert(value > s.buf->data && value < s.buf->data + s.bytes.len);
    chunk_free(c);
    leat_batch_free(b);
    scene_end(&s);
}
END_TEST

/* A broker sends whole batches, so the first one may begin before what was asked for. */
START_TEST(records_before_the_offset_are_skipped)
{
    struct scene s = scene_new();
    struct leat_batch *b;
    struct chunk *c;

    scene_add(&s, 0, 10, CODEC_NONE);
    scene_add(&s, 10, 10, CODEC_LZ4);
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 7, &c), STATUS_OK);
    ck_assert_int_eq(chunk_decode(c, 7, "orders", 3, &b), STATUS_OK);
    ck_assert_uint_eq(leat_batch_len(b), 13);
    for (size_t i = 0; i < 13; i++)
        assert_record(leat_batch_at(b, i), 7 + (int64_t)i);
    ck_assert_int_eq(b->next, 20);
    chunk_free(c);
    leat_batch_free(b);
    scene_end(&s);
}
END_TEST

START_TEST(compressed_records_live_as_long_as_their_batch)
{
    struct scene s = scene_new();
    struct leat_batch *b;
    struct chunk *c;

    scene_add(&s, 0, 500, CODEC_LZ4);
    scene_add(&s, 500, 400, CODEC_LZ4);
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 0, &c), STATUS_OK);
    ck_assert_int_eq(chunk_decode(c, 0, "orders", 3, &b), STATUS_OK);
    chunk_free(c);
    haul_unref(s.haul);
    buf_unref(s.buf);
    s.haul = NULL;
    s.buf = NULL;
    ck_assert_uint_eq(leat_batch_len(b), 900);
    ck_assert_uint_gt(atomic_load(&s.budget->used), s.bytes.len);
    for (size_t i = 0; i < 900; i++)
        assert_record(leat_batch_at(b, i), (int64_t)i);
    leat_batch_free(b);
    scene_end(&s);
}
END_TEST

START_TEST(a_chunk_is_read_in_portions_of_whole_batches)
{
    struct scene s = scene_new();
    struct leat_batch *b;
    struct chunk *c;
    int64_t next = 0;

    for (int i = 0; i < 50; i++)
        scene_add(&s, i * 60, 60, CODEC_NONE);
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 0, &c), STATUS_OK);
    while (c->data.len > 0) {
        ck_assert_int_eq(chunk_decode(c, next, "orders", 3, &b), STATUS_OK);
        ck_assert_uint_le(leat_batch_len(b), BATCH_RECORDS_WANTED + 60);
        for (size_t i = 0; i < leat_batch_len(b); i++)
            assert_record(leat_batch_at(b, i), next++);
        ck_assert_int_eq(b->next, next);
        leat_batch_free(b);
    }
    ck_assert_int_eq(next, 3000);
    chunk_free(c);
    scene_end(&s);
}
END_TEST

/* A bit flips on the way. What came before it is good, and is given out first. */
START_TEST(a_damaged_batch_stops_what_comes_after_it)
{
    struct scene s = scene_new();
    struct leat_batch *b;
    struct chunk *c;
    size_t second;

    scene_add(&s, 0, 5, CODEC_NONE);
    second = s.bytes.len;
    scene_add(&s, 5, 5, CODEC_NONE);
    s.bytes.data[second + BATCH_HEADER + 9] ^= 4;
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 0, &c), STATUS_OK);
    ck_assert_int_eq(chunk_decode(c, 0, "orders", 3, &b), STATUS_OK);
    ck_assert_uint_eq(leat_batch_len(b), 5);
    leat_batch_free(b);
    ck_assert_int_eq(chunk_decode(c, 5, "orders", 3, &b), STATUS_CORRUPT_MESSAGE);
    chunk_free(c);
    scene_end(&s);
}
END_TEST

START_TEST(batches_out_of_order_are_refused)
{
    struct scene s = scene_new();
    struct chunk *c;

    scene_add(&s, 10, 5, CODEC_NONE);
    scene_add(&s, 10, 5, CODEC_NONE);
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 10, &c), STATUS_CORRUPT_MESSAGE);
    /* Nor is there progress in what lies wholly before the offset. */
    ck_assert_int_eq(chunk_new(s.haul, data, 400, &c), STATUS_CORRUPT_MESSAGE);
    scene_end(&s);
}
END_TEST

START_TEST(what_is_cut_off_at_the_end_is_left_out)
{
    struct scene s = scene_new();
    struct chunk *c;
    struct bytes data;

    scene_add(&s, 0, 5, CODEC_NONE);
    scene_add(&s, 5, 5, CODEC_NONE);
    data = scene_receive(&s);
    data.len -= 3;
    ck_assert_int_eq(chunk_new(s.haul, data, 0, &c), STATUS_OK);
    ck_assert_int_eq(c->next, 5);
    chunk_free(c);
    scene_end(&s);
}
END_TEST

/* Every single byte of two batches is changed in turn: whatever comes out, nobody is
 * hurt. */
START_TEST(no_damage_is_dangerous)
{
    struct scene s = scene_new();
    struct bytes data;

    scene_add(&s, 0, 20, CODEC_NONE);
    scene_add(&s, 20, 20, CODEC_LZ4);
    data = scene_receive(&s);
    for (size_t i = 0; i < data.len; i++) {
        struct leat_batch *b;
        struct chunk *c;

        s.buf->data[i] ^= 0x81;
        if (!chunk_new(s.haul, data, 0, &c)) {
            while (c->data.len > 0 && !chunk_decode(c, 0, "orders", 3, &b))
                leat_batch_free(b);
            chunk_free(c);
        }
        s.buf->data[i] ^= 0x81;
    }
    scene_end(&s);
}
END_TEST

START_TEST(who_waits_for_room_hears_of_it_once)
{
    struct scene s = scene_new();

    scene_add(&s, 0, 5, CODEC_NONE);
    scene_receive(&s);
    ck_assert_uint_eq(atomic_load(&s.budget->used), s.bytes.len);
    atomic_store(&s.budget->wanted, true);
    haul_unref(s.haul);
    s.haul = NULL;
    ck_assert_int_eq(freed_count, 1);
    scene_end(&s);
    ck_assert_int_eq(freed_count, 1);
}
END_TEST

/* The program keeps a batch and closes everything else. */
START_TEST(a_batch_may_outlive_its_budget)
{
    struct scene s = scene_new();
    struct leat_batch *b;
    struct chunk *c;

    scene_add(&s, 0, 5, CODEC_NONE);
    const struct bytes data = scene_receive(&s);
    ck_assert_int_eq(chunk_new(s.haul, data, 0, &c), STATUS_OK);
    ck_assert_int_eq(chunk_decode(c, 0, "orders", 3, &b), STATUS_OK);
    chunk_free(c);
    haul_unref(s.haul);
    buf_unref(s.buf);
    atomic_store(&s.budget->wanted, true);
    budget_leave(s.budget);
    assert_record(leat_batch_at(b, 4), 4);
    leat_batch_free(b);
    ck_assert_int_eq(freed_count, 0);
    writer_release(&s.bytes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client batch");
    TCase *t = tcase_create("batch");
    SRunner *runner;
    int failed;

    tcase_add_test(t, records_come_out_as_they_went_in);
    tcase_add_test(t, records_before_the_offset_are_skipped);
    tcase_add_test(t, compressed_records_live_as_long_as_their_batch);
    tcase_add_test(t, a_chunk_is_read_in_portions_of_whole_batches);
    tcase_add_test(t, a_damaged_batch_stops_what_comes_after_it);
    tcase_add_test(t, batches_out_of_order_are_refused);
    tcase_add_test(t, what_is_cut_off_at_the_end_is_left_out);
    tcase_add_test(t, no_damage_is_dangerous);
    tcase_add_test(t, who_waits_for_room_hears_of_it_once);
    tcase_add_test(t, a_batch_may_outlive_its_budget);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
