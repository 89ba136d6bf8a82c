/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether all is well again, and what was promised is there. */
#include "tests/sim/oracle_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct image *oracle_image(const struct oracle *o)
{
    const struct image *best = NULL;

    for (int64_t i = 0; i < o->swarm->brokers; i++)
        if (o->brokers[i].life == BROKER_UP) {
            const struct image *image = node_image(o->brokers[i].shards[0].node);

            if (best == NULL || image->applied > best->applied)
                best = image;
        }
    return best;
}

static bool settled(struct oracle *o, const struct topic *topic, int32_t number,
                    char why[static 200])
{
    const struct image_partition *ip = &topic->partitions[number];
    struct sim_partition *p = oracle_partition(o, topic->id, number);
    size_t present = 0;

    for (size_t i = 0; i < ip->replica_count; i++)
        present += !o->brokers[ip->replicas[i] - 1].absent;

    if (ip->leader < 0)
        return snprintf(why, 200, "L2 %s/%d has no leader", topic->name, (int)number) < 0;
    if (present < (size_t)p->min_in_sync && present < ip->replica_count)
        return true; /* it has to wait for those who are absent */
    if (ip->in_sync_count != present ||
        (present == ip->replica_count && ip->eligible_count > 0))
        return snprintf(why, 200, "L3 %s/%d: %zu of %zu in sync, %zu eligible",
                        topic->name, (int)number, ip->in_sync_count, present,
                        ip->eligible_count) < 0;
    for (size_t i = 0; i < ip->replica_count; i++) {
        const struct replica *r = &p->replicas[ip->replicas[i] - 1];

        if (o->brokers[ip->replicas[i] - 1].absent)
            continue;
        if (r->watermark != p->replicas[ip->leader - 1].end || r->end != r->watermark)
            return snprintf(why, 200,
                            "L3 %s/%d: broker %d has watermark %" PRId64 ", end %" PRId64
                            "; the leader %d ends at %" PRId64,
                            topic->name, (int)number, (int)ip->replicas[i], r->watermark,
                            r->end, (int)ip->leader, p->replicas[ip->leader - 1].end) < 0;
        if (r->reading != NULL || history_end(&r->log) < r->end)
            return snprintf(why, 200,
                            "L4 %s/%d: broker %d's log cannot be read up to its end",
                            topic->name, (int)number, (int)ip->replicas[i]) < 0;
        if (r->role == ROLE_NONE)
            return snprintf(why, 200, "L3 %s/%d: broker %d has no part in it",
                            topic->name, (int)number, (int)ip->replicas[i]) < 0;
    }
    return true;
}

bool oracle_is_settled(struct oracle *o, char why[static 200])
{
    const struct image *image = oracle_image(o);
    const struct topic *topic;

    if (image == NULL)
        return snprintf(why, 200, "L1 no broker is up") < 0;
    if (image->applied < history_end(&o->metadata->committed))
        return snprintf(why, 200, "L1 metadata is known up to %" PRId64 " of %" PRId64,
                        image->applied, history_end(&o->metadata->committed)) < 0;
    for (size_t i = 0; (topic = map_next(&image->by_id, &i)) != NULL;)
        for (int32_t j = 0; j < topic->partition_count; j++)
            if (!settled(o, topic, j, why))
                return false;
    return true;
}

void oracle_forget_logs(struct oracle *o)
{
    struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;)
        for (int b = 0; b < BROKERS_MAX; b++) {
            history_begin(&p->replicas[b].log, 0);
            p->replicas[b].compared = 0;
        }
}

void oracle_finish(struct oracle *o)
{
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *s = &o->promises[i];
        const struct sim_partition *p = s->partition;
        const struct entry *e;

        if (p->removed || p->leader < 1)
            continue;
        e = history_at(&p->replicas[p->leader - 1].log, s->base);
        if (s->base < p->replicas[p->leader - 1].log.start)
            continue;
        if (e == NULL || e->crc != s->sent.crc)
            oracle_violation(
                o, "S2", "%s: what was acknowledged at %" PRId64 " is not there any more",
                oracle_name(p), s->base);
    }
}

bool oracle_voter_may_go(struct oracle *o)
{
    for (int i = 0; i < BROKERS_MAX; i++)
        if (o->wiped[i] || o->brokers[i].rotten)
            return false;
    o->voter_gone = o->world->now + 10 * SECOND;
    return true;
}

bool oracle_can_lose(const struct oracle *o, const struct sim_broker *b)
{
    const struct image *image = oracle_image(o);
    const struct sim_partition *p;
    struct uuid topic;

    if (image == NULL || o->world->now < o->voter_gone)
        return false;
    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        size_t others = 0;

        for (size_t j = 0; j < p->in_sync_count; j++)
            others += p->in_sync[j] != b->number + 1;
        memcpy(topic.id, p->id.topic, sizeof topic.id);
        if (image_topic_by_id(image, topic) != NULL && others == 0)
            return false;
    }
    return true;
}

static void print_set(const char *what, const int32_t *numbers, size_t n)
{
    printf(" %s", what);
    for (size_t i = 0; i < n; i++)
        printf("%s%d", i ? "," : "", (int)numbers[i]);
}

void oracle_print(const struct oracle *o)
{
    static const char roles[] = "-LF";
    const struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        printf("  %s t%d%s leader %d epoch %d/%d", oracle_name(p), p->topic,
               p->removed ? " (removed)" : "", (int)p->leader, (int)p->leader_epoch,
               (int)p->partition_epoch);
        print_set("replicas ", p->members, p->member_count);
        print_set("in sync ", p->in_sync, p->in_sync_count);
        print_set("eligible ", p->eligible, p->eligible_count);
        printf(" committed %" PRId64 "\n", history_end(&p->committed));
        for (int b = 0; b < (int)o->swarm->brokers; b++) {
            const struct replica *r = &p->replicas[b];

            if (r->life > 0)
                printf("      broker %d life %u: %c epoch %d, watermark %" PRId64
                       ", disk %" PRId64 ", end %" PRId64 "\n",
                       b + 1, r->life, roles[r->role], (int)r->epoch, r->watermark,
                       r->durable, r->end);
        }
    }
}

uint64_t oracle_acked_records(const struct oracle *o)
{
    return o->acked;
}

uint64_t oracle_leader_changes(const struct oracle *o)
{
    return o->leader_changes;
}
