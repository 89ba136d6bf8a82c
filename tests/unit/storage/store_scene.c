/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/storage/store_scene.h"

#include "proto/base/memory.h"
#include "proto/record/build.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct model_log *model_of(struct scene *s, const struct log *log)
{
    return &s->logs[log_identity(log).partition];
}

static void free_batches(struct model_batch *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].bytes);
    free(list);
}

static void forget_from(struct model_log *m, int64_t offset)
{
    while (m->count > 0 && m->batches[m->count - 1].base >= offset)
        free(m->batches[--m->count].bytes);
}

static void forget_old(struct model_log *m)
{
    free_batches(m->old, m->old_count);
    m->old = NULL;
    m->old_count = 0;
    m->begun_anew = false;
}

static void on_durable(void *ctx, struct log *log)
{
    struct scene *s = ctx;
    struct model_log *m = model_of(s, log);

    ck_assert_ptr_eq(m->log, log);
    m->durable = log_durable(log);
    m->reports++;
    if (m->old != NULL && m->durable > m->old_cut)
        forget_old(m);
    ck_assert_int_le(m->durable, log_end(log));
}

static void on_failed(void *ctx, enum status status, const char *what)
{
    struct scene *s = ctx;

    s->failures++;
}

struct log_id scene_id(unsigned n)
{
    struct log_id id = {.partition = (int32_t)n};

    memset(id.topic, 0x40 + (int)n, sizeof id.topic);
    return id;
}

enum status scene_open(struct scene *s)
{
    struct store_recovery recovery;
    char why[256];
    enum status st = store_recover(s->disk, &recovery, why);

    if (st == STATUS_OK)
        st = store_open(&s->store, s->disk, &s->options);
    if (st)
        return st;
    for (unsigned n = 0; n < SCENE_LOGS && st == STATUS_OK; n++) {
        struct model_log *m = &s->logs[n];

        m->log = NULL;
        if (!m->exists && !m->deleted)
            continue;
        st = store_log_open(s->store, scene_id(n), &s->config, false, &m->log);
        if (st == STATUS_NOT_FOUND && (m->deleted || m->durable == 0)) {
            m->exists = false;
            m->start = 0;
            forget_from(m, 0);
            forget_old(m);
            st = STATUS_OK;
        }
    }
    return st;
}

enum status scene_close(struct scene *s)
{
    enum status st = store_close(s->store);

    s->store = NULL;
    return st;
}

void scene_begin(struct scene *s, uint64_t seed)
{
    *s = (struct scene){.sim = simdisk_new(&(struct simdisk_options){.seed = seed})};
    s->disk = simdisk_disk(s->sim);
    s->options = (struct store_options){
        .journal_file_bytes = JOURNAL_BUFFER,
        .journal_files_max = 4,
        .hot_bytes = 2 * JOURNAL_BUFFER,
        .on_durable = on_durable,
        .on_failed = on_failed,
        .ctx = s,
    };
    s->config = log_config_default;
    s->config.segment_bytes = 64 * 1024;
    s->now = (struct instant){1000, 1700000000000};
    ck_assert_int_eq(scene_open(s), STATUS_OK);
}

void scene_end(struct scene *s)
{
    if (s->store != NULL)
        ck_assert_int_eq(scene_close(s), STATUS_OK);
    for (unsigned n = 0; n < SCENE_LOGS; n++) {
        free_batches(s->logs[n].batches, s->logs[n].count);
        forget_old(&s->logs[n]);
    }
    disk_close(s->disk);
    simdisk_free(s->sim);
}

void scene_restart(struct scene *s)
{
    ck_assert_int_eq(scene_close(s), STATUS_OK);
    ck_assert_int_eq(scene_open(s), STATUS_OK);
}

void scene_crash(struct scene *s, enum simdisk_crash_kind kind)
{
    if (!simdisk_is_dead(s->sim))
        simdisk_die_at(s->sim, simdisk_ops(s->sim), SIMDISK_BEFORE);
    if (s->store != NULL)
        ck_assert_int_ne(scene_close(s), STATUS_OK);
    simdisk_crash(s->sim, kind);
}

struct log *scene_log(struct scene *s, unsigned n)
{
    struct model_log *m = &s->logs[n];

