/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/group/scene.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/rpc/metadata.pb-c.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a node does for requests
 * ----------------------------------------------------- */

static void append(char *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + len, SCENE_TEXT - len, format, args);
    va_end(args);
}

void *request_alloc(struct request *r, size_t size)
{
    return arena_zalloc(&r->arena, size);
}

static void append_shares(char *text, Leat__TopicPartitions *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        append(text, "%s%s", i > 0 ? ", " : "", list[i]->topic);
        for (size_t j = 0; j < list[i]->n_partitions; j++)
            append(text, " %d", list[i]->partitions[j]);
    }
}

static void append_commit(char *text, const Leat__OffsetCommitResponse *a)
{
    for (size_t i = 0; i < a->n_topics; i++)
        for (size_t j = 0; j < a->topics[i]->n_partitions; j++)
            append(text, "%s%s", text[0] ? " " : "",
                   status_name(a->topics[i]->partitions[j]->error));
}

static void append_offsets(char *text, const Leat__OffsetFetchResponse *a)
{
    for (size_t i = 0; i < a->n_topics; i++)
        for (size_t j = 0; j < a->topics[i]->n_partitions; j++)
            append(text, "%s%s/%d=%lld", text[0] ? " " : "", a->topics[i]->name,
                   a->topics[i]->partitions[j]->partition,
                   (long long)a->topics[i]->partitions[j]->offset);
}

static void append_members(char *text, const Leat__GroupInfo *g)
{
    for (size_t i = 0; i < g->n_members; i++) {
        const Leat__MemberInfo *m = g->members[i];

        append(text, "%s%s [", i > 0 ? "; " : ": ", m->client_id);
        append_shares(text, m->assigned, m->n_assigned);
        append(text, "] -> [");
        append_shares(text, m->target, m->n_target);
        append(text, "]");
    }
}

static void append_groups(char *text, const Leat__GroupDescribeResponse *a)
{
    for (size_t i = 0; i < a->n_groups; i++) {
        if (a->groups[i]->error != STATUS_OK)
            append(text, "%s", status_name(a->groups[i]->error));
        else
            append(text, "%s %s", a->groups[i]->state, a->groups[i]->assignor);
        append_members(text, a->groups[i]);
    }
}

static void append_list(char *text, const Leat__GroupListResponse *a)
{
    for (size_t i = 0; i < a->n_groups; i++)
        append(text, "%s%s: %s, %u", i > 0 ? "; " : "", a->groups[i]->name,
               a->groups[i]->state, a->groups[i]->members);
}

static void append_reset(char *text, const Leat__GroupResetResponse *a)
{
    for (size_t i = 0; i < a->n_topics; i++)
        for (size_t j = 0; j < a->topics[i]->n_partitions; j++) {
            const Leat__GroupResetResult *row = a->topics[i]->partitions[j];

            append(text, "%s%s/%d ", text[0] ? " " : "", a->topics[i]->name,
                   row->partition);
            if (row->error != STATUS_OK)
                append(text, "%s", status_name(row->error));
            else
                append(text, "%lld->%lld", (long long)row->before, (long long)row->after);
        }
}

static void append_answer(char *text, uint16_t api, const void *answer)
{
    const Leat__GroupJoinResponse *join = answer;
    const Leat__GroupHeartbeatResponse *beat = answer;

    switch (api) {
    case RPC_GROUP_JOIN: append_shares(text, join->assigned, join->n_assigned); break;
    case RPC_GROUP_HEARTBEAT:
        append_shares(text, beat->assigned, beat->n_assigned);
        break;
    case RPC_OFFSET_COMMIT: append_commit(text, answer); break;
    case RPC_OFFSET_FETCH: append_offsets(text, answer); break;
    case RPC_GROUP_DESCRIBE: append_groups(text, answer); break;
    case RPC_GROUP_LIST: append_list(text, answer); break;
    case RPC_GROUP_RESET: append_reset(text, answer); break;
    default: append(text, "OK"); break;
    }
}

void request_answer(struct request *r, ProtobufCMessage *answer)
{
    struct call *call = container_of(r, struct call, r);

    CHECK(!call->answered);
    /* Like the wire: packed, so that every pointer in it is followed. */
    CHECK(rpc_packed_size(answer) < SIZE_MAX);
    call->answered = true;
    r->answer = answer;
    append_answer(call->text, r->row->api, answer);
}

