/* SPDX-License-Identifier: Apache-2.0 */
#include "client/conf.h"

#include "client/error.h"
#include "proto/base/check.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum conf_type {
    CONF_TYPE_NUMBER,
    CONF_TYPE_BYTES,
    CONF_TYPE_DURATION,
    CONF_TYPE_BOOL,
    CONF_TYPE_TEXT,
    CONF_TYPE_CHOICE,
};

static const struct row {
    const char *key;
    enum conf_type type;
    const char *fallback;
    int64_t low;
    int64_t high;
    const char *choices;
    const char *text;
} rows[] = {
#define CONF(name, key, type, fallback, low, high, choices, text) \
    {key, CONF_TYPE_##type, fallback, low, high, choices, text},
#include "client/conf.def"
#undef CONF
};

static const struct unit {
    const char *name;
    enum conf_type type;
    int64_t factor;
} units[] = {
    {"K", CONF_TYPE_BYTES, 1 << 10},    {"KiB", CONF_TYPE_BYTES, 1 << 10},
    {"M", CONF_TYPE_BYTES, 1 << 20},    {"MiB", CONF_TYPE_BYTES, 1 << 20},
    {"G", CONF_TYPE_BYTES, 1 << 30},    {"GiB", CONF_TYPE_BYTES, 1 << 30},
    {"ms", CONF_TYPE_DURATION, 1},      {"s", CONF_TYPE_DURATION, 1000},
    {"m", CONF_TYPE_DURATION, 60000},   {"min", CONF_TYPE_DURATION, 60000},
    {"h", CONF_TYPE_DURATION, 3600000}, {"d", CONF_TYPE_DURATION, 86400000},
};

/* ---- values as text ---- */

/* What one of `type`'s unit names multiplies by; 0 for an unknown name. */
static int64_t unit_factor(enum conf_type type, const char *name)
{
    if (name[0] == '\0')
        return 1;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].type == type && strcmp(units[i].name, name) == 0)
            return units[i].factor;
    return 0;
}

static bool parse_number(const struct row *row, const char *text, int64_t *out)
{
    char *end;
    long long n;
    int64_t factor;

    if (!isdigit((unsigned char)text[0]) && text[0] != '-')
        return false;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno != 0 || end == text)
        return false;
    factor = unit_factor(row->type, end);
    if (factor == 0 || __builtin_mul_overflow((int64_t)n, factor, out))
        return false;
    return *out >= row->low && *out <= row->high;
}

static bool parse_bool(const char *text, int64_t *out)
{
    if (strcmp(text, "true") == 0)
        *out = 1;
    else if (strcmp(text, "false") == 0)
        *out = 0;
    else
        return false;
    return true;
}

/* The n-th of "a|b|c"; its length in `*len`, NULL past the last. */
static const char *choice_at(const char *choices, int64_t n, size_t *len)
{
    while (n-- > 0) {
        choices += strcspn(choices, "|");
        if (*choices++ == '\0')
            return NULL;
    }
    *len = strcspn(choices, "|");
    return choices;
}

static bool parse_choice(const struct row *row, const char *text, int64_t *out)
{
    size_t len;
    const char *choice;

    for (int64_t i = 0; (choice = choice_at(row->choices, i, &len)) != NULL; i++)
        if (strlen(text) == len && memcmp(choice, text, len) == 0) {
            *out = i;
            return true;
        }
    return false;
}

/* `text` must have been permitted by the row's own words: TEXT is copied, so `value` owns
 * it afterwards. */
