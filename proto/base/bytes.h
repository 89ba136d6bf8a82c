/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed views of memory, and the two ways through it. A `reader` walks bytes that
 * somebody else wrote: when it runs dry it gives zeros and remembers, so a decoder parses
 * straight through and judges once. A `writer` fills fixed or growing memory and
 * remembers in the same way that there was not enough. Numbers are big-endian, as in
 * Kafka's formats; varints are zigzag unless the name says otherwise. */
#pragma once

#include "proto/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data;
    size_t len;
};

/* A literal or NUL-terminated string as bytes, without its NUL. */
struct bytes bytes_of(const char *text);
bool bytes_equal(struct bytes a, struct bytes b);

/* Total order: by content, then the shorter first. */
int bytes_compare(struct bytes a, struct bytes b);

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct reader reader_of(const void *data, size_t len);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
int16_t read_i16(struct reader *r);
int32_t read_i32(struct reader *r);
int64_t read_i64(struct reader *r);
int32_t read_varint(struct reader *r);
int64_t read_varlong(struct reader *r);
/* A view of the next `len` bytes; empty and failed if there are fewer. */
struct bytes read_bytes(struct reader *r, size_t len);
size_t reader_left(const struct reader *r);

/* STATUS_OK, or `STATUS_PROTOCOL` if any read ran past the end. */
STATUS_MUST_CHECK enum status reader_status(const struct reader *r);

struct writer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    bool growing; /* owns `data`, freed by writer_release */
    bool failed;  /* fixed memory was too small, or memory ran out */
};

struct writer writer_fixed(void *data, size_t capacity);
struct writer writer_growing(void);
void writer_release(struct writer *w);
void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_i16(struct writer *w, int16_t v);
void write_i32(struct writer *w, int32_t v);
void write_i64(struct writer *w, int64_t v);
void write_varint(struct writer *w, int32_t v);
void write_varlong(struct writer *w, int64_t v);
void write_bytes(struct writer *w, const void *data, size_t len);
void write_text(struct writer *w, const char *text);
/* printf into the writer; the terminating NUL is not counted. */
void write_format(struct writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for `len` bytes to be filled by the caller; NULL when the writer failed. */
uint8_t *write_reserve(struct writer *w, size_t len);
/* STATUS_OK or STATUS_NO_MEMORY. */
STATUS_MUST_CHECK enum status writer_status(const struct writer *w);

/* Unaligned big-endian access to known-good memory. */
static inline uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)((uint16_t)p[0] << 8 | (uint16_t)p[1]);
}

static inline uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    __builtin_memcpy(p, &v, sizeof v);
}

static inline void store_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    __builtin_memcpy(p, &v, sizeof v);
}
