/* SPDX-License-Identifier: Apache-2.0
 *
 * Somebody who keeps a place in a group of its own: commits ever larger offsets, and now
 * and then asks what is committed. The answer is the newest commit that was acknowledged,
 * or one since whose outcome nobody knows; never one before (S10). */
#pragma once

#include "tests/sim/client.h"

struct keeper;

struct keeper *keeper_new(struct town *town, int number, uint64_t seed);
/* What it committed last could be read. */
bool keeper_is_done(const struct keeper *m, char why[static 200]);
