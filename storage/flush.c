/* SPDX-License-Identifier: Apache-2.0
 *
 * The write-behind: jobs that bring logs' hot batches to their segment files in large
 * aligned pieces. A job works on one log at a time and does whatever that log needs next,
 * one operation after the other: make its directory, cut its files, write a piece, seal a
 * full segment. A few jobs run at once. Nothing is written that is not durable in the
 * journal, so the files never know more than recovery can explain. */
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/store_inner.h"

#include <stdlib.h>
#include <string.h>

enum { PIECES_MAX = 8, RESERVE_MIN = 64 * 1024, RESERVE_MAX = 64 * 1024 * 1024 };

static void next_step(struct flush *f);

/* ---- the queue ----------------------------------------------------------------------
 */

static bool next_is_durable(const struct log *log)
{
    return log->hot_flush < log->hot_end &&
           log_hot(log, log->hot_flush)->seq <= log->store->durable;
}

/* In a cycle everything that was durable at its beginning must go; otherwise only what
 * fills a piece is worth a write. */
static bool bytes_are_wanted(const struct log *log)
{
    if (!next_is_durable(log))
        return false;
    if (log->in_cycle && log_hot(log, log->hot_flush)->seq <= log->store->cycle.target)
        return true;
    return log->bytes_durable - log->bytes_flushed >= FLUSH_BYTES;
}

static bool seal_is_due(const struct log *log)
{
    return log->flushing != log_active(log) &&
           log->flushing->flushed == log->flushing->size;
}

/* The index file follows in pieces of this many entries; a segment that is sealed and a
 * store that closes leave it complete. */
enum { INDEX_PIECE = 16 };

static bool index_is_due(const struct log *log)
{
    const struct segment *s = log->flushing;
    bool complete = seal_is_due(log) || (log->store->closing && log->in_cycle);

    if (s->flushed == s->index_saved || !s->exists)
        return false;
    return complete || s->flushed - s->index_saved >= INDEX_PIECE * s->index.spacing;
}

bool flush_is_wanted(const struct log *log)
{
    if (log->closed)
        return false;
    if (log->cut != NULL)
        return log->cut->seq <= log->store->durable;
    return bytes_are_wanted(log) || seal_is_due(log) || index_is_due(log) ||
           (log->in_cycle && !log->has_dir);
}

void flush_queue(struct log *log)
{
    if (log->queued || log->flush != NULL)
        return;
    log->queued = true;
    TAILQ_INSERT_TAIL(&log->store->queue, log, queue_link);
}

void flush_unqueue(struct log *log)
{
    if (!log->queued)
        return;
    log->queued = false;
    TAILQ_REMOVE(&log->store->queue, log, queue_link);
}

static struct flush *free_job(struct store *s)
{
    for (unsigned i = 0; i < FLUSH_JOBS; i++)
        if (s->jobs[i].log == NULL)
            return &s->jobs[i];
    return NULL;
}

bool flush_is_idle(const struct store *s)
{
    for (unsigned i = 0; i < FLUSH_JOBS; i++)
        if (s->jobs[i].log != NULL)
            return false;
    return true;
}

void flush_release(struct store *s)
{
    for (unsigned i = 0; i < FLUSH_JOBS; i++) {
        if (s->jobs[i].log != NULL)
            continue;
        free(s->jobs[i].staging);
        s->jobs[i].staging = NULL;
    }
}

void flush_run(struct store *s)
{
    struct flush *f;
    struct log *log;

    while (!s->failed && !s->no_space && (log = TAILQ_FIRST(&s->queue)) != NULL &&
           (f = free_job(s)) != NULL) {
        flush_unqueue(log);
        f->store = s;
        f->log = log_ref(log);
        f->pieces = 0;
        log->flush = f;
        next_step(f);
    }
}

/* The job lets go of its log. */
static void leave(struct flush *f)
{
    struct store *s = f->store;
    struct log *log = f->log;

    CHECK(f->segment == NULL);
    f->log = NULL;
    log->flush = NULL;
    cycle_log_flushed(log);
    log_unref(log);
    cycle_advance(s);
    reaper_run(s);
}

/* The same, and the log goes back into the queue if it wants more. */
static void finish(struct flush *f)
{
    struct log *log = log_ref(f->log);

    leave(f);
    if (flush_is_wanted(log))
        flush_queue(log);
    log_unref(log);
}

