/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk.h"

#include "proto/base/bytes.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

void disk_submit(struct disk *d, struct disk_op *op)
{
    CHECK(op->done != NULL);
    CHECK(op->iov_count <= DISK_IOV_MAX);
    d->verbs->submit(d, op);
}

size_t disk_poll(struct disk *d, bool wait)
{
    return d->verbs->poll(d, wait);
}

void disk_close(struct disk *d)
{
    d->verbs->close(d);
}

/* An operation that somebody waits for in place. */
struct call {
    struct disk_op op;
    bool done;
};

static void call_done(struct disk_op *op)
{
    container_of(op, struct call, op)->done = true;
}

enum status disk_call(struct disk *d, struct disk_op *op)
{
    struct call call = {.op = *op};

    call.op.done = call_done;
    disk_submit(d, &call.op);
    while (!call.done)
        disk_poll(d, true);
    *op = call.op;
    return op->status;
}

/* Write all of `data` to a new file and sync it. */
static enum status write_file(struct disk *d, const char *path, const void *data,
                              size_t len)
{
    struct iovec iov = {(void *)data, len};
    struct disk_op open = {.kind = DISK_OPEN, .path = path, .flags = DISK_CREATE};
    struct disk_op op;
    enum status st = disk_call(d, &open);

    if (st)
        return st;
    op = (struct disk_op){.kind = DISK_TRUNCATE, .file = open.file};
    st = disk_call(d, &op);
    if (st == STATUS_OK && len > 0) {
        op = (struct disk_op){
            .kind = DISK_WRITE, .file = open.file, .iov = &iov, .iov_count = 1};
        st = disk_call(d, &op);
    }
    if (st == STATUS_OK) {
        op = (struct disk_op){.kind = DISK_SYNC, .file = open.file};
        st = disk_call(d, &op);
    }
    op = (struct disk_op){.kind = DISK_CLOSE, .file = open.file};
    if (disk_call(d, &op) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    return st;
}

enum status disk_sync_dir(struct disk *d, const char *dir)
{
    struct disk_op open = {.kind = DISK_OPEN, .path = dir, .flags = DISK_DIRECTORY};
    struct disk_op op;
    enum status st = disk_call(d, &open);

    if (st)
        return st;
    op = (struct disk_op){.kind = DISK_SYNC, .file = open.file};
    st = disk_call(d, &op);
    op = (struct disk_op){.kind = DISK_CLOSE, .file = open.file};
    if (disk_call(d, &op) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    return st;
}

enum status disk_replace(struct disk *d, const char *dir, const char *path,
                         const void *data, size_t len)
{
    struct writer name = writer_growing();
    struct disk_op op;
    enum status st;

    write_format(&name, "%s.tmp", path);
    write_u8(&name, 0);
    CHECK(writer_status(&name) == STATUS_OK);
    st = write_file(d, (const char *)name.data, data, len);
    if (st == STATUS_OK) {
        op = (struct disk_op){
            .kind = DISK_RENAME, .path = (const char *)name.data, .path2 = path};
        st = disk_call(d, &op);
    }
    if (st == STATUS_OK)
        st = disk_sync_dir(d, dir);
    writer_release(&name);
    return st;
}

enum status disk_read_all(struct disk *d, const char *path, size_t limit, uint8_t **data,
                          size_t *len)
{
    struct disk_op stat = {.kind = DISK_STAT, .path = path};
    struct disk_op open = {.kind = DISK_OPEN, .path = path, .flags = DISK_READ_ONLY};
    struct disk_op op;
    struct iovec iov;
    enum status st = disk_call(d, &stat);

    if (st == STATUS_OK && stat.length > limit)
        st = STATUS_TOO_MANY;
    if (st == STATUS_OK)
        st = disk_call(d, &open);
    if (st)
        return st;
    iov = (struct iovec){must_alloc(stat.length), stat.length};
    op = (struct disk_op){
        .kind = DISK_READ, .file = open.file, .iov = &iov, .iov_count = 1};
    st = disk_call(d, &op);
    *len = op.bytes;
    op = (struct disk_op){.kind = DISK_CLOSE, .file = open.file};
    if (disk_call(d, &op) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    if (st)
        free(iov.iov_base);
    else
        *data = iov.iov_base;
    return st;
}
