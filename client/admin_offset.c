/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the leaders of many partitions: one call each, all at once. */
#include "client/client.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>

struct row {
    struct call call;
    leat_offset *offset;
    struct fan *fan;
    bool made;
};

struct fan {
    size_t left;
    enum status failed; /* of the library's own codes, the first */
    char text[256];
};

static void finish(struct row *row, int code, const char *text)
{
    row->offset->code = code;
    if (code < 0 && !row->fan->failed) {
        row->fan->failed = (enum status)code;
        snprintf(row->fan->text, sizeof row->fan->text, "%s", text);
    }
    row->fan->left--;
}

static void settle(struct row *row, int code, int64_t offset)
{
    if (code != 0 && call_again(&row->call, (enum status)code))
        return;
    if (code == 0)
        row->offset->offset = offset;
    finish(row, code, "");
}

static void on_listed(struct call *call, const struct answer *answer)
{
    struct row *row = container_of(call, struct row, call);
    const Leat__ListOffsetsResponse *m = (const void *)answer->message;

    if (m == NULL)
        finish(row, (int)answer->status, answer->text);
    else if (m->n_topics != 1 || m->topics[0]->n_partitions != 1)
        finish(row, LEAT_E_PROTOCOL, "");
    else
        settle(row, m->topics[0]->partitions[0]->error,
               m->topics[0]->partitions[0]->offset);
}

static void on_trimmed(struct call *call, const struct answer *answer)
{
    struct row *row = container_of(call, struct row, call);
    const Leat__TrimResponse *m = (const void *)answer->message;

    if (m == NULL)
        finish(row, (int)answer->status, answer->text);
    else if (m->n_partitions != 1)
        finish(row, LEAT_E_PROTOCOL, "");
    else
        settle(row, m->partitions[0]->error, m->partitions[0]->log_start);
}

static enum status ask_list(struct row *row, int64_t timestamp_ms, int64_t deadline_ms)
{
    Leat__ListOffsetsPartition p = LEAT__LIST_OFFSETS_PARTITION__INIT;
    Leat__ListOffsetsPartition *partitions[] = {&p};
    Leat__ListOffsetsTopic t = LEAT__LIST_OFFSETS_TOPIC__INIT;
    Leat__ListOffsetsTopic *topics[] = {&t};
    Leat__ListOffsetsRequest m = LEAT__LIST_OFFSETS_REQUEST__INIT;

    p.partition = row->offset->partition;
    p.timestamp_ms = timestamp_ms;
    t.name = (char *)row->offset->topic;
    t.partitions = partitions;
    t.n_partitions = 1;
    m.topics = topics;
    m.n_topics = 1;
    return call_start(&row->call, RPC_LIST_OFFSETS, &m.base, deadline_ms);
}

static enum status ask_trim(struct row *row, int64_t unused, int64_t deadline_ms)
{
    Leat__TrimPartition p = LEAT__TRIM_PARTITION__INIT;
    Leat__TrimPartition *partitions[] = {&p};
    Leat__TrimRequest m = LEAT__TRIM_REQUEST__INIT;

    (void)unused;
    p.partition = row->offset->partition;
    p.before_offset = row->offset->offset;
    m.topic = (char *)row->offset->topic;
    m.partitions = partitions;
    m.n_partitions = 1;
    return call_start(&row->call, RPC_TRIM, &m.base, deadline_ms);
}

static bool all_finished(void *fan)
{
    return ((const struct fan *)fan)->left == 0;
}

typedef enum status ask_fn(struct row *row, int64_t timestamp_ms, int64_t deadline_ms);

static enum status start_all(leat_client *client, struct row *rows, struct fan *fan,
                             leat_offset *offsets, size_t count, ask_fn *ask,
                             call_done_fn *done, int64_t timestamp_ms,
                             int64_t deadline_ms)
{
    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        enum status st = call_init(&row->call, &client->cluster, done);

        if (st)
            return st;
        row->made = true;
        row->offset = &offsets[i];
        row->fan = fan;
        row->call.target = CALL_LEADER;
        row->call.topic = offsets[i].topic;
        row->call.partition = offsets[i].partition;
        row->call.repeat = true;
        offsets[i].code = LEAT_E_TIMED_OUT;
        st = ask(row, timestamp_ms, deadline_ms);
        if (st)
            return st;
        fan->left++;
    }
    return STATUS_OK;
}

static int fan_out(leat_client *client, leat_offset *offsets, size_t count, ask_fn *ask,
                   call_done_fn *done, int64_t timestamp_ms, int timeout_ms,
                   leat_error *error, const char *where)
{
    struct engine *e = &client->engine;
    int64_t deadline_ms = engine_deadline(timeout_ms);
    struct fan fan = {0};
    struct row *rows;
    enum status st;

    if (client_check(client, error))
        return LEAT_E_FORKED;
    for (size_t i = 0; i < count; i++)
        if (offsets[i].topic == NULL)
            return error_set(error, LEAT_E_INVALID_ARGUMENT, "a topic is missing", "%s",
                             where);
    rows = calloc(count + 1, sizeof rows[0]);
    if (rows == NULL)
        return error_set(error, LEAT_E_NO_MEMORY, NULL, "%s", where);
    engine_lock(e);
    st = start_all(client, rows, &fan, offsets, count, ask, done, timestamp_ms,
                   deadline_ms);
    engine_unlock(e);
    if (!st)
        engine_wait_for(e, all_finished, &fan, deadline_ms);
    engine_lock(e);
    for (size_t i = 0; i < count; i++)
        if (rows[i].made)
            call_release(&rows[i].call);
    engine_unlock(e);
    free(rows);
    if (!st && fan.failed)
        st = fan.failed;
    if (!st && fan.left > 0)
        st = STATUS_TIMED_OUT;
    return st ? error_set(error, (int)st, fan.text, "%s", where) : error_clear(error);
}

int leat_offsets_list(leat_client *client, int64_t timestamp_ms, leat_offset *offsets,
                      size_t count, int timeout_ms, leat_error *error)
{
    return fan_out(client, offsets, count, ask_list, on_listed, timestamp_ms, timeout_ms,
                   error, "list offsets");
}

int leat_topic_trim(leat_client *client, leat_offset *offsets, size_t count,
                    int timeout_ms, leat_error *error)
{
    return fan_out(client, offsets, count, ask_trim, on_trimmed, 0, timeout_ms, error,
                   "trim");
}
