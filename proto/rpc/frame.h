/* SPDX-License-Identifier: Apache-2.0
 *
 * The native protocol's outermost layer. A connection begins with an 8-byte preface in
 * each direction, then carries frames:
 *
 *     u32 length        bytes that follow this field (at least 12)
 *     u16 api           what is asked (enum rpc_api); a response repeats it
 *     u16 flags         enum frame_flag
 *     u32 correlation   chosen by the asker, repeated by the response
 *     u32 header        length of the protobuf header
 *     header            a message of leat.proto
 *     payload           the rest: record batches, untouched
 *
 * All numbers big-endian. Responses may arrive in any order; the correlation tells. */
#pragma once

#include "proto/base/bytes.h"

enum {
    FRAME_HEAD = 16,
    FRAME_PREFACE = 8,
    FRAME_PROTOCOL_VERSION = 1,
    FRAME_HEADER_MAX = 4 * 1024 * 1024, /* protobuf part */
};

enum frame_flag {
    FRAME_RESPONSE = 0x0001,
    FRAME_ERROR = 0x0002,   /* the header is an ErrorResponse */
    FRAME_ONE_WAY = 0x0004, /* the asker wants no response (acks=none) */
    FRAME_FLAGS_KNOWN = 0x0007,
};

struct frame {
    uint32_t length; /* as on the wire: the frame has length + 4 bytes in all */
    uint16_t api;
    uint16_t flags;
    uint32_t correlation;
    uint32_t header_bytes;
};

/* "LEAT", the version (u16), CR LF: damaged by any transfer that is not 8-bit clean,
 * and as a Kafka length it would be 1.2 GB, so the two protocols cannot be confused. */
void preface_write(uint8_t out[static FRAME_PREFACE], uint16_t version);
/* PROTOCOL if these 8 bytes are no preface; the peer's version otherwise. */
STATUS_MUST_CHECK enum status preface_read(const uint8_t in[static FRAME_PREFACE],
                                           uint16_t *version);

void frame_write(uint8_t out[static FRAME_HEAD], const struct frame *f);

/* Read and validate a frame head: PROTOCOL for lengths that contradict each other or
 * unknown flags, FRAME_TOO_LARGE when the whole frame has more than `limit` bytes. */
STATUS_MUST_CHECK enum status frame_read(const uint8_t in[static FRAME_HEAD],
                                         size_t limit, struct frame *out);

static inline size_t frame_payload_bytes(const struct frame *f)
{
    return f->length - (FRAME_HEAD - 4) - f->header_bytes;
}
