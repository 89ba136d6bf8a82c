/* SPDX-License-Identifier: Apache-2.0
 *
 * Who votes: what the leader hears of everybody, the set that it writes into the log, and
 * an operator's wishes, one voter at a time (KIP-853). */
#include "broker/core/quorum/quorum_inner.h"

#include "broker/core/quorum/records.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAUGHT_UP = 1000 /* records */ };

/* ---- what the leader hears -----------------------------------------------------------
 */

static struct heard *heard_node(const struct quorum *q, int32_t node_id)
{
    for (size_t i = 0; i < q->heard_count; i++)
        if (q->heard[i].key.node_id == node_id)
            return &q->heard[i];
    return NULL;
}

static struct heard *heard_find(const struct quorum *q, const struct raft_key *key)
{
    struct heard *h = heard_node(q, key->node_id);

    return h != NULL && uuid_equal(h->key.directory, key->directory) ? h : NULL;
}

/* Room for one more: at the limit, of the one that was silent for the longest time. */
static struct heard *heard_add(struct quorum *q)
{
    struct heard *oldest = q->heard;

    if (q->heard_count < HEARD_MAX) {
        q->heard = must_realloc(q->heard, (q->heard_count + 1) * sizeof *q->heard);
        return &q->heard[q->heard_count++];
    }
    for (size_t i = 1; i < q->heard_count; i++)
        if (q->heard[i].at_ms < oldest->at_ms)
            oldest = &q->heard[i];
    return oldest;
}

void heard_note(struct quorum *q, const struct raft_key *key, const struct endpoint *at,
                int64_t end)
{
    struct heard *h = heard_node(q, key->node_id);

    if (h == NULL)
        h = heard_add(q);
    else if (uuid_equal(h->key.directory, key->directory))
        end = end > h->end ? end : h->end;
    h->key = *key;
    h->at = *at;
    h->at_ms = q->now.mono_ms;
    h->end = end;
}

/* ---- the set in the log --------------------------------------------------------------
 */

static bool may_change(const struct quorum *q)
{
    const struct voter_set *newest = voters_newest(&q->voters);

    return q->raft.role == RAFT_LEADER && q->raft.high_watermark > q->raft.epoch_start &&
           newest->offset < q->raft.high_watermark;
}

static bool endpoints_differ(const struct endpoint *a, const struct endpoint *b)
{
    return a->port != b->port || strcmp(a->host, b->host) != 0;
}

/* The newest set with what is known of its voters by now; true if that is more than the
 * log says. False also while a directory is unknown. */
static bool learn(const struct quorum *q, struct voter out[static RAFT_VOTERS_MAX])
{
    const struct voter_set *newest = voters_newest(&q->voters);
    const struct heard self = {.key = q->raft.self, .at = q->o.at};
    bool more = false;

    for (size_t i = 0; i < newest->count; i++) {
        struct voter *v = &out[i];
        const struct heard *h = &self;

        *v = newest->voters[i];
        if (v->node_id != q->o.node_id)
            h = heard_node(q, v->node_id);
        if (uuid_is_zero(v->directory)) {
            if (h == NULL)
                return false;
            v->directory = h->key.directory;
            more = true;
        }
        if (h != NULL && h->at.port != 0 && uuid_equal(h->key.directory, v->directory) &&
            endpoints_differ(&h->at, &v->at)) {
            v->at = h->at;
            more = true;
        }
    }
    return more;
}

void voters_write(struct quorum *q)
{
    struct voter set[RAFT_VOTERS_MAX];
    struct writer record;

    if (!may_change(q) || !learn(q, set))
        return;
    record = writer_growing();
    voters_pack(&record, set, voters_newest(&q->voters)->count);
    append_own(q, &record);
}

/* ---- an operator's wishes ------------------------------------------------------------
 */

struct alteration {
    struct proposal proposal;
    struct request *request;
    struct quorum *quorum;
    struct bytes record;
    Leat__AlterQuorumResponse answer;
};

static enum status refuse(struct change *c, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status refuse(struct change *c, enum status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->why, sizeof c->why, format, args);
    va_end(args);
    return status;
}

