/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's side of replication: fetches of the metadata log, held until there is
 * something to tell, and snapshots for those who are too far behind. */
#include "broker/core/quorum/quorum_inner.h"

#include "broker/core/quorum/records.h"
#include "proto/base/check.h"

#include <string.h>

enum { FETCH_BYTES = 1024 * 1024, PIECE_BYTES = 1024 * 1024, PARKED_MAX = 1024 };

static bool leads_in(const struct quorum *q, int32_t epoch)
{
    return q->raft.role == RAFT_LEADER && q->raft.state.epoch == epoch &&
           !q->raft.elected && !q->stopped;
}

/* Of this epoch; an older one would be a promise of another leader. */
static int64_t known_watermark(const struct quorum *q)
{
    return q->raft.high_watermark > q->raft.epoch_start ? q->raft.high_watermark : -1;
}

/* ---- where a follower's log parts from ours ------------------------------------------
 */

/* True: everything before `offset` is the same there. Else the answer says what to do. */
static bool is_same(struct quorum *q, const Leat__QuorumFetchRequest *f,
                    Leat__QuorumFetchResponse *a)
{
    struct log *log = quorum_log(q);
    int32_t epoch;
    int64_t end;

    if (f->offset == 0 && log_start(log) == 0)
        return true;
    if (f->offset < log_start(log)) {
        a->snapshot_offset = machine_snapshot_offset(q->machine);
        return false;
    }
    if (f->offset == machine_snapshot_offset(q->machine) &&
        f->last_epoch == machine_snapshot_epoch(q->machine))
        return true;
    log_end_for_epoch(log, f->last_epoch, &epoch, &end);
    if (epoch == f->last_epoch && f->offset <= end)
        return true;
    a->diverging_epoch = epoch < 0 ? f->last_epoch : epoch;
    a->diverging_end = epoch < 0 ? log_start(log) : end;
    return false;
}

/* ---- answering -----------------------------------------------------------------------
 */

/* Sooner than END_EPOCH may come, for which there may be no connection yet. */
static void name_successors(const struct quorum *q, struct parked *p)
{
    size_t bytes = q->successor_count * sizeof *q->successors;

    p->answer.successors = request_alloc(p->request, bytes + 1);
    if (p->answer.successors == NULL)
        return;
    memcpy(p->answer.successors, q->successors, bytes);
    p->answer.n_successors = q->successor_count;
}

static void finish(struct quorum *q, struct parked *p, int error)
{
    Leat__QuorumFetchResponse *a = &p->answer;
    struct log *log = quorum_log(q);

    a->error = error;
    a->view = view_for(q, p->request);
    a->high_watermark = q->raft.role == RAFT_LEADER ? known_watermark(q) : -1;
    a->log_start = log_start(log);
    if (error == STATUS_NOT_LEADER && q->successors_epoch == p->request_epoch)
        name_successors(q, p);
    answer_saved(q, p->request, &a->base);
}

static void give(struct quorum *q, struct parked *p)
{
    struct request *r = p->request;
    struct log_read *read = &p->read;

    r->slices = request_alloc(r, (read->slice_count + 1) * sizeof *r->slices);
    for (size_t i = 0; r->slices != NULL && i < read->slice_count; i++)
        r->slices[r->slice_count++] =
            slice_of(read->slices[i].buf, read->slices[i].data, read->slices[i].len);
    log_read_release(read);
    finish(q, p, r->slices != NULL ? STATUS_OK : STATUS_THROTTLED);
}

static void on_read(struct log_read *read)
{
    struct parked *p = container_of(read, struct parked, read);
    struct quorum *q = p->quorum;

    q->reading--;
    if (read->status) {
        log_read_release(read);
        finish(q, p, STATUS_STORAGE_FAILED);
    } else if (!leads_in(q, p->request_epoch)) {
        log_read_release(read);
        finish(q, p, STATUS_NOT_LEADER);
    } else {
        give(q, p);
    }
}

static void serve(struct quorum *q, struct parked *p)
{
    struct log *log = quorum_log(q);

    p->read = (struct log_read){.from = p->offset,
                                .upto = log_end(log),
                                .max_bytes = FETCH_BYTES,
                                .first_whole = true,
                                .done = on_read};
    if (log_read_hot(log, &p->read)) {
        give(q, p);
        return;
    }
    q->reading++;
    log_read_cold(log, &p->read);
}

/* ---- waiting -------------------------------------------------------------------------
 */

static bool has_news(const struct quorum *q, const struct parked *p)
{
    return log_end(quorum_log(q)) > p->offset || known_watermark(q) > p->known;
}

static void unpark(struct quorum *q, struct parked *p)
{
    TAILQ_REMOVE(&q->parked, p, link);
    q->parked_count--;
}

void parked_run(struct quorum *q)
{
    struct parked *p, *next;

    for (p = TAILQ_FIRST(&q->parked); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        if (q->stopped) {
            unpark(q, p);
            request_refuse(p->request, STATUS_SHUTTING_DOWN, NULL);
        } else if (!leads_in(q, p->request_epoch)) {
            unpark(q, p);
            finish(q, p, STATUS_NOT_LEADER);
        } else if (has_news(q, p) || q->now.mono_ms >= p->until_ms) {
            unpark(q, p);
            serve(q, p);
        }
    }
}