static void let_go(struct flush *f)
{
    segment_leave(f->segment);
    segment_unref(f->segment);
    f->segment = NULL;
}

/* An operation failed. A full disk is met with patience: the bytes are safe in the
 * journal, and the next tick tries again. */
static void give_up(struct flush *f, enum status status, const char *what)
{
    if (status == STATUS_NO_SPACE)
        f->store->no_space = true;
    else
        store_fail(f->store, status, what);
    finish(f);
}

static void submit(struct flush *f, struct disk_op op)
{
    f->op = op;
    store_submit(f->store, &f->op);
}

/* A name in the log's directory has come or gone: said afterwards, because a sync that
 * begins before would not cover it. */
static void name_changed(struct flush *f)
{
    f->log->dir_unsynced = true;
    store_mark_dirty(f->store, f->log);
}

/* ---- the directory ------------------------------------------------------------------
 */

static void on_dir_made(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);

    store_done(f->store);
    if (op->status != STATUS_OK && op->status != STATUS_EXISTS) {
        give_up(f, op->status, "make a log's directory");
        return;
    }
    f->log->has_dir = true;
    f->store->logs_dir_unsynced = true;
    next_step(f);
}

static void make_dir(struct flush *f)
{
    path_log(f->path, &f->log->id);
    submit(f,
           (struct disk_op){.kind = DISK_MAKE_DIR, .path = f->path, .done = on_dir_made});
}

/* ---- a cut --------------------------------------------------------------------------
 */

static void cut_step(struct flush *f);

static void cut_free(struct flush *f)
{
    struct cut *cut = f->cut;

    segment_unref(cut->keep);
    for (uint32_t i = f->gone; i < cut->gone_count; i++) {
        cut->gone[i]->dropped = true;
        segment_unref(cut->gone[i]);
    }
    free(cut->gone);
    free(cut);
    f->cut = NULL;
}

/* The journal's word stands, so a cut that was begun but not finished is begun again by
 * recovery. */
static void cut_finished(struct flush *f)
{
    struct segment *keep = f->cut->keep;

    if (!f->log->closed) {
        if (keep->written > f->cut->position)
            keep->written = f->cut->position;
        keep->reserved = keep->written;
        keep->index_saved = 0;
        keep->index_length = 0;
        name_changed(f);
        store_mark_unsynced(f->store, keep);
    }
    cut_free(f);
    next_step(f);
}

static void on_cut_step(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);

    store_done(f->store);
    if (op->status != STATUS_OK && op->status != STATUS_NOT_FOUND) {
        store_fail(f->store, op->status, "cut a segment");
        cut_free(f);
        finish(f);
        return;
    }
    cut_step(f);
}

static void on_cut_truncated(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);

    let_go(f);
    f->gone++;
    on_cut_step(op);
}

static void on_cut_opened(struct segment_wait *w, enum status status)
{
    struct flush *f = container_of(w, struct flush, wait);

    if (status != STATUS_OK) {
        segment_unref(f->segment);
        f->segment = NULL;
        store_fail(f->store, status, "open a segment to cut it");
        cut_free(f);
        finish(f);
        return;
    }
    submit(f, (struct disk_op){.kind = DISK_TRUNCATE,
                               .file = f->segment->file,
                               .offset = f->cut->position,
                               .done = on_cut_truncated});
}

/* First the files that go as a whole, then the index of the one that stays (it may speak
 * of batches that are no more), then that file itself. */
static void cut_step(struct flush *f)
{
    struct cut *cut = f->cut;

    if (f->gone < cut->gone_count) {
        struct segment *s = cut->gone[f->gone];

        if (f->gone_index)
            path_index(f->path, &s->id, s->base);
        else
            path_segment(f->path, &s->id, s->base);
        if (f->gone_index) {
            s->dropped = true;
            segment_unref(s);
            f->gone++;
        }
        f->gone_index = !f->gone_index;
        submit(f, (struct disk_op){
                      .kind = DISK_REMOVE, .path = f->path, .done = on_cut_step});
        return;
    }
    if (f->gone == cut->gone_count && !f->gone_index) {
        f->gone_index = true;
        path_index(f->path, &cut->keep->id, cut->keep->base);
        submit(f, (struct disk_op){
                      .kind = DISK_REMOVE, .path = f->path, .done = on_cut_step});
        return;
    }
    if (f->gone == cut->gone_count && cut->keep->exists) {
        f->segment = segment_ref(cut->keep);
        f->wait.ready = on_cut_opened;
        segment_use(f->segment, &f->wait);
        return;
    }
    cut_finished(f);
}

