/* SPDX-License-Identifier: Apache-2.0
 *
 * A leader proposes who is in sync. It is believed only if it speaks of the partition as
 * it is now, and everybody it names is the process that it thinks it is (KIP-497,
 * KIP-841, KIP-903). */
#include "broker/core/cluster/controller_inner.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"

#include <string.h>

struct alteration {
    struct task task;
    const Leat__AlterPartitionsRequest *q;
    Leat__AlterPartitionsResponse answer;
};

static struct topic *find(const struct controller *c, const Leat__AlterPartition *a)
{
    struct uuid id;
    struct topic *topic;

    if (!uuid_from((struct bytes){a->topic_id.data, a->topic_id.len}, &id))
        return NULL;
    topic = image_topic_by_id(c->o.image, id);
    return topic != NULL && a->partition >= 0 && a->partition < topic->partition_count
               ? topic
               : NULL;
}

static bool is_same_set(const Leat__AlterPartition *a, const struct image_partition *p)
{
    if (a->n_in_sync != p->in_sync_count)
        return false;
    for (size_t i = 0; i < a->n_in_sync; i++)
        if (!image_has(p->in_sync, p->in_sync_count, a->in_sync[i]))
            return false;
    return true;
}

static bool is_eligible(const struct controller *c, const Leat__AlterPartition *a,
                        size_t i, const struct image_partition *p)
{
    const struct image_broker *b = image_broker(c->o.image, a->in_sync[i]);

    if (PLANT(9))
        return true;
    if (b == NULL || b->state == BROKER_FENCED)
        return false;
    /* Who is in sync already may be stopping, and stays until its leader lets it go. */
    if (image_has(p->in_sync, p->in_sync_count, a->in_sync[i]))
        return a->broker_epochs[i] < 0 || a->broker_epochs[i] == b->epoch;
    return b->state == BROKER_ACTIVE && a->broker_epochs[i] == b->epoch;
}

/* In this order (D11): what cannot be told from a stale controller's view first. */
static enum status check(const struct controller *c, const Leat__AlterPartition *a,
                         const struct image_partition *p, int32_t sender)
{
    if (a->partition_epoch < p->partition_epoch && is_same_set(a, p))
        MARK("set change repeated after it was committed");
    if (a->leader_epoch > p->leader_epoch || a->partition_epoch > p->partition_epoch)
        return STATUS_NOT_CONTROLLER;
    if (a->leader_epoch < p->leader_epoch)
        MARK("set change by a leader that is none any more");
    if (a->leader_epoch < p->leader_epoch)
        return STATUS_FENCED_LEADER_EPOCH;
    if (p->leader != sender || a->n_in_sync == 0 || a->n_in_sync != a->n_broker_epochs ||
        a->n_in_sync > p->replica_count || !image_has(a->in_sync, a->n_in_sync, sender))
        return STATUS_INVALID_REQUEST;
    for (size_t i = 0; i < a->n_in_sync; i++)
        if (!image_has(p->replicas, p->replica_count, a->in_sync[i]) ||
            image_has(a->in_sync, i, a->in_sync[i]))
            return STATUS_INVALID_REQUEST;
    if (a->partition_epoch < p->partition_epoch)
        return is_same_set(a, p) ? STATUS_OK : STATUS_INVALID_UPDATE_VERSION;
    if (p->recovering && !a->recovered && a->n_in_sync > 1)
        return STATUS_INVALID_REQUEST;
    for (size_t i = 0; i < a->n_in_sync; i++)
        if (a->in_sync[i] != sender && !is_eligible(c, a, i, p)) {
            MARK("set change with a fenced member or an older process");
            return STATUS_INELIGIBLE_REPLICA;
        }
    return STATUS_OK;
}

static enum status decide_one(const struct controller *c, struct change *change,
                              const Leat__AlterPartition *a, int32_t sender)
{
    struct topic *topic = find(c, a);
    const struct image_partition *p;
    struct elect_rules rules;
    struct draft d;
    enum status st;

    if (topic == NULL)
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    p = &topic->partitions[a->partition];
    st = check(c, a, p, sender);
    if (st || a->partition_epoch < p->partition_epoch)
        return st;
    rules = controller_elect_rules(c, topic, p);
    draft_init(&d, p);
    d.touched = true; /* also if it asks for what is: what it asked before is void then */
    if (a->recovered)
        d.p.recovering = false;
    draft_in_sync(&d, a->in_sync, a->n_in_sync, &rules);
    if (draft_settle(&d, &rules))
        draft_elect(&d, &rules);
    controller_put(change, topic, a->partition, &d);
    return STATUS_OK;
}

static enum status decide(struct task *t, struct change *change)
{
    struct alteration *alter = container_of(t, struct alteration, task);
    const struct controller *c = t->controller;
    const struct image_broker *b = image_broker(c->o.image, alter->q->node_id);

    if (b == NULL || b->epoch != alter->q->broker_epoch)
        return STATUS_STALE_BROKER_EPOCH;
    for (size_t i = 0; i < alter->q->n_partitions; i++)
        alter->answer.partitions[i]->error =
            decide_one(c, change, alter->q->partitions[i], alter->q->node_id);
    return STATUS_OK;
}

static void describe(const struct alteration *alter, size_t i, struct request *r)
{
    const Leat__AlterPartition *a = alter->q->partitions[i];
    Leat__AlterPartitionResult *out = alter->answer.partitions[i];
    const struct topic *topic = find(alter->task.controller, a);
    const struct image_partition *p = topic ? &topic->partitions[a->partition] : NULL;

    if (out->error)
        return;
    out->in_sync =
        p ? request_alloc(r, p->in_sync_count * sizeof *out->in_sync + 1) : NULL;
    if (out->in_sync == NULL) {
        out->error = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    if (p->leader_epoch != a->leader_epoch)
        out->error = STATUS_NEW_LEADER_ELECTED;
    out->leader = p->leader;
    out->leader_epoch = p->leader_epoch;
    out->partition_epoch = p->partition_epoch;
    out->n_in_sync = p->in_sync_count;
    if (p->in_sync_count > 0)
        memcpy(out->in_sync, p->in_sync, p->in_sync_count * sizeof *out->in_sync);
}

static void finish(struct task *t)
{
    struct alteration *alter = container_of(t, struct alteration, task);

    for (size_t i = 0; i < alter->q->n_partitions; i++)
        describe(alter, i, t->request);
    request_answer(t->request, &alter->answer.base);
}

void handle_alter_partitions(struct controller *c, struct request *r)
{
    const Leat__AlterPartitionsRequest *q = REQUEST_AS(Leat__AlterPartitionsRequest, r);
    struct alteration *alter = request_alloc(r, sizeof *alter);

    if (alter != NULL) {
        leat__alter_partitions_response__init(&alter->answer);
        alter->answer.partitions = ANSWER_ARRAY(
            Leat__AlterPartitionResult, leat__alter_partition_result, r, q->n_partitions);
        alter->answer.n_partitions = q->n_partitions;
    }
    if (alter == NULL || alter->answer.partitions == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (q->node_id != r->peer) {
        request_refuse(r, STATUS_INVALID_REQUEST, "it comes from another broker");
        return;
    }
    alter->q = q;
    alter->task.decide = decide;
    alter->task.finish = finish;
    task_start(c, r, &alter->task);
}
