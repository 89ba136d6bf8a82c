/* SPDX-License-Identifier: Apache-2.0
 *
 * A question travels to the shard that owns its partition and is answered there: at once
 * for the log's ends, after reading a few batches for a time. */
#include "broker/core/offsets.h"

#include "broker/core/node_state.h"
#include "broker/core/offsets_remote.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/record/iterate.h"

#include <stdlib.h>

enum { READ_BYTES = 256 * 1024, DECOMPRESSED_MAX = 64 * 1024 * 1024 };

struct lookup {
    struct errand errand;
    struct node *node; /* where the partition is */
    struct offset_query *query;
    struct offset_question *question;
    struct log_read read;
};

static void answer(struct lookup *l, enum status status)
{
    l->question->status = status;
    errand_return(l->node, &l->errand);
}

static void found(struct lookup *l, int64_t offset, int64_t timestamp)
{
    l->question->offset = offset;
    l->question->found_timestamp_ms = timestamp;
}

/* The first record of this batch that is late enough. A batch that cannot be looked into
 * is found as a whole: too early is safe, too late would skip records. */
static bool search_records(struct lookup *l, struct bytes data, const struct batch *b)
{
    struct iterate it;
    struct record record;
    bool hit = false;

    if (b->attributes & BATCH_LOG_APPEND_TIME ||
        iterate_begin(&it, data, DECOMPRESSED_MAX)) {
        found(l, b->base_offset, b->max_timestamp);
        return true;
    }
    while (!hit && !iterate_next(&it, &record)) {
        hit = record.timestamp >= l->question->timestamp_ms &&
              record.offset >= l->question->log_start;
        if (hit)
            found(l, record.offset, record.timestamp);
    }
    iterate_end(&it);
    return hit;
}

/* Walk the batches that were read; true when the record was found. */
static bool search(struct lookup *l)
{
    for (size_t i = 0; i < l->read.slice_count; i++) {
        struct bytes data = {l->read.slices[i].data, l->read.slices[i].len};
        struct batch b;

        for (; data.len > 0;
             data = (struct bytes){data.data + b.size, data.len - b.size}) {
            if (batch_parse(data, &b))
                return false;
            l->read.from = batch_next_offset(&b);
            if (b.max_timestamp >= l->question->timestamp_ms &&
                search_records(l, (struct bytes){data.data, b.size}, &b))
                return true;
        }
    }
    return false;
}

static void read_on(struct lookup *l);

static void on_read(struct log_read *read)
{
    struct lookup *l = container_of(read, struct lookup, read);
    enum status status = read->status;
    size_t bytes = read->bytes;
    bool hit = !status && search(l);

    log_read_release(read);
    if (status)
        answer(l,
               status == STATUS_NOT_FOUND ? STATUS_UNKNOWN_TOPIC_OR_PARTITION : status);
    else if (hit || bytes == 0)
        answer(l, STATUS_OK);
    else
        read_on(l);
}

static void read_on(struct lookup *l)
{
    struct offset_question *q = l->question;
    struct partition *p = node_partition(l->node, q->topic_id, q->partition);
    int64_t from = l->read.from;

    enum status st = p ? partition_ready(p) : STATUS_UNKNOWN_TOPIC_OR_PARTITION;

    if (st) {
        answer(l, st);
        return;
    }
    if (from >= q->high_watermark) {
        answer(l, STATUS_OK);
        return;
    }
    l->read = (struct log_read){.from = from,
                                .upto = q->high_watermark,
                                .max_bytes = READ_BYTES,
                                .first_whole = true,
                                .done = on_read};
    if (log_read_hot(p->log, &l->read))
        on_read(&l->read);
    else
        log_read_cold(p->log, &l->read);
}

/* Where the log begins any leader knows. How far it goes knows only one that is the
 * leader still, as far as it can tell, and has caught up with what was committed before
 * it. */
static enum status may_tell(const struct node *n, const struct offset_question *q,
                            const struct partition *p)
{
    enum status st = p ? partition_ready(p) : node_absent(n, q->topic_id, q->partition);

    if (st || q->timestamp_ms == OFFSET_QUERY_EARLIEST)
        return st;
    return node_is_heard(n) ? partition_settled(p) : STATUS_NOT_LEADER;
}

static void ask(struct node *n, struct errand *e)
{
    struct lookup *l = container_of(e, struct lookup, errand);
    struct offset_question *q = l->question;
    struct partition *p = node_partition(n, q->topic_id, q->partition);
    enum status st = may_tell(n, q, p);

    l->node = n;
    q->found_timestamp_ms = -1;
    if (st) {
        answer(l, st);
        return;
    }
    q->leader_epoch = p->leader_epoch;
    q->log_start = log_start(p->log);
    q->high_watermark = p->high_watermark;
    q->offset =
        q->timestamp_ms == OFFSET_QUERY_EARLIEST ? q->log_start : q->high_watermark;
    if (q->timestamp_ms < 0) {
        answer(l, STATUS_OK);
        return;
    }
    l->read.from = log_offset_for_time(p->log, q->timestamp_ms);
    if (l->read.from < q->log_start)
        l->read.from = q->log_start;
    read_on(l);
}

static void end(struct offset_query *q)
{
    CHECK(q->pending > 0);
    if (--q->pending == 0)
        q->done(q);
}

static void come_home(struct node *n, struct errand *e)
{
    struct lookup *l = container_of(e, struct lookup, errand);
    struct offset_query *q = l->query;
    struct offset_question *question = l->question;

    free(l);
    if (q->anywhere && question != NULL && question->status == STATUS_NOT_LEADER)
        offset_ask_leader(n, q, question, end);
    else
        end(q);
}

/* No question at all is answered later as well. */
static void nothing(struct node *n, struct errand *e)
{
    errand_return(n, e);
}

void offset_query_start(struct node *n, struct offset_query *q)
{
    q->pending = q->count > 0 ? q->count : 1;
    for (size_t i = 0; i < q->pending; i++) {
        struct lookup *l = must_zalloc(sizeof *l);
        unsigned shard = n->o.shard;

        l->query = q;
        l->errand.run = q->count > 0 ? ask : nothing;
        l->errand.back = come_home;
        if (q->count > 0) {
            l->question = &q->questions[i];
            shard = node_shard_of(&l->question->topic_id, l->question->partition,
                                  n->o.shards);
        }
        errand_send(n, shard, &l->errand);
    }
}
