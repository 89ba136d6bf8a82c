/* SPDX-License-Identifier: Apache-2.0
 *
 * What the leaders of a shard propose about who is in sync, on its way to the controller:
 * gathered at the end of the turn into one ALTER_PARTITIONS, one of them under way at a
 * time, repeated until there is a definite answer.
 *
 * It keeps a list of the leaders that may have something to propose: those that said so,
 * and those of which somebody in sync lacks records and may fall behind. All others cost
 * nothing, however many there are. */
#pragma once

#include "broker/core/partition.h"

struct isr_link;
struct node;

struct isr_link *isr_link_new(struct node *n);
/* No call may be under way. */
void isr_link_free(struct isr_link *l);
/* A leader here may have something to propose now. */
void isr_link_look(struct isr_link *l, struct partition *p);
/* Or later, when time has passed. */
void isr_link_watch(struct isr_link *l, struct partition *p);
/* It is in the list, and ends. */
void isr_link_forget(struct isr_link *l, struct partition *p);
/* End of the turn: send what has gathered. */
void isr_link_turn(struct isr_link *l, struct instant now);
