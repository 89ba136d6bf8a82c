/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/quorum/rafts.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 4096, EPOCHS_MAX = 8192, BATCH = 8, ASK_MS = 100, CALL_MS = 400 };

struct entry {
    int32_t epoch;
    unsigned voters; /* 0: the entry is none of voters */
    uint64_t value;
};

enum kind { VOTE, VOTED, BEGIN, END, FETCH, FETCHED };

struct message {
    struct message *next;
    int64_t at_ms;
    enum kind kind;
    unsigned from, to, life; /* of the sender, whom answers are for */
    int32_t epoch, leader;   /* the sender's view */
    struct raft_vote vote;
    bool granted, success;
    int rank;
    uint64_t call;
    int64_t offset, end; /* fetch: from where; answer: watermark and divergence */
    int32_t last_epoch;
    int64_t watermark;
    unsigned count;
    struct entry entries[BATCH];
    uint64_t version; /* held back until this is saved */
};

struct member {
    struct raft raft;
    struct voters voters;
    bool up;
    unsigned life;
    struct entry log[ENTRIES_MAX];
    int64_t end, durable, written_end, write_at;
    struct raft_state kept, keeping;
    uint64_t keeping_version;
    int64_t keep_at, call_at, told_at;
    uint64_t call;
    int64_t watermark;
    struct message *held;
};

struct rafts {
    struct rafts_mood mood;
    struct prng random;
    int64_t now_ms;
    unsigned count, first_voters;
    struct member nodes[RAFTS_MAX];
    bool cut[RAFTS_MAX][RAFTS_MAX];
    struct message *mail; /* by time */
    uint64_t values, calls;
    unsigned leaders[EPOCHS_MAX];
    struct entry committed[ENTRIES_MAX];
    int64_t committed_end;
};

static const struct endpoint nowhere = {"n", 1};

static struct instant now(const struct rafts *s)
{
    return (struct instant){s->now_ms, s->now_ms};
}

static struct raft_key key_of(unsigned node)
{
    return (struct raft_key){(int32_t)node + 1, {{(uint8_t)(node + 1)}}};
}

static size_t set_of(unsigned bits, struct voter set[static RAFTS_MAX])
{
    size_t count = 0;

    for (unsigned i = 0; i < RAFTS_MAX; i++)
        if (bits >> i & 1)
            set[count++] =
                (struct voter){key_of(i).node_id, key_of(i).directory, nowhere};
    return count;
}

static unsigned bits_of(const struct voter_set *set)
{
    unsigned bits = 0;

    for (size_t i = 0; i < set->count; i++)
        bits |= 1u << (set->voters[i].node_id - 1);
    return bits;
}

static int32_t epoch_before(const struct member *m, int64_t offset)
{
    return offset > 0 ? m->log[offset - 1].epoch : -1;
}

/* ---- what must always hold ------------------------------------------------------------
 */

static void check_watermark(struct rafts *s, struct member *m)
{
    int64_t hw = m->raft.high_watermark;

    CHECK(hw >= m->watermark);
    CHECK(hw <= m->durable);
    m->watermark = hw;
    for (int64_t i = 0; i < hw; i++) {
        if (i >= s->committed_end) {
            s->committed[i] = m->log[i];
            s->committed_end = i + 1;
        }
        CHECK(s->committed[i].epoch == m->log[i].epoch);
        CHECK(s->committed[i].value == m->log[i].value);
    }
}

static void check_leader(struct rafts *s, const struct member *m, unsigned node)
{
    int32_t epoch = m->raft.state.epoch;

    CHECK(epoch < EPOCHS_MAX);
    CHECK(s->leaders[epoch] == 0);
    s->leaders[epoch] = node + 1;
    CHECK(m->kept.epoch == epoch && m->kept.voted.node_id == (int32_t)node + 1);
    CHECK(m->end >= s->committed_end);
    for (int64_t i = 0; i < s->committed_end; i++)
        CHECK(m->log[i].value == s->committed[i].value);
}

/* ---- the network ----------------------------------------------------------------------
 */

