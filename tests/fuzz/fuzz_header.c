/* SPDX-License-Identifier: Apache-2.0
 *
 * The protobuf header of every request and response, through the door that brokers and
 * clients use. The first byte says which message, the second how large the arena may
 * become. What could be unpacked can be packed again, and that form is stable. (Without
 * the fields that we do not know: the library carries even impossible ones along.) */
#include "proto/base/check.h"
#include "proto/rpc/codec.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { KIB = 1024, DEPTH_MAX = 6 };

static size_t api_count(void)
{
    size_t n = 0;

    while (rpc_api_at(n) != NULL)
        n++;
    return n;
}

/* Two messages for every row, and the error. */
static const ProtobufCMessageDescriptor *message_at(size_t n)
{
    const struct rpc_api_row *row = rpc_api_at(n / 2);

    if (row == NULL)
        return &leat__error_response__descriptor;
    return n % 2 == 0 ? row->request : row->response;
}

static void forget_unknown(ProtobufCMessage *m)
{
    m->n_unknown_fields = 0;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        uint8_t *member = (uint8_t *)m + f->offset;
        ProtobufCMessage **items = (ProtobufCMessage **)(void *)member;
        size_t count = 1;

        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&count, (uint8_t *)m + f->quantifier_offset, sizeof count);
            memcpy(&items, member, sizeof items);
        }
        for (size_t n = 0; n < count; n++)
            if (items[n] != NULL)
                forget_unknown(items[n]);
    }
}

static void pack_twice(const ProtobufCMessageDescriptor *type, const ProtobufCMessage *m)
{
    struct writer first = writer_growing(), second = writer_growing();
    ProtobufCMessage *again;
    struct arena arena;

    rpc_pack(m, &first);
    CHECK(writer_status(&first) == STATUS_OK);
    arena_init(&arena, 0);
    CHECK(rpc_unpack(type, (struct bytes){first.data, first.len}, &arena, &again) ==
          STATUS_OK);
    rpc_pack(again, &second);
    CHECK(writer_status(&second) == STATUS_OK);
    CHECK(bytes_equal((struct bytes){first.data, first.len},
                      (struct bytes){second.data, second.len}));
    arena_release(&arena);
    writer_release(&first);
    writer_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *type;
    struct arena arena;
    ProtobufCMessage *m;
    enum status st;

    if (size < 2)
        return 0;
    type = message_at(data[0] % (2 * api_count() + 1));
    arena_init(&arena, (size_t)data[1] * KIB);
    st = rpc_unpack(type, (struct bytes){data + 2, size - 2}, &arena, &m);
    CHECK(st == STATUS_OK || st == STATUS_INVALID_REQUEST);
    CHECK(arena.limit == 0 || arena.used <= arena.limit);
    if (st == STATUS_OK) {
        forget_unknown(m);
        pack_twice(type, m);
    }
    arena_release(&arena);
    return 0;
}

/* ---- seeds: every field of a message, by its descriptor ---- */

enum wire { VARINT = 0, LENGTH_DELIMITED = 2 };

static void put_number(struct writer *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        write_u8(out, (uint8_t)(v | 0x80));
    write_u8(out, (uint8_t)v);
}

static void put_message(struct writer *out, const ProtobufCMessageDescriptor *type,
                        int depth);

static void put_field(struct writer *out, const ProtobufCFieldDescriptor *f, int depth)
{
    struct writer inner = writer_growing();

    if (f->type == PROTOBUF_C_TYPE_MESSAGE && depth < DEPTH_MAX)
        put_message(&inner, f->descriptor, depth + 1);
    else if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES)
        write_text(&inner, "orders");
    if (inner.len > 0) {
        put_number(out, f->id << 3 | LENGTH_DELIMITED);
        put_number(out, inner.len);
        write_bytes(out, inner.data, inner.len);
    } else if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
        put_number(out, f->id << 3 | VARINT);
        put_number(out, f->id % 2 ? 1 : UINT64_MAX); /* UINT64_MAX: -1 */
    }
    writer_release(&inner);
}

static void put_message(struct writer *out, const ProtobufCMessageDescriptor *type,
                        int depth)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        put_field(out, &type->fields[i], depth);
        if (type->fields[i].label == PROTOBUF_C_LABEL_REPEATED)
            put_field(out, &type->fields[i], depth);
    }
}

bool fuzz_seed(unsigned n, struct writer *out)
{
    if (n > 2 * api_count())
        return false;
    write_u8(out, (uint8_t)n);
    write_u8(out, 200);
    put_message(out, message_at(n), 0);
    return true;
}
