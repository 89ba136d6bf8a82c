/* SPDX-License-Identifier: Apache-2.0
 *
 * At which offset each leader epoch of a log began. A follower that comes back asks where
 * its last epoch ended and so learns which of its records the leader never had (KIP-101,
 * KIP-279). */
#pragma once

#include <stdint.h>

struct epoch_start {
    int32_t epoch;
    int64_t offset;
};

struct epochs {
    struct epoch_start *list; /* both columns strictly rising */
    uint32_t count;
    uint32_t capacity;
};

void epochs_release(struct epochs *e);

/* A batch of `epoch` begins at `offset`, the log's end: remembered if the epoch is new.
 * A smaller epoch than the newest one changes nothing. */
void epochs_note(struct epochs *e, int32_t epoch, int64_t offset);

/* The log ends at `offset` now. */
void epochs_truncate(struct epochs *e, int64_t offset);

/* The log starts at `offset` now: the epoch that it lies in begins there. */
void epochs_trim(struct epochs *e, int64_t offset);

/* The newest epoch, -1 if there is none. */
int32_t epochs_last(const struct epochs *e);

/* The largest epoch that is not above `epoch`, and where the one after it begins (`end`
 * if it is the last). -1, -1 if there is none. */
void epochs_end(const struct epochs *e, int32_t epoch, int64_t end, int32_t *found,
                int64_t *end_offset);
