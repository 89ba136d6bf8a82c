/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_store.h"

#include "proto/base/check.h"
#include "proto/base/map.h"
#include "proto/base/memory.h"
#include "storage/epochs.h"
#include "storage/producers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stored_batch {
    int64_t base, next, max_timestamp;
    struct buf *buf;
    size_t size;
};

struct log {
    struct log_id id;
    struct store *store; /* NULL: not open */
    void *owner;
    struct stored_batch *batches;
    size_t count, capacity;
    int64_t start, durable, end, append_ms;
    int32_t tail_epoch;
    struct epochs epochs;
    struct producers *producers;
    bool dirty, damaged;
    TAILQ_ENTRY(log) link;
    TAILQ_ENTRY(log) dirty_link;
};

struct file {
    char *path;
    disk_file number; /* while it is open, too: renames and removals leave it */
    struct writer data;
    TAILQ_ENTRY(file) link;
};

struct fake_media {
    struct fake_media_mood mood;
    TAILQ_HEAD(, log) logs;
    TAILQ_HEAD(, file) files;
    disk_file newest_file;
};

struct fake_disk {
    struct disk disk;
    struct fake_media *media;
    struct store *store;
    TAILQ_HEAD(, disk_op) ops;
};

struct cold_read {
    struct log_read *read;
    TAILQ_ENTRY(cold_read) link;
};

struct store {
    struct store_options o;
    struct fake_disk *disk;
    TAILQ_HEAD(, log) dirty;
    TAILQ_HEAD(, cold_read) cold;
    bool committing, failed;
};

/* ---- the disk: a few small files -----------------------------------------------------
 */

static struct file *find_file(struct fake_media *m, const char *path)
{
    struct file *f;

    TAILQ_FOREACH (f, &m->files, link)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

static void remove_file(struct fake_media *m, struct file *f)
{
    TAILQ_REMOVE(&m->files, f, link);
    writer_release(&f->data);
    free(f->path);
    free(f);
}

static struct file *file_at(struct fake_media *m, disk_file number)
{
    struct file *f;

    TAILQ_FOREACH (f, &m->files, link)
        if (f->number == number)
            break;
    CHECK(f != NULL);
    return f;
}

static void write_at(struct file *f, uint64_t offset, const struct iovec *iov)
{
    size_t end = (size_t)offset + iov->iov_len;

    if (end > f->data.len)
        memset(write_reserve(&f->data, end - f->data.len), 0, end - f->data.len);
    memcpy(f->data.data + offset, iov->iov_base, iov->iov_len);
}

static enum status open_file(struct fake_media *m, struct disk_op *op)
{
    struct file *f = find_file(m, op->path);

    if (op->flags & DISK_DIRECTORY) {
        op->file = 1000000;
        return STATUS_OK;
    }
    if (f == NULL && !(op->flags & DISK_CREATE))
        return STATUS_NOT_FOUND;
    if (f == NULL) {
        f = must_zalloc(sizeof *f);
        f->path = must_text(op->path);
        f->number = ++m->newest_file;
        f->data = writer_growing();
        TAILQ_INSERT_TAIL(&m->files, f, link);
    }
    op->file = f->number;
    return STATUS_OK;
}

static enum status carry_out(struct fake_media *m, struct disk_op *op)
{
    struct file *f;

