/* SPDX-License-Identifier: Apache-2.0
 *
 * The log and its machine (machine.h), in memory and under the test's thumb. */
#include "tests/unit/broker/group/scene.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

struct log {
    struct scene_log *kept;
};

struct machine {
    struct machine_options options;
    struct log log;
    size_t applied;
    TAILQ_HEAD(, machine_entry) entries;
};

static enum status apply(struct machine *m, size_t at)
{
    struct reader r =
        reader_of(m->log.kept->entries[at].data, m->log.kept->entries[at].len);

    while (reader_left(&r) > 0) {
        struct bytes record = read_bytes(&r, read_u32(&r));
        enum status st = m->options.verbs->apply(m->options.ctx, (int64_t)at, record);

        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* The scene passes its log where a store is expected. */
enum status machine_open(struct machine **out, struct store *s, struct disk *d,
                         const struct machine_options *options)
{
    struct machine *m = must_zalloc(sizeof *m);

    (void)d;
    m->options = *options;
    m->log.kept = (struct scene_log *)(void *)s;
    TAILQ_INIT(&m->entries);
    while (m->applied < m->log.kept->count)
        if (apply(m, m->applied++) != STATUS_OK)
            return STATUS_CORRUPT;
    *out = m;
    return STATUS_OK;
}

void machine_close(struct machine *m)
{
    free(m);
}

struct log *machine_log(const struct machine *m)
{
    return (struct log *)&m->log;
}

int64_t log_durable(const struct log *log)
{
    return (int64_t)log->kept->durable;
}

int32_t log_last_epoch(const struct log *log)
{
    return log->kept->epochs - 1;
}

void machine_propose(struct machine *m, const struct bytes *records, size_t count,
                     int32_t leader_epoch, struct instant now,
                     struct machine_entry *entry)
{
    struct scene_log *log = m->log.kept;
    struct writer w = writer_growing();

    (void)now;
    log->epochs = leader_epoch + 1;
    for (size_t i = 0; i < count; i++) {
        write_u32(&w, (uint32_t)records[i].len);
        write_bytes(&w, records[i].data, records[i].len);
    }
    log->entries = must_realloc(log->entries, (log->count + 1) * sizeof *log->entries);
    entry->last_offset = (int64_t)log->count;
    log->entries[log->count++] = w;
    TAILQ_INSERT_TAIL(&m->entries, entry, link);
}

void machine_commit(struct machine *m, int64_t offset)
{
    struct machine_entry *e;

    while ((int64_t)m->applied < offset) {
        CHECK(apply(m, m->applied++) == STATUS_OK);
        e = TAILQ_FIRST(&m->entries);
        if (e != NULL && e->last_offset < (int64_t)m->applied) {
            TAILQ_REMOVE(&m->entries, e, link);
            e->done(e, STATUS_OK);
        }
    }
}

void machine_tick(struct machine *m, struct instant now)
{
    (void)m;
    (void)now;
}
