/* SPDX-License-Identifier: Apache-2.0
 *
 * The outermost layer of a connection: 8 bytes that say who speaks, then frames. */
#include "proto/rpc/frame.h"

#include "tests/unit/proto/suite.h"

#include <string.h>

START_TEST(preface_is_eight_known_bytes)
{
    uint8_t out[FRAME_PREFACE];
    uint16_t version;

    preface_write(out, 1);
    ck_assert_mem_eq(out, "LEAT\x00\x01\r\n", 8);
    ck_assert_int_eq(preface_read(out, &version), STATUS_OK);
    ck_assert_uint_eq(version, 1);
    preface_write(out, 0xabcd);
    ck_assert_int_eq(preface_read(out, &version), STATUS_OK);
    ck_assert_uint_eq(version, 0xabcd);
}
END_TEST

START_TEST(other_beginnings_are_no_preface)
{
    static const char *const rows[] = {"GET / HT", "\x16\x03\x01\x02\x00\x01\x00\x01",
                                       "LEAT\x01\x01\n\n", "leat\x01\x01\r\n",
                                       "LEAT\x01\x01\r\r"};
    uint16_t version = 99;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(preface_read((const uint8_t *)rows[i], &version),
                         STATUS_PROTOCOL);
    ck_assert_uint_eq(version, 99);
}
END_TEST

/* The example of PROTOCOL.md. */
START_TEST(head_is_sixteen_bytes_big_end_first)
{
    static const uint8_t expected[FRAME_HEAD] = {0, 0, 0, 0x1e, 0, 1, 0, 0,
                                                 0, 0, 0, 7,    0, 0, 0, 0x12};
    struct frame f = {.length = 30, .api = 1, .correlation = 7, .header_bytes = 18};
    uint8_t out[FRAME_HEAD];
    struct frame back;

    frame_write(out, &f);
    ck_assert_mem_eq(out, expected, FRAME_HEAD);
    ck_assert_int_eq(frame_read(out, 1000, &back), STATUS_OK);
    ck_assert_uint_eq(back.length, 30);
    ck_assert_uint_eq(back.api, 1);
    ck_assert_uint_eq(back.flags, 0);
    ck_assert_uint_eq(back.correlation, 7);
    ck_assert_uint_eq(back.header_bytes, 18);
    ck_assert_uint_eq(frame_payload_bytes(&back), 0);
}
END_TEST

START_TEST(contradictions_and_giants_are_refused)
{
    enum { LIMIT = 16 << 20 };
    static const struct {
        uint32_t length;
        uint16_t flags;
        uint32_t header;
        enum status status;
    } rows[] = {
        {12, 0, 0, STATUS_OK},
        {11, 0, 0, STATUS_PROTOCOL},
        {0, 0, 0, STATUS_PROTOCOL},
        {112, 0, 100, STATUS_OK},
        {112, 0, 101, STATUS_PROTOCOL},
        {112, 0, UINT32_MAX, STATUS_PROTOCOL},
        {112, 7, 100, STATUS_OK},
        {112, 8, 100, STATUS_PROTOCOL},
        {112, 0x8000, 100, STATUS_PROTOCOL},
        {LIMIT - 4, 0, 0, STATUS_OK},
        {LIMIT - 3, 0, 0, STATUS_FRAME_TOO_LARGE},
        {UINT32_MAX, 0, 0, STATUS_FRAME_TOO_LARGE},
        {LIMIT - 4, 0, FRAME_HEADER_MAX, STATUS_OK},
        {LIMIT - 4, 0, FRAME_HEADER_MAX + 1, STATUS_FRAME_TOO_LARGE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct frame f = {.length = rows[i].length,
                          .api = 3,
                          .flags = rows[i].flags,
                          .header_bytes = rows[i].header};
        uint8_t head[FRAME_HEAD];
        struct frame back;

        frame_write(head, &f);
        ck_assert_msg(frame_read(head, LIMIT, &back) == rows[i].status, "row %zu", i);
    }
}
END_TEST

SUITE_MAIN("frame", preface_is_eight_known_bytes, other_beginnings_are_no_preface,
           head_is_sixteen_bytes_big_end_first, contradictions_and_giants_are_refused)
