/* SPDX-License-Identifier: Apache-2.0
 *
 * Replicas whose logs do not open. They exist all the same: requests for them are told,
 * the controller is told and lets others lead, and they are tried again. A damaged one
 * whose partition others hold whole is given up and copied anew (reliability B4). */
#include "broker/core/cluster/member.h"
#include "broker/core/node_state.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdlib.h>

/* A disk that is short of something may have it soon; a damaged log is read whole to find
 * out whether an operator has brought its files back. */
enum { RETRY_MS = 1000, RETRY_DAMAGED_MS = 60000 };

static void complain(struct node *n, const struct topic *topic, int32_t number,
                     enum status why)
{
    if (why == STATUS_CORRUPT)
        node_log(n, LOG_LEVEL_ERROR, "replica_damaged",
                 "the log of %s/%d is damaged: other brokers lead it if they hold it "
                 "whole, and then it is copied anew; else bring its files back from a "
                 "copy ('leat cluster status' tells), they are looked at every minute",
                 topic->name, number);
    else
        node_log(n, LOG_LEVEL_ERROR, "replica_offline",
                 "the log of %s/%d cannot be opened (%s): trying again every second",
                 topic->name, number, status_text(why));
}

struct log *node_open_log(struct node *n, struct topic *topic, int32_t number,
                          enum status *why)
{
    const struct log_config config = node_log_config(n, topic);
    enum status before = *why;
    struct log *log;

    *why = store_log_open(n->store, node_log_id(&topic->id, number), &config, true, &log);
    if (*why == before)
        return before ? NULL : log;
    n->faults_changed = true;
    if (*why) {
        complain(n, topic, number, *why);
        return NULL;
    }
    node_log(n, LOG_LEVEL_INFO, "replica_opened", "the log of %s/%d is open again",
             topic->name, number);
    return log;
}

static void wait_to_retry(const struct node *n, struct partition *p)
{
    p->retry_ms =
        n->now.mono_ms + (p->fault == STATUS_CORRUPT ? RETRY_DAMAGED_MS : RETRY_MS);
}

void node_note_fault(struct node *n, struct partition *p, enum status why)
{
    p->fault = why;
    n->offline += why != STATUS_OK;
    wait_to_retry(n, p);
}

/* True if it is open now. */
static bool retry(struct node *n, struct topic *topic, int32_t number)
{
    struct partition *p = topic->partitions[number].local;
    struct log *log = node_open_log(n, topic, number, &p->fault);

    wait_to_retry(n, p);
    if (log == NULL)
        return false;
    partition_adopt(p, log);
    n->offline--;
    node_follow_partition(n, topic, number);
    return true;
}

/* One that is not damaged and still does not open tells that the disk has not got better:
 * the others need not be tried. */
void node_retry_partitions(struct node *n)
{
    struct topic *topic;

    for (size_t i = 0; n->offline > 0 && (topic = map_next(&n->image.by_name, &i));) {
        for (int32_t number = 0; number < topic->partition_count; number++) {
            struct partition *p = topic->partitions[number].local;

            if (p == NULL || p->log != NULL || n->now.mono_ms < p->retry_ms)
                continue;
            if (!retry(n, topic, number) && p->fault != STATUS_CORRUPT)
                return;
        }
    }
}

/* Another broker leads, and this one is neither in sync nor eligible: what is here is
 * needed by nobody. */
bool node_may_copy_anew(const struct node *n, const struct image_partition *ip)
{
    int32_t id = n->o.node_id;

    return ip->local->log == NULL && ip->local->fault == STATUS_CORRUPT &&
           ip->leader >= 0 && ip->leader != id &&
           !image_has(ip->in_sync, ip->in_sync_count, id) &&
           !image_has(ip->eligible, ip->eligible_count, id);
}

void node_copy_anew(struct node *n, struct topic *topic, int32_t number)
{
    struct partition *p = topic->partitions[number].local;
    struct log *log;

    MARK("damaged replica copied anew");
    node_log(n, LOG_LEVEL_WARN, "replica_copied_anew",
             "the damaged log of %s/%d is given up and copied from broker %d",
             topic->name, number, topic->partitions[number].leader);
    store_log_discard(n->store, node_log_id(&topic->id, number));
    log = node_open_log(n, topic, number, &p->fault);
    wait_to_retry(n, p);
    if (log == NULL)
        return;
    partition_adopt(p, log);
    n->offline--;
}

/* ---- telling -------------------------------------------------------------------------
 */

struct fault_news {
    struct errand errand;
    unsigned shard;
    struct log_faults faults;
};

static void hear(struct node *n, struct errand *e)
{
    struct fault_news *news = container_of(e, struct fault_news, errand);
    struct log_faults before = n->shard_faults[news->shard];

    n->shard_faults[news->shard] = news->faults;
    news->faults = before;
    if (!n->stopping)
        member_link_faults_changed(n->member, n->now);
    errand_return(n, e);
}

static void heard(struct node *n, struct errand *e)
{
    struct fault_news *news = container_of(e, struct fault_news, errand);

    log_faults_release(&news->faults);
    free(news);
}

static void gather(const struct node *n, struct log_faults *out)
{
    struct topic *topic;

    for (size_t i = 0; n->offline > 0 && (topic = map_next(&n->image.by_name, &i));)
        for (int32_t number = 0; number < topic->partition_count; number++) {
            const struct partition *p = topic->partitions[number].local;

            if (p != NULL && p->log == NULL)
                log_faults_add(out, (struct log_fault){topic->id, number,
                                                       p->fault == STATUS_CORRUPT});
        }
}

void node_faults_turn(struct node *n)
{
    struct fault_news *news;

    if (!n->faults_changed || n->stopping)
        return;
    n->faults_changed = false;
    news = must_zalloc(sizeof *news);
    news->errand = (struct errand){.run = hear, .back = heard};
    news->shard = n->o.shard;
    gather(n, &news->faults);
    metric_set(n->o.metrics, METRIC_REPLICAS_OFFLINE, news->faults.count);
    errand_send(n, 0, &news->errand);
}

/* The own shard's are seen as they are now: a broker that has just learnt what it should
 * have says so before it serves. */
void node_add_faults(void *ctx, struct log_faults *out)
{
    const struct node *n = ctx;

    gather(n, out);
    for (unsigned shard = 1; shard < n->o.shards; shard++)
        for (size_t i = 0; i < n->shard_faults[shard].count; i++)
            log_faults_add(out, n->shard_faults[shard].list[i]);
}

void node_release_faults(struct node *n)
{
    for (unsigned shard = 0; n->shard_faults != NULL && shard < n->o.shards; shard++)
        log_faults_release(&n->shard_faults[shard]);
    free(n->shard_faults);
}
