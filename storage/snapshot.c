/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAGIC = 0x4c736e32, /* "Lsn2" */
    HEADER = 20,        /* magic, checksum of all that follows, offset, epoch */
    SNAPSHOT_MAX = 1024 * 1024 * 1024,
    DIGITS = 20,
};

static const char suffix[] = ".snapshot";

void snapshot_begin(struct writer *w, int64_t offset, int32_t epoch)
{
    write_u32(w, MAGIC);
    write_u32(w, 0);
    write_i64(w, offset);
    write_u32(w, (uint32_t)epoch);
}

void snapshot_add(struct writer *w, struct bytes record)
{
    write_u32(w, (uint32_t)record.len);
    write_bytes(w, record.data, record.len);
}

void snapshot_finish(struct writer *w)
{
    if (!w->failed)
        store_u32(w->data + 4, crc32c(0, w->data + 8, w->len - 8));
}

void snapshot_path(char out[static SNAPSHOT_PATH], const char *name, int64_t offset)
{
    snprintf(out, SNAPSHOT_PATH, SNAPSHOT_DIR "/%s-%020" PRId64 "%s", name, offset,
             suffix);
}

/* "<name>-<offset>.snapshot" taken apart. */
static bool parse_name(const char *file, const char *name, int64_t *offset)
{
    size_t len = strlen(name);
    int64_t v = 0;

    if (strncmp(file, name, len) != 0 || file[len] != '-' ||
        strlen(file) != len + 1 + DIGITS + sizeof suffix - 1)
        return false;
    file += len + 1;
    for (int i = 0; i < DIGITS; i++) {
        if (file[i] < '0' || file[i] > '9' || v > (INT64_MAX - (file[i] - '0')) / 10)
            return false;
        v = v * 10 + (file[i] - '0');
    }
    *offset = v;
    return strcmp(file + DIGITS, suffix) == 0;
}

/* ---- loading ------------------------------------------------------------------------
 */

static int newest_first(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a < b) - (a > b);
}

/* The directory's own name must be durable before the first snapshot in it counts. */
static enum status make_dir(struct disk *d)
{
    struct disk_op make = {.kind = DISK_MAKE_DIR, .path = SNAPSHOT_DIR};
    struct disk_op root = {.kind = DISK_OPEN, .path = ".", .flags = DISK_DIRECTORY};
    struct disk_op op;
    enum status st = disk_call(d, &make);

    if (st != STATUS_OK && st != STATUS_EXISTS)
        return st;
    st = disk_call(d, &root);
    if (st)
        return st;
    op = (struct disk_op){.kind = DISK_SYNC, .file = root.file};
    st = disk_call(d, &op);
    op = (struct disk_op){.kind = DISK_CLOSE, .file = root.file};
    if (disk_call(d, &op) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    return st;
}

static enum status list_offsets(struct disk *d, const char *name, int64_t **out,
                                size_t *count)
{
    struct disk_op list = {.kind = DISK_LIST, .path = SNAPSHOT_DIR};
    enum status st = make_dir(d);
    int64_t offset;

    *out = NULL;
    *count = 0;
    if (st)
        return st;
    st = disk_call(d, &list);
    if (st)
        return st;
    for (const char *at = list.names; *at != '\0'; at += strlen(at) + 1) {
        if (!parse_name(at, name, &offset))
            continue;
        *out = must_realloc(*out, (*count + 1) * sizeof **out);
        (*out)[(*count)++] = offset;
    }
    free(list.names);
    if (*count > 1)
        qsort(*out, *count, sizeof **out, newest_first);
    return STATUS_OK;
}

enum status snapshot_check(struct bytes data, struct snapshot_head *head)
{
    struct reader r = reader_of(data.data, data.len);

    if (data.len < HEADER || read_u32(&r) != MAGIC ||
        read_u32(&r) != crc32c(0, r.at, reader_left(&r)))
        return STATUS_CORRUPT;
    head->offset = read_i64(&r);
    head->epoch = (int32_t)read_u32(&r);
    head->size = data.len;
    return head->offset > 0 ? STATUS_OK : STATUS_CORRUPT;
}

enum status snapshot_each(struct bytes data,
                          enum status (*apply)(void *, int64_t, struct bytes), void *ctx)
{
    struct reader r = reader_of(data.data + HEADER, data.len - HEADER);
    enum status st = STATUS_OK;

