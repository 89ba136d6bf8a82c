/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/machine.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/record/build.h"
#include "proto/record/iterate.h"
#include "storage/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 1024 * 1024,
    RECORDS_MAX = 64 * 1024 * 1024, /* one batch decompressed */
    SEGMENT_MIN = 1024 * 1024,
    RETRY_MS = 10 * 1000,
};

/* A batch that is in the log but not committed yet, as far as the machine was told. */
struct pending {
    TAILQ_ENTRY(pending) link;
    struct machine_entry *entry; /* NULL: nobody here proposed it */
    int64_t base, next;          /* its first offset, and the one after it */
    int32_t epoch;
    enum status status;
    size_t size;
    uint8_t bytes[];
};

TAILQ_HEAD(pendings, pending);

struct machine {
    struct machine_options options;
    struct store *store;
    struct disk *disk;
    struct log *log;
    int64_t applied;
    int32_t applied_epoch; /* of the newest applied record */
    struct pendings waiting;
    struct build build;
    uint64_t bytes_since;          /* applied since the newest snapshot */
    struct snapshot_head snapshot; /* the newest */
    struct snapshot_head writing;  /* the one being written; offset 0: none */
    uint64_t bytes_written;        /* of `bytes_since`, what that one makes superfluous */
    int64_t retry_ms;
    struct snapshot_write write;
    struct machine_install *install; /* waits, or is under way */
    bool installing;
    unsigned reading; /* pieces of snapshots */
    bool removing;
    struct disk_op remove;
    char remove_path[SNAPSHOT_PATH];
    bool forgetting; /* log and state are gone, the snapshot is still there */
};

/* ---- applying -----------------------------------------------------------------------
 */

static enum status apply_batch(struct machine *m, struct bytes data)
{
    struct iterate it;
    struct record record;
    enum status st = iterate_begin(&it, data, RECORDS_MAX);

    if (st)
        return st;
    while ((st = iterate_next(&it, &record)) == STATUS_OK) {
        st = m->options.verbs->apply(m->options.ctx, record.offset, record.value);
        if (st)
            break;
    }
    m->bytes_since += it.batch.size;
    m->applied = batch_next_offset(&it.batch);
    m->applied_epoch = it.batch.leader_epoch;
    iterate_end(&it);
    return st == STATUS_AGAIN ? STATUS_OK : st;
}

/* ---- opening ------------------------------------------------------------------------
 */

struct waited_read {
    struct log_read read;
    bool done;
};

static void on_read(struct log_read *read)
{
    container_of(read, struct waited_read, read)->done = true;
}

/* The next batches from the log, waited for. */
static enum status read_log(struct machine *m, int64_t from, struct waited_read *w)
{
    *w = (struct waited_read){.read = {.from = from,
                                       .upto = log_end(m->log),
                                       .max_bytes = READ_BYTES,
                                       .first_whole = true,
                                       .done = on_read}};
    if (!log_read_hot(m->log, &w->read)) {
        log_read_cold(m->log, &w->read);
        while (!w->done)
            disk_poll(m->disk, true);
    }
    return w->read.status;
}

static struct pending *keep(struct machine *m, const struct batch *b, const uint8_t *data)
{
    struct pending *p = must_alloc(sizeof *p + b->size);

    *p = (struct pending){.base = b->base_offset,
                          .next = batch_next_offset(b),
                          .epoch = b->leader_epoch,
                          .size = b->size};
    memcpy(p->bytes, data, b->size);
    batch_stamp(p->bytes, b->base_offset, b->leader_epoch);
    TAILQ_INSERT_TAIL(&m->waiting, p, link);
    return p;
}

/* Nobody verified these bytes since they were read: do it now. */
static enum status keep_slice(struct machine *m, struct bytes data, int64_t *next)
{
    while (data.len > 0) {
        struct batch b;
        enum status st = batch_parse(data, &b);

        if (st != STATUS_OK || !batch_checksum_ok(&b, data))
            return STATUS_CORRUPT;
        data.data += b.size;
        data.len -= b.size;
        if (batch_next_offset(&b) <= *next) /* a tail that was kept behind the snapshot */
            continue;
        if (b.base_offset != *next)
            return STATUS_CORRUPT;
        keep(m, &b, data.data - b.size);
        *next = batch_next_offset(&b);
    }
    return STATUS_OK;
}

