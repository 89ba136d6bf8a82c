/* SPDX-License-Identifier: Apache-2.0
 *
 * The port for operators: /metrics, /healthz, /readyz, for GET and HEAD. It runs on the
 * main thread, so it answers while shards recover and while they stop. */
#pragma once

#include "proto/base/bytes.h"

#include <event2/event.h>

struct http;

struct http_pages {
    void (*metrics)(void *ctx, struct writer *out);
    /* True if all is well; else what is not, in `why`. */
    bool (*healthy)(void *ctx, char why[static 160]);
    bool (*ready)(void *ctx, char why[static 160]);
    void *ctx;
};

/* Serve on a bound descriptor, which is taken over. NULL if it cannot be listened on. */
struct http *http_new(struct event_base *base, int fd, const struct http_pages *pages);
void http_free(struct http *h); /* NULL is fine */
