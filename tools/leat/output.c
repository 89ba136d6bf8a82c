/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/output.h"

#include "tools/leat/command.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct cell {
    char *text; /* as text and TSV show it; NULL: absent */
    char *json;
};

struct table {
    const struct output *output;
    const struct column *columns;
    size_t columns_count;
    struct cell *cells;
    size_t len, capacity;
};

/* The tool has nothing to save when memory runs out. */
static void *must(void *p)
{
    if (p == NULL) {
        fputs("leat: out of memory\n", stderr);
        exit(EXIT_REFUSED);
    }
    return p;
}

struct table *table_new(const struct output *o, const struct column *columns,
                        size_t count)
{
    struct table *t = must(calloc(1, sizeof *t));

    t->output = o;
    t->columns = columns;
    t->columns_count = count;
    return t;
}

size_t table_rows(const struct table *t)
{
    return t->len / t->columns_count;
}

static const struct column *next_column(const struct table *t)
{
    return &t->columns[t->len % t->columns_count];
}

static void add(struct table *t, char *text, char *json)
{
    if (t->len == t->capacity) {
        t->capacity = t->capacity > 0 ? t->capacity * 2 : 64;
        t->cells = must(realloc(t->cells, t->capacity * sizeof *t->cells));
    }
    t->cells[t->len++] = (struct cell){text, json};
}

void table_absent(struct table *t)
{
    add(t, NULL, NULL);
}

/* How long the UTF-8 sequence at `p` is, 0 if it is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((n == 3 && p[0] == 0xe0 && p[1] < 0xa0) ||
        (n == 4 && p[0] == 0xf0 && p[1] < 0x90))
        return 0;
    return n;
}

static void json_write(FILE *to, const void *data, size_t len)
{
    const unsigned char *p = data;

    fputc('"', to);
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(p + i, len - i);

        if (n == 0) {
            fputs("\\ufffd", to);
            i++;
            continue;
        }
        if (p[i] == '"' || p[i] == '\\')
            fprintf(to, "\\%c", p[i]);
        else if (p[i] == '\n')
            fputs("\\n", to);
        else if (p[i] == '\t')
            fputs("\\t", to);
        else if (p[i] < 0x20 || p[i] == 0x7f)
            fprintf(to, "\\u%04x", p[i]);
        else
            fwrite(p + i, 1, n, to);
        i += n;
    }
    fputc('"', to);
}

void json_string(const void *data, size_t len)
{
    json_write(stdout, data, len);
}

static char *json_of(const char *text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *f = must(open_memstream(&out, &size));

    json_write(f, text, strlen(text));
    fclose(f);
    return must(out);
}

static char *format_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *format_of(const char *format, ...)
{
    va_list args;
    char *out;

    va_start(args, format);
    if (vasprintf(&out, format, args) < 0)
        out = NULL;
    va_end(args);
    return must(out);
}

void table_text(struct table *t, const char *value)
{
    if (value == NULL)
        table_absent(t);
    else
        add(t, must(strdup(value)), json_of(value));
}

void table_number(struct table *t, int64_t value)
{
    char text[32];

    switch (next_column(t)->kind) {
    case COLUMN_BYTES: bytes_text((uint64_t)value, text); break;
    case COLUMN_MS: duration_text(value, text); break;
    case COLUMN_TIME: time_text(value, text); break;
    case COLUMN_BOOL:
        add(t, must(strdup(value ? "yes" : "no")),
            must(strdup(value ? "true" : "false")));
        return;
    case COLUMN_TEXT:
    case COLUMN_NUMBER:
    case COLUMN_LIST: snprintf(text, sizeof text, "%lld", (long long)value); break;
    }
    add(t, must(strdup(text)), format_of("%lld", (long long)value));
}

void table_list(struct table *t, const int32_t *values, size_t count)
{
    char *out = NULL;
    size_t size = 0;
    FILE *f = must(open_memstream(&out, &size));

    for (size_t i = 0; i < count; i++)
        fprintf(f, "%s%d", i > 0 ? "," : "", values[i]);
    fclose(f);
    add(t, must(out), format_of("[%s]", out));
}

static const char *shown(const struct table *t, const struct cell *cell, bool exact)
{
    if (cell->text == NULL || cell->text[0] == '\0')
        return "-";
    if (exact && cell->json != NULL) {
        enum column_kind kind =
            t->columns[(size_t)(cell - t->cells) % t->columns_count].kind;

        if (kind == COLUMN_BYTES || kind == COLUMN_MS || kind == COLUMN_TIME ||
            kind == COLUMN_BOOL)
            return cell->json;
    }
    return cell->text;
}

static void print_json(const struct table *t)
{
    fputs("{\"items\":[", stdout);
    for (size_t i = 0; i < t->len; i++) {
        size_t column = i % t->columns_count;

        fputs(i == 0 ? "{" : column == 0 ? "},{" : ",", stdout);
        printf("\"%s\":%s", t->columns[column].name,
               t->cells[i].json ? t->cells[i].json : "null");
    }
    puts(t->len > 0 ? "}]}" : "]}");
}

/* A tab or line break inside a value would break the format. */
static void print_tsv_value(const char *value)
{
    for (; *value != '\0'; value++)
        putchar(*value == '\t' || *value == '\n' || *value == '\r' ? ' ' : *value);
}

