/* SPDX-License-Identifier: Apache-2.0
 *
 * Producers that do not want to build batches send plain records, and perhaps leave the
 * choice of the partition to the broker as well: by Kafka's hash of the key, or, without
 * a key, one partition per request, the next one for the next request. */
#include "broker/core/api/produce.h"

#include "proto/base/murmur2.h"
#include "proto/record/build.h"

#include <string.h>

enum { HEADERS_MAX = 256 };

size_t produce_plain_parts(const struct topic *topic, const Leat__ProducePartition *in)
{
    size_t partitions = topic ? (size_t)topic->partition_count : 1;

    if (in->partition >= 0)
        return 1;
    return in->n_records < partitions ? in->n_records : partitions;
}

static struct bytes bytes_or_null(const ProtobufCBinaryData *b, bool null)
{
    static const uint8_t empty[1];

    if (null)
        return (struct bytes){0};
    return (struct bytes){b->len > 0 ? b->data : empty, b->len};
}

static enum status add_record(struct build *build, const Leat__PlainRecord *r,
                              int64_t wall_ms)
{
    struct record_header headers[HEADERS_MAX];

    if (r->timestamp_ms < 0)
        return STATUS_INVALID_TIMESTAMP;
    if (r->n_headers > HEADERS_MAX)
        return STATUS_INVALID_RECORD;
    for (size_t i = 0; i < r->n_headers; i++) {
        headers[i].name = bytes_of(r->headers[i]->name);
        headers[i].value = bytes_or_null(&r->headers[i]->value, false);
    }
    build_add(build, r->timestamp_ms ? r->timestamp_ms : wall_ms,
              bytes_or_null(&r->key, r->null_key),
              bytes_or_null(&r->value, r->null_value), headers, r->n_headers);
    return STATUS_OK;
}

/* A batch of the records that `chosen` sends to `partition` (NULL: all of them). */
static bool build_part(struct node *n, struct arena *arena,
                       const Leat__ProducePartition *in, const int32_t *chosen,
                       struct produce_part *part)
{
    const struct build_producer nobody = {-1, -1, -1};
    struct bytes batch;

    build_begin(&n->build);
    for (size_t i = 0; i < in->n_records && !part->status; i++)
        if (chosen == NULL || chosen[i] == part->partition)
            part->status = add_record(&n->build, in->records[i], n->now.wall_ms);
    if (part->status)
        return true;
    part->status = build_finish(&n->build, CODEC_NONE, nobody, &batch);
    if (part->status)
        return part->status != STATUS_NO_MEMORY;
    part->batch = arena_alloc(arena, batch.len);
    if (part->batch == NULL)
        return false;
    memcpy(part->batch, batch.data, batch.len);
    part->batch_bytes = batch.len;
    return true;
}

static int32_t choose(const Leat__PlainRecord *r, int32_t partitions, uint64_t sticky)
{
    if (r->null_key)
        return (int32_t)(sticky % (uint64_t)partitions);
    return murmur2_partition(r->key.data, r->key.len, partitions);
}

static int scatter(struct node *n, struct arena *arena, const struct topic *topic,
                   const Leat__ProducePartition *in, struct produce_part *parts)
{
    int32_t *chosen = arena_alloc(arena, in->n_records * sizeof *chosen);
    uint8_t *seen = arena_zalloc(arena, (size_t)topic->partition_count);
    int count = 0;

    if (chosen == NULL || seen == NULL)
        return -1;
    for (size_t i = 0; i < in->n_records; i++) {
        chosen[i] = choose(in->records[i], topic->partition_count, n->sticky);
        if (seen[chosen[i]]++ == 0)
            parts[count++].partition = chosen[i];
        else
            seen[chosen[i]] = 1;
    }
    n->sticky++;
    for (int i = 0; i < count; i++)
        if (!build_part(n, arena, in, chosen, &parts[i]))
            return -1;
    return count;
}

int produce_plain(struct node *n, struct arena *arena, const struct topic *topic,
                  const Leat__ProducePartition *in, struct produce_part *parts)
{
    if (in->partition < 0)
        return scatter(n, arena, topic, in, parts);
    parts->partition = in->partition;
    return build_part(n, arena, in, NULL, parts) ? 1 : -1;
}
