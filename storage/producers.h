/* SPDX-License-Identifier: Apache-2.0
 *
 * What a log remembers of its producers (KIP-98): for each the epoch and the newest
 * batches, as many as it may have in flight, so that a batch that is sent once more is
 * known again. A pure table, fed with every batch of the log in order, on the leader and
 * on followers alike; the checkpoint carries it from one start to the next.
 *
 * A producer of whom nothing was heard for long is forgotten, and so is the one that was
 * silent for longest when there are too many. A table that is not there (NULL) is an
 * empty one. */
#pragma once

#include "proto/record/batch.h"

struct producers;

enum { PRODUCER_BATCHES = 5, PRODUCERS_MAX = 32768 };

void producers_free(struct producers *t);
size_t producers_count(const struct producers *t);

/* The table does not know all that was ever sent: it begins in the middle of the log. Who
 * is not in it may have been there before, and goes on with any sequence, as if nothing
 * were missing. */
void producers_begin_late(struct producers **t);

/* Whether `b` may follow what its producer sent before. OK; DUPLICATE_SEQUENCE, and where
 * it lies; OUT_OF_ORDER_SEQUENCE, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER. */
STATUS_MUST_CHECK enum status producers_check(const struct producers *t,
                                              const struct batch *b, int64_t *base,
                                              int64_t *next);

/* A batch was appended. Nothing is checked, the leader did. `wall_ms` -1: not known. The
 * table is made when it is needed. */
void producers_record(struct producers **t, const struct batch *b, int64_t wall_ms);

/* The log ends at `offset` now. Of a producer all of whose known batches are gone it
 * stays known which sequence comes next. */
void producers_cut(struct producers *t, int64_t offset);

/* Forget who was silent for `silent_ms`; time begins to run at the first call. */
void producers_expire(struct producers *t, int64_t silent_ms, int64_t wall_ms);

/* The table as it was at `upto`. */
void producers_write(struct writer *w, const struct producers *t, int64_t upto);
/* Take it back, as of `upto`. False, and no table, if the bytes make no sense. */
bool producers_read(struct reader *r, int64_t upto, struct producers **out);