static void print_tsv(const struct table *t)
{
    if (t->output->header)
        for (size_t c = 0; c < t->columns_count; c++)
            printf("%s%c", t->columns[c].name, c + 1 < t->columns_count ? '\t' : '\n');
    for (size_t i = 0; i < t->len; i++) {
        print_tsv_value(shown(t, &t->cells[i], true));
        putchar(i % t->columns_count + 1 < t->columns_count ? '\t' : '\n');
    }
}

static bool right_aligned(enum column_kind kind)
{
    return kind == COLUMN_NUMBER || kind == COLUMN_BYTES || kind == COLUMN_MS;
}

static void print_padded(const char *text, size_t width, bool right, bool last)
{
    size_t len = strlen(text);
    int pad = (int)(width > len ? width - len : 0);

    if (right)
        printf("%*s%s", pad, "", text);
    else
        printf("%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", stdout);
}

static void print_text(const struct table *t)
{
    size_t *widths = must(calloc(t->columns_count, sizeof *widths));
    size_t columns = t->columns_count;

    for (size_t c = 0; c < columns; c++)
        widths[c] = t->output->header ? strlen(t->columns[c].name) : 0;
    for (size_t i = 0; i < t->len; i++) {
        size_t len = strlen(shown(t, &t->cells[i], false));

        if (len > widths[i % columns])
            widths[i % columns] = len;
    }
    for (size_t c = 0; t->output->header && c < columns; c++) {
        char name[64];
        size_t n = 0;

        for (const char *p = t->columns[c].name; *p != '\0' && n + 1 < sizeof name; p++)
            name[n++] = (char)(*p == '_' ? '-' : toupper((unsigned char)*p));
        name[n] = '\0';
        print_padded(name, widths[c], right_aligned(t->columns[c].kind),
                     c + 1 == columns);
    }
    for (size_t i = 0; i < t->len; i++) {
        size_t c = i % columns;

        print_padded(shown(t, &t->cells[i], false), widths[c],
                     right_aligned(t->columns[c].kind), c + 1 == columns);
    }
    free(widths);
}

void table_print(struct table *t, const char *empty)
{
    switch (t->output->format) {
    case OUTPUT_JSON: print_json(t); break;
    case OUTPUT_TSV: print_tsv(t); break;
    case OUTPUT_TEXT:
        if (t->len > 0)
            print_text(t);
        else if (empty != NULL)
            say(t->output, "%s", empty);
        break;
    }
    for (size_t i = 0; i < t->len; i++) {
        free(t->cells[i].text);
        free(t->cells[i].json);
    }
    free(t->cells);
    free(t);
}

