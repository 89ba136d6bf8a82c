/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading. Hot: slices of the journal's buffers, nothing is copied and nothing waits.
 * Cold: aligned pieces of a segment file, from which whole batches are cut; headers are
 * checked on the way, so that a damaged file ends a read and never leads it astray. */
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/store_inner.h"

#include <stdlib.h>
#include <string.h>

enum { COLD_MIN = 256 * 1024, COLD_MAX = 1024 * 1024 };

static void add_slice(struct log_read *r, struct slice slice)
{
    if (r->slice_count == r->slice_capacity) {
        r->slice_capacity = r->slice_capacity ? r->slice_capacity * 2 : 4;
        r->slices = must_realloc(r->slices, r->slice_capacity * sizeof *r->slices);
    }
    r->slices[r->slice_count++] = slice;
    r->bytes += slice.len;
}

void log_read_release(struct log_read *read)
{
    for (size_t i = 0; i < read->slice_count; i++)
        slice_release(&read->slices[i]);
    free(read->slices);
    read->slices = NULL;
    read->slice_count = read->slice_capacity = 0;
    read->bytes = 0;
}

static void begin(struct log *log, struct log_read *r)
{
    r->status = STATUS_OK;
    r->slices = NULL;
    r->slice_count = r->slice_capacity = 0;
    r->bytes = 0;
    r->log = log;
    r->work = NULL;
}

/* Whether a batch of `len` bytes may still be given. */
static bool fits(const struct log_read *r, size_t len)
{
    if (r->bytes == 0 && r->first_whole)
        return true;
    return r->bytes + len <= r->max_bytes;
}

/* ---- hot ----------------------------------------------------------------------------
 */

