/* SPDX-License-Identifier: Apache-2.0
 *
 * Reset: the one way for committed offsets to go back. The plan comes first: which
 * partitions, what is committed there, where they shall stand; for that the partitions
 * are asked what they hold. Then, unless only the plan was wanted, it is carried out as
 * one batch. The group stands still meanwhile: the operation is alone in its line. */
#include "broker/core/group/operation.h"

#include "proto/base/check.h"

#include <string.h>

struct reset_row {
    struct topic_partition at;
    char *topic;
    enum status status;
    int64_t before; /* -1: nothing was committed */
    int64_t after;  /* -1: nothing shall be */
    /* Explicit only, and only until the records are made: the request's. */
    const Leat__OffsetPartition *explicit;
};

struct reset {
    struct offset_query query;
    struct operation *op;
    Leat__GroupResetRequest__Target target;
    int64_t value;
    bool validate_only;
    struct reset_row *rows;
    struct offset_question *questions; /* one per row */
    size_t count;
};

static const Leat__GroupResetRequest *wishes(const struct operation *op)
{
    return (const Leat__GroupResetRequest *)op->request->header;
}

/* ---- which partitions ------------------------------------------------------------- */

/* False when there would be too many. */
static bool add_row(struct reset *reset, char *name, const struct topic *t,
                    int32_t partition, int64_t after)
{
    const struct group *g = operation_group(reset->op);
    const struct committed *o = NULL;
    struct reset_row *row;

    if (reset->count == GROUP_ROWS_MAX)
        return false;
    row = &reset->rows[reset->count++];
    *row = (struct reset_row){.topic = name, .before = -1, .after = after};
    row->at.partition = partition;
    if (t == NULL || partition < 0 || partition >= t->partition_count) {
        row->status = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        row->after = -1;
        return true;
    }
    row->at.topic = t->id;
    if (g != NULL)
        o = group_offset(g, &row->at);
    if (o != NULL)
        row->before = o->offset;
    return true;
}

static bool add_explicit(struct reset *reset, const Leat__GroupResetRequest *q)
{
    for (size_t i = 0; i < q->n_offsets; i++) {
        const Leat__OffsetTopic *topic = q->offsets[i];
        const struct topic *t = image_topic(reset->op->c->o.image, bytes_of(topic->name));

        for (size_t j = 0; j < topic->n_partitions; j++) {
            const Leat__OffsetPartition *wish = topic->partitions[j];

            if (!add_row(reset, topic->name, t, wish->partition, wish->offset))
                return false;
            reset->rows[reset->count - 1].explicit = wish;
            if (strlen(wish->metadata) > GROUP_METADATA_MAX)
                reset->rows[reset->count - 1].status = STATUS_INVALID_COMMIT_OFFSET_SIZE;
        }
    }
    return true;
}

static bool add_topic(struct reset *reset, const Leat__TopicPartitions *q)
{
    const struct topic *t = image_topic(reset->op->c->o.image, bytes_of(q->topic));

    if (t == NULL && q->n_partitions == 0)
        return add_row(reset, q->topic, NULL, -1, -1);
    if (q->n_partitions == 0)
        for (int32_t p = 0; p < t->partition_count; p++)
            if (!add_row(reset, q->topic, t, p, -1))
                return false;
    for (size_t i = 0; i < q->n_partitions; i++)
        if (!add_row(reset, q->topic, t, q->partitions[i], -1))
            return false;
    return true;
}

static enum status add_committed(struct reset *reset)
{
    struct operation *op = reset->op;
    const struct group *g = operation_group(op);
    const struct committed **list = committed_sorted(op->request, g);

    if (list == NULL)
        return STATUS_THROTTLED;
    for (size_t i = 0; i < g->offsets.count; i++) {
        const struct topic *t = image_topic_by_id(op->c->o.image, list[i]->at.topic);

        if (t != NULL && !add_row(reset, t->name, t, list[i]->at.partition, -1))
            return STATUS_TOO_MANY;
    }
    return STATUS_OK;
}

static enum status choose_rows(struct reset *reset, const Leat__GroupResetRequest *q)
{
    bool fits = true;

    if (reset->target == LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT)
        return add_explicit(reset, q) ? STATUS_OK : STATUS_TOO_MANY;
    if (q->n_topics == 0)
        return add_committed(reset);
    for (size_t i = 0; fits && i < q->n_topics; i++)
        fits = add_topic(reset, q->topics[i]);
    return fits ? STATUS_OK : STATUS_TOO_MANY;
}

/* ---- where to --------------------------------------------------------------------- */

static int64_t clamp(int64_t offset, const struct offset_question *q)
{
    if (offset < q->log_start)
        return q->log_start;
    return offset > q->high_watermark ? q->high_watermark : offset;
}

static int64_t shifted(const struct reset *reset, struct reset_row *row,
                       const struct offset_question *q)
{
    int64_t sum;

    if (row->before < 0) {
        row->status = STATUS_OFFSET_OUT_OF_RANGE; /* from where? */
        return -1;
    }
    if (__builtin_add_overflow(row->before, reset->value, &sum))
        sum = reset->value < 0 ? q->log_start : q->high_watermark;
    return clamp(sum, q);
}

