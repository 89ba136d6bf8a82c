/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/recover.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "proto/record/batch.h"
#include "storage/paths.h"
#include "storage/scan.h"
#include "storage/sync_many.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGE_BYTES = 256 * 1024, STAGED_MAX = 64 * 1024 * 1024 };

/* One log that the journals speak of. The gathered bytes belong at `at` of `segment`. */
struct recover_log {
    struct log_id id;
    bool deleted; /* at least once: what comes after that is all there is */
    struct checkpoint_log *state; /* in recover.states; NULL: it does not exist (again) */
    uint8_t *stage;
    size_t staged;
    int64_t segment;
    uint64_t at;
    int64_t *touched; /* segments to be synced */
    size_t touched_count;
    bool dir_unsynced;
    int64_t from;       /* batches from here on were seen */
    struct batch *sent; /* those of them that have a producer */
    size_t sent_count;
    size_t sent_capacity;
};

void recover_init(struct recover *r, struct disk *d)
{
    *r = (struct recover){.disk = d};
    map_init(&r->states);
    map_init(&r->logs);
}

static struct recover_log *log_find(struct recover *r, const struct log_id *id)
{
    struct recover_log *l = map_get(&r->logs, log_id_key(id));

    if (l != NULL)
        return l;
    l = must_zalloc(sizeof *l);
    l->id = *id;
    l->from = INT64_MAX;
    CHECK(map_put(&r->logs, log_id_key(&l->id), l));
    return l;
}

static void log_release(struct recover_log *l)
{
    free(l->stage);
    free(l->touched);
    free(l->sent);
}

void recover_release(struct recover *r)
{
    struct recover_log *l;

    for (size_t i = 0; (l = map_next(&r->logs, &i));) {
        log_release(l);
        free(l);
    }
    map_release(&r->logs);
    checkpoint_free(&r->states);
}

static enum status close_file(struct disk *d, disk_file file, enum status st)
{
    struct disk_op op = {.kind = DISK_CLOSE, .file = file};
    enum status closed = disk_call(d, &op);

    return st ? st : closed;
}

static enum status remove_path(struct disk *d, const char *path)
{
    struct disk_op op = {.kind = DISK_REMOVE, .path = path};
    enum status st = disk_call(d, &op);

    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* ---- one log's files ----------------------------------------------------------------
 */

static void touch(struct recover_log *l, int64_t segment)
{
    for (size_t i = l->touched_count; i > 0; i--)
        if (l->touched[i - 1] == segment)
            return;
    l->touched = must_realloc(l->touched, (l->touched_count + 1) * sizeof *l->touched);
    l->touched[l->touched_count++] = segment;
    l->dir_unsynced = true;
}

static enum status write_stage(struct recover *r, struct recover_log *l)
{
    char path[PATH_BYTES];
    struct iovec iov = {l->stage, l->staged};
    struct disk_op open = {.kind = DISK_OPEN, .path = path, .flags = DISK_CREATE};
    struct disk_op op = {
        .kind = DISK_WRITE, .offset = l->at, .iov = &iov, .iov_count = 1};
    enum status st;

    if (l->staged == 0)
        return STATUS_OK;
    path_segment(path, &l->id, l->segment);
    touch(l, l->segment);
    r->staged -= l->staged;
    l->staged = 0;
    st = disk_call(r->disk, &open);
    if (st)
        return st;
    op.file = open.file;
    return close_file(r->disk, open.file, disk_call(r->disk, &op));
}

static enum status write_all(struct recover *r)
{
    struct recover_log *l;
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && (l = map_next(&r->logs, &i));) {
        st = write_stage(r, l);
        free(l->stage);
        l->stage = NULL;
    }
    return st;
}