static void cut_begin(struct flush *f)
{
    f->cut = f->log->cut;
    f->log->cut = NULL;
    f->gone = 0;
    f->gone_index = false;
    f->store->stats.segments_deleted += f->cut->gone_count;
    cut_step(f);
}

/* The batch before the cut was read: its end is the position. */
static void on_found(struct log_read *read)
{
    struct flush *f = container_of(read, struct flush, find);
    struct cut *cut = f->log->cut;

    store_done(f->store);
    if (read->status == STATUS_OK && cut != NULL && cut->offset == read->upto &&
        cut->keep->hint_offset == cut->offset) {
        cut->position = cut->keep->hint_position;
        segment_cut(cut->keep, cut->offset, cut->position);
    } else if (read->status == STATUS_CORRUPT || read->status == STATUS_STORAGE_FAILED) {
        store_fail(f->store, read->status, "find where to cut a segment");
    }
    log_read_release(read);
    next_step(f);
}

static void find_cut(struct flush *f)
{
    f->find = (struct log_read){.from = f->log->cut->offset - 1,
                                .upto = f->log->cut->offset,
                                .max_bytes = 1,
                                .first_whole = true,
                                .done = on_found};
    f->store->under_way++;
    log_read_segment(f->log, f->log->cut->keep, &f->find);
}

/* ---- the index ----------------------------------------------------------------------
 */

/* Nothing depends on the index file, so its failures are passed over: then it has a gap,
 * which reading the segment fills. */
static void on_index_closed(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);

    store_done(f->store);
    next_step(f);
}

static void on_index_written(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);

    store_done(f->store);
    name_changed(f);
    if (op->status == STATUS_OK)
        f->segment->index_length += f->iov.iov_len;
    segment_unref(f->segment);
    f->segment = NULL;
    writer_release(&f->index);
    submit(f, (struct disk_op){
                  .kind = DISK_CLOSE, .file = f->index_file, .done = on_index_closed});
}

static void on_index_opened(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);
    struct bytes news = {f->index.data, f->index.len};

    store_done(f->store);
    if (op->status != STATUS_OK) {
        segment_unref(f->segment);
        f->segment = NULL;
        writer_release(&f->index);
        next_step(f);
        return;
    }
    f->index_file = op->file;
    f->iov = (struct iovec){(void *)(uintptr_t)news.data, news.len};
    submit(f, (struct disk_op){.kind = DISK_WRITE,
                               .file = f->index_file,
                               .offset = f->segment->index_length,
                               .iov = &f->iov,
                               .iov_count = 1,
                               .done = on_index_written});
}

static void save_index(struct flush *f)
{
    struct segment *s = f->log->flushing;

    f->index = writer_growing();
    segment_index_news(s, &f->index);
    s->index_saved = s->flushed;
    if (writer_status(&f->index) != STATUS_OK || f->index.len == 0) {
        writer_release(&f->index);
        next_step(f);
        return;
    }
    f->segment = segment_ref(s);
    path_index(f->path, &s->id, s->base);
    submit(f, (struct disk_op){.kind = DISK_OPEN,
                               .flags = DISK_CREATE,
                               .path = f->path,
                               .done = on_index_opened});
}

/* ---- sealing ------------------------------------------------------------------------
 */

static void on_sealed(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);
    struct segment *s = f->segment;
    enum status status = op->status;

    store_done(f->store);
    if (status == STATUS_OK && f->cuts == f->log->cuts) {
        s->reserved = s->written = s->size;
        store_mark_unsynced(f->store, s);
        f->log->flushing = log_segment_after(f->log, s);
    }
    let_go(f);
    if (status != STATUS_OK)
        give_up(f, status, "seal a segment");
    else
        next_step(f);
}

