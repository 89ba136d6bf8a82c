/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quorum/raft.h"

#include "broker/core/watermark.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"

enum { BACKOFF_DOUBLINGS = 3, DISK_MS = 10 };

static bool key_equal(const struct raft_key *a, const struct raft_key *b)
{
    return a->node_id == b->node_id && uuid_equal(a->directory, b->directory);
}

/* Between `least` and twice that, so that not all stand at once. */
static int64_t jittered(struct raft *r, int64_t least)
{
    return least + (int64_t)prng_below(&r->random, (uint64_t)least + 1);
}

static void set_timer(struct raft *r, int64_t wait_ms, struct instant now)
{
    r->deadline_ms = now.mono_ms + wait_ms;
}

/* ---- who votes -----------------------------------------------------------------------
 */

struct raft_peer *raft_peer(struct raft *r, int32_t node_id)
{
    for (size_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].voter.node_id == node_id)
            return &r->peers[i];
    return NULL;
}

/* In the bootstrap set nobody's directory is known, so the number alone tells. */
static bool is_voter_key(const struct voter *v, const struct raft_key *key)
{
    return v->node_id == key->node_id &&
           (uuid_is_zero(v->directory) || uuid_equal(v->directory, key->directory));
}

bool raft_is_voter(const struct raft *r)
{
    for (size_t i = 0; i < r->peer_count; i++)
        if (is_voter_key(&r->peers[i].voter, &r->self))
            return true;
    return false;
}

static bool is_alone(const struct raft *r)
{
    return r->peer_count == 1 && raft_is_voter(r);
}

/* To look whether a majority still fetches; alone it is one. */
static void set_leader_timer(struct raft *r, struct instant now)
{
    if (is_alone(r))
        r->deadline_ms = INT64_MAX;
    else
        set_timer(r, r->times.fetch_timeout / 2, now);
}

static bool is_same_voter(const struct voter *a, const struct voter *b)
{
    return a->node_id == b->node_id &&
           (uuid_is_zero(a->directory) || uuid_is_zero(b->directory) ||
            uuid_equal(a->directory, b->directory));
}

static size_t majority(const struct raft *r)
{
    return r->peer_count / 2 + 1;
}

static size_t count_answers(const struct raft *r, enum raft_answer answer)
{
    size_t count = 0;

    for (size_t i = 0; i < r->peer_count; i++)
        count += r->peers[i].answer == answer;
    return count;
}

/* ---- roles ---------------------------------------------------------------------------
 */

static void forget_leader(struct raft *r)
{
    r->leader = -1;
    r->has_fetched = false;
}

static void become_unattached(struct raft *r, int64_t wait_ms, struct instant now)
{
    r->role = RAFT_UNATTACHED;
    forget_leader(r);
    set_timer(r, wait_ms, now);
}

void raft_set_voters(struct raft *r, const struct voter *voters, size_t count,
                     bool may_stand, struct instant now)
{
    struct raft_peer before[RAFT_VOTERS_MAX];
    size_t before_count = r->peer_count;

    CHECK(count <= RAFT_VOTERS_MAX);
    for (size_t i = 0; i < before_count; i++)
        before[i] = r->peers[i];
    r->peer_count = count;
    r->may_stand = may_stand;
    for (size_t i = 0; i < count; i++) {
        struct raft_peer *p = &r->peers[i];
        struct uuid directory;

        *p = (struct raft_peer){.acked = -1, .fetched_ms = now.mono_ms};
        for (size_t j = 0; j < before_count; j++)
            if (is_same_voter(&before[j].voter, &voters[i]))
                *p = before[j];
        directory = p->voter.directory;
        p->voter = voters[i];
        if (uuid_is_zero(p->voter.directory))
            p->voter.directory = directory; /* as learned */
    }
    if (!may_stand && (r->role == RAFT_PROSPECTIVE || r->role == RAFT_CANDIDATE))
        become_unattached(r, jittered(r, r->times.election_timeout), now);
    if (is_alone(r) && r->role == RAFT_UNATTACHED)
        r->deadline_ms = now.mono_ms;
    if (r->role == RAFT_LEADER && r->deadline_ms == INT64_MAX)
        set_leader_timer(r, now);
}

static void become_follower(struct raft *r, int32_t leader, const struct endpoint *at,
                            struct instant now)
{
    /* Who has just given a leader up and hears of it from others asks it once more, but
     * not for as long. */
    int64_t wait_ms =
        r->role == RAFT_PROSPECTIVE ? r->times.fetch_timeout / 2 : r->times.fetch_timeout;

    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    r->leader_at = *at;
    r->has_fetched = false;
    r->failures = 0;
    set_timer(r, jittered(r, wait_ms), now);
}

static void set_epoch(struct raft *r, int32_t epoch)
{
    CHECK(epoch > r->state.epoch);
    r->state = (struct raft_state){.epoch = epoch};
    r->version++;
}

static void ask_anew(struct raft *r)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *p = &r->peers[i];

        p->answer = is_voter_key(&p->voter, &r->self) ? RAFT_GRANTED : RAFT_NOT_ASKED;
    }
}

