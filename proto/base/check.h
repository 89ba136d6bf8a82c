/* SPDX-License-Identifier: Apache-2.0
 *
 * CHECK states what our own code guarantees. It stays on in production: a broker that
 * no longer believes its own invariants must stop before it spreads the damage. What a
 * peer, a user or a disk can cause is never a CHECK, it is a `status`. */
#pragma once

#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #cond))

#define STATIC_CHECK(cond) _Static_assert(cond, #cond)

/* The structure that contains `member` at `ptr`. */
#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

/* Print the place and the broken claim to stderr, then abort. */
_Noreturn void check_failed(const char *file, int line, const char *func,
                            const char *claim);
