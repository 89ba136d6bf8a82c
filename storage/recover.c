/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/recover.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_MAX = 1024 * 1024 * 1024, NAME_BYTES = 40 };

/* The shards' numbers of which there are journals or checkpoints. */
struct numbers {
    unsigned *list;
    size_t count;
};

struct inventory {
    struct numbers journals;
    struct numbers checkpoints;
};

static void add_number(struct numbers *n, unsigned number)
{
    n->list = must_realloc(n->list, (n->count + 1) * sizeof *n->list);
    n->list[n->count++] = number;
}

static enum status take_inventory(struct disk *d, struct inventory *out)
{
    struct disk_op list = {.kind = DISK_LIST, .path = "."};
    enum status st = disk_call(d, &list);
    unsigned number;

    *out = (struct inventory){0};
    if (st)
        return st;
    for (const char *name = list.names; *name != '\0'; name += strlen(name) + 1) {
        if (path_parse_number(name, "journal", &number))
            add_number(&out->journals, number);
        if (path_parse_number(name, CHECKPOINT_COMMON, &number))
            add_number(&out->checkpoints, number);
    }
    free(list.names);
    return STATUS_OK;
}

static void journal_dir(char out[static NAME_BYTES], unsigned number)
{
    snprintf(out, NAME_BYTES, "journal-%u", number);
}

static void checkpoint_path(char out[static NAME_BYTES], unsigned number)
{
    snprintf(out, NAME_BYTES, CHECKPOINT_COMMON "-%u", number);
}

/* A damaged checkpoint (STATUS_CORRUPT) is passed over: the logs it spoke of are read
 * instead. */
static enum status read_checkpoint(struct recover *r, const char *path)
{
    uint8_t *data;
    size_t len;
    enum status st = disk_read_all(r->disk, path, CHECKPOINT_MAX, &data, &len);

    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    st = checkpoint_decode((struct bytes){data, len}, &r->states);
    free(data);
    return st;
}

static enum status read_shards_checkpoints(struct recover *r, const struct inventory *v,
                                           bool *damaged)
{
    enum status st = STATUS_OK;
    char path[NAME_BYTES];

    *damaged = false;
    for (size_t i = 0; i < v->checkpoints.count && st == STATUS_OK; i++) {
        checkpoint_path(path, v->checkpoints.list[i]);
        st = read_checkpoint(r, path);
        *damaged |= st == STATUS_CORRUPT;
        if (st == STATUS_CORRUPT)
            st = STATUS_OK;
    }
    return st;
}

/* The shards' are newer than the common one. Where one of them is damaged, what the
 * common one says of its logs is out of date, and nobody knows which they are: only what
 * other shards say can still be believed. */
static enum status read_checkpoints(struct recover *r, const struct inventory *v)
{
    enum status st = read_checkpoint(r, CHECKPOINT_COMMON);
    bool damaged;

    if (st == STATUS_OK || st == STATUS_CORRUPT)
        st = read_shards_checkpoints(r, v, &damaged);
    if (st || !damaged)
        return st;
    MARK("recovery without a damaged checkpoint");
    checkpoint_free(&r->states);
    map_init(&r->states);
    return read_shards_checkpoints(r, v, &damaged);
}

static enum status look_only(void *ctx, const struct journal_frame *f)
{
    return STATUS_OK;
}

/* All journals are read once before the first of them is repeated: damage must be known
 * before anything is changed. */
static enum status look_at_journals(struct disk *d, const struct inventory *v,
                                    struct store_recovery *out, char why[static 256])
{
    enum status st = STATUS_OK;
    char dir[NAME_BYTES];

    for (size_t i = 0; i < v->journals.count && st == STATUS_OK; i++) {
        struct journal_replay_result result;

        journal_dir(dir, v->journals.list[i]);
        st = journal_replay(d, dir, look_only, NULL, &result, why);
        out->journals++;
        out->groups += result.groups;
        out->frames += result.frames;
        out->bytes += result.bytes;
        out->torn += result.torn;
    }
    return st;
}

static enum status repeat(void *ctx, const struct journal_frame *f)
{
    return recover_frame(ctx, f);
}

static enum status repeat_journals(struct recover *r, const struct inventory *v,
                                   char why[static 256])
{
    enum status st = STATUS_OK;
    char dir[NAME_BYTES];

    for (size_t i = 0; i < v->journals.count && st == STATUS_OK; i++) {
        struct journal_replay_result result;

        journal_dir(dir, v->journals.list[i]);
        st = journal_replay(r->disk, dir, repeat, r, &result, why);
    }
    return st ? st : recover_finish(r);
}

