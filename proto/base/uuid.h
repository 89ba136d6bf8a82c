/* SPDX-License-Identifier: Apache-2.0
 *
 * 128-bit identities: clusters, nodes, topics, members. Written as 32 hex digits. */
#pragma once

#include "proto/base/bytes.h"
#include "proto/base/prng.h"

enum { UUID_BYTES = 16, UUID_TEXT = 33 /* with its NUL */ };

struct uuid {
    uint8_t id[UUID_BYTES];
};

/* Version 4 of RFC 9562, from the given stream. */
struct uuid uuid_random(struct prng *random);
bool uuid_equal(struct uuid a, struct uuid b);
bool uuid_is_zero(struct uuid a);
void uuid_format(struct uuid u, char text[static UUID_TEXT]);
bool uuid_parse(const char *text, size_t len, struct uuid *out);
/* From exactly UUID_BYTES bytes; false otherwise. */
bool uuid_from(struct bytes b, struct uuid *out);
