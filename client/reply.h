/* SPDX-License-Identifier: Apache-2.0
 *
 * A reply is a table of rows of one kind, with all the memory that its rows point to. */
#pragma once

#include "client/include/leat/leat.h"
#include "proto/base/arena.h"
#include "proto/base/bytes.h"

enum reply_kind {
    REPLY_BROKERS,
    REPLY_PARTITIONS,
    REPLY_CONFIG,
    REPLY_GROUPS,
    REPLY_MEMBERS,
    REPLY_GROUP_OFFSETS,
    REPLY_BROKER_STATES,
    REPLY_QUORUM,
    REPLY_OUTCOMES,
};

struct leat_reply {
    enum reply_kind kind;
    struct arena arena;
    void *rows;
    size_t len;
    size_t max;
};

/* NULL without memory. */
struct leat_reply *reply_new(enum reply_kind kind);

/* Room for `max` rows, replacing those that are there. False without memory. */
bool reply_reserve(struct leat_reply *r, size_t max);
/* The next row, cleared; there must be room. */
void *reply_row(struct leat_reply *r);

/* Copies that live as long as the reply; NULL without memory. */
char *reply_text(struct leat_reply *r, const char *text);
char *reply_uuid(struct leat_reply *r, struct bytes id); /* 32 hex digits */
int32_t *reply_numbers(struct leat_reply *r, const int32_t *numbers, size_t count);
