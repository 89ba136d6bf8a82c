/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a journal back: from its oldest group to the first place at which no valid
 * group stands. Whether that place is the end, a torn write, or damage to what was
 * durable, the groups behind it tell: one that was written when the bad place was known
 * to be durable proves damage. A file header is smaller than a sector, so writing it is
 * never torn: groups in a file without one prove damage, too, unless all of them had been
 * released. */
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/journal_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GLANCE = 64 * 1024, WINDOW = 4 * 1024 * 1024, FILES_MAX = 4096 };

struct replay_file {
    disk_file file;
    uint64_t length;
    struct journal_file_header header;
};

struct replay {
    struct disk *disk;
    const char *dir;
    struct replay_file *files; /* of the newest epoch, by generation */
    size_t count;
    journal_seq released;
    uint64_t headless; /* newest generation found in a file without a header; 0: none */
    /* A piece of one file in memory. */
    const struct replay_file *window_of;
    uint8_t *window;
    uint64_t window_at;
    size_t window_len, window_capacity;
    /* What the next group must be. */
    journal_seq expected;
    uint32_t chain;
    char *why;
};

static enum status corrupt(struct replay *r, const char *what,
                           const struct replay_file *f, uint64_t position)
{
    snprintf(
        r->why, 256,
        "%s: generation %llu at byte %llu: %s; the records there were durable. Restore "
        "the file, or the data directory from a copy",
        r->dir, (unsigned long long)f->header.generation, (unsigned long long)position,
        what);
    return STATUS_CORRUPT;
}

/* Have `len` bytes of `f` at `at` (a multiple of DISK_ALIGN) in memory. Fewer stay when
 * the file is shorter: the rest counts as zeros. */
static enum status load(struct replay *r, const struct replay_file *f, uint64_t at,
                        size_t len, const uint8_t **out)
{
    /* A file's beginning is often all that is asked for, and never more than it has. */
    const uint64_t left = at < f->length ? f->length - at : 0;
    size_t want = r->window_of == f ? WINDOW : GLANCE;
    struct iovec iov;
    struct disk_op op;
    enum status st;

    if (r->window_of == f && at >= r->window_at &&
        at + len <= r->window_at + r->window_len) {
        *out = r->window + (at - r->window_at);
        return STATUS_OK;
    }
    want = want < left ? want : (size_t)left;
    want = (size_t)journal_padded(len > want ? len : want);
    if (want > r->window_capacity) {
        void *memory = NULL;

        CHECK(posix_memalign(&memory, DISK_ALIGN, want) == 0);
        free(r->window);
        r->window = memory;
        r->window_capacity = want;
    }
    iov = (struct iovec){r->window, want};
    op = (struct disk_op){
        .kind = DISK_READ, .file = f->file, .offset = at, .iov = &iov, .iov_count = 1};
    r->window_of = NULL;
    st = disk_call(r->disk, &op);
    if (st)
        return st;
    memset(r->window + op.bytes, 0, want - op.bytes);
    r->window_of = f;
    r->window_at = at;
    r->window_len = want;
    *out = r->window;
    return STATUS_OK;
}

/* The group at a place, if a whole and valid one of this generation (0: any) stands
 * there:
 * `*group` is NULL otherwise. */
static enum status any_group_at(struct replay *r, const struct replay_file *f,
                                uint64_t generation, uint64_t at, const uint8_t **group,
                                struct journal_group_header *h)
{
    const uint8_t *p;
    enum status st;

    *group = NULL;
    if (at + JOURNAL_GROUP_HEADER > f->length)
        return STATUS_OK;
    st = load(r, f, at, DISK_ALIGN, &p);
    if (st || !journal_group_header_read(p, f->length - at, h) ||
        (generation != 0 && h->generation != generation))
        return st;
    st = load(r, f, at, h->length, &p);
    if (st == STATUS_OK && journal_group_checks(p, h))
        *group = p;
    return st;
}

static enum status group_at(struct replay *r, const struct replay_file *f, uint64_t at,
                            const uint8_t **group, struct journal_group_header *h)
{
    return any_group_at(r, f, f->header.generation, at, group, h);
}

/* Does any group from `at` on show that `expected` had been durable? */
static enum status look_for_evidence(struct replay *r, const struct replay_file *f,
                                     uint64_t at, bool *found)
{
    struct journal_group_header h;
    const uint8_t *group;

    *found = false;
    for (; f < r->files + r->count; f++, at = JOURNAL_HEADER)
        for (; at < f->length; at += DISK_ALIGN) {
            enum status st = group_at(r, f, at, &group, &h);

            if (st)
                return st;
            if (group != NULL && h.durable >= r->expected) {
                *found = true;
                return STATUS_OK;
            }
        }
    return STATUS_OK;
}

