/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a reader without a group begins in each partition, and where the partitions ended
 * when it began: what -O and -e of leat consume mean. */
#pragma once

#include "tools/leat/session.h"

struct start {
    leat_offset *from; /* one row per partition, `offset` resolved */
    leat_offset *ends;
    size_t count;
    leat_reply *partitions; /* the topic names live here */
};

/* Look up the partitions of the command's topics and resolve -O for each. Prints its own
 * errors. */
int start_resolve(struct invocation *i, struct start *s);
void start_release(struct start *s);

/* Every partition was read to where it ended. */
bool start_is_reached(const struct start *s, leat_consumer *consumer);
/* The record was written after the start. */
bool start_is_past(const struct start *s, const leat_record *record);

/* -O as auto.offset.reset has it, for groups: "earliest", "latest", "@ms"; NULL if it is
 * none of these. The text is static or the argument. */
const char *start_as_reset(const char *where);
