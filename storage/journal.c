/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/journal.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/hot_buffer.h"
#include "storage/journal_files.h"

#include <stdlib.h>
#include <string.h>

/* What one write may carry: beyond this the disk gives no more for a longer wait. */
enum { WRITE_BYTES_MAX = 4 * JOURNAL_BUFFER };

/* A group that is gathering, waits to be written, or is being written. */
struct group {
    struct hot_buffer *buffer; /* with a reference */
    size_t at;                 /* where it begins in the buffer */
    size_t length;             /* header and frames so far */
    uint32_t frames;
    journal_seq sequence;
    STAILQ_ENTRY(group) link;
};

STAILQ_HEAD(group_queue, group);

struct journal {
    struct disk *disk;
    struct journal_options options;
    struct journal_files files;
    struct hot_pool *pool;
    TAILQ_HEAD(hot_list_of, hot_buffer)
    hot; /* retained, oldest first; the last one is filling */
    uint64_t hot_bytes;
    struct group *gathering; /* NULL: nothing yet */
    struct group_queue waiting;
    uint64_t waiting_bytes;
    struct group_queue writing;
    struct group_queue spare; /* structures for use again */
    journal_seq next;         /* sequence of the group that gathers, or will */
    journal_seq durable;
    journal_seq released; /* groups before this one are in segments */
    uint32_t chain;       /* crc of the newest sealed group */
    bool failed;
    struct disk_op write_op;
    struct iovec iov[DISK_IOV_MAX];
    struct journal_stats stats;
};

enum status journal_open(struct journal **out, struct disk *d,
                         const struct journal_options *options)
{
    struct journal *j = must_zalloc(sizeof *j);
    enum status st;

    j->disk = d;
    j->options = *options;
    j->options.file_bytes =
        (options->file_bytes + JOURNAL_BUFFER - 1) & ~(uint64_t)(JOURNAL_BUFFER - 1);
    st = journal_files_open(&j->files, d, options->dir, j->options.file_bytes,
                            options->files_max, true);
    if (st) {
        free(j);
        return st;
    }
    j->pool = hot_pool_open();
    TAILQ_INIT(&j->hot);
    STAILQ_INIT(&j->waiting);
    STAILQ_INIT(&j->writing);
    STAILQ_INIT(&j->spare);
    j->next = 1;
    j->released = 1;
    *out = j;
    return STATUS_OK;
}

static void free_groups(struct group_queue *queue)
{
    struct group *g;

    while ((g = STAILQ_FIRST(queue)) != NULL) {
        STAILQ_REMOVE_HEAD(queue, link);
        if (g->buffer != NULL)
            buf_unref(&g->buffer->buf);
        free(g);
    }
}

void journal_close(struct journal *j)
{
    struct hot_buffer *b;

    while (!STAILQ_EMPTY(&j->writing))
        disk_poll(j->disk, true);
    journal_files_close(&j->files);
    if (j->gathering != NULL)
        STAILQ_INSERT_TAIL(&j->waiting, j->gathering, link);
    free_groups(&j->waiting);
    free_groups(&j->spare);
    while ((b = TAILQ_FIRST(&j->hot)) != NULL) {
        TAILQ_REMOVE(&j->hot, b, link);
        buf_unref(&b->buf);
    }
    hot_pool_close(j->pool);
    free(j);
}

/* ---- gathering -----------------------------------------------------------------------
 */

static struct hot_buffer *add_buffer(struct journal *j, size_t bytes)
{
    struct hot_buffer *b = hot_buffer_new(j->pool, bytes);

    TAILQ_INSERT_TAIL(&j->hot, b, link);
    j->hot_bytes += b->buf.capacity;
    return b;
}

/* Begin a group with room for a frame of `size` bytes. */
static void begin_group(struct journal *j, size_t size)
{
    struct hot_buffer *b = TAILQ_LAST(&j->hot, hot_list_of);
    struct group *g = STAILQ_FIRST(&j->spare);
    size_t need = JOURNAL_GROUP_HEADER + size;

    if (b == NULL || b->buf.capacity - b->used < need)
        b = add_buffer(j, need > JOURNAL_BUFFER ? journal_padded(need) : JOURNAL_BUFFER);
    if (g != NULL)
        STAILQ_REMOVE_HEAD(&j->spare, link);
    else
        g = must_alloc(sizeof *g);
    *g = (struct group){.buffer = container_of(buf_ref(&b->buf), struct hot_buffer, buf),
                        .at = b->used,
                        .length = JOURNAL_GROUP_HEADER,
                        .sequence = j->next};
    b->last = j->next;
    j->gathering = g;
}

