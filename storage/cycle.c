/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoint cycle: let go of journal space. All logs bring what is durable now to
 * their files; then, at one instant, the checkpoint's content is written down in memory
 * and the syncs of everything that it speaks of begin; when they are done the checkpoint
 * replaces the old one, and the journal's groups up to `target` are released. The loop
 * never waits for any of it, appends and the write-behind go on. */
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/store_inner.h"

#include <stdio.h>
#include <stdlib.h>

/* One file or directory that is being synced. */
struct sync {
    TAILQ_ENTRY(sync) link;
    struct store *store;
    struct segment *segment; /* NULL: the directory at `path` */
    struct segment_wait wait;
    struct disk_op op;
    disk_file file;
    enum status status;
    char path[PATH_BYTES];
};

bool cycle_is_due(const struct store *s)
{
    if (s->cycle.step != CYCLE_IDLE || s->failed || s->no_space)
        return false;
    if (s->durable <= s->released)
        return s->closing && !TAILQ_EMPTY(&s->dirty);
    return s->closing || journal_pressure(s->journal) > s->released ||
           s->now.mono_ms - s->cycle.begun_ms >= IDLE_FLUSH_MS;
}

static void include(struct cycle *c, struct log *log)
{
    if (log->in_cycle)
        return;
    log->in_cycle = true;
    c->logs_left++;
    flush_queue(log);
}

void cycle_begin(struct store *s)
{
    struct cycle *c = &s->cycle;
    struct log *log;

    CHECK(c->step == CYCLE_IDLE);
    CHECK(c->logs_left == 0);
    c->step = CYCLE_FLUSH;
    c->target = s->durable;
    c->begun_ms = s->now.mono_ms;
    TAILQ_FOREACH (log, &s->dirty, dirty_link)
        include(c, log);
    flush_run(s);
    cycle_advance(s);
}

static bool is_being_cut(const struct log *log)
{
    return log->cut != NULL || (log->flush != NULL && log->flush->cut != NULL);
}

void cycle_log_flushed(struct log *log)
{
    struct store *s = log->store;

    if (!log->in_cycle)
        return;
    if (!log->closed) {
        if (is_being_cut(log) || !log->has_dir)
            return;
        if (log->hot_flush < log->hot_end &&
            log_hot(log, log->hot_flush)->seq <= s->cycle.target)
            return;
        if (s->closing && flush_is_wanted(log))
            return;
    }
    log->in_cycle = false;
    CHECK(s->cycle.logs_left > 0);
    s->cycle.logs_left--;
}

/* ---- syncing ------------------------------------------------------------------------
 */

static void sync_finished(struct sync *y)
{
    struct store *s = y->store;

    s->cycle.syncs--;
    if (y->status != STATUS_OK)
        store_fail(s, y->status, "sync segments");
    free(y);
    cycle_advance(s);
}

static void on_segment_synced(struct disk_op *op)
{
    struct sync *y = container_of(op, struct sync, op);

    store_done(y->store);
    y->store->stats.segment_syncs++;
    y->status = op->status;
    segment_leave(y->segment);
    segment_unref(y->segment);
    sync_finished(y);
}

static void on_segment_ready(struct segment_wait *w, enum status status)
{
    struct sync *y = container_of(w, struct sync, wait);

    if (status != STATUS_OK) {
        y->status = y->segment->dropped ? STATUS_OK : status;
        segment_unref(y->segment);
        sync_finished(y);
        return;
    }
    y->op = (struct disk_op){
        .kind = DISK_SYNC, .file = y->segment->file, .done = on_segment_synced};
    store_submit(y->store, &y->op);
}

static void on_dir_closed(struct disk_op *op)
{
    struct sync *y = container_of(op, struct sync, op);

    store_done(y->store);
    sync_finished(y);
}

static void on_dir_synced(struct disk_op *op)
{
    struct sync *y = container_of(op, struct sync, op);

    store_done(y->store);
    y->status = op->status;
    *op = (struct disk_op){.kind = DISK_CLOSE, .file = y->file, .done = on_dir_closed};
    store_submit(y->store, op);
}

static void on_dir_opened(struct disk_op *op)
{
    struct sync *y = container_of(op, struct sync, op);

    store_done(y->store);
    if (op->status != STATUS_OK) {
        /* Deleted in the meantime: then its names do not matter. */
        y->status = op->status == STATUS_NOT_FOUND ? STATUS_OK : op->status;
        sync_finished(y);
        return;
    }
    y->file = op->file;
    *op = (struct disk_op){.kind = PLANT(17) ? DISK_CLOSE : DISK_SYNC,
                           .file = y->file,
                           .done = PLANT(17) ? on_dir_closed : on_dir_synced};
    store_submit(y->store, op);
}