static enum status hand_over(struct replay *r, const uint8_t *group,
                             const struct journal_group_header *h,
                             enum status (*frame)(void *, const struct journal_frame *),
                             void *ctx, struct journal_replay_result *out)
{
    struct bytes frames = {group + JOURNAL_GROUP_HEADER,
                           h->length - JOURNAL_GROUP_HEADER};
    struct journal_frame f;

    out->groups++;
    for (uint32_t n = 0; n < h->frames; n++) {
        enum status st = journal_frame_read(&frames, &f);

        if (st) {
            snprintf(r->why, 256, "%s: group %llu does not hold what its header says",
                     r->dir, (unsigned long long)h->sequence);
            return st;
        }
        st = frame(ctx, &f);
        if (st)
            return st;
        out->frames++;
        out->bytes += f.payload.len;
    }
    return STATUS_OK;
}

/* The next group in order: further on in `*f`, or at the beginning of a later file; files
 * that were made ready and never written to may lie in between. NULL when there is none.
 */
static enum status next_group(struct replay *r, const struct replay_file **f,
                              uint64_t *at, const uint8_t **group,
                              struct journal_group_header *h)
{
    const struct replay_file *file = *f;
    uint64_t place = *at;

    for (; file < r->files + r->count; file++, place = JOURNAL_HEADER) {
        enum status st = group_at(r, file, place, group, h);

        if (st)
            return st;
        if (*group == NULL || h->sequence != r->expected || h->previous != r->chain)
            continue;
        *f = file;
        *at = place;
        return STATUS_OK;
    }
    *group = NULL;
    return STATUS_OK;
}

/* A file without a header matters, unless a newer file begins with a group at or before
 * the oldest one that was not released. */
static enum status judge_headless(struct replay *r)
{
    struct replay_file lost = {.header.generation = r->headless};
    struct journal_group_header h;
    const uint8_t *group;

    if (r->headless == 0)
        return STATUS_OK;
    for (const struct replay_file *f = r->files; f < r->files + r->count; f++) {
        enum status st = group_at(r, f, JOURNAL_HEADER, &group, &h);

        if (st || (group != NULL && f->header.generation > r->headless &&
                   h.sequence <= r->released))
            return st;
    }
    return corrupt(r, "the file's header is damaged", &lost, 0);
}

/* Where to begin: in the newest file whose first group does not lie behind the oldest one
 * that counts. What is older was released, and may have gaps where files are in use
 * again.
 */
static enum status begin(struct replay *r, const struct replay_file **f)
{
    struct journal_group_header h;
    const uint8_t *group;

    r->expected = 1;
    *f = r->files;
    for (size_t i = r->count; i > 0; i--) {
        enum status st = group_at(r, &r->files[i - 1], JOURNAL_HEADER, &group, &h);

        if (st)
            return st;
        if (group == NULL)
            continue;
        *f = &r->files[i - 1];
        r->expected = h.sequence;
        r->chain = h.previous;
        if (h.sequence <= r->released)
            return STATUS_OK;
    }
    return STATUS_OK;
}

static enum status replay_files(struct replay *r,
                                enum status (*frame)(void *,
                                                     const struct journal_frame *),
                                void *ctx, struct journal_replay_result *out)
{
    const struct replay_file *f;
    uint64_t at = JOURNAL_HEADER;
    struct journal_group_header h;
    const uint8_t *group;
    enum status st = begin(r, &f);
    bool found;

    if (st)
        return st;
    if (r->expected > r->released)
        return corrupt(r, "the journal does not begin where it should", r->files, at);
    while ((st = next_group(r, &f, &at, &group, &h)) == STATUS_OK && group != NULL) {
        if (h.sequence >= r->released)
            st = hand_over(r, group, &h, frame, ctx, out);
        if (st)
            return st;
        r->expected = h.sequence + 1;
        r->chain = h.crc;
        at += journal_padded(h.length);
    }
    if (st == STATUS_OK)
        st = look_for_evidence(r, f, at, &found);
    if (st)
        return st;
    if (at < f->length && st == STATUS_OK)
        MARK("journal ends before its file does");
    if (found && !PLANT(13)) {
        MARK("journal is damaged below what was durable");
        return corrupt(r, "a group is damaged", f, at);
    }
    /* Anything but zeros or old groups at the end was on its way when the power went. */
    st = load(r, f, at < f->length ? at : JOURNAL_HEADER, DISK_ALIGN, &group);
    if (st == STATUS_OK && at < f->length)
        out->torn = journal_group_header_read(group, f->length - at, &h) &&
                    h.generation == f->header.generation;
    if (out->torn)
        MARK("journal with a torn tail");
    return st;
}

