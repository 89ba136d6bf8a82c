/* SPDX-License-Identifier: Apache-2.0
 *
 * Log + snapshot = a state machine that survives. The metadata and the groups are kept
 * this way: every change is a record in an ordinary log, the state is the fold over the
 * records, and from time to time the state is written down as a snapshot so that the log
 * before it may go. Snapshots are made of the same records, so there is one way to build
 * the state.
 *
 * The machine appends and applies; *when* a record counts as committed is decided above
 * it (a quorum; for now the quorum of one, for which durable is committed). Order is
 * strict: records are applied in log order, each exactly once, never before they are
 * committed. */
#pragma once

#include "storage/store.h"

struct machine;
struct machine_entry;

struct machine_verbs {
    /* A committed record (or one of a snapshot, then `offset` is -1). */
    enum status (*apply)(void *ctx, int64_t offset, struct bytes record);
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

/* Open the log, apply the newest whole snapshot and the records after it. Synchronous, at
 * start. CORRUPT if neither makes sense. */
STATUS_MUST_CHECK enum status machine_open(struct machine **out, struct store *s,
                                           struct disk *d,
                                           const struct machine_options *options);
/* Entries that still wait are forgotten: their owners close, too, and whether the records
 * will be there at the next start nobody knows. */
void machine_close(struct machine *m);

struct log *machine_log(const struct machine *m);
int64_t machine_applied(const struct machine *m); /* next offset to be applied */

/* A proposal that waits to be applied, embedded in whatever waits for it. */
typedef void machine_done(struct machine_entry *entry, enum status status);

struct machine_entry {
    machine_done *done; /* runs once, inside machine_commit, after its records' apply */
    TAILQ_ENTRY(machine_entry) link;
    int64_t last_offset;
};

/* Append `count` records as one batch: all of them will be applied, or none. */
void machine_propose(struct machine *m, const struct bytes *records, size_t count,
                     int32_t leader_epoch, struct instant now,
                     struct machine_entry *entry);

/* Everything before `offset` is committed now: apply it, then run the entries' `done`. */
void machine_commit(struct machine *m, int64_t offset);

/* Write a snapshot if one is due and trim the log up to it. Asynchronous inside. */
void machine_tick(struct machine *m, struct instant now);