    if (m->log == NULL) {
        ck_assert_int_eq(store_log_open(s->store, scene_id(n), &s->config, true, &m->log),
                         STATUS_OK);
        m->exists = true;
    }
    return m->log;
}

static void remember(struct model_log *m, const struct batch *b, const uint8_t *bytes)
{
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? m->capacity * 2 : 16;
        m->batches = must_realloc(m->batches, m->capacity * sizeof *m->batches);
    }
    m->batches[m->count] = (struct model_batch){b->base_offset, batch_next_offset(b),
                                                b->size, must_alloc(b->size)};
    memcpy(m->batches[m->count].bytes, bytes, b->size);
    batch_stamp(m->batches[m->count].bytes, b->base_offset, b->leader_epoch);
    m->count++;
}

/* ---- producers ----------------------------------------------------------------------
 */

enum { IN_FLIGHT = 5 };

/* What producer `id` sent last, newest first; at most `max`. */
static size_t newest_of(const struct model_log *m, int64_t id, struct batch *out,
                        size_t max)
{
    size_t n = 0;

    for (size_t i = m->count; i-- > 0 && n < max;) {
        const struct model_batch *stored = &m->batches[i];

        ck_assert_int_eq(
            batch_parse((struct bytes){stored->bytes, stored->size}, &out[n]), STATUS_OK);
        n += out[n].producer_id == id;
    }
    return n;
}

/* The sequences begin shortly before they wrap. */
static struct build_producer producer_for(struct model_log *m, int64_t end)
{
    const int64_t id = end % (SCENE_PRODUCERS + 1);
    struct build_producer producer = {id, 1, INT32_MAX - 10};
    struct batch last[1];

    if (id == SCENE_PRODUCERS)
        return (struct build_producer){-1, -1, -1};
    if (newest_of(m, id, last, 1) > 0)
        producer.base_sequence =
            (int32_t)(((int64_t)last->base_sequence + last->count) & INT32_MAX);
    return producer;
}

static void verify_producer(struct model_log *m, int64_t id)
{
    struct batch sent[IN_FLIGHT], next;
    size_t n = newest_of(m, id, sent, IN_FLIGHT);
    int64_t base, end;

    for (size_t i = 0; i < n; i++) {
        enum status st = log_check_producer(m->log, &sent[i], &base, &end);

        ck_assert(st == STATUS_DUPLICATE_SEQUENCE ||
                  (m->version > 0 && st == STATUS_OUT_OF_ORDER_SEQUENCE));
        if (st == STATUS_DUPLICATE_SEQUENCE) {
            ck_assert_int_eq(base, sent[i].base_offset);
            ck_assert_int_eq(end, batch_next_offset(&sent[i]));
        }
    }
    if (n == 0 || sent[0].base_offset < m->adrift[id])
        return;
    next = sent[0];
    next.base_sequence =
        (int32_t)(((int64_t)next.base_sequence + next.count) & INT32_MAX);
    ck_assert_int_eq(log_check_producer(m->log, &next, &base, &end), STATUS_OK);
}

void scene_verify_producers(struct scene *s, unsigned n)
{
    for (int64_t id = 0; id < SCENE_PRODUCERS; id++)
        verify_producer(&s->logs[n], id);
}

static size_t sent_from(const struct model_log *m, int64_t id, int64_t offset)
{
    struct batch *sent = must_alloc((m->count + 1) * sizeof *sent);
    size_t total = newest_of(m, id, sent, m->count), n = 0;

    while (n < total && sent[n].base_offset >= offset)
        n++;
    free(sent);
    return n;
}

/* The log ends at `offset`. */
static void cut_off(struct model_log *m, int64_t offset)
{
    for (int64_t id = 0; id < SCENE_PRODUCERS; id++) {
        size_t cut = sent_from(m, id, offset);

        if (cut > m->known[id] && offset > m->adrift[id])
            m->adrift[id] = offset;
        m->known[id] -= cut > m->known[id] ? m->known[id] : (unsigned)cut;
    }
    forget_from(m, offset);
}

static void note_sent(struct model_log *m, int64_t id)
{
    if (id >= 0 && m->known[id] < IN_FLIGHT)
        m->known[id]++;
}