static int parse(const struct row *row, const char *text, union conf_value *value)
{
    union conf_value v = {0};
    bool ok = false;

    switch (row->type) {
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_BYTES:
    case CONF_TYPE_DURATION: ok = parse_number(row, text, &v.number); break;
    case CONF_TYPE_BOOL: ok = parse_bool(text, &v.number); break;
    case CONF_TYPE_CHOICE: ok = parse_choice(row, text, &v.number); break;
    case CONF_TYPE_TEXT:
        if ((int64_t)strlen(text) < row->low || (int64_t)strlen(text) > row->high)
            return LEAT_E_INVALID_ARGUMENT;
        v.text = strdup(text);
        if (v.text == NULL)
            return LEAT_E_NO_MEMORY;
        free(value->text);
        ok = true;
        break;
    }
    if (!ok)
        return LEAT_E_INVALID_ARGUMENT;
    *value = v;
    return LEAT_OK;
}

/* The largest unit that divides it, so that "64K" comes back as "64K". */
static void format_scaled(enum conf_type type, int64_t number, char *out, size_t size)
{
    const struct unit *best = NULL;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].type == type && number != 0 && number % units[i].factor == 0 &&
            (best == NULL || units[i].factor > best->factor))
            best = &units[i];
    if (best != NULL)
        snprintf(out, size, "%" PRId64 "%s", number / best->factor, best->name);
    else
        snprintf(out, size, "%" PRId64, number);
}

void conf_format(const struct leat_conf *conf, enum conf_key key, char *out, size_t size)
{
    const struct row *row = &rows[key];
    const union conf_value *v = &conf->values[key];
    const char *choice;
    size_t len = 0;

    switch (row->type) {
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_BYTES:
    case CONF_TYPE_DURATION: format_scaled(row->type, v->number, out, size); break;
    case CONF_TYPE_BOOL: snprintf(out, size, "%s", v->number ? "true" : "false"); break;
    case CONF_TYPE_TEXT: snprintf(out, size, "%s", v->text); break;
    case CONF_TYPE_CHOICE:
        choice = choice_at(row->choices, v->number, &len);
        CHECK(choice != NULL);
        snprintf(out, size, "%.*s", (int)len, choice);
        break;
    }
}

/* ---- the object ---- */

int64_t conf_number(const struct leat_conf *conf, enum conf_key key)
{
    CHECK(rows[key].type != CONF_TYPE_TEXT);
    return conf->values[key].number;
}

const char *conf_text(const struct leat_conf *conf, enum conf_key key)
{
    CHECK(rows[key].type == CONF_TYPE_TEXT);
    return conf->values[key].text;
}

leat_conf *leat_conf_new(void)
{
    leat_conf *conf = calloc(1, sizeof *conf);

    if (conf == NULL)
        return NULL;
    for (int i = 0; i < CONF_COUNT; i++) {
        int code = parse(&rows[i], rows[i].fallback, &conf->values[i]);

        CHECK(code != LEAT_E_INVALID_ARGUMENT);
        if (code != LEAT_OK) {
            leat_conf_free(conf);
            return NULL;
        }
    }
    return conf;
}

void leat_conf_free(leat_conf *conf)
{
    if (conf == NULL)
        return;
    for (int i = 0; i < CONF_COUNT; i++)
        if (rows[i].type == CONF_TYPE_TEXT)
            free(conf->values[i].text);
    free(conf);
}

struct leat_conf *conf_copy(const struct leat_conf *conf)
{
    struct leat_conf *copy = calloc(1, sizeof *copy);

    if (copy == NULL)
        return NULL;
    *copy = *conf;
    for (int i = 0; i < CONF_COUNT; i++)
        if (rows[i].type == CONF_TYPE_TEXT)
            copy->values[i].text = strdup(conf->values[i].text);
    for (int i = 0; i < CONF_COUNT; i++)
        if (rows[i].type == CONF_TYPE_TEXT && copy->values[i].text == NULL) {
            leat_conf_free(copy);
            return NULL;
        }
    return copy;
}

/* ---- setting ---- */

