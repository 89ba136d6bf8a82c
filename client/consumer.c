/* SPDX-License-Identifier: Apache-2.0 */
#include "client/consumer.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_AGAIN_MS = 5000 };

struct engine *consumer_engine(const leat_consumer *c)
{
    return &c->client->engine;
}

/* ---- who is inside ---- */

bool consumer_is_calling(const leat_consumer *c)
{
    return c->calling && pthread_equal(c->caller, pthread_self());
}

int consumer_enter(leat_consumer *c, leat_error *error)
{
    int code = client_check(c->client, error);

    if (code)
        return code;
    engine_lock(consumer_engine(c));
    if (c->depth > 0 && !pthread_equal(c->owner, pthread_self()) &&
        !consumer_is_calling(c)) {
        engine_unlock(consumer_engine(c));
        return error_set(error, LEAT_E_BAD_STATE, "another thread is using this consumer",
                         "consumer");
    }
    if (c->depth++ == 0)
        c->owner = pthread_self();
    return LEAT_OK;
}

void consumer_exit(leat_consumer *c)
{
    c->depth--;
    engine_unlock(consumer_engine(c));
}

/* ---- what the next poll reports ---- */

void consumer_report(leat_consumer *c, enum status status, const char *text,
                     const char *where, const char *what)
{
    const int64_t now_ms = engine_now_ms();

    if (c->failed ||
        (c->reported_code == (int)status && now_ms < c->reported_ms + REPORT_AGAIN_MS))
        return;
    error_set(&c->error, (int)status, text, "%s%s%s", where, *what ? " " : "", what);
    /* A membership may be over; the consumer goes on with another one. */
    if (c->error.fatal)
        c->error.retriable = true;
    c->error.fatal = false;
    c->failed = true;
    c->reported_code = (int)status;
    c->reported_ms = now_ms;
    notice_post(consumer_engine(c), &c->arrived);
    engine_changed(consumer_engine(c));
}

/* ---- shares ---- */

enum { SHARE_KEY_MAX = TOPIC_NAME_MAX + 1 + sizeof(int32_t) };

/* The topic's name, a NUL, the partition. Empty for what can be no topic's name. */
static struct bytes share_key(const char *topic, int32_t partition,
                              uint8_t out[static SHARE_KEY_MAX])
{
    const size_t len = topic ? strnlen(topic, TOPIC_NAME_MAX + 1) : 0;

    if (len == 0 || len > TOPIC_NAME_MAX)
        return (struct bytes){0};
    memcpy(out, topic, len);
    out[len] = 0;
    store_u32(out + len + 1, (uint32_t)partition);
    return (struct bytes){out, len + 1 + sizeof(int32_t)};
}

static bool share_is(const struct share *s, const char *topic, int32_t partition)
{
    return s->source.partition == partition && strcmp(s->source.topic->name, topic) == 0;
}

struct share *consumer_share(const leat_consumer *c, const char *topic, int32_t partition)
{
    uint8_t key[SHARE_KEY_MAX];

    if (c->out && topic && share_is(c->out, topic, partition))
        return c->out;
    return map_get(&c->shares, share_key(topic, partition, key));
}

struct share *consumer_add(leat_consumer *c, const char *topic, int32_t partition)
{
    struct topic *known = cluster_topic(&c->client->cluster, topic);
    uint8_t key_bytes[SHARE_KEY_MAX];
    const struct bytes key = share_key(topic, partition, key_bytes);
    struct share *s;

    if (!known || key.len == 0)
        return NULL;
    s = calloc(1, sizeof *s + key.len);
    if (!s)
        return NULL;
    memcpy(s->key_bytes, key.data, key.len);
    s->key = (struct bytes){s->key_bytes, key.len};
    if (!map_put(&c->shares, s->key, s)) {
        free(s);
        return NULL;
    }
    progress_start(&s->progress, -1, -1);
    s->stage = SHARE_ARRIVED;
    fetcher_add(&c->fetcher, &s->source, known, partition);
    return s;
}

void consumer_remove(leat_consumer *c, struct share *s)
{
    if (c->out == s) {
        c->out = NULL;
        c->out_since_ms = 0;
    }
    map_remove(&c->shares, s->key);
    fetcher_remove(&c->fetcher, &s->source);
    free(s);
}

