/* SPDX-License-Identifier: Apache-2.0
 *
 * What a leader lets in: a batch that Kafka's clients would send, and nothing that is cut
 * off, damaged, or contradicts itself. */
#include "proto/record/batch.h"

#include "tests/unit/proto/golden.h"
#include "proto/base/crc32c.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

static uint8_t data[GOLDEN_BYTES + 16];

static struct bytes golden(void)
{
    golden_copy(data);
    return (struct bytes){data, GOLDEN_BYTES};
}

/* A liar's batch: changed, but its checksum is right. */
static enum status verify_resealed(size_t len)
{
    struct batch b;

    store_u32(data + BATCH_AT_CRC,
              crc32c(0, data + BATCH_AT_ATTRIBUTES, len - BATCH_AT_ATTRIBUTES));
    return batch_verify((struct bytes){data, len}, &b);
}

START_TEST(kafkas_batch_is_understood)
{
    struct batch b;

    ck_assert_int_eq(batch_verify(golden(), &b), STATUS_OK);
    ck_assert_int_eq(b.base_offset, 0);
    ck_assert_uint_eq(b.size, GOLDEN_BYTES);
    ck_assert_int_eq(b.leader_epoch, -1);
    ck_assert_uint_eq(b.crc, 0x6fa63a67u);
    ck_assert_uint_eq(b.attributes, 0);
    ck_assert_int_eq(b.last_offset_delta, 2);
    ck_assert_int_eq(b.base_timestamp, 1500000000000);
    ck_assert_int_eq(b.max_timestamp, 1500000000005);
    ck_assert_int_eq(b.producer_id, -1);
    ck_assert_int_eq(b.producer_epoch, -1);
    ck_assert_int_eq(b.base_sequence, -1);
    ck_assert_int_eq(b.count, GOLDEN_RECORDS);
    ck_assert_int_eq(batch_next_offset(&b), 3);
}
END_TEST

/* Offset and epoch are stamped in place: the checksum does not cover them. */
START_TEST(stamp_leaves_the_batch_valid)
{
    struct batch b;

    golden();
    batch_stamp(data, 1234567890123, 77);
    ck_assert_int_eq(batch_verify((struct bytes){data, GOLDEN_BYTES}, &b), STATUS_OK);
    ck_assert_int_eq(b.base_offset, 1234567890123);
    ck_assert_int_eq(b.leader_epoch, 77);
    ck_assert_int_eq(batch_next_offset(&b), 1234567890126);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct batch b;

    golden();
    for (size_t len = 0; len < GOLDEN_BYTES; len++) {
        struct bytes cut = {data, len};

        ck_assert_int_eq(batch_parse(cut, &b), STATUS_CORRUPT_MESSAGE);
        ck_assert_int_eq(batch_verify(cut, &b), STATUS_CORRUPT_MESSAGE);
    }
}
END_TEST

/* Bit by bit. Only the two fields that the leader stamps may change unnoticed. */
START_TEST(every_bit_flip_is_refused)
{
    struct batch b;

    for (size_t bit = 0; bit < 8 * GOLDEN_BYTES; bit++) {
        size_t at = bit / 8;
        bool stamped =
            at < BATCH_AT_LENGTH || (at >= BATCH_AT_LEADER_EPOCH && at < BATCH_AT_MAGIC);

        golden();
        data[at] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg((batch_verify((struct bytes){data, GOLDEN_BYTES}, &b) ==
                       STATUS_OK) == stamped,
                      "bit %zu", bit);
    }
}
END_TEST

/* The same with a checksum that fits: no bit of the records' structure may change without
 * notice, but for the one that makes nothing (0) of null (-1) or the other way round. */
