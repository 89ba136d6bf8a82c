/* SPDX-License-Identifier: Apache-2.0
 *
 * Following: fetch, append, wait for the disk, fetch again. What the leader does not have
 * is cut off; who is too far behind begins anew with a snapshot. */
#include "broker/core/quorum/quorum_inner.h"

#include "broker/core/quorum/records.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"
#include "proto/record/iterate.h"

#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 20,
    RETRY_DOUBLINGS = 4,
    PIECE_BYTES = 1024 * 1024,
    SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024,
};

/* A snapshot on its way here. */
struct download {
    struct machine_install install;
    struct quorum *quorum;
    int64_t offset;
    uint64_t size; /* 0: not known yet */
    uint64_t received;
    uint8_t *data;
    bool asking;
    bool installing;
    bool over;
    enum status status;
};

static void wait_a_little(struct quorum *q)
{
    unsigned shift = q->failures < RETRY_DOUBLINGS ? q->failures : RETRY_DOUBLINGS;

    q->failures++;
    q->fetch_ms = q->now.mono_ms + (RETRY_MS << shift);
}

/* What this answer is about is still the case. */
static bool is_mine(const struct quorum *q, const struct call *c)
{
    return q->raft.role == RAFT_FOLLOWER && q->raft.state.epoch == c->epoch &&
           q->raft.leader == c->peer.to;
}

/* ---- appending -----------------------------------------------------------------------
 */

static enum status check_records(struct bytes data)
{
    struct iterate it;
    struct record record;
    enum status st = iterate_begin(&it, data, RECORDS_BYTES_MAX);

    if (st)
        return st;
    while ((st = iterate_next(&it, &record)) == STATUS_OK)
        ;
    iterate_end(&it);
    return st == STATUS_AGAIN ? STATUS_OK : st;
}

/* A leader's batch must continue our log, whatever happened to it on the way. */
static enum status check_batch(const struct quorum *q, struct bytes data, struct batch *b)
{
    enum status st = batch_parse(data, b);

    if (st)
        return st;
    if (!batch_checksum_ok(b, data) || b->base_offset != log_end(quorum_log(q)) ||
        b->last_offset_delta < 0 || b->leader_epoch > q->raft.state.epoch ||
        b->leader_epoch < q->raft.tail_epoch)
        return STATUS_CORRUPT_MESSAGE;
    return check_records((struct bytes){data.data, b->size});
}

static void look_for_voters(struct quorum *q, struct bytes data)
{
    struct iterate it;
    struct record record;

    CHECK(!iterate_begin(&it, data, RECORDS_BYTES_MAX));
    while (!iterate_next(&it, &record))
        records_appended(q, record.offset, record.value);
    iterate_end(&it);
}

static enum status append(struct quorum *q, struct bytes data)
{
    while (data.len > 0) {
        struct batch b;
        enum status st = check_batch(q, data, &b);

        if (st)
            return st;
        machine_append_replica(q->machine, &b, data.data, q->now);
        log_moved(q);
        look_for_voters(q, (struct bytes){data.data, b.size});
        data = (struct bytes){data.data + b.size, data.len - b.size};
    }
    return STATUS_OK;
}

/* ---- cutting -------------------------------------------------------------------------
 */

/* KIP-595: the leader names its largest epoch that is not above our last one, and where
 * it ends there. */
static void cut(struct quorum *q, int32_t epoch, int64_t end)
{
    struct log *log = quorum_log(q);
    int64_t committed = machine_applied(q->machine), local;
    int32_t found;

    log_end_for_epoch(log, epoch, &found, &local);
    if (found < 0)
        local = log_start(log);
    else if (found == epoch && end < local)
        local = end;
    if (q->raft.high_watermark > committed)
        committed = q->raft.high_watermark;
    if (local < committed) {
        fail(q, "the leader of the metadata quorum lacks what was committed");
        return;
    }
    if (local >= log_end(log)) {
        wait_a_little(q);
        return;
    }
    tell(q, LOG_LEVEL_INFO, "cut the metadata log from %lld to %lld: broker %d leads",
         (long long)log_end(log), (long long)local, q->raft.leader);
    MARK("metadata log is cut");
    if (voters_newest(&q->voters)->offset >= local)
        MARK("change of voters is cut off");
    machine_truncate(q->machine, local);
    voters_truncate(&q->voters, local);
    log_moved(q);
    use_voters(q);
}

