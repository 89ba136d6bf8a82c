/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/oracle.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "tests/sim/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCHS_MAX = 4096, REPLICAS_MAX = 8, READ_BYTES = 4 << 20 };

/* A partition's replica, as its broker last showed it. It outlives the process. */
struct replica {
    struct history log;
    int64_t durable, end, watermark;
    int64_t compared; /* with the committed history, up to here */
    int64_t judged;   /* as a leader's: it was on all disks that count, up to here */
    int32_t epoch;
    enum role role;
    unsigned life;
    struct cold_read *reading;
    bool wiped; /* and the metadata does not know it yet */
};

struct sim_partition {
    struct log_id id;
    int topic; /* t<n>; -1: another one */
    bool removed;
    struct history committed;
    struct seen seen;
    struct sequences sequences;
    struct replica replicas[BROKERS_MAX];
    struct claim {
        int broker; /* number + 1; 0: nobody yet */
        unsigned life;
    } * claims; /* who appended in which leader epoch */
    /* What the newest metadata says. */
    int32_t partition_epoch, leader, leader_epoch;
    int32_t in_sync[REPLICAS_MAX], eligible[REPLICAS_MAX], members[REPLICAS_MAX];
    size_t in_sync_count, eligible_count, member_count;
    int64_t min_in_sync;
    bool recovering;
};

struct promise {
    struct sim_partition *partition;
    int64_t base;
    struct batch sent;
};

struct oracle {
    struct world *world;
    const struct swarm *swarm;
    struct sim_broker *brokers;
    void (*violated)(void *ctx, const char *id, const char *text);
    void *ctx;
    struct map partitions;                   /* struct sim_partition by id */
    int64_t looked[BROKERS_MAX][SIM_SHARDS]; /* applied metadata */
    struct promise *promises;
    bool may_go[10];         /* topics that somebody wanted removed */
    bool wiped[BROKERS_MAX]; /* the metadata does not know its new disk yet */
    bool amid;               /* a turn */
    size_t promise_count, promise_capacity;
    uint64_t acked, leader_changes;
};

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

struct oracle *oracle_new(struct world *w, const struct swarm *s,
                          struct sim_broker *brokers,
                          void (*violated)(void *ctx, const char *id, const char *text),
                          void *ctx)
{
    struct oracle *o = must_zalloc(sizeof *o);

    o->world = w;
    o->swarm = s;
    o->brokers = brokers;
    o->violated = violated;
    o->ctx = ctx;
    map_init(&o->partitions);
    return o;
}

static struct sim_partition *partition_of(struct oracle *o, struct uuid topic,
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

static const char *name(const struct sim_partition *p)
{
    static char text[24];

    snprintf(text, sizeof text, "%02x%02x%02x/%d", p->id.topic[0], p->id.topic[1],
             p->id.topic[15], (int)p->id.partition);
    return text;
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
            oracle_violation(o, "S8", "%s: broker %d is in sync and no replica", name(p),
                             (int)p->in_sync[i]);
        if (image_has(p->eligible, p->eligible_count, p->in_sync[i]))
            oracle_violation(o, "S8", "%s: broker %d is in sync and eligible", name(p),
                             (int)p->in_sync[i]);
    }
    if (!led)
        oracle_violation(o, "S8", "%s: the leader %d is not in sync", name(p),
                         (int)p->leader);
}

static void learn(struct oracle *o, struct sim_partition *p,
                  const struct image_partition *news, int64_t min_in_sync)
{
    if (news->partition_epoch <= p->partition_epoch && p->member_count > 0)
        return;
    if (p->member_count > 0 && news->leader_epoch < p->leader_epoch)
        oracle_violation(o, "S5", "%s: leader epoch %d after %d", name(p),
                         (int)news->leader_epoch, (int)p->leader_epoch);
    if (p->member_count > 0 && news->leader != p->leader)
        o->leader_changes++;
    p->partition_epoch = news->partition_epoch;
    p->leader = news->leader;
    p->leader_epoch = news->leader_epoch;
    p->recovering = news->recovering;
    p->min_in_sync = min_in_sync;
    p->in_sync_count = copy_set(p->in_sync, news->in_sync, news->in_sync_count);
    p->eligible_count = copy_set(p->eligible, news->eligible, news->eligible_count);
    p->member_count = copy_set(p->members, news->replicas, news->replica_count);
    check_sets(o, p);
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
                             name(p), broker + 1, watermark,
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
                         name(p), b->number + 1, b->lives, (int)epoch, c->broker,
                         c->life);
}

