/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record/compress.h"

#include <lz4frame.h>
#include <stdatomic.h>
#include <string.h>

/* Independent blocks of 64 KiB and no checksums of its own: the batch has one. Kafka's
 * Java client refuses dependent blocks. */
static const LZ4F_preferences_t lz4_preferences = {
    .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
};

static enum status lz4_compress(struct bytes in, struct writer *out)
{
    size_t before = out->len, bound = LZ4F_compressFrameBound(in.len, &lz4_preferences),
           len;
    uint8_t *at = write_reserve(out, bound);

    if (at == NULL)
        return STATUS_NO_MEMORY;
    len = LZ4F_compressFrame(at, bound, in.data, in.len, &lz4_preferences);
    if (LZ4F_isError(len)) {
        out->len = before;
        return STATUS_NO_MEMORY;
    }
    out->len = before + len;
    return STATUS_OK;
}

/* Decompress one whole frame piece by piece, so that what comes out is bounded by `limit`
 * and not by what the frame claims. */
static enum status lz4_stream(LZ4F_dctx *context, struct bytes in, size_t limit,
                              struct writer *out)
{
    enum { PIECE = 65536 };
    size_t before = out->len, hint = 1;

    while (hint != 0) {
        size_t used = in.len, made = PIECE;
        uint8_t *at = write_reserve(out, PIECE);

        if (at == NULL)
            return STATUS_NO_MEMORY;
        hint = LZ4F_decompress(context, at, &made, in.data, &used, NULL);
        if (LZ4F_isError(hint))
            return STATUS_CORRUPT_MESSAGE;
        out->len -= PIECE - made;
        if (out->len - before > limit)
            return STATUS_MESSAGE_TOO_LARGE;
        in.data += used;
        in.len -= used;
        if (used == 0 && made == 0)
            return STATUS_CORRUPT_MESSAGE; /* cut off */
    }
    return in.len == 0 ? STATUS_OK : STATUS_CORRUPT_MESSAGE;
}

/* A context has buffers of two blocks, and making them anew costs much more than a small
 * batch. So the last one is kept for whoever comes next; the others make their own. */
static _Atomic(LZ4F_dctx *) spare_context;

/* Frames of larger blocks than Kafka's clients write would leave large buffers behind. */
static bool has_small_blocks(struct bytes frame)
{
    enum { AT_BLOCK_DESCRIPTOR = 5, SMALL = LZ4F_max64KB << 4 };

    return frame.len > AT_BLOCK_DESCRIPTOR && frame.data[AT_BLOCK_DESCRIPTOR] == SMALL;
}

static void keep_context(LZ4F_dctx *context)
{
    LZ4F_resetDecompressionContext(context);
    LZ4F_freeDecompressionContext(atomic_exchange(&spare_context, context));
}

static enum status lz4_decompress(struct bytes in, size_t limit, struct writer *out)
{
    LZ4F_dctx *context = atomic_exchange(&spare_context, NULL);
    size_t before = out->len;
    enum status st;

    if (context == NULL &&
        LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return STATUS_NO_MEMORY;
    st = lz4_stream(context, in, limit, out);
    if (has_small_blocks(in))
        keep_context(context);
    else
        LZ4F_freeDecompressionContext(context);
    if (st)
        out->len = before;
    return st;
}

static const struct row {
    const char *name;
    enum status (*compress)(struct bytes in, struct writer *out);
    enum status (*decompress)(struct bytes in, size_t limit, struct writer *out);
} rows[CODEC_COUNT] = {
    [CODEC_NONE] = {"none", NULL, NULL},
    [CODEC_GZIP] = {"gzip", NULL, NULL},
    [CODEC_SNAPPY] = {"snappy", NULL, NULL},
    [CODEC_LZ4] = {"lz4", lz4_compress, lz4_decompress},
    [CODEC_ZSTD] = {"zstd", NULL, NULL},
};

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? rows[codec].name : "unknown";
}

bool codec_parse(const char *name, enum codec *out)
{
    for (unsigned n = 0; n < CODEC_COUNT; n++)
        if (strcmp(rows[n].name, name) == 0) {
            *out = (enum codec)n;
            return true;
        }
    return false;
}

bool codec_is_supported(enum codec codec)
{
    return codec == CODEC_NONE ||
           ((unsigned)codec < CODEC_COUNT && rows[codec].compress != NULL);
}

enum status compress(enum codec codec, struct bytes in, struct writer *out)
{
    if (!codec_is_supported(codec))
        return STATUS_UNSUPPORTED_COMPRESSION;
    if (codec != CODEC_NONE)
        return rows[codec].compress(in, out);
    write_bytes(out, in.data, in.len);
    return writer_status(out);
}

enum status decompress(enum codec codec, struct bytes in, size_t limit,
                       struct writer *out)
{
    if (!codec_is_supported(codec))
        return STATUS_UNSUPPORTED_COMPRESSION;
    if (codec != CODEC_NONE)
        return rows[codec].decompress(in, limit, out);
    if (in.len > limit)
        return STATUS_MESSAGE_TOO_LARGE;
    write_bytes(out, in.data, in.len);
    return writer_status(out);
}