    switch (op->kind) {
    case DISK_OPEN: return open_file(m, op);
    case DISK_WRITE:
        if (m->mood.full)
            return STATUS_NO_SPACE;
        write_at(file_at(m, op->file), op->offset, op->iov);
        return STATUS_OK;
    case DISK_STAT:
        f = find_file(m, op->path);
        op->length = f ? f->data.len : 0;
        return f ? STATUS_OK : STATUS_NOT_FOUND;
    case DISK_READ:
        f = file_at(m, op->file);
        op->bytes = op->offset < f->data.len ? f->data.len - op->offset : 0;
        if (op->bytes > op->iov->iov_len)
            op->bytes = op->iov->iov_len;
        memcpy(op->iov->iov_base, f->data.data + op->offset, op->bytes);
        return STATUS_OK;
    case DISK_REMOVE:
        f = find_file(m, op->path);
        if (f != NULL)
            remove_file(m, f);
        return f ? STATUS_OK : STATUS_NOT_FOUND;
    case DISK_RENAME:
        f = find_file(m, op->path2);
        if (f != NULL)
            remove_file(m, f);
        f = find_file(m, op->path);
        CHECK(f != NULL);
        free(f->path);
        f->path = must_text(op->path2);
        return STATUS_OK;
    case DISK_SYNC:
    case DISK_CLOSE: return STATUS_OK;
    case DISK_MAKE_DIR: return STATUS_OK;
    case DISK_TRUNCATE:
        f = file_at(m, op->file);
        if (op->offset < f->data.len)
            f->data.len = (size_t)op->offset;
        return STATUS_OK;
    case DISK_LIST: /* the machines' snapshots, which never become due here */
        op->names = must_zalloc(1);
        return STATUS_OK;
    case DISK_ALLOCATE:
    case DISK_SPACE: break;
    }
    CHECK(false);
    return STATUS_IO;
}

static void submit(struct disk *disk, struct disk_op *op)
{
    struct fake_disk *d = container_of(disk, struct fake_disk, disk);

    TAILQ_INSERT_TAIL(&d->ops, op, link);
}

static size_t complete_ops(struct fake_disk *d)
{
    size_t ran = 0;
    struct disk_op *op;

    while ((op = TAILQ_FIRST(&d->ops)) != NULL) {
        TAILQ_REMOVE(&d->ops, op, link);
        op->status = carry_out(d->media, op);
        op->done(op);
        ran++;
    }
    return ran;
}

static size_t commit(struct store *s)
{
    struct log *log;
    size_t ran = 0;

    if (s == NULL || !s->committing || s->failed)
        return 0;
    s->committing = false;
    if (s->disk->media->mood.broken) {
        s->failed = true;
        s->o.on_failed(s->o.ctx, STATUS_IO, "journal write");
        return 1;
    }
    while ((log = TAILQ_FIRST(&s->dirty)) != NULL) {
        TAILQ_REMOVE(&s->dirty, log, dirty_link);
        log->dirty = false;
        log->durable = log->end;
        s->o.on_durable(s->o.ctx, log);
        ran++;
    }
    return ran;
}

static void gather(struct log_read *read);

static size_t complete_reads(struct store *s)
{
    size_t ran = 0;
    struct cold_read *c;

    while (s != NULL && (c = TAILQ_FIRST(&s->cold)) != NULL) {
        struct log_read *read = c->read;

        TAILQ_REMOVE(&s->cold, c, link);
        free(c);
        if (read->log == NULL)
            read->status = STATUS_NOT_FOUND;
        else
            gather(read);
        read->done(read);
        ran++;
    }
    return ran;
}

static size_t poll(struct disk *disk, bool wait)
{
    struct fake_disk *d = container_of(disk, struct fake_disk, disk);

    if (d->media->mood.held)
        return 0;
    return complete_ops(d) + commit(d->store) + complete_reads(d->store);
}

static void close_disk(struct disk *disk)
{
}

static const struct disk_verbs verbs = {submit, poll, close_disk};

struct fake_media *fake_media_new(void)
{
    struct fake_media *m = must_zalloc(sizeof *m);

