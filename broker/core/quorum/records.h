/* SPDX-License-Identifier: Apache-2.0
 *
 * The quorum's own records in the metadata log. */
#pragma once

#include "broker/core/quorum/raft.h"

/* The voters that a record names, up to RAFT_VOTERS_MAX; 0: it is another record, or none
 * that makes sense. */
size_t voters_unpack(struct bytes record, struct voter out[static RAFT_VOTERS_MAX]);
void voters_pack(struct writer *out, const struct voter *voters, size_t count);
void leader_change_pack(struct writer *out, int32_t leader, int32_t epoch);

/* An endpoint that somebody sent; false if it is none. */
bool endpoint_from(const char *host, uint32_t port, struct endpoint *out);