START_TEST(liars_are_found_by_the_walk)
{
    static const struct {
        uint8_t at;
        bool nothing;
    } rows[] = {
        {61, false}, {62, false}, {64, false}, {65, false}, {68, false}, {74, false},
        {75, false}, {76, false}, {78, false}, {79, true},  {80, true},  {81, false},
        {82, false}, {84, false}, {86, false}, {88, true},  {89, false}, {90, false},
        {93, false}, {94, true},  {95, true},  {96, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bool fine = rows[i].nothing && bit == 0;

            golden();
            data[rows[i].at] ^= (uint8_t)(1u << bit);
            ck_assert_msg(verify_resealed(GOLDEN_BYTES) ==
                              (fine ? STATUS_OK : STATUS_INVALID_RECORD),
                          "byte %u, bit %u", rows[i].at, bit);
        }
}
END_TEST

START_TEST(two_batches_or_a_rest_are_refused)
{
    struct batch b;

    golden();
    ck_assert_int_eq(batch_verify((struct bytes){data, GOLDEN_BYTES + 1}, &b),
                     STATUS_INVALID_RECORD);
    ck_assert_int_eq(batch_parse((struct bytes){data, GOLDEN_BYTES + 1}, &b), STATUS_OK);
}
END_TEST

START_TEST(header_must_not_contradict_itself)
{
    static const struct {
        uint8_t at, size;
        uint64_t value;
        enum status status;
    } rows[] = {
        {BATCH_AT_COUNT, 4, 0, STATUS_INVALID_RECORD},
        {BATCH_AT_COUNT, 4, 2, STATUS_INVALID_RECORD},
        {BATCH_AT_COUNT, 4, 0x80000003u, STATUS_INVALID_RECORD},
        {BATCH_AT_LAST_OFFSET_DELTA, 4, 3, STATUS_INVALID_RECORD},
        {BATCH_AT_LAST_OFFSET_DELTA, 4, UINT32_MAX, STATUS_INVALID_RECORD},
        {BATCH_AT_ATTRIBUTES, 2, BATCH_CONTROL, STATUS_INVALID_RECORD},
        {BATCH_AT_ATTRIBUTES, 2, BATCH_LOG_APPEND_TIME, STATUS_INVALID_TIMESTAMP},
        {BATCH_AT_ATTRIBUTES, 2, 5, STATUS_UNSUPPORTED_COMPRESSION},
        {BATCH_AT_ATTRIBUTES, 2, 7, STATUS_UNSUPPORTED_COMPRESSION},
        /* compressed records are not looked at */
        {BATCH_AT_ATTRIBUTES, 2, 1, STATUS_OK},
        {BATCH_AT_ATTRIBUTES, 2, 4, STATUS_OK},
        {BATCH_AT_PRODUCER_ID, 8, 5, STATUS_INVALID_RECORD},
        {BATCH_AT_MAGIC, 1, 1, STATUS_UNSUPPORTED_FORMAT},
        {BATCH_AT_LENGTH, 4, 48, STATUS_CORRUPT_MESSAGE},
        {BATCH_AT_LENGTH, 4, UINT32_MAX, STATUS_CORRUPT_MESSAGE},
        {BATCH_AT_LENGTH, 4, INT32_MAX, STATUS_CORRUPT_MESSAGE},
        {BATCH_AT_LENGTH, 4, 84, STATUS_INVALID_RECORD},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        golden();
        for (unsigned n = 0; n < rows[i].size; n++)
            data[rows[i].at + n] =
                (uint8_t)(rows[i].value >> 8 * (rows[i].size - 1u - n));
        ck_assert_msg(verify_resealed(GOLDEN_BYTES) == rows[i].status, "row %zu", i);
    }
}
END_TEST

START_TEST(producer_with_a_sequence_is_let_in)
{
    struct batch b;

    golden();
    store_u64(data + BATCH_AT_PRODUCER_ID, 9);
    store_u16(data + BATCH_AT_PRODUCER_EPOCH, 1);
    store_u32(data + BATCH_AT_BASE_SEQUENCE, 0);
    ck_assert_int_eq(verify_resealed(GOLDEN_BYTES), STATUS_OK);
    ck_assert_int_eq(batch_parse((struct bytes){data, GOLDEN_BYTES}, &b), STATUS_OK);
    ck_assert_int_eq(b.producer_id, 9);
    ck_assert_int_eq(b.base_sequence, 0);
}
END_TEST

START_TEST(size_is_known_from_twelve_bytes)
{
    golden();
    for (size_t len = 0; len < 12; len++)
        ck_assert_int_eq(batch_size((struct bytes){data, len}), 0);
    ck_assert_int_eq(batch_size((struct bytes){data, 12}), GOLDEN_BYTES);
    store_u32(data + BATCH_AT_LENGTH, 0);
    ck_assert_int_eq(batch_size((struct bytes){data, 12}), -1);
    store_u32(data + BATCH_AT_LENGTH, INT32_MAX);
    ck_assert_int_eq(batch_size((struct bytes){data, 12}), (int64_t)INT32_MAX + 12);
}
END_TEST

SUITE_MAIN("batch", kafkas_batch_is_understood, stamp_leaves_the_batch_valid,
           every_truncation_is_refused, every_bit_flip_is_refused,
           liars_are_found_by_the_walk, two_batches_or_a_rest_are_refused,
           header_must_not_contradict_itself, producer_with_a_sequence_is_let_in,
           size_is_known_from_twelve_bytes)
