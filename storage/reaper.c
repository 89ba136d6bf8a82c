/* SPDX-License-Identifier: Apache-2.0
 *
 * Files on their way out. Nothing is removed before the journal's word for it is durable.
 * A deleted log's directory is renamed first, so that it is gone at once and its name is
 * free; then files go one at a time, in the background. What a crash leaves over is found
 * at the next start: `-deleted` directories, and segments below a log's first. */
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/store_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void remove_next(struct store *s);

void reaper_init(struct reaper *r)
{
    TAILQ_INIT(&r->renames);
    TAILQ_INIT(&r->queue);
}

static void removal_free(struct removal *v)
{
    if (v->log != NULL)
        log_unref(v->log);
    free(v);
}

void reaper_release(struct reaper *r)
{
    struct removal *v;

    while ((v = TAILQ_FIRST(&r->renames)) != NULL) {
        TAILQ_REMOVE(&r->renames, v, link);
        removal_free(v);
    }
    while ((v = TAILQ_FIRST(&r->queue)) != NULL) {
        TAILQ_REMOVE(&r->queue, v, link);
        removal_free(v);
    }
    free(r->names);
}

static struct removal *removal_new(journal_seq after)
{
    struct removal *v = must_zalloc(sizeof *v);

    v->after = after;
    return v;
}

void reaper_add_segment(struct store *s, struct segment *segment, journal_seq after)
{
    struct removal *index = removal_new(after);
    struct removal *data = removal_new(after);

    path_index(index->path, &segment->id, segment->base);
    path_segment(data->path, &segment->id, segment->base);
    TAILQ_INSERT_TAIL(&s->reaper.queue, index, link);
    TAILQ_INSERT_TAIL(&s->reaper.queue, data, link);
    s->stats.segments_deleted++;
}

void reaper_add_log(struct store *s, struct log *log, journal_seq after)
{
    struct removal *v = removal_new(after);

    v->log = log_ref(log);
    v->id = log->id;
    TAILQ_INSERT_TAIL(&s->reaper.renames, v, link);
}

void reaper_add_directory(struct store *s, const char *path)
{
    struct removal *v = removal_new(0);

    v->directory = true;
    snprintf(v->path, sizeof v->path, "%s", path);
    TAILQ_INSERT_TAIL(&s->reaper.queue, v, link);
}

bool reaper_holds(const struct store *s, const struct log_id *id)
{
    const struct removal *v;

    TAILQ_FOREACH (v, &s->reaper.renames, link)
        if (log_id_equal(&v->id, id))
            return true;
    return false;
}

/* ---- renaming -----------------------------------------------------------------------
 */

static void on_renamed(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, reaper.rename_op);
    struct reaper *r = &s->reaper;
    struct removal *v = TAILQ_FIRST(&r->renames);
    struct log *again;

    store_done(s);
    r->renaming = false;
    TAILQ_REMOVE(&r->renames, v, link);
    if (op->status == STATUS_OK) {
        s->logs_dir_unsynced = true;
        reaper_add_directory(s, r->rename_path2);
    } else if (op->status != STATUS_NOT_FOUND) { /* it never had a file */
        store_fail(s, op->status, "delete a log");
    }
    again = map_get(&s->logs, log_id_key(&v->id));
    removal_free(v);
    if (again != NULL)
        flush_queue(again);
    flush_run(s);
    reaper_run(s);
    cycle_advance(s);
}

static void rename_next(struct store *s)
{
    struct reaper *r = &s->reaper;
    struct removal *v = TAILQ_FIRST(&r->renames);

    /* A job may still be writing into the directory. */
    if (v == NULL || r->renaming || v->after > s->durable || v->log->flush != NULL)
        return;
    r->renaming = true;
    path_log(r->rename_path, &v->id);
    path_deleted(r->rename_path2, &v->id, ++r->serial);
    r->rename_op = (struct disk_op){.kind = DISK_RENAME,
                                    .path = r->rename_path,
                                    .path2 = r->rename_path2,
                                    .done = on_renamed};
    store_submit(s, &r->rename_op);
}

/* ---- removing -----------------------------------------------------------------------
 */

static void removal_over(struct store *s)
{
    struct reaper *r = &s->reaper;
    struct removal *v = TAILQ_FIRST(&r->queue);

    r->removing = false;
    TAILQ_REMOVE(&r->queue, v, link);
    removal_free(v);
    free(r->names);
    r->names = NULL;
    remove_next(s);
}

/* What cannot be removed stays until the next start. */
static void on_removed(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, reaper.op);

    store_done(s);
    removal_over(s);
}

static void on_entry_removed(struct disk_op *op);

static void remove_entry(struct store *s)
{
    struct reaper *r = &s->reaper;
    const struct removal *v = TAILQ_FIRST(&r->queue);
    bool last = r->name == NULL || *r->name == '\0';

    if (last)
        snprintf(r->path, sizeof r->path, "%s", v->path);
    else
        snprintf(r->path, sizeof r->path, "%s/%s", v->path, r->name);
    r->op = (struct disk_op){.kind = DISK_REMOVE,
                             .path = r->path,
                             .done = last ? on_removed : on_entry_removed};
    store_submit(s, &r->op);
}

static void on_entry_removed(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, reaper.op);

    store_done(s);
    s->reaper.name += strlen(s->reaper.name) + 1;
    remove_entry(s);
}

static void on_listed(struct disk_op *op)
{
    struct store *s = container_of(op, struct store, reaper.op);

    store_done(s);
    s->reaper.names = op->status == STATUS_OK ? op->names : NULL;
    s->reaper.name = s->reaper.names;
    remove_entry(s);
}

static void remove_next(struct store *s)
{
    struct reaper *r = &s->reaper;
    const struct removal *v = TAILQ_FIRST(&r->queue);

    if (v == NULL || r->removing || v->after > s->durable || s->failed)
        return;
    r->removing = true;
    if (!v->directory) {
        r->name = NULL;
        remove_entry(s);
        return;
    }
    r->op = (struct disk_op){.kind = DISK_LIST, .path = v->path, .done = on_listed};
    store_submit(s, &r->op);
}

void reaper_run(struct store *s)
{
    if (s->failed)
        return;
    rename_next(s);
    remove_next(s);
}
