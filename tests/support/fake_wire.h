/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker, all its shards, in one thread and without sockets: requests go in as
 * messages, answers come out as lines of a transcript, errands between the shards travel
 * through queues, and time stands still until a test moves it.
 *
 *     fetch#2: topics={name='t' partitions={high_watermark=1 batch_bytes=70}} [0..0]
 *
 * A line names the request and its number, then its answer, then the offsets of the
 * batches that came with it. */
#pragma once

#include "broker/core/node.h"
#include "proto/base/buf.h"

enum { SHARDS_MAX = 4 };

struct fake_wire;
struct fake_media;

/* One broker among several: who it is, and whoever carries its calls to the others. */
struct fake_wire_place {
    int32_t node_id;
    const char *rack;
    const struct voter *controllers;
    size_t controller_count;
    void (*call)(void *ctx, struct peer_call *c);
    /* The broker ends: end its calls; false if there are none. */
    bool (*hang_up)(void *ctx);
    void *ctx;
};

/* Begin with an empty disk. */
struct fake_wire *fake_wire_new(unsigned shards);
struct fake_wire *fake_wire_new_at(unsigned shards, const struct fake_wire_place *place);
void fake_wire_free(struct fake_wire *w);

/* A broker on the disk as it is; and its clean end. */
void fake_wire_open(struct fake_wire *w);
void fake_wire_close(struct fake_wire *w);

/* The end of a broker whose disk is dead: nothing is written any more. */
void fake_wire_break(struct fake_wire *w);

/* The beginning of a broker with one shard whose disk may fail, after recovery; it ends
 * at once if it began. False with the reason. */
bool fake_wire_try(struct fake_wire *w, char why[static 256]);

/* One request, to the shard of some connection. The header is packed and unpacked as on
 * the way from a client; `payload` is copied. */
void fake_wire_ask(struct fake_wire *w, unsigned shard, enum rpc_api api,
                   const ProtobufCMessage *header, struct bytes payload);

/* The next requests come from this broker; -1: from clients again. */
void fake_wire_pose_as(struct fake_wire *w, int32_t peer);

/* Turns, without the disk: what a broker can do while the disk is busy. */
void fake_wire_turn(struct fake_wire *w);
/* Turns until nothing moves any more, the disk included. */
void fake_wire_run(struct fake_wire *w);
/* Time passes, then everything runs. */
void fake_wire_pass_ms(struct fake_wire *w, int64_t ms);

/* For those who run several: one turn; and the time, which then is theirs. */
bool fake_wire_step(struct fake_wire *w);
void fake_wire_clock(struct fake_wire *w, struct instant now);
struct instant fake_wire_now(const struct fake_wire *w);

/* What was answered since the last call. */
const char *fake_wire_said(struct fake_wire *w);
/* How many requests have no answer yet. */
unsigned fake_wire_open_requests(const struct fake_wire *w);

struct node *fake_wire_node(struct fake_wire *w, unsigned shard);
struct config *fake_wire_config(struct fake_wire *w);
struct metrics *fake_wire_metrics(struct fake_wire *w, unsigned shard);
struct fake_media *fake_wire_media(struct fake_wire *w); /* see fake_store.h */
/* The newest answer, valid until the next one. */
const ProtobufCMessage *fake_wire_answer(const struct fake_wire *w);
/* "" or what on_failed was told. */
const char *fake_wire_failure(const struct fake_wire *w);
