/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/journal_files.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRIDE = 1024 * 1024, PATH_ROOM = JOURNAL_NAME + 2 };

/* What all journals are pre-written with. Nobody writes here, so it takes no memory. */
static _Alignas(DISK_ALIGN) uint8_t zeros[STRIDE];

static void take_step(struct journal_files *f, enum journal_step step, disk_file dir);

static void path_of(const struct journal_files *f, uint32_t number, char *path)
{
    char name[JOURNAL_NAME];

    journal_name_write(number, name);
    snprintf(path, strlen(f->dir) + PATH_ROOM, "%s/%s", f->dir, name);
}

static void *aligned(size_t size)
{
    void *p = NULL;

    CHECK(posix_memalign(&p, DISK_ALIGN, size) == 0);
    memset(p, 0, size);
    return p;
}

/* ---- opening -------------------------------------------------------------------------
 */

/* In the order of generations, so that the oldest is used again first. */
static void insert(struct journal_files *f, struct journal_file *file)
{
    struct journal_file *at;

    TAILQ_FOREACH (at, &f->list, link)
        if (at->generation > file->generation) {
            TAILQ_INSERT_BEFORE(at, file, link);
            return;
        }
    TAILQ_INSERT_TAIL(&f->list, file, link);
}

/* A file whose header was damaged keeps its groups: nothing new may take their
 * generation.
 */
static enum status read_generation(struct journal_files *f, disk_file file)
{
    struct iovec iov = {f->block, DISK_ALIGN};
    struct disk_op op = {.kind = DISK_READ,
                         .file = file,
                         .offset = JOURNAL_HEADER,
                         .iov = &iov,
                         .iov_count = 1};
    struct journal_group_header h;
    enum status st = disk_call(f->disk, &op);

    if (st == STATUS_OK && op.bytes == DISK_ALIGN &&
        journal_group_header_read(f->block, UINT32_MAX, &h) &&
        h.generation > f->generation)
        f->generation = h.generation;
    return st;
}

static enum status read_header(struct journal_files *f, struct journal_file *file)
{
    struct iovec iov = {f->block, JOURNAL_HEADER};
    struct disk_op op = {
        .kind = DISK_READ, .file = file->file, .iov = &iov, .iov_count = 1};
    struct journal_file_header h;
    enum status st = disk_call(f->disk, &op);

    if (st)
        return st;
    /* A file without a header was being made when the power went: all of it is to be done
     * again, its name's sync as well. */
    if (op.bytes != JOURNAL_HEADER || !journal_file_header_read(f->block, &h))
        return read_generation(f, file->file);
    file->generation = h.generation;
    if (h.epoch > f->epoch)
        f->epoch = h.epoch;
    if (h.generation > f->generation)
        f->generation = h.generation;
    return STATUS_OK;
}

static enum status open_one(struct journal_files *f, const char *name)
{
    struct disk_op stat = {.kind = DISK_STAT},
                   open = {.kind = DISK_OPEN, .flags = DISK_DIRECT};
    struct journal_file *file;
    uint32_t number;
    enum status st;

    if (!journal_name_parse(name, &number))
        return STATUS_OK;
    path_of(f, number, f->path);
    stat.path = open.path = f->path;
    st = disk_call(f->disk, &stat);
    if (st == STATUS_OK)
        st = disk_call(f->disk, &open);
    if (st)
        return st;
    file = must_zalloc(sizeof *file);
    file->file = open.file;
    file->number = number;
    /* A file of another size (an earlier setting, or cut off while it was made) may have
     * blocks that were never written. */
    file->written = stat.length == f->file_bytes ? f->file_bytes : JOURNAL_HEADER;
    st = read_header(f, file);
    insert(f, file);
    f->count++;
    if (number >= f->next_number)
        f->next_number = number + 1;
    if (st == STATUS_OK && stat.length != f->file_bytes) {
        struct disk_op op = {
            .kind = DISK_ALLOCATE, .file = file->file, .length = f->file_bytes};

        st = disk_call(f->disk, &op);
    }
    return st;
}

