/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/store.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/store_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_MAX = 1024 * 1024 * 1024, HOUSE_MIN = 64, HOUSE_TICKS = 60 };

const struct store_options store_options_default = {
    .journal_file_bytes = 32 * 1024 * 1024,
    .journal_files_max = 8,
    .hot_bytes = 64 * 1024 * 1024,
    .reserve_bytes = 256 * 1024 * 1024,
};

/* ---- what the parts of a store share ------------------------------------------------
 */

void store_fail(struct store *s, enum status status, const char *what)
{
    if (s->failed)
        return;
    s->failed = true;
    if (s->options.on_failed != NULL)
        s->options.on_failed(s->options.ctx, status, what);
}

void store_submit(struct store *s, struct disk_op *op)
{
    s->under_way++;
    disk_submit(s->disk, op);
}

void store_done(struct store *s)
{
    CHECK(s->under_way > 0);
    s->under_way--;
}

void store_mark_dirty(struct store *s, struct log *log)
{
    if (log->dirty || log->closed)
        return;
    log->dirty = true;
    TAILQ_INSERT_TAIL(&s->dirty, log, dirty_link);
}

void store_mark_unsynced(struct store *s, struct segment *segment)
{
    if (segment->unsynced || segment->dropped)
        return;
    segment->unsynced = true;
    segment_ref(segment);
    TAILQ_INSERT_TAIL(&s->unsynced, segment, sync_link);
}

journal_seq store_journal(struct store *s, const struct journal_frame *frame,
                          struct slice *hot)
{
    s->last_seq = journal_append(s->journal, frame, hot);
    s->bytes_appended += frame->payload.len;
    return s->last_seq;
}

/* ---- promises -----------------------------------------------------------------------
 */

static struct promise *promise_at(struct store *s, uint64_t number)
{
    return &s->promises[number & s->promise_mask];
}

static void promises_grow(struct store *s)
{
    uint64_t capacity = s->promises ? (s->promise_mask + 1) * 2 : 64;
    struct promise *grown = must_alloc(capacity * sizeof *grown);

    for (uint64_t i = s->promise_first; i < s->promise_end; i++)
        grown[i & (capacity - 1)] = *promise_at(s, i);
    free(s->promises);
    s->promises = grown;
    s->promise_mask = capacity - 1;
}

void store_promise(struct store *s, struct log *log, journal_seq seq)
{
    if (log->promised == seq) {
        struct promise *p = promise_at(s, log->promise_number);

        CHECK(p->log == log);
        p->end = log->end;
        p->bytes = log->bytes_appended;
        return;
    }
    if (s->promises == NULL || s->promise_end - s->promise_first > s->promise_mask)
        promises_grow(s);
    log->promised = seq;
    log->promise_number = s->promise_end++;
    *promise_at(s, log->promise_number) =
        (struct promise){log_ref(log), seq, log->end, log->bytes_appended};
}

void store_promise_cut(struct store *s, struct log *log, int64_t end, uint64_t bytes)
{
    for (uint64_t i = s->promise_due; i < s->promise_end; i++) {
        struct promise *p = promise_at(s, i);

        if (p->log != log)
            continue;
        if (p->end > end)
            p->end = end;
        if (p->bytes > bytes)
            p->bytes = bytes;
    }
}

static void keep_promises(struct store *s)
{
    while (s->promise_due < s->promise_end &&
           promise_at(s, s->promise_due)->seq <= s->durable) {
        struct promise p = *promise_at(s, s->promise_due++);

        if (p.log->closed)
            continue;
        if (log_on_durable(p.log, p.end, p.bytes))
            s->options.on_durable(s->options.ctx, p.log);
        if (flush_is_wanted(p.log))
            flush_queue(p.log);
    }
}

static void on_durable(void *ctx, journal_seq durable, enum status status)
{
    struct store *s = ctx;

    if (status != STATUS_OK) {
        store_fail(s, status, "write the journal");
        return;
    }
    if (s->failed)
        return;
    CHECK(durable >= s->durable);
    s->durable = durable;
    keep_promises(s);
    flush_run(s);
    reaper_run(s);
    cycle_advance(s);
}

static void on_evict(void *ctx, journal_seq upto)
{
    struct store *s = ctx;

    while (s->promise_first < s->promise_due &&
           promise_at(s, s->promise_first)->seq <= upto) {
        struct log *log = promise_at(s, s->promise_first++)->log;

        if (!log->closed)
            log_evict(log, upto);
        log_unref(log);
    }
}

