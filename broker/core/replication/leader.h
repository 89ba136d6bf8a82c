/* SPDX-License-Identifier: Apache-2.0
 *
 * What a leader knows of its partition's replicas, and what follows from it: the high
 * watermark, and who should be in sync. Pure: it is told of fetches, acknowledgements and
 * time, and says what to do.
 *
 * Two things must come together before a replica counts for an offset: its log is the
 * same as ours up to there (`matched`: a fetch under this leader epoch was validated),
 * and it is on its disk (`claimed`). They travel separately and may overtake each other,
 * so both are kept and the smaller one counts.
 *
 * The set that the watermark waits for is the largest that may be in sync: the committed
 * one, and whoever we have proposed to add from the moment the proposal leaves. A
 * proposal whose outcome is unknown stays pending and is repeated; only a definite
 * refusal or newer metadata ends it (D6, D9 to D11 of the reference; KIP-497, KIP-841,
 * KIP-903). */
#pragma once

#include "broker/core/image.h"
#include "proto/base/time.h"

struct leader;

/* Begin an epoch: nothing is known of anybody but ourselves. `end` is our log's end. */
struct leader *leader_new(int32_t self, const struct image_partition *record, int64_t end,
                          struct instant now);
void leader_free(struct leader *l);

/* Committed metadata of the same leader epoch: whoever has the larger partition epoch is
 * right. Who the replicas are is known from here only. */
void leader_update(struct leader *l, const struct image_partition *record,
                   struct instant now);

struct leader_fetch {
    int32_t node_id;
    int64_t broker_epoch;
    int64_t offset;  /* its log end: validated against ours by the caller */
    int64_t durable; /* it claims */
    int64_t our_end;
};

/* A replica fetched, with what it has proved to be the same as ours. False: it is none of
 * our replicas. */
bool leader_on_fetch(struct leader *l, const struct leader_fetch *f, struct instant now);
/* A replica acknowledged. */
bool leader_on_ack(struct leader *l, int32_t node_id, int64_t broker_epoch,
                   int64_t durable);

/* The watermark by the evidence, `ours` being our own durable end; not below `before`,
 * and not moving while fewer than `min_in_sync` are in sync. */
int64_t leader_watermark(const struct leader *l, int64_t ours, int64_t before,
                         int32_t min_in_sync);

/* Somebody else is in sync, or is to be. */
bool leader_waits_for_others(const struct leader *l);

/* Somebody else in sync does not hold everything up to our end, as far as we know: it may
 * fall behind. */
bool leader_is_ahead(const struct leader *l, int64_t our_end);

/* Time alone may give leader_propose something to say: somebody may fall behind, or a
 * proposal has to be repeated. */
bool leader_is_unsettled(const struct leader *l, int64_t our_end);

/* Some replica is not in sync. */
bool leader_has_outsiders(const struct leader *l);

/* Who should be in sync, if that is not who is: false if nothing is to be proposed now
 * (also while a proposal is under way). `image` tells who is active and with which broker
 * epoch. Members come in `in_sync` with `epochs`. From now on it is pending. */
struct leader_proposal {
    int32_t in_sync[32];
    int64_t epochs[32];
    size_t count;
    int32_t partition_epoch;
    bool recovered; /* after an unclean election: the log is whole again */
};

bool leader_propose(struct leader *l, const struct image *image, int64_t our_end,
                    int64_t high_watermark, int64_t lag_ms, struct instant now,
                    struct leader_proposal *out);

/* The controller's answer to the pending proposal: OK with what is committed now; a
 * definite refusal (the committed set holds again); or an unknown outcome (TIMED_OUT,
 * UNREACHABLE, NOT_CONTROLLER...: it stays pending and leader_propose repeats it). */
void leader_answered(struct leader *l, enum status status, int32_t partition_epoch,
                     const int32_t *in_sync, size_t count);

/* For fetches that want a nearer replica, and for operators. */
int64_t leader_replica_end(const struct leader *l, int32_t node_id); /* -1: unknown */