static int by_generation(const void *left, const void *right)
{
    const struct replay_file *a = left, *b = right;

    return (a->header.generation > b->header.generation) -
           (a->header.generation < b->header.generation);
}

/* Remember the generation of the first group in a file that has lost its header. A file
 * that never had one holds none. */
static enum status look_for_groups(struct replay *r, const struct replay_file *f)
{
    struct journal_group_header h;
    const uint8_t *group = NULL;
    enum status st = STATUS_OK;

    for (uint64_t at = JOURNAL_HEADER; at < f->length && st == STATUS_OK && group == NULL;
         at += DISK_ALIGN)
        st = any_group_at(r, f, 0, at, &group, &h);
    if (st == STATUS_OK && group != NULL && h.generation > r->headless)
        r->headless = h.generation;
    return st;
}

static enum status judge_header(struct replay *r, struct replay_file *f, bool *whole)
{
    const uint8_t *block;
    enum status st = load(r, f, 0, JOURNAL_HEADER, &block);
    uint32_t version;

    if (st)
        return st;
    *whole = journal_file_header_read(block, &f->header);
    version = journal_file_header_version(block);
    if (version > JOURNAL_VERSION) {
        snprintf(
            r->why, 256,
            "%s: a file says that it has format version %u, and this Leat reads up to "
            "%d: use the version that wrote it",
            r->dir, version, JOURNAL_VERSION);
        return STATUS_UNSUPPORTED_VERSION;
    }
    return *whole ? STATUS_OK : look_for_groups(r, f);
}

static void close_file(struct replay *r, disk_file file)
{
    struct disk_op op = {.kind = DISK_CLOSE, .file = file};

    /* It was only read from. */
    if (disk_call(r->disk, &op) != STATUS_OK)
        return;
}

static enum status open_file(struct replay *r, const char *name, struct replay_file *out,
                             bool *whole)
{
    struct writer path = writer_growing();
    struct disk_op stat = {.kind = DISK_STAT};
    struct disk_op open = {.kind = DISK_OPEN, .flags = DISK_READ_ONLY | DISK_DIRECT};
    enum status st;

    write_format(&path, "%s/%s", r->dir, name);
    write_u8(&path, 0);
    CHECK(writer_status(&path) == STATUS_OK);
    stat.path = open.path = (const char *)path.data;
    st = disk_call(r->disk, &stat);
    if (st == STATUS_OK)
        st = disk_call(r->disk, &open);
    writer_release(&path);
    if (st)
        return st;
    *out = (struct replay_file){.file = open.file, .length = stat.length};
    st = judge_header(r, out, whole);
    r->window_of = NULL; /* `out` is about to move */
    if (st)
        close_file(r, out->file);
    return st;
}

/* Open the files of the newest epoch; those of older ones, and those that never got a
 * header, hold nothing that counts. */
static enum status open_files(struct replay *r, const char *names)
{
    uint64_t epoch = 0;
    enum status st = STATUS_OK;
    uint32_t number;

    for (; *names != '\0' && st == STATUS_OK; names += strlen(names) + 1) {
        struct replay_file file;
        bool whole;

        if (!journal_name_parse(names, &number))
            continue;
        if (r->count == FILES_MAX)
            return STATUS_TOO_MANY;
        st = open_file(r, names, &file, &whole);
        if (st)
            break;
        if (!whole || file.header.epoch < epoch) {
            close_file(r, file.file);
            continue;
        }
        if (file.header.epoch > epoch)
            while (r->count > 0)
                close_file(r, r->files[--r->count].file);
        epoch = file.header.epoch;
        r->files[r->count++] = file;
        if (file.header.released > r->released || r->count == 1)
            r->released = file.header.released;
        if (r->released == 0)
            r->released = 1;
    }
    qsort(r->files, r->count, sizeof *r->files, by_generation);
    return st;
}

enum status journal_replay(struct disk *d, const char *dir,
                           enum status (*frame)(void *ctx,
                                                const struct journal_frame *frame),
                           void *ctx, struct journal_replay_result *out,
                           char why[static 256])
{
    struct replay r = {.disk = d, .dir = dir, .why = why};
    struct disk_op list = {.kind = DISK_LIST, .path = dir};
    enum status st = disk_call(d, &list);

    *out = (struct journal_replay_result){0};
    why[0] = '\0';
    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    r.files = must_alloc(FILES_MAX * sizeof *r.files);
    st = open_files(&r, list.names);
    if (st == STATUS_OK)
        st = judge_headless(&r);
    if (st == STATUS_OK && r.count > 0)
        st = replay_files(&r, frame, ctx, out);
    while (r.count > 0)
        close_file(&r, r.files[--r.count].file);
    free(list.names);
    free(r.files);
    free(r.window);
    return st;
}