/* ---- opening ------------------------------------------------------------------------
 */

static enum status make_dir(struct disk *d, const char *path)
{
    struct disk_op op = {.kind = DISK_MAKE_DIR, .path = path};
    enum status st = disk_call(d, &op);

    return st == STATUS_EXISTS ? STATUS_OK : st;
}

static enum status read_known(struct store *s)
{
    uint8_t *data;
    size_t len;
    enum status st =
        disk_read_all(s->disk, CHECKPOINT_COMMON, CHECKPOINT_MAX, &data, &len);

    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    /* A damaged checkpoint costs time, not data: the files are read instead. */
    st = checkpoint_decode((struct bytes){data, len}, &s->known);
    if (st == STATUS_CORRUPT) {
        checkpoint_free(&s->known);
        map_init(&s->known);
        st = STATUS_OK;
    }
    free(data);
    return st;
}

/* Logs that have a directory but are not in the checkpoint must be read; those that were
 * being deleted go on. */
static enum status read_directories(struct store *s)
{
    struct disk_op op = {.kind = DISK_LIST, .path = PATH_LOGS};
    enum status st = disk_call(s->disk, &op);

    if (st)
        return st;
    for (const char *name = op.names; *name != '\0'; name += strlen(name) + 1) {
        char path[PATH_BYTES];
        struct log_id id;

        if (path_is_deleted(name) && s->options.shard == 0) {
            if (snprintf(path, sizeof path, PATH_LOGS "/%s", name) < PATH_BYTES)
                reaper_add_directory(s, path);
        } else if (path_parse_log(name, &id) &&
                   map_get(&s->known, log_id_key(&id)) == NULL) {
            checkpoint_get(&s->known, &id)->unread = true;
        }
    }
    free(op.names);
    return STATUS_OK;
}

static enum status open_journal(struct store *s)
{
    struct journal_options o = {
        .dir = s->journal_dir,
        .file_bytes = s->options.journal_file_bytes,
        .files_max = s->options.journal_files_max,
        .hot_bytes = s->options.hot_bytes,
        .on_durable = on_durable,
        .on_evict = on_evict,
        .ctx = s,
    };

    return journal_open(&s->journal, s->disk, &o);
}

static void store_init(struct store *s, struct disk *d, const struct store_options *o)
{
    s->disk = d;
    s->options = *o;
    s->free_bytes = UINT64_MAX;
    snprintf(s->journal_dir, sizeof s->journal_dir, "journal-%u", o->shard);
    snprintf(s->cycle.path, sizeof s->cycle.path, CHECKPOINT_COMMON "-%u", o->shard);
    snprintf(s->cycle.tmp, sizeof s->cycle.tmp, "%s.tmp", s->cycle.path);
    files_init(&s->files, d);
    map_init(&s->logs);
    map_init(&s->known);
    TAILQ_INIT(&s->dirty);
    TAILQ_INIT(&s->queue);
    TAILQ_INIT(&s->unsynced);
    TAILQ_INIT(&s->cycle.unsynced);
    TAILQ_INIT(&s->cycle.syncs_left);
    reaper_init(&s->reaper);
}

/* Everything that is in memory only. */
static void store_free(struct store *s)
{
    reaper_release(&s->reaper);
    checkpoint_free(&s->known);
    map_release(&s->logs);
    free(s->deleted);
    free(s->promises);
    writer_release(&s->cycle.content);
    free(s);
}

enum status store_open(struct store **out, struct disk *d,
                       const struct store_options *options)
{
    struct store *s = must_zalloc(sizeof *s);
    struct disk_op root = {.kind = DISK_OPEN, .path = ".", .flags = DISK_DIRECTORY};
    struct disk_op close = {.kind = DISK_CLOSE};
    enum status st;

    store_init(s, d, options);
    st = disk_call(d, &root);
    if (st)
        goto fail_memory;
    s->root = root.file;
    st = make_dir(d, PATH_LOGS);
    if (st == STATUS_OK)
        st = read_known(s);
    if (st == STATUS_OK)
        st = read_directories(s);
    if (st)
        goto fail_root;
    st = open_journal(s);
    if (st)
        goto fail_root;
    s->logs_dir_unsynced = true;
    reaper_run(s);
    *out = s;
    return STATUS_OK;

fail_root:
    close.file = s->root;
    if (disk_call(d, &close) != STATUS_OK)
        st = STATUS_IO;
fail_memory:
    store_free(s);
    return st;
}

