/* SPDX-License-Identifier: Apache-2.0
 *
 * A piece of a state machine's snapshot, for a replica that is too far behind for the
 * log. Any snapshot holds only what was committed, so whoever has one may give it. */
#include "broker/core/api/api.h"
#include "broker/core/group/coordinator.h"
#include "broker/core/quorum/quorum.h"
#include "proto/base/check.h"

enum { PIECE_MAX = 4 * 1024 * 1024 };

struct piece {
    struct machine_read read;
    struct request *request;
    Leat__FetchSnapshotResponse answer;
};

static void on_read(struct machine_read *read)
{
    struct piece *p = container_of(read, struct piece, read);
    struct request *r = p->request;

    if (read->status) {
        slice_release(&read->data);
        request_refuse(r,
                       read->status == STATUS_NOT_FOUND ? STATUS_OFFSET_OUT_OF_RANGE
                                                        : STATUS_STORAGE_FAILED,
                       "there is no such snapshot here any more");
        return;
    }
    p->answer.offset = read->offset;
    p->answer.epoch = read->epoch;
    p->answer.size = read->size;
    r->slices = &read->data;
    r->slice_count = read->data.len > 0;
    request_answer(r, &p->answer.base);
}

void handle_fetch_snapshot(struct node *n, struct request *r)
{
    const Leat__FetchSnapshotRequest *q = REQUEST_AS(Leat__FetchSnapshotRequest, r);
    struct piece *p = request_alloc(r, sizeof *p);
    struct uuid id;

    if (p == NULL) {
        request_refuse_memory(r);
        return;
    }
    if (!uuid_from((struct bytes){q->topic_id.data, q->topic_id.len}, &id) ||
        q->partition != 0) {
        request_refuse(r, STATUS_INVALID_REQUEST, "that is no state machine");
        return;
    }
    if (!uuid_equal(id, groups_topic_id)) {
        quorum_request(n->quorum, r, n->now);
        return;
    }
    leat__fetch_snapshot_response__init(&p->answer);
    p->request = r;
    p->read.offset = q->offset;
    p->read.position = q->position;
    p->read.max_bytes = q->max_bytes < PIECE_MAX ? q->max_bytes : PIECE_MAX;
    p->read.done = on_read;
    machine_read_snapshot(coordinator_machine(n->coordinator), &p->read);
}