static enum status open_all(struct journal_files *f)
{
    struct disk_op make = {.kind = DISK_MAKE_DIR, .path = f->dir};
    struct disk_op list = {.kind = DISK_LIST, .path = f->dir};
    enum status st = disk_call(f->disk, &make);

    if (st != STATUS_OK && st != STATUS_EXISTS)
        return st;
    st = disk_call(f->disk, &list);
    if (st)
        return st;
    /* The first file is made after the directory's name is on disk: there is none yet, so
     * perhaps it is not. */
    if (list.names[0] == '\0')
        st = disk_sync_dir(f->disk, ".");
    for (const char *name = list.names; *name != '\0' && st == STATUS_OK;
         name += strlen(name) + 1)
        st = open_one(f, name);
    free(list.names);
    return st;
}

static struct journal_file *first_free(const struct journal_files *f)
{
    struct journal_file *file;

    TAILQ_FOREACH (file, &f->list, link)
        if (file->state == JOURNAL_FILE_FREE)
            return file;
    return NULL;
}

static void start_preparing(struct journal_files *f)
{
    struct journal_file *file = first_free(f);
    enum journal_step step = STEP_HEADER;

    if (file == NULL) {
        file = must_zalloc(sizeof *file);
        file->file = DISK_NO_FILE;
        file->number = f->next_number++;
        file->written = JOURNAL_HEADER;
        f->count++;
        step = STEP_OPEN;
    } else {
        TAILQ_REMOVE(&f->list, file, link);
    }
    file->state = JOURNAL_FILE_PREPARING;
    file->generation = ++f->generation;
    file->position = JOURNAL_HEADER;
    file->last = 0;
    f->preparing = file;
    TAILQ_INSERT_TAIL(&f->list, file, link);
    take_step(f, step, DISK_NO_FILE);
}

static struct journal_file *wait_until_ready(struct journal_files *f)
{
    struct journal_file *file;

    start_preparing(f);
    file = f->preparing;
    while (f->preparing != NULL)
        disk_poll(f->disk, true);
    return f->failed_to_grow ? NULL : file;
}

enum status journal_files_open(struct journal_files *f, struct disk *d, const char *dir,
                               uint64_t file_bytes, unsigned count_max, bool activate)
{
    enum status st;

    CHECK(file_bytes % STRIDE == 0);
    /* With less, all could be released and there would still be no room for a turn. */
    CHECK(count_max >= 3);
    *f = (struct journal_files){
        .disk = d, .file_bytes = file_bytes, .count_max = count_max};
    TAILQ_INIT(&f->list);
    f->dir = must_text(dir);
    f->block = aligned(JOURNAL_HEADER);
    f->path = must_alloc(strlen(dir) + PATH_ROOM);
    st = open_all(f);
    if (st == STATUS_OK && (activate || f->count > 0)) {
        /* One durable header of a new epoch makes all that was before it void. */
        f->epoch++;
        f->active = wait_until_ready(f);
        if (f->active == NULL)
            st = STATUS_NO_SPACE;
        else
            f->active->state = JOURNAL_FILE_ACTIVE;
    }
    if (st)
        journal_files_close(f);
    return st;
}

void journal_files_close(struct journal_files *f)
{
    struct journal_file *file;

    while (f->preparing != NULL || f->zeroing != NULL)
        disk_poll(f->disk, true);
    while ((file = TAILQ_FIRST(&f->list)) != NULL) {
        struct disk_op op = {.kind = DISK_CLOSE, .file = file->file};

        TAILQ_REMOVE(&f->list, file, link);
        /* Nothing hangs on it: all that counts was written durably. */
        if (file->file != DISK_NO_FILE && disk_call(f->disk, &op) != STATUS_OK)
            f->failed_to_grow = true;
        free(file);
    }
    free(f->dir);
    free(f->block);
    free(f->path);
}

/* ---- preparing -----------------------------------------------------------------------
 */