/* ---- logs ---------------------------------------------------------------------------
 */

/* The log never got into use. */
static void discard(struct log *log)
{
    log_shut(log);
    log_unref(log);
}

/* An id that was deleted in this run is in use again. */
static void undelete(struct store *s, const struct log_id *id)
{
    for (size_t i = 0; i < s->deleted_count; i++)
        if (log_id_equal(&s->deleted[i], id)) {
            s->deleted[i] = s->deleted[--s->deleted_count];
            return;
        }
}

enum status store_log_open(struct store *s, struct log_id id,
                           const struct log_config *config, bool create, struct log **out)
{
    struct checkpoint_log *known = map_get(&s->known, log_id_key(&id));
    struct log *log = map_get(&s->logs, log_id_key(&id));
    enum status st;

    if (log != NULL) {
        *out = log;
        return STATUS_OK;
    }
    if (known == NULL && !create)
        return STATUS_NOT_FOUND;
    log = log_new(s, &id, config);
    if (known != NULL) {
        st = log_load(log, s->disk, known);
        if (st) {
            discard(log);
            return st;
        }
        checkpoint_forget(&s->known, &id);
    } else {
        log->flushing = log_add_segment(log, 0);
        undelete(s, &id);
        store_mark_dirty(s, log);
    }
    CHECK(map_put(&s->logs, log_id_key(&log->id), log));
    *out = log;
    return STATUS_OK;
}

/* Out of all lists, its memory let go as soon as nobody uses it. */
static void forget(struct store *s, struct log *log)
{
    map_remove(&s->logs, log_id_key(&log->id));
    if (log->dirty)
        TAILQ_REMOVE(&s->dirty, log, dirty_link);
    log->dirty = false;
    flush_unqueue(log);
    log_shut(log);
    cycle_log_flushed(log);
    log_unref(log);
}

void store_log_delete(struct store *s, struct log *log)
{
    journal_seq seq = store_journal(
        s, &(struct journal_frame){.kind = JOURNAL_DELETE, .log = log->id}, NULL);

    s->deleted = must_realloc(s->deleted, (s->deleted_count + 1) * sizeof *s->deleted);
    s->deleted[s->deleted_count++] = log->id;
    reaper_add_log(s, log, seq);
    forget(s, log);
}

void store_log_discard(struct store *s, struct log_id id)
{
    struct log *log = log_new(s, &id, &log_config_default);

    CHECK(map_get(&s->logs, log_id_key(&id)) == NULL);
    checkpoint_forget(&s->known, &id);
    CHECK(map_put(&s->logs, log_id_key(&log->id), log));
    store_log_delete(s, log);
}

struct log *store_log_restart(struct store *s, struct log *log, int64_t offset,
                              int32_t epoch)
{
    struct log_id id = log->id;
    struct log_config config = log->config;
    struct log *fresh;

    store_log_delete(s, log);
    fresh = log_new(s, &id, &config);
    fresh->flushing = log_add_segment(fresh, offset);
    undelete(s, &id);
    CHECK(map_put(&s->logs, log_id_key(&fresh->id), fresh));
    log_begin_at(fresh, offset, epoch);
    return fresh;
}

enum status store_list(struct disk *d, struct log_id **ids, size_t *count)
{
    struct disk_op op = {.kind = DISK_LIST, .path = PATH_LOGS};
    enum status st = disk_call(d, &op);
    size_t n = 0;

    *ids = NULL;
    *count = 0;
    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    for (const char *name = op.names; *name != '\0'; name += strlen(name) + 1) {
        struct log_id id;

        if (!path_parse_log(name, &id))
            continue;
        *ids = must_realloc(*ids, (n + 1) * sizeof **ids);
        (*ids)[n++] = id;
    }
    free(op.names);
    *count = n;
    return STATUS_OK;
}

/* ---- the loop -----------------------------------------------------------------------
 */

/* What will be free when segments have taken all that was promised: the disk is asked
 * once a second only, and in a second much can come. */
static uint64_t space_left(const struct store *s)
{
    uint64_t taken =
        s->bytes_appended > s->free_written ? s->bytes_appended - s->free_written : 0;

    return s->free_bytes > taken ? s->free_bytes - taken : 0;
}

enum status store_admit(const struct store *s)
{
    if (s->failed)
        return STATUS_STORAGE_FAILED;
    if (s->no_space || space_left(s) < s->options.reserve_bytes)
        return STATUS_DISK_FULL;
    return journal_has_room(s->journal) ? STATUS_OK : STATUS_THROTTLED;
}

