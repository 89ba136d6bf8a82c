/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/scan.h"

#include "proto/base/check.h"

#include <stdlib.h>

enum { WINDOW = 1024 * 1024 };

struct window {
    disk_file file;
    uint8_t *data;
    size_t capacity;
    uint64_t at;
    size_t len;
};

/* Have `need` bytes from `position` on in memory; fewer if the file ends. */
static enum status load(struct scan *scan, struct window *w, size_t need)
{
    uint64_t at = scan->position & ~(uint64_t)(DISK_ALIGN - 1);
    size_t want = (size_t)(scan->position - at) + need;
    struct disk_op op = {.kind = DISK_READ, .file = w->file, .offset = at};
    struct iovec iov;
    enum status st;

    want = want < WINDOW ? WINDOW : (want + DISK_ALIGN - 1) & ~(size_t)(DISK_ALIGN - 1);
    if (want > w->capacity) {
        free(w->data);
        w->capacity = want;
        w->data = aligned_alloc(DISK_ALIGN, want);
        if (w->data == NULL) {
            w->capacity = 0;
            return STATUS_NO_MEMORY;
        }
    }
    iov = (struct iovec){w->data, want};
    op.iov = &iov;
    op.iov_count = 1;
    st = disk_call(scan->disk, &op);
    if (st)
        return st;
    w->at = at;
    w->len = op.bytes;
    return STATUS_OK;
}

static struct bytes view(const struct scan *scan, const struct window *w)
{
    uint64_t end = w->at + w->len;

    if (end > scan->limit)
        end = scan->limit;
    if (scan->position < w->at || scan->position >= end)
        return (struct bytes){0};
    return (struct bytes){w->data + (scan->position - w->at),
                          (size_t)(end - scan->position)};
}

static bool all_zeros(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.data[i] != 0)
            return false;
    return true;
}

static bool is_good(const struct scan *scan, struct bytes data, struct batch *b)
{
    return batch_parse(data, b) == STATUS_OK && b->base_offset >= scan->base &&
           b->last_offset_delta >= 0 && (!scan->checksums || batch_checksum_ok(b, data));
}

/* One step: SCAN_LIMIT means "go on" here. */
static enum status step(struct scan *scan, struct window *w, enum scan_end *end)
{
    struct bytes data = view(scan, w);
    struct batch b;
    int64_t size;

    *end = SCAN_LIMIT;
    if (data.len < BATCH_HEADER && scan->position + data.len < scan->limit) {
        enum status st = load(scan, w, BATCH_HEADER);

        if (st)
            return st;
        data = view(scan, w);
    }
    size = batch_size(data);
    if (size > 0 && (uint64_t)size <= scan->limit - scan->position &&
        (size_t)size > data.len) {
        enum status st = load(scan, w, (size_t)size);

        if (st)
            return st;
        data = view(scan, w);
    }
    if (!is_good(scan, data, &b)) {
        *end = all_zeros(data) ? SCAN_ZEROS : SCAN_BAD;
    } else if (!scan->visit(scan->ctx, scan->position, &b)) {
        *end = SCAN_STOP;
    } else {
        scan->base = batch_next_offset(&b);
        scan->position += b.size;
    }
    return STATUS_OK;
}

enum status scan_run(struct scan *scan, enum scan_end *end)
{
    struct disk_op open = {
        .kind = DISK_OPEN, .path = scan->path, .flags = DISK_READ_ONLY | DISK_DIRECT};
    struct disk_op close = {.kind = DISK_CLOSE};
    struct window w = {0};
    enum status st;

    *end = SCAN_LIMIT;
    if (scan->position >= scan->limit)
        return STATUS_OK;
    st = disk_call(scan->disk, &open);
    if (st)
        return st;
    w.file = open.file;
    while (st == STATUS_OK && *end == SCAN_LIMIT && scan->position < scan->limit)
        st = step(scan, &w, end);
    free(w.data);
    close.file = w.file;
    if (disk_call(scan->disk, &close) != STATUS_OK && st == STATUS_OK)
        st = STATUS_IO;
    return st;
}
