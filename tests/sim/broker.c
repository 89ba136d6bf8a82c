/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/broker.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_TURNS = 48, TURNS_MAX = 20000, MILLION = 1000000 };

/* A question of this broker to another one; dies with the process. */
struct question {
    struct ask ask;
    struct peer_call *call;
    struct sim_broker *owner;
    struct sim_shard *shard;
    unsigned life;
};

struct instant sim_broker_now(const struct sim_broker *b)
{
    moment mono = b->world->now + b->world->now / MILLION * b->drift_ppm;

    return (struct instant){1000000 + mono / MILLISECOND,
                            1700000000000 + (mono + b->wall_offset) / MILLISECOND};
}

/* The moment at which this broker's clock will say `mono_ms`. */
static moment moment_of(const struct sim_broker *b, int64_t mono_ms)
{
    moment mono = (mono_ms - 1000000) * MILLISECOND;

    return mono / (MILLION + b->drift_ppm) * MILLION + MILLISECOND;
}

static void wake(struct sim_broker *b, moment in)
{
    moment at = b->world->now + in;

    if (b->life != BROKER_UP)
        return;
    if (!world_is_set(&b->turn) || b->turn.node.at_ms >> 10 > at)
        world_set(b->world, &b->turn, at);
}

static void wake_soon(struct sim_broker *b)
{
    wake(b, 2 * MICROSECOND + (moment)prng_below(&b->random, 30) * MICROSECOND);
}

/* ---- the wire ------------------------------------------------------------------------
 */

static void answer(struct wire *wire, struct request *r)
{
    struct sim_broker *b = container_of(wire, struct sim_shard, wire)->owner;

    CHECK(b->in_server > 0);
    b->in_server--;
    b->asked[r->row->api]--;
    /* What is true when it is promised may not be any more at the turn's end: the same
     * turn can bring another leader, or take the topic away. */
    if ((r->row->api == RPC_PRODUCE || r->row->api == RPC_FETCH) && !r->status)
        b->hooks->promises(b->hooks->ctx, b);
    if (r->row->api == RPC_VOTE)
        b->hooks->voted(b->hooks->ctx, b, r);
    net_answer(b->net, r);
}

static void post(struct wire *wire, unsigned shard, struct errand *e)
{
    struct sim_broker *b = container_of(wire, struct sim_shard, wire)->owner;
    struct sim_shard *to = &b->shards[shard];

    e->link = NULL;
    *to->inbox_last = e;
    to->inbox_last = &e->link;
    wake_soon(b);
}

static void on_answered(struct ask *a)
{
    struct question *q = container_of(a, struct question, ask);
    struct peer_call *c = q->call;
    struct sim_broker *b = q->owner;
    struct slice payload = {0};

    if (q->life != b->lives || b->life == BROKER_DOWN) {
        free(q);
        return;
    }
    if (a->payload.len > 0) {
        struct buf *copy = buf_new(a->payload.len);

        CHECK(copy != NULL);
        memcpy(copy->data, a->payload.data, a->payload.len);
        payload = slice_of(copy, copy->data, a->payload.len);
        buf_unref(copy);
    }
    if (!b->stopping)
        node_tick(q->shard->node, sim_broker_now(b));
    c->status = a->status;
    c->message = "";
    c->answer = a->answer;
    c->payload = payload;
    c->done(c);
    slice_release(&payload);
    free(q);
    wake_soon(b);
}

/* Brokers call by number; a first contact names a port, which is the number, too. */
static void call(struct wire *wire, struct peer_call *c)
{
    struct sim_shard *s = container_of(wire, struct sim_shard, wire);
    struct question *q = must_zalloc(sizeof *q);
    int32_t to = c->to > 0 ? c->to : c->at.port - 9000;

    CHECK(to >= 1 && to <= BROKERS_MAX);
    q->call = c;
    q->owner = s->owner;
    q->shard = s;
    q->life = s->owner->lives;
    q->ask.api = c->api;
    q->ask.timeout_ms = c->timeout_ms;
    q->ask.done = on_answered;
    net_ask(s->owner->net, s->owner->number, to - 1, (unsigned)(s - s->owner->shards),
            &q->ask, c->header, (struct bytes){0});
}