static void decide_row(const struct reset *reset, struct reset_row *row,
                       const struct offset_question *q)
{
    row->status = q->status;
    if (q->status != STATUS_OK)
        return;
    switch ((int)reset->target) {
    case LEAT__GROUP_RESET_REQUEST__TARGET__EARLIEST: row->after = q->log_start; break;
    case LEAT__GROUP_RESET_REQUEST__TARGET__LATEST: row->after = q->high_watermark; break;
    case LEAT__GROUP_RESET_REQUEST__TARGET__TIMESTAMP: row->after = q->offset; break;
    case LEAT__GROUP_RESET_REQUEST__TARGET__OFFSET:
        row->after = clamp(reset->value, q);
        break;
    case LEAT__GROUP_RESET_REQUEST__TARGET__SHIFT:
        row->after = shifted(reset, row, q);
        break;
    }
}

/* ---- answering -------------------------------------------------------------------- */

static Leat__GroupResetResult *result(struct request *r, const struct reset_row *row)
{
    Leat__GroupResetResult *result = request_alloc(r, sizeof *result);

    if (result == NULL)
        return NULL;
    leat__group_reset_result__init(result);
    result->partition = row->at.partition;
    result->error = row->status;
    result->before = row->before;
    result->after = row->status == STATUS_OK ? row->after : row->before;
    return result;
}

static Leat__GroupResetTopic *begin_topic(struct request *r, const char *name,
                                          size_t rows)
{
    Leat__GroupResetTopic *t = request_alloc(r, sizeof *t);

    if (t == NULL)
        return NULL;
    leat__group_reset_topic__init(t);
    t->name = arena_text(&r->arena, name, strlen(name));
    t->partitions = request_alloc(r, rows * sizeof(Leat__GroupResetResult *));
    return t->name != NULL && t->partitions != NULL ? t : NULL;
}

static Leat__GroupResetResponse *response(struct request *r, const struct reset *reset)
{
    Leat__GroupResetResponse *a = request_alloc(r, sizeof *a);
    Leat__GroupResetTopic *t = NULL;

    if (a == NULL)
        return NULL;
    leat__group_reset_response__init(a);
    a->topics = request_alloc(r, (reset->count + 1) * sizeof(Leat__GroupResetTopic *));
    if (a->topics == NULL)
        return NULL;
    for (size_t i = 0; i < reset->count; i++) {
        const struct reset_row *row = &reset->rows[i];

        if (i == 0 || strcmp(reset->rows[i - 1].topic, row->topic) != 0) {
            t = begin_topic(r, row->topic, reset->count - i);
            if (t == NULL)
                return NULL;
            a->topics[a->n_topics++] = t;
        }
        t->partitions[t->n_partitions] = result(r, row);
        if (t->partitions[t->n_partitions++] == NULL)
            return NULL;
    }
    return a;
}

static void finish(struct operation *op)
{
    operation_answer(op, (ProtobufCMessage *)response(op->request, op->work));
}

/* ---- carrying out ----------------------------------------------------------------- */

static void record_row(const struct operation *op, const struct reset_row *row,
                       struct records *records)
{
    Leat__Group__Offset offset = LEAT__GROUP__OFFSET__INIT;

    if (row->after < 0) {
        records_remove_offset(records, op->line->group, row->at.topic, row->at.partition);
        return;
    }
    offset.group = op->line->group;
    offset.partition = row->at.partition;
    offset.offset = row->after;
    offset.leader_epoch = row->explicit != NULL ? row->explicit->leader_epoch : -1;
    if (row->explicit != NULL)
        offset.metadata = row->explicit->metadata;
    offset.committed_ms = op->c->now.wall_ms;
    offset.committer = (char *)"reset";
    records_offset(records, &offset, row->at.topic);
}

/* A topic may have gone while its partitions were asked. */
static void carry_out(struct reset *reset)
{
    struct operation *op = reset->op;
    bool is_new = operation_group(op) == NULL;
    struct records records;

    records_init(&records);
    if (is_new)
        decide_group(op->line->group, "", op->c->now.wall_ms, &records);
    for (size_t i = 0; i < reset->count; i++) {
        struct reset_row *row = &reset->rows[i];

        if (row->status == STATUS_OK &&
            image_topic_by_id(op->c->o.image, row->at.topic) == NULL)
            row->status = STATUS_UNKNOWN_TOPIC_OR_PARTITION;
        if (row->status == STATUS_OK)
            record_row(op, row, &records);
    }
    if (records.count > is_new && !reset->validate_only) {
        operation_propose(op, &records, finish);
        return;
    }
    records_release(&records);
    finish(op);
}

static void answered(struct offset_query *query)
{
    struct reset *reset = container_of(query, struct reset, query);

    if (operation_is_over(reset->op)) {
        operation_finish(reset->op);
        return;
    }
    for (size_t i = 0, q = 0; i < reset->count; i++)
        if (reset->rows[i].status == STATUS_OK)
            decide_row(reset, &reset->rows[i], &reset->questions[q++]);
    carry_out(reset);
}

