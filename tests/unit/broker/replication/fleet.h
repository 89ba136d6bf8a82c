/* SPDX-License-Identifier: Apache-2.0
 *
 * Several brokers in one thread, each a fake_wire with a disk of its own, and the network
 * between them: calls travel at once unless a test has cut the line. Broker 1 is the only
 * voter of the metadata quorum; what is tested here happens among the others.
 *
 * Time passes in steps of a millisecond, so that whatever waits for each other comes to
 * rest in between. */
#pragma once

#include "broker/core/partition.h"
#include "tests/unit/broker/asks.h"

enum { FLEET_MAX = 4 };

struct fleet;

/* Brokers 1 to `count`; racks "r1", "r2"... */
struct fleet *fleet_new(int32_t count, unsigned shards);
void fleet_free(struct fleet *f);

struct fake_wire *fleet_wire(struct fleet *f, int32_t node_id);
void fleet_pass_ms(struct fleet *f, int64_t ms);

/* The line between two brokers: nothing passes, in both directions. */
void fleet_cut(struct fleet *f, int32_t a, int32_t b);
void fleet_heal(struct fleet *f);

/* Answers of broker `from` to replicas pass through here before they leave: a leader that
 * errs, or a network that does not keep what it is given. NULL: nothing is changed. */
typedef void fleet_forge(Leat__ReplicaFetchResponse *answer, struct writer *payload);
void fleet_forge_answers(struct fleet *f, int32_t from, fleet_forge *forge);

/* A broker ends cleanly, and comes again as another process. */
void fleet_stop(struct fleet *f, int32_t node_id);
void fleet_start(struct fleet *f, int32_t node_id);
/* Its disk is held: nothing becomes durable. */
void fleet_hold_disk(struct fleet *f, int32_t node_id, bool held);

/* A topic of one partition with these replicas, the first leads. */
void fleet_create(struct fleet *f, const char *name, const int32_t *replicas,
                  size_t count, const char *min_in_sync);
void fleet_move(struct fleet *f, const char *name, const int32_t *replicas, size_t count);
/* Elect leaders: of all topics the preferred one, or of this one anybody. */
void fleet_elect(struct fleet *f, const char *name, bool unclean);
/* acks=all, to a broker. */
void fleet_produce(struct fleet *f, int32_t node_id, const char *topic, int32_t records);

/* The partition's part on a broker, NULL if it has none. */
struct partition *fleet_partition(struct fleet *f, int32_t node_id, const char *topic);
/* "leader 2 epoch 1 in-sync 2,3", by the image of broker 1. */
const char *fleet_tell(struct fleet *f, const char *topic);
/* "start..hw/end" on that broker. */
const char *fleet_log(struct fleet *f, int32_t node_id, const char *topic);
/* How many calls of that kind have left since the last question. */
unsigned fleet_calls(struct fleet *f, enum rpc_api api);
