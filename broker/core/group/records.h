/* SPDX-License-Identifier: Apache-2.0
 *
 * Records on their way into the group log: what a decision produces, packed, in order, to
 * be proposed as one batch. */
#pragma once

#include "broker/core/group/share.h"
#include "proto/base/arena.h"
#include "proto/rpc/group.pb-c.h"

struct records {
    struct arena arena;
    struct bytes *items;
    size_t count, capacity;
};

void records_init(struct records *r);
void records_release(struct records *r);

void records_group(struct records *r, Leat__Group__Group *group);
void records_remove_group(struct records *r, const char *name);
void records_member(struct records *r, Leat__Group__Member *member);
void records_remove_member(struct records *r, Leat__Group__RemoveMember *remove);
/* `assignment` without its two lists, which are made from the shares. */
void records_assignment(struct records *r, Leat__Group__Assignment *assignment,
                        const struct share *assigned, const struct share *revoking);
void records_offset(struct records *r, Leat__Group__Offset *offset, struct uuid topic);
void records_remove_offset(struct records *r, const char *group, struct uuid topic,
                           int32_t partition);
void records_remove_topic(struct records *r, struct uuid topic);
