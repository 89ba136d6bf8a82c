/* SPDX-License-Identifier: Apache-2.0
 *
 * A question about offsets (offsets.h) to the broker that leads the partition. */
#pragma once

#include "broker/core/offsets.h"

struct node;

/* `end` runs once, later, when the question has its answer. */
void offset_ask_leader(struct node *n, struct offset_query *q,
                       struct offset_question *question,
                       void (*end)(struct offset_query *q));
