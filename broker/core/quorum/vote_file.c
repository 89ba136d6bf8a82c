/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quorum/vote_file.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "quorum-state";

enum { MAGIC = 0x4c767431 /* "Lvt1" */, AT_BODY = 8, BODY = 8 + 4 + 4 + UUID_BYTES };

static void encode(uint8_t slot[static VOTE_SLOT], uint64_t sequence,
                   const struct raft_state *state)
{
    struct writer w = writer_fixed(slot, VOTE_SLOT);

    memset(slot, 0, VOTE_SLOT);
    write_u32(&w, MAGIC);
    write_u32(&w, 0);
    write_u64(&w, sequence);
    write_u32(&w, (uint32_t)state->epoch);
    write_u32(&w, (uint32_t)state->voted.node_id);
    write_bytes(&w, state->voted.directory.id, UUID_BYTES);
    store_u32(slot + 4, crc32c(0, slot + AT_BODY, BODY));
}

static bool decode(const uint8_t *slot, uint64_t *sequence, struct raft_state *state)
{
    struct reader r = reader_of(slot, VOTE_SLOT);

    if (read_u32(&r) != MAGIC || read_u32(&r) != crc32c(0, slot + AT_BODY, BODY))
        return false;
    *sequence = read_u64(&r);
    state->epoch = read_i32(&r);
    state->voted.node_id = read_i32(&r);
    return uuid_from(read_bytes(&r, UUID_BYTES), &state->voted.directory) &&
           state->epoch >= 0 && state->voted.node_id >= 0;
}

static bool newest(const uint8_t *data, size_t len, uint64_t *sequence,
                   struct raft_state *state)
{
    bool found = false;

    for (size_t at = 0; at + VOTE_SLOT <= len; at += VOTE_SLOT) {
        struct raft_state s;
        uint64_t n;

        if (!decode(data + at, &n, &s) || (found && n < *sequence))
            continue;
        *sequence = n;
        *state = s;
        found = true;
    }
    return found;
}

static enum status make(struct disk *d, const struct raft_state *state)
{
    uint8_t slots[2 * VOTE_SLOT];

    encode(slots, 0, state);
    encode(slots + VOTE_SLOT, 1, state);
    return disk_replace(d, ".", path, slots, sizeof slots);
}

static enum status read_state(struct vote_file *f, struct raft_state *state, bool *fresh)
{
    uint8_t *data;
    size_t len;
    enum status st = disk_read_all(f->disk, path, sizeof f->slot * 2, &data, &len);

    *fresh = st == STATUS_NOT_FOUND;
    f->sequence = 1;
    if (*fresh)
        return make(f->disk, state);
    if (st)
        return st == STATUS_TOO_MANY ? STATUS_CORRUPT : st;
    if (!newest(data, len, &f->sequence, state))
        st = STATUS_CORRUPT;
    free(data);
    return st;
}

enum status vote_file_open(struct vote_file *f, struct disk *d, struct raft_state *state,
                           bool *fresh)
{
    struct disk_op op = {.kind = DISK_OPEN, .path = path};
    enum status st;

    *f = (struct vote_file){.disk = d};
    *state = (struct raft_state){0};
    st = read_state(f, state, fresh);
    if (st)
        return st;
    st = disk_call(d, &op);
    f->file = op.file;
    return st;
}

static void on_written(struct disk_op *op)
{
    struct vote_file *f = container_of(op, struct vote_file, op);

    f->busy = false;
    f->done(f, op->status);
}

void vote_file_write(struct vote_file *f, const struct raft_state *state,
                     void (*done)(struct vote_file *f, enum status status))
{
    CHECK(!f->busy);
    f->busy = true;
    f->done = done;
    encode(f->slot, ++f->sequence, state);
    f->iov = (struct iovec){f->slot, sizeof f->slot};
    f->op = (struct disk_op){.kind = DISK_WRITE,
                             .file = f->file,
                             .offset = f->sequence % 2 * VOTE_SLOT,
                             .iov = &f->iov,
                             .iov_count = 1,
                             .sync = true,
                             .done = on_written};
    disk_submit(f->disk, &f->op);
}

void vote_file_close(struct vote_file *f)
{
    struct disk_op op = {.kind = DISK_CLOSE, .file = f->file};

    while (f->busy)
        disk_poll(f->disk, true);
    if (disk_call(f->disk, &op))
        return; /* nothing is lost: every write was synced */
}
