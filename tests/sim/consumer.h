/* SPDX-License-Identifier: Apache-2.0
 *
 * A consumer that was given its partitions: reads each from its beginning, in order, for
 * as long as it lasts. What it got once can never become wrong. */
#pragma once

#include "tests/sim/client.h"

struct consumer;

struct consumer *consumer_new(struct town *town, int number, uint64_t seed);
/* It has read everything up to the committed end; if not, `why` says where it stands. */
bool consumer_is_done(const struct consumer *r, char why[static 200]);