static enum status write_checkpoint(struct disk *d, struct map *states)
{
    struct writer w = writer_growing();
    struct checkpoint_log *l;
    enum status st;

    checkpoint_begin(&w);
    for (size_t i = 0; (l = map_next(states, &i));)
        if (!l->unread)
            checkpoint_add(&w, &l->id, &l->state, &l->epochs, l->producers);
    checkpoint_finish(&w);
    st = writer_status(&w);
    if (st == STATUS_OK)
        st = disk_replace(d, ".", CHECKPOINT_COMMON, w.data, w.len);
    writer_release(&w);
    return st;
}

/* From here on only the common checkpoint counts. The shards' are removed before the
 * journals are emptied: a crash in between finds journals that explain everything. */
static enum status clear_away(struct disk *d, const struct inventory *v)
{
    struct disk_op root = {.kind = DISK_OPEN, .path = ".", .flags = DISK_DIRECTORY};
    struct disk_op op;
    enum status st = STATUS_OK;
    char path[NAME_BYTES];

    for (size_t i = 0; i < v->checkpoints.count && st == STATUS_OK; i++) {
        checkpoint_path(path, v->checkpoints.list[i]);
        op = (struct disk_op){.kind = DISK_REMOVE, .path = path};
        st = disk_call(d, &op);
    }
    if (st == STATUS_OK)
        st = disk_call(d, &root);
    if (st)
        return st;
    op = (struct disk_op){.kind = DISK_SYNC, .file = root.file};
    st = disk_call(d, &op);
    op = (struct disk_op){.kind = DISK_CLOSE, .file = root.file};
    if (disk_call(d, &op) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    for (size_t i = 0; i < v->journals.count && st == STATUS_OK; i++) {
        journal_dir(path, v->journals.list[i]);
        st = journal_retire(d, path);
    }
    return st;
}

enum status store_recover(struct disk *d, struct store_recovery *out,
                          char why[static 256])
{
    struct disk_op logs = {.kind = DISK_MAKE_DIR, .path = PATH_LOGS};
    struct inventory v;
    struct recover r;
    enum status st;

    *out = (struct store_recovery){0};
    why[0] = '\0';
    recover_init(&r, d);
    st = take_inventory(d, &v);
    if (st == STATUS_OK)
        st = read_checkpoints(&r, &v);
    if (st == STATUS_OK)
        st = look_at_journals(d, &v, out, why);
    if (st == STATUS_OK && (out->frames > 0 || v.checkpoints.count > 0)) {
        st = disk_call(d, &logs);
        if (st == STATUS_OK || st == STATUS_EXISTS)
            st = repeat_journals(&r, &v, why);
        if (st == STATUS_OK)
            st = write_checkpoint(d, &r.states);
        if (st == STATUS_OK)
            st = clear_away(d, &v);
    }
    out->logs = r.states.count;
    recover_release(&r);
    free(v.journals.list);
    free(v.checkpoints.list);
    if (st != STATUS_OK && why[0] == '\0')
        snprintf(why, 256, "the data directory could not be brought into order: %s",
                 status_text(st));
    return st;
}

/* First the checkpoint forgets it, then it goes out of sight under another name: a crash
 * in between leaves a directory that nobody knows, to be removed again. The next store
 * that opens removes the files. */
enum status store_remove(struct disk *d, struct log_id id)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct disk_op stat = {.kind = DISK_STAT, .path = to};
    struct disk_op op = {.kind = DISK_RENAME, .path = from, .path2 = to};
    struct recover r;
    enum status st;

    recover_init(&r, d);
    st = read_checkpoint(&r, CHECKPOINT_COMMON);
    if (st == STATUS_CORRUPT)
        st = STATUS_OK;
    if (st == STATUS_OK && map_get(&r.states, log_id_key(&id)) != NULL) {
        checkpoint_forget(&r.states, &id);
        st = write_checkpoint(d, &r.states);
    }
    recover_release(&r);
    path_log(from, &id);
    for (uint64_t serial = 0; st == STATUS_OK; serial++) {
        path_deleted(to, &id, serial);
        st = disk_call(d, &stat);
    }
    return st == STATUS_NOT_FOUND ? disk_call(d, &op) : st;
}
