/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/map.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>

enum { TOMBSTONE = UINT32_MAX };

/* FNV-1a with a final mix: keys are short names and ids. The table is bounded by what the
 * broker admits (topics, groups, members), so a fixed hash is no door for an attacker
 * who cannot also exceed those limits. */
static uint32_t hash_of(struct bytes key)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ key.data[i]) * 16777619u;
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    return h;
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_release(struct map *m)
{
    free(m->entries);
    free(m->index);
    *m = (struct map){0};
}

/* The slot that holds `key`, or NULL. */
static uint32_t *find(const struct map *m, struct bytes key, uint32_t hash)
{
    if (m->slots == 0)
        return NULL;
    for (size_t i = hash & (m->slots - 1);; i = (i + 1) & (m->slots - 1)) {
        uint32_t number = m->index[i];

        if (number == 0)
            return NULL;
        if (number == TOMBSTONE)
            continue;
        if (m->entries[number - 1].hash == hash &&
            bytes_equal(m->entries[number - 1].key, key))
            return &m->index[i];
    }
}

static void insert_slot(struct map *m, uint32_t hash, size_t number)
{
    size_t i = hash & (m->slots - 1);

    while (m->index[i] != 0)
        i = (i + 1) & (m->slots - 1);
    m->index[i] = (uint32_t)number;
}

/* New arrays without the holes, with room for as much again. */
static bool rebuild(struct map *m)
{
    size_t slots = 16;
    struct map_entry *entries;
    uint32_t *index;
    size_t len = 0;

    while (slots < m->count * 4)
        slots *= 2;
    entries = malloc(slots / 2 * sizeof *entries);
    index = calloc(slots, sizeof *index);
    if (entries == NULL || index == NULL) {
        free(entries);
        free(index);
        return false;
    }
    for (size_t i = 0; i < m->len; i++)
        if (m->entries[i].value != NULL)
            entries[len++] = m->entries[i];
    CHECK(len == m->count);
    free(m->entries);
    free(m->index);
    m->entries = entries;
    m->index = index;
    m->slots = slots;
    m->len = len;
    for (size_t i = 0; i < len; i++)
        insert_slot(m, entries[i].hash, i + 1);
    return true;
}

void *map_get(const struct map *m, struct bytes key)
{
    uint32_t *slot = find(m, key, hash_of(key));

    return slot ? m->entries[*slot - 1].value : NULL;
}

bool map_put(struct map *m, struct bytes key, void *value)
{
    uint32_t hash = hash_of(key);

    CHECK(value != NULL);
    CHECK(find(m, key, hash) == NULL);
    if (m->len == m->slots / 2 && !rebuild(m))
        return false;
    m->entries[m->len] = (struct map_entry){key, value, hash};
    m->len++;
    m->count++;
    insert_slot(m, hash, m->len);
    return true;
}

void *map_remove(struct map *m, struct bytes key)
{
    uint32_t *slot = find(m, key, hash_of(key));
    void *value;

    if (slot == NULL)
        return NULL;
    value = m->entries[*slot - 1].value;
    m->entries[*slot - 1].value = NULL;
    m->entries[*slot - 1].key = (struct bytes){0};
    *slot = TOMBSTONE;
    m->count--;
    return value;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->len) {
        void *value = m->entries[(*at)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}