void say(const struct output *o, const char *format, ...)
{
    va_list args;

    if (o->quiet)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void done(const struct output *o, const char *result, const char *name,
          const char *format, ...)
{
    va_list args;

    if (o->format == OUTPUT_JSON) {
        fputs("{\"result\":", stdout);
        json_string(result, strlen(result));
        fputs(",\"name\":", stdout);
        json_string(name, strlen(name));
        puts("}");
    } else if (o->format == OUTPUT_TSV) {
        printf("%s\t%s\n", result, name);
    } else if (!o->quiet) {
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
    }
}

static int report(const struct output *o, int code, const char *name, const char *message)
{
    fflush(stdout);
    fprintf(stderr, "leat: %s\n", message);
    if (o->format == OUTPUT_JSON) {
        fputs("{\"error\":{\"code\":", stdout);
        json_string(name, strlen(name));
        fputs(",\"message\":", stdout);
        json_string(message, strlen(message));
        puts("}}");
    }
    return code;
}

int fail(const struct output *o, int code, const char *format, ...)
{
    static const char *const names[] = {"OK",        "REFUSED",   "USAGE", "UNREACHABLE",
                                        "FORBIDDEN", "NOT_FOUND", "UNMET"};
    char message[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return report(o, code, code >= 0 && code <= EXIT_UNMET ? names[code] : "INTERRUPTED",
                  message);
}

int exit_code_of(int code)
{
    switch (code) {
    case LEAT_OK: return EXIT_DONE;
    case LEAT_E_INVALID_ARGUMENT: return EXIT_USAGE;
    case LEAT_E_TIMED_OUT:
    case LEAT_E_UNREACHABLE:
    case LEAT_E_RESOLVE:
    case 7: /* REQUEST_TIMED_OUT */ return EXIT_UNREACHABLE;
    case LEAT_E_UNKNOWN_TOPIC_OR_PARTITION:
    case LEAT_E_GROUP_NOT_FOUND: return EXIT_NOT_FOUND;
    default: return EXIT_REFUSED;
    }
}

int fail_error(const struct output *o, const leat_error *error)
{
    char message[512];

    snprintf(message, sizeof message, "%s%s%s", error->where, error->where[0] ? ": " : "",
             error->text);
    return report(o, exit_code_of(error->code), leat_code_name(error->code), message);
}

const char *bytes_text(uint64_t bytes, char out[static 32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    unsigned unit = 0;

    while (v >= 999.5 && unit < 6) {
        v /= 1000;
        unit++;
    }
    snprintf(out, 32, unit == 0 || v >= 99.95 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return out;
}

const char *duration_text(int64_t ms, char out[static 32])
{
    int64_t s = ms / 1000;

    if (ms < 0)
        snprintf(out, 32, "-");
    else if (ms < 1000)
        snprintf(out, 32, "%lldms", (long long)ms);
    else if (s < 60)
        snprintf(out, 32, "%lld.%llds", (long long)s, (long long)(ms % 1000 / 100));
    else if (s < 3600)
        snprintf(out, 32, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
    else if (s < 86400)
        snprintf(out, 32, "%lldh%02lldm", (long long)(s / 3600),
                 (long long)(s / 60 % 60));
    else
        snprintf(out, 32, "%lldd%02lldh", (long long)(s / 86400),
                 (long long)(s / 3600 % 24));
    return out;
}

const char *time_text(int64_t ms, char out[static 32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t len;

    if (ms < 0 || gmtime_r(&seconds, &tm) == NULL) {
        snprintf(out, 32, "-");
        return out;
    }
    len = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, 32 - len, ".%03dZ", (int)(ms % 1000));
    return out;
}

const char *count_text(uint64_t n, char out[static 32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
