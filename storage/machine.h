/* SPDX-License-Identifier: Apache-2.0
 *
 * Log + snapshot = a state machine that survives. The metadata and the groups are kept
 * this way: every change is a record in an ordinary log, the state is the fold over the
 * records, and from time to time the state is written down as a snapshot so that the log
 * before it may go. Snapshots are made of the same records, so there is one way to build
 * the state.
 *
 * The machine appends and applies; *when* a record counts as committed is decided above
 * it, by a majority of voters or by the replicas in sync. Order is strict: records are
 * applied in log order, each exactly once, never before they are committed. Until then
 * the machine keeps them in memory, as well as those that it found in the log when it was
 * opened: what of them was committed is told it later.
 *
 * Every replica keeps its machine up to date and writes its own snapshots; the log before
 * the newest one goes, but for a tail that spares a follower the snapshot. */
#pragma once

#include "storage/snapshot.h"
#include "storage/store.h"

struct machine;
struct machine_entry;

struct machine_verbs {
    /* A committed record (or one of a snapshot, then `offset` is -1). */
    enum status (*apply)(void *ctx, int64_t offset, struct bytes record);
    /* Forget the whole state: a snapshot from elsewhere comes instead. */
    void (*reset)(void *ctx);
    /* Hand the whole state over as records, each through `emit`. */
    void (*snapshot)(void *ctx, void (*emit)(void *to, struct bytes record), void *to);
};

struct machine_options {
    struct log_id id;
    const char *name; /* "metadata", "groups": the snapshot's file name */
    const struct machine_verbs *verbs;
    void *ctx;
    uint64_t snapshot_bytes; /* write a snapshot after this many bytes of log */
};

/* Open the log, apply the newest whole snapshot, and read the batches after it, to be
 * applied once they are committed. Synchronous, at start. CORRUPT if neither makes sense.
 */
STATUS_MUST_CHECK enum status machine_open(struct machine **out, struct store *s,
                                           struct disk *d,
                                           const struct machine_options *options);
/* Entries that still wait are forgotten: their owners close, too, and whether the records
 * will be there at the next start nobody knows. */
void machine_close(struct machine *m);

struct log *machine_log(const struct machine *m);
int64_t machine_applied(const struct machine *m); /* next offset to be applied */
/* Of the record before the log's end, -1 if there is none. */
int32_t machine_tail_epoch(const struct machine *m);

/* A proposal that waits to be applied, embedded in whatever waits for it. */
typedef void machine_done(struct machine_entry *entry, enum status status);

struct machine_entry {
    machine_done *done; /* runs once, inside machine_commit, after its records' apply */
    TAILQ_ENTRY(machine_entry) link;
    int64_t last_offset;
};

/* As the leader, append `count` records as one batch: all of them will be applied, or
 * none; if the log is cut before, `done` hears NOT_LEADER. */
void machine_propose(struct machine *m, const struct bytes *records, size_t count,
                     int32_t leader_epoch, struct instant now,
                     struct machine_entry *entry);

/* As a follower, append a verified batch that follows the log's end. */
void machine_append_replica(struct machine *m, const struct batch *b, const uint8_t *data,
                            struct instant now);
/* Somebody else appended this batch to the log (a partition's fetcher): keep it. */
void machine_note(struct machine *m, const struct batch *b, const uint8_t *data);

/* Cut the log at `offset`, which is not below what was applied. Entries from there on
 * hear NOT_LEADER. */
void machine_truncate(struct machine *m, int64_t offset);
/* The same, but somebody else cut the log already. */
void machine_note_truncated(struct machine *m, int64_t offset);

/* Everything before `offset` is committed now: apply it, then run the entries' `done`. */
void machine_commit(struct machine *m, int64_t offset);

/* Replay every batch that is not applied yet, without applying it (for what counts before
 * it is committed, such as voters). */
void machine_each_pending(const struct machine *m,
                          void (*each)(void *to, int64_t offset, int32_t epoch,
                                       struct bytes record),
                          void *to);

/* So much was written since the last snapshot that machine_tick has something to do. */
bool machine_is_large(const struct machine *m);
/* Write a snapshot if one is due and trim the log up to it. Asynchronous inside. */
void machine_tick(struct machine *m, struct instant now);

/* ---- snapshots on their way between replicas -----------------------------------------
 */

/* The newest snapshot: the offset at which it ends (0: none) and the epoch before it. */
int64_t machine_snapshot_offset(const struct machine *m);
int32_t machine_snapshot_epoch(const struct machine *m);

/* Read a piece of the newest snapshot file. `done` runs once, perhaps inside the call. */
struct machine_read {
    int64_t offset; /* in: which one, 0: the newest; out */
    uint64_t position;
    size_t max_bytes;
    void (*done)(struct machine_read *r);

    enum status status; /* NOT_FOUND: there is another one by now */
    int32_t epoch;
    uint64_t size;
    struct slice data; /* released by the owner */
    struct machine *machine;
    struct disk_op op;
    struct iovec iov;
    char path[SNAPSHOT_PATH];
    disk_file file;
};

void machine_read_snapshot(struct machine *m, struct machine_read *r);

/* Replace everything by another replica's snapshot, whose file content is `data`: verify
 * it, write it, let the log begin anew at its offset, forget the state (`reset` of the
 * verbs), apply it. `done` runs once, later: OK, CORRUPT (nothing was changed), IO. A
 * crash in between leaves the old state or the new one. Nothing else may be asked of the
 * machine meanwhile. */
struct machine_install {
    void (*done)(struct machine_install *i, enum status status);
    struct bytes data; /* stays the owner's */
    int64_t offset;
    int32_t epoch;
    struct machine *machine;
    struct snapshot_write write;
};

void machine_install(struct machine *m, struct machine_install *i);

/* Forget everything, the snapshots too: log and state begin anew at offset 0. Entries
 * hear NOT_LEADER. False until that is so on disk: call again. `*begun`: this call has
 * taken the log, machine_log is another one; nothing may be appended to it before true. A
 * crash in between leaves the old state, perhaps without the log behind its snapshot. */
bool machine_forget(struct machine *m, bool *begun);