static void post(struct rafts *s, struct message *m)
{
    struct message **at = &s->mail;

    if (s->cut[m->from][m->to] || prng_below(&s->random, 1000) < s->mood.lost) {
        free(m);
        return;
    }
    m->at_ms = s->now_ms + 1 +
               (int64_t)prng_below(&s->random, (uint64_t)s->mood.delay_ms_max + 1);
    while (*at != NULL && (*at)->at_ms <= m->at_ms)
        at = &(*at)->next;
    m->next = *at;
    *at = m;
}

static struct message *message(struct rafts *s, enum kind kind, unsigned from,
                               unsigned to)
{
    struct message *m = must_zalloc(sizeof *m);

    m->kind = kind;
    m->from = from;
    m->to = to;
    m->life = s->nodes[from].life;
    m->epoch = s->nodes[from].raft.state.epoch;
    m->leader = s->nodes[from].raft.leader;
    return m;
}

/* Nothing is answered before what it rests on is on disk. */
static void answer(struct rafts *s, struct message *m, const struct message *question)
{
    struct member *n = &s->nodes[m->from];

    m->life = question->life;
    m->call = question->call;
    m->epoch = n->raft.state.epoch;
    m->leader = n->raft.leader;
    m->version = n->raft.version;
    m->next = n->held;
    n->held = m;
}

static void free_mail(struct message **list)
{
    while (*list != NULL) {
        struct message *m = *list;

        *list = m->next;
        free(m);
    }
}

/* ---- a node's log ---------------------------------------------------------------------
 */

static void log_moved(struct member *m)
{
    raft_log_moved(&m->raft, m->end, m->durable, epoch_before(m, m->end));
}

static void use_voters(struct rafts *s, struct member *m)
{
    const struct voter_set *set = voters_newest(&m->voters);

    raft_set_voters(&m->raft, set->voters, set->count,
                    voters_may_stand(&m->voters, m->raft.self), now(s));
}

static void append(struct rafts *s, struct member *m, struct entry e)
{
    struct voter set[RAFTS_MAX];

    CHECK(m->end < ENTRIES_MAX);
    m->log[m->end++] = e;
    log_moved(m);
    if (e.voters != 0) {
        voters_append(&m->voters, m->end - 1, set, set_of(e.voters, set));
        use_voters(s, m);
    }
}

static void truncate_log(struct rafts *s, struct member *m, int64_t end)
{
    CHECK(end >= m->raft.high_watermark);
    m->end = end;
    if (m->durable > end)
        m->durable = end;
    if (m->written_end > end)
        m->written_end = end;
    log_moved(m);
    voters_truncate(&m->voters, end);
    use_voters(s, m);
}

static void rose(struct rafts *s, struct member *m)
{
    voters_commit(&m->voters, m->raft.high_watermark);
    use_voters(s, m);
    check_watermark(s, m);
}

/* The largest epoch that is not above `epoch`, and where it ends. */
static void end_for_epoch(const struct member *m, int32_t epoch, int32_t *found,
                          int64_t *end)
{
    *found = -1;
    *end = 0;
    for (int64_t i = 0; i < m->end && m->log[i].epoch <= epoch; i++) {
        *found = m->log[i].epoch;
        *end = i + 1;
    }
}

/* ---- what a node does by itself -------------------------------------------------------
 */

static void fetch(struct rafts *s, unsigned node, unsigned from)
{
    struct member *m = &s->nodes[node];
    struct message *q = message(s, FETCH, node, from);

    m->call = q->call = ++s->calls;
    m->call_at = s->now_ms;
    q->offset = m->end;
    q->last_epoch = epoch_before(m, m->end);
    post(s, q);
}

static void ask_votes(struct rafts *s, unsigned node)
{
    struct raft *r = &s->nodes[node].raft;

    for (size_t i = 0; i < r->peer_count; i++) {
        struct message *q;

        if (r->peers[i].answer != RAFT_NOT_ASKED)
            continue;
        r->peers[i].answer = RAFT_ASKED;
        q = message(s, VOTE, node, (unsigned)r->peers[i].voter.node_id - 1);
        q->vote = (struct raft_vote){.epoch = r->state.epoch,
                                     .candidate = r->self,
                                     .last_epoch = r->tail_epoch,
                                     .last_offset = r->end,
                                     .pre = r->role == RAFT_PROSPECTIVE};
        post(s, q);
    }
}