static void on_failed(void *ctx, enum status status, const char *what)
{
    struct sim_broker *b = ctx;

    (void)what;
    note(b->world, b->number + 1, "failed", (int64_t)status, 0, 0);
    b->failed = true;
}

static void on_log(void *ctx, int level, const char *event, const char *text)
{
    struct sim_broker *b = ctx;

    note(b->world, b->number + 1, event, level, 0, 0);
    if (b->world->loud)
        printf("%*s%s\n", 33, "", text);
}

/* ---- turns ---------------------------------------------------------------------------
 */

static void sleep_well(struct sim_broker *b)
{
    int64_t deadline = INT64_MAX;

    for (int64_t i = 0; i < b->swarm->shards; i++)
        if (node_deadline(b->shards[i].node) < deadline)
            deadline = node_deadline(b->shards[i].node);
    if (deadline < INT64_MAX / 4) {
        moment at = moment_of(b, deadline);

        wake(b, at - b->world->now < 50 * MICROSECOND ? 50 * MICROSECOND
                                                      : at - b->world->now);
    }
    if (simdisk_pending(b->disk) > 0 && !world_is_set(&b->disk_ready)) {
        moment in = b->swarm->disk_us * MICROSECOND;

        in = in / 2 + chance_range(&b->random, 0, in);
        world_set(b->world, &b->disk_ready,
                  b->world->now + in * (b->disk_slow > 0 ? b->disk_slow : 1));
    }
}

static bool run_errands(struct sim_broker *b)
{
    const struct instant now = sim_broker_now(b);
    bool ran = false;

    for (int64_t i = 0; i < b->swarm->shards; i++) {
        struct sim_shard *s = &b->shards[i];

        while (s->inbox != NULL) {
            struct errand *e = s->inbox;

            s->inbox = e->link;
            if (s->inbox == NULL)
                s->inbox_last = &s->inbox;
            node_errand(s->node, e, now);
            ran = true;
        }
    }
    return ran;
}

static void turn(struct sim_broker *b)
{
    const struct instant now = sim_broker_now(b);

    run_errands(b);
    for (int64_t i = 0; i < b->swarm->shards; i++) {
        node_tick(b->shards[i].node, now);
        node_turn_end(b->shards[i].node, now);
    }
}

static moment back_soon(struct sim_broker *b)
{
    return chance_log(&b->random, 50, 4000) * MILLISECOND;
}

static bool is_swept(const struct sim_broker *b)
{
    return b->number == 0 && b->swarm->crash_op > 0;
}

static enum simdisk_crash_kind crash_kind(struct sim_broker *b)
{
    bool power = simdisk_is_dead(b->disk) &&
                 (is_swept(b) ? b->swarm->crash_how >= 3 : chance_one_in(&b->random, 2));

    return power ? SIMDISK_POWER : SIMDISK_PROCESS;
}

/* Every other crash of a sweep has an echo in the recovery from it. */
static void plan_crash(struct sim_broker *b)
{
    const enum simdisk_moment how = (enum simdisk_moment)(b->swarm->crash_how % 3);
    const uint64_t op = (uint64_t)b->swarm->crash_op;

    if (is_swept(b) && b->lives == 1)
        sim_broker_ambush(b, op - 1, how);
    if (is_swept(b) && b->lives == 2 && op % 2 == 1)
        sim_broker_ambush(b, op / 2 % 61, how);
}

static void end_turn(struct sim_broker *b)
{
    if (b->failed || simdisk_is_dead(b->disk)) {
        sim_broker_kill(b, crash_kind(b), back_soon(b));
        return;
    }
    b->hooks->turned(b->hooks->ctx, b);
    sleep_well(b);
}