static int64_t time_to_ask(const struct reset *reset)
{
    switch ((int)reset->target) {
    case LEAT__GROUP_RESET_REQUEST__TARGET__EARLIEST: return OFFSET_QUERY_EARLIEST;
    case LEAT__GROUP_RESET_REQUEST__TARGET__TIMESTAMP: return reset->value;
    default: return OFFSET_QUERY_LATEST;
    }
}

/* Only rows without an error are asked; `answered` walks them in the same order. */
static void ask(struct reset *reset)
{
    struct operation *op = reset->op;
    size_t n = 0;

    for (size_t i = 0; i < reset->count; i++)
        if (reset->rows[i].status == STATUS_OK)
            reset->questions[n++] =
                (struct offset_question){.topic_id = reset->rows[i].at.topic,
                                         .partition = reset->rows[i].at.partition,
                                         .timestamp_ms = time_to_ask(reset)};
    if (n == 0) {
        finish(op);
        return;
    }
    reset->query.questions = reset->questions;
    reset->query.count = n;
    reset->query.done = answered;
    reset->query.anywhere = true;
    op->c->o.query(op->c->o.ctx, &reset->query);
}

/* Names outlive the request, which may be answered before its questions come home. */
static void keep_names(struct reset *reset)
{
    for (size_t i = 0; i < reset->count; i++) {
        struct reset_row *row = &reset->rows[i];
        size_t len = strlen(row->topic);
        bool same = i > 0 && strcmp(reset->rows[i - 1].topic, row->topic) == 0;
        char *copy =
            same ? reset->rows[i - 1].topic : operation_alloc(reset->op, len + 1);

        if (!same)
            memcpy(copy, row->topic, len);
        row->topic = copy;
    }
}

static void start_plan(struct operation *op)
{
    const Leat__GroupResetRequest *q = wishes(op);
    struct reset *reset = operation_alloc(op, sizeof *reset);
    enum status st;

    reset->op = op;
    reset->target = q->target;
    reset->value = q->value;
    reset->validate_only = q->validate_only;
    reset->rows = operation_alloc(op, GROUP_ROWS_MAX * sizeof *reset->rows);
    op->work = reset;
    st = choose_rows(reset, q);
    if (st == STATUS_TOO_MANY) {
        operation_refuse(op, st, "reset at most %d partitions at a time", GROUP_ROWS_MAX);
        return;
    }
    if (st != STATUS_OK) {
        operation_refuse(op, st, NULL);
        return;
    }
    keep_names(reset);
    reset->questions = operation_alloc(op, (reset->count + 1) * sizeof *reset->questions);
    if (reset->target == LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT)
        carry_out(reset);
    else
        ask(reset);
}

static void start(struct operation *op)
{
    const Leat__GroupResetRequest *q = wishes(op);
    const struct group *g = operation_group(op);
    bool names_partitions = q->n_topics > 0 || q->n_offsets > 0;

    if (g == NULL && !names_partitions)
        operation_refuse(op, STATUS_GROUP_NOT_FOUND, NULL);
    else if (g == NULL && !q->validate_only && !coordinator_has_room(op->c))
        operation_refuse(op, STATUS_TOO_MANY, "the broker holds groups.max groups");
    else if (g != NULL && g->members.count > 0)
        operation_refuse(op, STATUS_NON_EMPTY_GROUP, NULL);
    else
        start_plan(op);
}

static bool explicit_are_valid(const Leat__GroupResetRequest *q)
{
    for (size_t i = 0; i < q->n_offsets; i++)
        for (size_t j = 0; j < q->offsets[i]->n_partitions; j++)
            if (q->offsets[i]->partitions[j]->offset < -1)
                return false;
    return true;
}

void request_reset(struct coordinator *c, struct request *r)
{
    const Leat__GroupResetRequest *q = (const Leat__GroupResetRequest *)r->header;
    int target = (int)q->target;
    bool is_explicit = target == LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT;

    if (!name_is_valid(bytes_of(q->group)))
        request_refuse(r, STATUS_INVALID_GROUP, NULL);
    else if (target < 0 || target > LEAT__GROUP_RESET_REQUEST__TARGET__EXPLICIT)
        request_refuse(r, STATUS_INVALID_REQUEST, "there is no reset target %d", target);
    else if (is_explicit != (q->n_offsets > 0))
        request_refuse(r, STATUS_INVALID_REQUEST,
                       "offsets belong to the explicit target, and it needs some");
    else if (target == LEAT__GROUP_RESET_REQUEST__TARGET__TIMESTAMP && q->value < 0)
        request_refuse(r, STATUS_INVALID_TIMESTAMP, "a time to reset to is not negative");
    else if (!explicit_are_valid(q))
        request_refuse(r, STATUS_OFFSET_OUT_OF_RANGE,
                       "an offset is not negative; -1 removes the committed one");
    else
        operation_begin(c, q->group, r, true, NULL, start);
}