static void prepare_done(struct journal_files *f, bool ready)
{
    struct journal_file *file = f->preparing;
    bool opened = file->file != DISK_NO_FILE;

    f->preparing = NULL;
    f->failed_to_grow = !ready;
    if (ready) {
        file->state = JOURNAL_FILE_READY;
        file->settled = true;
    } else if (opened) {
        file->state = JOURNAL_FILE_FREE;
    } else {
        TAILQ_REMOVE(&f->list, file, link);
        f->count--;
        free(file);
    }
}

static void fill_header_block(struct journal_files *f)
{
    journal_file_header_write(
        f->block,
        &(struct journal_file_header){f->epoch, f->preparing->generation, f->released});
    f->block_iov = (struct iovec){f->block, JOURNAL_HEADER};
}

/* The operation of the step that comes now. */
static struct disk_op step_op(struct journal_files *f, disk_file dir)
{
    disk_file file = f->preparing->file;

    switch (f->step) {
    case STEP_OPEN:
        path_of(f, f->preparing->number, f->path);
        return (struct disk_op){
            .kind = DISK_OPEN, .path = f->path, .flags = DISK_CREATE | DISK_DIRECT};
    case STEP_ALLOCATE:
        return (struct disk_op){
            .kind = DISK_ALLOCATE, .file = file, .length = f->file_bytes};
    case STEP_HEADER:
        fill_header_block(f);
        return (struct disk_op){.kind = DISK_WRITE,
                                .file = file,
                                .iov = &f->block_iov,
                                .iov_count = 1,
                                .sync = true};
    case STEP_SYNC: return (struct disk_op){.kind = DISK_SYNC, .file = file};
    case STEP_DIR:
        return (struct disk_op){
            .kind = DISK_OPEN, .path = f->dir, .flags = DISK_DIRECTORY};
    case STEP_DIR_SYNC: return (struct disk_op){.kind = DISK_SYNC, .file = dir};
    case STEP_DIR_CLOSE: return (struct disk_op){.kind = DISK_CLOSE, .file = dir};
    }
    CHECK(false);
    return (struct disk_op){0};
}

/* Once the header stands, a file that this process has used before is ready. Of any other
 * the size and the name must come to the disk first: that they are seen says nothing, the
 * process that made it may have been killed in the middle. */
static void prepare_next(struct disk_op *op)
{
    struct journal_files *f = container_of(op, struct journal_files, prepare_op);
    disk_file dir = op->file;

    if (op->status) {
        prepare_done(f, false);
        return;
    }
    if (op->kind == DISK_OPEN && f->step == STEP_OPEN)
        f->preparing->file = op->file;
    if ((f->step == STEP_HEADER && f->preparing->settled) || f->step == STEP_DIR_CLOSE) {
        prepare_done(f, true);
        return;
    }
    take_step(f, f->step + 1, dir);
}

static void take_step(struct journal_files *f, enum journal_step step, disk_file dir)
{
    f->step = step;
    f->prepare_op = step_op(f, dir);
    f->prepare_op.done = prepare_next;
    disk_submit(f->disk, &f->prepare_op);
}

/* ---- pre-writing ---------------------------------------------------------------------
 */

static void zeros_done(struct disk_op *op)
{
    struct journal_files *f = container_of(op, struct journal_files, zero_op);
    struct journal_file *file = f->zeroing;

    f->zeroing = NULL;
    if (op->status == STATUS_OK && file->written < f->zero_from + STRIDE)
        file->written = f->zero_from + STRIDE;
}