static void on_turn(struct event *e)
{
    struct sim_broker *b = container_of(e, struct sim_broker, turn);

    turn(b);
    end_turn(b);
}

static void on_disk(struct event *e)
{
    struct sim_broker *b = container_of(e, struct sim_broker, disk_ready);

    if (b->life == BROKER_UP)
        disk_poll(simdisk_disk(b->disk), false);
    if (b->life != BROKER_UP)
        return;
    turn(b);
    end_turn(b);
}

void sim_broker_deliver(struct sim_broker *b, unsigned way, struct request *r)
{
    struct sim_shard *s = &b->shards[way % (unsigned)b->swarm->shards];

    CHECK(b->life == BROKER_UP);
    r->arrived = sim_broker_now(b);
    b->in_server++;
    b->asked[r->row->api]++;
    node_request(s->node, r, r->arrived);
    wake_soon(b);
}

/* ---- life ----------------------------------------------------------------------------
 */

static void set_number(struct config *c, enum config_key key, int64_t v)
{
    c->values[key].number = c->base[key].number = v;
}

static void configure(struct sim_broker *b)
{
    struct config *c = must_zalloc(sizeof *c);

    config_init(c);
    set_number(c, CONFIG_NODE_ID, b->number + 1);
    set_number(c, CONFIG_JOURNAL_FILE_BYTES, 1 << 20);
    set_number(c, CONFIG_JOURNAL_FILES, 4);
    set_number(c, CONFIG_HOT_BYTES, 4 << 20);
    set_number(c, CONFIG_DISK_RESERVE, 1 << 20);
    set_number(c, CONFIG_INTERNAL_REPLICATION, b->swarm->replication);
    set_number(c, CONFIG_LEADER_BALANCE, b->swarm->calm ? 3600000 : 7000);
    set_number(c, CONFIG_GROUP_SESSION_MIN, 100);
    b->config = c;
}

static size_t first_voters(const struct sim_broker *b, struct voter *voters)
{
    for (int64_t i = 0; i < b->swarm->voters; i++) {
        voters[i] = (struct voter){.node_id = (int32_t)i + 1};
        snprintf(voters[i].at.host, sizeof voters[i].at.host, "broker-%d", (int)i + 1);
        voters[i].at.port = (uint16_t)(9001 + i);
    }
    return b->swarm->brokers == 1 ? 0 : (size_t)b->swarm->voters;
}

static enum status open_nodes(struct sim_broker *b, char why[static 256])
{
    struct voter *voters = must_zalloc(sizeof *voters * BROKERS_MAX);
    const size_t voter_count = first_voters(b, voters);
    const struct uuid incarnation = uuid_random(&b->random);
    const uint64_t seed = prng_next(&b->random);

    for (int64_t i = 0; i < b->swarm->shards; i++) {
        struct sim_shard *s = &b->shards[i];
        struct node_options o = {
            .config = b->config,
            .cluster_id = {{1, 2, 3}},
            .node_id = b->number + 1,
            .shard = (unsigned)i,
            .shards = (unsigned)b->swarm->shards,
            .directory = b->directory,
            .incarnation = incarnation,
            .rack = "",
            .bootstrap = voters,
            .bootstrap_count = voter_count,
            .seed = seed,
            .disk = simdisk_disk(b->disk),
            .wire = &s->wire,
            .metrics = s->metrics = must_zalloc(sizeof *s->metrics),
            .on_failed = on_failed,
            .on_log = on_log,
            .ctx = b,
        };
        const struct image *source = i == 0 ? NULL : node_image(b->shards[0].node);
        enum status st;

        snprintf(o.at.host, sizeof o.at.host, "broker-%d", b->number + 1);
        o.at.port = (uint16_t)(9001 + b->number);
        s->wire = (struct wire){answer, post, call};
        s->owner = b;
        s->inbox = NULL;
        s->inbox_last = &s->inbox;
        st = node_open(&s->node, &o, source, sim_broker_now(b), why);
        if (st)
            return st;
    }
    return STATUS_OK;
}

