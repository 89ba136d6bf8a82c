/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/journal_format.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAGIC  UINT64_C(0x4c4541544a524e4c) /* "LEATJRNL" */
#define GROUP_MAGIC 0x4c475250u                  /* "LGRP" */

enum { FILE_HEADER_USED = 40, GROUP_CRC_FROM = 8 };

void journal_file_header_write(uint8_t *block, const struct journal_file_header *h)
{
    memset(block, 0, JOURNAL_HEADER);
    store_u64(block, FILE_MAGIC);
    store_u32(block + 8, JOURNAL_VERSION);
    store_u64(block + 16, h->epoch);
    store_u64(block + 24, h->generation);
    store_u64(block + 32, h->released);
    store_u32(block + 12, crc32c(0, block + 16, FILE_HEADER_USED - 16));
}

bool journal_file_header_read(const uint8_t *block, struct journal_file_header *out)
{
    if (load_u64(block) != FILE_MAGIC || load_u32(block + 8) != JOURNAL_VERSION ||
        load_u32(block + 12) != crc32c(0, block + 16, FILE_HEADER_USED - 16))
        return false;
    *out = (struct journal_file_header){load_u64(block + 16), load_u64(block + 24),
                                        load_u64(block + 32)};
    return true;
}

uint32_t journal_file_header_version(const uint8_t *block)
{
    return load_u64(block) == FILE_MAGIC ? load_u32(block + 8) : 0;
}

void journal_group_seal(uint8_t *group, struct journal_group_header *h)
{
    store_u32(group, GROUP_MAGIC);
    store_u64(group + 8, h->generation);
    store_u64(group + 16, h->sequence);
    store_u64(group + 24, h->durable);
    store_u32(group + 32, h->previous);
    store_u32(group + 36, h->length);
    store_u32(group + 40, h->frames);
    memset(group + 44, 0, JOURNAL_GROUP_HEADER - 44);
    h->crc = crc32c(0, group + GROUP_CRC_FROM, h->length - GROUP_CRC_FROM);
    store_u32(group + 4, h->crc);
}

bool journal_group_header_read(const uint8_t *at, uint64_t room,
                               struct journal_group_header *out)
{
    struct journal_group_header h = {
        .crc = load_u32(at + 4),
        .generation = load_u64(at + 8),
        .sequence = load_u64(at + 16),
        .durable = load_u64(at + 24),
        .previous = load_u32(at + 32),
        .length = load_u32(at + 36),
        .frames = load_u32(at + 40),
    };

    if (load_u32(at) != GROUP_MAGIC || h.length < JOURNAL_GROUP_HEADER ||
        journal_padded(h.length) > room || h.durable >= h.sequence)
        return false;
    *out = h;
    return true;
}

bool journal_group_checks(const uint8_t *group, const struct journal_group_header *h)
{
    return crc32c(0, group + GROUP_CRC_FROM, h->length - GROUP_CRC_FROM) == h->crc;
}

size_t journal_frame_size(size_t payload)
{
    return JOURNAL_FRAME_HEADER + ((payload + 7) & ~(size_t)7);
}

void journal_frame_write(uint8_t *at, const struct journal_frame *f)
{
    size_t size = journal_frame_size(f->payload.len);

    store_u32(at, f->kind);
    store_u32(at + 4, (uint32_t)f->payload.len);
    memcpy(at + 8, f->log.topic, sizeof f->log.topic);
    store_u32(at + 24, (uint32_t)f->log.partition);
    store_u32(at + 28, 0);
    store_u64(at + 32, (uint64_t)f->offset);
    store_u64(at + 40, (uint64_t)f->segment);
    store_u64(at + 48, f->position);
    if (f->payload.len > 0)
        memcpy(at + JOURNAL_FRAME_HEADER, f->payload.data, f->payload.len);
    memset(at + JOURNAL_FRAME_HEADER + f->payload.len, 0,
           size - JOURNAL_FRAME_HEADER - f->payload.len);
}

enum status journal_frame_read(struct bytes *frames, struct journal_frame *out)
{
    const uint8_t *at = frames->data;
    struct journal_frame f;
    size_t size;

    if (frames->len < JOURNAL_FRAME_HEADER)
        return STATUS_CORRUPT;
    f.kind = (enum frame_kind)load_u32(at);
    f.payload = (struct bytes){at + JOURNAL_FRAME_HEADER, load_u32(at + 4)};
    memcpy(f.log.topic, at + 8, sizeof f.log.topic);
    f.log.partition = (int32_t)load_u32(at + 24);
    f.offset = (int64_t)load_u64(at + 32);
    f.segment = (int64_t)load_u64(at + 40);
    f.position = load_u64(at + 48);
    size = journal_frame_size(f.payload.len);
    if (f.kind < JOURNAL_APPEND || f.kind > JOURNAL_DELETE || size > frames->len)
        return STATUS_CORRUPT;
    *frames = (struct bytes){at + size, frames->len - size};
    *out = f;
    return STATUS_OK;
}

bool journal_name_parse(const char *name, uint32_t *number)
{
    uint32_t v = 0;

    if (strlen(name) != JOURNAL_NAME - 8 || strcmp(name + 8, ".journal") != 0)
        return false;
    for (int i = 0; i < 8; i++) {
        char c = name[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                                                : 16;

        if (digit == 16)
            return false;
        v = v << 4 | digit;
    }
    *number = v;
    return true;
}

void journal_name_write(uint32_t number, char name[static JOURNAL_NAME])
{
    snprintf(name, JOURNAL_NAME, "%08x.journal", number);
}