void request_refuse(struct request *r, enum status status, const char *format, ...)
{
    struct call *call = container_of(r, struct call, r);
    char why[512] = "";
    va_list args;

    CHECK(!call->answered && status != STATUS_OK);
    if (format != NULL) {
        va_start(args, format);
        vsnprintf(why, sizeof why, format, args);
        va_end(args);
    }
    call->answered = true;
    r->status = status;
    append(call->text, "%s", status_name(status));
}

/* ---- the stage -------------------------------------------------------------------- */

static void query(void *ctx, struct offset_query *q)
{
    struct scene *s = ctx;

    CHECK(s->asked == NULL);
    s->asked = q;
}

static void appended(void *ctx)
{
}

static void open_coordinator(struct scene *s)
{
    struct coordinator_options o = {.image = &s->image,
                                    .config = &s->config,
                                    .metrics = &s->metrics,
                                    .store = (struct store *)(void *)&s->log,
                                    .node_id = 1,
                                    .query = query,
                                    .appended = appended,
                                    .ctx = s};

    prng_init(&o.random, 5);
    CHECK(coordinator_open(&s->c, &o, s->now) == STATUS_OK);
    coordinator_lead(s->c, s->log.epochs, s->now);
    coordinator_ready(s->c, s->now);
}

void scene_open(struct scene *s)
{
    *s = (struct scene){.now = {1000, 1000000}, .high_watermark = 100};
    image_init(&s->image);
    config_init(&s->config);
    open_coordinator(s);
}

static void drop_calls(struct scene *s)
{
    for (size_t i = 0; i < s->call_count; i++) {
        CHECK(s->calls[i]->answered);
        arena_release(&s->calls[i]->r.arena);
        free(s->calls[i]);
    }
    s->call_count = 0;
}

static void close_coordinator(struct scene *s)
{
    coordinator_stop(s->c);
    if (s->asked != NULL)
        scene_answer_query(s);
    coordinator_close(s->c);
    drop_calls(s);
}

static void log_cut(struct scene_log *log)
{
    while (log->count > log->durable)
        writer_release(&log->entries[--log->count]);
}

void scene_close(struct scene *s)
{
    close_coordinator(s);
    s->log.durable = 0;
    log_cut(&s->log);
    free(s->log.entries);
    image_release(&s->image);
    config_release(&s->config);
}

void scene_crash(struct scene *s)
{
    close_coordinator(s);
    log_cut(&s->log);
    open_coordinator(s);
}

static void metadata(struct scene *s, const Leat__Metadata__Record *r)
{
    uint8_t packed[512];
    size_t len = leat__metadata__record__pack(r, packed);

    CHECK(image_apply(&s->image, s->image.applied, (struct bytes){packed, len}, NULL) ==
          STATUS_OK);
}

static struct uuid id_of(const char *name)
{
    static uint8_t births;
    struct uuid id = {{(uint8_t)name[0], ++births}};

    return id;
}

static void add_topic(struct scene *s, const char *name)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Topic t = LEAT__METADATA__TOPIC__INIT;
    struct uuid id = id_of(name);

    t.topic_id = (ProtobufCBinaryData){UUID_BYTES, id.id};
    t.name = (char *)name;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
    r.topic = &t;
    metadata(s, &r);
}

static void add_partition(struct scene *s, struct topic *topic, int32_t number)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Partition p = LEAT__METADATA__PARTITION__INIT;
    int32_t replica = 1;

    p.topic_id = (ProtobufCBinaryData){UUID_BYTES, topic->id.id};
    p.partition = number;
    p.replicas = &replica;
    p.in_sync = &replica;
    p.n_replicas = p.n_in_sync = 1;
    p.leader = 1;
    r.kind_case = LEAT__METADATA__RECORD__KIND_PARTITION;
    r.partition = &p;
    metadata(s, &r);
}

void scene_topic(struct scene *s, const char *name, int32_t partitions)
{
    struct topic *t = image_topic(&s->image, bytes_of(name));

    if (t == NULL)
        add_topic(s, name);
    t = image_topic(&s->image, bytes_of(name));
    while (t->partition_count < partitions)
        add_partition(s, t, t->partition_count);
    coordinator_topic_changed(s->c, t, false, s->now);
}