void store_turn_end(struct store *s)
{
    if (s->failed)
        return;
    journal_commit(s->journal);
    if (cycle_is_due(s))
        cycle_begin(s);
    if (journal_is_stuck(s->journal))
        journal_insist(s->journal, cycle_awaits(s));
    flush_run(s);
}

static void on_space(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, space_op);

    store_done(s);
    s->space_asked = false;
    if (op->status != STATUS_OK)
        return;
    s->free_bytes = op->length;
    s->free_written = s->stats.segment_bytes_written;
}

static void ask_space(struct store *s)
{
    if (s->space_asked)
        return;
    s->space_asked = true;
    s->space_op = (struct disk_op){.kind = DISK_SPACE, .done = on_space};
    store_submit(s, &s->space_op);
}

/* A part of the logs each time, all of them about once a minute. */
static void keep_house(struct store *s)
{
    size_t left = s->logs.count / HOUSE_TICKS + HOUSE_MIN;
    struct log *log;

    while (left-- > 0) {
        log = map_next(&s->logs, &s->house_at);
        if (log == NULL) {
            s->house_at = 0;
            return;
        }
        log_keep_house(log, s->now.wall_ms);
    }
}

void store_tick(struct store *s, struct instant now)
{
    if (s->failed)
        return;
    if (s->now.mono_ms == 0)
        s->cycle.begun_ms = now.mono_ms;
    s->now = now;
    s->no_space = false;
    ask_space(s);
    journal_trim(s->journal);
    keep_house(s);
    store_turn_end(s);
    if (flush_is_idle(s))
        flush_release(s);
}

void store_stats(const struct store *s, struct store_stats *out)
{
    const struct log *log;

    *out = s->stats;
    journal_stats(s->journal, &out->journal);
    out->free_bytes = s->free_bytes;
    for (size_t i = 0; (log = map_next(&s->logs, &i));) {
        out->logs++;
        out->segments += log->segment_count;
        out->log_bytes += log_bytes(log);
    }
}

/* ---- closing ------------------------------------------------------------------------
 */

static bool is_settled(const struct store *s)
{
    return s->durable >= s->last_seq && s->released >= s->durable &&
           TAILQ_EMPTY(&s->dirty) && s->cycle.step == CYCLE_IDLE && flush_is_idle(s) &&
           TAILQ_EMPTY(&s->reaper.renames);
}

/* Run until everything is in segments and checkpoint, the disk is full, or it failed. */
static void settle(struct store *s)
{
    s->closing = true;
    while (!s->failed && !s->no_space && !is_settled(s)) {
        store_turn_end(s);
        if (!s->failed && !s->no_space && !is_settled(s))
            disk_poll(s->disk, true);
    }
}

static void drop_unsynced(struct segment_list *list)
{
    struct segment *segment;

    while ((segment = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, segment, sync_link);
        segment->unsynced = false;
        segment_unref(segment);
    }
}

static void drop_logs(struct store *s)
{
    struct log *log;

    for (size_t i = 0; (log = map_next(&s->logs, &i));)
        forget(s, log);
    while (s->promise_first < s->promise_end)
        log_unref(promise_at(s, s->promise_first++)->log);
}

enum status store_close(struct store *s)
{
    struct disk_op close = {.kind = DISK_CLOSE, .file = s->root};
    enum status st;
    struct disk *d = s->disk;
    char journal_dir[sizeof s->journal_dir];

    memcpy(journal_dir, s->journal_dir, sizeof journal_dir);
    settle(s);
    st = s->failed ? STATUS_STORAGE_FAILED : s->no_space ? STATUS_NO_SPACE : STATUS_OK;
    s->failed = true; /* nothing new begins */
    while (s->under_way > 0 || s->files.under_way > 0)
        disk_poll(d, true);
    CHECK(flush_is_idle(s));
    journal_close(s->journal);
    drop_unsynced(&s->unsynced);
    drop_unsynced(&s->cycle.unsynced);
    cycle_release(s);
    drop_logs(s);
    reaper_release(&s->reaper);
    reaper_init(&s->reaper);
    flush_release(s);
    files_close(&s->files);
    while (s->files.under_way > 0)
        disk_poll(d, true);
    if (disk_call(d, &close) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    store_free(s);
    return st == STATUS_OK ? journal_retire(d, journal_dir) : st;
}