/* Cut a segment file to its good bytes; a missing one is as good as an empty one. */
static enum status cut_file(struct recover *r, struct recover_log *l, int64_t segment,
                            uint64_t length)
{
    char path[PATH_BYTES];
    struct disk_op open = {.kind = DISK_OPEN, .path = path};
    struct disk_op op = {.kind = DISK_TRUNCATE, .offset = length};
    enum status st;

    path_segment(path, &l->id, segment);
    st = disk_call(r->disk, &open);
    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    touch(l, segment);
    op.file = open.file;
    return close_file(r->disk, open.file, disk_call(r->disk, &op));
}

/* Remove files of segments for which `low <= base < high` does not hold. */
static enum status remove_outside(struct recover *r, struct recover_log *l, int64_t low,
                                  int64_t high)
{
    char path[PATH_BYTES];
    struct disk_op list = {.kind = DISK_LIST, .path = path};
    enum status st;

    path_log(path, &l->id);
    st = disk_call(r->disk, &list);
    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    for (const char *name = list.names; *name != '\0' && st == STATUS_OK;
         name += strlen(name) + 1) {
        int64_t base;
        bool is_index;

        if (!path_parse_segment(name, &base, &is_index) || (base >= low && base < high))
            continue;
        if (is_index)
            path_index(path, &l->id, base);
        else
            path_segment(path, &l->id, base);
        st = remove_path(r->disk, path);
        l->dir_unsynced = true;
    }
    free(list.names);
    return st;
}

static enum status remove_index(struct recover *r, struct recover_log *l, int64_t segment)
{
    char path[PATH_BYTES];

    path_index(path, &l->id, segment);
    l->dir_unsynced = true;
    return remove_path(r->disk, path);
}

/* ---- frames -------------------------------------------------------------------------
 *
 * The journal may begin before the checkpoint. Then history is lived through once more:
 * old segments come into being and are cut again, and because nothing is left out of it
 * the end is the same. Only the start is the checkpoint's own knowledge: the frame that
 * moved it may not have become durable. So `first` and `start` never go back, and what
 * lies before them is removed at the end.
 */

/* Where a log stands of which no checkpoint tells: the first frame says so itself. If it
 * is not the log's very first, the checkpoint was lost, and opening the log must read its
 * files. */
static void state_from_frame(struct recover_log *l, const struct journal_frame *f)
{
    struct checkpoint_log *c = l->state;

    c->unread = !l->deleted && (f->segment != 0 || f->position != 0);
    c->state = (struct log_state){.first = f->segment,
                                  .start = f->segment,
                                  .last = f->segment,
                                  .position = f->position == UINT64_MAX ? 0 : f->position,
                                  .next = f->offset};
    if (c->state.first > 0)
        producers_begin_late(&c->producers);
}

static enum status log_begin(struct recover *r, struct recover_log *l,
                             const struct journal_frame *f)
{
    char path[PATH_BYTES];
    struct disk_op op = {.kind = DISK_MAKE_DIR, .path = path};
    enum status st;

    path_log(path, &l->id);
    st = disk_call(r->disk, &op);
    if (st != STATUS_OK && st != STATUS_EXISTS)
        return st;
    /* That it is seen does not mean that its name is on disk: the sync of the process
     * before may have failed. */
    r->logs_unsynced = true;
    l->state = map_get(&r->states, log_id_key(&l->id));
    if (l->state == NULL) {
        l->state = checkpoint_get(&r->states, &l->id);
        state_from_frame(l, f);
    }
    return STATUS_OK;
}

/* The log goes on in a later segment: the one before it has its final length. */
static enum status move_on(struct recover *r, struct recover_log *l, int64_t segment)
{
    const struct log_state *s = &l->state->state;
    enum status st = write_stage(r, l);

    if (st == STATUS_OK && segment > s->last)
        st = cut_file(r, l, s->last, s->position);
    return st;
}

/* What producers sent is put together at the end: the journal may begin with a history
 * that was cut since, and the checkpoint knows how it went on. */
