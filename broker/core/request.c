/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/node_state.h"

#include "proto/base/check.h"

#include <stdarg.h>
#include <stdio.h>

void *request_alloc(struct request *r, size_t size)
{
    return arena_zalloc(&r->arena, size);
}

static void count(struct request *r)
{
    struct metrics *m = r->node->o.metrics;
    unsigned api = r->row->api % METRIC_API_MAX;
    int64_t took_ms = r->node->now.mono_ms - r->arrived.mono_ms;

    metrics_add(&m->requests[api], 1);
    metrics_add(&m->micros[api], took_ms > 0 ? (uint64_t)took_ms * 1000 : 0);
    if (r->status)
        metrics_add(&m->errors[api], 1);
}

void request_finish(struct request *r)
{
    if (r->away) {
        errand_return(r->node, &r->errand);
        return;
    }
    count(r);
    if (r->finished != NULL)
        r->finished(r);
    else
        r->node->o.wire->answer(r->node->o.wire, r);
}

void request_answer(struct request *r, ProtobufCMessage *answer)
{
    r->status = STATUS_OK;
    r->answer = answer;
    request_finish(r);
}

void request_refuse(struct request *r, enum status status, const char *format, ...)
{
    CHECK(status != STATUS_OK);
    r->status = status;
    r->message = NULL;
    while (r->slice_count > 0)
        slice_release(&r->slices[--r->slice_count]);
    if (format != NULL) {
        char text[256];
        va_list args;
        int len;

        va_start(args, format);
        len = vsnprintf(text, sizeof text, format, args);
        va_end(args);
        CHECK(len >= 0);
        r->message = arena_format(&r->arena, "%s", text);
    }
    request_finish(r);
}
