/* SPDX-License-Identifier: Apache-2.0
 *
 * Build a batch record by record. The builder owns its memory; when it is finished the
 * bytes stay valid until the next build_begin or build_release. Running out of memory is
 * remembered and reported by build_finish. */
#pragma once

#include "proto/record/compress.h"
#include "proto/record/iterate.h"

struct build {
    struct writer out;      /* header (61 bytes, filled at the end), then records */
    struct writer squeezed; /* the compressed batch, when it is the smaller one */
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t count;
};

void build_init(struct build *b);
void build_release(struct build *b);

/* Begin an empty batch, keeping the memory of the one before. */
void build_begin(struct build *b);

/* Append one record; its offset is its number in the batch. `headers` may be NULL when
 * there are none. */
void build_add(struct build *b, int64_t timestamp, struct bytes key, struct bytes value,
               const struct record_header *headers, size_t header_count);

/* What one record will need at most, so that a batch can be closed before it overflows.
 */
size_t build_record_bound(struct bytes key, struct bytes value,
                          const struct record_header *headers, size_t header_count);

/* Bytes of the batch so far, uncompressed, header included. */
size_t build_size(const struct build *b);

/* Idempotence fields of a finished batch's header; -1, -1, -1 for none. */
struct build_producer {
    int64_t id;
    int16_t epoch;
    int32_t base_sequence;
};

/* Close the batch: compress (kept only if smaller), fill the header, checksum. At least
 * one record must have been added. NO_MEMORY, or UNSUPPORTED_COMPRESSION. */
STATUS_MUST_CHECK enum status build_finish(struct build *b, enum codec codec,
                                           struct build_producer producer,
                                           struct bytes *out);
