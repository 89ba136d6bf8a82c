/* SPDX-License-Identifier: Apache-2.0
 *
 * Return or die, for control structures of storage and broker: a broker without memory
 * for a few hundred bytes cannot keep its promises, and branches that no test reaches are
 * worse than a clean restart. Payload goes through bounded buffers instead, and the
 * client library never calls these: its callers get STATUS_NO_MEMORY. */
#pragma once

#include <stddef.h>

void *must_alloc(size_t size);  /* not cleared */
void *must_zalloc(size_t size); /* cleared */
void *must_realloc(void *p, size_t size);
char *must_text(const char *text); /* a copy */
