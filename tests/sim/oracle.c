/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/oracle_inner.h"

#include "broker/core/quorum/quorum_inner.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 4 << 20 };

struct cold_read {
    struct log_read read;
    struct oracle *oracle;
    struct sim_partition *partition;
    struct sim_broker *broker;
    unsigned life;
};

void oracle_violation(struct oracle *o, const char *id, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    o->violated(o->ctx, id, text);
}

struct sim_partition *oracle_partition(struct oracle *o, struct uuid topic,
                                       int32_t number)
{
    struct log_id id = {.partition = number};
    struct sim_partition *p;

    memcpy(id.topic, topic.id, sizeof id.topic);
    p = map_get(&o->partitions, (struct bytes){(uint8_t *)&id, sizeof id});
    if (p != NULL)
        return p;
    p = must_zalloc(sizeof *p);
    p->id = id;
    p->leader = -1;
    p->topic = -1;
    p->claims = must_zalloc(sizeof *p->claims * EPOCHS_MAX);
    CHECK(map_put(&o->partitions, (struct bytes){(uint8_t *)&p->id, sizeof p->id}, p));
    return p;
}

struct oracle *oracle_new(struct world *w, const struct swarm *s,
                          struct sim_broker *brokers,
                          void (*violated)(void *ctx, const char *id, const char *text),
                          void *ctx)
{
    struct oracle *o = must_zalloc(sizeof *o);
    struct uuid metadata;

    o->world = w;
    o->swarm = s;
    o->brokers = brokers;
    o->violated = violated;
    o->ctx = ctx;
    map_init(&o->partitions);
    o->ballots = ballots_new(o);
    memcpy(metadata.id, metadata_log_id.topic, sizeof metadata.id);
    o->metadata = oracle_partition(o, metadata, metadata_log_id.partition);
    o->metadata->is_metadata = true;
    return o;
}

const char *oracle_name(const struct sim_partition *p)
{
    static char text[24];

    snprintf(text, sizeof text, "%02x%02x%02x/%d", p->id.topic[0], p->id.topic[1],
             p->id.topic[15], (int)p->id.partition);
    return text;
}

/* That logs match is S13 for the metadata, S3 and S4 for partitions. */
static const char *law(const struct sim_partition *p, const char *id)
{
    return p->is_metadata ? "S13" : id;
}

/* ---- what the metadata says ----------------------------------------------------------
 */

static size_t copy_set(int32_t to[static REPLICAS_MAX], const int32_t *from, size_t n)
{
    for (size_t i = 0; i < n && i < REPLICAS_MAX; i++)
        to[i] = from[i];
    return n < REPLICAS_MAX ? n : REPLICAS_MAX;
}

static void check_sets(struct oracle *o, const struct sim_partition *p)
{
    bool led = p->leader < 0;

    for (size_t i = 0; i < p->in_sync_count; i++) {
        led |= p->in_sync[i] == p->leader;
        if (!image_has(p->members, p->member_count, p->in_sync[i]))
            oracle_violation(o, "S8", "%s: broker %d is in sync and no replica",
                             oracle_name(p), (int)p->in_sync[i]);
        if (image_has(p->eligible, p->eligible_count, p->in_sync[i]))
            oracle_violation(o, "S8", "%s: broker %d is in sync and eligible",
                             oracle_name(p), (int)p->in_sync[i]);
    }
    if (!led)
        oracle_violation(o, "S8", "%s: the leader %d is not in sync", oracle_name(p),
                         (int)p->leader);
}

/* Nobody is let into the set whom the controller has fenced (KIP-841). */
static void check_joining(struct oracle *o, const struct sim_partition *p,
                          const struct image_partition *news, const struct image *image)
{
    for (size_t i = 0; i < news->in_sync_count; i++) {
        const struct image_broker *b = image_broker(image, news->in_sync[i]);

        if (!image_has(p->in_sync, p->in_sync_count, news->in_sync[i]) &&
            news->in_sync_count > 1 && b != NULL && b->state == BROKER_FENCED)
            oracle_violation(o, "S8", "%s: broker %d joins the set and is fenced",
                             oracle_name(p), (int)news->in_sync[i]);
    }
}

/* Who may lead next has all that was ever committed: on its disk, or on the one that was
 * taken away when nobody could know yet. */