static void read_failed(struct fetcher *f, struct source *source, enum status why)
{
    leat_consumer *c = container_of(f, leat_consumer, fetcher);
    struct share *s = container_of(source, struct share, source);

    if (why == STATUS_OFFSET_OUT_OF_RANGE)
        share_reset(c, s);
    else if (why == STATUS_UNKNOWN_TOPIC_OR_PARTITION || why == STATUS_NO_MEMORY ||
             why == STATUS_CORRUPT_MESSAGE || !status_is_retriable(why))
        consumer_report(c, why, NULL, "read", source->topic->name);
}

/* ---- life ---- */

static void close_attached(struct attachment *a, int timeout_ms)
{
    leat_consumer_close(container_of(a, leat_consumer, attachment), timeout_ms);
}

static enum status timers_init(leat_consumer *c)
{
    struct engine *e = consumer_engine(c);
    enum status st;

    st = timer_init(e, &c->idle_timer, consumer_idle_timer);
    if (st)
        return st;
    st = timer_init(e, &c->commit_timer, consumer_commit_timer);
    if (st)
        goto fail_idle;
    st = timer_init(e, &c->lookup_timer, consumer_lookup_timer);
    if (st)
        goto fail_commit;
    return STATUS_OK;

fail_commit:
    timer_release(e, &c->commit_timer);
fail_idle:
    timer_release(e, &c->idle_timer);
    return st;
}

static void timers_release(leat_consumer *c)
{
    struct engine *e = consumer_engine(c);

    timer_release(e, &c->idle_timer);
    timer_release(e, &c->commit_timer);
    timer_release(e, &c->lookup_timer);
}

static void parts_init(leat_consumer *c)
{
    c->attachment.close = close_attached;
    map_init(&c->shares);
    TAILQ_INIT(&c->commits);
    TAILQ_INIT(&c->lookups);
    atomic_init(&c->woken, false);
    notice_init(&c->rebalance, consumer_rebalance);
    notice_init(&c->arrived, consumer_arrived_notice);
    notice_init(&c->committed, consumer_committed_notice);
    task_init(&c->lookup_task, consumer_lookup_task);
    c->listener.changed = consumer_metadata;
    c->grouped = conf_text(c->conf, CONF_GROUP_ID)[0] != 0;
}

/* With the lock held. */
static enum status consumer_init(leat_consumer *c)
{
    struct cluster *cluster = &c->client->cluster;
    enum status st;

    parts_init(c);
    st = timers_init(c);
    if (st)
        return st;
    st = membership_init(&c->membership, cluster, c->conf, &c->client->random);
    if (st)
        goto fail_timers;
    st = fetcher_init(&c->fetcher, cluster, c->conf);
    if (st)
        goto fail_membership;
    consumer_membership(c);
    c->fetcher.arrived = consumer_arrived;
    c->fetcher.failed = read_failed;
    cluster_listen(cluster, &c->listener);
    client_attach(c->client, &c->attachment);
    if (consumer_commits_by_itself(c))
        timer_set_at(consumer_engine(c), &c->commit_timer,
                     engine_now_ms() + conf_number(c->conf, CONF_AUTO_COMMIT_INTERVAL));
    return STATUS_OK;

fail_membership:
    membership_release(&c->membership);
fail_timers:
    timers_release(c);
    return st;
}

leat_consumer *leat_consumer_open(leat_client *client, const leat_conf *conf,
                                  leat_error *error)
{
    leat_consumer *c;
    enum status st = STATUS_NO_MEMORY;

    if (client_check(client, error))
        return NULL;
    c = calloc(1, sizeof *c);
    if (!c)
        goto fail;
    c->client = client;
    c->conf = conf_copy(conf ? conf : client->conf);
    if (!c->conf)
        goto fail_consumer;
    engine_lock(&client->engine);
    st = consumer_init(c);
    engine_unlock(&client->engine);
    if (st)
        goto fail_conf;
    error_clear(error);
    return c;

fail_conf:
    leat_conf_free(c->conf);
fail_consumer:
    free(c);
fail:
    error_set(error, (int)st, NULL, "open consumer");
    return NULL;
}

