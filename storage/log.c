/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/log.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "storage/retention.h"
#include "storage/store_inner.h"

#include <stdlib.h>
#include <string.h>

/* Index entries count positions and offsets from the segment's base in 32 bits. */
static const uint64_t segment_bytes_max = INT32_MAX;
static const int64_t segment_offsets_max = INT32_MAX;

const struct log_config log_config_default = {
    .segment_bytes = INT64_C(1) << 30,
    .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
    .retention_bytes = -1,
    .retention_ms = INT64_C(7) * 24 * 3600 * 1000,
    .index_interval_bytes = 4096,
    .producer_expiration_ms = INT64_C(24) * 3600 * 1000,
};

struct log *log_new(struct store *store, const struct log_id *id,
                    const struct log_config *config)
{
    struct log *log = must_zalloc(sizeof *log);

    log->store = store;
    log->id = *id;
    log->config = *config;
    log->refs = 1;
    log->held_from = INT64_MAX;
    log->last_append_ms = -1;
    log->tail_epoch = -1;
    return log;
}

struct log *log_ref(struct log *log)
{
    log->refs++;
    return log;
}

void log_unref(struct log *log)
{
    CHECK(log->refs > 0);
    if (--log->refs > 0)
        return;
    CHECK(log->closed);
    CHECK(log->segment_count == 0);
    CHECK(log->cut == NULL);
    epochs_release(&log->epochs);
    producers_free(log->producers);
    free(log->segments);
    free(log->hot);
    free(log);
}

static void drop_segment(struct segment *s)
{
    s->dropped = true;
    segment_unref(s);
}

static void cut_free(struct log *log)
{
    struct cut *cut = log->cut;

    if (cut == NULL)
        return;
    segment_unref(cut->keep);
    for (uint32_t i = 0; i < cut->gone_count; i++)
        drop_segment(cut->gone[i]);
    free(cut->gone);
    free(cut);
    log->cut = NULL;
}

void log_shut(struct log *log)
{
    CHECK(!log->closed);
    log->closed = true;
    log->cuts++;
    log_evict(log, UINT64_MAX);
    cut_free(log);
    for (uint32_t i = 0; i < log->segment_count; i++)
        drop_segment(log->segments[i]);
    log->segment_count = 0;
    log->flushing = NULL;
}

struct log_id log_identity(const struct log *log)
{
    return log->id;
}

int64_t log_start(const struct log *log)
{
    return log->start;
}

int64_t log_durable(const struct log *log)
{
    return log->durable;
}

int64_t log_end(const struct log *log)
{
    return log->end;
}

uint64_t log_bytes(const struct log *log)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < log->segment_count; i++)
        bytes += log->segments[i]->size;
    return bytes;
}

unsigned log_segment_count(const struct log *log)
{
    return log->segment_count;
}

int32_t log_last_epoch(const struct log *log)
{
    return epochs_last(&log->epochs);
}

int64_t log_last_append_ms(const struct log *log)
{
    return log->last_append_ms;
}

void log_configure(struct log *log, const struct log_config *config)
{
    log->config = *config;
}

void log_set_owner(struct log *log, void *owner)
{
    log->owner = owner;
}

void *log_owner(const struct log *log)
{
    return log->owner;
}

struct segment *log_add_segment(struct log *log, int64_t base)
{
    struct segment *s = segment_new(&log->store->files, &log->id, base);

    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity ? log->segment_capacity * 2 : 1;
        log->segments =
            must_realloc(log->segments, log->segment_capacity * sizeof(struct segment *));
    }
    log->segments[log->segment_count++] = s;
    return s;
}

