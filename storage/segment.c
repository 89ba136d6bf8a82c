/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/segment.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct segment_opening {
    struct segment *segment;
    TAILQ_HEAD(, segment_wait) waits;
    struct disk_op op;
    char path[PATH_BYTES];
};

struct closing {
    struct files *files;
    struct disk_op op;
};

void files_init(struct files *f, struct disk *d)
{
    *f = (struct files){.disk = d};
    TAILQ_INIT(&f->resting);
}

struct segment *segment_new(struct files *f, const struct log_id *id, int64_t base)
{
    struct segment *s = must_zalloc(sizeof *s);

    s->files = f;
    s->id = *id;
    s->base = base;
    s->next = base;
    s->max_timestamp = -1;
    s->begun_ms = -1;
    s->hint_offset = -1;
    s->file = DISK_NO_FILE;
    s->refs = 1;
    index_init(&s->index);
    return s;
}

struct segment *segment_ref(struct segment *s)
{
    s->refs++;
    return s;
}

static void forget_tail(struct segment *s)
{
    free(s->tail);
    s->tail = NULL;
}

static void on_closed(struct disk_op *op)
{
    struct closing *c = container_of(op, struct closing, op);

    c->files->under_way--;
    free(c);
}

/* What a close reports was reported by a write or sync before. */
static void close_file(struct segment *s)
{
    struct closing *c = must_zalloc(sizeof *c);

    CHECK(s->users == 0);
    TAILQ_REMOVE(&s->files->resting, s, link);
    s->files->open--;
    s->files->under_way++;
    c->files = s->files;
    c->op = (struct disk_op){.kind = DISK_CLOSE, .file = s->file, .done = on_closed};
    s->file = DISK_NO_FILE;
    forget_tail(s);
    disk_submit(s->files->disk, &c->op);
}

void files_close(struct files *f)
{
    while (!TAILQ_EMPTY(&f->resting))
        close_file(TAILQ_FIRST(&f->resting));
}

void segment_unref(struct segment *s)
{
    CHECK(s->refs > 0);
    if (--s->refs > 0)
        return;
    CHECK(s->users == 0);
    CHECK(s->opening == NULL);
    if (s->file != DISK_NO_FILE)
        close_file(s);
    forget_tail(s);
    index_release(&s->index);
    free(s);
}

static void on_opened(struct disk_op *op)
{
    struct segment_opening *o = container_of(op, struct segment_opening, op);
    struct segment *s = o->segment;
    struct segment_wait *w;

    s->files->under_way--;
    s->opening = NULL;
    if (op->status == STATUS_OK) {
        s->file = op->file;
        s->direct = op->direct;
        s->exists = true;
        s->files->open++;
        TAILQ_FOREACH (w, &o->waits, link)
            s->users++;
    }
    while ((w = TAILQ_FIRST(&o->waits)) != NULL) {
        TAILQ_REMOVE(&o->waits, w, link);
        w->ready(w, op->status);
    }
    segment_unref(s);
    free(o);
}

static void open_file(struct segment *s)
{
    struct segment_opening *o = must_zalloc(sizeof *o);

    if (s->files->open >= FILES_OPEN_MAX && !TAILQ_EMPTY(&s->files->resting))
        close_file(TAILQ_FIRST(&s->files->resting));
    o->segment = segment_ref(s);
    TAILQ_INIT(&o->waits);
    path_segment(o->path, &s->id, s->base);
    o->op = (struct disk_op){
        .kind = DISK_OPEN,
        .flags = DISK_DIRECT | (s->exists ? 0u : (unsigned)DISK_CREATE),
        .path = o->path,
        .done = on_opened,
    };
    s->opening = o;
    s->files->under_way++;
    disk_submit(s->files->disk, &o->op);
}

void segment_use(struct segment *s, struct segment_wait *w)
{
    if (s->file != DISK_NO_FILE) {
        if (s->users++ == 0)
            TAILQ_REMOVE(&s->files->resting, s, link);
        w->ready(w, STATUS_OK);
        return;
    }
    if (s->opening == NULL)
        open_file(s);
    TAILQ_INSERT_TAIL(&s->opening->waits, w, link);
}

void segment_leave(struct segment *s)
{
    CHECK(s->users > 0);
    if (--s->users > 0)
        return;
    TAILQ_INSERT_TAIL(&s->files->resting, s, link);
    if (s->dropped || s->files->open > FILES_OPEN_MAX)
        close_file(s);
}

void segment_cut(struct segment *s, int64_t next, uint64_t position)
{
    CHECK(next >= s->base);
    s->next = next;
    s->size = position;
    if (s->flushed > position)
        s->flushed = position;
    index_cut(&s->index, (uint64_t)(next - s->base));
    s->hint_offset = -1;
    if (s->tail_at > position)
        forget_tail(s);
}

void segment_keep_tail(struct segment *s, uint64_t position, const uint8_t *bytes)
{
    size_t len = position % DISK_ALIGN;

    if (len == 0) {
        forget_tail(s);
        return;
    }
    if (s->tail == NULL)
        s->tail = must_alloc(DISK_ALIGN);
    memcpy(s->tail, bytes, len);
    s->tail_at = position;
}

bool segment_has_tail(const struct segment *s, uint64_t position)
{
    return position % DISK_ALIGN == 0 || (s->tail != NULL && s->tail_at == position);
}

struct bytes segment_index_news(struct segment *s, struct writer *w)
{
    size_t before = w->len;
    uint8_t entry[INDEX_ENTRY_BYTES];

    for (uint32_t i = 0; i < s->index.count; i++) {
        const struct index_entry *e = &s->index.entries[i];

        if (e->position < s->index_saved || e->position >= s->flushed)
            continue;
        index_entry_encode(entry, s->base, *e);
        write_bytes(w, entry, sizeof entry);
    }
    if (s->flushed == s->size && s->flushed > s->index_saved && s->next > s->base) {
        index_entry_encode(entry, s->base,
                           (struct index_entry){(uint32_t)(s->next - s->base),
                                                (uint32_t)s->size, s->max_timestamp});
        write_bytes(w, entry, sizeof entry);
    }
    return (struct bytes){w->data + before, w->len - before};
}