/* ---- snapshots -----------------------------------------------------------------------
 */

bool is_installing(const struct quorum *q)
{
    return q->download != NULL && q->download->installing;
}

bool download_is_over(const struct quorum *q)
{
    return q->download->over;
}

void download_free(struct quorum *q)
{
    if (q->download == NULL)
        return;
    free(q->download->data);
    free(q->download);
    q->download = NULL;
}

static void on_installed(struct machine_install *i, enum status status)
{
    struct download *d = container_of(i, struct download, install);

    d->over = true;
    d->status = status;
    if (!status)
        quorum_replaced(d->quorum);
}

static void install(struct quorum *q, struct download *d)
{
    d->installing = true;
    log_moved(q);
    d->install.data = (struct bytes){d->data, (size_t)d->size};
    d->install.done = on_installed;
    machine_install(q->machine, &d->install);
}

static bool take_piece(struct download *d, const Leat__FetchSnapshotResponse *a,
                       const struct slice *piece)
{
    if (d->size == 0 && a->size > 0 && a->size <= SNAPSHOT_BYTES_MAX) {
        d->size = a->size;
        d->data = must_alloc((size_t)d->size);
    }
    if (d->size == 0 || a->size != d->size || a->offset != d->offset || piece->len == 0 ||
        piece->len > d->size - d->received)
        return false;
    memcpy(d->data + d->received, piece->data, piece->len);
    d->received += piece->len;
    return true;
}

static void on_piece(struct quorum *q, struct call *c, const ProtobufCMessage *message)
{
    struct download *d = q->download;

    if (d == NULL || c->number != q->fetches)
        return;
    d->asking = false;
    if (message == NULL || !is_mine(q, c) ||
        !take_piece(d, ANSWER_AS(Leat__FetchSnapshotResponse, message), &c->payload)) {
        download_free(q); /* the next fetch says whether there is another one */
        wait_a_little(q);
        return;
    }
    raft_fetched(&q->raft, q->now);
    if (d->received == d->size)
        install(q, d);
}

static void ask_piece(struct quorum *q, struct download *d)
{
    Leat__FetchSnapshotRequest f = LEAT__FETCH_SNAPSHOT_REQUEST__INIT;
    struct log_id id = metadata_log_id;

    f.topic_id = (ProtobufCBinaryData){sizeof id.topic, id.topic};
    f.offset = d->offset;
    f.position = d->received;
    f.max_bytes = PIECE_BYTES;
    d->asking = true;
    call_start(q, q->raft.leader, &q->raft.leader_at, RPC_FETCH_SNAPSHOT, &f.base,
               on_piece)
        ->number = ++q->fetches;
}

static void download_begin(struct quorum *q, int64_t offset)
{
    struct download *d = must_zalloc(sizeof *d);

    CHECK(q->download == NULL);
    d->quorum = q;
    d->offset = offset;
    q->download = d;
    tell(q, LOG_LEVEL_INFO,
         "fetch the snapshot of the metadata at offset %lld from broker %d",
         (long long)offset, q->raft.leader);
}

static void download_end(struct quorum *q)
{
    enum status st = q->download->status;

    download_free(q);
    log_moved(q);
    if (st) {
        tell(q, LOG_LEVEL_ERROR, "a snapshot of the metadata was not installed: %s",
             status_text(st));
        wait_a_little(q);
        return;
    }
    MARK("metadata snapshot installed");
    voters_restart(&q->voters, q->o.image->voters, q->o.image->voter_count);
    use_voters(q);
    raft_told(&q->raft, machine_applied(q->machine));
}

static void download_go_on(struct quorum *q)
{
    struct download *d = q->download;

    if (d->installing) {
        if (d->over)
            download_end(q);
    } else if (q->raft.role != RAFT_FOLLOWER) {
        download_free(q);
    } else if (!d->asking) {
        ask_piece(q, d);
    }
}

/* ---- fetching ------------------------------------------------------------------------
 */

