/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc/codec.h"

#include "proto/base/check.h"

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

enum status rpc_unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
                       struct arena *arena, ProtobufCMessage **out)
{
    ProtobufCAllocator allocator = {take, give_back, arena};
    ProtobufCMessage *m = protobuf_c_message_unpack(
        type, &allocator, in.len, in.data ? in.data : (const uint8_t *)"");

    if (m == NULL)
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
