/* SPDX-License-Identifier: Apache-2.0
 *
 * What is built is what is read: records of every shape, with and without compression. */
#include "proto/record/build.h"

#include "tests/unit/proto/golden.h"
#include "proto/base/crc32c.h"
#include "proto/base/prng.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

enum { LIMIT = 1 << 22, FIELD_MAX = 300, HEADERS_MAX = 4 };

static const struct build_producer nobody = {-1, -1, -1};

static struct bytes text(const char *s)
{
    return s ? bytes_of(s) : (struct bytes){0};
}

static void assert_same(struct bytes a, struct bytes b)
{
    ck_assert_int_eq(a.data == NULL, b.data == NULL);
    ck_assert(bytes_equal(a, b));
}

/* Byte for byte what Kafka's clients would send. */
START_TEST(golden_batch_is_built)
{
    const struct record_header headers[] = {{text("h"), text("1")},
                                            {text("e"), text(NULL)}};
    uint8_t expected[GOLDEN_BYTES];
    struct build b;
    struct bytes out;

    golden_copy(expected);
    build_init(&b);
    build_begin(&b);
    build_add(&b, 1500000000000, text("k1"), text("hello"), NULL, 0);
    build_add(&b, 1500000000005, text(NULL), text(""), headers, 2);
    build_add(&b, 1499999999900, text(""), text(NULL), NULL, 0);
    ck_assert_uint_eq(build_size(&b), GOLDEN_BYTES);
    ck_assert_int_eq(build_finish(&b, CODEC_NONE, nobody, &out), STATUS_OK);
    ck_assert_uint_eq(out.len, GOLDEN_BYTES);
    ck_assert_mem_eq(out.data, expected, GOLDEN_BYTES);
    build_release(&b);
}
END_TEST

/* A record that a seed makes: builder and reader can ask for the n-th again. */
struct made {
    int64_t timestamp;
    struct bytes key, value;
    struct record_header headers[HEADERS_MAX];
    size_t header_count;
};

static struct bytes made_field(struct prng *p, bool may_be_null)
{
    static uint8_t pool[2 * FIELD_MAX];

    for (size_t i = 0; i < sizeof pool; i++)
        pool[i] = (uint8_t)("abcdefgh"[i % 8] + (int)(i / 64));
    if (may_be_null && prng_below(p, 5) == 0)
        return (struct bytes){0};
    return (struct bytes){pool + prng_below(p, FIELD_MAX),
                          prng_below(p, 4) ? prng_below(p, 20)
                                           : prng_below(p, FIELD_MAX)};
}

static struct made make(uint64_t seed, uint64_t n)
{
    struct prng p;
    struct made r;

    prng_init(&p, seed * 1000003 + n);
    r.timestamp = 1700000000000 + (int64_t)prng_below(&p, 1 << 20) - (1 << 19);
    r.key = made_field(&p, true);
    r.value = made_field(&p, true);
    r.header_count = prng_below(&p, 3) ? 0 : prng_below(&p, HEADERS_MAX + 1);
    for (size_t i = 0; i < r.header_count; i++) {
        r.headers[i].name = made_field(&p, false);
        r.headers[i].value = made_field(&p, true);
    }
    return r;
}

static void assert_made(const struct record *got, const struct made *want)
{
    struct bytes headers = got->headers;
    struct record_header h;

    ck_assert_int_eq(got->timestamp, want->timestamp);
    assert_same(got->key, want->key);
    assert_same(got->value, want->value);
    ck_assert_int_eq(got->header_count, (int64_t)want->header_count);
    for (size_t i = 0; i < want->header_count; i++) {
        ck_assert(record_header_next(&headers, &h));
        assert_same(h.name, want->headers[i].name);
        assert_same(h.value, want->headers[i].value);
    }
    ck_assert(!record_header_next(&headers, &h));
}

static void assert_batch(struct bytes data, uint64_t seed, uint64_t count)
{
    struct iterate it;
    struct record r;

    ck_assert_int_eq(iterate_begin(&it, data, LIMIT), STATUS_OK);
    for (uint64_t n = 0; n < count; n++) {
        struct made want = make(seed, n);

        ck_assert_int_eq(iterate_next(&it, &r), STATUS_OK);
        ck_assert_int_eq(r.offset, 5000 + (int64_t)n);
        assert_made(&r, &want);
    }
    ck_assert_int_eq(iterate_next(&it, &r), STATUS_AGAIN);
    ck_assert_int_eq(iterate_next(&it, &r), STATUS_AGAIN);
    iterate_end(&it);
    iterate_end(&it); /* twice does no harm */
}

