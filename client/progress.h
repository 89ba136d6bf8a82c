/* SPDX-License-Identifier: Apache-2.0
 *
 * How far one partition has been read, worked on and committed. At least once rests on
 * the difference between the three: a record that was handed out is not done, and only
 * what is done is ever committed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* All are offsets of "the next one", so "done 7" says that 0 to 6 are done. -1: none. */
struct progress {
    int64_t position;   /* the next record to hand out; -1: must be looked up first */
    int64_t done;       /* records below are done; -1: none since the start or a seek */
    int64_t committed;  /* what the group holds, as far as we know */
    int64_t committing; /* the highest one on its way to the group */
};

/* Begin at `position`; the group has `committed`, or -1. */
void progress_start(struct progress *p, int64_t position, int64_t committed);

/* Records below `next` were handed out. */
void progress_hand_out(struct progress *p, int64_t next);

/* The program asked for more: what it was handed out is done. */
void progress_finish(struct progress *p);

/* The program says that the record at `offset` is done, and those before it. Records
 * that lie beyond the position were read before a seek: they say nothing any more. */
void progress_ack(struct progress *p, int64_t offset);

/* Go on from elsewhere (-1: to be looked up). What was done there stays committed, but
 * nothing is done here yet. */
void progress_seek(struct progress *p, int64_t offset);

/* What should be committed now, or -1 for nothing. An automatic commit never takes the
 * group back; one that the program asks for may, after a seek. What is merely on its way
 * counts as not committed: sending it again does no harm. */
int64_t progress_to_commit(const struct progress *p, bool automatic);

/* A commit of `offset` goes out; comes back, accepted or not. */
void progress_commit_begin(struct progress *p, int64_t offset);
void progress_commit_end(struct progress *p, int64_t offset, bool accepted);