/* Close the group to further frames: pad it, and count the padding as used. */
static void end_group(struct journal *j)
{
    struct group *g = j->gathering;
    size_t padded = journal_padded(g->length);

    memset(g->buffer->buf.data + g->at + g->length, 0, padded - g->length);
    g->buffer->used = g->at + padded;
    j->gathering = NULL;
    j->next++;
    j->waiting_bytes += padded;
    STAILQ_INSERT_TAIL(&j->waiting, g, link);
}

/* Whether the gathering group takes `size` bytes more: a group lies in one buffer and
 * must fit into one file. */
static bool group_takes(const struct journal *j, const struct group *g, size_t size)
{
    return g->buffer->buf.capacity - g->at - g->length >= size &&
           j->options.file_bytes - JOURNAL_HEADER - g->length >= size;
}

journal_seq journal_append(struct journal *j, const struct journal_frame *frame,
                           struct slice *hot)
{
    size_t size = journal_frame_size(frame->payload.len);
    struct group *g = j->gathering;
    uint8_t *at;

    CHECK(frame->payload.len <= journal_payload_max(j));
    if (g != NULL && !group_takes(j, g, size)) {
        end_group(j);
        g = NULL;
    }
    if (g == NULL) {
        begin_group(j, size);
        g = j->gathering;
    }
    at = g->buffer->buf.data + g->at + g->length;
    journal_frame_write(at, frame);
    if (hot != NULL)
        *hot = slice_of(&g->buffer->buf, at + JOURNAL_FRAME_HEADER, frame->payload.len);
    g->length += size;
    g->frames++;
    j->stats.frames++;
    j->stats.bytes_payload += frame->payload.len;
    return g->sequence;
}

size_t journal_payload_max(const struct journal *j)
{
    return (size_t)j->options.file_bytes - JOURNAL_GROUP_ROOM;
}

/* ---- writing -------------------------------------------------------------------------
 */

static void write_done(struct disk_op *op)
{
    struct journal *j = container_of(op, struct journal, write_op);
    struct group *g;

    if (op->status) {
        j->failed = true;
        free_groups(&j->writing);
        j->options.on_durable(j->options.ctx, j->durable, op->status);
        return;
    }
    while ((g = STAILQ_FIRST(&j->writing)) != NULL) {
        STAILQ_REMOVE_HEAD(&j->writing, link);
        j->durable = g->sequence;
        buf_unref(&g->buffer->buf);
        g->buffer = NULL;
        STAILQ_INSERT_HEAD(&j->spare, g, link);
    }
    j->options.on_durable(j->options.ctx, j->durable, STATUS_OK);
}

static void seal(struct journal *j, struct group *g, uint64_t generation)
{
    struct journal_group_header h = {
        .generation = generation,
        .sequence = g->sequence,
        .durable = j->durable,
        .previous = j->chain,
        .length = (uint32_t)g->length,
        .frames = g->frames,
    };

    journal_group_seal(g->buffer->buf.data + g->at, &h);
    j->chain = h.crc;
}

/* Move groups that fit into one write and into the file from `waiting` to `writing`.
 * Returns their bytes. */
static uint64_t take_groups(struct journal *j, struct journal_file *file)
{
    uint64_t bytes = 0;
    unsigned n = 0;
    struct group *g;

    while ((g = STAILQ_FIRST(&j->waiting)) != NULL && n < DISK_IOV_MAX) {
        uint64_t padded = journal_padded(g->length);

        if ((n > 0 && bytes + padded > WRITE_BYTES_MAX) ||
            file->position + bytes + padded > j->options.file_bytes)
            break;
        STAILQ_REMOVE_HEAD(&j->waiting, link);
        STAILQ_INSERT_TAIL(&j->writing, g, link);
        file->last = g->sequence;
        seal(j, g, file->generation);
        j->iov[n++] = (struct iovec){g->buffer->buf.data + g->at, padded};
        bytes += padded;
    }
    j->write_op.iov_count = n;
    return bytes;
}

