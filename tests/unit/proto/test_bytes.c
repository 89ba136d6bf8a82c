/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes from outside are walked without a ladder of checks: a reader that ran dry gives
 * zeros and remembers. */
#include "proto/base/bytes.h"

#include "tests/unit/proto/suite.h"

#include <string.h>

START_TEST(numbers_come_back_as_they_went)
{
    struct writer w = writer_growing();
    struct reader r;

    write_u8(&w, 0xfe);
    write_u16(&w, 0xfedc);
    write_u32(&w, 0xfedcba98u);
    write_u64(&w, 0xfedcba9876543210u);
    write_i16(&w, INT16_MIN);
    write_i32(&w, INT32_MIN);
    write_i64(&w, INT64_MIN);
    ck_assert_int_eq(writer_status(&w), STATUS_OK);
    ck_assert_uint_eq(w.len, 29);
    ck_assert_mem_eq(w.data, "\xfe\xfe\xdc\xfe\xdc\xba\x98\xfe", 8); /* big end first */

    r = reader_of(w.data, w.len);
    ck_assert_uint_eq(read_u8(&r), 0xfe);
    ck_assert_uint_eq(read_u16(&r), 0xfedc);
    ck_assert_uint_eq(read_u32(&r), 0xfedcba98u);
    ck_assert_uint_eq(read_u64(&r), 0xfedcba9876543210u);
    ck_assert_int_eq(read_i16(&r), INT16_MIN);
    ck_assert_int_eq(read_i32(&r), INT32_MIN);
    ck_assert_int_eq(read_i64(&r), INT64_MIN);
    ck_assert_uint_eq(reader_left(&r), 0);
    ck_assert_int_eq(reader_status(&r), STATUS_OK);
    writer_release(&w);
}
END_TEST

/* Whatever runs dry stays dry: later reads give zeros even where bytes were left. */
START_TEST(dry_reader_gives_zeros_and_remembers)
{
    struct reader r = reader_of("\1\2\3", 3);

    ck_assert_uint_eq(read_u16(&r), 0x0102);
    ck_assert_uint_eq(read_u32(&r), 0);
    ck_assert_uint_eq(read_u8(&r), 0);
    ck_assert_ptr_null(read_bytes(&r, 1).data);
    ck_assert_int_eq(read_varlong(&r), 0);
    ck_assert_int_eq(reader_status(&r), STATUS_PROTOCOL);
}
END_TEST

START_TEST(empty_view_may_be_null)
{
    struct reader r = reader_of(NULL, 0);

    ck_assert_uint_eq(read_bytes(&r, 0).len, 0);
    ck_assert_int_eq(reader_status(&r), STATUS_OK);
    ck_assert_uint_eq(read_u8(&r), 0);
    ck_assert_int_eq(reader_status(&r), STATUS_PROTOCOL);
}
END_TEST

START_TEST(varints_are_zigzag)
{
    static const struct {
        int64_t value;
        size_t len;
        uint8_t bytes[10];
    } rows[] = {
        {0, 1, {0}},
        {-1, 1, {1}},
        {1, 1, {2}},
        {63, 1, {0x7e}},
        {-64, 1, {0x7f}},
        {64, 2, {0x80, 0x01}},
        {-65, 2, {0x81, 0x01}},
        {INT32_MAX, 5, {0xfe, 0xff, 0xff, 0xff, 0x0f}},
        {INT32_MIN, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
        {INT64_MAX, 10, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
        {INT64_MIN, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t memory[10];
        struct writer w = writer_fixed(memory, sizeof memory);
        struct reader r;

        write_varlong(&w, rows[i].value);
        ck_assert_uint_eq(w.len, rows[i].len);
        ck_assert_mem_eq(memory, rows[i].bytes, w.len);
        r = reader_of(memory, w.len);
        ck_assert_int_eq(read_varlong(&r), rows[i].value);
        if (rows[i].value != (int32_t)rows[i].value)
            continue;
        w.len = 0;
        write_varint(&w, (int32_t)rows[i].value);
        ck_assert_mem_eq(memory, rows[i].bytes, rows[i].len);
        r = reader_of(memory, w.len);
        ck_assert_int_eq(read_varint(&r), rows[i].value);
        ck_assert_int_eq(reader_status(&r), STATUS_OK);
    }
}
END_TEST

/* Six groups, bits that do not fit into the fifth, and a group that is missing. */
START_TEST(impossible_varints_fail)
{
    static const char *const rows[] = {"\x80\x80\x80\x80\x80\x01", "\xff\xff\xff\xff\x1f",
                                       "\x80\x80", "\xff"};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reader r = reader_of(rows[i], strlen(rows[i]));

        ck_assert_int_eq(read_varint(&r), 0);
        ck_assert_int_eq(reader_status(&r), STATUS_PROTOCOL);
    }
}
END_TEST

START_TEST(fixed_memory_is_never_overrun)
{
    uint8_t memory[8];
    struct writer w = writer_fixed(memory, 4);

    memset(memory, 0xaa, sizeof memory);
    write_u16(&w, 1);
    write_u32(&w, 2);
    write_u8(&w, 3); /* would fit, but the text in between is lost already */
    ck_assert_int_eq(writer_status(&w), STATUS_NO_MEMORY);
    ck_assert_uint_eq(w.len, 2);
    ck_assert_mem_eq(memory + 2, "\xaa\xaa\xaa\xaa\xaa\xaa", 6);
    writer_release(&w);
}
END_TEST

START_TEST(growing_memory_keeps_what_was_written)
{
    struct writer w = writer_growing();

    ck_assert_ptr_nonnull(write_reserve(&w, 0));
    for (int i = 0; i < 10000; i++)
        write_format(&w, "%04d", i);
    write_text(&w, "");
    write_bytes(&w, NULL, 0);
    ck_assert_int_eq(writer_status(&w), STATUS_OK);
    ck_assert_uint_eq(w.len, 40000);
    ck_assert_mem_eq(w.data + 4 * 1234, "12341235", 8);
    ck_assert_ptr_null(write_reserve(&w, SIZE_MAX - 10));
    ck_assert_int_eq(writer_status(&w), STATUS_NO_MEMORY);
    writer_release(&w);
    ck_assert_ptr_null(w.data);
}
END_TEST

START_TEST(order_is_by_content_then_length)
{
    ck_assert_int_lt(bytes_compare(bytes_of("a"), bytes_of("ab")), 0);
    ck_assert_int_gt(bytes_compare(bytes_of("b"), bytes_of("ab")), 0);
    ck_assert_int_eq(bytes_compare(bytes_of("ab"), bytes_of("ab")), 0);
    ck_assert_int_lt(bytes_compare((struct bytes){0}, bytes_of("a")), 0);
    ck_assert(bytes_equal((struct bytes){0}, bytes_of("")));
    ck_assert(!bytes_equal(bytes_of("a"), bytes_of("b")));
}
END_TEST

SUITE_MAIN("bytes", numbers_come_back_as_they_went, dry_reader_gives_zeros_and_remembers,
           empty_view_may_be_null, varints_are_zigzag, impossible_varints_fail,
           fixed_memory_is_never_overrun, growing_memory_keeps_what_was_written,
           order_is_by_content_then_length)