/* One stride ahead of what is written in the active file, or else in the ready one. */
static void pre_write(struct journal_files *f)
{
    struct journal_file *file = f->active;

    if (f->zeroing != NULL)
        return;
    if (file->written < file->position)
        file->written = file->position;
    if (file->written >= f->file_bytes) {
        file = TAILQ_LAST(&f->list, journal_file_list);
        if (file->state != JOURNAL_FILE_READY || file->written >= f->file_bytes)
            return;
    }
    f->zeroing = file;
    f->zero_from = file->written;
    f->zero_iov = (struct iovec){zeros, STRIDE};
    if (f->zero_from + STRIDE > f->file_bytes)
        f->zero_iov.iov_len = f->file_bytes - f->zero_from;
    f->zero_op = (struct disk_op){.kind = DISK_WRITE,
                                  .file = file->file,
                                  .offset = f->zero_from,
                                  .iov = &f->zero_iov,
                                  .iov_count = 1,
                                  .done = zeros_done};
    disk_submit(f->disk, &f->zero_op);
}

bool journal_files_clear(const struct journal_files *f, const struct journal_file *file,
                         uint64_t from, uint64_t bytes)
{
    return f->zeroing != file || from + bytes <= f->zero_from ||
           from >= f->zero_from + STRIDE;
}

/* ---- use -----------------------------------------------------------------------------
 */

static struct journal_file *ready_file(const struct journal_files *f)
{
    struct journal_file *last = TAILQ_LAST(&f->list, journal_file_list);

    return last->state == JOURNAL_FILE_READY ? last : NULL;
}

void journal_files_work(struct journal_files *f)
{
    bool can_grow = f->count < f->count_max && !f->failed_to_grow;

    if (f->preparing == NULL && ready_file(f) == NULL &&
        (can_grow || first_free(f) != NULL))
        start_preparing(f);
    pre_write(f);
}

bool journal_files_are_full(const struct journal_files *f, uint64_t bytes)
{
    return f->active->position + bytes > f->file_bytes && f->preparing == NULL &&
           ready_file(f) == NULL && first_free(f) == NULL &&
           (f->count >= f->count_max || f->failed_to_grow);
}

void journal_files_exceed(struct journal_files *f)
{
    if (!f->failed_to_grow)
        start_preparing(f);
}

struct journal_file *journal_files_for(struct journal_files *f, uint64_t bytes)
{
    struct journal_file *ready;

    if (f->active->position + bytes <= f->file_bytes)
        return f->active;
    ready = ready_file(f);
    if (ready == NULL) {
        journal_files_work(f);
        return NULL;
    }
    f->active->state = JOURNAL_FILE_FULL;
    ready->state = JOURNAL_FILE_ACTIVE;
    f->active = ready;
    return ready;
}

void journal_files_retry(struct journal_files *f)
{
    f->failed_to_grow = false;
}

void journal_files_release(struct journal_files *f, journal_seq oldest)
{
    struct journal_file *file;

    f->released = oldest;
    TAILQ_FOREACH (file, &f->list, link)
        if (file->state == JOURNAL_FILE_FULL && file->last < oldest) {
            file->state = JOURNAL_FILE_FREE;
            f->failed_to_grow = false;
        }
}

uint64_t journal_files_room(const struct journal_files *f)
{
    uint64_t room = f->file_bytes - f->active->position;
    struct journal_file *file;

    TAILQ_FOREACH (file, &f->list, link)
        if (file->state == JOURNAL_FILE_FREE || file->state == JOURNAL_FILE_READY ||
            file->state == JOURNAL_FILE_PREPARING)
            room += f->file_bytes - JOURNAL_HEADER;
    if (!f->failed_to_grow && f->count < f->count_max)
        room += (f->count_max - f->count) * (f->file_bytes - JOURNAL_HEADER);
    return room;
}

unsigned journal_files_used(const struct journal_files *f)
{
    struct journal_file *file;
    unsigned used = 0;

    TAILQ_FOREACH (file, &f->list, link)
        used += file->state == JOURNAL_FILE_FULL || file->state == JOURNAL_FILE_ACTIVE;
    return used;
}

journal_seq journal_files_oldest_full(const struct journal_files *f)
{
    struct journal_file *file;

    TAILQ_FOREACH (file, &f->list, link)
        if (file->state == JOURNAL_FILE_FULL)
            return file->last;
    return 0;
}
