/* SPDX-License-Identifier: Apache-2.0
 *
 * A line that tells how long work is going: repainted on a terminal, one plain line every
 * ten seconds where stderr is a file or pipe, nothing when quiet. */
#pragma once

#include "tools/leat/output.h"

struct progress {
    const struct output *output;
    const char *verb; /* "published" */
    int64_t started_ms, painted_ms;
    uint64_t count, bytes;
    bool terminal, painted;
};

void progress_start(struct progress *p, const struct output *o, const char *verb);
/* Cheap: paints now and then only. */
void progress_update(struct progress *p, uint64_t count, uint64_t bytes);
/* Wipe the line, so that the result can be printed. */
void progress_end(struct progress *p);
int64_t progress_ms(const struct progress *p); /* since the start */

int64_t monotonic_ms(void);