/* What is in the log after the snapshot waits for somebody to say what is committed. */
static enum status keep_log(struct machine *m)
{
    int64_t next = m->applied;

    while (next < log_end(m->log)) {
        struct waited_read w;
        enum status st = read_log(m, next, &w);

        if (st == STATUS_OK && w.read.slice_count == 0)
            st = STATUS_CORRUPT;
        for (size_t i = 0; st == STATUS_OK && i < w.read.slice_count; i++) {
            const struct slice *slice = &w.read.slices[i];

            st = keep_slice(m, (struct bytes){slice->data, slice->len}, &next);
        }
        log_read_release(&w.read);
        if (st)
            return st;
    }
    return STATUS_OK;
}

/* Does the log hold the record before the snapshot's offset? If not, a crash came between
 * a snapshot from elsewhere and the log's new beginning. */
static bool log_has_snapshot(const struct machine *m)
{
    int32_t epoch;
    int64_t end;

    if (m->snapshot.offset == 0)
        return true;
    if (m->snapshot.offset < log_start(m->log) || m->snapshot.offset > log_end(m->log))
        return false;
    log_end_for_epoch(m->log, m->snapshot.epoch, &epoch, &end);
    return (epoch == m->snapshot.epoch && end >= m->snapshot.offset) ||
           log_start(m->log) == m->snapshot.offset;
}

static enum status load(struct machine *m)
{
    struct log_config config = log_config_default;
    const struct machine_options *o = &m->options;
    enum status st;

    config.segment_bytes =
        o->snapshot_bytes > SEGMENT_MIN ? (int64_t)o->snapshot_bytes : SEGMENT_MIN;
    config.retention_ms = -1; /* only a snapshot makes records superfluous */
    st = store_log_open(m->store, o->id, &config, true, &m->log);
    if (st)
        return st;
    st = snapshot_load(m->disk, o->name, o->verbs->apply, o->ctx, &m->snapshot);
    if (st)
        return st;
    m->applied = m->snapshot.offset;
    m->applied_epoch = m->snapshot.epoch;
    if (m->applied < log_start(m->log))
        return STATUS_CORRUPT;
    if (!log_has_snapshot(m))
        m->log =
            store_log_restart(m->store, m->log, m->snapshot.offset, m->snapshot.epoch);
    return keep_log(m);
}

static void machine_free(struct machine *m)
{
    struct pending *p;

    while ((p = TAILQ_FIRST(&m->waiting)) != NULL) {
        TAILQ_REMOVE(&m->waiting, p, link);
        free(p);
    }
    build_release(&m->build);
    free(m);
}

enum status machine_open(struct machine **out, struct store *s, struct disk *d,
                         const struct machine_options *options)
{
    struct machine *m = must_zalloc(sizeof *m);
    enum status st;

    m->options = *options;
    m->store = s;
    m->disk = d;
    TAILQ_INIT(&m->waiting);
    build_init(&m->build);
    st = load(m);
    if (st) {
        machine_free(m);
        return st;
    }
    *out = m;
    return STATUS_OK;
}

void machine_close(struct machine *m)
{
    while (m->writing.offset > 0 || m->removing || m->installing || m->reading > 0)
        disk_poll(m->disk, true);
    machine_free(m);
}

struct log *machine_log(const struct machine *m)
{
    return m->log;
}

int64_t machine_applied(const struct machine *m)
{
    return m->applied;
}

int32_t machine_tail_epoch(const struct machine *m)
{
    int32_t epoch = log_tail_epoch(m->log);

    return epoch < 0 && log_end(m->log) == m->applied ? m->applied_epoch : epoch;
}

/* ---- growing and shrinking ----------------------------------------------------------
 */