void scene_append_at(struct scene *s, unsigned n, int count, size_t size, int32_t epoch,
                     int64_t time)
{
    struct log *log = scene_log(s, n);
    struct model_log *m = &s->logs[n];
    uint8_t *value = must_alloc(size + 1);
    struct build_producer producer = {-1, -1, -1};
    struct build build;
    struct bytes data;
    struct batch b;

    build_init(&build);
    build_begin(&build);
    for (int i = 0; i < count; i++) {
        memset(value, (int)(log_end(log) + i) + (int)m->version * 7, size);
        build_add(&build, time, (struct bytes){0}, (struct bytes){value, size}, NULL, 0);
    }
    if (!s->anonymous)
        producer = producer_for(m, log_end(log));
    ck_assert_int_eq(build_finish(&build, CODEC_NONE, producer, &data), STATUS_OK);
    ck_assert_int_eq(batch_parse(data, &b), STATUS_OK);
    log_append(log, &b, data.data, epoch, s->now.wall_ms);
    remember(m, &b, data.data);
    note_sent(m, b.producer_id);
    build_release(&build);
    free(value);
}

void scene_append(struct scene *s, unsigned n, int count, size_t size)
{
    scene_append_at(s, n, count, size, 1, s->now.wall_ms);
}

/* What it was before; of several truncations in a row the first knows most. */
static void keep_old(struct model_log *m, int64_t offset)
{
    if (m->old != NULL) {
        if (offset < m->old_cut)
            m->old_cut = offset;
        return;
    }
    m->old = must_alloc((m->count + 1) * sizeof *m->old);
    m->old_count = m->count;
    m->old_cut = offset;
    memcpy(m->old_known, m->known, sizeof m->known);
    for (size_t i = 0; i < m->count; i++) {
        m->old[i] = m->batches[i];
        m->old[i].bytes = must_alloc(m->batches[i].size);
        memcpy(m->old[i].bytes, m->batches[i].bytes, m->batches[i].size);
    }
}

void scene_truncate(struct scene *s, unsigned n, int64_t offset)
{
    struct model_log *m = &s->logs[n];

    if (offset == log_end(m->log))
        return;
    keep_old(m, offset);
    cut_off(m, offset);
    m->version++;
    log_truncate(m->log, offset);
    ck_assert_int_eq(log_end(m->log), offset);
    if (m->durable > offset)
        m->durable = offset;
}

void scene_trim(struct scene *s, unsigned n, int64_t offset)
{
    s->logs[n].start = offset;
    log_trim(s->logs[n].log, offset);
}

void scene_delete(struct scene *s, unsigned n)
{
    struct model_log *m = &s->logs[n];

    store_log_delete(s->store, m->log);
    m->log = NULL;
    m->exists = false;
    m->deleted = true;
    m->durable = m->start = 0;
    forget_from(m, 0);
    forget_old(m);
}

void scene_begin_anew(struct scene *s, unsigned n, int64_t offset)
{
    struct model_log *m = &s->logs[n];

    ck_assert_ptr_null(m->old);
    keep_old(m, offset);
    m->begun_anew = true;
    m->old_start = m->start;
    m->old_durable = m->durable;
    forget_from(m, 0);
    memset(m->known, 0, sizeof m->known);
    m->version++;
    m->log = store_log_restart(s->store, m->log, offset, -1);
    m->start = offset;
    m->durable = 0;
    ck_assert_int_eq(log_start(m->log), offset);
    ck_assert_int_eq(log_end(m->log), offset);
}

void scene_turn(struct scene *s)
{
    store_turn_end(s->store);
    disk_poll(s->disk, false);
}

static bool all_durable(const struct scene *s)
{
    for (unsigned n = 0; n < SCENE_LOGS; n++)
        if (s->logs[n].log != NULL &&
            log_durable(s->logs[n].log) != log_end(s->logs[n].log))
            return false;
    return true;
}

void scene_settle(struct scene *s)
{
    for (int i = 1; i < 100000 && s->failures == 0 && !all_durable(s); i++) {
        if (i % 1000 == 0)
            store_tick(s->store, s->now);
        scene_turn(s);
    }
    ck_assert(s->failures > 0 || all_durable(s));
}

void scene_flush(struct scene *s)
{
    scene_settle(s);
    for (int i = 0; i < 400 && s->failures == 0; i++) {
        s->now.mono_ms += 100;
        if (i % 10 == 0)
            store_tick(s->store, s->now);
        scene_turn(s);
    }
}

static void on_read(struct log_read *read)
{
    read->max_bytes = 0; /* the mark that it is done */
}