static void start_sync(struct store *s, struct sync *y)
{
    s->cycle.syncs++;
    if (y->segment != NULL) {
        y->wait.ready = on_segment_ready;
        segment_use(y->segment, &y->wait);
        return;
    }
    y->op = (struct disk_op){.kind = DISK_OPEN,
                             .flags = DISK_DIRECTORY | DISK_READ_ONLY,
                             .path = y->path,
                             .done = on_dir_opened};
    store_submit(s, &y->op);
}

static struct sync *sync_new(struct store *s)
{
    struct sync *y = must_zalloc(sizeof *y);

    y->store = s;
    return y;
}

/* The next thing to sync, NULL if nothing is left. */
static struct sync *next_sync(struct store *s)
{
    struct cycle *c = &s->cycle;
    struct sync *y = TAILQ_FIRST(&c->syncs_left);
    struct segment *segment;

    if (y != NULL) {
        TAILQ_REMOVE(&c->syncs_left, y, link);
        return y;
    }
    while ((segment = TAILQ_FIRST(&c->unsynced)) != NULL) {
        TAILQ_REMOVE(&c->unsynced, segment, sync_link);
        segment->unsynced = false;
        if (!segment->dropped) {
            y = sync_new(s);
            y->segment = segment;
            return y;
        }
        segment_unref(segment);
    }
    return NULL;
}

static void plan_directory(struct store *s, const struct log *log)
{
    struct sync *y = sync_new(s);

    if (log != NULL)
        path_log(y->path, &log->id);
    else
        snprintf(y->path, sizeof y->path, PATH_LOGS);
    TAILQ_INSERT_TAIL(&s->cycle.syncs_left, y, link);
}

static void write_down(struct store *s)
{
    struct writer *w = &s->cycle.content;
    struct log *log;

    *w = writer_growing();
    checkpoint_begin(w);
    for (size_t i = 0; i < s->deleted_count; i++)
        checkpoint_add_deleted(w, &s->deleted[i]);
    for (size_t i = 0; (log = map_next(&s->logs, &i));) {
        struct log_state state;

        if (!log->has_dir)
            continue;
        state = log_file_state(log);
        checkpoint_add(w, &log->id, &state, &log->epochs, log->producers);
    }
    checkpoint_finish(w);
    CHECK(writer_status(w) == STATUS_OK);
}

/* The instant that the checkpoint speaks of. */
static void begin_syncs(struct store *s)
{
    struct log *log = TAILQ_FIRST(&s->dirty), *next;

    s->cycle.step = CYCLE_SYNC;
    write_down(s);
    TAILQ_CONCAT(&s->cycle.unsynced, &s->unsynced, sync_link);
    if (s->logs_dir_unsynced)
        plan_directory(s, NULL);
    s->logs_dir_unsynced = false;
    for (; log != NULL; log = next) {
        next = TAILQ_NEXT(log, dirty_link);
        if (log->dir_unsynced)
            plan_directory(s, log);
        log->dir_unsynced = false;
        if (log->has_dir && log->hot_flush == log->hot_end) {
            log->dirty = false;
            TAILQ_REMOVE(&s->dirty, log, dirty_link);
        }
    }
}

/* ---- the checkpoint -----------------------------------------------------------------
 */

static void cycle_end(struct store *s)
{
    struct cycle *c = &s->cycle;

    writer_release(&c->content);
    c->step = CYCLE_IDLE;
}

static void write_failed(struct store *s, enum status status)
{
    if (status == STATUS_NO_SPACE)
        s->no_space = true;
    else
        store_fail(s, status, "write the checkpoint");
    cycle_end(s);
}

/* The cycle's own operation, one step after the other. */
static void write_step(struct store *s, struct disk_op op)
{
    s->cycle.op = op;
    store_submit(s, &s->cycle.op);
}

static void on_root_synced(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    if (op->status != STATUS_OK) {
        write_failed(s, op->status);
        return;
    }
    cycle_end(s);
    s->released = s->cycle.target;
    if (s->released > 0)
        journal_release(s->journal, s->released + 1);
}

