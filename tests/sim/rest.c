/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/rest.h"

#include "broker/core/node_state.h"
#include "broker/core/quorum/quorum.h"

#include <inttypes.h>

/* Each second, from each shard to each broker; requests that one broker has at a time
 * from each party: a few long polls and heartbeats. */
enum { QUESTIONS_MAX = 20, REQUESTS_MAX = 8 };

static const struct quorum *quorum_of(const struct sim_broker *b)
{
    return b->shards[0].node->quorum;
}

static int32_t leader_of(const struct quorum *q)
{
    struct endpoint at;

    return quorum_leader(q, &at);
}

/* A broker that has just come back may not know the newest epoch yet. */
void rest_begin(struct rest *t, uint64_t questions)
{
    t->epoch = t->leader = -1;
    for (int64_t i = 0; i < t->swarm->brokers; i++) {
        const struct quorum *q = quorum_of(&t->brokers[i]);

        if (quorum_epoch(q) > t->epoch)
            t->leader = -1;
        if (quorum_epoch(q) >= t->epoch && leader_of(q) >= 0)
            t->leader = leader_of(q);
        if (quorum_epoch(q) > t->epoch)
            t->epoch = quorum_epoch(q);
    }
    t->questions = questions;
}

static void judge_leader(const struct rest *t)
{
    for (int64_t i = 0; i < t->swarm->brokers; i++) {
        const struct quorum *q = quorum_of(&t->brokers[i]);

        if (quorum_epoch(q) != t->epoch || leader_of(q) != t->leader)
            oracle_violation(t->oracle, "L1",
                             "%d leads the quorum in epoch %d, and %d seconds later, by "
                             "broker %d, %d in epoch %d",
                             (int)t->leader, (int)t->epoch, REST_SECONDS, (int)i + 1,
                             (int)leader_of(q), (int)quorum_epoch(q));
    }
}

static void judge_talk(const struct rest *t, uint64_t questions)
{
    const uint64_t asked = questions - t->questions;
    const int64_t most = t->swarm->brokers * t->swarm->brokers * t->swarm->shards *
                         QUESTIONS_MAX * REST_SECONDS;

    if ((int64_t)asked > most)
        oracle_violation(t->oracle, "L5",
                         "brokers ask each other %" PRIu64
                         " questions in %d idle seconds",
                         asked, REST_SECONDS);
}

static void judge_shard(const struct rest *t, const struct sim_broker *b, unsigned shard)
{
    const struct node *n = b->shards[shard].node;
    const uint64_t budget = (uint64_t)config_number(b->config, CONFIG_HOT_BYTES);
    struct store_stats stats;

    store_stats(node_store(n), &stats);
    if (stats.journal.hot_bytes > budget + JOURNAL_BUFFER)
        oracle_violation(t->oracle, "S18",
                         "broker %d holds %" PRIu64 " bytes of %" PRIu64 " at rest",
                         b->number + 1, stats.journal.hot_bytes, budget);
    if (metric_get(b->shards[shard].metrics, METRIC_PRODUCES_WAITING) > 0)
        oracle_violation(t->oracle, "S18", "broker %d has waiting produces at rest",
                         b->number + 1);
}

static void judge_holdings(const struct rest *t)
{
    const int64_t parties = t->swarm->brokers + t->swarm->producers + t->swarm->careless +
                            t->swarm->readers + t->swarm->keepers + t->swarm->members + 1;

    for (int64_t i = 0; i < t->swarm->brokers; i++) {
        const struct sim_broker *b = &t->brokers[i];

        for (int64_t shard = 0; shard < t->swarm->shards; shard++)
            judge_shard(t, b, (unsigned)shard);
        if (b->in_server > parties * REQUESTS_MAX)
            oracle_violation(t->oracle, "S18", "broker %d has %u requests at rest",
                             b->number + 1, b->in_server);
    }
}

void rest_judge(const struct rest *t, uint64_t questions)
{
    judge_leader(t);
    judge_talk(t, questions);
    judge_holdings(t);
}