static void cut_sent(struct recover_log *l, int64_t offset)
{
    while (l->sent_count > 0 && l->sent[l->sent_count - 1].base_offset >= offset)
        l->sent_count--;
    if (l->from > offset)
        l->from = offset;
}

static void note_sent(struct recover_log *l, const struct batch *b)
{
    cut_sent(l, b->base_offset);
    if (b->producer_id < 0)
        return;
    if (l->sent_count == l->sent_capacity) {
        l->sent_capacity = l->sent_capacity ? l->sent_capacity * 2 : 16;
        l->sent = must_realloc(l->sent, l->sent_capacity * sizeof *l->sent);
    }
    l->sent[l->sent_count++] = *b;
}

static void settle_producers(struct recover_log *l)
{
    if (!PLANT(16))
        producers_cut(l->state->producers, l->from);
    for (size_t i = 0; i < l->sent_count; i++)
        producers_record(&l->state->producers, &l->sent[i], -1);
}

static enum status on_append(struct recover *r, struct recover_log *l,
                             const struct journal_frame *f)
{
    struct log_state *s = &l->state->state;
    enum status st = STATUS_OK;
    struct batch b;

    if (batch_parse(f->payload, &b) != STATUS_OK || b.base_offset != f->offset ||
        b.size != f->payload.len)
        return STATUS_CORRUPT;
    if (f->segment != s->last)
        st = move_on(r, l, f->segment);
    else if (l->staged > 0 && f->position != l->at + l->staged)
        st = write_stage(r, l);
    if (st == STATUS_OK && l->staged > 0 && l->staged + f->payload.len > STAGE_BYTES)
        st = write_stage(r, l);
    if (st)
        return st;
    if (l->stage == NULL || f->payload.len > STAGE_BYTES)
        l->stage = must_realloc(l->stage, f->payload.len > STAGE_BYTES ? f->payload.len
                                                                       : STAGE_BYTES);
    if (l->staged == 0) {
        l->segment = f->segment;
        l->at = f->position;
    }
    memcpy(l->stage + l->staged, f->payload.data, f->payload.len);
    l->staged += f->payload.len;
    r->staged += f->payload.len;
    epochs_truncate(&l->state->epochs, f->offset);
    epochs_note(&l->state->epochs, b.leader_epoch, f->offset);
    note_sent(l, &b);
    s->last = f->segment;
    s->position = f->position + f->payload.len;
    s->next = batch_next_offset(&b);
    return r->staged > STAGED_MAX ? write_all(r) : STATUS_OK;
}

struct boundary {
    int64_t offset;
};

static bool below_boundary(void *ctx, uint64_t position, const struct batch *b)
{
    const struct boundary *boundary = ctx;

    return b->base_offset < boundary->offset;
}

/* The store did not know where in the file the log was cut: read for it. */
static enum status find_position(struct recover *r, struct recover_log *l,
                                 const struct journal_frame *f, uint64_t *position)
{
    char path[PATH_BYTES];
    struct disk_op stat = {.kind = DISK_STAT, .path = path};
    struct boundary boundary = {f->offset};
    struct scan scan = {.disk = r->disk,
                        .path = path,
                        .base = f->segment,
                        .visit = below_boundary,
                        .ctx = &boundary};
    enum scan_end end;
    enum status st;

    path_segment(path, &l->id, f->segment);
    *position = 0;
    st = disk_call(r->disk, &stat);
    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    scan.limit = stat.length;
    st = scan_run(&scan, &end);
    *position = scan.position;
    return st;
}

static enum status on_truncate(struct recover *r, struct recover_log *l,
                               const struct journal_frame *f)
{
    struct log_state *s = &l->state->state;
    uint64_t position = f->position;
    enum status st = write_stage(r, l);

    if (st == STATUS_OK && position == UINT64_MAX)
        st = find_position(r, l, f, &position);
    if (st == STATUS_OK)
        st = remove_outside(r, l, 0, f->segment + 1);
    if (st == STATUS_OK)
        st = remove_index(r, l, f->segment);
    if (st == STATUS_OK)
        st = cut_file(r, l, f->segment, position);
    s->last = f->segment;
    s->position = position;
    s->next = f->offset;
    epochs_truncate(&l->state->epochs, f->offset);
    cut_sent(l, f->offset);
    return st;
}

