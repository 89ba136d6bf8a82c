/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quorum/voters.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void push(struct voters *v, int64_t offset, const struct voter *set, size_t count)
{
    struct voter_set *s;

    v->sets = must_realloc(v->sets, (v->count + 1) * sizeof *v->sets);
    s = &v->sets[v->count++];
    *s = (struct voter_set){.offset = offset, .count = count};
    s->voters = must_zalloc((count + 1) * sizeof *s->voters);
    if (count > 0)
        memcpy(s->voters, set, count * sizeof *set);
}

static void drop(struct voters *v, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        free(v->sets[i].voters);
    memmove(&v->sets[from], &v->sets[to], (v->count - to) * sizeof *v->sets);
    v->count -= to - from;
}

void voters_init(struct voters *v, const struct voter *configured, size_t count)
{
    *v = (struct voters){.configured = true};
    push(v, -1, configured, count);
}

void voters_release(struct voters *v)
{
    drop(v, 0, v->count);
    free(v->sets);
}

void voters_append(struct voters *v, int64_t offset, const struct voter *set,
                   size_t count)
{
    CHECK(offset > voters_newest(v)->offset);
    push(v, offset, set, count);
}

void voters_truncate(struct voters *v, int64_t offset)
{
    while (v->count > 1 && voters_newest(v)->offset >= offset)
        drop(v, v->count - 1, v->count);
}

void voters_commit(struct voters *v, int64_t offset)
{
    while (v->count > 1 && v->sets[1].offset < offset) {
        drop(v, 0, 1);
        v->configured = false;
    }
}

void voters_restart(struct voters *v, const struct voter *set, size_t count)
{
    if (count == 0) {
        voters_truncate(v, 0);
        return;
    }
    drop(v, 0, v->count);
    v->configured = false;
    push(v, -1, set, count);
}

const struct voter_set *voters_newest(const struct voters *v)
{
    return &v->sets[v->count - 1];
}

bool voters_may_stand(const struct voters *v, struct raft_key self)
{
    const struct voter_set *before = &v->sets[v->count > 1 ? v->count - 2 : 0];
    const struct voter_set *newest = voters_newest(v);

    if (voter_find(newest, self) != NULL)
        return true;
    /* The configured set fits any directory, but by now the log knows the right one. */
    for (size_t i = 0; i < newest->count; i++)
        if (newest->voters[i].node_id == self.node_id)
            return false;
    return voter_find(before, self) != NULL;
}

bool voters_are_configured(const struct voters *v)
{
    return v->configured && v->count == 1;
}

const struct voter *voter_find(const struct voter_set *set, struct raft_key key)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct voter *v = &set->voters[i];

        if (v->node_id == key.node_id &&
            (uuid_is_zero(v->directory) || uuid_equal(v->directory, key.directory)))
            return v;
    }
    return NULL;
}

static int by_node(const void *left, const void *right)
{
    int32_t a = ((const struct voter *)left)->node_id;
    int32_t b = ((const struct voter *)right)->node_id;

    return (a > b) - (a < b);
}

/* FNV-1a, from two beginnings: it guards against mistakes, not against malice. */
static uint64_t fold(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
    return hash;
}

void voters_name(const struct voter *set, size_t count, uint8_t name[static VOTERS_NAME])
{
    uint64_t low = 0xcbf29ce484222325, high = 0x84222325cbf29ce4;
    struct voter *sorted = must_zalloc((count + 1) * sizeof *sorted);
    char line[ENDPOINT_HOST + 32];

    if (count > 0)
        memcpy(sorted, set, count * sizeof *set);
    qsort(sorted, count, sizeof *sorted, by_node);
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "%d@%s:%u\n", sorted[i].node_id, sorted[i].at.host,
                 sorted[i].at.port);
        low = fold(low, line);
        high = fold(high * 31, line);
    }
    store_u64(name, high);
    store_u64(name + 8, low);
    free(sorted);
}
