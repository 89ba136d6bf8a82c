/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/log_sink.h"

#include "broker/io/clock.h"
#include "proto/base/bytes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 128, TAIL_ROOM = 8 };

/* How often an event was written in the current second. */
struct rate {
    const char *event;
    int64_t second;
    unsigned written;
    uint64_t suppressed;
};

static struct {
    pthread_mutex_t lock;
    int fd;
    bool json;
    _Atomic int level;
    struct rate rates[EVENTS_MAX];
} sink = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

void sink_init(int fd, enum log_format format, enum log_level level)
{
    pthread_mutex_lock(&sink.lock);
    sink.fd = fd;
    sink.json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && !isatty(fd));
    memset(sink.rates, 0, sizeof sink.rates);
    pthread_mutex_unlock(&sink.lock);
    sink_set_level(level);
}

void sink_set_level(enum log_level level)
{
    atomic_store_explicit(&sink.level, (int)level, memory_order_relaxed);
}

bool sink_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

static void write_time(struct writer *w, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;
    char text[32];

    gmtime_r(&seconds, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    write_format(w, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

/* Inside of double quotes; valid for JSON, and harmless for a terminal. */
static void write_escaped(struct writer *w, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            write_format(w, "\\%c", *p);
        else if (*p == '\n')
            write_text(w, "\\n");
        else if (*p < 0x20 || *p >= 0x7f)
            write_format(w, "\\u%04x", *p);
        else
            write_u8(w, *p);
    }
}

static bool is_plain(const char *text)
{
    if (*text == '\0')
        return false;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '=' || *p == '\\')
            return false;
    return true;
}

static void write_value(struct writer *w, const struct sink_field *f, bool quote)
{
    if (f->text == NULL) {
        write_format(w, "%lld", (long long)f->number);
        return;
    }
    if (quote)
        write_u8(w, '"');
    write_escaped(w, f->text);
    if (quote)
        write_u8(w, '"');
}

/* Give up what did not fit, from the first part that failed on. */
static size_t finish(struct writer *w, const char *end)
{
    w->failed = false;
    w->capacity += TAIL_ROOM;
    write_text(w, end);
    return w->len;
}

size_t sink_format_text(const struct sink_line *line, char *out, size_t size)
{
    struct writer w = writer_fixed(out, size - TAIL_ROOM);
    size_t whole;

    write_time(&w, line->wall_ms);
    write_format(&w, " %-5s %s", level_names[line->level], line->event);
    if (line->sentence != NULL) {
        write_text(&w, ": ");
        for (const unsigned char *p = (const unsigned char *)line->sentence; *p; p++)
            write_u8(&w, *p >= 0x20 && *p < 0x7f ? *p : '?');
    }
    whole = w.len;
    for (size_t i = 0; i < line->count && !w.failed; i++) {
        const struct sink_field *f = &line->fields[i];

        write_format(&w, "  %s=", f->key);
        write_value(&w, f, f->text != NULL && !is_plain(f->text));
        if (!w.failed)
            whole = w.len;
    }
    if (line->suppressed > 0 && !w.failed) {
        write_format(&w, "  suppressed=%llu", (unsigned long long)line->suppressed);
        if (!w.failed)
            whole = w.len;
    }
    w.len = whole;
    return finish(&w, "\n");
}

static void write_json_text(struct writer *w, const char *key, const char *text)
{
    write_format(w, ",\"%s\":\"", key);
    write_escaped(w, text);
    write_u8(w, '"');
}

size_t sink_format_json(const struct sink_line *line, char *out, size_t size)
{
    struct writer w = writer_fixed(out, size - TAIL_ROOM);
    size_t whole;

    write_text(&w, "{\"time\":\"");
    write_time(&w, line->wall_ms);
    write_format(&w, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[line->level],
                 line->event);
    whole = w.len;
    if (line->sentence != NULL) {
        write_json_text(&w, "message", line->sentence);
        if (!w.failed)
            whole = w.len;
    }
    for (size_t i = 0; i < line->count && !w.failed; i++) {
        const struct sink_field *f = &line->fields[i];

        write_format(&w, ",\"%s\":", f->key);
        write_value(&w, f, true);
        if (!w.failed)
            whole = w.len;
    }
    if (line->suppressed > 0 && !w.failed) {
        write_format(&w, ",\"suppressed\":%llu", (unsigned long long)line->suppressed);
        if (!w.failed)
            whole = w.len;
    }
    w.len = whole;
    return finish(&w, "}\n");
}

/* Whether the event may be written now; event names are few and constant. */
static bool within_rate(const char *event, int64_t second, uint64_t *suppressed)
{
    struct rate *r = sink.rates;

    *suppressed = 0;
    while (r < sink.rates + EVENTS_MAX && r->event != NULL && strcmp(r->event, event))
        r++;
    if (r == sink.rates + EVENTS_MAX)
        return true;
    if (r->event == NULL || r->second != second) {
        *suppressed = r->suppressed;
        *r = (struct rate){.event = event, .second = second};
    }
    if (r->written == SINK_BURST) {
        r->suppressed++;
        return false;
    }
    r->written++;
    return true;
}

void sink_write(enum log_level level, const char *event, const char *sentence,
                const struct sink_field *fields, size_t count)
{
    struct sink_line line = {
        .wall_ms = clock_now().wall_ms,
        .level = level,
        .event = event,
        .sentence = sentence,
        .fields = fields,
        .count = count,
    };
    char text[SINK_LINE_MAX];
    size_t len;

    if (!sink_wants(level))
        return;
    pthread_mutex_lock(&sink.lock);
    if (within_rate(event, line.wall_ms / 1000, &line.suppressed)) {
        len = sink.json ? sink_format_json(&line, text, sizeof text)
                        : sink_format_text(&line, text, sizeof text);
        /* Nobody can be told when telling fails. */
        if (write(sink.fd, text, len) < 0)
            line.suppressed++;
    }
    pthread_mutex_unlock(&sink.lock);
}