static void check_complete(struct oracle *o, const struct sim_partition *p)
{
    const int64_t end = history_end(&p->committed);

    for (size_t i = 0; i < p->in_sync_count + p->eligible_count; i++) {
        int32_t r =
            i < p->in_sync_count ? p->in_sync[i] : p->eligible[i - p->in_sync_count];

        if (p->replicas[r - 1].durable < end && !p->replicas[r - 1].wiped)
            oracle_violation(
                o, "S7",
                "%s: %s broker %d has %" PRId64 " on disk, but %" PRId64 " are committed",
                oracle_name(p), i < p->in_sync_count ? "in-sync" : "eligible", (int)r,
                p->replicas[r - 1].durable, end);
    }
}

static void learn(struct oracle *o, struct sim_partition *p,
                  const struct image_partition *news, const struct image *image,
                  int64_t min_in_sync)
{
    if (news->partition_epoch <= p->partition_epoch && p->member_count > 0)
        return;
    if (p->member_count > 0 && news->leader_epoch < p->leader_epoch)
        oracle_violation(o, "S5", "%s: leader epoch %d after %d", oracle_name(p),
                         (int)news->leader_epoch, (int)p->leader_epoch);
    if (p->member_count > 0 && news->leader != p->leader)
        o->leader_changes++;
    if (p->member_count > 0)
        check_joining(o, p, news, image);
    if ((int64_t)news->in_sync_count >= min_in_sync && news->eligible_count > 0)
        oracle_violation(o, "S8", "%s: enough are in sync, and still %zu are eligible",
                         oracle_name(p), news->eligible_count);
    p->partition_epoch = news->partition_epoch;
    p->leader = news->leader;
    p->leader_epoch = news->leader_epoch;
    p->recovering = news->recovering;
    p->min_in_sync = min_in_sync;
    p->in_sync_count = copy_set(p->in_sync, news->in_sync, news->in_sync_count);
    p->eligible_count = copy_set(p->eligible, news->eligible, news->eligible_count);
    p->member_count = copy_set(p->members, news->replicas, news->replica_count);
    check_sets(o, p);
    if (!p->recovering)
        check_complete(o, p);
}

/* ---- replicas ------------------------------------------------------------------------
 */

/* Everything below a presumed leader's watermark is on the disks of all that the metadata
 * calls in sync, and of those that may be elected without being so (KIP-966). */
static void check_strong(struct oracle *o, const struct sim_partition *p, int broker,
                         int64_t watermark)
{
    for (size_t i = 0; i < p->in_sync_count + p->eligible_count; i++) {
        int32_t r =
            i < p->in_sync_count ? p->in_sync[i] : p->eligible[i - p->in_sync_count];

        if (p->replicas[r - 1].durable < watermark && !p->replicas[r - 1].wiped)
            oracle_violation(o, "S7",
                             "%s: broker %d's watermark is %" PRId64
                             ", but %s broker %d has %" PRId64 " on disk",
                             oracle_name(p), broker + 1, watermark,
                             i < p->in_sync_count ? "in-sync" : "eligible", (int)r,
                             p->replicas[r - 1].durable);
    }
}

static void claim_epoch(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                        int32_t epoch)
{
    struct claim *c;

    if (epoch <= 0 || epoch >= EPOCHS_MAX)
        return;
    c = &p->claims[epoch];
    if (c->broker == 0)
        *c = (struct claim){b->number + 1, b->lives};
    if (c->broker != b->number + 1 || c->life != b->lives)
        oracle_violation(o, "S5",
                         "%s: broker %d (life %u) appends in epoch %d, as broker %d "
                         "(life %u) did",
                         oracle_name(p), b->number + 1, b->lives, (int)epoch, c->broker,
                         c->life);
}

static void add_batch(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                      const struct batch *batch)
{
    struct replica *r = &p->replicas[b->number];
    const struct entry e = entry_of(batch);
    const struct entry *before;

    if (e.base != history_end(&r->log) && r->log.count > 0)
        oracle_violation(o, law(p, "S4"),
                         "%s: on broker %d a batch at %" PRId64 " follows %" PRId64,
                         oracle_name(p), b->number + 1, e.base, history_end(&r->log));
    history_add(&r->log, &e);
    before = seen_put(&p->seen, &e);
    if (before != NULL && !entry_same(before, &e))
        oracle_violation(o, law(p, "S4"),
                         "%s: two different batches at offset %" PRId64
                         ", epoch %d; one is on broker %d",
                         oracle_name(p), e.base, (int)e.epoch, b->number + 1);
    if (before == NULL && r->role == ROLE_LEADER && e.epoch == r->epoch)
        claim_epoch(o, p, b, e.epoch);
}

