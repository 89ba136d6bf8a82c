/* SPDX-License-Identifier: Apache-2.0
 *
 * How consumed records are printed: a format string, compiled once. */
#pragma once

#include "leat/leat.h"

#include <stdbool.h>
#include <stdio.h>

enum { FORMAT_PARTS_MAX = 128 };

struct format {
    struct {
        char what;        /* a letter of the language, or 0: literal text */
        const char *text; /* of a literal, into `memory` */
        size_t len;
    } parts[FORMAT_PARTS_MAX];
    size_t count;
    char *memory;
};

/* %t %p %o %k %v %h %T %d %s %%, and \n \t \r \\ \0. False with a sentence in `why`. */
bool format_compile(struct format *f, const char *text, char why[static 160]);
void format_release(struct format *f);

/* Print one record; false when `to` failed. On a terminal (`safe`) control characters and
 * bytes that are not printable are shown as \xNN, so that nothing reaches it raw. */
bool format_print(const struct format *f, const leat_record *record, FILE *to, bool safe);

/* One line of JSON on stdout: topic, partition, offset, timestamp_ms, key, value,
 * headers. */
bool format_json(const leat_record *record);
