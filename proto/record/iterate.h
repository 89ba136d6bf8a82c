/* SPDX-License-Identifier: Apache-2.0
 *
 * Walk the records inside one batch. A compressed batch is first decompressed into memory
 * that the iterator owns, never more than `limit` bytes of it; the records' keys, values
 * and headers then point into that memory, or into the batch itself when it was not
 * compressed, and stay valid until iterate_end. */
#pragma once

#include "proto/record/batch.h"

struct record {
    int64_t offset;
    int64_t timestamp;
    struct bytes key;   /* data NULL: no key */
    struct bytes value; /* data NULL: no value, a tombstone */
    int32_t header_count;
    struct bytes headers; /* encoded; walk with record_header_next */
};

struct record_header {
    struct bytes name;
    struct bytes value; /* data NULL: no value */
};

struct iterate {
    struct batch batch;
    struct reader reader;
    int32_t done;
    int32_t last_delta; /* of the offset, -1 before the first record */
    uint8_t *memory;    /* decompressed records, or NULL */
};

/* `data` is one whole batch whose checksum was checked. UNSUPPORTED_COMPRESSION,
 * CORRUPT_MESSAGE, MESSAGE_TOO_LARGE (more than `limit` bytes come out) or NO_MEMORY. */
STATUS_MUST_CHECK enum status iterate_begin(struct iterate *it, struct bytes data,
                                            size_t limit);

/* The next record. AGAIN after the last one; CORRUPT_MESSAGE if the bytes are not
 * records. */
STATUS_MUST_CHECK enum status iterate_next(struct iterate *it, struct record *out);
void iterate_end(struct iterate *it);

/* Take the next header off the front of `*headers`; false at the end. The headers of a
 * record that iterate_next returned are well formed. */
bool record_header_next(struct bytes *headers, struct record_header *out);
