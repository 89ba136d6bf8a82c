/* SPDX-License-Identifier: Apache-2.0
 *
 * What the leaders of a shard propose about who is in sync, on its way to the controller:
 * gathered at the end of the turn into one ALTER_PARTITIONS, one of them under way at a
 * time, repeated until there is a definite answer. */
#pragma once

#include "broker/core/partition.h"

struct isr_link;
struct node;

struct isr_link *isr_link_new(struct node *n);
/* No call may be under way. */
void isr_link_free(struct isr_link *l);
/* A leader here may have something to propose. */
void isr_link_look(struct isr_link *l);
/* End of the turn: send what has gathered. */
void isr_link_turn(struct isr_link *l, struct instant now);