static void announce(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node];

    if (s->now_ms < m->told_at)
        return;
    m->told_at = s->now_ms + ASK_MS;
    for (size_t i = 0; i < m->raft.peer_count; i++)
        if (!m->raft.peers[i].has_fetched &&
            m->raft.peers[i].voter.node_id != m->raft.self.node_id)
            post(s,
                 message(s, BEGIN, node, (unsigned)m->raft.peers[i].voter.node_id - 1));
}

static void lead(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node];

    if (m->raft.elected) {
        m->raft.elected = false;
        m->told_at = 0;
        check_leader(s, m, node);
        append(s, m, (struct entry){m->raft.state.epoch, 0, ++s->values});
    }
    announce(s, node);
    if (raft_commit(&m->raft))
        rose(s, m);
    if (!raft_is_voter(&m->raft) &&
        voters_newest(&m->voters)->offset < m->raft.high_watermark)
        raft_resign(&m->raft, now(s));
}

static void look_around(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node];
    size_t at = (size_t)prng_below(&s->random, m->raft.peer_count);
    unsigned peer = (unsigned)m->raft.peers[at].voter.node_id - 1;

    if (peer != node && s->now_ms >= m->call_at + ASK_MS)
        fetch(s, node, peer);
}

static void disk(struct rafts *s, struct member *m)
{
    int64_t wait = (int64_t)prng_below(&s->random, (uint64_t)s->mood.disk_ms_max + 1);

    if (m->keep_at == 0 && !raft_is_saved(&m->raft)) {
        m->keeping = m->raft.state;
        m->keeping_version = m->raft.version;
        m->keep_at = s->now_ms + wait;
    }
    if (m->keep_at != 0 && s->now_ms >= m->keep_at) {
        m->keep_at = 0;
        m->kept = m->keeping;
        raft_saved(&m->raft, m->keeping_version, now(s));
    }
    if (m->write_at == 0 && m->durable < m->end) {
        m->written_end = m->end;
        m->write_at = s->now_ms + wait;
    }
    if (m->write_at != 0 && s->now_ms >= m->write_at) {
        m->write_at = 0;
        m->durable = m->written_end;
        log_moved(m);
        if (raft_told(&m->raft, m->raft.high_watermark))
            rose(s, m);
    }
}

static void let_go(struct rafts *s, struct member *m)
{
    struct message **at = &m->held;

    while (*at != NULL) {
        struct message *held = *at;

        if (held->version > m->raft.saved) {
            at = &held->next;
            continue;
        }
        *at = held->next;
        post(s, held);
    }
}

static void turn(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node];

    disk(s, m);
    raft_tick(&m->raft, now(s));
    let_go(s, m);
    if (!raft_is_saved(&m->raft))
        return;
    switch (m->raft.role) {
    case RAFT_LEADER: lead(s, node); return;
    case RAFT_PROSPECTIVE:
    case RAFT_CANDIDATE: ask_votes(s, node); return;
    case RAFT_UNATTACHED: look_around(s, node); return;
    case RAFT_FOLLOWER:
        if (m->durable == m->end && (m->call == 0 || s->now_ms > m->call_at + CALL_MS))
            fetch(s, node, (unsigned)m->raft.leader - 1);
        return;
    }
}

/* ---- what a node hears ----------------------------------------------------------------
 */

static void on_vote(struct rafts *s, struct member *m, const struct message *q)
{
    struct message *a = message(s, VOTED, q->to, q->from);

    a->granted = raft_vote(&m->raft, &q->vote, now(s));
    a->vote = q->vote;
    answer(s, a, q);
}

static void on_voted(struct rafts *s, struct member *m, const struct message *a)
{
    if (!a->granted)
        raft_hear(&m->raft, a->epoch, a->leader, &nowhere, now(s));
    raft_vote_answered(&m->raft, (int32_t)a->from + 1, a->vote.epoch, a->vote.pre,
                       a->granted, now(s));
}

