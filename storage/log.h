/* SPDX-License-Identifier: Apache-2.0
 *
 * A log is one partition's records on this broker: an unbroken run of batches from
 * `start` to `end`, in segment files, with its newest part also in memory (the hot tail).
 * The store opens and closes logs; their shard appends and reads; nobody else touches
 * them.
 *
 *     start        first offset that can be read
 *     flushed      everything before it is in segment files (and synced up to `stable`)
 *     durable      everything before it is on disk, in the journal or in segments
 *     end          next offset to be given
 *     start <= stable <= flushed <= durable <= end   (flushed never passes durable)
 *
 * Appending assigns offsets at once and never waits; `durable` follows when the journal's
 * group is on disk, and the store reports it. What is above `durable` may be lost in a
 * crash; nothing may be promised on it. */
#pragma once

#include "proto/base/buf.h"
#include "proto/base/time.h"
#include "proto/record/batch.h"
#include "storage/journal.h"

struct log;

/* A topic's settings as far as storage cares. -1 in retention means no limit. */
struct log_config {
    int64_t segment_bytes;
    int64_t segment_ms;
    int64_t retention_bytes;
    int64_t retention_ms;
    int64_t index_interval_bytes;
    int64_t producer_expiration_ms; /* 0: never */
};

extern const struct log_config log_config_default;

struct log_id log_identity(const struct log *log);
int64_t log_start(const struct log *log);
int64_t log_durable(const struct log *log);
int64_t log_end(const struct log *log);
uint64_t log_bytes(const struct log *log); /* in all segments, hot tail included */
unsigned log_segment_count(const struct log *log);
int32_t log_last_epoch(const struct log *log);     /* the newest known, -1: none */
int64_t log_last_append_ms(const struct log *log); /* wall time; -1: none since open */

/* The log that was to begin anew (store_log_restart) has done so on disk, too: no crash
 * brings the one before it back. */
bool log_has_begun(const struct log *log);

void log_configure(struct log *log, const struct log_config *config);

/* The caller's pointer, for finding the partition that a log belongs to. */
void log_set_owner(struct log *log, void *owner);
void *log_owner(const struct log *log);

/* Append one verified batch of `b->size` bytes as the leader: stamp the next offset and
 * `leader_epoch` into the copy. Sets b->base_offset. The bytes are copied before return.
 * Rolls to a new segment when it is due. */
void log_append(struct log *log, struct batch *b, const uint8_t *data,
                int32_t leader_epoch, int64_t wall_ms);

/* Append one verified batch as a follower: it keeps the offsets and the leader epoch that
 * its leader gave it. b->base_offset is the log's end, b->leader_epoch not below
 * log_tail_epoch: the caller has checked both. */
void log_append_replica(struct log *log, const struct batch *b, const uint8_t *data,
                        int64_t wall_ms);

/* A leader of `epoch` begins at the log's end: the epoch is known from now on even if no
 * record of it ever comes (KAFKA-7415). In memory only; a restart forgets it unless
 * records came. */
void log_begin_epoch(struct log *log, int32_t epoch);

/* Make the log end at `offset`, a batch boundary: drop everything from there on, in
 * memory and on disk. Journalled, so a crash in the middle does not bring the old records
 * back. */
void log_truncate(struct log *log, int64_t offset);

/* Give up the records before `offset` (which is <= durable): readers are refused at once,
 * whole segments before it are deleted in the background. */
void log_trim(struct log *log, int64_t offset);

/* Retention gives nothing up from `offset` on: it is not committed yet. Nothing is held
 * before the first call. In memory only. */
void log_hold(struct log *log, int64_t offset);

/* ---- reading -------------------------------------------------------------------------
 */

/* A read that is being answered, embedded in whatever waits for it. Batches come back
 * whole and in order; the first one contains `from`. */
struct log_read;
typedef void log_read_done(struct log_read *read);

struct log_read {
    /* Set by the caller. */
    int64_t from;
    int64_t upto;     /* batches at or above this offset are not given (high watermark) */
    size_t max_bytes; /* stop before exceeding it, except for the first batch */
    bool first_whole; /* the first batch is given even if it is larger than max_bytes */
    log_read_done *done;

    /* The answer: slices in order, each one or more whole batches. Release with
     * log_read_release. OFFSET_OUT_OF_RANGE, STORAGE_FAILED, CORRUPT. */
    enum status status;
    struct slice *slices;
    size_t slice_count;
    size_t bytes;

    /* The log's own. */
    struct log *log;
    size_t slice_capacity;
    void *work;
};

/* Read from the hot tail if `from` is there: true, and the answer is complete; `done`
 * will not run. False: nothing was touched, use log_read_cold. Reading at `upto` or at
 * the end is hot and gives nothing. */
bool log_read_hot(struct log *log, struct log_read *read);

/* Read from the segment files. `done` runs once, later. The log may be closed or
 * truncated meanwhile: the read then ends with NOT_FOUND or what it had. */
void log_read_cold(struct log *log, struct log_read *read);
void log_read_release(struct log_read *read);

/* The first batch that may hold a record at or after `timestamp_ms`: its base offset,
 * found through the time indexes. The caller reads on from there. `log_durable` if there
 * is none. */
int64_t log_offset_for_time(const struct log *log, int64_t timestamp_ms);

/* ---- epochs --------------------------------------------------------------------------
 */

/* The epoch of the batch that ends at the log's end, -1 if it is unknown: what a
 * follower names as its last one. Epochs begun without records do not count. */
int32_t log_tail_epoch(const struct log *log);

/* For a leader epoch: the largest known epoch that is not above it, and the offset at
 * which the next epoch begins (log end if it is the last). -1, -1 if there is none.
 * (KIP-101, KIP-279.) */
void log_end_for_epoch(const struct log *log, int32_t epoch, int32_t *found_epoch,
                       int64_t *end_offset);

/* ---- producers -----------------------------------------------------------------------
 */

/* Each log remembers, per producer id, the last five batches that it got (KIP-98), as a
 * function of the batches in it: leader and followers keep the same. The memory survives
 * restarts (the checkpoint has it, and the journal the batches after that) and is cut
 * with the log. A producer that was silent for so long as the config says is forgotten.
 */

/* Whether a verified batch may follow what its producer sent before. OK also for batches
 * without a producer. DUPLICATE_SEQUENCE: it is stored already, from `*base` to before
 * `*next`; OUT_OF_ORDER_SEQUENCE, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER (nothing is
 * known of it, its sequence does not begin at 0, and no records were given up that could
 * explain it). Changes nothing. */
STATUS_MUST_CHECK enum status log_check_producer(const struct log *log,
                                                 const struct batch *b, int64_t *base,
                                                 int64_t *next);

/* How many producers the log remembers. */
size_t log_producer_count(const struct log *log);