void scene_remove_topic(struct scene *s, const char *name)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__RemoveTopic remove = LEAT__METADATA__REMOVE_TOPIC__INIT;
    struct topic copy = *image_topic(&s->image, bytes_of(name));

    copy.name = (char *)name;
    remove.topic_id = (ProtobufCBinaryData){UUID_BYTES, copy.id.id};
    r.kind_case = LEAT__METADATA__RECORD__KIND_REMOVE_TOPIC;
    r.remove_topic = &remove;
    metadata(s, &r);
    coordinator_topic_changed(s->c, &copy, true, s->now);
}

static void commit(struct scene *s)
{
    coordinator_clock(s->c, s->now);
    machine_commit(coordinator_machine(s->c), (int64_t)s->log.durable);
}

void scene_durable(struct scene *s)
{
    while (s->log.durable < s->log.count) {
        s->log.durable = s->log.count;
        commit(s);
    }
}

void scene_durable_one(struct scene *s)
{
    if (s->log.durable == s->log.count)
        return;
    s->log.durable++;
    commit(s);
}

void scene_pass_ms(struct scene *s, int64_t ms)
{
    s->now.mono_ms += ms;
    s->now.wall_ms += ms;
    CHECK(coordinator_deadline(s->c) <= s->now.mono_ms + 10000);
    coordinator_tick(s->c, s->now);
    scene_durable(s);
}

void scene_answer_query(struct scene *s)
{
    struct offset_query *q = s->asked;

    CHECK(q != NULL);
    for (size_t i = 0; i < q->count; i++) {
        struct offset_question *at = &q->questions[i];

        at->status = STATUS_OK;
        at->log_start = s->log_start;
        at->high_watermark = s->high_watermark;
        at->offset = at->timestamp_ms >= 0                       ? s->by_time
                     : at->timestamp_ms == OFFSET_QUERY_EARLIEST ? s->log_start
                                                                 : s->high_watermark;
    }
    s->asked = NULL;
    q->done(q);
}

static const ProtobufCMessage *carry(struct arena *arena, const struct rpc_api_row *row,
                                     const ProtobufCMessage *header)
{
    struct writer packed = writer_growing();
    ProtobufCMessage *copy;

    rpc_pack(header, &packed);
    CHECK(writer_status(&packed) == STATUS_OK);
    CHECK(rpc_unpack(row->request, (struct bytes){packed.data, packed.len}, arena,
                     &copy) == STATUS_OK);
    writer_release(&packed);
    return copy;
}

struct call *scene_send(struct scene *s, uint16_t api, const void *header)
{
    struct call *call = must_zalloc(sizeof *call);

    CHECK(s->call_count < SCENE_CALLS);
    s->calls[s->call_count++] = call;
    arena_init(&call->r.arena, 16 << 20);
    call->r.row = rpc_api_row(api);
    call->r.header = carry(&call->r.arena, call->r.row, header);
    call->r.host = "10.0.0.7:51312";
    call->r.arrived = s->now;
    coordinator_request(s->c, &call->r, s->now);
    return call;
}

static struct call *ask(struct scene *s, uint16_t api, const void *header)
{
    struct call *call = scene_send(s, api, header);

    scene_durable(s);
    CHECK(call->answered);
    return call;
}

/* ---- members ---------------------------------------------------------------------- */

static void hear(struct worker *w, int32_t epoch, Leat__TopicPartitions **assigned,
                 size_t n)
{
    CHECK(n <= 1);
    w->epoch = epoch;
    w->owned_count = n > 0 ? assigned[0]->n_partitions : 0;
    CHECK(w->owned_count <= 32);
    for (size_t i = 0; i < w->owned_count; i++)
        w->owned[i] = assigned[0]->partitions[i];
}

void scene_hear(struct worker *w, const struct call *call)
{
    const Leat__GroupJoinResponse *join = (const void *)call->r.answer;
    const Leat__GroupHeartbeatResponse *beat = (const void *)call->r.answer;

    CHECK(call->answered);
    if (call->r.status != STATUS_OK)
        return;
    if (call->r.row->api == RPC_GROUP_JOIN) {
        snprintf(w->id, sizeof w->id, "%s", join->member_id);
        hear(w, join->member_epoch, join->assigned, join->n_assigned);
    } else {
        hear(w, beat->member_epoch, beat->assigned, beat->n_assigned);
    }
}

