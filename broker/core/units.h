/* SPDX-License-Identifier: Apache-2.0
 *
 * How people write quantities, and how we write them back: "64KiB", "1h30m", "true",
 * "LogAppendTime". K, M, G and T are powers of 1024, with or without "B" or "iB"; a plain
 * number is bytes or milliseconds. Settings of the broker and of topics both speak so. */
#pragma once

#include "proto/base/bytes.h"

enum unit {
    UNIT_TEXT,
    UNIT_LIST, /* comma-separated */
    UNIT_BYTES,
    UNIT_DURATION, /* ms */
    UNIT_INT,
    UNIT_BOOL,
    UNIT_CHOICE,
};

/* What a quantity may be. `choices` is a NULL-terminated list, for UNIT_CHOICE. */
struct quantity {
    enum unit unit;
    int64_t min, max;
    const char *const *choices;
};

const char *unit_name(enum unit unit); /* "bytes", "duration", ... */

/* INVALID_CONFIG, with what it should have been in `why`, if `text` is not such a
 * quantity or lies outside of its range. Not for texts and lists. */
STATUS_MUST_CHECK enum status quantity_parse(const struct quantity *q, const char *text,
                                             int64_t *out, char why[static 160]);

/* As it is shown and as it can be parsed again. */
void quantity_format(const struct quantity *q, int64_t value, char *out, size_t size);

/* "64KiB .. 8GiB", "a|b|c", or empty when there is nothing to say. */
void quantity_range(const struct quantity *q, char *out, size_t size);

/* How many letters must be changed, added or left out to turn one into the other. */
unsigned edit_distance(struct bytes a, struct bytes b);
