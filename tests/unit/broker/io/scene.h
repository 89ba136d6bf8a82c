/* SPDX-License-Identifier: Apache-2.0
 *
 * A scene for tests of the front end: one connection over a socket pair, its peer, and a
 * fake node behind it, all in one thread and with a clock of their own. What the peer
 * says is put together with say_..., what it hears is looked at with scene_heard. */
#pragma once

#include "broker/io/connection.h"
#include "proto/rpc/frame.h"

struct scene {
    struct event_base *base;
    struct config config;
    struct metrics metrics;
    struct secret secret; /* of the cluster; none at first */
    atomic_uint total;
    struct connections set;
    struct node *node;
    struct instant now;
    int peer;
    struct writer got; /* what the peer has read */
    bool closed;       /* the peer read the end */
    struct bytes rest; /* what the peer could not send any more */
};

enum { SCENE_NODE = 2 };

struct scene *scene_start(const char *buffer_bytes, const char *memory);
/* Somebody else calls. Returns the socket of the peer before, the caller's from now on.
 */
int scene_connect(struct scene *t);
void scene_stop(struct scene *t);

/* Turns until there is nothing to do but wait. */
void scene_settle(struct scene *t);
void scene_read(struct scene *t);
/* Send it all, letting the broker's side read meanwhile; false if it stops reading. */
bool scene_send(struct scene *t, const void *data, size_t len);
void scene_pass(struct scene *t, int64_t ms);

void say_preface(struct writer *w);
void say(struct writer *w, enum rpc_api api, unsigned flags, uint32_t correlation,
         const ProtobufCMessage *header, size_t payload);
void say_hello(struct writer *w);
void say_metadata(struct writer *w, uint32_t correlation);
void say_produce(struct writer *w, uint32_t correlation, size_t payload);
void say_fetch(struct writer *w, uint32_t correlation, uint32_t bytes);

struct heard {
    unsigned answers, errors;
    uint32_t last_correlation;
    int last_error;
    struct bytes last_header;
    size_t payload;
    bool whole; /* it ends where a frame ends */
};

struct heard scene_heard(struct scene *t);
