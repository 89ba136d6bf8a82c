/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/peers.h"

#include "broker/io/link.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TRIM_EVERY_MS = 1000 };

struct peers *peers_new(const struct peers_options *o)
{
    struct peers *p = must_zalloc(sizeof *p);

    p->o = *o;
    p->resolver = resolver_new(o->base);
    p->chunks = chunk_pool_new();
    TAILQ_INIT(&p->links);
    TAILQ_INIT(&p->failed);
    return p;
}

void peers_free(struct peers *p)
{
    CHECK(p->calls == 0);
    while (!TAILQ_EMPTY(&p->links))
        link_free(TAILQ_FIRST(&p->links));
    resolver_free(p->resolver);
    chunk_pool_free(p->chunks);
    free(p);
}

/* ---- calls ---------------------------------------------------------------------------
 */

/* A poll of the quorum may wait as long as it likes, its answers are small. */
static enum lane lane_of(enum rpc_api api)
{
    return api == RPC_REPLICA_FETCH || api == RPC_FETCH_SNAPSHOT ? LANE_BULK : LANE_QUICK;
}

static struct link *link_for(struct peers *p, const struct peer_call *c)
{
    enum lane lane = lane_of(c->api);
    struct link *l;

    TAILQ_FOREACH (l, &p->links, link)
        if (l->to == c->to && l->lane == lane && l->at.port == c->at.port &&
            !strcmp(l->at.host, c->at.host))
            return l;
    return link_new(p, c->to, &c->at, lane);
}

static struct outgoing *outgoing_new(struct peers *p, struct peer_call *c)
{
    struct outgoing *out = must_zalloc(sizeof *out);
    size_t header = rpc_packed_size(c->header);
    struct frame f = {.api = (uint16_t)c->api,
                      .correlation = ++p->correlation,
                      .header_bytes = (uint32_t)header,
                      .length = (uint32_t)(FRAME_HEAD - 4 + header)};
    struct writer w;

    out->call = c;
    out->correlation = f.correlation;
    out->bytes = FRAME_HEAD + header;
    out->frame = must_alloc(out->bytes);
    frame_write(out->frame, &f);
    w = writer_fixed(out->frame + FRAME_HEAD, header);
    rpc_pack(c->header, &w);
    CHECK(!writer_status(&w));
    return out;
}

void peers_call(struct peers *p, struct peer_call *c, struct instant now)
{
    struct outgoing *out = outgoing_new(p, c);
    struct link *l;

    p->calls++;
    out->deadline_ms = now.mono_ms + (c->timeout_ms > 0 ? c->timeout_ms : 1);
    if (p->stopping || p->o.secret->len == 0 || c->at.host[0] == '\0') {
        outgoing_fail(p, out, p->stopping ? STATUS_CLOSED : STATUS_UNREACHABLE);
        return;
    }
    l = link_for(p, c);
    if (l->state == LINK_IDLE && now.mono_ms < l->retry_ms)
        outgoing_fail(p, out, STATUS_UNREACHABLE);
    else
        link_send(l, out, now);
}

void outgoing_fail(struct peers *p, struct outgoing *out, enum status status)
{
    out->status = status;
    TAILQ_INSERT_TAIL(&p->failed, out, link);
}

void outgoing_end(struct peers *p, struct outgoing *out, enum status status,
                  const char *message, struct bytes answer, struct slice payload)
{
    struct peer_call *c = out->call;

    free(out->frame);
    free(out);
    CHECK(p->calls > 0);
    p->calls--;
    c->status = status;
    c->message = message;
    c->answer = answer;
    c->payload = payload;
    c->done(c);
}

static void end_failed(struct peers *p)
{
    struct outgoing *out, *last = TAILQ_LAST(&p->failed, outgoings);
    bool more = last != NULL;

    /* Those that fail meanwhile wait for the next turn. */
    while (more && (out = TAILQ_FIRST(&p->failed)) != NULL) {
        more = out != last;
        TAILQ_REMOVE(&p->failed, out, link);
        outgoing_end(p, out, out->status, status_text(out->status), (struct bytes){0},
                     (struct slice){0});
    }
}

/* ---- turns ---------------------------------------------------------------------------
 */

void peers_run(struct peers *p, struct instant now)
{
    struct link *l, *next;

    p->now = now;
    p->noted = false;
    for (l = TAILQ_FIRST(&p->links); l != NULL; l = next) {
        next = TAILQ_NEXT(l, link);
        link_run(l, now);
        if (link_is_spent(l, now))
            link_free(l);
    }
    end_failed(p);
    if (now.mono_ms - p->trimmed_ms >= TRIM_EVERY_MS) {
        chunk_pool_trim(p->chunks);
        p->trimmed_ms = now.mono_ms;
    }
}

void peers_flush(struct peers *p)
{
    struct link *l;

    TAILQ_FOREACH (l, &p->links, link)
        link_flush(l);
}

bool peers_are_runnable(const struct peers *p)
{
    return p->noted || !TAILQ_EMPTY(&p->failed);
}

int64_t peers_deadline(const struct peers *p)
{
    int64_t first = INT64_MAX;
    const struct link *l;

    TAILQ_FOREACH (l, &p->links, link)
        if (link_deadline(l) < first)
            first = link_deadline(l);
    return first;
}

void peers_stop(struct peers *p)
{
    struct link *l;

    p->stopping = true;
    TAILQ_FOREACH (l, &p->links, link)
        link_break(l, STATUS_CLOSED, NULL);
}

bool peers_are_idle(const struct peers *p)
{
    return p->calls == 0;
}
