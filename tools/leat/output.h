/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tool prints. stdout is data, in the format that was asked for: text tables for
 * people (may change any day), JSON as one object {"items":[...]} and TSV with fixed
 * columns for programs (never change). stderr is talk: errors, progress, questions, and
 * only when somebody is there to see it. */
#pragma once

#include "leat/leat.h"

#include <stdbool.h>
#include <stdint.h>

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_TSV };

struct output {
    enum output_format format;
    bool header; /* text tables and TSV: print a header line */
    bool quiet;  /* no talk but errors */
    bool color;
};

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER, /* right-aligned; JSON number */
    COLUMN_BYTES,  /* text: 12.3 MB; JSON and TSV: exact */
    COLUMN_MS,     /* a duration; text: 4m12s; JSON and TSV: milliseconds */
    COLUMN_TIME,   /* ms since 1970; text: RFC 3339; JSON and TSV: milliseconds */
    COLUMN_BOOL,
    COLUMN_LIST, /* numbers joined by commas; JSON: array of numbers */
};

struct column {
    const char *name; /* "partition": JSON key; the text header is its upper case */
    enum column_kind kind;
};

/* A table that is gathered and printed at once. Absent cells: TSV and text "-", JSON
 * null. */
struct table;

struct table *table_new(const struct output *o, const struct column *columns,
                        size_t count);
/* Fill the next cell of the row, from left to right; the row ends with its last column.
 */
void table_text(struct table *t, const char *value); /* NULL: absent */
void table_number(struct table *t, int64_t value);
void table_list(struct table *t, const int32_t *values, size_t count);
void table_absent(struct table *t);
size_t table_rows(const struct table *t);
/* Print and free. `empty` (may be NULL) is said on stderr in text format when there is no
 * row. */
void table_print(struct table *t, const char *empty);

/* One line of talk to stderr, unless quiet. */
void say(const struct output *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Something was done: text prints the sentence to stdout (unless quiet), JSON prints
 * {"result": ..., "name": ...}. */
void done(const struct output *o, const char *result, const char *name,
          const char *format, ...) __attribute__((format(printf, 4, 5)));
/* "leat: ..." to stderr; under JSON also {"error":{...}} to stdout. Returns `code`. */
int fail(const struct output *o, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for an error of the library; the exit code follows from the error's code. */
int fail_error(const struct output *o, const leat_error *error);
int exit_code_of(int leat_code);

/* A JSON string with quotes, escapes and all; bytes that are not UTF-8 become U+FFFD. */
void json_string(const void *data, size_t len);

/* "12.3 MB", "4m12s", RFC 3339: for sentences. `out` has at least 32 bytes. */
const char *bytes_text(uint64_t bytes, char out[static 32]);
const char *duration_text(int64_t ms, char out[static 32]);
const char *time_text(int64_t ms, char out[static 32]);
/* 1 203 551 */
const char *count_text(uint64_t n, char out[static 32]);