START_TEST(what_is_built_is_what_is_read)
{
    static const enum codec codecs[] = {CODEC_NONE, CODEC_LZ4};
    struct build b;

    build_init(&b);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t count = 1 + seed * seed % 97;
        struct bytes out;
        struct batch head;

        build_begin(&b);
        for (uint64_t n = 0; n < count; n++) {
            struct made r = make(seed, n);
            size_t before = build_size(&b);

            build_add(&b, r.timestamp, r.key, r.value, r.headers, r.header_count);
            ck_assert_uint_le(
                build_size(&b) - before,
                build_record_bound(r.key, r.value, r.headers, r.header_count));
        }
        ck_assert_int_eq(build_finish(&b, codecs[seed % 2], nobody, &out), STATUS_OK);
        ck_assert_int_eq(batch_verify(out, &head), STATUS_OK);
        ck_assert_int_eq(head.count, (int64_t)count);
        batch_stamp(b.squeezed.data == out.data ? b.squeezed.data : b.out.data, 5000, 3);
        assert_batch(out, seed, count);
    }
    build_release(&b);
}
END_TEST

START_TEST(compressed_only_when_smaller)
{
    struct build b;
    struct bytes out;
    struct batch head;
    static uint8_t zeros[5000];

    build_init(&b);
    build_begin(&b);
    build_add(&b, 1, text("k"), text("v"), NULL, 0);
    ck_assert_int_eq(build_finish(&b, CODEC_LZ4, nobody, &out), STATUS_OK);
    ck_assert_int_eq(batch_verify(out, &head), STATUS_OK);
    ck_assert_uint_eq(head.attributes, CODEC_NONE);

    build_begin(&b);
    build_add(&b, 1, text("k"), (struct bytes){zeros, sizeof zeros}, NULL, 0);
    ck_assert_int_eq(build_finish(&b, CODEC_LZ4, nobody, &out), STATUS_OK);
    ck_assert_int_eq(batch_verify(out, &head), STATUS_OK);
    ck_assert_uint_eq(head.attributes, CODEC_LZ4);
    ck_assert_uint_lt(out.len, 200);
    ck_assert_int_eq(build_finish(&b, CODEC_ZSTD, nobody, &out),
                     STATUS_UNSUPPORTED_COMPRESSION);
    build_release(&b);
}
END_TEST

START_TEST(producer_is_written_into_the_header)
{
    struct build b;
    struct bytes out;
    struct batch head;

    build_init(&b);
    build_begin(&b);
    build_add(&b, 7, text(NULL), text(NULL), NULL, 0);
    build_add(&b, 3, text(NULL), text(NULL), NULL, 0);
    ck_assert_int_eq(
        build_finish(&b, CODEC_NONE, (struct build_producer){77, 2, 1000}, &out),
        STATUS_OK);
    ck_assert_int_eq(batch_verify(out, &head), STATUS_OK);
    ck_assert_int_eq(head.producer_id, 77);
    ck_assert_int_eq(head.producer_epoch, 2);
    ck_assert_int_eq(head.base_sequence, 1000);
    ck_assert_int_eq(head.base_timestamp, 7);
    ck_assert_int_eq(head.max_timestamp, 7);
    build_release(&b);
}
END_TEST

/* Times at the edges wrap in their difference and come back all the same. */
START_TEST(extreme_times_survive)
{
    static const int64_t times[] = {INT64_MAX, INT64_MIN, 0, -1, INT64_MAX};
    struct build b;
    struct bytes out;
    struct iterate it;
    struct record r;

    build_init(&b);
    build_begin(&b);
    for (size_t i = 0; i < 5; i++)
        build_add(&b, times[i], text(NULL), text("v"), NULL, 0);
    ck_assert_int_eq(build_finish(&b, CODEC_NONE, nobody, &out), STATUS_OK);
    ck_assert_int_eq(iterate_begin(&it, out, LIMIT), STATUS_OK);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(iterate_next(&it, &r), STATUS_OK);
        ck_assert_int_eq(r.timestamp, times[i]);
    }
    iterate_end(&it);
    build_release(&b);
}
END_TEST

