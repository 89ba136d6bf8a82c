/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way to fail, from one table (status.def). A function that may fail returns an
 * `enum status`; zero is success; results through out parameters are written only on
 * success. */
#pragma once

#include <stdbool.h>

#define STATUS_MUST_CHECK __attribute__((warn_unused_result))

enum status {
#define STATUS(name, code, retry, sentence) STATUS_##name = (code),
#include "proto/base/status.def"
#undef STATUS
};

enum status_retry {
    STATUS_RETRY_NEVER,   /* the request itself must change */
    STATUS_RETRY_RETRY,   /* the same request may succeed later */
    STATUS_RETRY_REFRESH, /* fetch metadata, then try again */
    STATUS_RETRY_FATAL,   /* the client object or membership is over */
};

/* "NOT_LEADER"; "UNKNOWN" for codes outside of the table. */
const char *status_name(int code);

/* One sentence without a full stop. */
const char *status_text(int code);

enum status_retry status_retry(int code);

/* Whether the same request, after a pause or a look at the metadata, may succeed. */
bool status_is_retriable(int code);

/* Walk the table, for documentation: false past the last row. */
bool status_at(unsigned index, int *code);