int64_t parked_deadline(const struct quorum *q)
{
    int64_t first = INT64_MAX;
    const struct parked *p;

    TAILQ_FOREACH (p, &q->parked, link)
        if (p->until_ms < first)
            first = p->until_ms;
    return first;
}

/* A follower has one fetch: a newer one means that it has given the older one up. */
static void supersede(struct quorum *q, const struct raft_key *from)
{
    struct parked *p;

    TAILQ_FOREACH (p, &q->parked, link)
        if (p->from.node_id == from->node_id &&
            uuid_equal(p->from.directory, from->directory))
            break;
    if (p == NULL)
        return;
    unpark(q, p);
    finish(q, p, STATUS_OK);
}

static void park(struct quorum *q, struct parked *p, int32_t max_wait_ms)
{
    int64_t wait_ms =
        max_wait_ms < q->o.times.fetch_wait ? max_wait_ms : q->o.times.fetch_wait;

    p->until_ms = q->now.mono_ms + (wait_ms > 0 ? wait_ms : 0);
    TAILQ_INSERT_TAIL(&q->parked, p, link);
    q->parked_count++;
}

/* ---- the door ------------------------------------------------------------------------
 */

static void fetch(struct quorum *q, struct parked *p, const Leat__QuorumFetchRequest *f)
{
    struct endpoint at = {0};

    if (!endpoint_from(f->host, f->port, &at))
        at.port = 0;
    supersede(q, &p->from);
    if (!is_same(q, f, &p->answer)) {
        heard_note(q, &p->from, &at, -1);
        raft_contact(&q->raft, &p->from, q->now);
        finish(q, p, STATUS_OK);
        return;
    }
    heard_note(q, &p->from, &at, f->offset);
    raft_on_fetch(&q->raft, &p->from, f->offset, q->now);
    if (has_news(q, p) || f->max_wait_ms <= 0 || q->parked_count >= PARKED_MAX)
        serve(q, p);
    else
        park(q, p, f->max_wait_ms);
}

void on_fetch(struct quorum *q, struct request *r)
{
    const Leat__QuorumFetchRequest *f = ANSWER_AS(Leat__QuorumFetchRequest, r->header);
    struct parked *p = request_alloc(r, sizeof *p);
    static const struct endpoint nowhere;

    if (p == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    if (f->epoch < 0 || f->offset < 0 || !key_from(f->replica, &p->from) ||
        p->from.node_id == q->o.node_id) {
        request_refuse(r, STATUS_INVALID_REQUEST, NULL);
        return;
    }
    p->request = r;
    p->quorum = q;
    p->request_epoch = f->epoch;
    p->offset = f->offset;
    p->known = f->high_watermark;
    leat__quorum_fetch_response__init(&p->answer);
    p->answer.diverging_end = -1;
    raft_hear(&q->raft, f->epoch, -1, &nowhere, q->now);
    if (!leads_in(q, f->epoch))
        finish(q, p,
               f->epoch < q->raft.state.epoch ? STATUS_FENCED_LEADER_EPOCH
                                              : STATUS_NOT_LEADER);
    else
        fetch(q, p, f);
}

/* ---- snapshots -----------------------------------------------------------------------
 */

struct piece {
    struct machine_read read;
    struct quorum *quorum;
    struct request *request;
    Leat__FetchSnapshotResponse answer;
};

static void on_piece(struct machine_read *read)
{
    struct piece *p = container_of(read, struct piece, read);
    struct request *r = p->request;

    p->quorum->serving--;
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

/* Who installs a snapshot follows, though it does not fetch for a while. */
static void note_contact(struct quorum *q, int32_t node_id)
{
    const struct raft_peer *p = raft_peer(&q->raft, node_id);
    struct raft_key key;

    if (p == NULL || q->raft.role != RAFT_LEADER)
        return;
    key = (struct raft_key){node_id, p->voter.directory};
    raft_contact(&q->raft, &key, q->now);
}

/* Whoever has a snapshot may give it: it holds nothing that was not committed. */
void on_snapshot(struct quorum *q, struct request *r)
{
    const Leat__FetchSnapshotRequest *f =
        ANSWER_AS(Leat__FetchSnapshotRequest, r->header);
    struct piece *p = request_alloc(r, sizeof *p);

    if (p == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    if (is_installing(q)) {
        request_refuse(r, STATUS_OFFSET_OUT_OF_RANGE, "a newer snapshot is on its way");
        return;
    }
    note_contact(q, r->peer);
    leat__fetch_snapshot_response__init(&p->answer);
    p->quorum = q;
    p->request = r;
    p->read.offset = f->offset;
    p->read.position = f->position;
    p->read.max_bytes = f->max_bytes < PIECE_BYTES ? f->max_bytes : PIECE_BYTES;
    p->read.done = on_piece;
    q->serving++;
    machine_read_snapshot(q->machine, &p->read);
}