static void add_batches(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                        struct bytes data)
{
    struct batch batch;

    while (data.len > 0) {
        if (batch_parse(data, &batch) || !batch_checksum_ok(&batch, data)) {
            oracle_violation(o, "S16", "%s: broker %d reads a damaged batch",
                             oracle_name(p), b->number + 1);
            return;
        }
        if (batch.base_offset >= history_end(&p->replicas[b->number].log) ||
            p->replicas[b->number].log.count == 0)
            add_batch(o, p, b, &batch);
        data = (struct bytes){data.data + batch.size, data.len - batch.size};
    }
}

static void add_read(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                     struct log_read *read)
{
    for (size_t i = 0; !read->status && i < read->slice_count; i++)
        add_batches(o, p, b, (struct bytes){read->slices[i].data, read->slices[i].len});
    log_read_release(read);
}

static void on_cold(struct log_read *read)
{
    struct cold_read *c = container_of(read, struct cold_read, read);
    struct replica *r = &c->partition->replicas[c->broker->number];

    r->reading = NULL;
    if (c->life == c->broker->lives && read->from == history_end(&r->log))
        add_read(c->oracle, c->partition, c->broker, read);
    else
        log_read_release(read);
    free(c);
}

/* Bring our copy of the log up to date. A log that starts earlier than it did was begun
 * anew, and what we know is of another. */
static void follow_log(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                       struct log *log)
{
    struct replica *r = &p->replicas[b->number];
    struct cold_read *c;

    history_cut(&r->log, log_end(log));
    if (history_end(&r->log) < log_start(log) || log_start(log) < r->start)
        history_begin(&r->log, log_start(log));
    while (r->reading == NULL && history_end(&r->log) < log_end(log)) {
        struct log_read read = {.from = history_end(&r->log),
                                .upto = log_end(log),
                                .max_bytes = READ_BYTES,
                                .first_whole = true};
        int64_t before = history_end(&r->log);

        if (log_read_hot(log, &read)) {
            add_read(o, p, b, &read);
            if (history_end(&r->log) == before)
                return;
            continue;
        }
        c = r->reading = must_zalloc(sizeof *c);
        *c = (struct cold_read){.read = read, .oracle = o, .partition = p, .broker = b};
        c->life = b->lives;
        c->read.done = on_cold;
        log_read_cold(log, &c->read);
    }
}

static int64_t trimmed_to(const struct oracle *o, const struct sim_partition *p)
{
    return p->topic < 0 ? 0 : o->trimmed[p->topic][p->id.partition];
}

/* What this replica calls committed is, or becomes, the one history. */
static void compare(struct oracle *o, struct sim_partition *p, struct sim_broker *b)
{
    struct replica *r = &p->replicas[b->number];
    const struct entry *e;

    while (r->compared < r->watermark) {
        int64_t end = history_end(&p->committed);

        if (r->compared < r->log.start)
            r->compared = r->log.start; /* before it everything was trimmed */
        if (r->compared < r->start)
            r->compared = r->start; /* and what was not known to differ with it */
        e = history_at(&r->log, r->compared);
        if (e == NULL)
            return; /* not read yet, or given up */
        /* A leader that knows no more than what was trimmed says so, within a batch. */
        if (e->next > r->watermark && r->watermark <= trimmed_to(o, p))
            return;
        if (e->next > r->watermark)
            oracle_violation(o, "S6",
                             "%s: broker %d's watermark %" PRId64 " splits a batch",
                             oracle_name(p), b->number + 1, r->watermark);
        if (e->base < end) {
            const struct entry *canon = history_at(&p->committed, e->base);

            if (canon != NULL && (!entry_same(canon, e) || canon->epoch != e->epoch))
                oracle_violation(o, law(p, "S3"),
                                 "%s: broker %d has committed another batch at %" PRId64
                                 " (epoch %d, there epoch %d)",
                                 oracle_name(p), b->number + 1, e->base, (int)e->epoch,
                                 (int)canon->epoch);
        } else {
            if (p->committed.count > 0 && e->base != end)
                oracle_violation(o, law(p, "S3"),
                                 "%s: committed records jump from %" PRId64
                                 " to %" PRId64,
                                 oracle_name(p), end, e->base);
            history_add(&p->committed, e);
            if (!sequences_follow(&p->sequences, e, trimmed_to(o, p)))
                oracle_violation(o, "S11",
                                 "%s: producer %" PRId64 " sequence %d at offset %" PRId64
                                 " is a duplicate or leaves a gap",
                                 oracle_name(p), e->producer, (int)e->sequence, e->base);
        }
        r->compared = e->next;
    }
}

