/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling the leat_error that a caller may have given. */
#pragma once

#include "client/include/leat/leat.h"
#include "proto/base/status.h"

/* What failed: `where` is a printf format; `text` NULL or empty takes the code's own
 * sentence. `out` may be NULL. Returns `code`. */
int error_set(leat_error *out, int code, const char *text, const char *where, ...)
    __attribute__((format(printf, 4, 5)));

/* No error: code LEAT_OK and empty texts. Returns LEAT_OK. */
int error_clear(leat_error *out);