void scene_read(struct scene *s, unsigned n, int64_t from, int64_t upto, size_t max,
                struct log_read *out)
{
    *out = (struct log_read){.from = from,
                             .upto = upto,
                             .max_bytes = max,
                             .first_whole = true,
                             .done = on_read};
    if (log_read_hot(s->logs[n].log, out))
        return;
    log_read_cold(s->logs[n].log, out);
    ck_assert_uint_eq(out->max_bytes, max);
    while (out->max_bytes != 0)
        disk_poll(s->disk, true);
}

/* The batch that contains `offset`; `count` if there is none. */
static size_t find_batch(const struct model_batch *list, size_t count, int64_t offset)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].next > offset)
            return i;
    return count;
}

/* Whether a read's answer is what the list has from `*i` on; moves `*i` past it. */
static bool same_bytes(const struct model_batch *list, size_t count,
                       const struct log_read *r, size_t *i)
{
    for (size_t k = 0; k < r->slice_count; k++) {
        const uint8_t *at = r->slices[k].data;
        size_t left = r->slices[k].len;

        for (; left > 0; (*i)++) {
            size_t size = *i < count ? list[*i].size : 0;

            if (size == 0 || left < size || memcmp(at, list[*i].bytes, size) != 0)
                return false;
            at += size;
            left -= size;
        }
    }
    return r->bytes > 0;
}

/* Whether the whole log, from its start to its end, is what the list says. */
static bool log_is(struct scene *s, unsigned n, const struct model_batch *list,
                   size_t count)
{
    const struct log *log = s->logs[n].log;
    int64_t at = log_start(log), end = log_end(log);

    while (at < end) {
        size_t i = find_batch(list, count, at);
        struct log_read r;
        bool same;

        scene_read(s, n, at, INT64_MAX, 100000, &r);
        ck_assert_int_eq(r.status, STATUS_OK);
        same = same_bytes(list, count, &r, &i);
        log_read_release(&r);
        if (!same)
            return false;
        at = list[i - 1].next;
    }
    return at == end;
}

void scene_verify(struct scene *s, unsigned n)
{
    struct model_log *m = &s->logs[n];

    ck_assert_int_eq(log_start(m->log), m->start);
    if (m->count > 0)
        ck_assert_int_eq(log_end(m->log), m->batches[m->count - 1].next);
    ck_assert_msg(log_is(s, n, m->batches, m->count), "log %u differs from its model", n);
    scene_verify_producers(s, n);
}

/* The truncation was lost: the model goes back to what was before. */
static void take_back(struct model_log *m)
{
    free_batches(m->batches, m->count);
    m->batches = m->old;
    m->count = m->old_count;
    m->capacity = m->count + 1;
    memcpy(m->known, m->old_known, sizeof m->known);
    m->old = NULL;
    m->old_count = 0;
}

/* It was begun anew, and the crash came first: it is as it was, or empty. */
static void former_self(struct scene *s, unsigned n)
{
    struct model_log *m = &s->logs[n];

    if (log_start(m->log) == 0 && log_end(m->log) == 0)
        forget_from(m, 0);
    else
        take_back(m);
    m->start = m->old_start;
    m->durable = m->count > 0 ? m->old_durable : 0;
    m->begun_anew = false;
}

void scene_verify_survivors(struct scene *s, unsigned n)
{
    struct model_log *m = &s->logs[n];

    if (m->log == NULL)
        return;
    if (m->deleted) {
        store_log_delete(s->store, m->log);
        m->log = NULL;
        return;
    }
    ck_assert_int_eq(log_durable(m->log), log_end(m->log));
    if (m->begun_anew && log_start(m->log) != m->start)
        former_self(s, n);
    ck_assert_int_le(log_start(m->log), m->start);
    ck_assert_msg(log_end(m->log) >= m->durable, "log %u ends at %ld, %ld was durable", n,
                  (long)log_end(m->log), (long)m->durable);
    if (!log_is(s, n, m->batches, m->count)) {
        ck_assert_msg(m->old != NULL && log_is(s, n, m->old, m->old_count),
                      "log %u is not what it may be", n);
        take_back(m);
    }
    forget_old(m);
    cut_off(m, log_end(m->log));
    m->start = log_start(m->log);
    m->durable = log_end(m->log);
    scene_verify_producers(s, n);
}