/* The metadata counts on its copy. */
static bool must_hold(const struct sim_partition *p, int32_t broker)
{
    return image_has(p->in_sync, p->in_sync_count, broker) ||
           image_has(p->eligible, p->eligible_count, broker);
}

static void watch(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                  struct log *log, enum role role, int32_t epoch, int64_t watermark)
{
    struct replica *r = &p->replicas[b->number];

    /* Only leaders promise; a log may go and come anew before the turn is over. */
    if (o->amid && (role != ROLE_LEADER || r->life != b->lives))
        return;
    if (r->life == b->lives && r->reading == NULL && r->compared >= r->watermark &&
        log_end(log) == r->end && log_durable(log) == r->durable &&
        watermark == r->watermark && role == r->role && epoch == r->epoch &&
        (o->amid || watermark == r->judged))
        return;
    if (r->life == b->lives && watermark < r->watermark && !p->recovering &&
        must_hold(p, b->number + 1))
        oracle_violation(
            o, "S6", "%s: broker %d's watermark goes from %" PRId64 " back to %" PRId64,
            oracle_name(p), b->number + 1, r->watermark, watermark);
    if (r->life != 0 && r->life != b->lives && log_end(log) < r->durable &&
        must_hold(p, b->number + 1))
        oracle_violation(o, "S1",
                         "%s: broker %d comes back with %" PRId64
                         " records, but had %" PRId64 " on disk",
                         oracle_name(p), b->number + 1, log_end(log), r->durable);
    if (watermark > log_durable(log))
        oracle_violation(
            o, "S6", "%s: broker %d's watermark %" PRId64 " is above its disk's %" PRId64,
            oracle_name(p), b->number + 1, watermark, log_durable(log));
    if (log_end(log) < r->watermark && r->life == b->lives && !p->recovering &&
        must_hold(p, b->number + 1))
        oracle_violation(o, "S15",
                         "%s: broker %d cuts its log at %" PRId64
                         ", below its watermark %" PRId64,
                         oracle_name(p), b->number + 1, log_end(log), r->watermark);
    if (p->topic >= 0 && log_start(log) > o->trimmed[p->topic][p->id.partition])
        oracle_violation(o, "S15",
                         "%s: broker %d's log begins at %" PRId64
                         ", but only what is before %" PRId64 " was to go",
                         oracle_name(p), b->number + 1, log_start(log),
                         o->trimmed[p->topic][p->id.partition]);
    r->life = b->lives;
    r->role = role;
    r->epoch = epoch;
    follow_log(o, p, b, log);
    r->start = log_start(log);
    r->end = log_end(log);
    r->durable = log_durable(log);
    r->watermark = watermark;
    if (r->compared > r->watermark)
        r->compared = r->watermark;
    compare(o, p, b);
    if (o->amid)
        return;
    if (watermark > r->judged && role == ROLE_LEADER)
        check_strong(o, p, b->number, watermark);
    r->judged = watermark;
}

static void forget_replica(struct replica *r)
{
    bool wiped = r->wiped;

    history_release(&r->log);
    *r = (struct replica){.wiped = wiped};
}

/* A leader of the quorum moved its watermark, or began to lead: then it must have all
 * that was ever committed (Raft's leader completeness). */
static void judge_leader(struct oracle *o, const struct sim_broker *b, int64_t before,
                         int64_t end_before)
{
    const struct quorum *q = b->shards[0].node->quorum;
    const struct sim_partition *p = o->metadata;
    const struct history *log = &p->replicas[b->number].log;
    const int64_t committed = history_end(&p->committed);
    const int64_t watermark = quorum_high_watermark(q);
    struct metadata_replica all[BROKERS_MAX];
    const struct entry *e = history_at(&p->committed, committed - 1);

    /* One that was overtaken by a later epoch may not know it yet. */
    if (history_end(log) < committed && e != NULL && e->epoch <= quorum_epoch(q))
        oracle_violation(o, "S13",
                         "broker %d leads quorum epoch %d with metadata up to %" PRId64
                         ", but %" PRId64 " is committed",
                         b->number + 1, (int)quorum_epoch(q), history_end(log),
                         committed);
    e = history_at(log, watermark - 1);
    if (watermark <= before || e == NULL)
        return;
    for (int i = 0; i < BROKERS_MAX; i++)
        all[i] = (struct metadata_replica){p->replicas[i].durable, p->replicas[i].wiped};
    ballots_committed(o->ballots, b, e->epoch, end_before, all);
}