static void come_back(struct event *e)
{
    sim_broker_start(container_of(e, struct sim_broker, comeback));
}

/* What was durable is damaged: it says so and changes nothing, and its operator replaces
 * the disk. A damaged number of a format may look like one of a later Leat. */
static bool refuses_damage(enum status st, const char *why)
{
    return (st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED_VERSION) && why[0] != '\0';
}

void sim_broker_start(struct sim_broker *b)
{
    struct store_recovery recovery;
    char why[256] = "";
    enum status st;

    if (b->life != BROKER_DOWN)
        return;
    world_unset(b->world, &b->comeback);
    b->failed = b->leaving = b->stopping = false;
    b->in_server = 0;
    memset(b->asked, 0, sizeof b->asked);
    configure(b);
    b->lives++;
    plan_crash(b);
    st = store_recover(simdisk_disk(b->disk), &recovery, why);
    if (!st)
        st = open_nodes(b, why);
    note(b->world, b->number + 1, "started", b->lives, (int64_t)st, 0);
    if (st) {
        bool excused =
            simdisk_is_dead(b->disk) || b->failed || b->capacity != 0 || b->ambushed;
        bool refused = b->rotten && refuses_damage(st, why);

        simdisk_crash(b->disk, crash_kind(b));
        b->ambushed = false;
        if (refused)
            sim_broker_wipe(b);
        else if (!excused)
            b->hooks->broken(b->hooks->ctx, b, why);
        world_set(b->world, &b->comeback, b->world->now + back_soon(b));
        return;
    }
    b->life = BROKER_UP;
    b->rotten = false;
    b->hooks->started(b->hooks->ctx, b);
    wake_soon(b);
}

/* What was on its way to it is lost with the connections. */
static void forget_world(struct sim_broker *b)
{
    world_unset(b->world, &b->turn);
    world_unset(b->world, &b->disk_ready);
    world_unset(b->world, &b->leave_over);
    net_bury(b->net, b->number, chance_one_in(&b->random, 4));
}

void sim_broker_kill(struct sim_broker *b, enum simdisk_crash_kind kind, moment back_in)
{
    if (b->life == BROKER_DOWN) {
        if (kind == SIMDISK_POWER)
            simdisk_crash(b->disk, kind);
    } else {
        note(b->world, b->number + 1, kind == SIMDISK_POWER ? "power lost" : "killed",
             b->lives, 0, 0);
        b->hooks->died(b->hooks->ctx, b);
        b->life = BROKER_DOWN;
        b->ambushed = false;
        simdisk_crash(b->disk, kind);
        forget_world(b);
    }
    if (back_in >= 0)
        world_set(b->world, &b->comeback, b->world->now + back_in);
}

void sim_broker_ambush(struct sim_broker *b, uint64_t ops, enum simdisk_moment how)
{
    b->ambushed = true;
    simdisk_die_at(b->disk, simdisk_ops(b->disk) + ops, how);
}

void sim_broker_pause(struct sim_broker *b)
{
    if (b->life != BROKER_UP)
        return;
    b->life = BROKER_PAUSED;
    world_unset(b->world, &b->turn);
    world_unset(b->world, &b->disk_ready);
    note(b->world, b->number + 1, "paused", 0, 0, 0);
}

void sim_broker_resume(struct sim_broker *b)
{
    if (b->life != BROKER_PAUSED)
        return;
    b->life = BROKER_UP;
    note(b->world, b->number + 1, "resumed", 0, 0, 0);
    net_release(b->net);
    wake_soon(b);
    sleep_well(b);
}