    TAILQ_INIT(&m->logs);
    TAILQ_INIT(&m->files);
    return m;
}

void fake_media_recover(struct fake_media *m)
{
    CHECK(!m->mood.held);
}

static void free_log(struct fake_media *m, struct log *log)
{
    TAILQ_REMOVE(&m->logs, log, link);
    for (size_t i = 0; i < log->count; i++)
        buf_unref(log->batches[i].buf);
    epochs_release(&log->epochs);
    producers_free(log->producers);
    free(log->batches);
    free(log);
}

void fake_media_free(struct fake_media *m)
{
    while (!TAILQ_EMPTY(&m->logs))
        free_log(m, TAILQ_FIRST(&m->logs));
    while (!TAILQ_EMPTY(&m->files))
        remove_file(m, TAILQ_FIRST(&m->files));
    free(m);
}

struct disk *fake_media_disk(struct fake_media *m)
{
    struct fake_disk *d = must_zalloc(sizeof *d);

    d->disk = (struct disk){&verbs, "fake"};
    d->media = m;
    TAILQ_INIT(&d->ops);
    return &d->disk;
}

void fake_media_disk_free(struct disk *disk)
{
    free(container_of(disk, struct fake_disk, disk));
}

struct fake_media_mood *fake_media_mood(struct fake_media *m)
{
    return &m->mood;
}

void fake_media_damage(struct fake_media *m, const uint8_t topic[static 16], bool damaged)
{
    struct log *log;

    TAILQ_FOREACH (log, &m->logs, link)
        if (memcmp(log->id.topic, topic, sizeof log->id.topic) == 0)
            log->damaged = damaged;
}

size_t fake_media_logs(const struct fake_media *m)
{
    size_t count = 0;
    struct log *log;

    TAILQ_FOREACH (log, &m->logs, link)
        count++;
    return count;
}

static struct log *add_log(struct fake_media *m, struct log_id id)
{
    struct log *log = must_zalloc(sizeof *log);

    log->id = id;
    log->append_ms = -1;
    log->tail_epoch = -1;
    TAILQ_INSERT_TAIL(&m->logs, log, link);
    return log;
}

void fake_media_add_log(struct fake_media *m, uint8_t topic)
{
    add_log(m, (struct log_id){.topic = {topic}});
}

/* ---- the store -----------------------------------------------------------------------
 */

enum status store_open(struct store **out, struct disk *disk,
                       const struct store_options *options)
{
    struct store *s = must_zalloc(sizeof *s);

    s->o = *options;
    s->disk = container_of(disk, struct fake_disk, disk);
    s->disk->store = s;
    TAILQ_INIT(&s->dirty);
    TAILQ_INIT(&s->cold);
    *out = s;
    return STATUS_OK;
}

enum status store_close(struct store *s)
{
    struct log *log;

    TAILQ_FOREACH (log, &s->disk->media->logs, link) {
        if (log->store != s)
            continue;
        log->store = NULL;
        log->durable = log->end;
        log->dirty = false;
    }
    CHECK(TAILQ_EMPTY(&s->cold));
    s->disk->store = NULL;
    free(s);
    return STATUS_OK;
}

static struct log *find_log(struct fake_media *m, struct log_id id)
{
    struct log *log;

    TAILQ_FOREACH (log, &m->logs, link)
        if (memcmp(log->id.topic, id.topic, sizeof id.topic) == 0 &&
            log->id.partition == id.partition)
            return log;
    return NULL;
}

enum status store_log_open(struct store *s, struct log_id id,
                           const struct log_config *config, bool create, struct log **out)
{
    struct fake_media *m = s->disk->media;
    struct log *log = find_log(m, id);

    if (log == NULL && (!create || m->mood.no_new_logs))
        return create ? STATUS_NO_SPACE : STATUS_NOT_FOUND;
    if (log == NULL)
        log = add_log(m, id);
    if (log->damaged)
        return STATUS_CORRUPT;
    CHECK(log->store == NULL);
    log->store = s;
    log->owner = NULL;
    *out = log;
    return STATUS_OK;
}

void store_log_delete(struct store *s, struct log *log)
{
    struct cold_read *c;

    TAILQ_FOREACH (c, &s->cold, link)
        if (c->read->log == log)
            c->read->log = NULL;
    if (log->dirty)
        TAILQ_REMOVE(&s->dirty, log, dirty_link);
    free_log(s->disk->media, log);
}

void store_log_discard(struct store *s, struct log_id id)
{
    struct log *log = find_log(s->disk->media, id);

    if (log == NULL)
        return;
    CHECK(log->store == NULL);
    free_log(s->disk->media, log);
}

struct log *store_log_restart(struct store *s, struct log *log, int64_t offset,
                              int32_t epoch)
{
    struct log_id id = log->id;
    struct log *fresh;

    store_log_delete(s, log);
    fresh = add_log(s->disk->media, id);
    fresh->store = s;
    fresh->start = fresh->end = fresh->durable = offset;
    fresh->tail_epoch = epoch;
    if (offset > 0)
        producers_begin_late(&fresh->producers);
    return fresh;
}

enum status store_list(struct disk *disk, struct log_id **ids, size_t *count)
{
    struct fake_media *m = container_of(disk, struct fake_disk, disk)->media;
    struct log *log;

