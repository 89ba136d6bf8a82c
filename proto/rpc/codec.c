/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc/codec.h"

#include "proto/base/check.h"

#include <string.h>

static const struct rpc_api_row rows[] = {
#define API(name, number, stem)                          \
    {number, #stem, &leat__##stem##_request__descriptor, \
     &leat__##stem##_response__descriptor},
#include "proto/rpc/api.def"
#undef API
};

const struct rpc_api_row *rpc_api_at(size_t index)
{
    return index < sizeof rows / sizeof rows[0] ? &rows[index] : NULL;
}

const struct rpc_api_row *rpc_api_row(uint16_t api)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].api == api)
            return &rows[i];
    return NULL;
}

static void *take(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

/* The arena gives everything back at once. */
static void give_back(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

/* Bytes of the UTF-8 character at `p`, 0 if it is none. The text's NUL ends every
 * sequence that is cut off. */
static size_t character(const uint8_t *p)
{
    const uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (len == 1)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || p[1] < low || p[1] > high)
        return 0;
    for (size_t n = 2; n < len; n++)
        if ((p[n] & 0xc0) != 0x80)
            return 0;
    return len;
}

static bool is_text(const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t len;

    for (; *p != '\0'; p += len)
        if ((len = character(p)) == 0)
            return false;
    return true;
}

static bool texts_are_valid(const ProtobufCMessage *m);

static bool item_is_valid(const ProtobufCFieldDescriptor *f, const void *item)
{
    if (item == NULL)
        return true;
    return f->type == PROTOBUF_C_TYPE_STRING ? is_text(item) : texts_are_valid(item);
}

/* A single field's pointer, or a repeated one's array. */
static const void *pointer_at(const void *member)
{
    const void *p;

    memcpy(&p, member, sizeof p);
    return p;
}

static bool field_is_valid(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *member = (const char *)m + f->offset;
    const char *quantifier = (const char *)m + f->quantifier_offset;
    size_t count = 1;

    if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
        return true;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t chosen;

        memcpy(&chosen, quantifier, sizeof chosen);
        return chosen != f->id || item_is_valid(f, pointer_at(member));
    }
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return item_is_valid(f, pointer_at(member));
    memcpy(&count, quantifier, sizeof count);
    member = pointer_at(member);
    for (size_t n = 0; n < count; n++)
        if (!item_is_valid(f, pointer_at(member + n * sizeof(void *))))
            return false;
    return true;
}

/* As deep as the messages of our own .proto files, whatever was sent. */
static bool texts_are_valid(const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        if (!field_is_valid(m, &m->descriptor->fields[i]))
            return false;
    return true;
}

enum status rpc_unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
                       struct arena *arena, ProtobufCMessage **out)
{
    ProtobufCAllocator allocator = {take, give_back, arena};
    ProtobufCMessage *m = protobuf_c_message_unpack(
        type, &allocator, in.len, in.data ? in.data : (const uint8_t *)"");

    if (m == NULL)
        return arena->dry ? STATUS_NO_MEMORY : STATUS_INVALID_REQUEST;
    if (!texts_are_valid(m))
        return STATUS_INVALID_REQUEST;
    *out = m;
    return STATUS_OK;
}

size_t rpc_packed_size(const ProtobufCMessage *m)
{
    return protobuf_c_message_get_packed_size(m);
}

void rpc_pack(const ProtobufCMessage *m, struct writer *out)
{
    size_t size = rpc_packed_size(m);
    uint8_t *at = write_reserve(out, size);

    if (at != NULL)
        CHECK(protobuf_c_message_pack(m, at) == size);
}