static void on_renamed(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    if (op->status != STATUS_OK) {
        write_failed(s, op->status);
        return;
    }
    write_step(
        s, (struct disk_op){.kind = DISK_SYNC, .file = s->root, .done = on_root_synced});
}

static void on_content_closed(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    write_step(s, (struct disk_op){.kind = DISK_RENAME,
                                   .path = s->cycle.tmp,
                                   .path2 = s->cycle.path,
                                   .done = on_renamed});
}

static void on_write_given_up(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    write_failed(s, STATUS_NO_SPACE);
}

static void close_content(struct store *s, enum status status)
{
    struct disk_op close = {.kind = DISK_CLOSE, .file = s->cycle.file};

    if (status != STATUS_OK && status != STATUS_NO_SPACE)
        store_fail(s, status, "write the checkpoint");
    close.done = status == STATUS_OK ? on_content_closed : on_write_given_up;
    write_step(s, close);
}

static void on_content_synced(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    close_content(s, op->status);
}

/* A sync of its own, where a durable write would not do: a file that an attempt before
 * left behind may have been longer, and its length must come to the disk, too. */
static void on_content_written(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    if (op->status != STATUS_OK) {
        close_content(s, op->status);
        return;
    }
    write_step(s, (struct disk_op){.kind = DISK_SYNC,
                                   .file = s->cycle.file,
                                   .done = on_content_synced});
}

static void on_content_sized(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);
    struct cycle *c = &s->cycle;

    store_done(s);
    if (op->status != STATUS_OK) {
        close_content(s, op->status);
        return;
    }
    c->iov = (struct iovec){c->content.data, c->content.len};
    write_step(s, (struct disk_op){.kind = DISK_WRITE,
                                   .file = c->file,
                                   .iov = &c->iov,
                                   .iov_count = 1,
                                   .done = on_content_written});
}

static void on_content_opened(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, cycle.op);

    store_done(s);
    if (op->status != STATUS_OK) {
        write_failed(s, op->status);
        return;
    }
    s->cycle.file = op->file;
    write_step(s, (struct disk_op){.kind = DISK_TRUNCATE,
                                   .file = s->cycle.file,
                                   .offset = s->cycle.content.len,
                                   .done = on_content_sized});
}

static void begin_write(struct store *s)
{
    s->cycle.step = CYCLE_WRITE;
    write_step(s, (struct disk_op){.kind = DISK_OPEN,
                                   .flags = DISK_CREATE,
                                   .path = s->cycle.tmp,
                                   .done = on_content_opened});
}

/* A truncation that came in the meantime must be carried out first: in the middle of it a
 * log has no place that a checkpoint could name. So must a deletion: what the log had not
 * brought to its files is let go of, so it must not come back. */
static bool flushed(struct store *s)
{
    struct log *log;

    if (s->cycle.logs_left > 0 || !TAILQ_EMPTY(&s->reaper.renames))
        return false;
    TAILQ_FOREACH (log, &s->dirty, dirty_link)
        if (is_being_cut(log))
            include(&s->cycle, log);
    return s->cycle.logs_left == 0;
}

journal_seq cycle_awaits(const struct store *s)
{
    const struct removal *last = TAILQ_LAST(&s->reaper.renames, removal_list);
    journal_seq seq = last != NULL ? last->after : 0;
    const struct log *log;

    if (s->cycle.step != CYCLE_FLUSH)
        return 0;
    TAILQ_FOREACH (log, &s->dirty, dirty_link)
        if (log->cut != NULL && log->cut->seq > seq)
            seq = log->cut->seq;
    return seq;
}

void cycle_release(struct store *s)
{
    struct sync *y;

    while ((y = TAILQ_FIRST(&s->cycle.syncs_left)) != NULL) {
        TAILQ_REMOVE(&s->cycle.syncs_left, y, link);
        free(y);
    }
}

void cycle_advance(struct store *s)
{
    struct cycle *c = &s->cycle;
    struct sync *y;

    if (s->failed)
        return;
    switch (c->step) {
    case CYCLE_IDLE:
    case CYCLE_WRITE: return;
    case CYCLE_FLUSH:
        if (!flushed(s))
            return;
        begin_syncs(s);
        break;
    case CYCLE_SYNC: break;
    }
    while (c->syncs < SYNCS_IN_FLIGHT && (y = next_sync(s)) != NULL)
        start_sync(s, y);
    if (c->step == CYCLE_SYNC && c->syncs == 0)
        begin_write(s);
}