void machine_propose(struct machine *m, const struct bytes *records, size_t count,
                     int32_t leader_epoch, struct instant now,
                     struct machine_entry *entry)
{
    struct bytes data;
    struct batch b;
    struct pending *p;

    CHECK(count > 0);
    build_begin(&m->build);
    for (size_t i = 0; i < count; i++)
        build_add(&m->build, now.wall_ms, (struct bytes){0}, records[i], NULL, 0);
    CHECK(build_finish(&m->build, CODEC_NONE, (struct build_producer){-1, -1, -1},
                       &data) == STATUS_OK);
    CHECK(batch_parse(data, &b) == STATUS_OK);
    log_append(m->log, &b, data.data, leader_epoch, now.wall_ms);
    p = keep(m, &b, data.data);
    p->entry = entry;
    if (entry != NULL)
        entry->last_offset = p->next - 1;
}

void machine_append_replica(struct machine *m, const struct batch *b, const uint8_t *data,
                            struct instant now)
{
    log_append_replica(m->log, b, data, now.wall_ms);
    keep(m, b, data);
}

void machine_note(struct machine *m, const struct batch *b, const uint8_t *data)
{
    CHECK(batch_next_offset(b) == log_end(m->log));
    keep(m, b, data);
}

static void tell(struct pending *p, enum status status)
{
    if (p->entry != NULL)
        p->entry->done(p->entry, status);
    free(p);
}

/* Their owners may propose again, or cut. */
static void tell_all(struct pendings *list, enum status status)
{
    struct pending *p;

    while ((p = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, p, link);
        tell(p, status ? status : p->status);
    }
}

void machine_note_truncated(struct machine *m, int64_t offset)
{
    struct pendings cut = TAILQ_HEAD_INITIALIZER(cut);
    struct pending *p;

    CHECK(offset >= m->applied);
    while ((p = TAILQ_LAST(&m->waiting, pendings)) != NULL && p->next > offset) {
        TAILQ_REMOVE(&m->waiting, p, link);
        TAILQ_INSERT_HEAD(&cut, p, link);
    }
    tell_all(&cut, STATUS_NOT_LEADER);
}

void machine_truncate(struct machine *m, int64_t offset)
{
    CHECK(offset >= m->applied);
    log_truncate(m->log, offset);
    machine_note_truncated(m, offset);
}

void machine_commit(struct machine *m, int64_t offset)
{
    struct pendings committed = TAILQ_HEAD_INITIALIZER(committed);
    struct pending *p;

    CHECK(offset <= log_end(m->log));
    while ((p = TAILQ_FIRST(&m->waiting)) != NULL && p->next <= offset) {
        TAILQ_REMOVE(&m->waiting, p, link);
        p->status = apply_batch(m, (struct bytes){p->bytes, p->size});
        TAILQ_INSERT_TAIL(&committed, p, link);
    }
    tell_all(&committed, STATUS_OK);
}

void machine_each_pending(const struct machine *m,
                          void (*each)(void *to, int64_t offset, int32_t epoch,
                                       struct bytes record),
                          void *to)
{
    struct pending *p;

    TAILQ_FOREACH (p, &m->waiting, link) {
        struct iterate it;
        struct record record;

        CHECK(!iterate_begin(&it, (struct bytes){p->bytes, p->size}, RECORDS_MAX));
        while (!iterate_next(&it, &record))
            each(to, record.offset, p->epoch, record.value);
        iterate_end(&it);
    }
}

/* ---- snapshots ----------------------------------------------------------------------
 */

/* An older snapshot that stays behind is removed at the next start. */
static void on_removed(struct disk_op *op)
{
    struct machine *m = container_of(op, struct machine, remove);

    m->removing = false;
}

static void remove_snapshot(struct machine *m, int64_t offset)
{
    if (m->removing)
        return;
    m->removing = true;
    snapshot_path(m->remove_path, m->options.name, offset);
    m->remove =
        (struct disk_op){.kind = DISK_REMOVE, .path = m->remove_path, .done = on_removed};
    disk_submit(m->disk, &m->remove);
}

static void install_begin(struct machine *m);

/* The log is kept from the snapshot before the newest on, so that a replica that is a
 * little behind needs no snapshot. */