static void stop_shards(struct sim_broker *b)
{
    const struct instant now = sim_broker_now(b);

    b->stopping = true;
    for (int64_t i = 0; i < b->swarm->shards; i++)
        node_stop(b->shards[i].node, now);
    for (int quiet = 0, n = 0; quiet < QUIET_TURNS && n < TURNS_MAX; quiet++, n++) {
        net_hang_up(b->net, b->number);
        if (disk_poll(simdisk_disk(b->disk), false) > 0)
            quiet = 0;
        if (run_errands(b))
            quiet = 0;
        for (int64_t i = 0; i < b->swarm->shards; i++)
            node_turn_end(b->shards[i].node, now);
    }
}

/* The end of an orderly stop: everything is answered, flushed and closed at once. */
static void close_down(struct sim_broker *b, moment back_in)
{
    bool clean = true;
    char why[80];

    stop_shards(b);
    b->hooks->turned(b->hooks->ctx, b);
    b->hooks->died(b->hooks->ctx, b);
    for (int64_t i = 0; i < b->swarm->shards; i++)
        clean &= node_close(b->shards[i].node) == STATUS_OK;
    for (unsigned api = 0; api < METRIC_API_MAX; api++)
        if (b->asked[api] > 0) {
            snprintf(why, sizeof why, "a %s stays unanswered at the stop",
                     rpc_api_row((uint16_t)api)->name);
            b->hooks->broken(b->hooks->ctx, b, why);
        }
    note(b->world, b->number + 1, "stopped", b->lives, clean, 0);
    b->life = BROKER_DOWN;
    b->ambushed = false;
    simdisk_crash(b->disk, SIMDISK_PROCESS);
    forget_world(b);
    if (back_in >= 0)
        world_set(b->world, &b->comeback, b->world->now + back_in);
}

static void on_leave_over(struct event *e)
{
    struct sim_broker *b = container_of(e, struct sim_broker, leave_over);

    if (b->life == BROKER_PAUSED)
        sim_broker_resume(b);
    if (b->life == BROKER_UP)
        close_down(b, back_soon(b));
}

void sim_broker_leave(struct sim_broker *b, moment back_in)
{
    (void)back_in;
    if (b->life != BROKER_UP || b->leaving || b->failed)
        return;
    note(b->world, b->number + 1, "leaves", b->lives, 0, 0);
    b->leaving = true;
    world_set(b->world, &b->leave_over,
              b->world->now + chance_log(&b->random, 1, 3000) * MILLISECOND);
}

static void new_disk(struct sim_broker *b)
{
    const struct simdisk_options o = {.seed = prng_next(&b->random),
                                      .chaotic_names = b->swarm->chaotic,
                                      .patience = (unsigned)b->swarm->patience};

    b->disk = simdisk_new(&o);
    b->disks++;
    b->directory = uuid_random(&b->random);
}

void sim_broker_wipe(struct sim_broker *b)
{
    CHECK(b->life == BROKER_DOWN);
    simdisk_free(b->disk);
    new_disk(b);
    b->capacity = 0;
    b->rotten = false;
    note(b->world, b->number + 1, "wiped", b->disks, 0, 0);
    b->hooks->wiped(b->hooks->ctx, b);
}

void sim_broker_fill(struct sim_broker *b, uint64_t room)
{
    b->capacity = room == 0 ? 0 : simdisk_used(b->disk) + room;
    simdisk_set_capacity(b->disk, b->capacity);
}

void sim_broker_init(struct sim_broker *b, uint64_t seed)
{
    b->random = world_stream(seed, "broker", b->number);
    b->turn.run = on_turn;
    b->disk_ready.run = on_disk;
    b->comeback.run = come_back;
    b->leave_over.run = on_leave_over;
    if (b->swarm->drift_ppm > 0)
        b->drift_ppm =
            chance_range(&b->random, -b->swarm->drift_ppm, b->swarm->drift_ppm);
    b->wall_offset = chance_range(&b->random, -2000, 2000) * MILLISECOND;
    new_disk(b);
}
