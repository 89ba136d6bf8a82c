/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool parse_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    long long v;

    if (!isdigit((unsigned char)text[0]) &&
        !((text[0] == '-' || text[0] == '+') && isdigit((unsigned char)text[1])))
        return false;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || v < min || v > max)
        return false;
    *out = v;
    return true;
}

/* Digits at `*at`, moving past them. */
static bool leading_number(const char **at, int64_t *out)
{
    int64_t v = 0;
    const char *p = *at;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return false;
    *at = p;
    *out = v;
    return true;
}

bool parse_bytes(const char *text, int64_t *out)
{
    static const char units[] = "KMGT";
    int64_t v;
    const char *unit;

    if (!leading_number(&text, &v))
        return false;
    unit = *text != '\0' ? strchr(units, toupper((unsigned char)*text)) : NULL;
    if (unit != NULL) {
        for (const char *u = units; u <= unit; u++)
            if (__builtin_mul_overflow(v, 1024, &v))
                return false;
        text++;
        if (*text == 'i')
            text++;
    }
    if (*text == 'B')
        text++;
    if (*text != '\0')
        return false;
    *out = v;
    return true;
}

static int64_t unit_ms(const char **at)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        {"ms", 1},      {"s", 1000},     {"m", 60000},
        {"h", 3600000}, {"d", 86400000}, {"w", INT64_C(604800000)},
    };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t len = strlen(units[i].name);

        if (strncmp(*at, units[i].name, len) == 0) {
            *at += len;
            return units[i].ms;
        }
    }
    return 0;
}

bool parse_duration(const char *text, int64_t *out_ms)
{
    int64_t total = 0, v, ms;

    if (parse_number(text, 0, INT64_MAX, out_ms))
        return true;
    do {
        if (!leading_number(&text, &v) || (ms = unit_ms(&text)) == 0)
            return false;
        if (__builtin_mul_overflow(v, ms, &v) || __builtin_add_overflow(total, v, &total))
            return false;
    } while (*text != '\0');
    *out_ms = total;
    return true;
}

/* "2026-11-22", "2026-11-22T08:00:00[.123](Z|+01:00)". */
static bool parse_rfc3339(const char *text, int64_t *out_ms)
{
    struct tm tm = {0};
    const char *at = strptime(text, "%Y-%m-%d", &tm);
    int64_t ms = 0, shift = 0;

    if (at == NULL)
        return false;
    if (*at == 'T' || *at == ' ') {
        at = strptime(at + 1, "%H:%M:%S", &tm);
        if (at == NULL)
            return false;
        if (*at == '.') {
            int64_t scale = 100;

            for (at++; isdigit((unsigned char)*at); at++, scale /= 10)
                ms += (*at - '0') * scale;
        }
        if (*at == '+' || *at == '-') {
            int sign = *at == '-' ? 1 : -1, hours, minutes;

            if (strlen(at) != 6 || at[3] != ':' || !isdigit((unsigned char)at[1]) ||
                !isdigit((unsigned char)at[2]) || !isdigit((unsigned char)at[4]) ||
                !isdigit((unsigned char)at[5]))
                return false;
            hours = (at[1] - '0') * 10 + at[2] - '0';
            minutes = (at[4] - '0') * 10 + at[5] - '0';
            shift = sign * (hours * 3600 + minutes * 60);
            at += 6;
        } else if (*at++ != 'Z') {
            return false;
        }
    }
    if (*at != '\0')
        return false;
    *out_ms = ((int64_t)timegm(&tm) + shift) * 1000 + ms;
    return true;
}

bool parse_time(const char *text, int64_t now_ms, int64_t *out_ms)
{
    int64_t v;

    if (text[0] == '-' && parse_duration(text + 1, &v)) {
        *out_ms = now_ms - v;
        return true;
    }
    if (parse_number(text, 0, INT64_MAX, &v)) {
        *out_ms = strlen(text) <= 11 ? v * 1000 : v;
        return true;
    }
    return parse_rfc3339(text, out_ms);
}
