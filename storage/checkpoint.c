/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/checkpoint.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/base/memory.h"
#include "storage/paths.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAGIC = 0x4c636b33, /* "Lck3" */
    HEADER = 8,         /* magic, checksum of all that follows */
    FLAG_DELETED = 1,
};

void checkpoint_begin(struct writer *w)
{
    write_u32(w, MAGIC);
    write_u32(w, 0);
}

static void write_id(struct writer *w, const struct log_id *id, uint8_t flags)
{
    write_u8(w, flags);
    write_bytes(w, id->topic, sizeof id->topic);
    write_i32(w, id->partition);
}

void checkpoint_add(struct writer *w, const struct log_id *id,
                    const struct log_state *state, const struct epochs *epochs,
                    const struct producers *producers)
{
    uint32_t count = epochs->count;

    CHECK(state->first <= state->last);
    CHECK(state->last <= state->next);
    while (count > 0 && epochs->list[count - 1].offset >= state->next)
        count--;
    write_id(w, id, 0);
    write_i64(w, state->first);
    write_i64(w, state->start);
    write_i64(w, state->last);
    write_u64(w, state->position);
    write_i64(w, state->next);
    write_u32(w, count);
    for (uint32_t i = 0; i < count; i++) {
        write_i32(w, epochs->list[i].epoch);
        write_i64(w, epochs->list[i].offset);
    }
    producers_write(w, producers, state->next);
}

void checkpoint_add_deleted(struct writer *w, const struct log_id *id)
{
    write_id(w, id, FLAG_DELETED);
}

void checkpoint_finish(struct writer *w)
{
    CHECK(w->failed || w->len >= HEADER);
    if (!w->failed)
        store_u32(w->data + 4, crc32c(0, w->data + HEADER, w->len - HEADER));
}

struct checkpoint_log *checkpoint_get(struct map *logs, const struct log_id *id)
{
    struct checkpoint_log *l = map_get(logs, log_id_key(id));

    if (l != NULL)
        return l;
    l = must_zalloc(sizeof *l);
    l->id = *id;
    CHECK(map_put(logs, log_id_key(&l->id), l));
    return l;
}

static void entry_free(struct checkpoint_log *l)
{
    epochs_release(&l->epochs);
    producers_free(l->producers);
    free(l);
}

void checkpoint_forget(struct map *logs, const struct log_id *id)
{
    struct checkpoint_log *l = map_remove(logs, log_id_key(id));

    if (l != NULL)
        entry_free(l);
}

void checkpoint_free(struct map *logs)
{
    struct checkpoint_log *l;

    for (size_t i = 0; (l = map_next(logs, &i));)
        entry_free(l);
    map_release(logs);
}

static bool state_is_sane(const struct log_state *s)
{
    return s->first >= 0 && s->first <= s->last && s->first <= s->start &&
           s->last <= s->next && s->position <= UINT32_MAX;
}

static bool epochs_read(struct reader *r, struct epochs *out)
{
    uint32_t count = read_u32(r);

    for (uint32_t i = 0; i < count && !r->failed; i++) {
        int32_t epoch = read_i32(r);
        int64_t offset = read_i64(r);

        if (out->count > 0 && (epoch <= out->list[out->count - 1].epoch ||
                               offset <= out->list[out->count - 1].offset))
            return false;
        epochs_note(out, epoch, offset);
    }
    return !r->failed;
}

/* One log out of `r` into `logs`; false if it makes no sense. */
static bool log_read_entry(struct reader *r, struct map *logs)
{
    uint8_t flags = read_u8(r);
    struct bytes topic = read_bytes(r, 16);
    struct log_id id = {.partition = read_i32(r)};
    struct log_state state;
    struct epochs epochs = {0};
    struct producers *producers;
    struct checkpoint_log *l;

    if (r->failed)
        return false;
    memcpy(id.topic, topic.data, sizeof id.topic);
    if (flags & FLAG_DELETED) {
        checkpoint_forget(logs, &id);
        return true;
    }
    state.first = read_i64(r);
    state.start = read_i64(r);
    state.last = read_i64(r);
    state.position = read_u64(r);
    state.next = read_i64(r);
    if (!epochs_read(r, &epochs) || !state_is_sane(&state) ||
        !producers_read(r, state.next, &producers)) {
        epochs_release(&epochs);
        return false;
    }
    l = checkpoint_get(logs, &id);
    epochs_release(&l->epochs);
    producers_free(l->producers);
    l->state = state;
    l->epochs = epochs;
    l->producers = producers;
    return true;
}

enum status checkpoint_decode(struct bytes data, struct map *logs)
{
    struct reader r = reader_of(data.data, data.len);

    if (read_u32(&r) != MAGIC)
        return STATUS_CORRUPT;
    if (read_u32(&r) != crc32c(0, r.at, reader_left(&r)) || r.failed)
        return STATUS_CORRUPT;
    /* The checksum holds, so only our own writer can have erred from here on. */
    while (reader_left(&r) > 0)
        if (!log_read_entry(&r, logs))
            return STATUS_CORRUPT;
    return STATUS_OK;
}
