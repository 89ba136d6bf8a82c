/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection's first bytes and the frame heads behind them, as a front end walks them.
 */
#include "proto/base/check.h"
#include "proto/rpc/frame.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { LIMIT = 1 << 20 };

static void walk_frames(const uint8_t *at, size_t left)
{
    while (left >= FRAME_HEAD) {
        uint8_t again[FRAME_HEAD];
        struct frame f;

        if (frame_read(at, LIMIT, &f))
            return;
        CHECK((size_t)f.length + 4 <= LIMIT);
        CHECK(f.header_bytes <= FRAME_HEADER_MAX);
        CHECK(FRAME_HEAD + f.header_bytes + frame_payload_bytes(&f) ==
              (size_t)f.length + 4);
        frame_write(again, &f);
        CHECK(memcmp(again, at, FRAME_HEAD) == 0);
        if ((size_t)f.length + 4 > left)
            return;
        at += f.length + 4;
        left -= f.length + 4;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t version;
    uint8_t again[FRAME_PREFACE];

    if (size < FRAME_PREFACE)
        return 0;
    if (preface_read(data, &version) == STATUS_OK) {
        preface_write(again, version);
        CHECK(memcmp(again, data, FRAME_PREFACE) == 0);
    }
    walk_frames(data + FRAME_PREFACE, size - FRAME_PREFACE);
    return 0;
}

bool fuzz_seed(unsigned n, struct writer *out)
{
    static const struct frame frames[] = {
        {.length = 12, .api = 1},
        {.length = 40, .api = 3, .flags = FRAME_ONE_WAY, .header_bytes = 20},
        {.length = 30,
         .api = 4,
         .flags = FRAME_RESPONSE | FRAME_ERROR,
         .header_bytes = 18},
    };

    if (n > 0)
        return false;
    preface_write(write_reserve(out, FRAME_PREFACE), FRAME_PROTOCOL_VERSION);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        size_t body = frames[i].length + 4 - FRAME_HEAD;

        frame_write(write_reserve(out, FRAME_HEAD), &frames[i]);
        memset(write_reserve(out, body), 'x', body);
    }
    return true;
}
