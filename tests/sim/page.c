/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/page.h"

#include "proto/base/check.h"

#include <inttypes.h>

static void step_later(struct page *g, moment in)
{
    struct world *w = g->client->town->world;

    world_set(w, &g->step, w->now + in);
}

/* The offset may be one of a topic that had this name before. */
static bool may_be_misled(const struct page *g)
{
    return g->is_told && oracle_may_go(g->client->town->oracle, g->topic);
}

static void begin_anew(struct page *g)
{
    g->offset = 0;
    g->epoch = 0;
    g->is_told = false;
}

static void take(struct page *g, const Leat__FetchResult *r, struct bytes data)
{
    struct town *t = g->client->town;
    struct batch b;

    if (r->diverging_epoch != 0 && may_be_misled(g)) {
        begin_anew(g);
        return;
    }
    if (r->diverging_epoch != 0)
        oracle_violation(t->oracle, "S9",
                         "t%d/%d: what a consumer read up to %" PRId64 " (epoch %d) is "
                         "not in the log: the same up to %" PRId64 " of epoch %d",
                         g->topic, (int)g->partition, g->offset, (int)g->epoch,
                         r->diverging_end, (int)r->diverging_epoch);
    if (data.len > 0)
        oracle_consumed(t->oracle, g->id, g->partition, g->offset, data);
    for (; data.len > 0; data = (struct bytes){data.data + b.size, data.len - b.size}) {
        CHECK(!batch_parse(data, &b));
        g->offset = batch_next_offset(&b);
        g->epoch = b.leader_epoch;
        g->is_told = false;
    }
}

static enum status take_answer(struct page *g, const struct ask *a)
{
    struct arena arena;
    const Leat__FetchResponse *r = answer_unpack(a, &arena);
    enum status st = STATUS_PROTOCOL;

    if (r->n_topics == 1 && r->topics[0]->n_partitions == 1) {
        const Leat__FetchResult *result = r->topics[0]->partitions[0];

        st = (enum status)result->error;
        if (!st)
            take(g, result, a->payload);
        /* Trimmed: the oracle knows whether that was wanted. */
        if (st == STATUS_OFFSET_OUT_OF_RANGE && g->offset < result->log_start)
            g->offset = result->log_start;
        else if (st == STATUS_OFFSET_OUT_OF_RANGE && may_be_misled(g))
            begin_anew(g);
        else if (st == STATUS_OFFSET_OUT_OF_RANGE)
            oracle_violation(g->client->town->oracle, "S9",
                             "t%d/%d: %" PRId64 ", up to where a consumer has read, is "
                             "out of range (log from %" PRId64 ", watermark %" PRId64 ")",
                             g->topic, (int)g->partition, g->offset, result->log_start,
                             result->high_watermark);
    }
    arena_release(&arena);
    return st;
}

static void on_fetched(struct ask *a)
{
    struct page *g = container_of(a, struct page, ask);
    struct client *c = g->client;
    enum status st = a->status ? a->status : take_answer(g, a);

    g->last = st;
    if (st)
        client_refresh(c);
    step_later(g, st ? chance_range(&c->random, 5, 200) * MILLISECOND : client_think(c));
}

static void fetch(struct page *g, int from)
{
    struct client *c = g->client;
    Leat__FetchRequest q = LEAT__FETCH_REQUEST__INIT;
    Leat__FetchTopic t = LEAT__FETCH_TOPIC__INIT, *topics[] = {&t};
    Leat__FetchPartition p = LEAT__FETCH_PARTITION__INIT, *parts[] = {&p};
    char name[8];

    topic_name(g->topic, name);
    q.max_wait_ms = (int32_t)chance_range(&c->random, 0, 500);
    q.min_bytes = 1;
    q.max_bytes = 65536;
    q.topics = topics;
    q.n_topics = 1;
    t.name = name;
    t.topic_id = (ProtobufCBinaryData){UUID_BYTES, g->id.id};
    t.partitions = parts;
    t.n_partitions = 1;
    p.partition = g->partition;
    p.offset = g->offset;
    p.max_bytes = (uint32_t)chance_log(&c->random, 64, 65536);
    p.last_epoch = g->epoch;
    p.leader_epoch = c->topics[g->topic].epoch[g->partition];
    g->ask.api = RPC_FETCH;
    g->ask.timeout_ms = q.max_wait_ms + 1000;
    g->ask.done = on_fetched;
    net_ask(c->town->net, c->party, from, (unsigned)g->partition, &g->ask, &q.base,
            (struct bytes){0});
}

static void on_step(struct event *e)
{
    struct page *g = container_of(e, struct page, step);
    struct client *c = g->client;
    int leader = client_leader(c, g->topic, g->partition);

    if (leader < 0) {
        if (!c->topics[g->topic].known || g->partition < c->topics[g->topic].count)
            client_refresh(c);
        step_later(g, 200 * MILLISECOND);
        return;
    }
    if (!uuid_equal(g->id, c->topics[g->topic].id)) {
        g->id = c->topics[g->topic].id;
        g->offset = 0;
        g->epoch = 0;
    }
    /* A leader of an epoch before what was read is not the leader any more. */
    if (c->topics[g->topic].epoch[g->partition] < g->epoch && may_be_misled(g))
        begin_anew(g);
    if (c->topics[g->topic].epoch[g->partition] < g->epoch) {
        client_refresh(c);
        step_later(g, 100 * MILLISECOND);
        return;
    }
    fetch(g, leader);
}

void page_init(struct page *g, struct client *c, int topic, int32_t partition)
{
    *g = (struct page){.client = c, .topic = topic, .partition = partition};
    g->step.run = on_step;
}

void page_begin(struct page *g)
{
    step_later(g, client_think(g->client));
}

void page_begin_at(struct page *g, int64_t offset, int32_t epoch)
{
    CHECK(g->client->topics[g->topic].known);
    g->id = g->client->topics[g->topic].id;
    g->offset = offset;
    g->epoch = epoch;
    g->is_told = true;
    step_later(g, 0);
}

void page_end(struct page *g)
{
    struct town *t = g->client->town;

    world_unset(t->world, &g->step);
    net_forget(t->net, &g->ask);
}
