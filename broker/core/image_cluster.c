/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the image that is not about topics: brokers, voters, producer ids. */
#include "broker/core/image_topic.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BROKERS_MAX = 10000, VOTERS_MAX = 100, TEXT_BYTES = 256 };

/* ---- looking -------------------------------------------------------------------------
 */

/* The first that is not before `node_id`. */
static size_t place_of(const struct image *image, int32_t node_id)
{
    size_t low = 0, high = image->broker_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (image->brokers[middle].node_id < node_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct image_broker *image_broker(const struct image *image, int32_t node_id)
{
    size_t at = place_of(image, node_id);

    if (at == image->broker_count || image->brokers[at].node_id != node_id)
        return NULL;
    return &image->brokers[at];
}

bool image_is_active(const struct image *image, int32_t node_id)
{
    const struct image_broker *b = image_broker(image, node_id);

    return b != NULL && b->state == BROKER_ACTIVE;
}

/* ---- applying ------------------------------------------------------------------------
 */

void image_broker_free(struct image_broker *b)
{
    free(b->rack);
    free(b->version);
}

static bool endpoint_of(const char *host, uint32_t port, struct endpoint *out)
{
    size_t len = strlen(host);

    if (len == 0 || len >= ENDPOINT_HOST || port == 0 || port > UINT16_MAX)
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->host, host, len);
    out->port = (uint16_t)port;
    return true;
}

static bool uuid_of(const ProtobufCBinaryData *data, struct uuid *out)
{
    return uuid_from((struct bytes){data->data, data->len}, out);
}

static struct image_broker *add_broker(struct image *image, int32_t node_id)
{
    size_t at = place_of(image, node_id);

    image->brokers =
        must_realloc(image->brokers, (image->broker_count + 1) * sizeof *image->brokers);
    memmove(&image->brokers[at + 1], &image->brokers[at],
            (image->broker_count - at) * sizeof *image->brokers);
    image->broker_count++;
    image->brokers[at] = (struct image_broker){.node_id = node_id};
    return &image->brokers[at];
}

enum status image_apply_broker(struct image *image, int64_t offset,
                               const Leat__Metadata__Broker *r)
{
    struct image_broker *b = image_broker(image, r->node_id);
    int64_t epoch = offset >= 0 ? offset : r->epoch;
    struct uuid incarnation, directory;
    struct endpoint at;

    if (r->node_id <= 0 || !uuid_of(&r->incarnation, &incarnation) ||
        !uuid_of(&r->directory_id, &directory) || !endpoint_of(r->host, r->port, &at) ||
        strlen(r->rack) >= TEXT_BYTES || strlen(r->software_version) >= TEXT_BYTES ||
        (b != NULL && epoch <= b->epoch) ||
        (b == NULL && image->broker_count >= BROKERS_MAX))
        return STATUS_CORRUPT;
    if (b == NULL)
        b = add_broker(image, r->node_id);
    image_broker_free(b);
    b->state = BROKER_FENCED;
    b->epoch = epoch;
    b->incarnation = incarnation;
    b->directory = directory;
    b->at = at;
    b->rack = must_text(r->rack);
    b->version = must_text(r->software_version);
    return STATUS_OK;
}

enum status image_apply_state(struct image *image, const Leat__Metadata__BrokerState *r)
{
    struct image_broker *b = image_broker(image, r->node_id);

    if (b == NULL)
        return STATUS_CORRUPT;
    switch (r->state) {
    case LEAT__METADATA__BROKER_STATE__STATE__FENCED: b->state = BROKER_FENCED; break;
    case LEAT__METADATA__BROKER_STATE__STATE__ACTIVE: b->state = BROKER_ACTIVE; break;
    case LEAT__METADATA__BROKER_STATE__STATE__STOPPING: b->state = BROKER_STOPPING; break;
    case _LEAT__METADATA__BROKER_STATE__STATE_IS_INT_SIZE:
    default: return STATUS_CORRUPT;
    }
    b->draining = r->draining;
    return STATUS_OK;
}

enum status image_apply_removal(struct image *image,
                                const Leat__Metadata__RemoveBroker *r)
{
    struct image_broker *b = image_broker(image, r->node_id);

    if (b == NULL)
        return STATUS_CORRUPT;
    image_broker_free(b);
    memmove(b, b + 1,
            (size_t)(&image->brokers[image->broker_count] - (b + 1)) * sizeof *b);
    image->broker_count--;
    return STATUS_OK;
}

enum status image_apply_voters(struct image *image, const Leat__Metadata__Voters *r)
{
    struct voter *voters;

    if (r->n_voters == 0 || r->n_voters > VOTERS_MAX)
        return STATUS_CORRUPT;
    voters = must_zalloc(r->n_voters * sizeof *voters);
    for (size_t i = 0; i < r->n_voters; i++) {
        const Leat__Metadata__Voter *v = r->voters[i];

        voters[i].node_id = v->node_id;
        if (v->node_id <= 0 || !endpoint_of(v->host, v->port, &voters[i].at) ||
            (v->directory_id.len > 0 &&
             !uuid_of(&v->directory_id, &voters[i].directory))) {
            free(voters);
            return STATUS_CORRUPT;
        }
    }
    free(image->voters);
    image->voters = voters;
    image->voter_count = r->n_voters;
    return STATUS_OK;
}

/* ---- the snapshot --------------------------------------------------------------------
 */

static void emit_broker(struct image_emission *s, const struct image_broker *b)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Broker broker = LEAT__METADATA__BROKER__INIT;
    Leat__Metadata__BrokerState state = LEAT__METADATA__BROKER_STATE__INIT;

    broker.node_id = b->node_id;
    broker.incarnation =
        (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)(uintptr_t)b->incarnation.id};
    broker.directory_id =
        (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)(uintptr_t)b->directory.id};
    broker.host = (char *)(uintptr_t)b->at.host;
    broker.port = b->at.port;
    broker.rack = b->rack;
    broker.software_version = b->version;
    broker.epoch = b->epoch;
    r.kind_case = LEAT__METADATA__RECORD__KIND_BROKER;
    r.broker = &broker;
    image_emit(s, &r);
    state.node_id = b->node_id;
    state.state = (Leat__Metadata__BrokerState__State)b->state;
    state.draining = b->draining;
    r.kind_case = LEAT__METADATA__RECORD__KIND_BROKER_STATE;
    r.broker_state = &state;
    image_emit(s, &r);
}

