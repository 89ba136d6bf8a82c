/* SPDX-License-Identifier: Apache-2.0
 *
 * What recovery may take for granted: for every log, up to where its segment files are
 * written and synced. Each shard replaces its own `checkpoint-<shard>` as a whole before
 * it lets go of journal space; recovery folds them and the journals into one
 * `checkpoint`. A shard's word is newer than the common one, and it also names the logs
 * that it deleted.
 *
 * This page is the content; checkpoints.c brings it to disk while the store runs. */
#pragma once

#include "proto/base/map.h"
#include "storage/epochs.h"
#include "storage/journal.h"
#include "storage/producers.h"

#define CHECKPOINT_COMMON "checkpoint"

/* Where a log stands in its files. */
struct log_state {
    int64_t first;     /* base of its oldest segment */
    int64_t start;     /* first readable offset */
    int64_t last;      /* base of the segment that is being written */
    uint64_t position; /* its good bytes */
    int64_t next;      /* the offset that follows them */
};

struct checkpoint_log {
    struct log_id id;
    bool unread; /* nobody knows its state: its files tell */
    struct log_state state;
    struct epochs epochs;
    struct producers *producers; /* NULL: none */
};

/* Encoding: begin, any number of logs, finish. */
void checkpoint_begin(struct writer *w);
/* Epochs and producers' batches at or after `state->next` are left out: not on disk yet.
 */
void checkpoint_add(struct writer *w, const struct log_id *id,
                    const struct log_state *state, const struct epochs *epochs,
                    const struct producers *producers);
void checkpoint_add_deleted(struct writer *w, const struct log_id *id);
void checkpoint_finish(struct writer *w);

/* Fold a checkpoint into `logs`, a map from id to struct checkpoint_log: later ones win,
 * deletions remove. CORRUPT, and nothing is changed, if the bytes are not a whole
 * checkpoint. */
STATUS_MUST_CHECK enum status checkpoint_decode(struct bytes data, struct map *logs);

/* The entry for `id`, made if there is none. */
struct checkpoint_log *checkpoint_get(struct map *logs, const struct log_id *id);
void checkpoint_forget(struct map *logs, const struct log_id *id);
void checkpoint_free(struct map *logs);
