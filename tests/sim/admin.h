/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator: makes the topics, and in some worlds goes on to delete and make them
 * again under the same name, add partitions, move them, elect preferred leaders, drain
 * brokers and change who votes. Whether it works out is not its concern. In the end it
 * undoes what would keep a cluster from being well. */
#pragma once

#include "tests/sim/client.h"

struct admin;

struct admin *admin_new(struct town *town, int number, uint64_t seed);
bool admin_is_done(const struct admin *a, char why[static 200]);
