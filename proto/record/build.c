/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record/build.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/record/varint.h"

#include <string.h>

void build_init(struct build *b)
{
    *b = (struct build){.out = writer_growing(), .squeezed = writer_growing()};
}

void build_release(struct build *b)
{
    writer_release(&b->out);
    writer_release(&b->squeezed);
}

void build_begin(struct build *b)
{
    b->out.len = 0;
    b->out.failed = false;
    b->squeezed.len = 0;
    b->squeezed.failed = false;
    b->base_timestamp = b->max_timestamp = 0;
    b->count = 0;
    write_reserve(&b->out, BATCH_HEADER);
}

/* A header's name is never null: without bytes it is empty. */
static struct bytes name_of(const struct record_header *header)
{
    return header->name.len > 0 ? header->name : bytes_of("");
}

static size_t field_size(struct bytes field)
{
    return varlong_size(field.data == NULL ? -1 : (int64_t)field.len) + field.len;
}

/* The record after its length field. */
static size_t inner_size(int64_t timestamp_delta, int32_t offset_delta, struct bytes key,
                         struct bytes value, const struct record_header *headers,
                         size_t header_count)
{
    size_t size = 1 + varlong_size(timestamp_delta) + varlong_size(offset_delta) +
                  field_size(key) + field_size(value) +
                  varlong_size((int64_t)header_count);

    for (size_t n = 0; n < header_count; n++)
        size += field_size(name_of(&headers[n])) + field_size(headers[n].value);
    return size;
}

size_t build_record_bound(struct bytes key, struct bytes value,
                          const struct record_header *headers, size_t header_count)
{
    return VARINT_MAX +
           inner_size(INT64_MIN, INT32_MAX, key, value, headers, header_count);
}

size_t build_size(const struct build *b)
{
    return b->out.len;
}

static uint8_t *put_field(uint8_t *p, struct bytes field)
{
    p = varlong_put(p, field.data == NULL ? -1 : (int64_t)field.len);
    if (field.len > 0)
        memcpy(p, field.data, field.len);
    return p + field.len;
}

void build_add(struct build *b, int64_t timestamp, struct bytes key, struct bytes value,
               const struct record_header *headers, size_t header_count)
{
    int64_t delta;
    size_t inner, size;
    uint8_t *p;

    if (b->count == 0)
        b->base_timestamp = b->max_timestamp = timestamp;
    if (timestamp > b->max_timestamp)
        b->max_timestamp = timestamp;
    delta = (int64_t)((uint64_t)timestamp - (uint64_t)b->base_timestamp);
    inner = inner_size(delta, b->count, key, value, headers, header_count);
    size = varlong_size((int64_t)inner) + inner;
    if (inner > INT32_MAX || (p = write_reserve(&b->out, size)) == NULL) {
        b->out.failed = true;
        return;
    }
    p = varlong_put(p, (int64_t)inner);
    *p++ = 0; /* attributes */
    p = varlong_put(p, delta);
    p = varlong_put(p, b->count);
    p = put_field(p, key);
    p = put_field(p, value);
    p = varlong_put(p, (int64_t)header_count);
    for (size_t n = 0; n < header_count; n++) {
        p = put_field(p, name_of(&headers[n]));
        p = put_field(p, headers[n].value);
    }
    CHECK(p == b->out.data + b->out.len);
    b->count++;
}

static void fill_header(const struct build *b, uint8_t *data, size_t size,
                        enum codec codec, struct build_producer producer)
{
    batch_stamp(data, 0, -1);
    store_u32(data + BATCH_AT_LENGTH, (uint32_t)(size - BATCH_LENGTH_OVERHEAD));
    data[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_u16(data + BATCH_AT_ATTRIBUTES, (uint16_t)codec);
    store_u32(data + BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)(b->count - 1));
    store_u64(data + BATCH_AT_BASE_TIMESTAMP, (uint64_t)b->base_timestamp);
    store_u64(data + BATCH_AT_MAX_TIMESTAMP, (uint64_t)b->max_timestamp);
    store_u64(data + BATCH_AT_PRODUCER_ID, (uint64_t)producer.id);
    store_u16(data + BATCH_AT_PRODUCER_EPOCH, (uint16_t)producer.epoch);
    store_u32(data + BATCH_AT_BASE_SEQUENCE, (uint32_t)producer.base_sequence);
    store_u32(data + BATCH_AT_COUNT, (uint32_t)b->count);
    store_u32(data + BATCH_AT_CRC,
              crc32c(0, data + BATCH_AT_ATTRIBUTES, size - BATCH_AT_ATTRIBUTES));
}

enum status build_finish(struct build *b, enum codec codec,
                         struct build_producer producer, struct bytes *out)
{
    struct writer *whole = &b->out;
    enum status st = writer_status(&b->out);

    if (st)
        return st;
    CHECK(b->count > 0);
    if (codec != CODEC_NONE) {
        struct bytes records = {b->out.data + BATCH_HEADER, b->out.len - BATCH_HEADER};

        b->squeezed.len = 0;
        write_reserve(&b->squeezed, BATCH_HEADER);
        st = compress(codec, records, &b->squeezed);
        if (st == STATUS_OK)
            st = writer_status(&b->squeezed);
        if (st)
            return st;
        if (b->squeezed.len < b->out.len)
            whole = &b->squeezed;
        else
            codec = CODEC_NONE;
    }
    if (whole->len > INT32_MAX)
        return STATUS_NO_MEMORY;
    fill_header(b, whole->data, whole->len, codec, producer);
    *out = (struct bytes){whole->data, whole->len};
    return STATUS_OK;
}
