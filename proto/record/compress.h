/* SPDX-License-Identifier: Apache-2.0
 *
 * Codecs for record batches, one table row each, numbered as in the batch attributes.
 * LZ4 is the frame format with independent blocks, as Kafka's clients demand. */
#pragma once

#include "proto/base/bytes.h"

enum codec {
    CODEC_NONE = 0,
    CODEC_GZIP = 1,
    CODEC_SNAPPY = 2,
    CODEC_LZ4 = 3,
    CODEC_ZSTD = 4,
};

enum { CODEC_COUNT = 5 };

/* "none", "gzip", ...; "unknown" outside of the table. */
const char *codec_name(enum codec codec);
bool codec_parse(const char *name, enum codec *out);

/* Whether this build can compress and decompress it. CODEC_NONE is supported. */
bool codec_is_supported(enum codec codec);

/* Append the compressed form of `in`. NO_MEMORY, UNSUPPORTED_COMPRESSION. */
STATUS_MUST_CHECK enum status compress(enum codec codec, struct bytes in,
                                       struct writer *out);

/* Append what `in` decompresses to, at most `limit` bytes of it: MESSAGE_TOO_LARGE
 * beyond, CORRUPT_MESSAGE if `in` is not a whole stream of the codec. */
STATUS_MUST_CHECK enum status decompress(enum codec codec, struct bytes in, size_t limit,
                                         struct writer *out);