static enum status find_new_voter(const struct quorum *q, struct change *c,
                                  int32_t node_id, struct voter *out)
{
    const struct voter_set *newest = voters_newest(&q->voters);
    const struct image_broker *b = image_broker(q->o.image, node_id);
    const struct heard *h;

    for (size_t i = 0; i < newest->count; i++)
        if (newest->voters[i].node_id == node_id)
            return refuse(c, STATUS_VOTER_EXISTS,
                          b != NULL &&
                                  !uuid_equal(newest->voters[i].directory, b->directory)
                              ? "broker %d is a voter with another data directory; "
                                "remove it from the voters first"
                              : "broker %d is a voter already",
                          node_id);
    if (b == NULL)
        return refuse(c, STATUS_BROKER_UNKNOWN,
                      "broker %d has never registered; start it first", node_id);
    if (newest->count >= RAFT_VOTERS_MAX)
        return refuse(c, STATUS_TOO_MANY, "there can be %d voters at most",
                      RAFT_VOTERS_MAX);
    *out = (struct voter){node_id, b->directory, b->at};
    h = heard_find(q, &(struct raft_key){node_id, b->directory});
    if (h == NULL || h->end < log_end(quorum_log(q)) - CAUGHT_UP ||
        h->at_ms < q->now.mono_ms - 2 * q->o.times.fetch_timeout)
        return refuse(c, STATUS_INELIGIBLE_REPLICA,
                      "broker %d has not caught up with the metadata yet; is it up? try "
                      "again in a moment",
                      node_id);
    return STATUS_OK;
}

static enum status add_voter(const struct quorum *q, struct change *c, int32_t node_id,
                             struct voter set[static RAFT_VOTERS_MAX], size_t *count)
{
    const struct voter_set *newest = voters_newest(&q->voters);
    struct voter v;
    enum status st = find_new_voter(q, c, node_id, &v);

    if (st)
        return st;
    memcpy(set, newest->voters, newest->count * sizeof *set);
    set[newest->count] = v;
    *count = newest->count + 1;
    return STATUS_OK;
}

static enum status remove_voter(const struct quorum *q, struct change *c, int32_t node_id,
                                struct voter set[static RAFT_VOTERS_MAX], size_t *count)
{
    const struct voter_set *newest = voters_newest(&q->voters);

    *count = 0;
    for (size_t i = 0; i < newest->count; i++)
        if (newest->voters[i].node_id != node_id)
            set[(*count)++] = newest->voters[i];
    if (*count == newest->count)
        return refuse(c, STATUS_VOTER_NOT_FOUND, "broker %d is no voter", node_id);
    if (*count == 0)
        return refuse(c, STATUS_INVALID_REQUEST,
                      "broker %d is the last voter; add another one first", node_id);
    return STATUS_OK;
}

static bool is_alive(const struct quorum *q, const struct voter *v)
{
    const struct heard *h = heard_find(q, &(struct raft_key){v->node_id, v->directory});
    const struct image_broker *b = image_broker(q->o.image, v->node_id);

    /* It came back with another disk: what was heard of this one since came late. */
    if (b != NULL && !uuid_equal(b->directory, v->directory))
        return false;
    return (v->node_id == q->o.node_id && uuid_equal(v->directory, q->o.directory)) ||
           (h != NULL && h->at_ms >= q->now.mono_ms - 2 * q->o.times.fetch_timeout);
}

/* A set most of whose voters are gone could never be changed again. */
static enum status check_alive(const struct quorum *q, struct change *c,
                               const struct voter *set, size_t count)
{
    size_t alive = 0;

    for (size_t i = 0; i < count; i++)
        alive += is_alive(q, &set[i]);
    if (2 * alive > count)
        return STATUS_OK;
    return refuse(c, STATUS_INELIGIBLE_REPLICA,
                  "only %zu of the %zu voters that there would be are up; start the "
                  "others, or remove those first that are gone",
                  alive, count);
}

static enum status put_voters(struct alteration *a, struct change *c,
                              const struct voter *set, size_t count)
{
    struct writer record = writer_growing();
    void *copy = NULL;

    voters_pack(&record, set, count);
    if (!writer_status(&record))
        copy = arena_alloc(c->arena, record.len);
    if (copy != NULL) {
        memcpy(copy, record.data, record.len);
        a->record = (struct bytes){copy, record.len};
        c->records = &a->record;
        c->count = 1;
    }
    writer_release(&record);
    return copy != NULL ? STATUS_OK : STATUS_THROTTLED;
}

static enum status decide(struct proposal *p, struct change *c)
{
    struct alteration *a = container_of(p, struct alteration, proposal);
    const struct quorum *q = a->quorum;
    const Leat__AlterQuorumRequest *wish =
        ANSWER_AS(Leat__AlterQuorumRequest, a->request->header);
    struct voter set[RAFT_VOTERS_MAX];
    size_t count;
    enum status st;

    if (!may_change(q) || voters_are_configured(&q->voters))
        return refuse(c, STATUS_THROTTLED, "%s",
                      voters_are_configured(&q->voters)
                          ? "not all of the first controllers have been heard of yet; "
                            "start them first"
                          : "another change of the voters is under way; try again");
    st = wish->add != 0 ? add_voter(q, c, wish->add, set, &count)
                        : remove_voter(q, c, wish->remove, set, &count);
    if (!st)
        st = check_alive(q, c, set, count);
    return st ? st : put_voters(a, c, set, count);
}

