/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record/batch.h"

#include "proto/base/crc32c.h"
#include "proto/record/compress.h"
#include "proto/record/varint.h"

enum { LENGTH_MIN = BATCH_HEADER - BATCH_LENGTH_OVERHEAD };

int64_t batch_size(struct bytes data)
{
    int32_t length;

    if (data.len < BATCH_LENGTH_OVERHEAD)
        return 0;
    length = (int32_t)load_u32(data.data + BATCH_AT_LENGTH);
    return length < LENGTH_MIN ? -1 : (int64_t)length + BATCH_LENGTH_OVERHEAD;
}

enum status batch_parse(struct bytes data, struct batch *out)
{
    int64_t size = batch_size(data);
    const uint8_t *p = data.data;

    if (size > (int64_t)data.len || size < BATCH_HEADER)
        return STATUS_CORRUPT_MESSAGE;
    if (p[BATCH_AT_MAGIC] != BATCH_MAGIC)
        return STATUS_UNSUPPORTED_FORMAT;
    *out = (struct batch){
        .base_offset = (int64_t)load_u64(p + BATCH_AT_BASE_OFFSET),
        .size = (size_t)size,
        .leader_epoch = (int32_t)load_u32(p + BATCH_AT_LEADER_EPOCH),
        .crc = load_u32(p + BATCH_AT_CRC),
        .attributes = load_u16(p + BATCH_AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)load_u32(p + BATCH_AT_LAST_OFFSET_DELTA),
        .base_timestamp = (int64_t)load_u64(p + BATCH_AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)load_u64(p + BATCH_AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)load_u64(p + BATCH_AT_PRODUCER_ID),
        .producer_epoch = (int16_t)load_u16(p + BATCH_AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)load_u32(p + BATCH_AT_BASE_SEQUENCE),
        .count = (int32_t)load_u32(p + BATCH_AT_COUNT),
    };
    return STATUS_OK;
}

bool batch_checksum_ok(const struct batch *b, struct bytes data)
{
    return crc32c(0, data.data + BATCH_AT_ATTRIBUTES, b->size - BATCH_AT_ATTRIBUTES) ==
           b->crc;
}

static enum status verify_header(const struct batch *b)
{
    unsigned codec = b->attributes & BATCH_CODEC_MASK;

    if (b->count <= 0 || b->last_offset_delta != b->count - 1 ||
        (b->attributes & BATCH_CONTROL) != 0)
        return STATUS_INVALID_RECORD;
    if (b->producer_id >= 0 && (b->base_sequence < 0 || b->producer_epoch < 0))
        return STATUS_INVALID_RECORD;
    if (b->attributes & BATCH_LOG_APPEND_TIME)
        return STATUS_INVALID_TIMESTAMP;
    if (codec >= CODEC_COUNT)
        return STATUS_UNSUPPORTED_COMPRESSION;
    return STATUS_OK;
}

/* One record's inside, whose length was read: every part exact. */
static bool record_is_exact(const uint8_t *p, const uint8_t *end, int32_t number)
{
    int64_t timestamp_delta;
    int32_t offset_delta, len, headers;

    if (p == end || *p++ != 0) /* attributes: none are defined */
        return false;
    if (!varlong_take(&p, end, &timestamp_delta) ||
        !varint_take(&p, end, &offset_delta) || offset_delta != number)
        return false;
    for (int part = 0; part < 2; part++) { /* key and value */
        if (!varint_take(&p, end, &len) || len < -1 || len > end - p)
            return false;
        p += len > 0 ? len : 0;
    }
    if (!varint_take(&p, end, &headers) || headers < 0 || headers > end - p)
        return false;
    for (; headers > 0; headers--)
        for (int least = 0; least >= -1; least--) { /* a name is never null */
            if (!varint_take(&p, end, &len) || len < least || len > end - p)
                return false;
            p += len > 0 ? len : 0;
        }
    return p == end;
}

static enum status verify_records(const struct batch *b, const uint8_t *data)
{
    const uint8_t *p = data + BATCH_HEADER, *end = data + b->size;

    for (int32_t n = 0; n < b->count; n++) {
        int32_t len;

        if (!varint_take(&p, end, &len) || len < 0 || len > end - p ||
            !record_is_exact(p, p + len, n))
            return STATUS_INVALID_RECORD;
        p += len;
    }
    return p == end ? STATUS_OK : STATUS_INVALID_RECORD;
}

enum status batch_verify(struct bytes data, struct batch *out)
{
    struct batch b;
    enum status st = batch_parse(data, &b);

    if (st)
        return st;
    if (b.size != data.len)
        return STATUS_INVALID_RECORD;
    if (!batch_checksum_ok(&b, data))
        return STATUS_CORRUPT_MESSAGE;
    st = verify_header(&b);
    if (st == STATUS_OK && (b.attributes & BATCH_CODEC_MASK) == CODEC_NONE)
        st = verify_records(&b, data.data);
    if (st == STATUS_OK)
        *out = b;
    return st;
}

void batch_stamp(uint8_t *data, int64_t base_offset, int32_t leader_epoch)
{
    store_u64(data + BATCH_AT_BASE_OFFSET, (uint64_t)base_offset);
    store_u32(data + BATCH_AT_LEADER_EPOCH, (uint32_t)leader_epoch);
}

void batch_stamp_producer(uint8_t *data, size_t len, int64_t producer_id,
                          int16_t producer_epoch, int32_t base_sequence)
{
    store_u64(data + BATCH_AT_PRODUCER_ID, (uint64_t)producer_id);
    store_u16(data + BATCH_AT_PRODUCER_EPOCH, (uint16_t)producer_epoch);
    store_u32(data + BATCH_AT_BASE_SEQUENCE, (uint32_t)base_sequence);
    store_u32(data + BATCH_AT_CRC,
              crc32c(0, data + BATCH_AT_ATTRIBUTES, len - BATCH_AT_ATTRIBUTES));
}
