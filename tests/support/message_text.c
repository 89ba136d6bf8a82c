/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/message_text.h"

#include <inttypes.h>
#include <string.h>

static bool is_default(const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM: return *(const uint32_t *)at == 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: return *(const uint64_t *)at == 0;
    case PROTOBUF_C_TYPE_BOOL: return *(const protobuf_c_boolean *)at == 0;
    case PROTOBUF_C_TYPE_STRING: return (*(char *const *)at)[0] == '\0';
    case PROTOBUF_C_TYPE_BYTES: return ((const ProtobufCBinaryData *)at)->len == 0;
    default: return *(void *const *)at == NULL;
    }
}

static size_t element_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM: return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    default: return sizeof(uint64_t);
    }
}

static void write_value(const ProtobufCFieldDescriptor *f, const void *at,
                        struct writer *out)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        if (strcmp(f->name, "error") == 0)
            write_format(out, "%s", status_name(*(const int32_t *)at));
        else
            write_format(out, "%" PRId32, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        write_format(out, "%" PRIu32, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
        write_format(out, "%" PRId64, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        write_format(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        write_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_STRING: write_format(out, "'%s'", *(char *const *)at); break;
    case PROTOBUF_C_TYPE_BYTES:
        write_format(out, "<%zu>", ((const ProtobufCBinaryData *)at)->len);
        break;
    default:
        write_text(out, "{");
        message_text(*(ProtobufCMessage *const *)at, out);
        write_text(out, "}");
        break;
    }
}

static void write_list(const ProtobufCFieldDescriptor *f, const uint8_t *base,
                       size_t count, struct writer *out)
{
    const uint8_t *list = *(uint8_t *const *)(base + f->offset);

    for (size_t i = 0; i < count; i++) {
        write_text(out, i > 0 ? " " : "");
        write_value(f, list + i * element_size(f), out);
    }
}

void message_text(const ProtobufCMessage *m, struct writer *out)
{
    const uint8_t *base = (const uint8_t *)m;
    const char *separator = "";

    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const bool list = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count = list ? *(const size_t *)(base + f->quantifier_offset) : 0;

        if (list ? count == 0 : is_default(f, base + f->offset))
            continue;
        write_format(out, "%s%s=", separator, f->name);
        separator = " ";
        if (list)
            write_list(f, base, count, out);
        else
            write_value(f, base + f->offset, out);
    }
}
