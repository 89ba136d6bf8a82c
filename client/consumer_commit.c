/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits: asked for by the program, by the clock, and before partitions are given up. */
#include "client/consumer.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is committed ---- */

static enum status offset_copy(struct commit *commit, const char *topic,
                               int32_t partition, int64_t offset, const char *metadata)
{
    leat_offset *o = &commit->offsets[commit->count];

    *o = (leat_offset){.partition = partition, .offset = offset};
    o->topic = arena_text(&commit->memory, topic, strlen(topic));
    if (!o->topic)
        return STATUS_NO_MEMORY;
    if (metadata) {
        o->metadata = arena_text(&commit->memory, metadata, strlen(metadata));
        if (!o->metadata)
            return STATUS_NO_MEMORY;
    }
    commit->count++;
    return STATUS_OK;
}

static enum status given_copy(struct commit *commit, const leat_offset *offsets,
                              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const leat_offset *o = &offsets[i];

        if (!o->topic || o->partition < 0 || o->offset < 0)
            return STATUS_INVALID_ARGUMENT;
        if (offset_copy(commit, o->topic, o->partition, o->offset, o->metadata))
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status done_copy(struct commit *commit, bool automatic, bool leaving)
{
    const struct map *shares = &commit->consumer->shares;
    struct share *s;

    for (size_t i = 0; (s = map_next(shares, &i));) {
        const int64_t offset = progress_to_commit(&s->progress, automatic);

        if (offset < 0 || (leaving && !s->leaving) || (automatic && !s->committed_known))
            continue;
        if (offset_copy(commit, s->source.topic->name, s->source.partition, offset, NULL))
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static void commit_ended(struct call *call, const struct answer *answer);

static enum status commit_alloc(leat_consumer *c, size_t most, struct commit **out)
{
    struct commit *commit = calloc(1, sizeof *commit);
    enum status st;

    if (!commit)
        return STATUS_NO_MEMORY;
    st = call_init(&commit->call, &c->client->cluster, commit_ended);
    if (st) {
        free(commit);
        return st;
    }
    commit->consumer = c;
    commit->member_epoch = -1;
    arena_init(&commit->memory, 0);
    TAILQ_INSERT_TAIL(&c->commits, commit, link);
    commit->offsets = arena_zalloc(&commit->memory, (most + 1) * sizeof *commit->offsets);
    if (!commit->offsets) {
        commit_free(commit);
        return STATUS_NO_MEMORY;
    }
    *out = commit;
    return STATUS_OK;
}

void commit_free(struct commit *commit)
{
    leat_consumer *c = commit->consumer;

    if (c->automatic == commit)
        c->automatic = NULL;
    TAILQ_REMOVE(&c->commits, commit, link);
    call_release(&commit->call);
    arena_release(&commit->memory);
    free(commit);
}

enum status commit_new(leat_consumer *c, const leat_offset *offsets, size_t count,
                       bool automatic, bool leaving, struct commit **out)
{
    struct commit *commit;
    enum status st;

    st = commit_alloc(c, offsets ? count : c->shares.count, &commit);
    if (st)
        return st;
    st = offsets ? given_copy(commit, offsets, count)
                 : done_copy(commit, automatic, leaving);
    if (st || commit->count == 0) {
        commit_free(commit);
        *out = NULL;
        return st;
    }
    *out = commit;
    return STATUS_OK;
}

/* ---- the request ---- */

static Leat__OffsetTopic *offset_topic(const struct commit *commit, const leat_offset *o,
                                       struct arena *arena)
{
    Leat__OffsetTopic *t = arena_alloc(arena, sizeof *t);
    Leat__OffsetPartition *p = arena_alloc(arena, sizeof *p);

    if (!t || !p)
        return NULL;
    leat__offset_topic__init(t);
    leat__offset_partition__init(p);
    t->name = (char *)o->topic;
    t->partitions = arena_alloc(arena, sizeof(void *));
    if (!t->partitions)
        return NULL;
    p->partition = o->partition;
    p->offset = o->offset;
    p->leader_epoch = -1;
    if (o->metadata)
        p->metadata = (char *)o->metadata;
    t->partitions[t->n_partitions++] = p;
    return t;
}

static enum status commit_send(struct commit *commit, int64_t deadline_ms)
{
    Leat__OffsetCommitRequest m = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    const struct membership *member = &commit->consumer->membership;
    struct arena arena;
    enum status st = STATUS_OK;

    arena_init(&arena, 0);
    m.group = (char *)conf_text(commit->consumer->conf, CONF_GROUP_ID);
    m.member_epoch = commit->member_epoch = member->epoch;
    if (member->epoch >= 0)
        m.member_id = (char *)member->member_id;
    m.topics = arena_alloc(&arena, commit->count * sizeof(void *));
    if (!m.topics)
        st = STATUS_NO_MEMORY;
    for (size_t i = 0; i < commit->count && !st; i++) {
        m.topics[m.n_topics] = offset_topic(commit, &commit->offsets[i], &arena);
        if (!m.topics[m.n_topics++])
            st = STATUS_NO_MEMORY;
    }
    commit->call.target = CALL_COORDINATOR;
    commit->call.group = m.group;
    commit->call.repeat = true; /* the same offset twice is the same offset */
    if (!st)
        st = call_start(&commit->call, RPC_OFFSET_COMMIT, &m.base, deadline_ms);
    arena_release(&arena);
    return st;
}

/* ---- the end ---- */

static void progress_follow(struct commit *commit, bool begin)
{
    for (size_t i = 0; i < commit->count; i++) {
        const leat_offset *o = &commit->offsets[i];
        struct share *s = consumer_share(commit->consumer, o->topic, o->partition);

        if (!s)
            continue;
        if (begin)
            progress_commit_begin(&s->progress, o->offset);
        else
            progress_commit_end(&s->progress, o->offset, o->code == 0);
    }
}

static void commit_finish(struct commit *commit, enum status status, const char *text)
{
    struct engine *e = consumer_engine(commit->consumer);

    for (size_t i = 0; status && i < commit->count; i++)
        commit->offsets[i].code = (int)status;
    for (size_t i = 0; !status && i < commit->count; i++)
        status = (enum status)commit->offsets[i].code;
    commit->code = (int)status;
    snprintf(commit->text, sizeof commit->text, "%s", text);
    commit->finished = true;
    progress_follow(commit, false);
    if (commit->done)
        commit->done(commit);
    else if (commit->fn)
        notice_post(e, &commit->consumer->committed);
    else if (!commit->awaited)
        commit_free(commit);
    engine_changed(e);
}

static void results_read(struct commit *commit, const Leat__OffsetCommitResponse *m)
{
    for (size_t i = 0; i < m->n_topics; i++) {
        const Leat__OffsetCommitTopicResult *t = m->topics[i];

        for (size_t k = 0; k < t->n_partitions; k++)
            for (size_t n = 0; n < commit->count; n++)
                if (commit->offsets[n].partition == t->partitions[k]->partition &&
                    strcmp(commit->offsets[n].topic, t->name) == 0)
                    commit->offsets[n].code = t->partitions[k]->error;
    }
}

/* The group may have given us a new epoch while the commit was under way with the old
 * one: then it is sent again. */
static bool overtaken(const struct commit *commit, enum status st)
{
    const struct membership *m = &commit->consumer->membership;

    return (st == STATUS_FENCED_MEMBER_EPOCH || st == STATUS_ILLEGAL_GENERATION) &&
           m->state == MEMBER_IN && m->epoch != commit->member_epoch;
}

static void commit_ended(struct call *call, const struct answer *answer)
{
    struct commit *commit = container_of(call, struct commit, call);
    enum status st = answer->status;

    if (!st)
        results_read(commit, (const Leat__OffsetCommitResponse *)answer->message);
    for (size_t i = 0; !st && i < commit->count; i++)
        st = (enum status)commit->offsets[i].code;
    if (overtaken(commit, st)) {
        for (size_t i = 0; i < commit->count; i++)
            commit->offsets[i].code = 0;
        if (!commit_send(commit, call->deadline_ms))
            return;
    }
    if (status_retry(st) == STATUS_RETRY_FATAL)
        membership_beat(&commit->consumer->membership);
    commit_finish(commit, answer->status, answer->text);
}

/* What could not even be sent must not end inside of the call that asked for it. */
void commit_start(struct commit *commit, int64_t deadline_ms)
{
    progress_follow(commit, true);
    if (commit_send(commit, deadline_ms))
        commit_finish(commit, STATUS_NO_MEMORY, "");
}

/* ---- telling the program ---- */

static struct commit *untold(const leat_consumer *c)
{
    struct commit *commit;

    TAILQ_FOREACH (commit, &c->commits, link)
        if (commit->finished && commit->fn)
            return commit;
    return NULL;
}

/* Lets go of the lock meanwhile. */
static void tell(leat_consumer *c, struct commit *commit)
{
    struct engine *e = consumer_engine(c);

    c->calling = true;
    c->caller = pthread_self();
    engine_unlock(e);
    commit->fn(commit->offsets, commit->count, commit->code, commit->arg);
    engine_lock(e);
    c->calling = false;
    commit_free(commit);
}

bool consumer_committed_notice(struct notice *n, int max, int *ran)
{
    leat_consumer *c = container_of(n, leat_consumer, committed);
    struct engine *e = consumer_engine(c);
    struct commit *commit;
    bool finished;

    engine_lock(e);
    for (int i = 0; i < max && (commit = untold(c)); i++) {
        tell(c, commit);
        ++*ran;
    }
    finished = !untold(c);
    engine_unlock(e);
    return finished;
}

void consumer_end_commits(leat_consumer *c)
{
    struct commit *commit;

    while ((commit = TAILQ_FIRST(&c->commits))) {
        if (!commit->finished)
            commit->code = LEAT_E_CLOSED;
        if (commit->fn)
            tell(c, commit);
        else
            commit_free(commit);
    }
}

/* ---- by the clock ---- */

bool consumer_commits_by_itself(const leat_consumer *c)
{
    return c->grouped && conf_number(c->conf, CONF_AUTO_COMMIT);
}

/* Nobody asked for it, so a failure is only told when it is not just a matter of time. */
static void automatic_done(struct commit *commit)
{
    if (commit->code && !status_is_retriable(commit->code) &&
        status_retry(commit->code) != STATUS_RETRY_FATAL)
        consumer_report(commit->consumer, (enum status)commit->code, commit->text,
                        "commit", conf_text(commit->consumer->conf, CONF_GROUP_ID));
    commit_free(commit);
}

void consumer_commit_timer(struct engine_timer *t)
{
    leat_consumer *c = container_of(t, leat_consumer, commit_timer);
    const bool member = c->topic_count == 0 || c->membership.state == MEMBER_IN;

    timer_set_at(consumer_engine(c), t,
                 engine_now_ms() + conf_number(c->conf, CONF_AUTO_COMMIT_INTERVAL));
    if (c->automatic || c->step != REBALANCE_NONE || !member || c->lost)
        return;
    if (commit_new(c, NULL, 0, true, false, &c->automatic) || !c->automatic)
        return;
    c->automatic->done = automatic_done;
    commit_start(c->automatic,
                 engine_now_ms() + conf_number(c->conf, CONF_REQUEST_TIMEOUT));
}

/* ---- by the program ---- */

static bool commit_is_finished(void *arg)
{
    const struct commit *commit = arg;

    return commit->finished;
}

static int commit_outcome(const struct commit *commit, leat_error *error)
{
    const char *group = conf_text(commit->consumer->conf, CONF_GROUP_ID);

    if (!commit->finished)
        return error_set(error, LEAT_E_TIMED_OUT, NULL, "commit %s", group);
    if (commit->code)
        return error_set(error, commit->code, commit->text, "commit %s", group);
    return error_clear(error);
}

/* A new commit for the program; with nothing to commit, OK and NULL. */
static int commit_ask(leat_consumer *c, const leat_offset *offsets, size_t count,
                      struct commit **out, leat_error *error)
{
    enum status st;

    if (!c->grouped)
        return error_set(error, LEAT_E_INVALID_ARGUMENT, "commits need a group.id",
                         "commit");
    if (c->lost)
        return error_set(error, LEAT_E_NOT_ASSIGNED, NULL, "commit");
    st = commit_new(c, count ? offsets : NULL, count, false, false, out);
    if (st)
        return error_set(error, (int)st, NULL, "commit");
    /* Between memberships we are nobody, and must not pass for an outsider. */
    if (*out && c->topic_count > 0 && c->membership.state != MEMBER_IN) {
        commit_free(*out);
        *out = NULL;
        return error_set(error, LEAT_E_NOT_ASSIGNED, NULL, "commit");
    }
    return error_clear(error);
}

int leat_consumer_commit(leat_consumer *c, const leat_offset *offsets, size_t count,
                         int timeout_ms, leat_error *error)
{
    const int64_t deadline_ms = engine_deadline(timeout_ms);
    struct commit *commit = NULL;
    int code = consumer_enter(c, error);

    if (code)
        return code;
    code = commit_ask(c, offsets, count, &commit, error);
    if (!code && commit) {
        commit->awaited = true;
        commit_start(commit, deadline_ms);
        engine_unlock(consumer_engine(c));
        engine_wait_for(consumer_engine(c), commit_is_finished, commit, deadline_ms);
        engine_lock(consumer_engine(c));
        code = commit_outcome(commit, error);
        if (!commit->finished) {
            call_cancel(&commit->call);
            commit->awaited = false;
            commit_finish(commit, STATUS_TIMED_OUT, "");
        } else {
            commit_free(commit);
        }
    }
    consumer_exit(c);
    return code;
}

static void nothing_committed(const leat_offset *offsets, size_t count, int code,
                              void *arg)
{
}

int leat_consumer_commit_async(leat_consumer *c, const leat_offset *offsets, size_t count,
                               leat_commit_fn *committed, void *arg)
{
    struct commit *commit = NULL;
    int code = consumer_enter(c, NULL);

    if (code)
        return code;
    code = commit_ask(c, offsets, count, &commit, NULL);
    /* With nothing to commit the callback still runs, so an empty one is made. */
    if (!code && !commit)
        code = (int)commit_alloc(c, 0, &commit);
    if (!code) {
        commit->fn = committed ? committed : nothing_committed;
        commit->arg = arg;
        if (commit->count > 0)
            commit_start(commit,
                         engine_now_ms() + conf_number(c->conf, CONF_REQUEST_TIMEOUT));
        else
            commit_finish(commit, STATUS_OK, "");
    }
    consumer_exit(c);
    return code;
}