struct call *scene_send_join(struct scene *s, struct worker *w, const char *group,
                             const char *topic)
{
    Leat__GroupJoinRequest q = LEAT__GROUP_JOIN_REQUEST__INIT;

    w->group = group;
    w->topic = topic;
    q.group = (char *)group;
    q.member_id = w->id;
    q.client_id = (char *)w->name;
    q.topics = (char **)&w->topic;
    q.n_topics = 1;
    return scene_send(s, RPC_GROUP_JOIN, &q);
}

struct call *scene_send_beat(struct scene *s, struct worker *w)
{
    Leat__GroupHeartbeatRequest q = LEAT__GROUP_HEARTBEAT_REQUEST__INIT;
    Leat__TopicPartitions owned = LEAT__TOPIC_PARTITIONS__INIT;
    Leat__TopicPartitions *list = &owned;

    q.group = (char *)w->group;
    q.member_id = w->id;
    q.member_epoch = w->epoch;
    q.owned = &list;
    q.n_owned = w->owned_count > 0;
    owned.topic = (char *)w->topic;
    owned.partitions = w->owned;
    owned.n_partitions = w->owned_count;
    return scene_send(s, RPC_GROUP_HEARTBEAT, &q);
}

const char *scene_join(struct scene *s, struct worker *w, const char *group,
                       const char *topic)
{
    struct call *call = scene_send_join(s, w, group, topic);

    scene_durable(s);
    scene_hear(w, call);
    return call->text;
}

const char *scene_beat(struct scene *s, struct worker *w)
{
    struct call *call = scene_send_beat(s, w);

    scene_durable(s);
    scene_hear(w, call);
    return call->text;
}

const char *scene_leave(struct scene *s, const struct worker *w)
{
    Leat__GroupLeaveRequest q = LEAT__GROUP_LEAVE_REQUEST__INIT;

    q.group = (char *)w->group;
    q.member_id = (char *)w->id;
    return ask(s, RPC_GROUP_LEAVE, &q)->text;
}

struct call *scene_send_commit(struct scene *s, const struct worker *w, const char *group,
                               const char *topic, int32_t partition, int64_t offset)
{
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT;
    Leat__OffsetPartition row = LEAT__OFFSET_PARTITION__INIT;
    Leat__OffsetTopic *topics = &t;
    Leat__OffsetPartition *rows = &row;

    q.group = (char *)group;
    q.member_id = w != NULL ? (char *)w->id : q.member_id;
    q.member_epoch = w != NULL ? w->epoch : -1;
    q.topics = &topics;
    q.n_topics = 1;
    t.name = (char *)topic;
    t.partitions = &rows;
    t.n_partitions = 1;
    row.partition = partition;
    row.offset = offset;
    return scene_send(s, RPC_OFFSET_COMMIT, &q);
}

const char *scene_commit(struct scene *s, const struct worker *w, const char *group,
                         const char *topic, int32_t partition, int64_t offset)
{
    struct call *call = scene_send_commit(s, w, group, topic, partition, offset);

    scene_durable(s);
    CHECK(call->answered);
    return call->text;
}

const char *scene_committed(struct scene *s, const char *group)
{
    Leat__OffsetFetchRequest q = LEAT__OFFSET_FETCH_REQUEST__INIT;

    q.group = (char *)group;
    return ask(s, RPC_OFFSET_FETCH, &q)->text;
}

const char *scene_describe(struct scene *s, const char *group)
{
    Leat__GroupDescribeRequest q = LEAT__GROUP_DESCRIBE_REQUEST__INIT;

    q.groups = (char **)&group;
    q.n_groups = 1;
    return ask(s, RPC_GROUP_DESCRIBE, &q)->text;
}

const char *scene_delete(struct scene *s, const char *group)
{
    Leat__GroupDeleteRequest q = LEAT__GROUP_DELETE_REQUEST__INIT;

    q.group = (char *)group;
    return ask(s, RPC_GROUP_DELETE, &q)->text;
}