static enum status on_start(struct recover *r, struct recover_log *l,
                            const struct journal_frame *f)
{
    struct log_state *s = &l->state->state;
    enum status st = write_stage(r, l);

    if (f->offset > s->start)
        s->start = f->offset;
    if (f->segment > s->first)
        s->first = f->segment;
    return st ? st : remove_outside(r, l, f->segment, INT64_MAX);
}

/* First out of sight under another name, so that a crash leaves no half of it. */
static enum status on_delete(struct recover *r, struct recover_log *l)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct disk_op stat = {.kind = DISK_STAT, .path = to};
    struct disk_op op = {.kind = DISK_RENAME, .path = from, .path2 = to};
    enum status st;

    r->staged -= l->staged;
    path_log(from, &l->id);
    for (uint64_t serial = 0;; serial++) {
        path_deleted(to, &l->id, serial);
        st = disk_call(r->disk, &stat);
        if (st == STATUS_NOT_FOUND)
            break;
        if (st)
            return st;
    }
    st = disk_call(r->disk, &op);
    r->logs_unsynced = true;
    checkpoint_forget(&r->states, &l->id);
    log_release(l);
    *l = (struct recover_log){.id = l->id, .from = INT64_MAX, .deleted = true};
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

enum status recover_frame(struct recover *r, const struct journal_frame *f)
{
    struct recover_log *l = log_find(r, &f->log);
    enum status st = l->state == NULL ? log_begin(r, l, f) : STATUS_OK;

    if (st)
        return st;
    switch (f->kind) {
    case JOURNAL_APPEND: return on_append(r, l, f);
    case JOURNAL_TRUNCATE: return on_truncate(r, l, f);
    case JOURNAL_START: return on_start(r, l, f);
    case JOURNAL_DELETE: return on_delete(r, l);
    }
    return STATUS_CORRUPT;
}

/* The log's history is at its end: bring its files into the state that it came to. */
static enum status settle(struct recover *r, struct recover_log *l)
{
    struct log_state *s = &l->state->state;

    if (s->last < s->first) { /* all its records were let go */
        s->last = s->first;
        s->position = 0;
        s->next = s->first;
    }
    epochs_trim(&l->state->epochs, s->start);
    settle_producers(l);
    /* Nothing but zeros may follow in a file whose end will be looked for. */
    if (l->state->unread)
        return cut_file(r, l, s->last, s->position);
    return remove_outside(r, l, s->first, INT64_MAX);
}

static void sync_log(struct sync_many *m, const struct recover_log *l)
{
    char path[PATH_BYTES];

    for (size_t i = 0; i < l->touched_count; i++) {
        path_segment(path, &l->id, l->touched[i]);
        sync_many_add(m, path, 0);
    }
    path_log(path, &l->id);
    if (l->dir_unsynced)
        sync_many_add(m, path, DISK_DIRECTORY);
}

enum status recover_finish(struct recover *r)
{
    enum status st = write_all(r);
    struct recover_log *l;
    struct sync_many m;

    for (size_t i = 0; st == STATUS_OK && (l = map_next(&r->logs, &i));)
        st = l->state != NULL ? settle(r, l) : STATUS_OK;
    if (st)
        return st;
    sync_many_init(&m, r->disk);
    for (size_t i = 0; (l = map_next(&r->logs, &i));)
        sync_log(&m, l);
    if (r->logs_unsynced)
        sync_many_add(&m, PATH_LOGS, DISK_DIRECTORY);
    return sync_many_wait(&m);
}