static void add_batch(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                      const struct batch *batch)
{
    struct replica *r = &p->replicas[b->number];
    const struct entry e = entry_of(batch);
    const struct entry *before;

    if (e.base != history_end(&r->log) && r->log.count > 0)
        oracle_violation(o, "S4",
                         "%s: on broker %d a batch at %" PRId64 " follows %" PRId64,
                         name(p), b->number + 1, e.base, history_end(&r->log));
    history_add(&r->log, &e);
    before = seen_put(&p->seen, &e);
    if (before != NULL && !entry_same(before, &e))
        oracle_violation(o, "S4",
                         "%s: two different batches at offset %" PRId64
                         ", epoch %d; one is on broker %d",
                         name(p), e.base, (int)e.epoch, b->number + 1);
    if (before == NULL && r->role == ROLE_LEADER && e.epoch == r->epoch)
        claim_epoch(o, p, b, e.epoch);
}

static void add_batches(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                        struct bytes data)
{
    struct batch batch;

    while (data.len > 0) {
        if (batch_parse(data, &batch) || !batch_checksum_ok(&batch, data)) {
            oracle_violation(o, "S16", "%s: broker %d reads a damaged batch", name(p),
                             b->number + 1);
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

/* Bring our copy of the log up to date. */
static void follow_log(struct oracle *o, struct sim_partition *p, struct sim_broker *b,
                       struct log *log)
{
    struct replica *r = &p->replicas[b->number];
    struct cold_read *c;

    history_cut(&r->log, log_end(log));
    if (history_end(&r->log) < log_start(log))
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

/* What this replica calls committed is, or becomes, the one history. */
static void compare(struct oracle *o, struct sim_partition *p, struct sim_broker *b)
{
    struct replica *r = &p->replicas[b->number];
    const struct entry *e;

    while (r->compared < r->watermark) {
        int64_t end = history_end(&p->committed);

        e = history_at(&r->log, r->compared);
        if (e == NULL)
            return; /* not read yet, or given up */
        if (e->next > r->watermark)
            oracle_violation(o, "S6",
                             "%s: broker %d's watermark %" PRId64 " splits a batch",
                             name(p), b->number + 1, r->watermark);
        if (e->base < end) {
            const struct entry *canon = history_at(&p->committed, e->base);

            if (canon != NULL && (!entry_same(canon, e) || canon->epoch != e->epoch))
                oracle_violation(o, "S3",
                                 "%s: broker %d has committed another batch at %" PRId64
                                 " (epoch %d, there epoch %d)",
                                 name(p), b->number + 1, e->base, (int)e->epoch,
                                 (int)canon->epoch);
        } else {
            if (p->committed.count > 0 && e->base != end)
                oracle_violation(
                    o, "S3", "%s: committed records jump from %" PRId64 " to %" PRId64,
                    name(p), end, e->base);
            history_add(&p->committed, e);
            if (!sequences_follow(&p->sequences, e))
                oracle_violation(o, "S11",
                                 "%s: producer %" PRId64 " sequence %d at offset %" PRId64
                                 " is a duplicate or leaves a gap",
                                 name(p), e->producer, (int)e->sequence, e->base);
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

    if (r->life == b->lives && r->reading == NULL && log_end(log) == r->end &&
        log_durable(log) == r->durable && watermark == r->watermark && role == r->role &&
        epoch == r->epoch && (o->amid || watermark == r->judged))
        return;
    if (r->life == b->lives && watermark < r->watermark && !p->recovering &&
        must_hold(p, b->number + 1))
        oracle_violation(
            o, "S6", "%s: broker %d's watermark goes from %" PRId64 " back to %" PRId64,
            name(p), b->number + 1, r->watermark, watermark);
    if (r->life != 0 && r->life != b->lives && log_end(log) < r->durable &&
        must_hold(p, b->number + 1))
        oracle_violation(o, "S1",
                         "%s: broker %d comes back with %" PRId64
                         " records, but had %" PRId64 " on disk",
                         name(p), b->number + 1, log_end(log), r->durable);
    if (watermark > log_durable(log))
        oracle_violation(
            o, "S6", "%s: broker %d's watermark %" PRId64 " is above its disk's %" PRId64,
            name(p), b->number + 1, watermark, log_durable(log));
    if (log_end(log) < r->watermark && r->life == b->lives && !p->recovering &&
        must_hold(p, b->number + 1))
        oracle_violation(o, "S15",
                         "%s: broker %d cuts its log at %" PRId64
                         ", below its watermark %" PRId64,
                         name(p), b->number + 1, log_end(log), r->watermark);
    r->life = b->lives;
    r->role = role;
    r->epoch = epoch;
    follow_log(o, p, b, log);
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

/* Once a new disk is known to the metadata, nobody may count on what the old one had. */
static void look_at_brokers(struct oracle *o, const struct image *image)
{
    struct sim_partition *p;

    for (int b = 0; b < (int)o->swarm->brokers; b++) {
        const struct image_broker *ib = image_broker(image, b + 1);

        if (!o->wiped[b] || ib == NULL ||
            !uuid_equal(ib->directory, o->brokers[b].directory))
            continue;
        o->wiped[b] = false;
        for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;)
            p->replicas[b].wiped = false;
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
            p = partition_of(o, topic->id, j);
            if (p->topic < 0 && topic->name[0] == 't')
                p->topic = topic->name[1] - '0';
            if (learned)
                learn(o, p, ip,
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
}

void oracle_promises(struct oracle *o, struct sim_broker *b)
{
    o->amid = true;
    for (int64_t i = 0; i < o->swarm->shards; i++)
        look_at(o, b, b->shards[i].node, false);
    o->amid = false;
}

/* A new process knows less of what is committed. */
void oracle_started(struct oracle *o, struct sim_broker *b)
{
    struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        struct replica *r = &p->replicas[b->number];

        r->watermark = r->judged = 0;
        r->reading = NULL;
        r->role = ROLE_NONE;
    }
    for (int i = 0; i < SIM_SHARDS; i++)
        o->looked[b->number][i] = -1;
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

/* ---- what clients are told -----------------------------------------------------------
 */

static void remember(struct oracle *o, struct sim_partition *p, int64_t base,
                     const struct batch *sent)
{
    if (o->promise_count == o->promise_capacity) {
        o->promise_capacity = o->promise_capacity ? o->promise_capacity * 2 : 256;
        o->promises =
            must_realloc(o->promises, o->promise_capacity * sizeof *o->promises);
    }
    o->promises[o->promise_count++] = (struct promise){p, base, *sent};
}

/* Our own copy is behind: what we do not know of may be committed all the same. */
static bool is_reading(const struct sim_partition *p)
{
    for (int i = 0; i < BROKERS_MAX; i++)
        if (p->replicas[i].reading != NULL)
            return true;
    return false;
}

void oracle_acked(struct oracle *o, struct uuid topic, int32_t partition, int64_t base,
                  const struct batch *sent, bool all)
{
    struct sim_partition *p = partition_of(o, topic, partition);
    const struct entry *e = history_at(&p->committed, base);
    int64_t copies = 0;

    o->acked += (uint64_t)sent->count;
    if (!all || p->removed)
        return;
    if ((e == NULL || e->base != base || e->crc != sent->crc) && !is_reading(p))
        oracle_violation(o, e != NULL && sent->producer_id >= 0 ? "S12" : "S1",
                         "%s: acknowledged at %" PRId64
                         ", but what is committed there is %s (committed up to %" PRId64
                         ")",
                         name(p), base, e == NULL ? "nothing" : "another batch",
                         history_end(&p->committed));
    for (int i = 0; i < BROKERS_MAX; i++)
        copies += p->replicas[i].durable > base || p->replicas[i].wiped;
    for (size_t i = 0; i < p->in_sync_count; i++)
        if (p->replicas[p->in_sync[i] - 1].durable < base + sent->count &&
            !p->replicas[p->in_sync[i] - 1].wiped)
            oracle_violation(o, "S1",
                             "%s: %" PRId64 " is acknowledged and not on the "
                             "disk of broker %d, which is in sync",
                             name(p), base, (int)p->in_sync[i]);
    if (copies < p->min_in_sync && copies < (int64_t)p->member_count)
        oracle_violation(o, "S1",
                         "%s: %" PRId64 " is acknowledged and on %" PRId64 " disks only",
                         name(p), base, copies);
    remember(o, p, base, sent);
}

void oracle_consumed(struct oracle *o, struct uuid topic, int32_t partition, int64_t from,
                     struct bytes data)
{
    struct sim_partition *p = partition_of(o, topic, partition);
    struct batch b;
    int64_t next = -1;

    while (data.len > 0) {
        const struct entry *e;
        struct entry got;

        if (batch_parse(data, &b) || !batch_checksum_ok(&b, data)) {
            oracle_violation(o, "S16", "%s: a consumer got a damaged batch", name(p));
            return;
        }
        got = entry_of(&b);
        e = history_at(&p->committed, got.base);
        if ((e == NULL || !entry_same(e, &got)) && !is_reading(p) && !p->removed)
            oracle_violation(o, "S9",
                             "%s: a consumer got a batch at %" PRId64
                             " that is not committed",
                             name(p), got.base);
        if (next < 0 ? got.base > from || got.next <= from : got.base != next)
            oracle_violation(o, "S9",
                             "%s: a consumer that asked for %" PRId64 " got %" PRId64
                             "..%" PRId64 " after %" PRId64,
                             name(p), from, got.base, got.next, next);
        next = got.next;
        data = (struct bytes){data.data + b.size, data.len - b.size};
    }
}

int64_t oracle_committed(struct oracle *o, struct uuid topic, int32_t partition)
{
    return history_end(&partition_of(o, topic, partition)->committed);
}

void oracle_topic_removed(struct oracle *o, int topic)
{
    struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;)
        if (p->topic == topic)
            p->removed = true;
    o->may_go[topic] = true;
    note(o->world, 0, "topic may go", topic, 0, 0);
}

bool oracle_may_go(const struct oracle *o, int topic)
{
    return o->may_go[topic];
}

/* ---- the end -------------------------------------------------------------------------
 */

static const struct image *newest_image(const struct oracle *o)
{
    const struct image *best = NULL;

    for (int64_t i = 0; i < o->swarm->brokers; i++)
        if (o->brokers[i].life == BROKER_UP) {
            const struct image *image = node_image(o->brokers[i].shards[0].node);

            if (best == NULL || image->applied > best->applied)
                best = image;
        }
    return best;
}

static bool settled(struct oracle *o, const struct topic *topic, int32_t number,
                    char why[static 200])
{
    const struct image_partition *ip = &topic->partitions[number];
    struct sim_partition *p = partition_of(o, topic->id, number);

    if (ip->leader < 0)
        return snprintf(why, 200, "L2 %s/%d has no leader", topic->name, (int)number) < 0;
    if (ip->in_sync_count != ip->replica_count || ip->eligible_count > 0)
        return snprintf(why, 200, "L3 %s/%d: %zu of %zu in sync, %zu eligible",
                        topic->name, (int)number, ip->in_sync_count, ip->replica_count,
                        ip->eligible_count) < 0;
    for (size_t i = 0; i < ip->replica_count; i++) {
        const struct replica *r = &p->replicas[ip->replicas[i] - 1];

        if (r->watermark != p->replicas[ip->leader - 1].end || r->end != r->watermark)
            return snprintf(why, 200,
                            "L3 %s/%d: broker %d has watermark %" PRId64 ", end %" PRId64
                            "; the leader %d ends at %" PRId64,
                            topic->name, (int)number, (int)ip->replicas[i], r->watermark,
                            r->end, (int)ip->leader, p->replicas[ip->leader - 1].end) < 0;
        if (r->role == ROLE_NONE)
            return snprintf(why, 200, "L3 %s/%d: broker %d has no part in it",
                            topic->name, (int)number, (int)ip->replicas[i]) < 0;
    }
    return true;
}

bool oracle_is_settled(struct oracle *o, char why[static 200])
{
    const struct image *image = newest_image(o);
    const struct topic *topic;

    if (image == NULL)
        return snprintf(why, 200, "L1 no broker is up") < 0;
    for (size_t i = 0; (topic = map_next(&image->by_id, &i)) != NULL;)
        for (int32_t j = 0; j < topic->partition_count; j++)
            if (!settled(o, topic, j, why))
                return false;
    return true;
}

void oracle_finish(struct oracle *o)
{
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *s = &o->promises[i];
        const struct sim_partition *p = s->partition;
        const struct entry *e;

        if (p->removed || p->leader < 1)
            continue;
        e = history_at(&p->replicas[p->leader - 1].log, s->base);
        if (s->base < p->replicas[p->leader - 1].log.start)
            continue;
        if (e == NULL || e->crc != s->sent.crc)
            oracle_violation(
                o, "S2", "%s: what was acknowledged at %" PRId64 " is not there any more",
                name(p), s->base);
    }
}

bool oracle_can_lose(const struct oracle *o, const struct sim_broker *b)
{
    const struct image *image = newest_image(o);
    const struct sim_partition *p;
    struct uuid topic;

    if (image == NULL)
        return false;
    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        size_t others = 0;

        for (size_t j = 0; j < p->in_sync_count; j++)
            others += p->in_sync[j] != b->number + 1;
        memcpy(topic.id, p->id.topic, sizeof topic.id);
        if (image_topic_by_id(image, topic) != NULL && others == 0)
            return false;
    }
    return true;
}

static void print_set(const char *what, const int32_t *numbers, size_t n)
{
    printf(" %s", what);
    for (size_t i = 0; i < n; i++)
        printf("%s%d", i ? "," : "", (int)numbers[i]);
}

void oracle_print(const struct oracle *o)
{
    static const char roles[] = "-LF";
    const struct sim_partition *p;

    for (size_t i = 0; (p = map_next(&o->partitions, &i)) != NULL;) {
        printf("  %s t%d%s leader %d epoch %d/%d", name(p), p->topic,
               p->removed ? " (removed)" : "", (int)p->leader, (int)p->leader_epoch,
               (int)p->partition_epoch);
        print_set("replicas ", p->members, p->member_count);
        print_set("in sync ", p->in_sync, p->in_sync_count);
        print_set("eligible ", p->eligible, p->eligible_count);
        printf(" committed %" PRId64 "\n", history_end(&p->committed));
        for (int b = 0; b < (int)o->swarm->brokers; b++) {
            const struct replica *r = &p->replicas[b];

            if (r->life > 0)
                printf("      broker %d life %u: %c epoch %d, watermark %" PRId64
                       ", disk %" PRId64 ", end %" PRId64 "\n",
                       b + 1, r->life, roles[r->role], (int)r->epoch, r->watermark,
                       r->durable, r->end);
        }
    }
}

uint64_t oracle_acked_records(const struct oracle *o)
{
    return o->acked;
}

uint64_t oracle_leader_changes(const struct oracle *o)
{
    return o->leader_changes;
}
