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

/* A batch that was appended but is not committed yet. */
struct proposal {
    TAILQ_ENTRY(proposal) link;
    struct machine_entry *entry;
    int64_t next; /* the offset after it */
    enum status status;
    size_t size;
    uint8_t bytes[];
};

TAILQ_HEAD(proposals, proposal);

struct machine {
    struct machine_options options;
    struct disk *disk;
    struct log *log;
    int64_t applied;
    struct proposals waiting;
    struct build build;
    uint64_t bytes_since;   /* applied since the newest snapshot */
    int64_t snapshot;       /* offset of the newest snapshot; 0: none */
    int64_t writing;        /* offset of the one being written; -1: none */
    uint64_t bytes_written; /* of `bytes_since`, what that one makes superfluous */
    int64_t retry_ms;
    struct snapshot_write write;
    bool removing;
    struct disk_op remove;
    char remove_path[SNAPSHOT_PATH];
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
static enum status read_log(struct machine *m, struct waited_read *w)
{
    *w = (struct waited_read){.read = {.from = m->applied,
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

/* Nobody verified these bytes since they were read: do it now. */
static enum status apply_slice(struct machine *m, struct bytes data)
{
    while (data.len > 0) {
        struct bytes batch = data;
        struct batch b;
        enum status st = batch_parse(data, &b);

        if (st != STATUS_OK || !batch_checksum_ok(&b, data) ||
            b.base_offset != m->applied)
            return STATUS_CORRUPT;
        batch.len = b.size;
        st = apply_batch(m, batch);
        if (st)
            return st;
        data.data += b.size;
        data.len -= b.size;
    }
    return STATUS_OK;
}

static enum status apply_log(struct machine *m)
{
    while (m->applied < log_end(m->log)) {
        struct waited_read w;
        enum status st = read_log(m, &w);

        if (st == STATUS_OK && w.read.slice_count == 0)
            st = STATUS_CORRUPT;
        for (size_t i = 0; st == STATUS_OK && i < w.read.slice_count; i++) {
            const struct slice *slice = &w.read.slices[i];

            st = apply_slice(m, (struct bytes){slice->data, slice->len});
        }
        log_read_release(&w.read);
        if (st)
            return st;
    }
    return STATUS_OK;
}

static enum status load(struct machine *m, struct store *s)
{
    struct log_config config = log_config_default;
    const struct machine_options *o = &m->options;
    enum status st;

    config.segment_bytes =
        o->snapshot_bytes > SEGMENT_MIN ? (int64_t)o->snapshot_bytes : SEGMENT_MIN;
    config.retention_ms = -1; /* only a snapshot makes records superfluous */
    st = store_log_open(s, o->id, &config, true, &m->log);
    if (st)
        return st;
    st = snapshot_load(m->disk, o->name, o->verbs->apply, o->ctx, &m->snapshot);
    if (st)
        return st;
    m->applied = m->snapshot;
    if (m->applied < log_start(m->log) || m->applied > log_end(m->log))
        return STATUS_CORRUPT;
    return apply_log(m);
}

enum status machine_open(struct machine **out, struct store *s, struct disk *d,
                         const struct machine_options *options)
{
    struct machine *m = must_zalloc(sizeof *m);
    enum status st;

    m->options = *options;
    m->disk = d;
    m->writing = -1;
    TAILQ_INIT(&m->waiting);
    build_init(&m->build);
    st = load(m, s);
    if (st) {
        build_release(&m->build);
        free(m);
        return st;
    }
    *out = m;
    return STATUS_OK;
}

void machine_close(struct machine *m)
{
    struct proposal *p;

    while (m->writing >= 0 || m->removing)
        disk_poll(m->disk, true);
    while ((p = TAILQ_FIRST(&m->waiting)) != NULL) {
        TAILQ_REMOVE(&m->waiting, p, link);
        free(p);
    }
    build_release(&m->build);
    free(m);
}

struct log *machine_log(const struct machine *m)
{
    return m->log;
}

int64_t machine_applied(const struct machine *m)
{
    return m->applied;
}

/* ---- proposing ----------------------------------------------------------------------
 */

void machine_propose(struct machine *m, const struct bytes *records, size_t count,
                     int32_t leader_epoch, struct instant now,
                     struct machine_entry *entry)
{
    struct bytes data;
    struct batch b;
    struct proposal *p;

    CHECK(count > 0);
    build_begin(&m->build);
    for (size_t i = 0; i < count; i++)
        build_add(&m->build, now.wall_ms, (struct bytes){0}, records[i], NULL, 0);
    CHECK(build_finish(&m->build, CODEC_NONE, (struct build_producer){-1, -1, -1},
                       &data) == STATUS_OK);
    CHECK(batch_parse(data, &b) == STATUS_OK);
    log_append(m->log, &b, data.data, leader_epoch, now.wall_ms);
    p = must_alloc(sizeof *p + data.len);
    *p = (struct proposal){
        .entry = entry, .next = batch_next_offset(&b), .size = data.len};
    memcpy(p->bytes, data.data, data.len);
    batch_stamp(p->bytes, b.base_offset, leader_epoch);
    entry->last_offset = p->next - 1;
    TAILQ_INSERT_TAIL(&m->waiting, p, link);
}

void machine_commit(struct machine *m, int64_t offset)
{
    struct proposals committed = TAILQ_HEAD_INITIALIZER(committed);
    struct proposal *p;

    CHECK(offset <= log_end(m->log));
    while ((p = TAILQ_FIRST(&m->waiting)) != NULL && p->next <= offset) {
        TAILQ_REMOVE(&m->waiting, p, link);
        p->status = apply_batch(m, (struct bytes){p->bytes, p->size});
        TAILQ_INSERT_TAIL(&committed, p, link);
    }
    /* Their owners may propose again. */
    while ((p = TAILQ_FIRST(&committed)) != NULL) {
        TAILQ_REMOVE(&committed, p, link);
        p->entry->done(p->entry, p->status);
        free(p);
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

static void on_written(struct snapshot_write *w, enum status status)
{
    struct machine *m = container_of(w, struct machine, write);
    int64_t before = m->snapshot;

    if (status != STATUS_OK) {
        m->writing = -1;
        return; /* the log still has everything; a later tick tries again */
    }
    m->snapshot = m->writing;
    m->writing = -1;
    m->bytes_since -= m->bytes_written;
    log_trim(m->log, m->snapshot);
    if (before == 0)
        return;
    m->removing = true;
    snapshot_path(m->remove_path, m->options.name, before);
    m->remove =
        (struct disk_op){.kind = DISK_REMOVE, .path = m->remove_path, .done = on_removed};
    disk_submit(m->disk, &m->remove);
}

static void emit(void *to, struct bytes record)
{
    snapshot_add(to, record);
}

void machine_tick(struct machine *m, struct instant now)
{
    struct writer content;

    if (m->writing >= 0 || m->removing || m->bytes_since < m->options.snapshot_bytes ||
        m->applied == m->snapshot || now.mono_ms < m->retry_ms)
        return;
    /* What is applied is committed, and so durable: the log may be trimmed to it. */
    CHECK(m->applied <= log_durable(m->log));
    content = writer_growing();
    snapshot_begin(&content, m->applied);
    m->options.verbs->snapshot(m->options.ctx, emit, &content);
    snapshot_finish(&content);
    m->retry_ms = now.mono_ms + RETRY_MS;
    if (writer_status(&content) != STATUS_OK) {
        writer_release(&content);
        return;
    }
    m->writing = m->applied;
    m->bytes_written = m->bytes_since;
    m->write.done = on_written;
    snapshot_write(&m->write, m->disk, m->options.name, m->applied, content);
}