static void become_leader(struct raft *r, struct instant now)
{
    r->role = RAFT_LEADER;
    r->leader = r->self.node_id;
    r->failures = 0;
    r->epoch_start = r->end;
    r->elected = true;
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *p = &r->peers[i];

        p->has_fetched = false;
        p->acked = -1;
        p->fetched_ms = now.mono_ms;
    }
    set_leader_timer(r, now);
}

static void lead_if_elected(struct raft *r, struct instant now)
{
    if (r->role == RAFT_CANDIDATE && raft_is_saved(r) &&
        count_answers(r, RAFT_GRANTED) >= majority(r))
        become_leader(r, now);
}

static void become_candidate(struct raft *r, struct instant now)
{
    set_epoch(r, r->state.epoch + 1);
    r->state.voted = r->self;
    r->role = RAFT_CANDIDATE;
    forget_leader(r);
    ask_anew(r);
    set_timer(r, jittered(r, r->times.election_timeout), now);
    lead_if_elected(r, now);
}

static void become_prospective(struct raft *r, struct instant now)
{
    r->role = RAFT_PROSPECTIVE;
    forget_leader(r);
    ask_anew(r);
    set_timer(r, jittered(r, r->times.election_timeout), now);
    if (count_answers(r, RAFT_GRANTED) >= majority(r))
        become_candidate(r, now);
}

/* Not now: wait longer each time, so that somebody else may succeed. */
static void back_off(struct raft *r, struct instant now)
{
    int64_t wait_ms = r->times.election_timeout;

    wait_ms <<= r->failures < BACKOFF_DOUBLINGS ? r->failures : BACKOFF_DOUBLINGS;
    r->failures++;
    become_unattached(r, (int64_t)prng_below(&r->random, (uint64_t)wait_ms) + 1, now);
}

/* ---- life ----------------------------------------------------------------------------
 */

void raft_init(struct raft *r, const struct raft_options *o, struct instant now)
{
    *r = (struct raft){.self = o->self,
                       .times = o->times,
                       .random = o->random,
                       .state = o->state,
                       .leader = -1,
                       .tail_epoch = -1,
                       .high_watermark = -1};
    become_unattached(r, jittered(r, r->times.election_timeout), now);
}

void raft_log_moved(struct raft *r, int64_t end, int64_t durable, int32_t tail_epoch)
{
    r->end = end;
    r->durable = durable;
    r->tail_epoch = tail_epoch;
}

bool raft_is_saved(const struct raft *r)
{
    return r->saved == r->version;
}

void raft_saved(struct raft *r, uint64_t version, struct instant now)
{
    CHECK(version <= r->version);
    r->saved = version;
    lead_if_elected(r, now);
}

static bool is_heard(const struct raft *r, struct instant now)
{
    int64_t oldest_ms = now.mono_ms - r->times.fetch_timeout * 3 / 2;
    size_t heard = 0;

    for (size_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *p = &r->peers[i];

        heard += is_voter_key(&p->voter, &r->self) || p->fetched_ms >= oldest_ms;
    }
    return heard >= majority(r);
}

static bool can_stand(const struct raft *r)
{
    return r->may_stand && r->durable == r->end && raft_is_saved(r);
}

static void stand(struct raft *r, struct instant now)
{
    if (can_stand(r))
        become_prospective(r, now);
    else if (r->may_stand)
        set_timer(r, DISK_MS, now);
    else
        become_unattached(r, jittered(r, r->times.election_timeout), now);
}

void raft_tick(struct raft *r, struct instant now)
{
    if (now.mono_ms < r->deadline_ms)
        return;
    switch (r->role) {
    case RAFT_LEADER:
        if (is_heard(r, now))
            set_leader_timer(r, now);
        else {
            MARK("quorum leader is not heard by a majority and resigns");
            raft_resign(r, now);
        }
        return;
    case RAFT_PROSPECTIVE:
    case RAFT_CANDIDATE:
        MARK("election without an outcome");
        back_off(r, now);
        return;
    case RAFT_UNATTACHED:
    case RAFT_FOLLOWER: stand(r, now); return;
    }
}

int64_t raft_deadline(const struct raft *r)
{
    return r->deadline_ms;
}

/* ---- what others say -----------------------------------------------------------------
 */

void raft_hear(struct raft *r, int32_t epoch, int32_t leader, const struct endpoint *at,
               struct instant now)
{
    if (epoch < r->state.epoch)
        return;
    if (epoch > r->state.epoch) {
        set_epoch(r, epoch);
        become_unattached(r, jittered(r, r->times.election_timeout), now);
    }
    if (leader < 0 || leader == r->self.node_id || r->role == RAFT_LEADER ||
        (r->role == RAFT_FOLLOWER && r->leader == leader))
        return;
    become_follower(r, leader, at, now);
}

/* Whoever is elected must have everything that was committed: so its log must not be
 * behind that of any voter (Raft 5.4.1). */
static bool is_up_to_date(const struct raft *r, const struct raft_vote *v)
{
    if (r->durable < r->end)
        return false;
    return v->last_epoch > r->tail_epoch ||
           (v->last_epoch == r->tail_epoch && v->last_offset >= r->end);
}