static void on_seal_opened(struct segment_wait *w, enum status status)
{
    struct flush *f = container_of(w, struct flush, wait);

    if (status != STATUS_OK) {
        segment_unref(f->segment);
        f->segment = NULL;
        give_up(f, status, "open a segment");
        return;
    }
    if (f->cuts != f->log->cuts) {
        let_go(f);
        next_step(f);
        return;
    }
    submit(f, (struct disk_op){.kind = DISK_TRUNCATE,
                               .file = f->segment->file,
                               .offset = f->segment->size,
                               .done = on_sealed});
}

static void seal(struct flush *f)
{
    struct segment *s = f->log->flushing;

    if (!s->exists) { /* empty, for example after a truncation to its base */
        f->log->flushing = log_segment_after(f->log, s);
        next_step(f);
        return;
    }
    f->cuts = f->log->cuts;
    f->segment = segment_ref(s);
    f->wait.ready = on_seal_opened;
    segment_use(s, &f->wait);
}

/* ---- a piece of data ----------------------------------------------------------------
 */

/* Fill the staging buffer behind the partial block that it begins with. Batches may be
 * larger than it: `hot_part` remembers how much of one is written. */
static void gather(struct flush *f)
{
    const struct log *log = f->log;
    uint64_t left = f->segment->size - f->segment->flushed - log->hot_part;

    f->hot_flush = log->hot_flush;
    f->hot_part = log->hot_part;
    while (f->used < FLUSH_BYTES && left > 0) {
        const struct hot *h = log_hot(log, f->hot_flush);
        size_t take = h->len - f->hot_part;

        if (f->hot_flush == log->hot_end || h->seq > f->store->durable)
            break;
        if (take > FLUSH_BYTES - f->used)
            take = FLUSH_BYTES - f->used;
        memcpy(f->staging + f->used, h->data + f->hot_part, take);
        f->used += take;
        f->hot_part += take;
        left -= take;
        if (f->hot_part == h->len) {
            f->hot_flush++;
            f->hot_part = 0;
        }
    }
}

/* Whole batches up to number `upto` are in the file now. */
static void advance(struct log *log, struct segment *s, uint64_t upto)
{
    for (; log->hot_flush < upto; log->hot_flush++) {
        const struct hot *h = log_hot(log, log->hot_flush);

        s->flushed += h->len;
        log->bytes_flushed += h->len;
    }
    log->flushed = upto < log->hot_end ? log_hot(log, upto)->base : log->end;
    CHECK(log->flushed <= log->durable);
    CHECK(s->flushed <= s->size);
}

static void on_written(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);
    struct segment *s = f->segment;
    enum status status = op->status;

    store_done(f->store);
    if (status == STATUS_OK) {
        f->store->stats.segment_bytes_written += f->iov.iov_len;
        store_mark_unsynced(f->store, s);
        /* After a truncation in the meantime the numbers mean something else: whatever
         * was written beyond is cut, the rest is written once more. */
        if (f->cuts == f->log->cuts) {
            segment_keep_tail(s, f->at + f->used,
                              f->staging + (f->used & ~(size_t)(DISK_ALIGN - 1)));
            advance(f->log, s, f->hot_flush);
            f->log->hot_part = f->hot_part;
            store_mark_dirty(f->store, f->log);
        }
    }
    let_go(f);
    f->pieces++;
    if (status != STATUS_OK)
        give_up(f, status, "write a segment");
    else if (f->pieces >= PIECES_MAX && !TAILQ_EMPTY(&f->store->queue))
        finish(f);
    else
        next_step(f);
}

static void write_piece(struct flush *f)
{
    size_t len = (f->used + DISK_ALIGN - 1) & ~(size_t)(DISK_ALIGN - 1);

    memset(f->staging + f->used, 0, len - f->used);
    f->iov = (struct iovec){f->staging, len};
    if (f->segment->written < f->at + f->used)
        f->segment->written = f->at + f->used;
    submit(f, (struct disk_op){.kind = DISK_WRITE,
                               .file = f->segment->file,
                               .offset = f->at,
                               .iov = &f->iov,
                               .iov_count = 1,
                               .done = on_written});
}