static void on_written(struct snapshot_write *w, enum status status)
{
    struct machine *m = container_of(w, struct machine, write);
    int64_t before = m->snapshot.offset;

    if (status == STATUS_OK) {
        m->snapshot = m->writing;
        m->bytes_since -= m->bytes_written;
        log_trim(m->log, before);
        if (before > 0)
            remove_snapshot(m, before);
    } /* else the log still has everything; a later tick tries again */
    m->writing.offset = 0;
    if (m->install != NULL)
        install_begin(m);
}

static void emit(void *to, struct bytes record)
{
    snapshot_add(to, record);
}

bool machine_is_large(const struct machine *m)
{
    return m->bytes_since >= m->options.snapshot_bytes;
}

static bool is_due(const struct machine *m, struct instant now)
{
    return m->writing.offset == 0 && !m->removing && m->install == NULL &&
           machine_is_large(m) && m->applied > m->snapshot.offset &&
           now.mono_ms >= m->retry_ms && m->applied <= log_durable(m->log);
}

void machine_tick(struct machine *m, struct instant now)
{
    struct writer content;

    if (!is_due(m, now))
        return;
    content = writer_growing();
    snapshot_begin(&content, m->applied, m->applied_epoch);
    m->options.verbs->snapshot(m->options.ctx, emit, &content);
    snapshot_finish(&content);
    m->retry_ms = now.mono_ms + RETRY_MS;
    if (writer_status(&content) != STATUS_OK) {
        writer_release(&content);
        return;
    }
    m->writing = (struct snapshot_head){m->applied, m->applied_epoch, content.len};
    m->bytes_written = m->bytes_since;
    m->write.done = on_written;
    snapshot_write(&m->write, m->disk, m->options.name, m->applied, content);
}

int64_t machine_snapshot_offset(const struct machine *m)
{
    return m->snapshot.offset;
}

int32_t machine_snapshot_epoch(const struct machine *m)
{
    return m->snapshot.epoch;
}

/* ---- another replica's snapshot ------------------------------------------------------
 */

static void install_end(struct machine *m, enum status status)
{
    struct machine_install *i = m->install;

    m->install = NULL;
    m->installing = false;
    i->done(i, status);
}

/* It is on disk: from now on a start would begin with it. */
static void on_installed(struct snapshot_write *w, enum status status)
{
    struct machine_install *i = container_of(w, struct machine_install, write);
    struct machine *m = i->machine;
    int64_t before = m->snapshot.offset;

    if (status) {
        install_end(m, status);
        return;
    }
    m->log = store_log_restart(m->store, m->log, i->offset, i->epoch);
    m->options.verbs->reset(m->options.ctx);
    status = snapshot_each(i->data, m->options.verbs->apply, m->options.ctx);
    CHECK(!status); /* it was whole, and whoever wrote it had applied it */
    m->snapshot = (struct snapshot_head){i->offset, i->epoch, i->data.len};
    m->applied = i->offset;
    m->applied_epoch = i->epoch;
    m->bytes_since = 0;
    tell_all(&m->waiting, STATUS_NOT_LEADER);
    if (before > 0)
        remove_snapshot(m, before);
    install_end(m, STATUS_OK);
}

static void install_begin(struct machine *m)
{
    struct machine_install *i = m->install;
    struct writer content = writer_growing();

    write_bytes(&content, i->data.data, i->data.len);
    if (i->offset <= m->applied || writer_status(&content)) {
        writer_release(&content);
        install_end(m, i->offset <= m->applied ? STATUS_CORRUPT : STATUS_NO_MEMORY);
        return;
    }
    m->installing = true;
    i->write.done = on_installed;
    snapshot_write(&i->write, m->disk, m->options.name, i->offset, content);
}

void machine_install(struct machine *m, struct machine_install *i)
{
    struct snapshot_head head;

    CHECK(m->install == NULL);
    i->machine = m;
    m->install = i;
    if (snapshot_check(i->data, &head)) {
        install_end(m, STATUS_CORRUPT);
        return;
    }
    i->offset = head.offset;
    i->epoch = head.epoch;
    if (m->writing.offset == 0)
        install_begin(m);
}