    while (st == STATUS_OK && reader_left(&r) > 0) {
        uint32_t len = read_u32(&r);
        struct bytes record = read_bytes(&r, len);

        if (r.failed)
            return STATUS_CORRUPT;
        st = apply(ctx, -1, record);
    }
    return st;
}

static enum status load_one(struct disk *d, const char *name, int64_t offset,
                            enum status (*apply)(void *, int64_t, struct bytes),
                            void *ctx, struct snapshot_head *head, bool *whole)
{
    char path[SNAPSHOT_PATH];
    uint8_t *data;
    size_t len;
    enum status st;

    snapshot_path(path, name, offset);
    st = disk_read_all(d, path, SNAPSHOT_MAX, &data, &len);
    if (st)
        return st;
    *whole = !snapshot_check((struct bytes){data, len}, head) && head->offset == offset;
    if (*whole)
        st = snapshot_each((struct bytes){data, len}, apply, ctx);
    free(data);
    return st;
}

enum status snapshot_load(struct disk *d, const char *name,
                          enum status (*apply)(void *ctx, int64_t offset,
                                               struct bytes record),
                          void *ctx, struct snapshot_head *head)
{
    int64_t *offsets;
    size_t count;
    bool whole = false;
    enum status st = list_offsets(d, name, &offsets, &count);

    *head = (struct snapshot_head){.epoch = -1};
    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        char path[SNAPSHOT_PATH];
        struct disk_op op = {.kind = DISK_REMOVE, .path = path};

        if (!whole) {
            st = load_one(d, name, offsets[i], apply, ctx, head, &whole);
            continue;
        }
        snapshot_path(path, name, offsets[i]);
        st = disk_call(d, &op);
    }
    free(offsets);
    if (st == STATUS_OK && count > 0 && !whole)
        return STATUS_CORRUPT;
    return st;
}

/* ---- writing ------------------------------------------------------------------------
 */

static void next(struct snapshot_write *w, struct disk_op op)
{
    w->op = op;
    disk_submit(w->disk, &w->op);
}

static void end(struct snapshot_write *w, enum status status)
{
    writer_release(&w->content);
    w->done(w, status);
}

static void on_dir_closed(struct disk_op *op)
{
    end(container_of(op, struct snapshot_write, op), STATUS_OK);
}

static void on_dir_synced(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    if (op->status != STATUS_OK)
        end(w, op->status);
    else
        next(w, (struct disk_op){
                    .kind = DISK_CLOSE, .file = w->file, .done = on_dir_closed});
}

static void on_dir_opened(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    if (op->status != STATUS_OK) {
        end(w, op->status);
        return;
    }
    w->file = op->file;
    next(w, (struct disk_op){.kind = DISK_SYNC, .file = w->file, .done = on_dir_synced});
}

static void on_renamed(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    if (op->status != STATUS_OK)
        end(w, op->status);
    else
        next(w, (struct disk_op){.kind = DISK_OPEN,
                                 .flags = DISK_DIRECTORY,
                                 .path = SNAPSHOT_DIR,
                                 .done = on_dir_opened});
}

static void on_closed(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    next(w,
         (struct disk_op){
             .kind = DISK_RENAME, .path = w->tmp, .path2 = w->path, .done = on_renamed});
}

static void on_given_up(struct disk_op *op)
{
    end(container_of(op, struct snapshot_write, op), STATUS_IO);
}

static void close_then(struct snapshot_write *w, disk_done *done)
{
    next(w, (struct disk_op){.kind = DISK_CLOSE, .file = w->file, .done = done});
}

static void on_synced(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    close_then(w, op->status == STATUS_OK ? on_closed : on_given_up);
}

/* A sync, and not a durable write: the length of a file that an attempt before left
 * behind must come to the disk as well. */
static void on_written(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    if (op->status != STATUS_OK)
        close_then(w, on_given_up);
    else
        next(w, (struct disk_op){.kind = DISK_SYNC, .file = w->file, .done = on_synced});
}

static void on_sized(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    if (op->status != STATUS_OK) {
        close_then(w, on_given_up);
        return;
    }
    w->iov = (struct iovec){w->content.data, w->content.len};
    next(w, (struct disk_op){.kind = DISK_WRITE,
                             .file = w->file,
                             .iov = &w->iov,
                             .iov_count = 1,
                             .done = on_written});
}

static void on_opened(struct disk_op *op)
{
    struct snapshot_write *w = container_of(op, struct snapshot_write, op);

    if (op->status != STATUS_OK) {
        end(w, op->status);
        return;
    }
    w->file = op->file;
    next(w, (struct disk_op){.kind = DISK_TRUNCATE,
                             .file = w->file,
                             .offset = w->content.len,
                             .done = on_sized});
}

void snapshot_write(struct snapshot_write *w, struct disk *d, const char *name,
                    int64_t offset, struct writer content)
{
    w->disk = d;
    w->content = content;
    snapshot_path(w->path, name, offset);
    snprintf(w->tmp, sizeof w->tmp, "%s.tmp", w->path);
    next(w,
         (struct disk_op){
             .kind = DISK_OPEN, .flags = DISK_CREATE, .path = w->tmp, .done = on_opened});
}

/* ---- removing -----------------------------------------------------------------------
 */

static void on_removed(struct disk_op *op)
{
    if (op->status == STATUS_NOT_FOUND) /* an attempt before got so far */
        op->status = STATUS_OK;
    on_renamed(op);
}

void snapshot_remove(struct snapshot_write *w, struct disk *d, const char *name,
                     int64_t offset)
{
    w->disk = d;
    w->content = writer_growing();
    snapshot_path(w->path, name, offset);
    next(w, (struct disk_op){.kind = DISK_REMOVE, .path = w->path, .done = on_removed});
}
