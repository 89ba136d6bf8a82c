/* SPDX-License-Identifier: Apache-2.0
 *
 * LZ4 as Kafka's clients read and write it, and nothing that is larger inside than the
 * reader is ready for. */
#include "proto/record/compress.h"

#include "proto/base/prng.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

/* Half words, half chance. */
static struct bytes sample(size_t len)
{
    static uint8_t data[300000];
    struct prng random;

    prng_init(&random, len);
    for (size_t i = 0; i < len; i++)
        data[i] =
            i / 40 % 2 ? (uint8_t)prng_next(&random) : (uint8_t) "leat mill "[i % 10];
    return (struct bytes){data, len};
}

static struct writer packed(enum codec codec, struct bytes in)
{
    struct writer out = writer_growing();

    ck_assert_int_eq(compress(codec, in, &out), STATUS_OK);
    return out;
}

START_TEST(what_goes_in_comes_out)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 300000};
    static const enum codec codecs[] = {CODEC_NONE, CODEC_LZ4};

    for (size_t c = 0; c < 2; c++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct bytes in = sample(sizes[i]);
            struct writer small = packed(codecs[c], in), out = writer_growing();

            write_text(&out, "before");
            ck_assert_int_eq(decompress(codecs[c], (struct bytes){small.data, small.len},
                                        in.len, &out),
                             STATUS_OK);
            ck_assert_uint_eq(out.len, 6 + in.len);
            ck_assert_mem_eq(out.data + 6, in.data, in.len);
            writer_release(&out);
            writer_release(&small);
        }
}
END_TEST

/* Kafka's Java client refuses frames whose blocks depend on each other, and expects
 * 64 KiB blocks: FLG 0x60 (version 1, independent), BD 0x40, no sums, no sizes. */
START_TEST(frame_is_what_kafka_expects)
{
    struct writer small = packed(CODEC_LZ4, sample(300000));

    ck_assert_mem_eq(small.data, "\x04\x22\x4d\x18\x60\x40\x82", 7);
    ck_assert_mem_eq(small.data + small.len - 4, "\0\0\0\0", 4); /* end mark */
    writer_release(&small);
}
END_TEST

/* Frames that the lz4 tool wrote: without and with a checksum of the content. */
START_TEST(foreign_frames_are_read)
{
    static const uint8_t plain[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 0x0f,
                                    0x00, 0x00, 0x00, 0x5f, 0x6c, 0x65, 0x61, 0x74,
                                    0x20, 0x05, 0x00, 0x15, 0x50, 0x6c, 0x65, 0x61,
                                    0x74, 0x0a, 0x00, 0x00, 0x00, 0x00};
    static const uint8_t summed[] = {0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x0f, 0x00,
                                     0x00, 0x00, 0x5f, 0x6c, 0x65, 0x61, 0x74, 0x20, 0x05,
                                     0x00, 0x15, 0x50, 0x6c, 0x65, 0x61, 0x74, 0x0a, 0x00,
                                     0x00, 0x00, 0x00, 0x4a, 0xa2, 0xda, 0xf4};
    const struct bytes frames[] = {{plain, sizeof plain}, {summed, sizeof summed}};

    for (size_t i = 0; i < 2; i++) {
        struct writer out = writer_growing();

        ck_assert_int_eq(decompress(CODEC_LZ4, frames[i], 1000, &out), STATUS_OK);
        ck_assert_uint_eq(out.len, 50);
        ck_assert_mem_eq(out.data, "leat leat ", 10);
        ck_assert_mem_eq(out.data + 45, "leat\n", 5);
        writer_release(&out);
    }
}
END_TEST

START_TEST(output_is_capped)
{
    static uint8_t zeros[300000];
    struct writer small = packed(CODEC_LZ4, (struct bytes){zeros, sizeof zeros});
    struct writer out = writer_growing();
    struct bytes in = {small.data, small.len};

    ck_assert_uint_lt(small.len, 2000);
    ck_assert_int_eq(decompress(CODEC_LZ4, in, sizeof zeros - 1, &out),
                     STATUS_MESSAGE_TOO_LARGE);
    ck_assert_uint_eq(out.len, 0);
    ck_assert_int_eq(decompress(CODEC_LZ4, in, 10, &out), STATUS_MESSAGE_TOO_LARGE);
    ck_assert_uint_le(out.capacity, 1 << 20);
    ck_assert_int_eq(decompress(CODEC_NONE, in, in.len - 1, &out),
                     STATUS_MESSAGE_TOO_LARGE);
    ck_assert_int_eq(decompress(CODEC_LZ4, in, sizeof zeros, &out), STATUS_OK);
    writer_release(&out);
    writer_release(&small);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct writer small = packed(CODEC_LZ4, sample(1000)), out = writer_growing();

    for (size_t len = 0; len < small.len; len++)
        ck_assert_int_eq(
            decompress(CODEC_LZ4, (struct bytes){small.data, len}, 1 << 20, &out),
            STATUS_CORRUPT_MESSAGE);
    write_u8(&small, 0); /* and so is anything behind the frame */
    ck_assert_int_eq(
        decompress(CODEC_LZ4, (struct bytes){small.data, small.len}, 1 << 20, &out),
        STATUS_CORRUPT_MESSAGE);
    ck_assert_uint_eq(out.len, 0);
    writer_release(&out);
    writer_release(&small);
}
END_TEST

/* Contexts are used again; whatever a broken frame left in one must not be seen. */
START_TEST(broken_frame_leaves_no_trace)
{
    struct bytes in = sample(70000);
    struct writer small = packed(CODEC_LZ4, in), out = writer_growing();

    for (size_t cut = 1; cut < small.len; cut += 997) {
        ck_assert_int_eq(
            decompress(CODEC_LZ4, (struct bytes){small.data, cut}, 1 << 20, &out),
            STATUS_CORRUPT_MESSAGE);
        ck_assert_int_eq(
            decompress(CODEC_LZ4, (struct bytes){small.data, small.len}, 1 << 20, &out),
            STATUS_OK);
        ck_assert_uint_eq(out.len, in.len);
        ck_assert_mem_eq(out.data, in.data, in.len);
        out.len = 0;
    }
    writer_release(&out);
    writer_release(&small);
}
END_TEST

START_TEST(codecs_have_names)
{
    enum codec codec;

    for (unsigned n = 0; n < CODEC_COUNT; n++) {
        ck_assert(codec_parse(codec_name((enum codec)n), &codec));
        ck_assert_uint_eq(codec, n);
    }
    ck_assert(!codec_parse("unknown", &codec));
    ck_assert(!codec_parse("", &codec));
    ck_assert_str_eq(codec_name((enum codec)7), "unknown");
}
END_TEST

START_TEST(absent_codecs_say_so)
{
    static const enum codec absent[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_ZSTD,
                                        (enum codec)5, (enum codec)7};
    struct writer out = writer_growing();

    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        ck_assert(!codec_is_supported(absent[i]));
        ck_assert_int_eq(compress(absent[i], sample(9), &out),
                         STATUS_UNSUPPORTED_COMPRESSION);
        ck_assert_int_eq(decompress(absent[i], sample(9), 100, &out),
                         STATUS_UNSUPPORTED_COMPRESSION);
    }
    ck_assert(codec_is_supported(CODEC_NONE) && codec_is_supported(CODEC_LZ4));
    writer_release(&out);
}
END_TEST

SUITE_MAIN("compress", what_goes_in_comes_out, frame_is_what_kafka_expects,
           foreign_frames_are_read, output_is_capped, every_truncation_is_refused,
           broken_frame_leaves_no_trace, codecs_have_names, absent_codecs_say_so)
