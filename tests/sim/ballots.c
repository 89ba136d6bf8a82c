/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/ballots.h"

#include "broker/core/quorum/quorum_inner.h"
#include "proto/base/crc32c.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 4096 };

struct ballot {
    struct uuid directory; /* of the voter */
    int32_t voter, epoch, candidate;
};

struct ballots {
    struct oracle *oracle;
    struct ballot *all;
    size_t count, capacity;
    /* What the image is made of, by how far it was applied; older ones are overwritten.
     */
    struct {
        int64_t applied;
        uint64_t hash;
        int broker;
    } images[IMAGES];
    int64_t looked[BROKERS_MAX];
};

struct ballots *ballots_new(struct oracle *o)
{
    struct ballots *l = must_zalloc(sizeof *l);

    l->oracle = o;
    return l;
}

static const struct quorum *quorum_of(const struct sim_broker *b)
{
    return b->shards[0].node->quorum;
}

/* ---- votes ---------------------------------------------------------------------------
 */

static void keep(struct ballots *l, const struct ballot *v)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct ballot *old = &l->all[i];

        if (old->epoch != v->epoch || !uuid_equal(old->directory, v->directory))
            continue;
        if (old->candidate != v->candidate)
            oracle_violation(
                l->oracle, "S14", "broker %d votes for %d and for %d in quorum epoch %d",
                (int)v->voter, (int)old->candidate, (int)v->candidate, (int)v->epoch);
        return;
    }
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? l->capacity * 2 : 64;
        l->all = must_realloc(l->all, l->capacity * sizeof *l->all);
    }
    l->all[l->count++] = *v;
}

void ballots_voted(struct ballots *l, const struct sim_broker *b, const struct request *r)
{
    const Leat__VoteRequest *q = ANSWER_AS(Leat__VoteRequest, r->header);
    const struct quorum *quorum = quorum_of(b);

    if (r->status || q->pre || !ANSWER_AS(Leat__VoteResponse, r->answer)->granted)
        return;
    if (quorum->raft.saved < quorum->raft.version && quorum->raft.state.epoch == q->epoch)
        oracle_violation(l->oracle, "S14",
                         "broker %d gives its vote of quorum epoch %d before it is on "
                         "its disk",
                         b->number + 1, (int)q->epoch);
    keep(l,
         &(struct ballot){b->directory, b->number + 1, q->epoch, q->candidate->node_id});
}

void ballots_started(struct ballots *l, const struct sim_broker *b)
{
    const struct raft_state *s = &quorum_of(b)->raft.state;

    for (size_t i = 0; i < l->count; i++) {
        const struct ballot *v = &l->all[i];

        if (uuid_equal(v->directory, b->directory) &&
            (s->epoch < v->epoch ||
             (s->epoch == v->epoch && s->voted.node_id != v->candidate)))
            oracle_violation(l->oracle, "S14",
                             "broker %d voted for %d in quorum epoch %d and comes back "
                             "in epoch %d with a vote for %d",
                             b->number + 1, (int)v->candidate, (int)v->epoch,
                             (int)s->epoch, (int)s->voted.node_id);
    }
    l->looked[b->number] = -1;
}

/* ---- what counts ---------------------------------------------------------------------
 */

/* The newest set in the log, taken from where the log's records put it. */
static const struct voter_set *newest_set(const struct quorum *q)
{
    return &q->voters.sets[q->voters.count - 1];
}

static size_t copies_of(const struct voter_set *set, int64_t watermark,
                        const struct metadata_replica all[static BROKERS_MAX])
{
    size_t copies = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct metadata_replica *m = &all[set->voters[i].node_id - 1];

        copies += m->lost || m->durable >= watermark;
    }
    return copies;
}

/* A set that was appended in this very turn may have come after the watermark moved. */
void ballots_committed(struct ballots *l, const struct sim_broker *b, int32_t epoch,
                       int64_t end_before,
                       const struct metadata_replica all[static BROKERS_MAX])
{
    const struct quorum *q = quorum_of(b);
    const struct voter_set *set = newest_set(q);
    const int64_t watermark = quorum_high_watermark(q);
    size_t copies;

    if (epoch != quorum_epoch(q))
        oracle_violation(l->oracle, "S13",
                         "broker %d leads quorum epoch %d and commits up to %" PRId64
                         ", a record of epoch %d",
                         b->number + 1, (int)quorum_epoch(q), watermark, (int)epoch);
    copies = copies_of(set, watermark, all);
    if (copies * 2 <= set->count && q->voters.count > 1 && set->offset >= end_before) {
        set = &q->voters.sets[q->voters.count - 2];
        copies = copies_of(set, watermark, all);
    }
    if (copies * 2 <= set->count)
        oracle_violation(l->oracle, "S13",
                         "broker %d commits metadata up to %" PRId64
                         ", which is on %zu of %zu voters' disks",
                         b->number + 1, watermark, copies, set->count);
}

static void check_voters(struct ballots *l, const struct sim_broker *b)
{
    const struct quorum *q = quorum_of(b);
    const struct voter_set *set = newest_set(q);
    bool same = q->raft.peer_count == set->count;

    for (size_t i = 0; i < set->count; i++) {
        bool found = false;

        for (size_t j = 0; j < q->raft.peer_count; j++)
            found |= q->raft.peers[j].voter.node_id == set->voters[i].node_id;
        same &= found;
    }
    if (!same)
        oracle_violation(l->oracle, "S13",
                         "broker %d counts %zu voters, but the newest of its log are %zu "
                         "others",
                         b->number + 1, q->raft.peer_count, set->count);
}

/* ---- the image -----------------------------------------------------------------------
 */

static void add_record(void *to, struct bytes record)
{
    uint64_t *sum = to;

    *sum +=
        ((uint64_t)crc32c(0, record.data, record.len) + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void check_image(struct ballots *l, const struct sim_broker *b)
{
    const struct image *image = node_image(b->shards[0].node);
    const size_t at = (size_t)image->applied % IMAGES;
    uint64_t hash = 0;

    if (image->applied == l->looked[b->number] || image->applied % 4 != 0)
        return;
    l->looked[b->number] = image->applied;
    image_snapshot(image, add_record, &hash);
    if (l->images[at].applied == image->applied && l->images[at].hash != hash)
        oracle_violation(l->oracle, "S17",
                         "brokers %d and %d make different images of the metadata up to "
                         "%" PRId64,
                         l->images[at].broker, b->number + 1, image->applied);
    l->images[at].applied = image->applied;
    l->images[at].hash = hash;
    l->images[at].broker = b->number + 1;
}

void ballots_turned(struct ballots *l, const struct sim_broker *b)
{
    const struct quorum *q = quorum_of(b);

    if (q->raft.role == RAFT_LEADER && !q->failed)
        keep(l, &(struct ballot){b->directory, b->number + 1, quorum_epoch(q),
                                 b->number + 1});
    if (!is_installing(q))
        check_voters(l, b);
    check_image(l, b);
}