static void on_decided(struct proposal *p, enum status status)
{
    struct alteration *a = container_of(p, struct alteration, proposal);

    if (status)
        request_refuse(a->request, status, "%s",
                       p->change.why[0] ? p->change.why : status_text(status));
    else
        request_answer(a->request, &a->answer.base);
}

void on_alter(struct quorum *q, struct request *r)
{
    const Leat__AlterQuorumRequest *wish = ANSWER_AS(Leat__AlterQuorumRequest, r->header);
    struct alteration *a = request_alloc(r, sizeof *a);

    if (a == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    if (wish->add < 0 || wish->remove < 0 || (wish->add != 0) == (wish->remove != 0)) {
        request_refuse(r, STATUS_INVALID_REQUEST,
                       "name one broker, either to be added or to be removed");
        return;
    }
    leat__alter_quorum_response__init(&a->answer);
    a->request = r;
    a->quorum = q;
    a->proposal.decide = decide;
    a->proposal.done = on_decided;
    a->proposal.change = change_of(&r->arena);
    quorum_propose(q, &a->proposal);
}

/* ---- describing ----------------------------------------------------------------------
 */

struct description {
    struct quorum *q;
    struct request *r;
    Leat__DescribeQuorumResponse answer;
    Leat__QuorumMember *members;
};

static void describe(struct description *d, const struct raft_key *key,
                     const struct endpoint *at, bool voter)
{
    const struct quorum *q = d->q;
    const struct heard *h = q->raft.role == RAFT_LEADER ? heard_find(q, key) : NULL;
    Leat__QuorumMember *m = &d->members[d->answer.n_members];
    bool self = key->node_id == q->o.node_id;

    leat__quorum_member__init(m);
    m->node_id = key->node_id;
    if (!uuid_is_zero(key->directory)) {
        m->directory_id.data = request_alloc(d->r, UUID_BYTES);
        m->directory_id.len = m->directory_id.data != NULL ? UUID_BYTES : 0;
        if (m->directory_id.data != NULL)
            memcpy(m->directory_id.data, key->directory.id, UUID_BYTES);
    }
    m->host = arena_text(&d->r->arena, at->host, strlen(at->host));
    if (m->host == NULL)
        m->host = (char *)(uintptr_t) "";
    m->port = at->port;
    m->voter = voter;
    m->log_end = self ? log_end(quorum_log(q)) : h != NULL ? h->end : -1;
    m->silent_ms = self ? 0 : h != NULL ? q->now.mono_ms - h->at_ms : -1;
    d->answer.members[d->answer.n_members++] = m;
}

/* Of a voter whose directory the log does not know, the one that fetches. */
static struct raft_key key_of(const struct quorum *q, const struct voter *v)
{
    struct raft_key key = {v->node_id, v->directory};
    const struct heard *h;

    if (!uuid_is_zero(v->directory))
        return key;
    if (v->node_id == q->o.node_id)
        return q->raft.self;
    h = q->raft.role == RAFT_LEADER ? heard_node(q, v->node_id) : NULL;
    return h != NULL ? h->key : key;
}

static void describe_members(struct description *d)
{
    const struct quorum *q = d->q;
    const struct voter_set *newest = voters_newest(&q->voters);

    for (size_t i = 0; i < newest->count; i++) {
        struct raft_key key = key_of(q, &newest->voters[i]);

        describe(d, &key, &newest->voters[i].at, true);
    }
    for (size_t i = 0; q->raft.role == RAFT_LEADER && i < q->heard_count; i++)
        if (voter_find(newest, q->heard[i].key) == NULL)
            describe(d, &q->heard[i].key, &q->heard[i].at, false);
}

void on_describe(struct quorum *q, struct request *r)
{
    size_t max = voters_newest(&q->voters)->count + q->heard_count;
    struct description *d = request_alloc(r, sizeof *d);
    struct endpoint at;

    if (d != NULL) {
        leat__describe_quorum_response__init(&d->answer);
        d->members = request_alloc(r, max * sizeof *d->members);
        d->answer.members = request_alloc(r, max * sizeof(void *));
    }
    if (d == NULL || d->members == NULL || d->answer.members == NULL) {
        request_refuse(r, STATUS_THROTTLED, NULL);
        return;
    }
    d->q = q;
    d->r = r;
    d->answer.leader_id = quorum_leader(q, &at);
    d->answer.epoch = q->raft.state.epoch;
    d->answer.high_watermark = q->raft.high_watermark;
    d->answer.log_start = log_start(quorum_log(q));
    d->answer.log_end = log_end(quorum_log(q));
    describe_members(d);
    request_answer(r, &d->answer.base);
}
