/* SPDX-License-Identifier: Apache-2.0
 *
 * The FETCH request for a list of sources. It names the leader epoch that the metadata
 * speaks of: a leader that was deposed and does not know it refuses, instead of saying
 * that what we have read from its successor does not exist (KIP-320). */
#include "client/fetcher.h"

static Leat__FetchPartition *partition_message(const struct leat_conf *conf,
                                               const struct source *s,
                                               struct arena *arena)
{
    Leat__FetchPartition *p = arena_alloc(arena, sizeof *p);

    if (!p)
        return NULL;
    leat__fetch_partition__init(p);
    p->partition = s->partition;
    p->offset = s->offset;
    if (s->partition < s->topic->partition_count)
        p->leader_epoch = s->topic->partitions[s->partition].leader_epoch;
    p->max_bytes = (uint32_t)conf_number(conf, CONF_PARTITION_FETCH_BYTES);
    return p;
}

/* A topic's entry with room for all sources that may follow. */
static Leat__FetchTopic *topic_message(const struct source *s, size_t partitions_max,
                                       struct arena *arena)
{
    Leat__FetchTopic *t = arena_alloc(arena, sizeof *t);

    if (!t)
        return NULL;
    leat__fetch_topic__init(t);
    t->name = s->topic->name;
    if (!uuid_is_zero(s->topic->id)) {
        t->topic_id.data = s->topic->id.id;
        t->topic_id.len = UUID_BYTES;
    }
    t->partitions = arena_alloc(arena, partitions_max * sizeof(void *));
    return t->partitions ? t : NULL;
}

/* Sources in a row that are of one topic share its entry. */
static enum status topics_message(const struct leat_conf *conf,
                                  struct source *const *sources, size_t count,
                                  Leat__FetchRequest *m, struct arena *arena)
{
    const struct topic *last = NULL;

    m->topics = arena_alloc(arena, count * sizeof(void *));
    if (!m->topics)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct source *s = sources[i];
        Leat__FetchPartition *p = partition_message(conf, s, arena);
        Leat__FetchTopic *t;

        if (!p)
            return STATUS_NO_MEMORY;
        if (s->topic != last) {
            size_t run = 1;

            while (i + run < count && sources[i + run]->topic == s->topic)
                run++;
            t = topic_message(s, run, arena);
            if (!t)
                return STATUS_NO_MEMORY;
            m->topics[m->n_topics++] = t;
            last = s->topic;
        }
        t = m->topics[m->n_topics - 1];
        t->partitions[t->n_partitions++] = p;
    }
    return STATUS_OK;
}

enum status fetch_request_pack(const struct leat_conf *conf,
                               struct source *const *sources, size_t count,
                               size_t max_bytes, struct writer *out)
{
    Leat__FetchRequest m = LEAT__FETCH_REQUEST__INIT;
    struct arena arena;
    enum status st;

    arena_init(&arena, 0);
    m.max_wait_ms = (int32_t)conf_number(conf, CONF_FETCH_MAX_WAIT);
    m.min_bytes = (uint32_t)conf_number(conf, CONF_FETCH_MIN_BYTES);
    m.max_bytes = (uint32_t)max_bytes;
    st = topics_message(conf, sources, count, &m, &arena);
    if (!st) {
        rpc_pack(&m.base, out);
        st = writer_status(out);
    }
    arena_release(&arena);
    return st;
}
