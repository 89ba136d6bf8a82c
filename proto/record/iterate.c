/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record/iterate.h"

#include "proto/record/compress.h"
#include "proto/record/varint.h"

#include <stdlib.h>

static enum status unpack(struct iterate *it, struct bytes records, size_t limit)
{
    struct writer out = writer_growing();
    enum status st = decompress((enum codec)(it->batch.attributes & BATCH_CODEC_MASK),
                                records, limit, &out);

    if (st) {
        writer_release(&out);
        return st;
    }
    it->memory = out.data;
    it->reader = reader_of(out.data, out.len);
    return STATUS_OK;
}

enum status iterate_begin(struct iterate *it, struct bytes data, size_t limit)
{
    struct bytes records;
    enum status st;

    *it = (struct iterate){.last_delta = -1};
    st = batch_parse(data, &it->batch);
    if (st)
        return st;
    if (it->batch.count < 0)
        return STATUS_CORRUPT_MESSAGE;
    records = (struct bytes){data.data + BATCH_HEADER, it->batch.size - BATCH_HEADER};
    if ((it->batch.attributes & BATCH_CODEC_MASK) != CODEC_NONE)
        return unpack(it, records, limit);
    it->reader = reader_of(records.data, records.len);
    return STATUS_OK;
}

/* A key or value: -1 is null, and an empty one points somewhere all the same. */
static bool take_field(const uint8_t **p, const uint8_t *end, int32_t least,
                       struct bytes *out)
{
    int32_t len;

    if (!varint_take(p, end, &len) || len < least || len > end - *p)
        return false;
    *out = len < 0 ? (struct bytes){NULL, 0} : (struct bytes){*p, (size_t)len};
    *p += len > 0 ? len : 0;
    return true;
}

static bool headers_are_exact(const uint8_t *p, const uint8_t *end, int32_t count)
{
    struct bytes field;

    for (; count > 0; count--)
        if (!take_field(&p, end, 0, &field) || !take_field(&p, end, -1, &field))
            return false;
    return p == end;
}

static bool take_record(struct iterate *it, struct record *out)
{
    const uint8_t *p = it->reader.at, *end;
    int32_t len, offset_delta;
    int64_t timestamp_delta;

    if (!varint_take(&p, it->reader.end, &len) || len < 1 || len > it->reader.end - p)
        return false;
    end = p + len;
    it->reader.at = end;
    p++; /* attributes: none are defined */
    if (!varlong_take(&p, end, &timestamp_delta) ||
        !varint_take(&p, end, &offset_delta) || !take_field(&p, end, -1, &out->key) ||
        !take_field(&p, end, -1, &out->value) ||
        !varint_take(&p, end, &out->header_count) || out->header_count < 0 ||
        out->header_count > end - p)
        return false;
    /* Offsets go up and stay within the batch; compaction may leave gaps. Nobody who
     * stored a compressed batch has looked inside it. */
    if (offset_delta <= it->last_delta || offset_delta > it->batch.last_offset_delta)
        return false;
    it->last_delta = offset_delta;
    out->headers = (struct bytes){p, (size_t)(end - p)};
    out->offset =
        (int64_t)((uint64_t)it->batch.base_offset + (uint64_t)(int64_t)offset_delta);
    out->timestamp =
        it->batch.attributes & BATCH_LOG_APPEND_TIME
            ? it->batch.max_timestamp
            : (int64_t)((uint64_t)it->batch.base_timestamp + (uint64_t)timestamp_delta);
    return headers_are_exact(p, end, out->header_count);
}

enum status iterate_next(struct iterate *it, struct record *out)
{
    if (it->done == it->batch.count)
        return reader_left(&it->reader) == 0 ? STATUS_AGAIN : STATUS_CORRUPT_MESSAGE;
    if (!take_record(it, out))
        return STATUS_CORRUPT_MESSAGE;
    it->done++;
    return STATUS_OK;
}

void iterate_end(struct iterate *it)
{
    free(it->memory);
    it->memory = NULL;
}

bool record_header_next(struct bytes *headers, struct record_header *out)
{
    const uint8_t *p = headers->data, *end = p + headers->len;

    if (headers->len == 0 || !take_field(&p, end, 0, &out->name) ||
        !take_field(&p, end, -1, &out->value))
        return false;
    *headers = (struct bytes){p, (size_t)(end - p)};
    return true;
}
