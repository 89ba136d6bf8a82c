/* SPDX-License-Identifier: Apache-2.0
 *
 * Commit: offsets of partitions that the member works on, answered once they are durable.
 * Commits of one group share its line, so many of them ride in one group commit. */
#include "broker/core/group/operation.h"

#include "proto/base/mark.h"

#include <string.h>

static const Leat__OffsetCommitRequest *rows(const struct operation *op)
{
    return (const Leat__OffsetCommitRequest *)op->request->header;
}

static Leat__OffsetCommitTopicResult *blank_topic(struct request *r,
                                                  const Leat__OffsetTopic *q)
{
    Leat__OffsetCommitTopicResult *t = request_alloc(r, sizeof *t);

    if (t == NULL)
        return NULL;
    leat__offset_commit_topic_result__init(t);
    t->name = q->name;
    t->partitions =
        request_alloc(r, (q->n_partitions + 1) * sizeof(Leat__OffsetCommitResult *));
    for (size_t i = 0; t->partitions != NULL && i < q->n_partitions; i++) {
        Leat__OffsetCommitResult *row = request_alloc(r, sizeof *row);

        if (row == NULL)
            return NULL;
        leat__offset_commit_result__init(row);
        row->partition = q->partitions[i]->partition;
        t->partitions[t->n_partitions++] = row;
    }
    return t->partitions != NULL ? t : NULL;
}

/* The answer in the request's shape, all rows without error so far. */
static Leat__OffsetCommitResponse *blank(struct request *r,
                                         const Leat__OffsetCommitRequest *q)
{
    Leat__OffsetCommitResponse *a = request_alloc(r, sizeof *a);

    if (a == NULL)
        return NULL;
    leat__offset_commit_response__init(a);
    a->topics =
        request_alloc(r, (q->n_topics + 1) * sizeof(Leat__OffsetCommitTopicResult *));
    for (size_t i = 0; a->topics != NULL && i < q->n_topics; i++) {
        a->topics[i] = blank_topic(r, q->topics[i]);
        if (a->topics[i] == NULL)
            return NULL;
        a->n_topics++;
    }
    return a->topics != NULL ? a : NULL;
}

static enum status judge(const struct topic *t, const struct member *m, enum claim claim,
                         const Leat__OffsetPartition *row)
{
    struct topic_partition at;

    if (t == NULL || row->partition < 0 || row->partition >= t->partition_count)
        return STATUS_UNKNOWN_TOPIC_OR_PARTITION;
    at = (struct topic_partition){t->id, row->partition};
    if (m != NULL && !PLANT(21) && !member_may_commit(m, claim, &at))
        return STATUS_FENCED_MEMBER_EPOCH;
    if (row->offset < 0)
        return STATUS_OFFSET_OUT_OF_RANGE;
    if (strlen(row->metadata) > GROUP_METADATA_MAX)
        return STATUS_INVALID_COMMIT_OFFSET_SIZE;
    return STATUS_OK;
}

static void add_row(struct operation *op, const struct topic *t,
                    const Leat__OffsetPartition *row, struct records *records)
{
    Leat__Group__Offset offset = LEAT__GROUP__OFFSET__INIT;

    offset.group = op->line->group;
    offset.partition = row->partition;
    offset.offset = row->offset;
    offset.leader_epoch = row->leader_epoch;
    offset.metadata = row->metadata;
    offset.committed_ms = op->c->now.wall_ms;
    offset.committer = rows(op)->member_id;
    records_offset(records, &offset, t->id);
}

static void judge_topic(struct operation *op, const struct member *m,
                        const Leat__OffsetTopic *q, Leat__OffsetCommitTopicResult *a,
                        struct records *records)
{
    const struct topic *t = image_topic(op->c->o.image, bytes_of(q->name));
    enum claim claim =
        m != NULL ? member_claim(m, rows(op)->member_epoch) : CLAIM_CURRENT;

    for (size_t i = 0; i < q->n_partitions; i++) {
        enum status st = judge(t, m, claim, q->partitions[i]);

        a->partitions[i]->error = st;
        if (st == STATUS_OK)
            add_row(op, t, q->partitions[i], records);
    }
}

static void committed(struct operation *op)
{
    operation_answer(op, op->request->work);
}

static void accept_rows(struct operation *op, const struct member *m)
{
    const Leat__OffsetCommitRequest *q = rows(op);
    Leat__OffsetCommitResponse *a = blank(op->request, q);
    bool is_new = operation_group(op) == NULL;
    struct records records;
    size_t accepted;

    if (a == NULL) {
        operation_answer(op, NULL);
        return;
    }
    records_init(&records);
    if (is_new)
        decide_group(op->line->group, "", op->c->now.wall_ms, &records);
    for (size_t i = 0; i < q->n_topics; i++)
        judge_topic(op, m, q->topics[i], a->topics[i], &records);
    op->request->work = a;
    accepted = records.count - is_new;
    metric_add(op->c->o.metrics, METRIC_COMMITS, accepted);
    if (accepted > 0) {
        operation_propose(op, &records, committed);
        return;
    }
    records_release(&records);
    committed(op);
}

static void start_member(struct operation *op)
{
    const struct member *m = operation_member(op);

    if (PLANT(21))
        accept_rows(op, m);
    else if (m == NULL)
        operation_refuse(op, STATUS_UNKNOWN_MEMBER, NULL);
    else if (member_claim(m, rows(op)->member_epoch) == CLAIM_FENCED)
        operation_refuse(op, STATUS_FENCED_MEMBER_EPOCH, NULL);
    else
        accept_rows(op, m);
}

static void start_outside(struct operation *op)
{
    const struct group *g = operation_group(op);

    if (g != NULL && g->members.count > 0)
        operation_refuse(op, STATUS_NON_EMPTY_GROUP, NULL);
    else if (g == NULL && !coordinator_has_room(op->c))
        operation_refuse(op, STATUS_TOO_MANY, "the broker holds groups.max groups");
    else
        accept_rows(op, NULL);
}

static size_t count_rows(const Leat__OffsetCommitRequest *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_topics; i++)
        n += q->topics[i]->n_partitions;
    return n;
}

void request_commit(struct coordinator *c, struct request *r)
{
    const Leat__OffsetCommitRequest *q = (const Leat__OffsetCommitRequest *)r->header;
    bool outside = q->member_id[0] == '\0';

    if (!name_is_valid(bytes_of(q->group)))
        request_refuse(r, STATUS_INVALID_GROUP, NULL);
    else if (outside && q->member_epoch != -1)
        request_refuse(r, STATUS_INVALID_REQUEST,
                       "a commit from outside of the group has member epoch -1");
    else if (count_rows(q) > GROUP_ROWS_MAX)
        request_refuse(r, STATUS_TOO_MANY, "a commit has at most %d partitions",
                       GROUP_ROWS_MAX);
    else
        operation_begin(c, q->group, r, false, q->member_id,
                        outside ? start_outside : start_member);
}
