/* SPDX-License-Identifier: Apache-2.0 */
#include "client/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(leat_error *out, int code, const char *text, const char *where, ...)
{
    va_list args;

    if (out == NULL)
        return code;
    *out = (leat_error){
        .code = code,
        .retriable = status_is_retriable(code),
        .fatal = status_retry(code) == STATUS_RETRY_FATAL || code == LEAT_E_CLOSED,
    };
    va_start(args, where);
    vsnprintf(out->where, sizeof out->where, where, args);
    va_end(args);
    snprintf(out->text, sizeof out->text, "%s",
             text != NULL && text[0] != '\0' ? text : status_text(code));
    return code;
}

int error_clear(leat_error *out)
{
    if (out != NULL)
        *out = (leat_error){0};
    return LEAT_OK;
}

const char *leat_code_name(int code)
{
    return status_name(code);
}

const char *leat_code_text(int code)
{
    return status_text(code);
}

const char *leat_version(void)
{
    return LEAT_VERSION;
}
