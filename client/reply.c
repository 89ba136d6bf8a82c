/* SPDX-License-Identifier: Apache-2.0 */
#include "client/reply.h"

#include "proto/base/check.h"
#include "proto/base/uuid.h"

#include <stdlib.h>
#include <string.h>

static const size_t row_size[] = {
    [REPLY_BROKERS] = sizeof(leat_cluster_row),
    [REPLY_PARTITIONS] = sizeof(leat_partition_row),
    [REPLY_CONFIG] = sizeof(leat_config_row),
    [REPLY_GROUPS] = sizeof(leat_group_row),
    [REPLY_MEMBERS] = sizeof(leat_member_row),
    [REPLY_GROUP_OFFSETS] = sizeof(leat_group_offset_row),
    [REPLY_BROKER_STATES] = sizeof(leat_broker_row),
    [REPLY_QUORUM] = sizeof(leat_quorum_row),
    [REPLY_OUTCOMES] = sizeof(leat_outcome_row),
};

struct leat_reply *reply_new(enum reply_kind kind)
{
    struct leat_reply *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->kind = kind;
    arena_init(&r->arena, 0);
    return r;
}

void leat_reply_free(leat_reply *reply)
{
    if (reply == NULL)
        return;
    arena_release(&reply->arena);
    free(reply);
}

size_t leat_reply_len(const leat_reply *reply)
{
    return reply != NULL ? reply->len : 0;
}

bool reply_reserve(struct leat_reply *r, size_t max)
{
    r->len = 0;
    r->max = max;
    r->rows = arena_zalloc(&r->arena, (max + 1) * row_size[r->kind]);
    return r->rows != NULL;
}

void *reply_row(struct leat_reply *r)
{
    CHECK(r->len < r->max);
    return (char *)r->rows + row_size[r->kind] * r->len++;
}

static const void *row_at(const leat_reply *r, enum reply_kind kind, size_t index)
{
    if (r == NULL || r->kind != kind || index >= r->len)
        return NULL;
    return (const char *)r->rows + row_size[kind] * index;
}

const leat_cluster_row *leat_reply_broker(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_BROKERS, index);
}

const leat_partition_row *leat_reply_partition(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_PARTITIONS, index);
}

const leat_config_row *leat_reply_config(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_CONFIG, index);
}

const leat_group_row *leat_reply_group(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_GROUPS, index);
}

const leat_member_row *leat_reply_member(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_MEMBERS, index);
}

const leat_group_offset_row *leat_reply_group_offset(const leat_reply *reply,
                                                     size_t index)
{
    return row_at(reply, REPLY_GROUP_OFFSETS, index);
}

const leat_broker_row *leat_reply_broker_state(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_BROKER_STATES, index);
}

const leat_quorum_row *leat_reply_quorum(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_QUORUM, index);
}

const leat_outcome_row *leat_reply_outcome(const leat_reply *reply, size_t index)
{
    return row_at(reply, REPLY_OUTCOMES, index);
}

char *reply_text(struct leat_reply *r, const char *text)
{
    return arena_text(&r->arena, text, strlen(text));
}

char *reply_uuid(struct leat_reply *r, struct bytes id)
{
    struct uuid u = {0};
    char text[UUID_TEXT];

    uuid_from(id, &u);
    uuid_format(u, text);
    return reply_text(r, text);
}

int32_t *reply_numbers(struct leat_reply *r, const int32_t *numbers, size_t count)
{
    int32_t *copy = arena_alloc(&r->arena, (count + 1) * sizeof copy[0]);

    if (copy != NULL && count > 0)
        memcpy(copy, numbers, count * sizeof copy[0]);
    return copy;
}
