/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sync_many.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/paths.h"

#include <stdio.h>
#include <stdlib.h>

enum { IN_FLIGHT = 64 };

struct sync_one {
    struct sync_many *many;
    struct disk_op op;
    disk_file file;
    char path[PATH_BYTES];
};

void sync_many_init(struct sync_many *m, struct disk *d)
{
    *m = (struct sync_many){.disk = d, .status = STATUS_OK};
}

static void end(struct sync_one *one, enum status status)
{
    struct sync_many *m = one->many;

    if (m->status == STATUS_OK)
        m->status = status;
    m->in_flight--;
    free(one);
}

static void next(struct sync_one *one, enum disk_kind kind, disk_done *done)
{
    one->op = (struct disk_op){.kind = kind, .file = one->file, .done = done};
    disk_submit(one->many->disk, &one->op);
}

static void on_closed(struct disk_op *op)
{
    end(container_of(op, struct sync_one, op), op->status);
}

static void on_synced(struct disk_op *op)
{
    struct sync_one *one = container_of(op, struct sync_one, op);

    if (one->many->status == STATUS_OK)
        one->many->status = op->status;
    next(one, DISK_CLOSE, on_closed);
}

static void on_opened(struct disk_op *op)
{
    struct sync_one *one = container_of(op, struct sync_one, op);

    if (op->status != STATUS_OK) {
        end(one, op->status == STATUS_NOT_FOUND ? STATUS_OK : op->status);
        return;
    }
    one->file = op->file;
    next(one, DISK_SYNC, on_synced);
}

void sync_many_add(struct sync_many *m, const char *path, unsigned flags)
{
    struct sync_one *one = must_zalloc(sizeof *one);

    while (m->in_flight >= IN_FLIGHT)
        disk_poll(m->disk, true);
    m->in_flight++;
    one->many = m;
    snprintf(one->path, sizeof one->path, "%s", path);
    one->op = (struct disk_op){
        .kind = DISK_OPEN, .path = one->path, .flags = flags, .done = on_opened};
    disk_submit(m->disk, &one->op);
}

enum status sync_many_wait(struct sync_many *m)
{
    while (m->in_flight > 0)
        disk_poll(m->disk, true);
    return m->status;
}
