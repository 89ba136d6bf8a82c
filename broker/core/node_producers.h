/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids for producers (KIP-98). The controller gives them away in blocks that nobody ever
 * gets again; a broker hands them out one by one, and asks for the next block when its
 * own is used up. Lives on shard 0; what is left of a block is forgotten with the
 * process. */
#pragma once

#include "broker/core/request.h"

struct producer_ids;
struct node;

struct producer_ids *producer_ids_new(struct node *n);
/* No call may be under way. */
void producer_ids_free(struct producer_ids *p);
/* Answer an INIT_PRODUCER, perhaps later. */
void producer_ids_request(struct producer_ids *p, struct request *r);
