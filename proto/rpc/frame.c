/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc/frame.h"

#include <string.h>

/* The version stands in bytes 4 and 5. */
static const uint8_t preface[FRAME_PREFACE] = {'L', 'E', 'A', 'T', 0, 0, '\r', '\n'};

void preface_write(uint8_t out[static FRAME_PREFACE], uint16_t version)
{
    memcpy(out, preface, FRAME_PREFACE);
    store_u16(out + 4, version);
}

enum status preface_read(const uint8_t in[static FRAME_PREFACE], uint16_t *version)
{
    if (memcmp(in, preface, 4) != 0 || memcmp(in + 6, preface + 6, 2) != 0)
        return STATUS_PROTOCOL;
    *version = load_u16(in + 4);
    return STATUS_OK;
}

void frame_write(uint8_t out[static FRAME_HEAD], const struct frame *f)
{
    store_u32(out, f->length);
    store_u16(out + 4, f->api);
    store_u16(out + 6, f->flags);
    store_u32(out + 8, f->correlation);
    store_u32(out + 12, f->header_bytes);
}

enum status frame_read(const uint8_t in[static FRAME_HEAD], size_t limit,
                       struct frame *out)
{
    struct frame f = {
        .length = load_u32(in),
        .api = load_u16(in + 4),
        .flags = load_u16(in + 6),
        .correlation = load_u32(in + 8),
        .header_bytes = load_u32(in + 12),
    };

    if (f.length < FRAME_HEAD - 4 || (f.flags & ~(unsigned)FRAME_FLAGS_KNOWN) != 0)
        return STATUS_PROTOCOL;
    if ((size_t)f.length + 4 > limit)
        return STATUS_FRAME_TOO_LARGE;
    if (f.header_bytes > f.length - (FRAME_HEAD - 4))
        return STATUS_PROTOCOL;
    if (f.header_bytes > FRAME_HEADER_MAX)
        return STATUS_FRAME_TOO_LARGE;
    *out = f;
    return STATUS_OK;
}