    *ids = must_alloc(fake_media_logs(m) * sizeof **ids + 1);
    *count = 0;
    TAILQ_FOREACH (log, &m->logs, link)
        (*ids)[(*count)++] = log->id;
    return STATUS_OK;
}

enum status store_remove(struct disk *disk, struct log_id id)
{
    struct fake_media *m = container_of(disk, struct fake_disk, disk)->media;
    struct log *log = find_log(m, id);

    CHECK(log != NULL && log->store == NULL);
    free_log(m, log);
    return STATUS_OK;
}

enum status store_admit(const struct store *s)
{
    return s->disk->media->mood.full ? STATUS_DISK_FULL : STATUS_OK;
}

void store_turn_end(struct store *s)
{
    s->committing = !TAILQ_EMPTY(&s->dirty);
}

void store_tick(struct store *s, struct instant now)
{
}

void store_stats(const struct store *s, struct store_stats *out)
{
    *out = (struct store_stats){0};
}

/* ---- logs ----------------------------------------------------------------------------
 */

const struct log_config log_config_default = {0};

struct log_id log_identity(const struct log *log)
{
    return log->id;
}

int64_t log_start(const struct log *log)
{
    return log->start;
}

int64_t log_durable(const struct log *log)
{
    return log->durable;
}

int64_t log_end(const struct log *log)
{
    return log->end;
}

uint64_t log_bytes(const struct log *log)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < log->count; i++)
        bytes += log->batches[i].size;
    return bytes;
}

unsigned log_segment_count(const struct log *log)
{
    return 1;
}

int32_t log_last_epoch(const struct log *log)
{
    return epochs_last(&log->epochs);
}

bool log_has_begun(const struct log *log)
{
    return !log->store->disk->media->mood.held;
}

int32_t log_tail_epoch(const struct log *log)
{
    return log->tail_epoch;
}

void log_begin_epoch(struct log *log, int32_t epoch)
{
    epochs_note(&log->epochs, epoch, log->end);
}

void log_end_for_epoch(const struct log *log, int32_t epoch, int32_t *found_epoch,
                       int64_t *end_offset)
{
    epochs_end(&log->epochs, epoch, log->end, found_epoch, end_offset);
}

int64_t log_last_append_ms(const struct log *log)
{
    return log->append_ms;
}

void log_configure(struct log *log, const struct log_config *config)
{
}

void log_set_owner(struct log *log, void *owner)
{
    log->owner = owner;
}

void *log_owner(const struct log *log)
{
    return log->owner;
}

static void mark_dirty(struct log *log)
{
    if (log->dirty)
        return;
    log->dirty = true;
    TAILQ_INSERT_TAIL(&log->store->dirty, log, dirty_link);
}

