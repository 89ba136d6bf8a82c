/* SPDX-License-Identifier: Apache-2.0
 *
 * What creating, deleting, altering and trimming have in common: a proposal to the
 * metadata quorum on behalf of a request, answered once every shard knows of the change.
 */
#pragma once

#include "broker/core/api/api.h"
#include "broker/core/quorum/quorum.h"

struct topic_change {
    struct proposal proposal;
    struct request *request;
    ProtobufCMessage *answer; /* filled by decide */
    int64_t *metadata_offset; /* in it: as far as the change reaches */
    bool validate_only;
    struct barrier *barrier;
};

/* Refuses the request itself when there is no memory. `t` comes from its arena; `answer`
 * is NULL when the arena was at its limit. */
void topic_change_start(struct node *n, struct request *r, struct topic_change *t,
                        ProtobufCMessage *answer,
                        enum status (*decide)(struct proposal *p, struct change *c));
