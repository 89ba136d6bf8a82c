/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch as a hostile producer, or a hostile broker, would send it. The first byte says
 * whether length, magic and checksum are put right, so that the bytes get further in than
 * chance would let them. */
#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/record/batch.h"
#include "proto/record/build.h"
#include "proto/record/iterate.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 18, SEAL = 1 };

static volatile uint8_t sink;

/* Every byte, so that the sanitizer sees where a view really leads. */
static void touch(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        sink ^= b.data[i];
}

static void seal(uint8_t *data, size_t size)
{
    store_u32(data + BATCH_AT_LENGTH, (uint32_t)(size - BATCH_LENGTH_OVERHEAD));
    data[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_u32(data + BATCH_AT_CRC,
              crc32c(0, data + BATCH_AT_ATTRIBUTES, size - BATCH_AT_ATTRIBUTES));
}

static void touch_record(const struct record *r)
{
    struct bytes headers = r->headers;
    struct record_header h;
    int32_t count = 0;

    touch(r->key);
    touch(r->value);
    for (; record_header_next(&headers, &h); count++) {
        CHECK(h.name.data != NULL);
        touch(h.name);
        touch(h.value);
    }
    CHECK(headers.len == 0);
    CHECK(count == r->header_count);
}

/* How many records came out, and what ended the walk. */
static int32_t walk(struct bytes data, enum status *end)
{
    struct iterate it;
    struct record r;
    int64_t last = INT64_MIN;
    int32_t count = 0;

    *end = iterate_begin(&it, data, LIMIT);
    if (*end)
        return 0;
    while ((*end = iterate_next(&it, &r)) == STATUS_OK) {
        if (it.batch.base_offset >= 0 && it.batch.base_offset < INT64_MAX / 2) {
            CHECK(r.offset > last);
            CHECK(r.offset < batch_next_offset(&it.batch));
        }
        last = r.offset;
        touch_record(&r);
        count++;
    }
    CHECK(count <= it.batch.count);
    iterate_end(&it);
    return count;
}

static void try_all(struct bytes data)
{
    struct batch parsed, verified;
    enum status end, parse = batch_parse(data, &parsed);
    enum status verify = batch_verify(data, &verified);
    int32_t count = walk(data, &end);

    if (parse == STATUS_OK)
        CHECK(batch_size(data) == (int64_t)parsed.size);
    if (verify != STATUS_OK)
        return;
    CHECK(parse == STATUS_OK && parsed.size == data.len);
    if ((verified.attributes & BATCH_CODEC_MASK) != CODEC_NONE)
        return;
    /* What a leader let in, a consumer can read. */
    CHECK(end == STATUS_AGAIN);
    CHECK(count == verified.count);
}

static void unpack(struct bytes data)
{
    struct writer out = writer_growing();

    if (decompress(CODEC_LZ4, data, LIMIT, &out) == STATUS_OK)
        CHECK(out.len <= LIMIT);
    writer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size < 1)
        return 0;
    copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    size--;
    if (data[0] & SEAL && size >= BATCH_HEADER)
        seal(copy, size);
    try_all((struct bytes){copy, size});
    if (size > BATCH_HEADER)
        unpack((struct bytes){copy + BATCH_HEADER, size - BATCH_HEADER});
    free(copy);
    return 0;
}

bool fuzz_seed(unsigned n, struct writer *out)
{
    static const struct {
        int count;
        size_t value, headers;
        enum codec codec;
    } rows[] = {
        {1, 0, 0, CODEC_NONE},  {3, 5, 0, CODEC_NONE},   {2, 10, 2, CODEC_NONE},
        {20, 90, 0, CODEC_LZ4}, {5, 200, 1, CODEC_LZ4},  {100, 3, 0, CODEC_NONE},
        {1, 200, 0, CODEC_LZ4}, {2, 5000, 0, CODEC_LZ4},
    };
    static uint8_t zeros[5000];
    const struct record_header headers[] = {{bytes_of("name"), bytes_of("text")},
                                            {bytes_of(""), {0}}};
    struct build b;
    struct bytes batch;

    if (n >= sizeof rows / sizeof rows[0])
        return false;
    build_init(&b);
    build_begin(&b);
    for (int i = 0; i < rows[n].count; i++)
        build_add(&b, 1700000000000 + i, i % 3 ? bytes_of("key") : (struct bytes){0},
                  i % 4 ? (struct bytes){zeros, rows[n].value} : (struct bytes){0},
                  headers, rows[n].headers);
    CHECK(build_finish(&b, rows[n].codec, (struct build_producer){-1, -1, -1}, &batch) ==
          STATUS_OK);
    write_u8(out, SEAL);
    write_bytes(out, batch.data, batch.len);
    build_release(&b);
    return true;
}
