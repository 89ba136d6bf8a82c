/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/status.h"

#include <stddef.h>

static const struct row {
    int code;
    enum status_retry retry;
    const char *name;
    const char *text;
} rows[] = {
#define STATUS(name, code, retry, sentence) {code, STATUS_RETRY_##retry, #name, sentence},
#include "proto/base/status.def"
#undef STATUS
};

enum { ROWS = sizeof rows / sizeof rows[0], ROW_UNKNOWN = 1 };

static const struct row *find(int code)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].code == code)
            return &rows[i];
    return &rows[ROW_UNKNOWN];
}

const char *status_name(int code)
{
    return find(code)->name;
}

const char *status_text(int code)
{
    return find(code)->text;
}

enum status_retry status_retry(int code)
{
    return find(code)->retry;
}

bool status_is_retriable(int code)
{
    enum status_retry retry = status_retry(code);

    return retry == STATUS_RETRY_RETRY || retry == STATUS_RETRY_REFRESH;
}

bool status_at(unsigned index, int *code)
{
    if (index >= ROWS)
        return false;
    *code = rows[index].code;
    return true;
}
