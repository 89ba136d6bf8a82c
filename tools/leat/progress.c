/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { REPAINT_MS = 200, REPEAT_MS = 10000, FIRST_MS = 1000 };

int64_t monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_start(struct progress *p, const struct output *o, const char *verb)
{
    int64_t now = monotonic_ms();

    *p = (struct progress){
        .output = o, .verb = verb, .started_ms = now, .painted_ms = now};
    p->terminal = isatty(STDERR_FILENO) && !o->quiet;
}

int64_t progress_ms(const struct progress *p)
{
    return monotonic_ms() - p->started_ms;
}

static void paint(struct progress *p, int64_t now)
{
    char count[32], bytes[32], rate[32];
    int64_t ms = now - p->started_ms > 0 ? now - p->started_ms : 1;

    fprintf(stderr, "%s%s %s records  %s  %s/s%s", p->terminal ? "\r" : "", p->verb,
            count_text(p->count, count), bytes_text(p->bytes, bytes),
            count_text(p->count * 1000 / (uint64_t)ms, rate),
            p->terminal ? "\033[K" : "\n");
    p->painted = true;
    p->painted_ms = now;
}

void progress_update(struct progress *p, uint64_t count, uint64_t bytes)
{
    int64_t now;

    p->count = count;
    p->bytes = bytes;
    if (p->output->quiet)
        return;
    now = monotonic_ms();
    if (now - p->started_ms < FIRST_MS)
        return;
    if (now - p->painted_ms >= (p->terminal ? REPAINT_MS : REPEAT_MS))
        paint(p, now);
}

void progress_end(struct progress *p)
{
    if (p->terminal && p->painted)
        fputs("\r\033[K", stderr);
}
