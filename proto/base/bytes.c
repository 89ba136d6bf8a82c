/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/bytes.h"

#include "proto/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The loads and stores in the header swap unconditionally. */
STATIC_CHECK(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

struct reader reader_of(const void *data, size_t len)
{
    /* An empty view may have a NULL pointer, to which nothing may be added. */
    const uint8_t *at = len > 0 ? data : (const uint8_t *)"";

    return (struct reader){at, at + len, false};
}

size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `len` bytes, or NULL; a failed reader stays at its end. */
static const uint8_t *take(struct reader *r, size_t len)
{
    const uint8_t *at = r->at;

    if (reader_left(r) < len) {
        r->failed = true;
        r->at = r->end;
        return NULL;
    }
    r->at += len;
    return at;
}

uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = take(r, 1);

    return p ? *p : 0;
}

uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = take(r, 2);

    return p ? load_u16(p) : 0;
}

uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);

    return p ? load_u32(p) : 0;
}

uint64_t read_u64(struct reader *r)
{
    const uint8_t *p = take(r, 8);

    return p ? load_u64(p) : 0;
}

int16_t read_i16(struct reader *r)
{
    return (int16_t)read_u16(r);
}

int32_t read_i32(struct reader *r)
{
    return (int32_t)read_u32(r);
}

int64_t read_i64(struct reader *r)
{
    return (int64_t)read_u64(r);
}

/* Base-128, least significant group first; more than `bits` of them is a failure, and so
 * is a last group with bits that would not fit. */
static uint64_t read_groups(struct reader *r, unsigned bits)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t group = read_u8(r);
        uint64_t part = group & 0x7fu;

        if (r->failed)
            return 0;
        if (shift + 7 > bits && part >> (bits - shift) != 0)
            break;
        v |= part << shift;
        if (!(group & 0x80u))
            return v;
    }
    r->failed = true;
    r->at = r->end;
    return 0;
}

int32_t read_varint(struct reader *r)
{
    uint32_t v = (uint32_t)read_groups(r, 32);

    return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

int64_t read_varlong(struct reader *r)
{
    uint64_t v = read_groups(r, 64);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct bytes read_bytes(struct reader *r, size_t len)
{
    const uint8_t *p = take(r, len);

    return p ? (struct bytes){p, len} : (struct bytes){NULL, 0};
}

enum status reader_status(const struct reader *r)
{
    return r->failed ? STATUS_PROTOCOL : STATUS_OK;
}

struct writer writer_fixed(void *data, size_t capacity)
{
    return (struct writer){.data = data, .capacity = capacity};
}

struct writer writer_growing(void)
{
    return (struct writer){.growing = true};
}

void writer_release(struct writer *w)
{
    if (w->growing)
        free(w->data);
    *w = (struct writer){.growing = w->growing};
}

static bool grow(struct writer *w, size_t len)
{
    size_t capacity = w->capacity > 0 ? w->capacity : 256;
    uint8_t *data;

    if (!w->growing || w->failed)
        return false;
    while (capacity - w->len < len) {
        if (capacity > SIZE_MAX / 2)
            return false;
        capacity *= 2;
    }
    data = realloc(w->data, capacity);
    if (data == NULL)
        return false;
    w->data = data;
    w->capacity = capacity;
    return true;
}

uint8_t *write_reserve(struct writer *w, size_t len)
{
    uint8_t *at;

    /* Even room for nothing needs a place to point at. */
    if (w->failed || ((w->data == NULL || w->capacity - w->len < len) && !grow(w, len))) {
        w->failed = true;
        return NULL;
    }
    at = w->data + w->len;
    w->len += len;
    return at;
}

void write_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = write_reserve(w, 1);

    if (p)
        *p = v;
}

void write_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = write_reserve(w, 2);

    if (p)
        store_u16(p, v);
}

void write_u32(struct writer *w, uint32_t v)
{
    uint8_t *p = write_reserve(w, 4);

    if (p)
        store_u32(p, v);
}

void write_u64(struct writer *w, uint64_t v)
{
    uint8_t *p = write_reserve(w, 8);

    if (p)
        store_u64(p, v);
}

void write_i16(struct writer *w, int16_t v)
{
    write_u16(w, (uint16_t)v);
}

void write_i32(struct writer *w, int32_t v)
{
    write_u32(w, (uint32_t)v);
}

void write_i64(struct writer *w, int64_t v)
{
    write_u64(w, (uint64_t)v);
}

static void write_groups(struct writer *w, uint64_t v)
{
    uint8_t groups[10];
    size_t n = 0;

    do {
        groups[n] = (uint8_t)(v & 0x7fu);
        v >>= 7;
        if (v != 0)
            groups[n] |= 0x80u;
        n++;
    } while (v != 0);
    write_bytes(w, groups, n);
}

void write_varint(struct writer *w, int32_t v)
{
    write_groups(w, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

void write_varlong(struct writer *w, int64_t v)
{
    write_groups(w, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void write_bytes(struct writer *w, const void *data, size_t len)
{
    uint8_t *p = write_reserve(w, len);

    if (p && len > 0)
        memcpy(p, data, len);
}

void write_text(struct writer *w, const char *text)
{
    write_bytes(w, text, strlen(text));
}

void write_format(struct writer *w, const char *format, ...)
{
    va_list args;
    int len;
    uint8_t *p;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);

    /* vsnprintf wants room for its NUL, which is then given back. */
    p = write_reserve(w, (size_t)len + 1);
    if (p == NULL)
        return;
    va_start(args, format);
    vsnprintf((char *)p, (size_t)len + 1, format, args);
    va_end(args);
    w->len--;
}

enum status writer_status(const struct writer *w)
{
    return w->failed ? STATUS_NO_MEMORY : STATUS_OK;
}
