/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/output.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { TAIL_FIRST = 2048, TAIL_MAX = 64 * 1024, IOV = 64, SLICES_FIRST = 8 };

void output_init(struct output *o)
{
    *o = (struct output){0};
}

static void let_go(struct output *o)
{
    buf_unref(o->tail);
    free(o->slices);
    *o = (struct output){0};
}

void output_release(struct output *o)
{
    for (size_t i = 0; i < o->count; i++)
        slice_release(&o->slices[o->first + i]);
    let_go(o);
}

static void push(struct output *o, struct slice s)
{
    if (o->first + o->count == o->capacity && o->first > o->capacity / 2) {
        memmove(o->slices, o->slices + o->first, o->count * sizeof *o->slices);
        o->first = 0;
    } else if (o->first + o->count == o->capacity) {
        o->capacity = o->capacity ? o->capacity * 2 : SLICES_FIRST;
        o->slices = must_realloc(o->slices, o->capacity * sizeof *o->slices);
    }
    o->slices[o->first + o->count++] = s;
}

static void new_tail(struct output *o, size_t len)
{
    size_t capacity = TAIL_FIRST;

    /* Answers that pile up deserve larger pieces. */
    if (o->tail != NULL && o->tail->capacity < TAIL_MAX)
        capacity = o->tail->capacity * 2;
    else if (o->tail != NULL)
        capacity = TAIL_MAX;
    if (capacity < len)
        capacity = len;
    buf_unref(o->tail);
    o->tail = buf_new(capacity);
    CHECK(o->tail != NULL);
    o->tail_used = 0;
}

static bool ends_in_tail(const struct output *o)
{
    const struct slice *last;

    if (o->count == 0)
        return false;
    last = &o->slices[o->first + o->count - 1];
    return last->buf == o->tail && last->data + last->len == o->tail->data + o->tail_used;
}

uint8_t *output_reserve(struct output *o, size_t len)
{
    uint8_t *at;

    if (o->tail == NULL || o->tail->capacity - o->tail_used < len)
        new_tail(o, len);
    at = o->tail->data + o->tail_used;
    if (ends_in_tail(o))
        o->slices[o->first + o->count - 1].len += len;
    else
        push(o, slice_of(o->tail, at, len));
    o->tail_used += len;
    o->bytes += len;
    return at;
}

void output_bytes(struct output *o, const void *data, size_t len)
{
    if (len > 0)
        memcpy(output_reserve(o, len), data, len);
}

void output_slice(struct output *o, struct slice *s)
{
    if (s->len < OUTPUT_COPY_BELOW || s->buf == NULL) {
        output_bytes(o, s->data, s->len);
        slice_release(s);
        return;
    }
    o->bytes += s->len;
    push(o, *s);
    *s = (struct slice){0};
}

static void consume(struct output *o, size_t n)
{
    o->bytes -= n;
    while (n > 0) {
        struct slice *s = &o->slices[o->first];

        if (n < s->len) {
            s->data += n;
            s->len -= n;
            return;
        }
        n -= s->len;
        slice_release(s);
        o->first++;
        o->count--;
    }
}

/* One sendmsg: -1 when the peer is gone, else what it took. */
static ssize_t write_some(struct output *o, int fd, size_t *offered)
{
    struct iovec iov[IOV];
    struct msghdr message = {.msg_iov = iov};
    ssize_t n;

    *offered = 0;
    while (message.msg_iovlen < IOV && message.msg_iovlen < o->count) {
        const struct slice *s = &o->slices[o->first + message.msg_iovlen];

        iov[message.msg_iovlen++] = (struct iovec){(void *)(uintptr_t)s->data, s->len};
        *offered += s->len;
    }
    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
        n = 0;
    return n;
}

bool output_write(struct output *o, int fd, size_t *written)
{
    *written = 0;
    while (o->bytes > 0) {
        size_t offered;
        ssize_t n = write_some(o, fd, &offered);

        if (n < 0)
            return false;
        consume(o, (size_t)n);
        *written += (size_t)n;
        if ((size_t)n < offered)
            return true;
    }
    let_go(o);
    return true;
}