uint32_t log_find_segment(const struct log *log, int64_t offset)
{
    uint32_t low = 0, high = log->segment_count;

    CHECK(log->segment_count > 0);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (log->segments[middle]->base <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct segment *log_segment_after(const struct log *log, const struct segment *s)
{
    uint32_t n = log_find_segment(log, s->base);

    CHECK(log->segments[n] == s);
    CHECK(n + 1 < log->segment_count);
    return log->segments[n + 1];
}

/* ---- appending ----------------------------------------------------------------------
 */

static void hot_grow(struct log *log)
{
    uint32_t capacity = log->hot ? (log->hot_mask + 1) * 2 : 4;
    struct hot *grown = must_alloc(capacity * sizeof *grown);

    for (uint64_t i = log->hot_first; i < log->hot_end; i++)
        grown[i & (capacity - 1)] = *log_hot(log, i);
    free(log->hot);
    log->hot = grown;
    log->hot_mask = capacity - 1;
}

static void hot_push(struct log *log, struct hot h)
{
    if (log->hot == NULL || log->hot_end - log->hot_first > log->hot_mask)
        hot_grow(log);
    log->hot_end++;
    *log_hot(log, log->hot_end - 1) = h;
}

void log_evict(struct log *log, journal_seq upto)
{
    while (log->hot_first < log->hot_end && log_hot(log, log->hot_first)->seq <= upto) {
        CHECK(log->closed || log->hot_first < log->hot_flush);
        buf_unref(log_hot(log, log->hot_first)->buf);
        log->hot_first++;
    }
    if (log->hot_first == log->hot_end) {
        free(log->hot);
        log->hot = NULL;
    }
}

static uint64_t segment_limit(const struct log *log)
{
    uint64_t wanted = (uint64_t)log->config.segment_bytes;

    return wanted < segment_bytes_max ? wanted : segment_bytes_max;
}

static bool is_old(const struct log *log, const struct segment *s, int64_t wall_ms)
{
    return s->begun_ms >= 0 && wall_ms > s->begun_ms &&
           wall_ms - s->begun_ms >= log->config.segment_ms;
}

static struct segment *active_for(struct log *log, const struct batch *b, int64_t wall_ms)
{
    struct segment *s = log_active(log);

    if (s->size > 0 &&
        (s->size + b->size > segment_limit(log) || is_old(log, s, wall_ms) ||
         log->end + b->last_offset_delta - s->base > segment_offsets_max)) {
        s = log_add_segment(log, log->end);
        store_mark_dirty(log->store, log);
    }
    if (s->size == 0)
        s->begun_ms = wall_ms;
    return s;
}

/* Everything about an append but whose offset and epoch: `b` has the log's end for its
 * base offset, and is stamped into the journal's copy. */
static void append(struct log *log, const struct batch *b, const uint8_t *data,
                   int64_t wall_ms)
{
    struct segment *s = active_for(log, b, wall_ms);
    struct journal_frame frame = {
        .kind = JOURNAL_APPEND,
        .log = log->id,
        .offset = log->end,
        .segment = s->base,
        .position = s->size,
        .payload = {data, b->size},
    };
    struct slice copy;
    journal_seq seq;

    CHECK(b->size >= BATCH_HEADER);
    CHECK(b->last_offset_delta >= 0);
    seq = store_journal(log->store, &frame, &copy);
    CHECK(copy.len == b->size);
    /* The journal's copy is ours to stamp until its group is written. */
    batch_stamp((uint8_t *)(uintptr_t)copy.data, log->end, b->leader_epoch);
    /* An epoch that began here without a record may be a newer one: of a leader that came
     * to nothing. */
    epochs_truncate(&log->epochs, log->end);
    epochs_note(&log->epochs, b->leader_epoch, log->end);
    log->tail_epoch = b->leader_epoch;
    producers_record(&log->producers, b, wall_ms);
    hot_push(log, (struct hot){copy.buf, copy.data, log->end, seq, (uint32_t)copy.len});
    index_add(&s->index, (uint64_t)log->config.index_interval_bytes,
              (struct index_entry){(uint32_t)(log->end - s->base), (uint32_t)s->size,
                                   s->max_timestamp});
    log->end = batch_next_offset(b);
    s->next = log->end;
    s->size += b->size;
    if (s->max_timestamp < b->max_timestamp)
        s->max_timestamp = b->max_timestamp;
    log->bytes_appended += b->size;
    log->last_append_ms = wall_ms;
    store_promise(log->store, log, seq);
    store_mark_dirty(log->store, log);
}

void log_append(struct log *log, struct batch *b, const uint8_t *data,
                int32_t leader_epoch, int64_t wall_ms)
{
    b->base_offset = log->end;
    b->leader_epoch = leader_epoch;
    append(log, b, data, wall_ms);
}

void log_append_replica(struct log *log, const struct batch *b, const uint8_t *data,
                        int64_t wall_ms)
{
    CHECK(b->base_offset == log->end);
    CHECK(b->leader_epoch >= log->tail_epoch);
    append(log, b, data, wall_ms);
}

void log_begin_epoch(struct log *log, int32_t epoch)
{
    epochs_note(&log->epochs, epoch, log->end);
}

void log_begin_at(struct log *log, int64_t offset, int32_t epoch)
{
    log->start = log->flushed = log->durable = log->end = offset;
    log->tail_epoch = epoch;
    if (epoch >= 0)
        epochs_note(&log->epochs, epoch, offset);
    if (offset > 0)
        producers_begin_late(&log->producers);
    log->begun = store_journal(
        log->store,
        &(struct journal_frame){
            .kind = JOURNAL_START, .log = log->id, .offset = offset, .segment = offset},
        NULL);
    store_mark_dirty(log->store, log);
}

bool log_has_begun(const struct log *log)
{
    return log->begun <= log->store->durable;
}

int32_t log_tail_epoch(const struct log *log)
{
    return log->tail_epoch;
}

bool log_on_durable(struct log *log, int64_t end, uint64_t bytes)
{
    if (bytes > log->bytes_durable)
        log->bytes_durable = bytes;
    if (end <= log->durable)
        return false;
    CHECK(end <= log->end);
    log->durable = end;
    return true;
}

/* ---- cutting ------------------------------------------------------------------------
 */

/* Forget hot batches from `offset` on, and their bytes in the segments. */
static void hot_cut(struct log *log, int64_t offset)
{
    while (log->hot_first < log->hot_end) {
        struct hot *h = log_hot(log, log->hot_end - 1);

        if (h->base < offset)
            break;
        log->segments[log_find_segment(log, h->base)]->size -= h->len;
        log->bytes_appended -= h->len;
        buf_unref(h->buf);
        log->hot_end--;
    }
    if (log->hot_flush >= log->hot_end) {
        log->hot_flush = log->hot_end;
        log->hot_part = 0;
    }
}

static bool may_have_file(const struct segment *s)
{
    return s->exists || s->opening != NULL || s->written > 0;
}

/* The files hold something that the log does not have any more. */
static bool files_must_be_cut(const struct log *log, uint32_t keep, uint64_t position)
{
    const struct segment *s = log->segments[keep];

    if (log->flush != NULL || position == LOG_UNKNOWN || s->written > position)
        return true;
    for (uint32_t i = keep + 1; i < log->segment_count; i++)
        if (may_have_file(log->segments[i]))
            return true;
    return false;
}

/* Plan to cut the files behind segment `keep`, which ends at `offset`. An earlier cut
 * that was not carried out yet is widened. */
static void plan_cut(struct log *log, uint32_t keep, int64_t offset, uint64_t position)
{
    struct cut *cut = log->cut;
    uint32_t gone = log->segment_count - keep - 1;

    if (cut == NULL)
        cut = log->cut = must_zalloc(sizeof *cut);
    else
        segment_unref(cut->keep);
    cut->keep = segment_ref(log->segments[keep]);
    cut->offset = offset;
    cut->position = position;
    cut->gone =
        must_realloc(cut->gone, (cut->gone_count + gone + 1) * sizeof(struct segment *));
    for (uint32_t i = 0; i < gone; i++)
        cut->gone[cut->gone_count++] = log->segments[keep + 1 + i];
}

static void drop_segments_after(struct log *log, uint32_t keep, int64_t offset,
                                uint64_t position)
{
    bool widens = log->cut == NULL || offset < log->cut->offset;

    if (log_find_segment(log, log->flushing->base) > keep)
        log->flushing = log->segments[keep];
    if (widens && (log->cut != NULL || files_must_be_cut(log, keep, position)))
        plan_cut(log, keep, offset, position);
    else
        for (uint32_t i = keep + 1; i < log->segment_count; i++)
            drop_segment(log->segments[i]);
    log->segment_count = keep + 1;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void log_truncate(struct log *log, int64_t offset)
{
    uint32_t n = log_find_segment(log, offset);
    struct segment *keep = log->segments[n];
    bool in_memory = offset >= log_hot_offset(log);
    uint64_t position;
    journal_seq seq;

    CHECK(offset >= log->start);
    CHECK(offset <= log->end);
    if (offset == log->end)
        return;
    /* Bump before anything else: a read in flight must not give what is cut now. */
    if (!in_memory)
        MARK("log is cut below what is in memory");
    if (offset < log->flushed)
        MARK("log is cut below what was flushed");
    log->cuts++;
    hot_cut(log, offset);
    position = offset == keep->base ? 0 : in_memory ? keep->size : LOG_UNKNOWN;
    drop_segments_after(log, n, offset, position);
    if (position != LOG_UNKNOWN) {
        segment_cut(keep, offset, position);
    } else {
        /* Where the batch ends in the file is read later; appends begin a new file. */
        segment_cut(keep, offset, keep->size);
        log_add_segment(log, offset);
    }
    log->end = offset;
    log->durable = min_i64(log->durable, offset);
    log->flushed = min_i64(log->flushed, offset);
    log->bytes_durable = min_u64(log->bytes_durable, log->bytes_appended);
    log->bytes_flushed = min_u64(log->bytes_flushed, log->bytes_appended);
    epochs_truncate(&log->epochs, offset);
    log->tail_epoch = epochs_last(&log->epochs);
    if (!PLANT(16))
        producers_cut(log->producers, offset);
    store_promise_cut(log->store, log, offset, log->bytes_appended);
    seq = store_journal(log->store,
                        &(struct journal_frame){.kind = JOURNAL_TRUNCATE,
                                                .log = log->id,
                                                .offset = offset,
                                                .segment = keep->base,
                                                .position = position},
                        NULL);
    if (log->cut != NULL)
        log->cut->seq = seq;
    store_promise(log->store, log, seq);
    store_mark_dirty(log->store, log);
}

/* How many of the oldest segments lie wholly before `start` and are done with. */
static uint32_t superfluous(const struct log *log, int64_t start)
{
    uint32_t n = 0;

    if (log->cut != NULL)
        return 0;
    while (log->segments[n] != log->flushing && log->segments[n + 1]->base <= start)
        n++;
    return n;
}

/* Tell the journal where the log starts, then let the first `n` segments go. */
static void move_start(struct log *log, uint32_t n)
{
    journal_seq seq =
        store_journal(log->store,
                      &(struct journal_frame){.kind = JOURNAL_START,
                                              .log = log->id,
                                              .offset = log->start,
                                              .segment = log->segments[n]->base},
                      NULL);

    for (uint32_t i = 0; i < n; i++) {
        reaper_add_segment(log->store, log->segments[i], seq);
        drop_segment(log->segments[i]);
    }
    log->segment_count -= n;
    memmove(log->segments, log->segments + n,
            log->segment_count * sizeof(struct segment *));
    store_mark_dirty(log->store, log);
}

void log_trim(struct log *log, int64_t offset)
{
    CHECK(offset <= log->durable);
    if (offset <= log->start)
        return;
    log->start = offset;
    epochs_trim(&log->epochs, offset);
    /* The segment that is being written never goes: when all of it is given up, appends
     * go on in the next one. */
    if (offset == log->end && log_active(log)->size > 0) {
        log_add_segment(log, log->end);
        store_mark_dirty(log->store, log);
    }
    move_start(log, superfluous(log, offset));
}

void log_hold(struct log *log, int64_t offset)
{
    log->held_from = offset;
}

/* Retention looks at this many of the oldest segments at a time. */
enum { RETENTION_WINDOW = 64 };

static uint32_t expired(const struct log *log, int64_t wall_ms)
{
    struct retention_segment list[RETENTION_WINDOW];
    struct retention r = {log->config.retention_bytes, log->config.retention_ms};
    uint32_t n = 0;

    for (; n < log->segment_count && n < RETENTION_WINDOW; n++) {
        const struct segment *s = log->segments[n];

        list[n] = (struct retention_segment){s->size, s->max_timestamp};
    }
    /* What lies beyond the window counts as part of the window's last, which stays. */
    for (uint32_t i = n; i < log->segment_count; i++)
        list[n - 1].bytes += log->segments[i]->size;
    return (uint32_t)retention_choose(&r, list, n, wall_ms);
}

void log_keep_house(struct log *log, int64_t wall_ms)
{
    struct segment *active = log_active(log);
    uint32_t n;

    if (log->config.producer_expiration_ms > 0)
        producers_expire(log->producers, log->config.producer_expiration_ms, wall_ms);
    if (active->size > 0 && active->begun_ms < 0)
        active->begun_ms = wall_ms;
    if (active->size > 0 && is_old(log, active, wall_ms)) {
        log_add_segment(log, log->end);
        store_mark_dirty(log->store, log);
    }
    n = expired(log, wall_ms);
    while (n > 0 && log->segments[n]->base > min_i64(log->durable, log->held_from))
        n--;
    if (n > 0 && log->segments[n]->base > log->start)
        log_trim(log, log->segments[n]->base);
    else if ((n = superfluous(log, log->start)) > 0)
        move_start(log, n);
}

struct log_state log_file_state(const struct log *log)
{
    const struct segment *s = log->flushing;

    CHECK(log->cut == NULL);
    return (struct log_state){
        .first = log->segments[0]->base,
        .start = log->start,
        .last = s->base,
        .position = s->flushed,
        .next = log->flushed,
    };
}

/* ---- questions ----------------------------------------------------------------------
 */

int64_t log_offset_for_time(const struct log *log, int64_t timestamp_ms)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *s = log->segments[i];
        int64_t offset;

        if (s->max_timestamp < timestamp_ms)
            continue;
        offset = s->base + index_find_time(&s->index, timestamp_ms).offset;
        if (offset < log->start)
            offset = log->start;
        return min_i64(offset, log->durable);
    }
    return log->durable;
}

void log_end_for_epoch(const struct log *log, int32_t epoch, int32_t *found_epoch,
                       int64_t *end_offset)
{
    epochs_end(&log->epochs, epoch, log->end, found_epoch, end_offset);
}

enum status log_check_producer(const struct log *log, const struct batch *b,
                               int64_t *base, int64_t *next)
{
    return producers_check(log->producers, b, base, next);
}

size_t log_producer_count(const struct log *log)
{
    return producers_count(log->producers);
}
