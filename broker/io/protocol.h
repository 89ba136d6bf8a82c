/* SPDX-License-Identifier: Apache-2.0
 *
 * A language that is spoken on the client port. The first bytes of a connection tell
 * which one it is; from then on the connection hands its input over message by message,
 * and gets requests and answers back. One port, any number of languages: a new one is a
 * row in connection.c's table. */
#pragma once

#include "broker/core/request.h"

struct connection;

/* A request on its way, with what is needed to answer it. */
struct call {
    struct request request;
    struct connection *connection;
    uint32_t correlation;
    size_t cost; /* memory that it holds, for the budgets */
    SLIST_ENTRY(call) link;
};

enum protocol_match { MATCH_NO, MATCH_MAYBE, MATCH_YES };

/* Received bytes that nobody has taken yet. They lie in `chunk`, and stay there as long
 * as somebody holds a reference to it. */
struct input {
    struct buf *chunk;
    const uint8_t *data;
    size_t len;
};

struct protocol {
    const char *name;

    /* Whether a connection that begins so speaks this language. */
    enum protocol_match (*match)(const uint8_t *first, size_t len);

    /* Take the message in front; returns its bytes, and is called again for the next. 0
     * when it is not whole yet: then `*whole` tells how long it will be, 0 if that cannot
     * be told either. */
    size_t (*take)(struct connection *c, struct input in, size_t *whole);

    /* Put the answer into the connection's output. */
    void (*answer)(struct connection *c, struct call *call);
};

extern const struct protocol native_protocol;
