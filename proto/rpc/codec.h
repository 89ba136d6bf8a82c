/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door between protobuf bytes and our structures. Messages are unpacked into an
 * arena, so they vanish with their request, and a message may not decode into more than
 * the arena's limit. Texts must be UTF-8, as protobuf demands: one peer's broken name,
 * sent on to others in an answer, would make their libraries refuse all of it. */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/bytes.h"
#include "proto/rpc/leat.pb-c.h"

/* What can be asked; the numbers are the wire's and are never reused. The table behind
 * them is api.def. */
enum rpc_api {
#define API(name, number, stem) RPC_##name = (number),
#include "proto/rpc/api.def"
#undef API
};

struct rpc_api_row {
    uint16_t api;
    const char *name; /* "produce" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
};

/* NULL for numbers that are not in the table. */
const struct rpc_api_row *rpc_api_row(uint16_t api);
/* Rows in table order; NULL past the end. */
const struct rpc_api_row *rpc_api_at(size_t index);

/* Unpack `in` as a message of `type` into `arena`. INVALID_REQUEST if it is not one, or
 * if it would need more than the arena may hold; NO_MEMORY. */
STATUS_MUST_CHECK enum status rpc_unpack(const ProtobufCMessageDescriptor *type,
                                         struct bytes in, struct arena *arena,
                                         ProtobufCMessage **out);

size_t rpc_packed_size(const ProtobufCMessage *m);
/* Append the packed message; the writer remembers when memory ran out. */
void rpc_pack(const ProtobufCMessage *m, struct writer *out);
