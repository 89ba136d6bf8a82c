/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/units.h"

#include "proto/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct scale {
    const char *suffix;
    int64_t factor;
};

static const struct scale byte_scales[] = {
    {"T", INT64_C(1) << 40},
    {"G", INT64_C(1) << 30},
    {"M", INT64_C(1) << 20},
    {"K", INT64_C(1) << 10},
};

static const struct scale time_scales[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

enum {
    BYTE_SCALES = sizeof byte_scales / sizeof byte_scales[0],
    TIME_SCALES = sizeof time_scales / sizeof time_scales[0],
};

const char *unit_name(enum unit unit)
{
    switch (unit) {
    case UNIT_TEXT: return "text";
    case UNIT_LIST: return "list";
    case UNIT_BYTES: return "bytes";
    case UNIT_DURATION: return "duration";
    case UNIT_INT: return "int";
    case UNIT_BOOL: return "bool";
    case UNIT_CHOICE: return "choice";
    }
    CHECK(false);
    return "";
}

/* Digits off the front of `*at`; false if there are none or too many. */
static bool take_digits(const char **at, int64_t *out)
{
    const char *p = *at;
    int64_t v = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return false;
    if (p == *at)
        return false;
    *at = p;
    *out = v;
    return true;
}

static bool parse_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';

    if (negative)
        text++;
    if (!take_digits(&text, out) || *text != '\0')
        return false;
    if (negative)
        *out = -*out;
    return true;
}

static bool parse_bytes(const char *text, int64_t *out)
{
    int64_t v;

    if (parse_int(text, out))
        return true;
    if (!take_digits(&text, &v))
        return false;
    for (size_t i = 0; i < BYTE_SCALES; i++) {
        if (strncasecmp(text, byte_scales[i].suffix, 1) != 0)
            continue;
        text++;
        if (__builtin_mul_overflow(v, byte_scales[i].factor, &v))
            return false;
        break;
    }
    *out = v;
    return *text == '\0' || strcasecmp(text, "B") == 0 || strcasecmp(text, "iB") == 0;
}

static const struct scale *time_scale(const char **at)
{
    size_t len = strspn(*at, "dhms");

    for (size_t i = 0; i < TIME_SCALES; i++) {
        if (strlen(time_scales[i].suffix) != len ||
            strncmp(*at, time_scales[i].suffix, len) != 0)
            continue;
        *at += len;
        return &time_scales[i];
    }
    return NULL;
}

/* Numbers with units one after the other: 1h30m. */
static bool parse_duration(const char *text, int64_t *out)
{
    int64_t sum = 0;

    if (parse_int(text, out))
        return true;
    do {
        const struct scale *scale;
        int64_t v;

        if (!take_digits(&text, &v))
            return false;
        scale = time_scale(&text);
        if (scale == NULL || __builtin_mul_overflow(v, scale->factor, &v) ||
            __builtin_add_overflow(sum, v, &sum))
            return false;
    } while (*text != '\0');
    *out = sum;
    return true;
}

static bool parse_bool(const char *text, int64_t *out)
{
    *out = strcmp(text, "true") == 0;
    return *out == 1 || strcmp(text, "false") == 0;
}

static bool parse_choice(const char *const *choices, const char *text, int64_t *out)
{
    for (*out = 0; choices[*out] != NULL; ++*out)
        if (strcasecmp(choices[*out], text) == 0)
            return true;
    return false;
}

static bool parse(const struct quantity *q, const char *text, int64_t *out)
{
    switch (q->unit) {
    case UNIT_BYTES: return parse_bytes(text, out);
    case UNIT_DURATION: return parse_duration(text, out);
    case UNIT_INT: return parse_int(text, out);
    case UNIT_BOOL: return parse_bool(text, out);
    case UNIT_CHOICE: return parse_choice(q->choices, text, out);
    case UNIT_TEXT:
    case UNIT_LIST: break;
    }
    CHECK(false);
    return false;
}

enum status quantity_parse(const struct quantity *q, const char *text, int64_t *out,
                           char why[static 160])
{
    char range[80];
    int64_t v;

    if (parse(q, text, &v) && (q->unit == UNIT_BOOL || q->unit == UNIT_CHOICE ||
                               (v >= q->min && v <= q->max))) {
        *out = v;
        return STATUS_OK;
    }
    quantity_range(q, range, sizeof range);
    snprintf(why, 160, "'%.32s' is not a valid %s: use %s", text, unit_name(q->unit),
             range);
    return STATUS_INVALID_CONFIG;
}

static void format_bytes(int64_t value, char *out, size_t size)
{
    for (size_t i = 0; i < BYTE_SCALES && value > 0; i++) {
        if (value % byte_scales[i].factor == 0) {
            snprintf(out, size, "%" PRId64 "%siB", value / byte_scales[i].factor,
                     byte_scales[i].suffix);
            return;
        }
    }
    snprintf(out, size, "%" PRId64, value);
}

static void format_duration(int64_t value, char *out, size_t size)
{
    struct writer w = writer_fixed(out, size - 1);

    if (value <= 0 || value == INT64_MAX) {
        snprintf(out, size, "%" PRId64, value);
        return;
    }
    for (size_t i = 0; i < TIME_SCALES; i++) {
        char piece[32];

        if (value < time_scales[i].factor)
            continue;
        snprintf(piece, sizeof piece, "%" PRId64 "%s", value / time_scales[i].factor,
                 time_scales[i].suffix);
        write_text(&w, piece);
        value %= time_scales[i].factor;
    }
    out[w.len] = '\0';
}

void quantity_format(const struct quantity *q, int64_t value, char *out, size_t size)
{
    switch (q->unit) {
    case UNIT_BYTES: format_bytes(value, out, size); return;
    case UNIT_DURATION: format_duration(value, out, size); return;
    case UNIT_INT: snprintf(out, size, "%" PRId64, value); return;
    case UNIT_BOOL: snprintf(out, size, "%s", value ? "true" : "false"); return;
    case UNIT_CHOICE: snprintf(out, size, "%s", q->choices[value]); return;
    case UNIT_TEXT:
    case UNIT_LIST: break;
    }
    CHECK(false);
}

void quantity_range(const struct quantity *q, char *out, size_t size)
{
    char low[32], high[32];
    struct writer w = writer_fixed(out, size - 1);

    switch (q->unit) {
    case UNIT_TEXT:
    case UNIT_LIST: break;
    case UNIT_BOOL: write_text(&w, "true|false"); break;
    case UNIT_CHOICE:
        for (size_t i = 0; q->choices[i] != NULL; i++) {
            write_text(&w, i > 0 ? "|" : "");
            write_text(&w, q->choices[i]);
        }
        break;
    case UNIT_BYTES:
    case UNIT_DURATION:
    case UNIT_INT:
        quantity_format(q, q->min, low, sizeof low);
        quantity_format(q, q->max, high, sizeof high);
        write_text(&w, low);
        write_text(&w, q->max == INT64_MAX ? " or more" : " .. ");
        write_text(&w, q->max == INT64_MAX ? "" : high);
        break;
    }
    out[w.len] = '\0';
}

unsigned edit_distance(struct bytes a, struct bytes b)
{
    enum { LONGEST = 64 };
    unsigned row[LONGEST + 1];

    if (a.len > LONGEST || b.len > LONGEST)
        return LONGEST;
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned change = diagonal + (a.data[i - 1] != b.data[j - 1]);
            unsigned least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[b.len];
}