static void on_reserved(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);

    store_done(f->store);
    if ((op->status != STATUS_OK && op->status != STATUS_NO_SPACE) ||
        f->cuts != f->log->cuts) {
        enum status status = op->status;

        let_go(f);
        if (status != STATUS_OK && status != STATUS_NO_SPACE)
            give_up(f, status, "reserve space for a segment");
        else
            next_step(f);
        return;
    }
    /* A disk too full for the reserve may still have room for the piece itself. */
    if (op->status == STATUS_OK)
        f->segment->reserved = op->offset + op->length;
    write_piece(f);
}

/* Files grow in steps as large as themselves, so that small logs stay small and large
 * ones have few extents. */
static void reserve(struct flush *f, uint64_t end)
{
    uint64_t from = f->segment->reserved & ~(uint64_t)(DISK_ALIGN - 1);
    uint64_t step = end;

    if (step < RESERVE_MIN)
        step = RESERVE_MIN;
    if (step > RESERVE_MAX)
        step = RESERVE_MAX;
    step = (step + DISK_ALIGN - 1) & ~(uint64_t)(DISK_ALIGN - 1);
    if (from + step < end)
        step = end - from;
    submit(f, (struct disk_op){.kind = DISK_ALLOCATE,
                               .file = f->segment->file,
                               .offset = from,
                               .length = step,
                               .done = on_reserved});
}

static void fill(struct flush *f)
{
    uint64_t end;

    gather(f);
    end = (f->at + f->used + DISK_ALIGN - 1) & ~(uint64_t)(DISK_ALIGN - 1);
    if (end > f->segment->reserved)
        reserve(f, end);
    else
        write_piece(f);
}

static void on_tail_read(struct disk_op *op)
{
    struct flush *f = container_of(op, struct flush, op);
    enum status status = op->status;

    store_done(f->store);
    if (status == STATUS_OK && op->bytes < f->used)
        status = STATUS_IO;
    if (status == STATUS_OK && f->cuts == f->log->cuts) {
        fill(f);
        return;
    }
    let_go(f);
    if (status != STATUS_OK)
        give_up(f, status, "read the end of a segment");
    else
        next_step(f);
}

static void on_piece_opened(struct segment_wait *w, enum status status)
{
    struct flush *f = container_of(w, struct flush, wait);
    struct segment *s = f->segment;
    uint64_t position;

    if (status != STATUS_OK) {
        segment_unref(s);
        f->segment = NULL;
        give_up(f, status, "open a segment");
        return;
    }
    if (f->creates)
        name_changed(f);
    if (f->cuts != f->log->cuts) {
        let_go(f);
        next_step(f);
        return;
    }
    position = s->flushed + f->log->hot_part;
    f->used = position % DISK_ALIGN;
    f->at = position - f->used;
    if (segment_has_tail(s, position)) {
        if (f->used > 0)
            memcpy(f->staging, s->tail, f->used);
        fill(f);
        return;
    }
    f->iov = (struct iovec){f->staging, DISK_ALIGN};
    submit(f, (struct disk_op){.kind = DISK_READ,
                               .file = s->file,
                               .offset = f->at,
                               .iov = &f->iov,
                               .iov_count = 1,
                               .done = on_tail_read});
}

static void begin_piece(struct flush *f)
{
    struct segment *s = f->log->flushing;

    if (f->staging == NULL) {
        f->staging = aligned_alloc(DISK_ALIGN, FLUSH_BYTES);
        CHECK(f->staging != NULL);
    }
    f->creates = !s->exists;
    f->cuts = f->log->cuts;
    f->segment = segment_ref(s);
    f->wait.ready = on_piece_opened;
    segment_use(s, &f->wait);
}

/* What does the log need most? Nothing may be under way for the job. */
static void next_step(struct flush *f)
{
    struct log *log = f->log;

    if (f->store->failed || f->store->no_space || !flush_is_wanted(log))
        finish(f);
    else if (log->cut != NULL && log->cut->position == LOG_UNKNOWN)
        find_cut(f);
    else if (log->cut != NULL)
        cut_begin(f);
    else if (!log->has_dir && reaper_holds(f->store, &log->id))
        leave(f); /* the reaper queues it again */
    else if (!log->has_dir)
        make_dir(f);
    else if (index_is_due(log) && !bytes_are_wanted(log))
        save_index(f);
    else if (seal_is_due(log))
        seal(f);
    else
        begin_piece(f);
}