/* Levenshtein's distance, for words of at most 63 letters. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t len = strlen(b);

    if (strlen(a) > 63 || len > 63)
        return 64;
    for (size_t j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= len; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < change)
                change = row[j] + 1;
            row[j] = row[j - 1] + 1 < change ? row[j - 1] + 1 : change;
        }
    }
    return row[len];
}

static const char *nearest(const char *key)
{
    size_t best = 0;

    for (size_t i = 1; i < CONF_COUNT; i++)
        if (distance(key, rows[i].key) < distance(key, rows[best].key))
            best = i;
    return rows[best].key;
}

static void describe_range(const struct row *row, char *out, size_t size)
{
    char low[32];
    char high[32];

    switch (row->type) {
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_BYTES:
    case CONF_TYPE_DURATION:
        format_scaled(row->type, row->low, low, sizeof low);
        format_scaled(row->type, row->high, high, sizeof high);
        snprintf(out, size, "use a %s from %s to %s",
                 row->type == CONF_TYPE_NUMBER  ? "number"
                 : row->type == CONF_TYPE_BYTES ? "size"
                                                : "duration",
                 low, high);
        break;
    case CONF_TYPE_BOOL: snprintf(out, size, "use true or false"); break;
    case CONF_TYPE_CHOICE: snprintf(out, size, "use one of %s", row->choices); break;
    case CONF_TYPE_TEXT:
        snprintf(out, size, "use %" PRId64 " to %" PRId64 " characters", row->low,
                 row->high);
        break;
    }
}

/* Keys whose form is richer than their type. */
static bool permitted(enum conf_key key, const char *value)
{
    const char *digits = value + 1;

    if (key != CONF_AUTO_OFFSET_RESET)
        return true;
    if (strcmp(value, "earliest") == 0 || strcmp(value, "latest") == 0)
        return true;
    return value[0] == '@' && digits[0] != '\0' && strlen(digits) < 19 &&
           strspn(digits, "0123456789") == strlen(digits);
}

int leat_conf_set(leat_conf *conf, const char *key, const char *value, leat_error *error)
{
    char text[200];
    int code;

    if (conf == NULL || key == NULL || value == NULL)
        return error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "conf");
    for (int i = 0; i < CONF_COUNT; i++) {
        if (strcmp(rows[i].key, key) != 0)
            continue;
        code = permitted((enum conf_key)i, value)
                   ? parse(&rows[i], value, &conf->values[i])
                   : LEAT_E_INVALID_ARGUMENT;
        if (code == LEAT_OK)
            return error_clear(error);
        if (code == LEAT_E_NO_MEMORY)
            return error_set(error, code, NULL, "conf %s", key);
        if (i == CONF_AUTO_OFFSET_RESET)
            snprintf(text, sizeof text, "use earliest, latest or @<ms since 1970>");
        else
            describe_range(&rows[i], text, sizeof text);
        return error_set(error, code, text, "conf %s", key);
    }
    snprintf(text, sizeof text, "there is no such key; did you mean %s?", nearest(key));
    return error_set(error, LEAT_E_INVALID_ARGUMENT, text, "conf %s", key);
}

void leat_conf_each(const leat_conf *conf,
                    void (*each)(const char *key, const char *value, const char *fallback,
                                 const char *text, void *arg),
                    void *arg)
{
    char value[4100];

    for (int i = 0; i < CONF_COUNT; i++) {
        conf_format(conf, (enum conf_key)i, value, sizeof value);
        each(rows[i].key, value, rows[i].fallback, rows[i].text, arg);
    }
}

/* ---- log ---- */

void leat_conf_log(leat_conf *conf,
                   void (*log)(int level, const char *message, void *arg), void *arg)
{
    conf->log = log;
    conf->log_arg = arg;
}

void conf_log(const struct leat_conf *conf, int level, const char *format, ...)
{
    char message[512];
    va_list args;

    if (conf->log == NULL && level > LOG_WARNING)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (conf->log != NULL)
        conf->log(level, message, conf->log_arg);
    else
        fprintf(stderr, "libleat: %s\n", message);
}