static void start_write(struct journal *j)
{
    struct group *first = STAILQ_FIRST(&j->waiting);
    uint64_t least = journal_padded(first->length), bytes;
    uint64_t most = least > WRITE_BYTES_MAX ? least : WRITE_BYTES_MAX;
    struct journal_file *file = journal_files_for(&j->files, least);

    if (most > j->waiting_bytes)
        most = j->waiting_bytes;
    if (file == NULL || !journal_files_clear(&j->files, file, file->position, most))
        return;
    bytes = take_groups(j, file);
    CHECK(bytes > 0 && bytes <= most);
    j->write_op = (struct disk_op){.kind = DISK_WRITE,
                                   .file = file->file,
                                   .offset = file->position,
                                   .iov = j->iov,
                                   .iov_count = j->write_op.iov_count,
                                   .sync = true,
                                   .done = write_done};
    file->position += bytes;
    j->waiting_bytes -= bytes;
    j->stats.groups += j->write_op.iov_count;
    j->stats.writes++;
    j->stats.bytes_written += bytes;
    disk_submit(j->disk, &j->write_op);
}

void journal_commit(struct journal *j)
{
    if (j->failed || !STAILQ_EMPTY(&j->writing))
        return;
    if (j->gathering != NULL)
        end_group(j);
    if (STAILQ_EMPTY(&j->waiting))
        return;
    start_write(j);
    journal_files_work(&j->files);
}

bool journal_is_stuck(const struct journal *j)
{
    const struct group *first = STAILQ_FIRST(&j->waiting);

    return !j->failed && STAILQ_EMPTY(&j->writing) && first != NULL &&
           journal_files_are_full(&j->files, journal_padded(first->length));
}

void journal_insist(struct journal *j, journal_seq upto)
{
    if (STAILQ_FIRST(&j->waiting)->sequence > upto)
        return;
    MARK("journal larger than it should be");
    journal_files_exceed(&j->files);
}

/* ---- release -------------------------------------------------------------------------
 */

static void evict(struct journal *j)
{
    struct hot_buffer *b;
    journal_seq upto = 0;
    uint64_t left = j->hot_bytes;

    TAILQ_FOREACH (b, &j->hot, link) {
        if (left <= j->options.hot_bytes || b->last >= j->released ||
            TAILQ_NEXT(b, link) == NULL)
            break;
        upto = b->last;
        left -= b->buf.capacity;
    }
    if (upto == 0)
        return;
    j->options.on_evict(j->options.ctx, upto);
    while (j->hot_bytes > left) {
        b = TAILQ_FIRST(&j->hot);
        TAILQ_REMOVE(&j->hot, b, link);
        j->hot_bytes -= b->buf.capacity;
        buf_unref(&b->buf);
    }
}

void journal_release(struct journal *j, journal_seq oldest)
{
    CHECK(oldest >= j->released);
    CHECK(oldest <= j->durable + 1);
    j->released = oldest;
    journal_files_release(&j->files, oldest);
    evict(j);
}

void journal_trim(struct journal *j)
{
    hot_pool_trim(j->pool);
    journal_files_retry(&j->files);
}

bool journal_has_room(const struct journal *j)
{
    uint64_t gathering = j->gathering != NULL ? j->gathering->length : 0;

    return journal_files_room(&j->files) >=
           j->waiting_bytes + gathering + j->options.file_bytes;
}

journal_seq journal_pressure(const struct journal *j)
{
    uint64_t left = j->hot_bytes, enough = j->options.hot_bytes / 4 * 3;
    journal_seq upto = 0;
    struct hot_buffer *b;

    if (journal_files_used(&j->files) * 2 > j->options.files_max)
        upto = journal_files_oldest_full(&j->files);
    TAILQ_FOREACH (b, &j->hot, link) {
        if (left <= enough || b->last > j->durable)
            break;
        left -= b->buf.capacity;
        if (b->last >= j->released && b->last > upto)
            upto = b->last;
    }
    return upto;
}

journal_seq journal_durable(const struct journal *j)
{
    return j->durable;
}

journal_seq journal_gathering(const struct journal *j)
{
    return j->next;
}

void journal_stats(const struct journal *j, struct journal_stats *out)
{
    *out = j->stats;
    out->hot_bytes = j->hot_bytes;
    out->files = j->files.count;
}

enum status journal_retire(struct disk *d, const char *dir)
{
    struct disk_op list = {.kind = DISK_LIST, .path = dir};
    struct journal_files files;
    enum status st = disk_call(d, &list);

    if (st)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    free(list.names);
    st = journal_files_open(&files, d, dir, JOURNAL_BUFFER, 3, false);
    if (st == STATUS_OK)
        journal_files_close(&files);
    return st;
}
