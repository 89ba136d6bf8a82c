/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fetch may be given: a consumer what is committed, a replica everything, both
 * only if what they have already is the beginning of what is here. */
#include "broker/core/fetch.h"

#include "broker/core/replication/leader.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "storage/machine.h"

#include <string.h>

static enum status check_epoch(const struct fetch_part *part, const struct partition *p)
{
    if (part->leader_epoch < p->leader_epoch) {
        MARK("fetch of an older leader epoch is fenced");
        return STATUS_FENCED_LEADER_EPOCH;
    }
    return part->leader_epoch > p->leader_epoch ? STATUS_UNKNOWN_LEADER_EPOCH : STATUS_OK;
}

/* Is the record before `offset` ours, of that epoch (KIP-320)? If not, say up to where
 * logs of that epoch agree. */
static void check_history(struct fetch_part *part, const struct log *log)
{
    int32_t epoch;
    int64_t end;

    if (part->offset == log_start(log))
        return; /* there is nothing before it to compare */
    log_end_for_epoch(log, part->last_epoch, &epoch, &end);
    if (epoch == part->last_epoch && end >= part->offset)
        return;
    part->diverges = true;
    part->diverging_epoch = epoch;
    part->diverging_end = end;
}

/* ---- replicas ------------------------------------------------------------------------
 */

static void out_of_range(struct fetch_part *part, const struct partition *p)
{
    part->status = STATUS_OFFSET_OUT_OF_RANGE;
    if (p->machine != NULL)
        part->snapshot_offset = machine_snapshot_offset(p->machine);
}

static void take_note(struct node *n, const struct fetch *f, struct fetch_part *part,
                      struct partition *p)
{
    const struct leader_fetch what = {.node_id = f->node_id,
                                      .broker_epoch = f->broker_epoch,
                                      .offset = part->offset,
                                      .durable = part->durable,
                                      .our_end = log_end(p->log)};

    if (part->counted)
        return;
    part->counted = true;
    if (leader_on_fetch(p->leader, &what, n->now))
        partition_evidence(p);
    else
        part->status = STATUS_NOT_LEADER; /* it is none of our replicas */
}

/* All its records are older than our first one. If that is the first of all, they are to
 * be cut; if not, what it has before ours was never compared with anything. */
static void nothing_in_common(struct fetch_part *part, const struct partition *p)
{
    MARK("replica has nothing in common with its leader");
    if (part->log_start == 0) {
        part->diverging_epoch = part->last_epoch;
        part->diverging_end = 0;
    } else {
        part->diverges = false;
        out_of_range(part, p);
    }
}

static void look_for_replica(struct node *n, const struct fetch *f,
                             struct fetch_part *part, struct partition *p)
{
    part->status = partition_ready(p);
    if (!part->status && !PLANT(6))
        part->status = check_epoch(part, p);
    if (part->status)
        return;
    if (PLANT(7))
        part->high_watermark = p->high_watermark;
    if (part->offset < part->log_start ||
        (part->last_epoch < 0 && part->offset > part->log_start)) {
        out_of_range(part, p);
        return;
    }
    if (!PLANT(6) || part->offset > log_end(p->log))
        check_history(part, p->log);
    if (part->diverges && part->diverging_epoch < 0)
        nothing_in_common(part, p);
    if (part->status || part->diverges)
        return;
    CHECK(part->offset <= log_end(p->log)); /* else it would diverge */
    take_note(n, f, part, p);
    part->high_watermark = p->high_watermark;
    part->upto = log_end(p->log);
}

/* ---- consumers -----------------------------------------------------------------------
 */

/* A follower serves those who came to it on purpose, as long as it is in sync. */
static enum status may_serve(const struct node *n, const struct fetch *f,
                             const struct partition *p)
{
    const struct topic *topic;
    const struct image_partition *ip;

    if (p->log == NULL || p->role != ROLE_FOLLOWER || f->rack == NULL ||
        f->rack[0] == '\0')
        return partition_ready(p);
    topic = image_topic_by_id(&n->image, p->topic_id);
    ip = &topic->partitions[p->number];
    return image_has(ip->in_sync, ip->in_sync_count, n->o.node_id) ? STATUS_OK
                                                                   : STATUS_NOT_LEADER;
}

/* An in-sync replica in the consumer's rack that has what is asked for, if we are not in
 * that rack (KIP-392). */
static int32_t nearer(const struct node *n, const struct fetch *f,
                      const struct fetch_part *part, const struct partition *p)
{
    const struct topic *topic = image_topic_by_id(&n->image, p->topic_id);
    const struct image_partition *ip = &topic->partitions[p->number];

    if (f->rack == NULL || f->rack[0] == '\0' || p->role != ROLE_LEADER ||
        !strcmp(f->rack, n->o.rack))
        return 0;
    for (size_t i = 0; i < ip->in_sync_count; i++) {
        const struct image_broker *b = image_broker(&n->image, ip->in_sync[i]);

        if (b != NULL && b->state == BROKER_ACTIVE && !strcmp(b->rack, f->rack) &&
            leader_replica_end(p->leader, b->node_id) >= part->offset)
            return b->node_id;
    }
    return 0;
}

/* The offset must lie in the log; between watermark and end it only has to wait. */
static void look_for_consumer(struct node *n, const struct fetch *f,
                              struct fetch_part *part, struct partition *p)
{
    part->status = may_serve(n, f, p);
    if (!part->status && part->leader_epoch != 0)
        part->status = check_epoch(part, p);
    if (part->status)
        return;
    part->high_watermark = part->upto = p->high_watermark;
    if (part->offset < part->log_start || part->offset > log_end(p->log)) {
        /* A new leader, or a follower, may not know yet how much is committed. */
        part->status = part->offset > part->log_start && p->role == ROLE_FOLLOWER
                           ? STATUS_OFFSET_NOT_AVAILABLE
                           : STATUS_OFFSET_OUT_OF_RANGE;
        if (part->status == STATUS_OFFSET_OUT_OF_RANGE && part->last_epoch > 0 &&
            part->offset > log_end(p->log)) {
            check_history(part, p->log);
            part->status = part->diverges ? STATUS_OK : part->status;
        }
        return;
    }
    if (part->last_epoch > 0)
        check_history(part, p->log);
    if (!part->diverges)
        part->preferred_replica = nearer(n, f, part, p);
}

void fetch_look(struct node *n, struct fetch_group *g, struct fetch_part *part)
{
    struct partition *p = node_partition(n, part->topic_id, part->partition);

    part->diverges = false;
    part->preferred_replica = 0;
    if (p == NULL) {
        part->status = node_absent(n, part->topic_id, part->partition);
        return;
    }
    if (p->log != NULL)
        part->log_start = log_start(p->log);
    if (g->fetch->replica)
        look_for_replica(n, g->fetch, part, p);
    else
        look_for_consumer(n, g->fetch, part, p);
}
