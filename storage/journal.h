/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal makes everything that a shard was told durable, in the order in which it
 * was told, with one small write: records for all partitions, truncations, deletions. It
 * is a ring of fixed-size files whose blocks were written before and are used again.
 *
 * Who writes: the logs of the shard, through journal_append, which copies the bytes once
 * into an aligned buffer. These buffers are reference-counted and stay: they are the hot
 * tail from which consumers are served, so an appended batch is read where it was
 * written. When it becomes durable: whenever no write is in flight, journal_commit
 * (called at the end of each turn of the loop) starts one for all that has gathered, as
 * one group: one O_DIRECT write with RWF_DSYNC. No timer. A group is padded to DISK_ALIGN
 * and never written over, so a torn write can damage only itself. When it ends: a file is
 * used again once all frames in it were *released*: written to segments and synced there,
 * which journal_checkpoint learns from the store.
 *
 * Every group carries the file's generation (old bytes in a recycled file can never be
 * taken for new), a sequence number, the checksum of the group before it (the chain) and
 * its own. So recovery can tell a torn tail (nothing valid of this journal after it,
 * which is cut) from damage to what was durable (a later valid group: reported, never
 * cut).
 *
 * FORMAT.md gives every byte. */
#pragma once

#include "proto/base/buf.h"
#include "storage/disk.h"

struct journal;

enum {
    JOURNAL_BUFFER = 1024 * 1024, /* one hot buffer, and the most one group takes */
    JOURNAL_GROUP_ROOM =
        2 * DISK_ALIGN, /* a payload larger than a file less this much cannot be
                         * journalled: see journal_payload_max */
};

enum frame_kind {
    JOURNAL_APPEND = 1,   /* payload: one record batch as it goes into the segment */
    JOURNAL_TRUNCATE = 2, /* the log ends at `offset` now, at `position` of `segment` */
    JOURNAL_START = 3,    /* the log starts at `offset` now (retention, trim) */
    JOURNAL_DELETE = 4,   /* the log is gone */
};

/* Which log: topic id and partition, the same 20 bytes everywhere on disk. */
struct log_id {
    uint8_t topic[16];
    int32_t partition;
};

struct journal_frame {
    enum frame_kind kind;
    struct log_id log;
    int64_t offset;    /* JOURNAL_APPEND: the batch's base offset */
    int64_t segment;   /* base offset of the segment that it belongs to */
    uint64_t position; /* in that segment */
    struct bytes payload;
};

/* A place in the journal: grows by one with every group. */
typedef uint64_t journal_seq;

struct journal_options {
    const char *dir;     /* relative to the disk's root; made if missing */
    uint64_t file_bytes; /* size of one file; rounded up to a multiple of JOURNAL_BUFFER
                          */
    unsigned files_max;  /* more than this many are made for journal_insist only; >= 3 */
    uint64_t hot_bytes;  /* budget of retained buffers, the hot tail's size */
    /* Groups up to and including `durable` are on disk: the acknowledgement. Runs inside
     * disk_poll. `status` other than OK means the disk failed: nothing of the group may
     * be acknowledged, now or later, and the process must stop. */
    void (*on_durable)(void *ctx, journal_seq durable, enum status status);
    /* The oldest hot buffer is about to be forgotten: drop all slices into it. The
     * journal calls this only for buffers of released groups; everything in groups <=
     * `upto` goes. */
    void (*on_evict)(void *ctx, journal_seq upto);
    void *ctx;
};

/* Begin an empty journal in a directory that recovery has finished with; the files that
 * are there are used again, under new generations. Synchronous. */
STATUS_MUST_CHECK enum status journal_open(struct journal **out, struct disk *d,
                                           const struct journal_options *options);

/* Wait for the write in flight and close. What was not committed is lost. */
void journal_close(struct journal *j);

/* Add a frame to the group that is gathering. The payload is copied; `hot` (may be NULL)
 * becomes a slice of the copy, with its own reference. Returns the group's sequence
 * number: the frame is durable once on_durable reports it. Never fails: who appends
 * checks journal_has_room first, once per turn; the room left is enough for what one turn
 * may bring. */
journal_seq journal_append(struct journal *j, const struct journal_frame *frame,
                           struct slice *hot);

/* False when so much is unreleased that appending should wait until segments catch up. */
bool journal_has_room(const struct journal *j);

/* Start writing what has gathered, unless a write is in flight. Call once per turn. */
void journal_commit(struct journal *j);

/* Whether groups wait because no file has room for them: a release must come first. */
bool journal_is_stuck(const struct journal *j);

/* It is stuck, and the release hangs on group `upto`: if that waits itself, the journal
 * takes a file more than it should have. */
void journal_insist(struct journal *j, journal_seq upto);

/* The largest payload that one frame may carry; a larger one gets a buffer of its own,
 * but every group must fit into one file. */
size_t journal_payload_max(const struct journal *j);

journal_seq journal_durable(const struct journal *j);   /* the newest durable group */
journal_seq journal_gathering(const struct journal *j); /* the group that appends join */

/* The oldest group that some log has not yet brought to its segments is `oldest`, at most
 * the one after the newest durable group; files and hot buffers wholly before it may go.
 * The store calls it after its segments were synced and its checkpoint written. */
void journal_release(struct journal *j, journal_seq oldest);

/* Now and then: give back memory that was not needed lately, ask a disk that was full for
 * another file once more. */
void journal_trim(struct journal *j);

/* The group up to which segments must be brought so that the next file can be recycled
 * and the hot budget kept; 0 when there is no hurry. Drives the write-behind. */
journal_seq journal_pressure(const struct journal *j);

struct journal_stats {
    uint64_t groups, frames, bytes_payload, bytes_written;
    uint64_t writes; /* durable writes: one may carry several groups */
    uint64_t hot_bytes, files;
};

void journal_stats(const struct journal *j, struct journal_stats *out);

/* Make the journal in `dir` count as empty, durably: recovery has brought everything to
 * the segments. A missing directory is fine. */
STATUS_MUST_CHECK enum status journal_retire(struct disk *d, const char *dir);

/* ---- recovery ------------------------------------------------------------------------
 */

struct journal_replay_result {
    uint64_t groups, frames, bytes;
    bool torn; /* the tail was cut: normal after a crash */
};

/* Read the journal in `dir` from its oldest group to its end and hand each frame to
 * `frame`, in order. A missing directory is an empty journal. CORRUPT, with a sentence in
 * `why`, when durable groups are damaged or missing, UNSUPPORTED_VERSION when a later
 * version of Leat wrote them; then nothing must be cut and the data directory must not be
 * opened. A status from `frame` stops the replay and is returned. */
STATUS_MUST_CHECK enum status journal_replay(
    struct disk *d, const char *dir,
    enum status (*frame)(void *ctx, const struct journal_frame *frame), void *ctx,
    struct journal_replay_result *out, char why[static 256]);