void leat_consumer_on_rebalance(leat_consumer *c, leat_rebalance_fn *fn, void *arg)
{
    if (consumer_enter(c, NULL))
        return;
    c->on_rebalance = fn;
    c->on_rebalance_arg = arg;
    consumer_exit(c);
}

/* ---- close ---- */

static bool commit_is_finished(void *arg)
{
    const struct commit *commit = arg;

    return commit->finished;
}

static bool member_is_out(void *arg)
{
    const leat_consumer *c = arg;

    return c->membership.state == MEMBER_OUT;
}

/* What the program has done, for the last time. Lets go of the lock meanwhile. */
static int close_commit(leat_consumer *c, int64_t deadline_ms)
{
    struct engine *e = consumer_engine(c);
    struct commit *commit = NULL;
    int code;

    if (!consumer_commits_by_itself(c) || c->lost ||
        (c->topic_count > 0 && c->membership.state != MEMBER_IN))
        return LEAT_OK;
    if (commit_new(c, NULL, 0, true, false, &commit))
        return LEAT_E_NO_MEMORY;
    if (!commit)
        return LEAT_OK;
    commit->awaited = true;
    commit_start(commit, deadline_ms);
    engine_unlock(e);
    engine_wait_for(e, commit_is_finished, commit, deadline_ms);
    engine_lock(e);
    code = commit->finished ? commit->code : LEAT_E_TIMED_OUT;
    commit_free(commit);
    return code;
}

static int close_membership(leat_consumer *c, int64_t deadline_ms)
{
    struct engine *e = consumer_engine(c);
    bool out;

    if (c->membership.state == MEMBER_OUT)
        return LEAT_OK;
    membership_leave(&c->membership);
    engine_unlock(e);
    out = engine_wait_for(e, member_is_out, c, deadline_ms);
    engine_lock(e);
    return out ? LEAT_OK : LEAT_E_TIMED_OUT;
}

void consumer_forget_topics(leat_consumer *c)
{
    for (size_t i = 0; i < c->topic_count; i++)
        free(c->topics[i]);
    free(c->topics);
    c->topics = NULL;
    c->topic_count = 0;
}

void consumer_remove_all(leat_consumer *c)
{
    struct share *s;

    for (size_t i = 0; (s = map_next(&c->shares, &i));)
        consumer_remove(c, s);
}

/* First whatever could wake us again, then what was woken. Lets go of the lock. */
static void consumer_free(leat_consumer *c)
{
    struct engine *e = consumer_engine(c);
    struct commit *commit;

    membership_release(&c->membership);
    cluster_unlisten(&c->client->cluster, &c->listener);
    consumer_remove_all(c);
    lookup_cancel_all(c);
    timers_release(c);
    TAILQ_FOREACH (commit, &c->commits, link)
        call_cancel(&commit->call);
    client_detach(c->client, &c->attachment);
    task_cancel(e, &c->lookup_task);
    notice_cancel(e, &c->rebalance);
    notice_cancel(e, &c->arrived);
    notice_cancel(e, &c->committed);
    consumer_end_commits(c);
    consumer_drop_current(c);
    engine_unlock(e);
    fetcher_release(&c->fetcher);
    map_release(&c->shares);
    consumer_forget_topics(c);
    leat_conf_free(c->conf);
    free(c);
}

int leat_consumer_close(leat_consumer *c, int timeout_ms)
{
    const int64_t deadline_ms = engine_deadline(timeout_ms);
    int code, left;

    if (!c)
        return LEAT_OK;
    code = consumer_enter(c, NULL);
    if (code == LEAT_E_FORKED) {
        /* The connections are the parent's and its lock may be held for ever. */
        return code;
    }
    if (code)
        return code;
    if (c->depth > 1 || consumer_is_calling(c)) {
        consumer_exit(c);
        return LEAT_E_BAD_STATE;
    }
    c->closing = true;
    code = close_commit(c, deadline_ms);
    if (c->lost)
        (void)!consumer_tell(c, LEAT_LOST);
    else if (c->membership.state == MEMBER_IN) {
        consumer_leave_all(c);
        if (!consumer_tell(c, LEAT_REVOKED) && !code)
            code = close_commit(c, deadline_ms);
    }
    left = close_membership(c, deadline_ms);
    consumer_free(c);
    return code ? code : left;
}
