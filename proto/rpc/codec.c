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

struct taking {
    struct arena *arena;
    bool no_memory; /* and not merely past the arena's limit */
};

static void *take(void *taking, size_t size)
{
    struct taking *t = taking;
    void *p = arena_alloc(t->arena, size);

    if (p == NULL)
        t->no_memory = t->arena->limit == 0 || (size < t->arena->limit / 2 &&
                                                t->arena->used < t->arena->limit / 2);
    return p;
}

/* The arena gives everything back at once. */
static void give_back(void *taking, void *p)
{
    (void)taking;
    (void)p;
}

enum status rpc_unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
                       struct arena *arena, ProtobufCMessage **out)
{
    struct taking t = {.arena = arena};
    ProtobufCAllocator allocator = {take, give_back, &t};
    ProtobufCMessage *m = protobuf_c_message_unpack(
        type, &allocator, in.len, in.data ? in.data : (const uint8_t *)"");

    if (m == NULL)
        return t.no_memory ? STATUS_NO_MEMORY : STATUS_INVALID_REQUEST;
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