bool raft_vote(struct raft *r, const struct raft_vote *v, struct instant now)
{
    static const struct endpoint nowhere;

    raft_hear(r, v->epoch, -1, &nowhere, now);
    if (v->epoch < r->state.epoch || !is_up_to_date(r, v) || r->role == RAFT_LEADER)
        return false;
    if (v->pre && r->role == RAFT_FOLLOWER && r->has_fetched)
        MARK("pre-vote refused for a live leader");
    if (v->pre)
        return !(r->role == RAFT_FOLLOWER && r->has_fetched);
    if (r->role == RAFT_FOLLOWER)
        return false;
    if (r->state.voted.node_id != 0)
        MARK("asked for a vote that is given already");
    if (r->state.voted.node_id != 0)
        return key_equal(&r->state.voted, &v->candidate);
    r->state.voted = v->candidate;
    r->version++;
    become_unattached(r, jittered(r, r->times.fetch_timeout), now);
    return true;
}

void raft_vote_answered(struct raft *r, int32_t node_id, int32_t epoch, bool pre,
                        bool granted, struct instant now)
{
    struct raft_peer *p = raft_peer(r, node_id);

    if (p == NULL || epoch != r->state.epoch ||
        r->role != (pre ? RAFT_PROSPECTIVE : RAFT_CANDIDATE))
        return;
    p->answer = granted ? RAFT_GRANTED : RAFT_REFUSED;
    if (count_answers(r, RAFT_REFUSED) > r->peer_count - majority(r)) {
        MARK("election lost by refusals");
        back_off(r, now);
        return;
    }
    if (count_answers(r, RAFT_GRANTED) < majority(r))
        return;
    if (pre)
        become_candidate(r, now);
    else
        lead_if_elected(r, now);
}

void raft_ended(struct raft *r, int32_t epoch, int rank, struct instant now)
{
    if (epoch != r->state.epoch || r->role != RAFT_FOLLOWER)
        return;
    become_unattached(r, jittered(r, r->times.election_timeout), now);
    if (rank == 0 && can_stand(r))
        become_candidate(r, now);
    else if (rank > 0)
        set_timer(r, rank * r->times.election_timeout, now);
}

/* ---- following and leading -----------------------------------------------------------
 */

void raft_fetched(struct raft *r, struct instant now)
{
    CHECK(r->role == RAFT_FOLLOWER);
    r->has_fetched = true;
    set_timer(r, r->times.fetch_timeout, now);
}

struct raft_peer *raft_contact(struct raft *r, const struct raft_key *from,
                               struct instant now)
{
    struct raft_peer *p = raft_peer(r, from->node_id);

    CHECK(r->role == RAFT_LEADER);
    if (p == NULL || !is_voter_key(&p->voter, from))
        return NULL;
    if (uuid_is_zero(p->voter.directory))
        p->voter.directory = from->directory;
    p->has_fetched = true;
    p->fetched_ms = now.mono_ms;
    return p;
}

void raft_on_fetch(struct raft *r, const struct raft_key *from, int64_t offset,
                   struct instant now)
{
    struct raft_peer *p = raft_contact(r, from, now);

    if (p != NULL && offset > p->acked)
        p->acked = offset;
}

bool raft_commit(struct raft *r)
{
    int64_t ends[RAFT_VOTERS_MAX], end;

    CHECK(r->role == RAFT_LEADER);
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *p = &r->peers[i];

        ends[i] = is_voter_key(&p->voter, &r->self) ? r->durable : p->acked;
    }
    end = majority_end(ends, r->peer_count);
    if (end > r->durable)
        end = r->durable; /* the others are quicker: nobody knows more than its disk */
    /* Only with a record of this epoch is what came before it safe as well (Raft 5.4.2).
     */
    if (end <= r->epoch_start && end > r->high_watermark)
        MARK("a majority has records of older epochs only");
    if ((end <= r->epoch_start && !PLANT(10)) || end <= r->high_watermark)
        return false;
    r->high_watermark = end;
    return true;
}

bool raft_told(struct raft *r, int64_t high_watermark)
{
    int64_t known = high_watermark < r->durable ? high_watermark : r->durable;

    if (known <= r->high_watermark)
        return false;
    r->high_watermark = known;
    return true;
}

size_t raft_successors(const struct raft *r, int32_t out[static RAFT_VOTERS_MAX])
{
    int64_t acked[RAFT_VOTERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *p = &r->peers[i];
        size_t at = count;

        if (p->voter.node_id == r->self.node_id)
            continue;
        for (; at > 0 && acked[at - 1] < p->acked; at--) {
            acked[at] = acked[at - 1];
            out[at] = out[at - 1];
        }
        acked[at] = p->acked;
        out[at] = p->voter.node_id;
        count++;
    }
    return count;
}

void raft_resign(struct raft *r, struct instant now)
{
    if (r->role == RAFT_LEADER)
        become_unattached(r, jittered(r, r->times.fetch_timeout), now);
}
