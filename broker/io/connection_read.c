/* SPDX-License-Identifier: Apache-2.0
 *
 * From socket to messages. Connections that have nothing half-received share one chunk of
 * their shard, one after the other; whoever is left with the beginning of a message keeps
 * it, in memory that never exceeds twice what has arrived (or what an earlier message of
 * the same connection needed). */
#include "broker/io/connection_inner.h"

#include "proto/base/check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ROOM_MIN = 16384, /* less is not worth a system call */
    STASH_MAX = 2048, /* so much of an unfinished message moves out of its chunk */
};

static size_t have(const struct connection *c)
{
    return c->in_end - c->in_begin;
}

/* Pass the chunk on to the next reader, or let it go. */
static void give_chunk(struct connections *s, struct buf *chunk, size_t used)
{
    if (buf_is_unique(chunk))
        used = 0;
    if (s->spare == NULL && chunk->capacity >= CHUNK_SMALL &&
        chunk->capacity <= CHUNK_LARGE && chunk->capacity - used >= ROOM_MIN) {
        s->spare = chunk;
        s->spare_used = used;
        return;
    }
    buf_unref(chunk);
}

void connection_release_input(struct connection *c)
{
    if (c->in != NULL)
        give_chunk(c->set, c->in, c->in_end);
    c->in = NULL;
    c->in_begin = c->in_end = 0;
    c->in_whole = 0;
    c->frame_ms = 0;
}

static void move_to(struct connection *c, struct buf *to, size_t used)
{
    size_t n = have(c);

    if (n > 0)
        memcpy(to->data + used, c->in->data + c->in_begin, n);
    if (c->in != NULL)
        give_chunk(c->set, c->in, c->in_end);
    c->in = to;
    c->in_begin = used;
    c->in_end = used + n;
}

void connection_shrink(struct connection *c)
{
    struct buf *exact;

    if (c->in == NULL || have(c) == 0 || c->in->capacity == have(c))
        return;
    exact = buf_new(have(c));
    if (exact != NULL)
        move_to(c, exact, 0);
}

/* How large the next buffer should be: room for a good read, and for the message in
 * front as far as what has arrived vouches for it. */
static size_t wanted_bytes(const struct connection *c)
{
    size_t vouched = have(c) * 2 > c->whole_seen ? have(c) * 2 : c->whole_seen;
    size_t whole = c->in_whole < vouched ? c->in_whole : vouched;
    size_t want = c->chunk_bytes;

    if (want < whole)
        want = whole;
    if (want < have(c) + ROOM_MIN)
        want = have(c) + ROOM_MIN;
    return want;
}

static bool has_room(const struct connection *c)
{
    size_t room = c->in ? c->in->capacity - c->in_end : 0;

    return room >= ROOM_MIN ||
           (c->in_whole > 0 && room > 0 && c->in_begin + c->in_whole <= c->in->capacity);
}

/* False without memory. */
static bool make_room(struct connection *c)
{
    struct connections *s = c->set;
    size_t want = wanted_bytes(c);
    struct buf *chunk = s->spare;
    size_t used = s->spare_used;

    if (has_room(c))
        return true;
    if (chunk != NULL && chunk->capacity - used >= want - CHUNK_SMALL + ROOM_MIN &&
        chunk->capacity - used >= have(c) + ROOM_MIN) {
        s->spare = NULL;
    } else {
        chunk = chunk_take(s->chunks, want);
        used = 0;
    }
    if (chunk != NULL)
        move_to(c, chunk, used);
    return chunk != NULL;
}

/* Grow towards large reads under load, and back. */
static void adapt(struct connection *c, size_t room, size_t n)
{
    if (n == room && room >= CHUNK_SMALL / 2)
        c->chunk_bytes = CHUNK_LARGE;
    else if (n < CHUNK_SMALL / 4)
        c->chunk_bytes = CHUNK_SMALL;
}

static void receive(struct connection *c)
{
    size_t room;
    ssize_t n;

    c->readable = false;
    if (!make_room(c)) {
        connection_abort(c, "there is no memory to read it");
        return;
    }
    room = c->in->capacity - c->in_end;
    do {
        n = recv(c->fd, c->in->data + c->in_end, room, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        connection_abort(c, NULL);
    } else if (n == 0) {
        c->eof = true;
        event_del(&c->read);
    } else if (n > 0) {
        c->in_end += (size_t)n;
        c->traffic_ms = c->set->now.mono_ms;
        metric_add(c->set->o.metrics, METRIC_BYTES_IN, (uint64_t)n);
        adapt(c, room, (size_t)n);
    }
}

static const struct protocol *const protocols[] = {&native_protocol};

/* What the first bytes look like, for whoever knocked at the wrong door. */
static const char *guess(const uint8_t *first, size_t len)
{
    if (len >= 3 && (!memcmp(first, "GET", 3) || !memcmp(first, "HEA", 3) ||
                     !memcmp(first, "POS", 3)))
        return "it speaks HTTP; this is the port for clients, see http.listen";
    if (len >= 2 && first[0] == 0x16 && first[1] == 0x03)
        return "it speaks TLS, which this port does not";
    return "it does not speak this port's protocol";
}

static void recognise(struct connection *c)
{
    const uint8_t *first = c->in->data + c->in_begin;
    bool maybe = false;

    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        enum protocol_match match = protocols[i]->match(first, have(c));

        if (match == MATCH_YES) {
            c->protocol = protocols[i];
            return;
        }
        maybe |= match == MATCH_MAYBE;
    }
    if (!maybe)
        connection_abort(c, guess(first, have(c)));
}

static bool take_one(struct connection *c)
{
    struct input in = {c->in, c->in->data + c->in_begin, have(c)};
    size_t taken;

    if (c->protocol == NULL)
        recognise(c);
    if (c->protocol == NULL || !connection_reads(c))
        return false;
    taken = c->protocol->take(c, in, &c->in_whole);
    CHECK(taken <= in.len);
    if (taken > c->whole_seen)
        c->whole_seen = taken;
    if (taken > 0 && connection_reads(c)) {
        c->in_begin += taken;
        c->in_whole = 0;
        c->frame_ms = 0;
    }
    return taken > 0;
}

/* After the last whole message: what is left? */
static void leave(struct connection *c)
{
    size_t n = have(c);

    if (n == 0) {
        connection_release_input(c);
        return;
    }
    /* Whole messages that we leave lying are not the peer's fault. */
    if (connection_is_full(c))
        return;
    if (c->frame_ms == 0)
        c->frame_ms = c->set->now.mono_ms;
    if (n <= STASH_MAX && c->in->capacity >= CHUNK_SMALL)
        connection_shrink(c);
}

void connection_read(struct connection *c)
{
    if (c->readable && !connection_is_full(c))
        receive(c);
    while (connection_reads(c) && !connection_is_full(c) && c->in != NULL && have(c) > 0)
        if (!take_one(c))
            break;
    if (connection_reads(c))
        leave(c);
}
