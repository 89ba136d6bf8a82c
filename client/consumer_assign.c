/* SPDX-License-Identifier: Apache-2.0
 *
 * What a consumer reads: subscription and assignment, and questions about and moves
 * within single partitions. */
#include "client/consumer.h"

#include <stdlib.h>
#include <string.h>

/* ---- subscription and assignment ---- */

/* The end of whatever was read before: what is done goes to the group, the membership
 * ends, the shares go. */
static void start_anew(leat_consumer *c)
{
    const bool member = c->membership.state == MEMBER_IN && !c->lost;
    struct commit *commit = NULL;

    if (consumer_commits_by_itself(c) && (member || c->topic_count == 0) &&
        !commit_new(c, NULL, 0, true, false, &commit) && commit)
        commit_start(commit,
                     engine_now_ms() + conf_number(c->conf, CONF_REQUEST_TIMEOUT));
    if (c->membership.state != MEMBER_OUT)
        membership_leave(&c->membership);
    lookup_cancel_all(c);
    consumer_remove_all(c);
    consumer_drop_current(c);
    consumer_forget_topics(c);
    c->lost = false;
    c->step = REBALANCE_NONE;
}

static bool topic_is_plausible(const char *topic)
{
    return topic && topic[0] && strnlen(topic, TOPIC_NAME_MAX + 1) <= TOPIC_NAME_MAX;
}

static enum status topics_copy(leat_consumer *c, const char *const *topics, size_t count)
{
    c->topics = calloc(count, sizeof *c->topics);
    if (!c->topics)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        c->topics[i] = strdup(topics[i]);
        if (!c->topics[i] || !cluster_topic(&c->client->cluster, topics[i])) {
            c->topic_count = i + 1;
            consumer_forget_topics(c);
            return STATUS_NO_MEMORY;
        }
        c->topic_count = i + 1;
    }
    return STATUS_OK;
}

int leat_consumer_subscribe(leat_consumer *c, const char *const *topics, size_t count,
                            leat_error *error)
{
    int code = consumer_enter(c, error);

    if (code)
        return code;
    if (!c->grouped)
        code = error_set(error, LEAT_E_INVALID_ARGUMENT,
                         "a subscription needs a group.id", "subscribe");
    else if (count == 0)
        code = error_set(error, LEAT_E_INVALID_ARGUMENT, "no topics", "subscribe");
    for (size_t i = 0; i < count && !code; i++)
        if (!topic_is_plausible(topics[i]))
            code = error_set(error, LEAT_E_INVALID_TOPIC, NULL, "subscribe");
    if (!code) {
        start_anew(c);
        if (topics_copy(c, topics, count))
            code = error_set(error, LEAT_E_NO_MEMORY, NULL, "subscribe");
    }
    if (!code) {
        membership_join(&c->membership, (const char *const *)c->topics, c->topic_count);
        task_queue(consumer_engine(c), &c->lookup_task);
        error_clear(error);
    }
    consumer_exit(c);
    return code;
}

static int assign_one(leat_consumer *c, const leat_offset *o, leat_error *error)
{
    struct share *s;

    if (consumer_share(c, o->topic, o->partition))
        return error_set(error, LEAT_E_INVALID_ARGUMENT, "a partition is named twice",
                         "assign %s/%d", o->topic, (int)o->partition);
    s = consumer_add(c, o->topic, o->partition);
    if (!s)
        return error_set(error, LEAT_E_NO_MEMORY, NULL, "assign %s", o->topic);
    share_begin(c, s, o->offset);
    return LEAT_OK;
}

static bool offset_is_plausible(int64_t offset)
{
    return offset >= 0 || offset == LEAT_OFFSET_EARLIEST ||
           offset == LEAT_OFFSET_LATEST || offset == LEAT_OFFSET_COMMITTED;
}

int leat_consumer_assign(leat_consumer *c, const leat_offset *partitions, size_t count,
                         leat_error *error)
{
    int code = consumer_enter(c, error);

    if (code)
        return code;
    for (size_t i = 0; i < count && !code; i++)
        if (!topic_is_plausible(partitions[i].topic) || partitions[i].partition < 0 ||
            !offset_is_plausible(partitions[i].offset))
            code = error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "assign");
    if (!code)
        start_anew(c);
    for (size_t i = 0; i < count && !code; i++)
        code = assign_one(c, &partitions[i], error);
    if (!code)
        error_clear(error);
    else
        consumer_remove_all(c);
    consumer_exit(c);
    return code;
}

/* ---- single partitions ---- */

int leat_consumer_seek(leat_consumer *c, const char *topic, int32_t partition,
                       int64_t offset, leat_error *error)
{
    struct share *s;
    int code = consumer_enter(c, error);

    if (code)
        return code;
    s = consumer_share(c, topic, partition);
    if (!offset_is_plausible(offset))
        code = error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "seek");
    else if (!s || s->leaving)
        code = error_set(error, LEAT_E_NOT_ASSIGNED, NULL, "seek %s/%d",
                         topic ? topic : "", (int)partition);
    else
        share_begin(c, s, offset);
    if (!code)
        error_clear(error);
    consumer_exit(c);
    return code;
}

int leat_consumer_pause(leat_consumer *c, const char *topic, int32_t partition,
                        bool paused)
{
    struct share *s;
    int code = consumer_enter(c, NULL);

    if (code)
        return code;
    s = consumer_share(c, topic, partition);
    if (!s || s->leaving) {
        code = LEAT_E_NOT_ASSIGNED;
    } else if (s->source.paused != paused) {
        s->source.paused = paused;
        if (s->stage == SHARE_READING)
            fetcher_seek(&c->fetcher, &s->source, s->progress.position);
    }
    consumer_exit(c);
    return code;
}

int leat_consumer_position(leat_consumer *c, const char *topic, int32_t partition,
                           int64_t *offset)
{
    const struct share *s;
    int code = consumer_enter(c, NULL);

    if (code)
        return code;
    s = consumer_share(c, topic, partition);
    if (!s)
        code = LEAT_E_NOT_ASSIGNED;
    else if (s->progress.position < 0)
        code = LEAT_E_AGAIN;
    else
        *offset = s->progress.position;
    consumer_exit(c);
    return code;
}

int leat_consumer_lag(leat_consumer *c, const char *topic, int32_t partition,
                      int64_t *lag)
{
    const struct share *s;
    int code = consumer_enter(c, NULL);

    if (code)
        return code;
    s = consumer_share(c, topic, partition);
    if (!s)
        code = LEAT_E_NOT_ASSIGNED;
    else if (s->progress.position < 0 || s->source.high_watermark < 0)
        code = LEAT_E_AGAIN;
    else
        *lag = s->source.high_watermark > s->progress.position
                   ? s->source.high_watermark - s->progress.position
                   : 0;
    consumer_exit(c);
    return code;
}

size_t leat_consumer_assignment(leat_consumer *c, leat_offset *out, size_t max)
{
    struct share *s;
    size_t n = 0;

    if (consumer_enter(c, NULL))
        return 0;
    for (size_t i = 0; (s = map_next(&c->shares, &i)); n++)
        if (n < max)
            out[n] = (leat_offset){
                .topic = s->source.topic->name,
                .partition = s->source.partition,
                .offset = s->progress.position >= 0 ? s->progress.position
                                                    : LEAT_OFFSET_COMMITTED,
            };
    consumer_exit(c);
    return n;
}
