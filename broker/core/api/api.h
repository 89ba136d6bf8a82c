/* SPDX-License-Identifier: Apache-2.0
 *
 * One handler per request, each in a file of its own; dispatch.c knows them all. A
 * handler answers or refuses its request exactly once, inside the call or later. */
#pragma once

#include "broker/core/node_state.h"
#include "broker/core/request.h"

#define HANDLER(stem) void handle_##stem(struct node *n, struct request *r)

HANDLER(hello);
HANDLER(metadata);
HANDLER(produce);
HANDLER(fetch);
HANDLER(list_offsets);
HANDLER(create_topic);
HANDLER(delete_topic);
HANDLER(alter_topic);
HANDLER(trim);
HANDLER(describe_logs);
HANDLER(describe_config);
HANDLER(alter_config);
HANDLER(init_producer);
HANDLER(find_coordinator);
HANDLER(fetch_snapshot);
HANDLER(replica_fetch);
HANDLER(replica_ack);
HANDLER(group);
HANDLER(controller);
HANDLER(quorum);

/* The request's header as the message that it is. */
#define REQUEST_AS(type, r) ((const type *)(const void *)(r)->header)

/* A message of an answer from the request's arena; NULL when that is at its limit. */
#define ANSWER_NEW(Type, prefix, r)                       \
    ({                                                    \
        Type *answer_ = request_alloc((r), sizeof(Type)); \
        if (answer_ != NULL)                              \
            prefix##__init(answer_);                      \
        answer_;                                          \
    })

/* `count` messages and the array of pointers to them that protobuf-c wants. */
#define ANSWER_ARRAY(Type, prefix, r, count)                                             \
    ({                                                                                   \
        size_t count_ = (count);                                                         \
        Type **list_ = request_alloc((r), count_ * (sizeof(Type) + sizeof(Type *)) + 1); \
        Type *each_ = list_ ? (Type *)(void *)(list_ + count_) : NULL;                   \
        for (size_t i_ = 0; list_ != NULL && i_ < count_; i_++) {                        \
            prefix##__init(&each_[i_]);                                                  \
            list_[i_] = &each_[i_];                                                      \
        }                                                                                \
        list_;                                                                           \
    })

/* For when the arena gave nothing. */
void request_refuse_memory(struct request *r);