static void emit_voters(struct image_emission *s, const struct image *image)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Voters all = LEAT__METADATA__VOTERS__INIT;
    Leat__Metadata__Voter *list = must_alloc(image->voter_count * sizeof *list);
    Leat__Metadata__Voter **pointers = must_alloc(image->voter_count * sizeof *pointers);

    for (size_t i = 0; i < image->voter_count; i++) {
        const struct voter *v = &image->voters[i];

        leat__metadata__voter__init(&list[i]);
        list[i].node_id = v->node_id;
        list[i].directory_id =
            (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)(uintptr_t)v->directory.id};
        list[i].host = (char *)(uintptr_t)v->at.host;
        list[i].port = v->at.port;
        pointers[i] = &list[i];
    }
    all.voters = pointers;
    all.n_voters = image->voter_count;
    r.kind_case = LEAT__METADATA__RECORD__KIND_VOTERS;
    r.voters = &all;
    image_emit(s, &r);
    free(pointers);
    free(list);
}

void image_emit_cluster(struct image_emission *s, const struct image *image)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__ProducerIds ids = LEAT__METADATA__PRODUCER_IDS__INIT;
    Leat__Metadata__LeaderChange change = LEAT__METADATA__LEADER_CHANGE__INIT;

    if (image->controller >= 0) {
        change.leader_id = image->controller;
        change.epoch = image->controller_epoch;
        r.kind_case = LEAT__METADATA__RECORD__KIND_LEADER_CHANGE;
        r.leader_change = &change;
        image_emit(s, &r);
    }
    if (image->voter_count > 0)
        emit_voters(s, image);
    if (image->next_producer_id > 0) {
        ids.next = image->next_producer_id;
        r.kind_case = LEAT__METADATA__RECORD__KIND_PRODUCER_IDS;
        r.producer_ids = &ids;
        image_emit(s, &r);
    }
    for (size_t i = 0; i < image->broker_count; i++)
        emit_broker(s, &image->brokers[i]);
}
