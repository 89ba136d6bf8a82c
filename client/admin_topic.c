/* SPDX-License-Identifier: Apache-2.0 */
#include "client/admin.h"

#include <stdio.h>
#include <string.h>

enum { LEADER_PATIENCE_MS = 5000 };

static struct bytes view(ProtobufCBinaryData b)
{
    return (struct bytes){b.data, b.len};
}

/* ---- cluster ---- */

/* What a broker said of itself when we met it; empty if we have not. */
static const char *version_of(struct cluster *c, int32_t node_id)
{
    struct node *n;
    struct server *s;

    for (size_t i = 0; (n = map_next(&c->nodes, &i)) != NULL;)
        if (n->id == node_id && n->connection.version[0] != '\0')
            return n->connection.version;
    TAILQ_FOREACH (s, &c->servers, link)
        if (s->connection.node_id == node_id)
            return s->connection.version;
    return "";
}

static enum status take_cluster(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__MetadataResponse *m = (const void *)message;
    struct leat_reply *r = a->reply;
    const char *cluster_id = reply_uuid(r, view(m->cluster_id));

    if (cluster_id == NULL || !reply_reserve(r, m->n_brokers))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_brokers; i++) {
        const Leat__BrokerInfo *b = m->brokers[i];
        leat_cluster_row *row = reply_row(r);

        row->cluster_id = cluster_id;
        row->node_id = b->node_id;
        row->host = reply_text(r, b->host);
        row->port = (uint16_t)b->port;
        row->rack = reply_text(r, b->rack);
        row->controller = b->node_id == m->controller_id;
        row->version = reply_text(r, version_of(&a->client->cluster, b->node_id));
        if (row->host == NULL || row->rack == NULL || row->version == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

int leat_cluster_describe(leat_client *client, leat_reply **reply, int timeout_ms,
                          leat_error *error)
{
    Leat__MetadataRequest m = LEAT__METADATA_REQUEST__INIT;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_BROKERS)) == NULL;
        a.call.repeat = true;
        code = admin_ask(&a, RPC_METADATA, &m.base, take_cluster, timeout_ms, error,
                         "describe cluster");
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

/* ---- topics: where they are ---- */

static enum status fill_partition(struct leat_reply *r, const char *topic, const char *id,
                                  const Leat__TopicInfo *t, const Leat__PartitionInfo *p)
{
    leat_partition_row *row = reply_row(r);

    row->topic = topic;
    row->topic_id = id;
    row->internal = t->internal;
    row->partition = p->partition;
    row->leader = p->leader;
    row->leader_epoch = p->leader_epoch;
    row->replicas = reply_numbers(r, p->replicas, p->n_replicas);
    row->replica_count = p->n_replicas;
    row->in_sync = reply_numbers(r, p->in_sync, p->n_in_sync);
    row->in_sync_count = p->n_in_sync;
    row->log_start = row->high_watermark = row->log_end = row->last_append_ms = -1;
    row->eligible = reply_numbers(r, p->eligible, p->n_eligible);
    row->eligible_count = p->n_eligible;
    row->adding = reply_numbers(r, p->adding, p->n_adding);
    row->adding_count = p->n_adding;
    row->removing = reply_numbers(r, p->removing, p->n_removing);
    row->removing_count = p->n_removing;
    row->min_in_sync = p->min_in_sync;
    return row->replicas != NULL && row->in_sync != NULL && row->eligible != NULL &&
                   row->adding != NULL && row->removing != NULL
               ? STATUS_OK
               : STATUS_NO_MEMORY;
}

static enum status take_topic(struct leat_reply *r, const Leat__TopicInfo *t)
{
    const char *topic = reply_text(r, t->name);
    const char *id = reply_uuid(r, view(t->topic_id));
    const Leat__PartitionInfo nowhere = {
        .base = PROTOBUF_C_MESSAGE_INIT(&leat__partition_info__descriptor),
        .partition = -1,
        .leader = -1,
    };
    enum status st = topic != NULL && id != NULL ? STATUS_OK : STATUS_NO_MEMORY;

    for (size_t i = 0; i < t->n_partitions && !st && !t->error; i++)
        st = fill_partition(r, topic, id, t, t->partitions[i]);
    if (t->error && !st) {
        st = fill_partition(r, topic, id, t, &nowhere);
        ((leat_partition_row *)r->rows)[r->len - 1].code = t->error;
    }
    return st;
}

static enum status take_topics(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__MetadataResponse *m = (const void *)message;
    enum status st = STATUS_OK;
    size_t rows = 0;

    for (size_t i = 0; i < m->n_topics; i++)
        rows += m->topics[i]->error ? 1 : m->topics[i]->n_partitions;
    if (!reply_reserve(a->reply, rows))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_topics && !st; i++)
        st = take_topic(a->reply, m->topics[i]);
    return st;
}

/* ---- topics: what they hold ---- */

static void fill_log(leat_partition_row *row, const Leat__LogInfo *log)
{
    /* The leader has changed since it was looked up: nothing is wrong with the partition,
     * only nobody knows at the moment what it holds. */
    if (log->error == STATUS_NOT_LEADER)
        return;
    if (log->error) {
        row->code = log->error;
        return;
    }
    row->log_start = log->log_start;
    row->high_watermark = log->high_watermark;
    row->log_end = log->log_end;
    row->bytes = log->bytes;
    row->segments = log->segments;
    row->last_append_ms = log->last_append_ms;
}

static const Leat__LogInfo *find_log(const Leat__DescribeLogsResponse *m,
                                     const leat_partition_row *row)
{
    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__LogTopic *t = m->topics[i];

        if (strcmp(t->name, row->topic) != 0)
            continue;
        for (size_t j = 0; j < t->n_partitions; j++)
            if (t->partitions[j]->partition == row->partition)
                return t->partitions[j];
    }
    return NULL;
}

