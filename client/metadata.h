/* SPDX-License-Identifier: Apache-2.0
 *
 * The METADATA request and what its answer changes. Private to the cluster. */
#pragma once

#include "client/cluster.h"

/* The packed request for all topics that anybody asked for. */
STATUS_MUST_CHECK enum status metadata_request(const struct cluster *c,
                                               struct writer *out);

/* PROTOCOL if it contradicts itself; then nothing is changed. */
STATUS_MUST_CHECK enum status metadata_apply(struct cluster *c,
                                             const Leat__MetadataResponse *m);

struct node *cluster_find(struct cluster *c, int32_t node_id);
