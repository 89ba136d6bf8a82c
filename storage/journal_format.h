/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's bytes (FORMAT.md), as pure functions: file header, group header, frame.
 */
#pragma once

#include "storage/journal.h"

enum {
    JOURNAL_HEADER = DISK_ALIGN, /* the first block of a file */
    JOURNAL_GROUP_HEADER = 64,
    JOURNAL_FRAME_HEADER = 56,
    JOURNAL_VERSION = 1,
    JOURNAL_NAME = 24, /* "00000007.journal" and its NUL */
};

struct journal_file_header {
    uint64_t epoch;       /* grows with every journal_open: only the newest counts */
    uint64_t generation;  /* grows with every use of a file: binds groups to it */
    journal_seq released; /* groups before this one need not be repeated */
};

struct journal_group_header {
    uint64_t generation;
    journal_seq sequence;
    journal_seq durable; /* newest group known to be durable when this one was written */
    uint32_t crc;        /* of everything after the crc field */
    uint32_t previous;   /* the crc of the group before: the chain */
    uint32_t length;     /* header and frames, without the padding */
    uint32_t frames;
};

/* Fill one block. */
void journal_file_header_write(uint8_t *block, const struct journal_file_header *h);
/* False if the block is not a whole header of this version. */
bool journal_file_header_read(const uint8_t *block, struct journal_file_header *out);
/* The version that the header names; 0 if it is none. */
uint32_t journal_file_header_version(const uint8_t *block);

/* Seal a group whose frames stand behind the space for its header: computes the crc. */
void journal_group_seal(uint8_t *group, struct journal_group_header *h);
/* Read a group's header; false if it cannot be one (magic, length). The crc is not looked
 * at. `room` is what is left in the file. */
bool journal_group_header_read(const uint8_t *at, uint64_t room,
                               struct journal_group_header *out);
bool journal_group_checks(const uint8_t *group, const struct journal_group_header *h);

/* What a frame with this payload takes, its padding included. */
size_t journal_frame_size(size_t payload);
void journal_frame_write(uint8_t *at, const struct journal_frame *f);
/* Take the next frame off a sealed group's frames; CORRUPT if they do not add up. */
STATUS_MUST_CHECK enum status journal_frame_read(struct bytes *frames,
                                                 struct journal_frame *out);

/* The number in a journal file's name; false if it is no such name. */
bool journal_name_parse(const char *name, uint32_t *number);
void journal_name_write(uint32_t number, char name[static JOURNAL_NAME]);

static inline uint64_t journal_padded(uint64_t bytes)
{
    return (bytes + DISK_ALIGN - 1) & ~(uint64_t)(DISK_ALIGN - 1);
}
