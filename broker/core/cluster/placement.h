/* SPDX-License-Identifier: Apache-2.0
 *
 * Where new replicas go: on brokers that hold the fewest, in racks that hold none of the
 * partition yet, and so that leaders are spread evenly. Pure. */
#pragma once

#include "broker/core/image.h"

/* Choose `replication` brokers for each of `count` new partitions, `replicas` has room
 * for count * replication; the first of each is its preferred leader. Draining brokers
 * only if the others do not suffice; fenced ones as a last resort.
 * INVALID_REPLICATION_FACTOR if fewer brokers are registered. */
STATUS_MUST_CHECK enum status placement_choose(const struct image *image, int32_t count,
                                               int32_t replication, int32_t *replicas);

/* Whether placement_replace would find one; quick. */
bool placement_has_home(const struct image *image, const int32_t *replicas, size_t count);
/* Another home for one replica: the best broker that is active, not draining, and holds
 * none of `replicas`; -1 if there is none. */
int32_t placement_replace(const struct image *image, const int32_t *replicas,
                          size_t count, int32_t leaving);