/* Only the leader's word counts, and it is the leader that was asked. */
static enum status take_logs(struct admin *a, const ProtobufCMessage *message)
{
    leat_partition_row *rows = a->reply->rows;

    for (size_t i = 0; i < a->reply->len; i++) {
        const Leat__LogInfo *log;

        if (rows[i].leader != a->call.node || rows[i].code)
            continue;
        log = find_log((const void *)message, &rows[i]);
        if (log != NULL)
            fill_log(&rows[i], log);
    }
    return STATUS_OK;
}

static bool asked_before(const leat_partition_row *rows, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (rows[i].leader == rows[at].leader)
            return true;
    return false;
}

/* Of a leader that is gone there is no word, and of all others there is. */
static bool is_away(int code)
{
    return code == LEAT_E_UNREACHABLE || code == LEAT_E_TIMED_OUT;
}

static int ask_logs(struct admin *a, const char *const *topics, size_t count,
                    int64_t deadline_ms, leat_error *error)
{
    Leat__DescribeLogsRequest m = LEAT__DESCRIBE_LOGS_REQUEST__INIT;
    const leat_partition_row *rows = a->reply->rows;
    int code = LEAT_OK;

    m.topics = (char **)topics;
    m.n_topics = count;
    for (size_t i = 0; i < a->reply->len && !code; i++) {
        int64_t left = deadline_ms - engine_now_ms();

        if (rows[i].leader < 0 || asked_before(rows, i))
            continue;
        a->call =
            (struct call){.target = CALL_NODE, .node = rows[i].leader, .repeat = true};
        code = admin_ask(a, RPC_DESCRIBE_LOGS, &m.base, take_logs,
                         left > LEADER_PATIENCE_MS ? LEADER_PATIENCE_MS
                         : left < 0                ? 0
                                                   : (int)left,
                         error, "describe logs");
        code = is_away(code) ? LEAT_OK : code;
    }
    return code;
}

int leat_topics_describe(leat_client *client, const char *const *topics, size_t count,
                         bool internal, bool logs, leat_reply **reply, int timeout_ms,
                         leat_error *error)
{
    Leat__MetadataRequest m = LEAT__METADATA_REQUEST__INIT;
    int64_t deadline_ms = engine_deadline(timeout_ms);
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_PARTITIONS)) == NULL;
        a.call.repeat = true;
        m.topics = (char **)topics;
        m.n_topics = count;
        m.all_topics = count == 0;
        m.include_internal = internal;
        code = admin_ask(&a, RPC_METADATA, &m.base, take_topics, timeout_ms, error,
                         "describe topics");
    }
    if (!code && logs)
        code = ask_logs(&a, topics, count, deadline_ms, error);
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

/* ---- create, delete, alter ---- */

static const char *about(struct admin *a, const char *what, const char *name)
{
    const char *text = arena_format(&a->arena, "%s %.60s", what, name);

    return text != NULL ? text : what;
}

static int no_name(const char *what, leat_error *error)
{
    return error_set(error, LEAT_E_INVALID_ARGUMENT, "a name is missing", "%s", what);
}

int leat_topic_create(leat_client *client, const char *topic, int32_t partitions,
                      int32_t replication, const leat_setting *settings, size_t count,
                      bool validate_only, int timeout_ms, leat_error *error)
{
    Leat__CreateTopicRequest m = LEAT__CREATE_TOPIC_REQUEST__INIT;
    struct admin_settings s;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code &&
        (topic == NULL || !admin_settings(&a, settings, count, &s) || s.unset_count > 0))
        code = no_name("create topic", error);
    if (!code) {
        m.name = (char *)topic;
        m.partitions = partitions;
        m.replication = replication;
        m.config = s.set;
        m.n_config = s.set_count;
        m.validate_only = validate_only;
        a.call.target = CALL_CONTROLLER;
        a.call.repeat = validate_only;
        code = admin_ask(&a, RPC_CREATE_TOPIC, &m.base, NULL, timeout_ms, error,
                         about(&a, "create topic", topic));
    }
    return admin_end(&a, code);
}

int leat_topic_delete(leat_client *client, const char *topic, int timeout_ms,
                      leat_error *error)
{
    Leat__DeleteTopicRequest m = LEAT__DELETE_TOPIC_REQUEST__INIT;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code && topic == NULL)
        code = no_name("delete topic", error);
    if (!code) {
        m.name = (char *)topic;
        a.call.target = CALL_CONTROLLER;
        code = admin_ask(&a, RPC_DELETE_TOPIC, &m.base, NULL, timeout_ms, error,
                         about(&a, "delete topic", topic));
    }
    return admin_end(&a, code);
}

int leat_topic_alter(leat_client *client, const char *topic, int32_t partitions,
                     const leat_setting *settings, size_t count, bool validate_only,
                     int timeout_ms, leat_error *error)
{
    Leat__AlterTopicRequest m = LEAT__ALTER_TOPIC_REQUEST__INIT;
    struct admin_settings s;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code && (topic == NULL || !admin_settings(&a, settings, count, &s)))
        code = no_name("alter topic", error);
    if (!code) {
        m.name = (char *)topic;
        m.partitions = partitions;
        m.set = s.set;
        m.n_set = s.set_count;
        m.unset = s.unset;
        m.n_unset = s.unset_count;
        m.validate_only = validate_only;
        a.call.target = CALL_CONTROLLER;
        a.call.repeat = true; /* the same total and values once more */
        code = admin_ask(&a, RPC_ALTER_TOPIC, &m.base, NULL, timeout_ms, error,
                         about(&a, "alter topic", topic));
    }
    return admin_end(&a, code);
}
