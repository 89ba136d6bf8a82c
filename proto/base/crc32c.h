/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the CPU's instructions where it has
 * them; the variant is chosen once, at first use. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over `len` bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The portable variant that the others are tested against. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

/* "sse4.2+pclmul", "portable", ...: for `leat version` and the start log. */
const char *crc32c_variant(void);

/* The variants that this CPU can run, for tests: the one in use first, the portable one
 * last; false past it. */
struct crc32c_way {
    const char *name;
    uint32_t (*run)(uint32_t crc, const void *data, size_t len);
};

bool crc32c_way_at(unsigned index, struct crc32c_way *out);