static void look_at_quorum(struct oracle *o, struct sim_broker *b)
{
    const struct quorum *q = b->shards[0].node->quorum;
    struct replica *r = &o->metadata->replicas[b->number];
    const int64_t before = r->watermark, end_before = r->end;
    const bool leads = q->raft.role == RAFT_LEADER;

    if (is_installing(q) || q->failed)
        return;
    watch(o, o->metadata, b, quorum_log(q), leads ? ROLE_LEADER : ROLE_FOLLOWER,
          quorum_epoch(q), quorum_high_watermark(q) > 0 ? quorum_high_watermark(q) : 0);
    if (leads && history_end(&r->log) == log_end(quorum_log(q))) /* all of it was read */
        judge_leader(o, b, before, end_before);
    ballots_turned(o->ballots, b);
}

/* Once a new disk is known to the metadata, nobody may count on what the old one had. */
static void look_at_brokers(struct oracle *o, const struct image *image)
{
    struct sim_partition *p;
    struct uuid topic;

    for (int b = 0; b < (int)o->swarm->brokers; b++) {
        const struct image_broker *ib = image_broker(image, b + 1);

        if (!o->wiped[b] || ib == NULL ||
            !uuid_equal(ib->directory, o->brokers[b].directory))
            continue;
        o->wiped[b] = false;
        for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
            const bool wiped = p->replicas[b].wiped;

            memcpy(topic.id, p->id.topic, sizeof topic.id);
            p->replicas[b].wiped = false;
            if (wiped && image_topic_by_id(image, topic) != NULL)
                check_complete(o, p);
        }
    }
}

static void look_at(struct oracle *o, struct sim_broker *b, struct node *n, bool learned)
{
    const struct image *image = node_image(n);
    struct topic *topic;

    for (size_t i = 0; (topic = map_next(&image->by_id, &i)) != NULL;)
        for (int32_t j = 0; j < topic->partition_count; j++) {
            const struct image_partition *ip = &topic->partitions[j];
            struct partition *local = ip->local;
            struct sim_partition *p;

            if (!learned && local == NULL)
                continue;
            p = oracle_partition(o, topic->id, j);
            if (p->topic < 0 && topic->name[0] == 't')
                p->topic = topic->name[1] - '0';
            if (learned)
                learn(o, p, ip, image,
                      topic_config_get(&topic->config, &n->o.config->topic_defaults,
                                       TOPIC_KEY_MIN_INSYNC_REPLICAS));
            if (local == NULL && learned &&
                !image_has(ip->replicas, ip->replica_count, b->number + 1))
                forget_replica(&p->replicas[b->number]);
            if (local != NULL && local->log != NULL)
                watch(o, p, b, local->log, local->role, local->leader_epoch,
                      local->high_watermark);
        }
}

void oracle_turned(struct oracle *o, struct sim_broker *b)
{
    for (int64_t i = 0; i < o->swarm->shards; i++) {
        struct node *n = b->shards[i].node;
        bool learned = node_image(n)->applied != o->looked[b->number][i];

        o->looked[b->number][i] = node_image(n)->applied;
        look_at(o, b, n, learned);
        if (learned)
            look_at_brokers(o, node_image(n));
    }
    look_at_quorum(o, b);
}

void oracle_promises(struct oracle *o, struct sim_broker *b)
{
    o->amid = true;
    for (int64_t i = 0; i < o->swarm->shards; i++)
        look_at(o, b, b->shards[i].node, false);
    o->amid = false;
}

/* A new process knows less of what is committed. What its log had that was not on disk
 * may be gone, and what was cut off before may be back in its place. */
void oracle_started(struct oracle *o, struct sim_broker *b)
{
    struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        struct replica *r = &p->replicas[b->number];

        history_cut(&r->log, r->durable);
        r->watermark = r->judged = 0;
        r->reading = NULL;
        r->role = ROLE_NONE;
    }
    for (int i = 0; i < SIM_SHARDS; i++)
        o->looked[b->number][i] = -1;
    ballots_started(o->ballots, b);
    oracle_turned(o, b);
}

void oracle_wiped(struct oracle *o, struct sim_broker *b)
{
    struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        forget_replica(&p->replicas[b->number]);
        p->replicas[b->number].wiped = true;
    }
    o->wiped[b->number] = true;
}

void oracle_voted(struct oracle *o, struct sim_broker *b, const struct request *r)
{
    ballots_voted(o->ballots, b, r);
}