static void on_forgotten(struct snapshot_write *w, enum status status)
{
    struct machine *m = container_of(w, struct machine, write);

    m->removing = false;
    if (!status) /* else the next call tries again */
        m->snapshot = (struct snapshot_head){0};
}

/* The log goes first: without it the snapshot is a state of its own, but a log that does
 * not begin at 0 makes no sense without a snapshot. */
static void forget_snapshot(struct machine *m)
{
    if (!log_has_begun(m->log))
        return;
    m->removing = true;
    m->write.done = on_forgotten;
    snapshot_remove(&m->write, m->disk, m->options.name, m->snapshot.offset);
}

static void begin_forgetting(struct machine *m)
{
    m->forgetting = true;
    m->log = store_log_restart(m->store, m->log, 0, -1);
    m->options.verbs->reset(m->options.ctx);
    m->applied = 0;
    m->applied_epoch = -1;
    m->bytes_since = 0;
    tell_all(&m->waiting, STATUS_NOT_LEADER);
}

bool machine_forget(struct machine *m, bool *begun)
{
    *begun = false;
    if (m->writing.offset > 0 || m->install != NULL || m->removing)
        return false;
    *begun = !m->forgetting;
    if (*begun)
        begin_forgetting(m);
    if (m->snapshot.offset > 0) {
        forget_snapshot(m);
        return false;
    }
    m->forgetting = false;
    return true;
}

/* ---- a snapshot for another replica --------------------------------------------------
 */

static void read_end(struct machine_read *r, enum status status)
{
    r->machine->reading--;
    r->status = status;
    r->done(r);
}

static void on_read_closed(struct disk_op *op)
{
    struct machine_read *r = container_of(op, struct machine_read, op);

    read_end(r, r->status);
}

static void on_piece(struct disk_op *op)
{
    struct machine_read *r = container_of(op, struct machine_read, op);

    r->status = op->status;
    if (!r->status && op->bytes != r->data.len)
        r->status = STATUS_CORRUPT;
    r->op = (struct disk_op){.kind = DISK_CLOSE, .file = r->file, .done = on_read_closed};
    disk_submit(r->machine->disk, &r->op);
}

static void on_read_opened(struct disk_op *op)
{
    struct machine_read *r = container_of(op, struct machine_read, op);

    if (op->status) {
        read_end(r, op->status);
        return;
    }
    r->file = op->file;
    r->iov = (struct iovec){(void *)(uintptr_t)r->data.data, r->data.len};
    r->op = (struct disk_op){.kind = DISK_READ,
                             .file = r->file,
                             .offset = r->position,
                             .iov = &r->iov,
                             .iov_count = 1,
                             .done = on_piece};
    disk_submit(r->machine->disk, &r->op);
}

void machine_read_snapshot(struct machine *m, struct machine_read *r)
{
    size_t left, bytes;
    struct buf *buf;

    r->machine = m;
    m->reading++;
    r->data = (struct slice){0};
    if (m->snapshot.offset == 0 || (r->offset > 0 && r->offset != m->snapshot.offset) ||
        r->position > m->snapshot.size) {
        read_end(r, STATUS_NOT_FOUND);
        return;
    }
    r->offset = m->snapshot.offset;
    r->epoch = m->snapshot.epoch;
    r->size = m->snapshot.size;
    left = (size_t)(r->size - r->position);
    bytes = left < r->max_bytes ? left : r->max_bytes;
    buf = bytes > 0 ? buf_new(bytes) : NULL;
    if (buf == NULL) {
        read_end(r, bytes > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        return;
    }
    r->data = slice_of(buf, buf->data, bytes);
    buf_unref(buf);
    snapshot_path(r->path, m->options.name, r->offset);
    r->op = (struct disk_op){.kind = DISK_OPEN,
                             .flags = DISK_READ_ONLY,
                             .path = r->path,
                             .done = on_read_opened};
    disk_submit(m->disk, &r->op);
}