/* The number of the batch in memory that contains `offset`. */
static uint64_t hot_find(const struct log *log, int64_t offset)
{
    uint64_t low = log->hot_first, high = log->hot_end;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;

        if (log_hot(log, middle)->base <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool log_read_hot(struct log *log, struct log_read *r)
{
    int64_t upto = r->upto < log->end ? r->upto : log->end;

    if (r->from >= log->start && r->from < upto && r->from < log_hot_offset(log))
        return false;
    begin(log, r);
    log->store->stats.hot_reads++;
    if (r->from < log->start || r->from > log->end) {
        r->status = STATUS_OFFSET_OUT_OF_RANGE;
        return true;
    }
    if (r->from >= upto)
        return true;
    for (uint64_t n = hot_find(log, r->from); n < log->hot_end; n++) {
        const struct hot *h = log_hot(log, n);

        if (h->base >= upto || !fits(r, h->len))
            break;
        add_slice(r, slice_of(h->buf, h->data, h->len));
    }
    return true;
}

/* ---- cold ---------------------------------------------------------------------------
 */

/* A cold read under way: one piece after the other, each into a buffer of its own. */
struct cold {
    struct log_read *read;
    struct log *log;
    struct segment *segment;
    unsigned cuts;
    bool again;        /* the index led nowhere: once more from the segment's beginning */
    uint64_t position; /* of the next batch to look at */
    uint64_t limit;    /* good bytes in the file when the piece was read */
    uint64_t at;       /* of the piece, aligned */
    struct buf *piece;
    struct segment_wait wait;
    struct disk_op op;
    struct iovec iov;
};

static size_t wish_of(const struct log_read *r)
{
    size_t left = r->max_bytes > r->bytes ? r->max_bytes - r->bytes : 0;

    return left < COLD_MAX ? left : COLD_MAX;
}

static void read_piece(struct cold *c, size_t wish);
static void use_segment(struct cold *c);

static void finish(struct cold *c, enum status status)
{
    struct log_read *r = c->read;
    struct store *s = c->log->store;

    if (c->log->closed || c->cuts != c->log->cuts)
        status = STATUS_NOT_FOUND;
    /* What was found before the damage is good. */
    if (status != STATUS_NOT_FOUND && r->bytes > 0)
        status = STATUS_OK;
    if (status != STATUS_OK)
        log_read_release(r);
    r->status = status;
    r->work = NULL;
    s->stats.cold_reads++;
    s->stats.cold_read_bytes += r->bytes;
    buf_unref(c->piece);
    segment_unref(c->segment);
    log_unref(c->log);
    free(c);
    r->done(r);
}

static void piece_free(struct buf *b)
{
    free(b->data);
    free(b);
}

/* Aligned memory behind a buf. NULL when there is none. */
static struct buf *piece_new(size_t bytes)
{
    struct buf *b = must_alloc(sizeof *b);
    void *memory = aligned_alloc(DISK_ALIGN, bytes);

    if (memory == NULL) {
        free(b);
        return NULL;
    }
    buf_init(b, memory, bytes, piece_free);
    return b;
}

/* What a look at the piece came to. */
enum verdict {
    VERDICT_DONE,    /* the answer is complete */
    VERDICT_MORE,    /* the piece is used up */
    VERDICT_LARGER,  /* the next batch is longer than what is left of the piece */
    VERDICT_CORRUPT, /* no batch stands where one must */
};

/* Cut whole batches out of the bytes from `position` on; neighbours share a slice. */
static enum verdict take_batches(struct cold *c, struct bytes data, size_t *need)
{
    struct log_read *r = c->read;
    const uint8_t *first = NULL;
    size_t run = 0;
    enum verdict verdict = VERDICT_MORE;

    while (data.len > 0) {
        int64_t size = batch_size(data);
        struct batch b;

        *need = size > 0 ? (size_t)size : DISK_ALIGN;
        if (size < 0 || c->position + *need > c->limit) {
            verdict = size == 0 && c->position + data.len < c->limit ? VERDICT_LARGER
                                                                     : VERDICT_CORRUPT;
            break;
        }
        if (*need > data.len) {
            verdict = VERDICT_LARGER;
            break;
        }
        if (batch_parse(data, &b) != STATUS_OK || b.base_offset < c->segment->base ||
            b.last_offset_delta < 0) {
            verdict = VERDICT_CORRUPT;
            break;
        }
        if (b.base_offset >= r->upto || b.base_offset >= c->segment->next) {
            verdict = VERDICT_DONE;
            break;
        }
        if (batch_next_offset(&b) > r->from) {
            /* The index, or the place where the last read ended, must not skip. */
            if (r->bytes + run == 0 && b.base_offset > r->from) {
                verdict = VERDICT_CORRUPT;
                break;
            }
            if ((r->bytes + run > 0 || !r->first_whole) &&
                r->bytes + run + b.size > r->max_bytes) {
                verdict = VERDICT_DONE;
                break;
            }
            if (first == NULL)
                first = data.data;
            run += b.size;
            c->segment->hint_offset = batch_next_offset(&b);
            c->segment->hint_position = c->position + b.size;
        }
        c->position += b.size;
        data.data += b.size;
        data.len -= b.size;
    }
    if (run > 0)
        add_slice(r, slice_of(c->piece, first, run));
    return verdict;
}

/* The segment is at its end. If it gave nothing, the answer begins in the next one. */
static void end_of_segment(struct cold *c)
{
    struct log *log = c->log;
    struct segment *after;

    if (c->read->bytes > 0 || c->segment == log_active(log) || c->segment->dropped) {
        finish(c, STATUS_OK);
        return;
    }
    after = log_segment_after(log, c->segment);
    segment_unref(c->segment);
    c->segment = segment_ref(after);
    c->position = 0;
    use_segment(c);
}

static void look(struct cold *c)
{
    size_t skip = (size_t)(c->position - c->at), left, need = 0;

    left = c->limit > c->position ? (size_t)(c->limit - c->position) : 0;
    if (left > c->op.bytes - skip)
        left = c->op.bytes - skip;
    switch (take_batches(c, (struct bytes){c->piece->data + skip, left}, &need)) {
    case VERDICT_DONE: finish(c, STATUS_OK); return;
    case VERDICT_MORE:
        if (c->position >= c->limit)
            end_of_segment(c);
        else
            read_piece(c, wish_of(c->read));
        return;
    case VERDICT_LARGER:
        if (c->read->bytes > 0 && c->read->bytes + need > c->read->max_bytes)
            finish(c, STATUS_OK);
        else
            read_piece(c, need + DISK_ALIGN);
        return;
    case VERDICT_CORRUPT:
        if (!c->again && c->read->bytes == 0) {
            c->again = true;
            c->position = 0;
            c->segment->hint_offset = -1;
            read_piece(c, wish_of(c->read));
            return;
        }
        finish(c, STATUS_CORRUPT);
        return;
    }
}

static void on_piece(struct disk_op *op)
{
    struct cold *c = container_of(op, struct cold, op);
    bool moved = c->log->closed || c->cuts != c->log->cuts;

    store_done(c->log->store);
    segment_leave(c->segment);
    if (op->status != STATUS_OK)
        finish(c, STATUS_STORAGE_FAILED);
    else if (moved)
        finish(c, STATUS_NOT_FOUND);
    else if (op->bytes <= c->position - c->at)
        finish(c, STATUS_CORRUPT); /* the file is shorter than it was */
    else
        look(c);
}

static void on_ready(struct segment_wait *w, enum status status)
{
    struct cold *c = container_of(w, struct cold, wait);

    if (status != STATUS_OK) {
        finish(c, c->segment->dropped ? STATUS_NOT_FOUND : STATUS_STORAGE_FAILED);
        return;
    }
    c->iov = (struct iovec){c->piece->data, c->piece->capacity};
    c->op = (struct disk_op){.kind = DISK_READ,
                             .file = c->segment->file,
                             .offset = c->at,
                             .iov = &c->iov,
                             .iov_count = 1,
                             .done = on_piece};
    store_submit(c->log->store, &c->op);
}

/* The read must not end inside the call that began it: go once around through the disk.
 */
static void on_turned(struct disk_op *op)
{
    struct cold *c = container_of(op, struct cold, op);

    store_done(c->log->store);
    finish(c, STATUS_NOT_FOUND);
}

static void end_later(struct cold *c)
{
    c->op = (struct disk_op){.kind = DISK_SPACE, .done = on_turned};
    store_submit(c->log->store, &c->op);
}

/* Read on from `position`, about `wish` bytes. */
static void read_piece(struct cold *c, size_t wish)
{
    uint64_t end;

    c->at = c->position & ~(uint64_t)(DISK_ALIGN - 1);
    if (wish < COLD_MIN)
        wish = COLD_MIN;
    end = c->position + wish;
    if (end > c->limit)
        end = c->limit;
    end = (end + DISK_ALIGN - 1) & ~(uint64_t)(DISK_ALIGN - 1);
    buf_unref(c->piece);
    c->piece = piece_new((size_t)(end - c->at));
    if (c->piece == NULL) {
        end_later(c);
        return;
    }
    c->wait.ready = on_ready;
    segment_use(c->segment, &c->wait);
}

/* Begin in the segment, at the best known place before `from`. */
static void use_segment(struct cold *c)
{
    struct segment *s = c->segment;
    int64_t from = c->read->from < s->base ? s->base : c->read->from;

    c->limit = s->flushed;
    if (s->hint_offset == from && s->hint_position < c->limit)
        c->position = s->hint_position;
    else
        c->position = index_find(&s->index, (uint64_t)(from - s->base)).position;
    if (c->position >= c->limit) {
        end_later(c);
        return;
    }
    read_piece(c, wish_of(c->read));
}

void log_read_segment(struct log *log, struct segment *segment, struct log_read *r)
{
    struct cold *c = must_zalloc(sizeof *c);

    begin(log, r);
    r->work = c;
    c->read = r;
    c->log = log_ref(log);
    c->segment = segment_ref(segment);
    c->cuts = log->cuts;
    use_segment(c);
}

void log_read_cold(struct log *log, struct log_read *r)
{
    log_read_segment(log, log->segments[log_find_segment(log, r->from)], r);
}
