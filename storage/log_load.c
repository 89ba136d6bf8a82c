/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a log. Recovery and the checkpoint tell exactly where it stands, so little is
 * read: the indexes, and what the active segment's index does not cover. Where the
 * checkpoint knows nothing of a log, its files tell: then every batch is read and
 * checked. Damage inside of a segment does not keep the log closed; who reads there is
 * told. */
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/scan.h"
#include "storage/store_inner.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_FILE_MAX = 64 * 1024 * 1024 };

struct load {
    struct log *log;
    struct disk *disk;
    struct segment *segment;
    bool epochs; /* learn them, and the producers, on the way */
};

static int by_base(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static enum status remove_file(struct disk *d, const char *path)
{
    struct disk_op op = {.kind = DISK_REMOVE, .path = path};
    enum status st = disk_call(d, &op);

    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status remove_segment(struct load *l, int64_t base)
{
    char path[PATH_BYTES];
    enum status st;

    path_index(path, &l->log->id, base);
    st = remove_file(l->disk, path);
    if (st)
        return st;
    path_segment(path, &l->log->id, base);
    return remove_file(l->disk, path);
}

/* The bases of the segment files, in order. */
static enum status list_segments(struct load *l, int64_t **out, size_t *count)
{
    char path[PATH_BYTES];
    struct disk_op op = {.kind = DISK_LIST, .path = path};
    size_t n = 0, capacity = 0;
    int64_t *bases = NULL, base;
    bool is_index;
    enum status st;

    path_log(path, &l->log->id);
    st = disk_call(l->disk, &op);
    if (st)
        return st;
    for (const char *name = op.names; *name != '\0'; name += strlen(name) + 1) {
        if (!path_parse_segment(name, &base, &is_index) || is_index)
            continue;
        if (n == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            bases = must_realloc(bases, capacity * sizeof *bases);
        }
        bases[n++] = base;
    }
    free(op.names);
    if (n > 1)
        qsort(bases, n, sizeof *bases, by_base);
    *out = bases;
    *count = n;
    return STATUS_OK;
}

static bool visit(void *ctx, uint64_t position, const struct batch *b)
{
    struct load *l = ctx;
    struct segment *s = l->segment;

    index_add(&s->index, (uint64_t)l->log->config.index_interval_bytes,
              (struct index_entry){(uint32_t)(b->base_offset - s->base),
                                   (uint32_t)position, s->max_timestamp});
    if (s->max_timestamp < b->max_timestamp)
        s->max_timestamp = b->max_timestamp;
    s->next = batch_next_offset(b);
    if (l->epochs) {
        epochs_note(&l->log->epochs, b->leader_epoch, b->base_offset);
        producers_record(&l->log->producers, b, -1);
    }
    return true;
}

/* Walk the segment's batches from the end of its index up to `limit`. `stopped` is where
 * the good ones end. */
static enum status scan_segment(struct load *l, uint64_t limit, uint64_t *stopped,
                                enum scan_end *end)
{
    struct segment *s = l->segment;
    struct index_entry from = index_last(&s->index);
    char path[PATH_BYTES];
    struct scan scan = {
        .disk = l->disk,
        .path = path,
        .position = from.position,
        .limit = limit,
        .base = s->base + from.offset,
        .checksums = l->epochs,
        .visit = visit,
        .ctx = l,
    };
    enum status st;

    path_segment(path, &s->id, s->base);
    s->max_timestamp = from.time_before;
    s->next = s->base + from.offset;
    st = scan_run(&scan, end);
    *stopped = scan.position;
    return st;
}

static enum status load_index(struct load *l, uint64_t position_max)
{
    struct segment *s = l->segment;
    char path[PATH_BYTES];
    uint8_t *data;
    size_t len;
    enum status st;

    path_index(path, &s->id, s->base);
    st = disk_read_all(l->disk, path, INDEX_FILE_MAX, &data, &len);
    if (st)
        return st == STATUS_NOT_FOUND || st == STATUS_TOO_MANY ? STATUS_OK : st;
    index_decode(&s->index, (struct bytes){data, len}, s->base,
                 (uint64_t)l->log->config.index_interval_bytes, position_max);
    free(data);
    /* Continue behind what is there only if all of it was good. */
    s->index_length = len - len % INDEX_ENTRY_BYTES;
    s->index_saved = index_last(&s->index).position;
    return STATUS_OK;
}

/* Fill in a segment of which `size` bytes count. */
static enum status load_segment(struct load *l, uint64_t size)
{
    struct segment *s = l->segment;
    char path[PATH_BYTES];
    struct disk_op stat = {.kind = DISK_STAT, .path = path};
    uint64_t stopped;
    enum scan_end end;
    enum status st;

    path_segment(path, &s->id, s->base);
    st = disk_call(l->disk, &stat);
    if (st == STATUS_NOT_FOUND && size == 0)
        return STATUS_OK;
    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_CORRUPT : st;
    s->exists = true;
    s->reserved = stat.length;
    if (size == LOG_UNKNOWN)
        size = stat.length;
    if (!l->epochs)
        st = load_index(l, size);
    if (st == STATUS_OK)
        st = scan_segment(l, size, &stopped, &end);
    if (st)
        return st;
    /* In the active segment of a log that nobody knows, the zeros are its end. */
    if (l->epochs && end == SCAN_ZEROS)
        size = stopped;
    if (l->epochs && end == SCAN_BAD)
        return STATUS_CORRUPT;
    s->size = s->flushed = s->written = size;
    return STATUS_OK;
}

/* Its files and nothing else: what lies outside of [first, last] was on its way out. */
static enum status load_known(struct load *l, const struct log_state *state,
                              const int64_t *bases, size_t count)
{
    struct log *log = l->log;
    struct segment *before = NULL;
    enum status st;

    for (size_t i = 0; i < count; i++) {
        if (bases[i] >= state->first && bases[i] < state->last) {
            l->segment = log_add_segment(log, bases[i]);
            st = load_segment(l, LOG_UNKNOWN);
        } else {
            st = bases[i] == state->last ? STATUS_OK : remove_segment(l, bases[i]);
        }
        if (st)
            return st;
    }
    l->segment = log_add_segment(log, state->last);
    st = load_segment(l, state->position);
    if (st)
        return st;
    l->segment->next = state->next;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (before != NULL)
            before->next = log->segments[i]->base;
        before = log->segments[i];
    }
    if (state->first != log->segments[0]->base)
        return STATUS_CORRUPT;
    log->start = state->start;
    log->end = state->next;
    return STATUS_OK;
}

static enum status load_unknown(struct load *l, const int64_t *bases, size_t count)
{
    struct log *log = l->log;

    l->epochs = true;
    for (size_t i = 0; i < count; i++) {
        enum status st;

        if (i > 0 && l->segment->next != bases[i])
            return STATUS_CORRUPT;
        l->segment = log_add_segment(log, bases[i]);
        st = load_segment(l, LOG_UNKNOWN);
        if (st)
            return st;
    }
    if (count == 0)
        log_add_segment(log, 0);
    log->start = log->segments[0]->base;
    log->end = log_active(log)->next;
    return STATUS_OK;
}

enum status log_load(struct log *log, struct disk *d, struct checkpoint_log *known)
{
    struct load l = {.log = log, .disk = d};
    int64_t *bases;
    size_t count;
    enum status st = list_segments(&l, &bases, &count);

    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_CORRUPT : st;
    if (known != NULL && !known->unread) {
        for (uint32_t i = 0; i < known->epochs.count; i++)
            epochs_note(&log->epochs, known->epochs.list[i].epoch,
                        known->epochs.list[i].offset);
        st = load_known(&l, &known->state, bases, count);
    } else {
        st = load_unknown(&l, bases, count);
    }
    free(bases);
    if (st)
        return st;
    if (!l.epochs) {
        log->producers = known->producers;
        known->producers = NULL;
    } else if (log->start > 0) {
        producers_begin_late(&log->producers);
    }
    if (log->start > log->end)
        log->start = log->end;
    log->flushing = log_active(log);
    log->durable = log->flushed = log->end;
    epochs_truncate(&log->epochs, log->end); /* it brought no record */
    log->tail_epoch = epochs_last(&log->epochs);
    log->has_dir = true;
    return STATUS_OK;
}