START_TEST(append_time_is_every_records_time)
{
    uint8_t data[GOLDEN_BYTES];
    struct iterate it;
    struct record r;

    golden_copy(data);
    data[BATCH_AT_ATTRIBUTES + 1] |= BATCH_LOG_APPEND_TIME;
    ck_assert_int_eq(iterate_begin(&it, (struct bytes){data, sizeof data}, LIMIT),
                     STATUS_OK);
    for (int n = 0; n < GOLDEN_RECORDS; n++) {
        ck_assert_int_eq(iterate_next(&it, &r), STATUS_OK);
        ck_assert_int_eq(r.timestamp, 1500000000005);
    }
    iterate_end(&it);
}
END_TEST

/* A compactor takes records out and leaves the last offset delta: the others keep their
 * offsets. Offsets that stand still, go back or leave the batch are somebody's lie. */
START_TEST(offsets_may_have_gaps_but_only_go_up)
{
    static const struct {
        uint8_t first, second; /* zigzag offset deltas of the first two records */
        int32_t last;
        enum status at_second;
    } rows[] = {
        {2, 8, 9, STATUS_OK},              /* 1, 4 of 0..9 */
        {2, 2, 9, STATUS_CORRUPT_MESSAGE}, /* 1, 1 */
        {4, 2, 9, STATUS_CORRUPT_MESSAGE}, /* 2, 1 */
        {0, 1, 9, STATUS_CORRUPT_MESSAGE}, /* 0, -1 */
        {0, 20, 9, STATUS_CORRUPT_MESSAGE} /* 0, 10 */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t data[GOLDEN_BYTES];
        struct iterate it;
        struct record r;

        golden_copy(data);
        data[64] = rows[i].first;
        data[78] = rows[i].second;
        store_u32(data + BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)rows[i].last);
        ck_assert_int_eq(iterate_begin(&it, (struct bytes){data, sizeof data}, LIMIT),
                         STATUS_OK);
        ck_assert_int_eq(iterate_next(&it, &r), STATUS_OK);
        ck_assert_int_eq(r.offset, rows[i].first / 2);
        ck_assert_int_eq(iterate_next(&it, &r), rows[i].at_second);
        iterate_end(&it);
    }
}
END_TEST

START_TEST(lying_counts_end_in_corruption)
{
    static const uint32_t counts[] = {2, 4, 1000000};

    for (size_t i = 0; i < 3; i++) {
        uint8_t data[GOLDEN_BYTES];
        struct iterate it;
        struct record r;
        enum status st;

        golden_copy(data);
        store_u32(data + BATCH_AT_COUNT, counts[i]);
        ck_assert_int_eq(iterate_begin(&it, (struct bytes){data, sizeof data}, LIMIT),
                         STATUS_OK);
        while ((st = iterate_next(&it, &r)) == STATUS_OK)
            ;
        ck_assert_int_eq(st, STATUS_CORRUPT_MESSAGE);
        iterate_end(&it);
    }
}
END_TEST

START_TEST(bomb_is_not_unpacked)
{
    static uint8_t zeros[1 << 20];
    struct build b;
    struct bytes out;
    struct iterate it;

    build_init(&b);
    build_begin(&b);
    build_add(&b, 1, text(NULL), (struct bytes){zeros, sizeof zeros}, NULL, 0);
    ck_assert_int_eq(build_finish(&b, CODEC_LZ4, nobody, &out), STATUS_OK);
    ck_assert_uint_lt(out.len, 6000);
    ck_assert_int_eq(iterate_begin(&it, out, sizeof zeros), STATUS_MESSAGE_TOO_LARGE);
    iterate_end(&it);
    ck_assert_int_eq(iterate_begin(&it, out, 2 * sizeof zeros), STATUS_OK);
    iterate_end(&it);
    build_release(&b);
}
END_TEST

SUITE_MAIN("build", golden_batch_is_built, what_is_built_is_what_is_read,
           compressed_only_when_smaller, producer_is_written_into_the_header,
           extreme_times_survive, append_time_is_every_records_time,
           offsets_may_have_gaps_but_only_go_up, lying_counts_end_in_corruption,
           bomb_is_not_unpacked)
