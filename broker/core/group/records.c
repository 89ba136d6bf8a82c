/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/records.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>

void records_init(struct records *r)
{
    *r = (struct records){0};
    arena_init(&r->arena, 0);
}

void records_release(struct records *r)
{
    free(r->items);
    arena_release(&r->arena);
}

/* A control structure: without memory for it the broker stops, as with must_alloc. */
static void *take(struct records *r, size_t size)
{
    void *p = arena_zalloc(&r->arena, size);

    CHECK(p != NULL);
    return p;
}

static void add(struct records *r, const Leat__Group__Record *record)
{
    size_t size = leat__group__record__get_packed_size(record);
    uint8_t *data = take(r, size);

    CHECK(leat__group__record__pack(record, data) == size);
    if (r->count == r->capacity) {
        r->capacity = r->capacity > 0 ? r->capacity * 2 : 4;
        r->items = must_realloc(r->items, r->capacity * sizeof *r->items);
    }
    r->items[r->count++] = (struct bytes){data, size};
}

static ProtobufCBinaryData uuid_data(struct records *r, struct uuid id)
{
    struct uuid *copy = take(r, sizeof *copy);

    *copy = id;
    return (ProtobufCBinaryData){UUID_BYTES, copy->id};
}

void records_group(struct records *r, Leat__Group__Group *group)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;

    record.kind_case = LEAT__GROUP__RECORD__KIND_GROUP;
    record.group = group;
    add(r, &record);
}

void records_remove_group(struct records *r, const char *name)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;
    Leat__Group__RemoveGroup remove = LEAT__GROUP__REMOVE_GROUP__INIT;

    remove.name = (char *)name;
    record.kind_case = LEAT__GROUP__RECORD__KIND_REMOVE_GROUP;
    record.remove_group = &remove;
    add(r, &record);
}

void records_member(struct records *r, Leat__Group__Member *member)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;

    record.kind_case = LEAT__GROUP__RECORD__KIND_MEMBER;
    record.member = member;
    add(r, &record);
}

void records_remove_member(struct records *r, Leat__Group__RemoveMember *remove)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;

    record.kind_case = LEAT__GROUP__RECORD__KIND_REMOVE_MEMBER;
    record.remove_member = remove;
    add(r, &record);
}

/* One message per topic; the share is sorted, so a topic's partitions stand together. */
static Leat__Group__Partitions **by_topic(struct records *r, const struct share *s,
                                          size_t *n)
{
    Leat__Group__Partitions **list = take(r, (s->count + 1) * sizeof *list);

    *n = 0;
    for (size_t i = 0; i < s->count;) {
        Leat__Group__Partitions *p = take(r, sizeof *p);
        size_t end = i;

        while (end < s->count && uuid_equal(s->items[end].topic, s->items[i].topic))
            end++;
        leat__group__partitions__init(p);
        p->topic_id = (ProtobufCBinaryData){UUID_BYTES, s->items[i].topic.id};
        p->partitions = take(r, (end - i) * sizeof *p->partitions);
        for (; i < end; i++)
            p->partitions[p->n_partitions++] = s->items[i].partition;
        list[(*n)++] = p;
    }
    return list;
}

void records_assignment(struct records *r, Leat__Group__Assignment *assignment,
                        const struct share *assigned, const struct share *revoking)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;

    assignment->assigned = by_topic(r, assigned, &assignment->n_assigned);
    assignment->revoking = by_topic(r, revoking, &assignment->n_revoking);
    record.kind_case = LEAT__GROUP__RECORD__KIND_ASSIGNMENT;
    record.assignment = assignment;
    add(r, &record);
}

void records_offset(struct records *r, Leat__Group__Offset *offset, struct uuid topic)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;

    offset->topic_id = uuid_data(r, topic);
    record.kind_case = LEAT__GROUP__RECORD__KIND_OFFSET;
    record.offset = offset;
    add(r, &record);
}

void records_remove_offset(struct records *r, const char *group, struct uuid topic,
                           int32_t partition)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;
    Leat__Group__RemoveOffset remove = LEAT__GROUP__REMOVE_OFFSET__INIT;

    remove.group = (char *)group;
    remove.topic_id = uuid_data(r, topic);
    remove.partition = partition;
    record.kind_case = LEAT__GROUP__RECORD__KIND_REMOVE_OFFSET;
    record.remove_offset = &remove;
    add(r, &record);
}

void records_remove_topic(struct records *r, struct uuid topic)
{
    Leat__Group__Record record = LEAT__GROUP__RECORD__INIT;
    Leat__Group__RemoveTopic remove = LEAT__GROUP__REMOVE_TOPIC__INIT;

    remove.topic_id = uuid_data(r, topic);
    record.kind_case = LEAT__GROUP__RECORD__KIND_REMOVE_TOPIC;
    record.remove_topic = &remove;
    add(r, &record);
}
