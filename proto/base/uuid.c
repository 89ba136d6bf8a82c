/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/uuid.h"

#include <string.h>

struct uuid uuid_random(struct prng *random)
{
    struct uuid u;

    store_u64(u.id, prng_next(random));
    store_u64(u.id + 8, prng_next(random));
    u.id[6] = (uint8_t)((u.id[6] & 0x0f) | 0x40);
    u.id[8] = (uint8_t)((u.id[8] & 0x3f) | 0x80);
    return u;
}

bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.id, b.id, UUID_BYTES) == 0;
}

bool uuid_is_zero(struct uuid a)
{
    return uuid_equal(a, (struct uuid){0});
}

void uuid_format(struct uuid u, char text[static UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < UUID_BYTES; i++) {
        text[2 * i] = digits[u.id[i] >> 4];
        text[2 * i + 1] = digits[u.id[i] & 15];
    }
    text[UUID_TEXT - 1] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool uuid_parse(const char *text, size_t len, struct uuid *out)
{
    struct uuid u;

    if (len != UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        u.id[i] = (uint8_t)(high << 4 | low);
    }
    *out = u;
    return true;
}

bool uuid_from(struct bytes b, struct uuid *out)
{
    if (b.len != UUID_BYTES)
        return false;
    memcpy(out->id, b.data, UUID_BYTES);
    return true;
}
