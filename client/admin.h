/* SPDX-License-Identifier: Apache-2.0
 *
 * One administrative question and its answer: built in an arena, asked with a call, taken
 * apart on the turner, waited for by the caller. Shared by admin_*.c. */
#pragma once

#include "client/client.h"
#include "client/reply.h"

struct admin;

/* Take what is needed out of the answer; runs on the turner with the lock held. Any
 * status but OK is the outcome; one that may pass is tried again. */
typedef enum status admin_take_fn(struct admin *a, const ProtobufCMessage *m);

struct admin {
    struct leat_client *client;
    struct arena arena; /* the request's memory */
    struct call call;
    admin_take_fn *take;
    struct leat_reply *reply; /* where `take` puts rows; NULL: there are none */
    bool out_of_memory;       /* building the request failed */
    bool finished;
    enum status status;
    char text[256];
};

/* LEAT_OK, or why not; admin_end must follow either way. */
int admin_begin(struct admin *a, leat_client *client, leat_error *error);
int admin_end(struct admin *a, int code);

/* As arena_zalloc, but remembers failure, which admin_ask then reports. At least one
 * element's room is given, so that protobuf's arrays are never NULL. */
void *admin_alloc(struct admin *a, size_t count, size_t size);

/* Ask and wait. `target` and `repeat` of a->call are the caller's. */
int admin_ask(struct admin *a, enum rpc_api api, const ProtobufCMessage *m,
              admin_take_fn *take, int timeout_ms, leat_error *error, const char *where);

/* Settings as the wire has them: set, and back to the default. */
struct admin_settings {
    Leat__ConfigEntry **set;
    size_t set_count;
    char **unset;
    size_t unset_count;
};

/* False if a key is missing. */
bool admin_settings(struct admin *a, const leat_setting *settings, size_t count,
                    struct admin_settings *out);
