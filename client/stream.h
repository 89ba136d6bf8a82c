/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a connection: requests out with writev, frames in through large shared
 * buffers. Private to connection.c and stream.c; entered with the lock held, which is let
 * go of while bytes move. */
#pragma once

#include "client/connection.h"

struct request {
    TAILQ_ENTRY(request) link;
    struct connection *connection;
    enum rpc_api api;
    uint16_t flags;
    uint32_t correlation;
    uint8_t *head; /* frame head and protobuf header */
    size_t head_len;
    struct slice *payload;
    size_t payload_count;
    size_t written; /* bytes of head and payload that went out */
    bool inflight;  /* in the list of that name, else in `waiting` */
    bool busy;      /* its bytes are in use without the lock */
    int64_t expires_ms;
    void *owner;
    request_done_fn *done; /* NULL: abandoned */
};

void stream_read(struct connection *c);
void stream_write(struct connection *c);

/* Take it off its list, tell its owner, free it. */
void request_finish(struct connection *c, struct request *r, const struct answer *answer);

/* Lose the connection at the end of the handler; the first reason counts. */
void connection_lose(struct connection *c, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* connect() has an outcome. */
void connection_connected(struct connection *c);