static void serve(struct rafts *s, struct member *m, const struct message *q,
                  struct message *a)
{
    int32_t found;
    int64_t end;
    struct raft_key from = key_of(q->from);

    end_for_epoch(m, q->last_epoch, &found, &end);
    a->success = true;
    a->end = -1;
    if (q->last_epoch >= 0 && (found != q->last_epoch || end < q->offset)) {
        a->last_epoch = found;
        a->end = end;
        return;
    }
    raft_on_fetch(&m->raft, &from, q->offset, now(s));
    a->offset = q->offset;
    for (int64_t i = q->offset; i < m->end && a->count < BATCH; i++)
        a->entries[a->count++] = m->log[i];
    if (raft_commit(&m->raft))
        rose(s, m);
    a->watermark = m->raft.high_watermark;
}

static void on_fetch(struct rafts *s, struct member *m, const struct message *q)
{
    struct message *a = message(s, FETCHED, q->to, q->from);

    raft_hear(&m->raft, q->epoch, -1, &nowhere, now(s));
    if (m->raft.role == RAFT_LEADER && q->epoch == m->raft.state.epoch)
        serve(s, m, q, a);
    answer(s, a, q);
}

static void cut_off(struct rafts *s, struct member *m, const struct message *a)
{
    int32_t found;
    int64_t end;

    end_for_epoch(m, a->last_epoch, &found, &end);
    truncate_log(s, m, found == a->last_epoch && a->end < end ? a->end : end);
}

static void on_fetched(struct rafts *s, struct member *m, const struct message *a)
{
    bool mine = m->call == a->call && m->raft.role == RAFT_FOLLOWER &&
                m->raft.state.epoch == a->epoch && m->raft.leader == (int32_t)a->from + 1;

    raft_hear(&m->raft, a->epoch, a->leader, &nowhere, now(s));
    if (m->call == a->call)
        m->call = 0;
    if (!mine || !a->success)
        return;
    raft_fetched(&m->raft, now(s));
    if (a->end >= 0) {
        cut_off(s, m, a);
        return;
    }
    CHECK(a->offset == m->end);
    for (unsigned i = 0; i < a->count; i++)
        append(s, m, a->entries[i]);
    if (raft_told(&m->raft, a->watermark))
        rose(s, m);
}

static void deliver(struct rafts *s, const struct message *m)
{
    struct member *n = &s->nodes[m->to];

    if (!n->up)
        return;
    switch (m->kind) {
    case VOTE: on_vote(s, n, m); break;
    case FETCH: on_fetch(s, n, m); break;
    case BEGIN: raft_hear(&n->raft, m->epoch, m->leader, &nowhere, now(s)); break;
    case END: raft_ended(&n->raft, m->epoch, m->rank, now(s)); break;
    case VOTED:
        if (m->life == n->life)
            on_voted(s, n, m);
        break;
    case FETCHED:
        if (m->life == n->life)
            on_fetched(s, n, m);
        break;
    }
}

/* ---- lives ----------------------------------------------------------------------------
 */

static void rebuild_voters(struct rafts *s, struct member *m)
{
    struct voter set[RAFTS_MAX];

    voters_init(&m->voters, set, set_of(s->first_voters, set));
    for (int64_t i = 0; i < m->end; i++)
        if (m->log[i].voters != 0)
            voters_append(&m->voters, i, set, set_of(m->log[i].voters, set));
}

void rafts_start(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node - 1];
    struct raft_options o = {.self = key_of(node - 1),
                             .times = {.fetch_timeout = 500, .election_timeout = 300},
                             .state = m->kept};

    CHECK(!m->up);
    prng_init(&o.random, prng_next(&s->random));
    m->up = true;
    m->life++;
    m->call = 0;
    m->call_at = m->keep_at = m->write_at = 0;
    m->watermark = -1;
    raft_init(&m->raft, &o, now(s));
    log_moved(m);
    rebuild_voters(s, m);
    use_voters(s, m);
}

void rafts_crash(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node - 1];

    CHECK(m->up);
    m->up = false;
    m->end = m->durable;
    voters_release(&m->voters);
    free_mail(&m->held);
}

