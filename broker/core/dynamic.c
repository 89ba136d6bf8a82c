/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/dynamic.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 1024 * 1024 };

static const char path[] = "dynamic.conf";
static const char path_new[] = "dynamic.conf.tmp";

/* What is under way, in this order; a crash between any two leaves the old file or the
 * new one. */
enum step {
    STEP_REMOVE, /* what an earlier crash may have left */
    STEP_OPEN,
    STEP_WRITE,
    STEP_SYNC,
    STEP_CLOSE,
    STEP_RENAME,
    STEP_OPEN_DIR,
    STEP_SYNC_DIR,
    STEP_CLOSE_DIR,
    STEP_COUNT
};

struct dynamic {
    struct disk *disk;
    struct config *config;
    TAILQ_HEAD(dynamic_changes, dynamic_change)
    waiting; /* the first one is being written */
    bool writing;
    enum step step;
    enum status status; /* the first failure of this write */
    disk_file file;
    struct disk_op op;
    struct iovec iov;
    struct writer text;
};

static void on_done(struct disk_op *op);

static void begin(struct dynamic *d, enum step step)
{
    static const struct disk_op ops[STEP_COUNT] = {
        [STEP_REMOVE] = {.kind = DISK_REMOVE, .path = path_new},
        [STEP_OPEN] = {.kind = DISK_OPEN, .path = path_new, .flags = DISK_CREATE},
        [STEP_WRITE] = {.kind = DISK_WRITE, .iov_count = 1},
        [STEP_SYNC] = {.kind = DISK_SYNC},
        [STEP_CLOSE] = {.kind = DISK_CLOSE},
        [STEP_RENAME] = {.kind = DISK_RENAME, .path = path_new, .path2 = path},
        [STEP_OPEN_DIR] = {.kind = DISK_OPEN, .path = ".", .flags = DISK_DIRECTORY},
        [STEP_SYNC_DIR] = {.kind = DISK_SYNC},
        [STEP_CLOSE_DIR] = {.kind = DISK_CLOSE},
    };

    d->step = step;
    d->iov = (struct iovec){d->text.data, d->text.len};
    d->op = ops[step];
    d->op.file = d->file;
    d->op.iov = &d->iov;
    d->op.done = on_done;
    disk_submit(d->disk, &d->op);
}

static void finish(struct dynamic *d)
{
    struct dynamic_change *c = TAILQ_FIRST(&d->waiting);

    TAILQ_REMOVE(&d->waiting, c, link);
    d->writing = false;
    writer_release(&d->text);
    if (!d->status)
        CHECK(!c->apply(c, d->config)); /* its copy took the same change */
    c->done(c, d->status);
}

static void on_done(struct disk_op *op)
{
    struct dynamic *d = container_of(op, struct dynamic, op);
    bool absent = d->step == STEP_REMOVE && op->status == STATUS_NOT_FOUND;

    if (op->status && !absent && !d->status)
        d->status = op->status;
    if (d->step == STEP_OPEN || d->step == STEP_OPEN_DIR)
        d->file = op->status ? DISK_NO_FILE : op->file;
    if (d->step == STEP_CLOSE || d->step == STEP_CLOSE_DIR)
        d->file = DISK_NO_FILE;

    if (d->status && d->file != DISK_NO_FILE)
        begin(d, STEP_CLOSE_DIR);
    else if (d->status || d->step == STEP_CLOSE_DIR)
        finish(d);
    else
        begin(d, d->step + 1);
}

static void describe(const struct config *config, struct writer *out)
{
    write_text(out,
               "# Written by the broker: settings that were changed while it ran.\n");
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        char value[160];

        if (config->values[i].origin != CONFIG_FROM_DYNAMIC)
            continue;
        config_format(config, (enum config_key)i, value, sizeof value);
        write_text(out, config_row((enum config_key)i)->name);
        write_text(out, " = ");
        write_text(out, value);
        write_text(out, "\n");
    }
}

void dynamic_turn(struct dynamic *d)
{
    struct dynamic_change *c;

    while (!d->writing && (c = TAILQ_FIRST(&d->waiting)) != NULL) {
        struct config copy;
        enum status st;

        config_init(&copy);
        config_copy(&copy, d->config);
        st = c->apply(c, &copy);
        if (st) {
            TAILQ_REMOVE(&d->waiting, c, link);
            c->done(c, st);
        } else {
            d->writing = true;
            d->status = STATUS_OK;
            d->text = writer_growing();
            describe(&copy, &d->text);
            begin(d, STEP_REMOVE);
        }
        config_release(&copy);
    }
}

void dynamic_submit(struct dynamic *d, struct dynamic_change *c)
{
    TAILQ_INSERT_TAIL(&d->waiting, c, link);
}

enum status dynamic_open(struct dynamic **out, struct disk *disk, struct config *config,
                         char why[static 256])
{
    struct dynamic *d;
    uint8_t *data;
    size_t len;
    char reason[160];
    enum status st = disk_read_all(disk, path, FILE_MAX, &data, &len);

    if (!st) {
        st = config_parse(config, (struct bytes){data, len}, CONFIG_FROM_DYNAMIC, reason);
        free(data);
        if (st) {
            snprintf(why, 256, "%s: %s", path, reason);
            return st;
        }
    } else if (st != STATUS_NOT_FOUND) {
        snprintf(why, 256, "%s cannot be read: %s", path, status_text(st));
        return st;
    }
    d = must_zalloc(sizeof *d);
    d->disk = disk;
    d->config = config;
    d->file = DISK_NO_FILE;
    TAILQ_INIT(&d->waiting);
    *out = d;
    return STATUS_OK;
}

void dynamic_stop(struct dynamic *d)
{
    struct dynamic_change *first = d->writing ? TAILQ_FIRST(&d->waiting) : NULL;
    struct dynamic_change *c;

    while ((c = TAILQ_LAST(&d->waiting, dynamic_changes)) != first) {
        TAILQ_REMOVE(&d->waiting, c, link);
        c->done(c, STATUS_SHUTTING_DOWN);
    }
}

void dynamic_close(struct dynamic *d)
{
    while (d->writing)
        disk_poll(d->disk, true);
    free(d);
}