static void take(struct quorum *q, const Leat__QuorumFetchResponse *a,
                 const struct slice *batches)
{
    enum status st;

    raft_fetched(&q->raft, q->now);
    q->failures = 0;
    if (a->snapshot_offset > 0) {
        if (a->snapshot_offset > log_end(quorum_log(q)))
            download_begin(q, a->snapshot_offset);
        else
            wait_a_little(q);
        return;
    }
    if (a->diverging_end >= 0) {
        cut(q, a->diverging_epoch, a->diverging_end);
        return;
    }
    st = append(q, (struct bytes){batches->data, batches->len});
    if (st) {
        tell(q, LOG_LEVEL_ERROR, "broker %d sent metadata that does not continue ours",
             q->raft.leader);
        wait_a_little(q);
        return;
    }
    q->told = a->high_watermark;
    raft_told(&q->raft, q->told); /* before the next fetch says what is known here */
}

static void on_fetched(struct quorum *q, struct call *c, const ProtobufCMessage *message)
{
    const Leat__QuorumFetchResponse *a = ANSWER_AS(Leat__QuorumFetchResponse, message);
    bool newest = c->number == q->fetches;

    if (newest)
        q->fetching = false;
    if (a == NULL) {
        if (newest)
            wait_a_little(q);
        return;
    }
    view_hear(q, a->view);
    if (!newest || q->download != NULL || !is_mine(q, c))
        return;
    if (a->error == STATUS_OK) {
        take(q, a, &c->payload);
        return;
    }
    wait_a_little(q);
    if (a->error == STATUS_NOT_LEADER) /* it has stepped down */
        raft_ended(&q->raft, c->epoch, successor_rank(q, a->successors, a->n_successors),
                   q->now);
}

static void fetch_from(struct quorum *q, int32_t node_id, const struct endpoint *at,
                       int64_t wait_ms)
{
    Leat__QuorumFetchRequest f = LEAT__QUORUM_FETCH_REQUEST__INIT;
    Leat__QuorumNode self = node_of(&q->raft.self);
    struct call *c;

    f.replica = &self;
    f.epoch = q->raft.state.epoch;
    f.offset = log_durable(quorum_log(q));
    f.last_epoch = q->raft.tail_epoch;
    f.high_watermark = q->raft.high_watermark;
    f.max_wait_ms = (int32_t)wait_ms;
    f.host = q->o.at.host;
    f.port = q->o.at.port;
    c = call_start(q, node_id, at, RPC_QUORUM_FETCH, &f.base, on_fetched);
    c->number = ++q->fetches;
    q->fetching = true;
}

/* All that a fetch would say is on disk. */
static bool is_at_rest(const struct quorum *q)
{
    const struct log *log = quorum_log(q);

    return q->download == NULL && log_durable(log) == log_end(log) &&
           raft_is_saved(&q->raft);
}

bool leader_may_be_asked(const struct quorum *q)
{
    return q->raft.role == RAFT_UNATTACHED ||
           (q->raft.role == RAFT_FOLLOWER && !q->fetching && is_at_rest(q));
}

void leader_follow(struct quorum *q)
{
    if (q->download != NULL)
        download_go_on(q);
    if (q->raft.role == RAFT_FOLLOWER && !q->fetching && is_at_rest(q) &&
        q->now.mono_ms >= q->fetch_ms)
        fetch_from(q, q->raft.leader, &q->raft.leader_at, q->o.times.fetch_wait);
}

/* Who knows no leader asks the voters in turn, those of the log and the configured ones:
 * any of them may have heard of one. */
void leader_look_for(struct quorum *q)
{
    const struct voter_set *newest = voters_newest(&q->voters);
    size_t all = newest->count + q->o.bootstrap_count, at = q->looked++ % all;
    const struct voter *v =
        at < newest->count ? &newest->voters[at] : &q->configured[at - newest->count];

    if (q->now.mono_ms < q->fetch_ms)
        return;
    q->fetch_ms = q->now.mono_ms + q->o.times.election_timeout / 4;
    if (v->node_id != q->o.node_id && is_at_rest(q))
        fetch_from(q, v->node_id, &v->at, 0);
}
