/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients are told. */
#include "tests/sim/oracle_inner.h"

#include "proto/base/memory.h"

#include <inttypes.h>
#include <string.h>

static void remember(struct oracle *o, struct sim_partition *p, int64_t base,
                     const struct batch *sent)
{
    if (o->promise_count == o->promise_capacity) {
        o->promise_capacity = o->promise_capacity ? o->promise_capacity * 2 : 256;
        o->promises =
            must_realloc(o->promises, o->promise_capacity * sizeof *o->promises);
    }
    o->promises[o->promise_count++] = (struct promise){p, base, *sent};
}

/* Our own copy is behind: what we do not know of may be committed all the same. */
static bool is_reading(const struct sim_partition *p)
{
    for (int i = 0; i < BROKERS_MAX; i++)
        if (p->replicas[i].reading != NULL)
            return true;
    return false;
}

/* The watermark that we have seen may be older than the one that was promised on: one
 * poll of the disk can move it and then take the partition away. What makes a record safe
 * can be seen all the same: it is on the disks of all that are in sync. */
static bool is_safe(const struct sim_partition *p, const struct entry *e)
{
    for (size_t i = 0; i < p->in_sync_count; i++) {
        const struct replica *r = &p->replicas[p->in_sync[i] - 1];
        const struct entry *copy = history_at(&r->log, e->base);

        if (r->durable < e->next || copy == NULL || !entry_same(copy, e))
            return false;
    }
    return p->in_sync_count > 0;
}

void oracle_acked(struct oracle *o, struct uuid topic, int32_t partition, int64_t base,
                  const struct batch *sent, bool all)
{
    struct sim_partition *p = oracle_partition(o, topic, partition);
    const struct entry *e = history_at(&p->committed, base);
    const struct entry wanted = {
        .base = base, .next = base + sent->count, .crc = sent->crc};
    int64_t copies = 0;

    o->acked += (uint64_t)sent->count;
    if (!all || p->removed)
        return;
    if ((e == NULL || e->base != base || e->crc != sent->crc) && !is_reading(p) &&
        !(e == NULL && is_safe(p, &wanted)))
        oracle_violation(o, e != NULL && sent->producer_id >= 0 ? "S12" : "S1",
                         "%s: acknowledged at %" PRId64
                         ", but what is committed there is %s (committed up to %" PRId64
                         ")",
                         oracle_name(p), base, e == NULL ? "nothing" : "another batch",
                         history_end(&p->committed));
    for (int i = 0; i < BROKERS_MAX; i++)
        copies += p->replicas[i].durable > base || p->replicas[i].wiped;
    for (size_t i = 0; i < p->in_sync_count; i++)
        if (p->replicas[p->in_sync[i] - 1].durable < base + sent->count &&
            !p->replicas[p->in_sync[i] - 1].wiped)
            oracle_violation(o, "S1",
                             "%s: %" PRId64 " is acknowledged and not on the "
                             "disk of broker %d, which is in sync",
                             oracle_name(p), base, (int)p->in_sync[i]);
    if (copies < p->min_in_sync && copies < (int64_t)p->member_count)
        oracle_violation(o, "S1",
                         "%s: %" PRId64 " is acknowledged and on %" PRId64 " disks only",
                         oracle_name(p), base, copies);
    remember(o, p, base, sent);
}

void oracle_consumed(struct oracle *o, struct uuid topic, int32_t partition, int64_t from,
                     struct bytes data)
{
    struct sim_partition *p = oracle_partition(o, topic, partition);
    struct batch b;
    int64_t next = -1;

    while (data.len > 0) {
        const struct entry *e;
        struct entry got;

        if (batch_parse(data, &b) || !batch_checksum_ok(&b, data)) {
            oracle_violation(o, "S16", "%s: a consumer got a damaged batch",
                             oracle_name(p));
            return;
        }
        got = entry_of(&b);
        e = history_at(&p->committed, got.base);
        if ((e == NULL || !entry_same(e, &got)) && !is_reading(p) && !p->removed &&
            !(e == NULL && is_safe(p, &got)))
            oracle_violation(o, "S9",
                             "%s: a consumer got a batch at %" PRId64
                             " that is not committed",
                             oracle_name(p), got.base);
        if (next < 0 ? got.base > from || got.next <= from : got.base != next)
            oracle_violation(o, "S9",
                             "%s: a consumer that asked for %" PRId64 " got %" PRId64
                             "..%" PRId64 " after %" PRId64,
                             oracle_name(p), from, got.base, got.next, next);
        next = got.next;
        data = (struct bytes){data.data + b.size, data.len - b.size};
    }
}

int64_t oracle_committed(struct oracle *o, struct uuid topic, int32_t partition)
{
    return history_end(&oracle_partition(o, topic, partition)->committed);
}

void oracle_topic_removed(struct oracle *o, int topic)
{
    struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;)
        if (p->topic == topic)
            p->removed = true;
    o->may_go[topic] = true;
    note(o->world, 0, "topic may go", topic, 0, 0);
}

void oracle_trimmed(struct oracle *o, int topic, int32_t partition, int64_t upto)
{
    if (o->trimmed[topic][partition] < upto)
        o->trimmed[topic][partition] = upto;
}

bool oracle_may_go(const struct oracle *o, int topic)
{
    return o->may_go[topic];
}
