/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files that make up the image share: how its parts leave memory, how they
 * become records, and how records about the cluster (not topics) are applied. */
#pragma once

#include "broker/core/image.h"
#include "proto/rpc/metadata.pb-c.h"

void topic_free(struct topic *topic);

/* A snapshot on its way out. */
struct image_emission {
    struct writer packed;
    void (*emit)(void *to, struct bytes record);
    void *to;
};

void image_emit(struct image_emission *s, const Leat__Metadata__Record *r);

/* image_cluster.c: brokers, voters, producer ids. */
void image_broker_free(struct image_broker *b);
void image_emit_cluster(struct image_emission *s, const struct image *image);
STATUS_MUST_CHECK enum status image_apply_broker(struct image *image, int64_t offset,
                                                 const Leat__Metadata__Broker *r);
STATUS_MUST_CHECK enum status image_apply_state(struct image *image,
                                                const Leat__Metadata__BrokerState *r);
STATUS_MUST_CHECK enum status image_apply_removal(struct image *image,
                                                  const Leat__Metadata__RemoveBroker *r);
STATUS_MUST_CHECK enum status image_apply_voters(struct image *image,
                                                 const Leat__Metadata__Voters *r);