struct rafts *rafts_new(unsigned nodes, unsigned voters, uint64_t seed)
{
    struct rafts *s = must_zalloc(sizeof *s);

    CHECK(nodes <= RAFTS_MAX && voters <= nodes);
    s->count = nodes;
    s->first_voters = (1u << voters) - 1;
    s->mood = (struct rafts_mood){0, 3, 3};
    s->now_ms = 1000;
    prng_init(&s->random, seed);
    for (unsigned i = 1; i <= nodes; i++)
        rafts_start(s, i);
    return s;
}

void rafts_free(struct rafts *s)
{
    for (unsigned i = 1; i <= s->count; i++)
        if (s->nodes[i - 1].up)
            rafts_crash(s, i);
    free_mail(&s->mail);
    free(s);
}

struct rafts_mood *rafts_mood(struct rafts *s)
{
    return &s->mood;
}

static void step_ms(struct rafts *s)
{
    s->now_ms++;
    while (s->mail != NULL && s->mail->at_ms <= s->now_ms) {
        struct message *m = s->mail;

        s->mail = m->next;
        deliver(s, m);
        free(m);
    }
    for (unsigned i = 0; i < s->count; i++)
        if (s->nodes[i].up)
            turn(s, i);
}

void rafts_run_ms(struct rafts *s, int64_t ms)
{
    for (int64_t i = 0; i < ms; i++)
        step_ms(s);
}

void rafts_cut(struct rafts *s, unsigned from, unsigned to, bool cut)
{
    s->cut[from - 1][to - 1] = cut;
}

void rafts_cut_off(struct rafts *s, unsigned node, bool cut)
{
    for (unsigned i = 1; i <= s->count; i++) {
        rafts_cut(s, node, i, cut);
        rafts_cut(s, i, node, cut);
    }
}

bool rafts_is_up(const struct rafts *s, unsigned node)
{
    return s->nodes[node - 1].up;
}

void rafts_hand_over(struct rafts *s, unsigned node)
{
    struct raft *r = &s->nodes[node - 1].raft;
    int32_t next[RAFT_VOTERS_MAX];
    size_t count;

    if (r->role != RAFT_LEADER)
        return;
    count = raft_successors(r, next);
    for (size_t i = 0; i < count; i++) {
        struct message *m = message(s, END, node - 1, (unsigned)next[i] - 1);

        m->rank = (int)i;
        post(s, m);
    }
    raft_resign(r, now(s));
}

/* ---- changes --------------------------------------------------------------------------
 */

bool rafts_append(struct rafts *s, unsigned node)
{
    struct member *m = &s->nodes[node - 1];

    if (!m->up || m->raft.role != RAFT_LEADER || m->raft.elected)
        return false;
    append(s, m, (struct entry){m->raft.state.epoch, 0, ++s->values});
    return true;
}

bool rafts_change(struct rafts *s, unsigned node, unsigned set)
{
    struct member *m = &s->nodes[node - 1];
    unsigned differ = set ^ rafts_voters(s, node);

    if (!m->up || m->raft.role != RAFT_LEADER || m->raft.elected || set == 0 ||
        m->raft.high_watermark <= m->raft.epoch_start ||
        voters_newest(&m->voters)->offset >= m->raft.high_watermark ||
        (differ & (differ - 1)) != 0 || differ == 0)
        return false;
    append(s, m, (struct entry){m->raft.state.epoch, set, ++s->values});
    return true;
}

unsigned rafts_voters(const struct rafts *s, unsigned node)
{
    return s->nodes[node - 1].up ? bits_of(voters_newest(&s->nodes[node - 1].voters)) : 0;
}

struct raft *rafts_node(struct rafts *s, unsigned node)
{
    return &s->nodes[node - 1].raft;
}

unsigned rafts_leader(const struct rafts *s)
{
    unsigned leader = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (s->nodes[i].up && s->nodes[i].raft.role == RAFT_LEADER &&
            (leader == 0 ||
             s->nodes[i].raft.state.epoch > s->nodes[leader - 1].raft.state.epoch))
            leader = i + 1;
    return leader;
}

int64_t rafts_committed(const struct rafts *s)
{
    return s->committed_end;
}