static void append(struct log *log, const struct batch *b, const uint8_t *data,
                   int64_t wall_ms)
{
    struct stored_batch *stored;

    if (log->count == log->capacity) {
        log->capacity = log->capacity > 0 ? 2 * log->capacity : 8;
        log->batches = must_realloc(log->batches, log->capacity * sizeof *log->batches);
    }
    stored = &log->batches[log->count++];
    stored->buf = buf_new(b->size);
    CHECK(stored->buf != NULL);
    memcpy(stored->buf->data, data, b->size);
    batch_stamp(stored->buf->data, log->end, b->leader_epoch);
    stored->base = log->end;
    stored->next = batch_next_offset(b);
    stored->max_timestamp = b->max_timestamp;
    stored->size = b->size;
    log->end = stored->next;
    epochs_truncate(&log->epochs, b->base_offset);
    epochs_note(&log->epochs, b->leader_epoch, b->base_offset);
    log->tail_epoch = b->leader_epoch;
    log->append_ms = wall_ms;
    producers_record(&log->producers, b, wall_ms);
    mark_dirty(log);
}

void log_append(struct log *log, struct batch *b, const uint8_t *data,
                int32_t leader_epoch, int64_t wall_ms)
{
    b->base_offset = log->end;
    b->leader_epoch = leader_epoch;
    append(log, b, data, wall_ms);
}

void log_append_replica(struct log *log, const struct batch *b, const uint8_t *data,
                        int64_t wall_ms)
{
    CHECK(b->base_offset == log->end && b->leader_epoch >= log->tail_epoch);
    append(log, b, data, wall_ms);
}

void log_truncate(struct log *log, int64_t offset)
{
    CHECK(offset >= log->start && offset <= log->end);
    while (log->count > 0 && log->batches[log->count - 1].base >= offset)
        buf_unref(log->batches[--log->count].buf);
    log->end = offset;
    if (log->durable > offset)
        log->durable = offset;
    epochs_truncate(&log->epochs, offset);
    log->tail_epoch = epochs_last(&log->epochs);
    producers_cut(log->producers, offset);
    mark_dirty(log);
}

void log_trim(struct log *log, int64_t offset)
{
    CHECK(offset <= log->durable);
    log->start = offset;
}

void log_hold(struct log *log, int64_t offset)
{
    CHECK(offset <= log->durable);
}

static void gather(struct log_read *read)
{
    struct log *log = read->log;

    if (read->from < log->start || read->from > log->end) {
        read->status = STATUS_OFFSET_OUT_OF_RANGE;
        return;
    }
    read->slices = must_alloc(log->count * sizeof *read->slices + 1);
    for (size_t i = 0; i < log->count; i++) {
        struct stored_batch *b = &log->batches[i];
        const bool whole = read->first_whole && read->slice_count == 0;

        if (b->next <= read->from)
            continue;
        if (b->base >= read->upto || (read->bytes + b->size > read->max_bytes && !whole))
            break;
        read->slices[read->slice_count++] = slice_of(b->buf, b->buf->data, b->size);
        read->bytes += b->size;
    }
}

bool log_read_hot(struct log *log, struct log_read *read)
{
    if (log->store->disk->media->mood.cold && read->from < read->upto)
        return false;
    read->log = log;
    gather(read);
    return true;
}

void log_read_cold(struct log *log, struct log_read *read)
{
    struct cold_read *c = must_zalloc(sizeof *c);

    read->log = log;
    c->read = read;
    TAILQ_INSERT_TAIL(&log->store->cold, c, link);
}

void log_read_release(struct log_read *read)
{
    for (size_t i = 0; i < read->slice_count; i++)
        slice_release(&read->slices[i]);
    free(read->slices);
    read->slices = NULL;
    read->slice_count = 0;
}

int64_t log_offset_for_time(const struct log *log, int64_t timestamp_ms)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->batches[i].max_timestamp >= timestamp_ms)
            return log->batches[i].base;
    return log->durable;
}

enum status log_check_producer(const struct log *log, const struct batch *b,
                               int64_t *base, int64_t *next)
{
    return producers_check(log->producers, b, base, next);
}

size_t log_producer_count(const struct log *log)
{
    return producers_count(log->producers);
}
