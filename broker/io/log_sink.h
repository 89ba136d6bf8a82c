/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker tells its operator: one line per event, on stderr, nowhere else. A line
 * has a level, a stable event name, a sentence for people and fields for machines. A
 * terminal gets text, everything else JSON, unless log.format says otherwise.
 *
 * An event that repeats is written a few times per second at most; the next line of that
 * event tells how many were left out. The process has one sink, any thread may write. */
#pragma once

#include "broker/core/config.h"

#include <stddef.h>
#include <stdint.h>

enum { SINK_BURST = 10, SINK_LINE_MAX = 2048 };

struct sink_field {
    const char *key;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

struct sink_line {
    int64_t wall_ms;
    enum log_level level;
    const char *event;    /* "broker.ready" */
    const char *sentence; /* may be NULL */
    const struct sink_field *fields;
    size_t count;
    uint64_t suppressed; /* lines of this event that were left out before this one */
};

/* Where lines go, and which. LOG_FORMAT_AUTO looks whether `fd` is a terminal. */
void sink_init(int fd, enum log_format format, enum log_level level);
/* The least level that is written, from now on. */
void sink_set_level(enum log_level level);
bool sink_wants(enum log_level level);

/* Stamp and write a line unless its event is over its rate. */
void sink_write(enum log_level level, const char *event, const char *sentence,
                const struct sink_field *fields, size_t count);

/* SAY(INFO, "broker.ready", "accepting connections", TEXT("address", a), NUM("ms", 3)) */
#define SAY(level, event, sentence, ...)                                              \
    sink_write(                                                                       \
        LOG_LEVEL_##level, event, sentence, (const struct sink_field[]){__VA_ARGS__}, \
        sizeof((const struct sink_field[]){__VA_ARGS__}) / sizeof(struct sink_field))
#define TEXT(key, value) ((struct sink_field){key, value, 0})
#define NUM(key, value)  ((struct sink_field){key, NULL, (int64_t)(value)})

/* Pure: the line with its newline, cut to `size` if it must be; returns its length.
 * Whatever is no printable text of ours is escaped, so nobody can forge a line. */
size_t sink_format_text(const struct sink_line *line, char *out, size_t size);
size_t sink_format_json(const struct sink_line *line, char *out, size_t size);
