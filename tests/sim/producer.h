/* SPDX-License-Identifier: Apache-2.0
 *
 * A producer writes to all partitions that it knows of, several batches in flight to
 * each, and sends again whatever it heard no good of, with the same sequence numbers and
 * in the same order. A careful one waits for all replicas and has an id; a careless one
 * is content with the leader and may store things twice. */
#pragma once

#include "tests/sim/client.h"

struct producer;

struct producer *producer_new(struct town *town, int number, uint64_t seed, bool careful);
/* Everything that it ever began was answered. If not, `why` says what was not. */
bool producer_is_done(const struct producer *p, char why[static 200]);
