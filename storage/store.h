/* SPDX-License-Identifier: Apache-2.0
 *
 * A store is one shard's logs and the journal that they share. It is opened after
 * recovery, lives on one thread, and is driven by that thread's loop: appends during the
 * turn, store_turn_end at its end, disk_poll when completions wait, store_tick now and
 * then.
 *
 * The life of appended bytes: journal buffer (hot tail) -> journal file (durable) ->
 * segment file, written behind in large pieces -> synced, checkpointed, journal file
 * recycled. The write-behind starts when a log has gathered enough, when journal space or
 * hot memory runs short, or when the bytes have waited long enough.
 *
 * A failed journal write or segment sync is fail-stop: on_failed is called once, nothing
 * is acknowledged any more, and the process must exit; the next start trusts only what it
 * re-reads. (Rebello et al., "Can applications recover from fsync failures?", 2020.) */
#pragma once

#include "storage/log.h"

struct store;

struct store_options {
    unsigned shard; /* journals lie in journal-<shard>/ */
    uint64_t journal_file_bytes;
    unsigned journal_files_max;
    uint64_t hot_bytes;
    uint64_t reserve_bytes; /* produce is refused when the disk has less free than this */
    /* `log`'s durable end moved to log_durable(log). Runs inside disk_poll, once per log
     * and group, in the order of first append. It may open, delete and append to logs. */
    void (*on_durable)(void *ctx, struct log *log);
    /* The disk failed in a way that allows no further promise. */
    void (*on_failed)(void *ctx, enum status status, const char *what);
    void *ctx;
};

extern const struct store_options store_options_default;

/* ---- before any store is open --------------------------------------------------------
 */

struct store_recovery {
    uint64_t journals, groups, frames, bytes; /* what was repeated */
    uint64_t logs;
    unsigned torn; /* journals with a torn tail: normal after a crash */
};

/* Bring a data directory into order: repeat every journal onto the segments, sync them,
 * write checkpoints, empty the journals. Bounded by the journals' size, not by the
 * data's. A clean directory costs a look. Afterwards any number of stores (another number
 * of shards than before, too) may be opened on it. CORRUPT with a sentence in `why` when
 * something that was durable is damaged: then nothing was changed. */
STATUS_MUST_CHECK enum status store_recover(struct disk *d, struct store_recovery *out,
                                            char why[static 256]);

/* ---- one shard -----------------------------------------------------------------------
 */

STATUS_MUST_CHECK enum status store_open(struct store **out, struct disk *d,
                                         const struct store_options *options);

/* Bring everything to the segments, sync, checkpoint, close all logs. After a clean close
 * the next recovery has nothing to repeat. */
STATUS_MUST_CHECK enum status store_close(struct store *s);

/* Open the log of that identity, making it if there is none. NOT_FOUND without `create`.
 */
STATUS_MUST_CHECK enum status store_log_open(struct store *s, struct log_id id,
                                             const struct log_config *config, bool create,
                                             struct log **out);

/* Delete a log: its reads end, its files go in the background. `log` is gone on return.
 */
void store_log_delete(struct store *s, struct log *log);

/* Delete a log that does not open: it may be made anew at once. Its files go in the
 * background. */
void store_log_discard(struct store *s, struct log_id id);

/* Delete a log and begin it anew, empty, at `offset`: for a replica that is too far
 * behind its leader, or whose state came as a snapshot. `epoch` is that of the record
 * before `offset` (-1: unknown) and becomes the tail epoch, in memory. The new log is
 * returned; `log` is gone. A crash leaves the old one, an empty one at 0, or the new one.
 */
struct log *store_log_restart(struct store *s, struct log *log, int64_t offset,
                              int32_t epoch);

/* The identities of all logs in the data directory, whoever's shard they are. The caller
 * frees `ids`. */
STATUS_MUST_CHECK enum status store_list(struct disk *d, struct log_id **ids,
                                         size_t *count);

/* Remove a log that no store has open: what the metadata does not know any more. */
STATUS_MUST_CHECK enum status store_remove(struct disk *d, struct log_id id);

/* Whether appends are welcome now; if not, why: THROTTLED (segments must catch up) or
 * DISK_FULL. Ask before each produce request. */
STATUS_MUST_CHECK enum status store_admit(const struct store *s);

/* End of a loop turn: start the group commit and the write-behind. */
void store_turn_end(struct store *s);

/* Now and then (every second or so): roll by age, retention, write-behind of the idle,
 * free space. */
void store_tick(struct store *s, struct instant now);

struct store_stats {
    struct journal_stats journal;
    uint64_t logs, segments, log_bytes, free_bytes;
    uint64_t segment_bytes_written, segment_syncs, cold_reads, cold_read_bytes, hot_reads;
    uint64_t segments_deleted;
};

void store_stats(const struct store *s, struct store_stats *out);
