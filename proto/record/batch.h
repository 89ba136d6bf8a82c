/* SPDX-License-Identifier: Apache-2.0
 *
 * A record batch in Kafka's format v2: 61 bytes of header, then the records, perhaps
 * compressed as one stream. The producer builds it, every broker on the way verifies it,
 * the leader stamps offset and epoch in place (the checksum does not cover them), and
 * from then on these bytes are what is journalled, stored, replicated and consumed.
 * Source: Kafka's DefaultRecordBatch; KIP-98. */
#pragma once

#include "proto/base/bytes.h"

enum {
    BATCH_HEADER = 61,
    BATCH_LENGTH_OVERHEAD = 12, /* base offset and length field: total = length + 12 */
    BATCH_MAGIC = 2,
    /* Positions of the fields that are read or stamped in place. */
    BATCH_AT_BASE_OFFSET = 0,
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_ATTRIBUTES = 21,
    BATCH_AT_LAST_OFFSET_DELTA = 23,
    BATCH_AT_BASE_TIMESTAMP = 27,
    BATCH_AT_MAX_TIMESTAMP = 35,
    BATCH_AT_PRODUCER_ID = 43,
    BATCH_AT_PRODUCER_EPOCH = 51,
    BATCH_AT_BASE_SEQUENCE = 53,
    BATCH_AT_COUNT = 57,
};

enum batch_attribute {
    BATCH_CODEC_MASK = 0x07,
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
};

/* A batch's header, taken apart. `size` is the whole batch in bytes. */
struct batch {
    int64_t base_offset;
    size_t size;
    int32_t leader_epoch;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
};

/* How many bytes the batch that begins at `data` has in all, from its first 12 bytes;
 * 0 while there are fewer than 12, -1 if the length field can belong to no batch. */
int64_t batch_size(struct bytes data);

/* Read the header of the batch at the start of `data`, which may go on after it.
 * CORRUPT_MESSAGE if the batch is cut off or its length is impossible, UNSUPPORTED_FORMAT
 * if its magic is not 2. The checksum is not looked at. */
STATUS_MUST_CHECK enum status batch_parse(struct bytes data, struct batch *out);

/* Whether the bytes are what the checksum says. `data` holds at least `b->size` bytes. */
bool batch_checksum_ok(const struct batch *b, struct bytes data);

/* Everything that a leader demands of a batch that a client sent, in Kafka's order: size,
 * magic, checksum, then the header's own consistency (count > 0, count equal to the last
 * offset delta + 1, no control bit, known codec, sequence present when the producer id
 * is, no log-append bit). Uncompressed records are walked: every length exact, offset
 * deltas 0,1,2... `data` is exactly one batch. */
STATUS_MUST_CHECK enum status batch_verify(struct bytes data, struct batch *out);

/* Give the batch its place in the log. `data` is the start of the batch. */
void batch_stamp(uint8_t *data, int64_t base_offset, int32_t leader_epoch);
/* Give a whole batch of `len` bytes to another producer, or another place in its
 * sequence; the checksum follows. Nobody may have seen the batch yet. */
void batch_stamp_producer(uint8_t *data, size_t len, int64_t producer_id,
                          int16_t producer_epoch, int32_t base_sequence);

static inline int64_t batch_next_offset(const struct batch *b)
{
    return b->base_offset + b->last_offset_delta + 1;
}
