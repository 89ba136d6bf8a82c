/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/run.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "broker/core/quorum/quorum_inner.h"
#include "tests/sim/admin.h"
#include "tests/sim/keeper.h"
#include "tests/sim/member.h"
#include "tests/sim/producer.h"
#include "tests/sim/rest.h"
#include "tests/sim/consumer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALM_DOWN_SECONDS = 40, SETTLE_SECONDS = 5, LAST_NOTES = 40 };

struct run {
    const struct run_options *o;
    struct run_result *result;
    struct world world;
    struct net *net;
    struct oracle *oracle;
    struct trouble *trouble;
    struct town town;
    struct sim_broker brokers[BROKERS_MAX];
    struct broker_hooks hooks;
    struct producer *producers[CLIENTS_MAX];
    struct consumer *consumers[CLIENTS_MAX];
    struct keeper *keepers[CLIENTS_MAX];
    struct member *members[CLIENTS_MAX];
    struct crew *crew;
    struct admin *admin;
    size_t producer_count, consumer_count, keeper_count, member_count;
    int clients;
    jmp_buf out;
};

static struct run *current;

/* ---- violations ----------------------------------------------------------------------
 */

static void print_quorum(const struct sim_broker *b)
{
    const struct quorum *q = b->shards[0].node->quorum;
    struct endpoint at;

    printf("    quorum role %d%s%s, epoch %d, leader %d, watermark %" PRId64
           ", log %" PRId64 "..%" PRId64 ", voters",
           (int)q->raft.role, q->raft.may_stand ? "" : ", may not stand",
           raft_is_saved(&q->raft) ? "" : ", not saved", (int)quorum_epoch(q),
           (int)quorum_leader(q, &at), quorum_high_watermark(q), log_start(quorum_log(q)),
           log_end(quorum_log(q)));
    for (int32_t i = 1; i <= (int32_t)b->swarm->brokers; i++)
        if (quorum_is_voter(q, i))
            printf(" %d", (int)i);
    printf("\n");
}

static void report(const struct run *r)
{
    const struct run_result *v = r->result;
    char words[2048];

    swarm_format(&r->o->swarm, words, sizeof words);
    printf("\nVIOLATION %s: %s\n  seed %" PRIu64 ", event %" PRIu64 ", %.3f s\n  %s\n",
           v->id, v->text, r->o->seed, r->world.event_count, (double)r->world.now / 1e9,
           words);
    oracle_print(r->oracle);
    for (int64_t i = 0; i < r->o->swarm.brokers; i++) {
        printf("  broker %d:\n", (int)i + 1);
        if (r->brokers[i].life == BROKER_UP)
            print_quorum(&r->brokers[i]);
        world_print(&r->world, (int32_t)i + 1, 12);
    }
    printf("  all:\n");
    world_print(&r->world, -1, LAST_NOTES);
    printf("  replay: leat-sim --seed %" PRIu64 " --until %" PRIu64 " --log full\n",
           r->o->seed, r->world.event_count + 1);
    fflush(stdout);
}

static void fill(struct run *r)
{
    r->result->hash = r->world.hash;
    r->result->events = r->world.event_count;
    r->result->at = r->world.now;
    r->result->messages = net_messages(r->net);
    r->result->losses = net_losses(r->net);
    r->result->acked = oracle_acked_records(r->oracle);
    r->result->leader_changes = oracle_leader_changes(r->oracle);
    memcpy(r->result->faults, trouble_counts(r->trouble), sizeof r->result->faults);
}

static void violated(void *ctx, const char *id, const char *text)
{
    struct run *r = ctx;

    r->result->violated = true;
    snprintf(r->result->id, sizeof r->result->id, "%s", id);
    snprintf(r->result->text, sizeof r->result->text, "%s", text);
    fill(r);
    if (!r->o->quiet)
        report(r);
    longjmp(r->out, 1);
}

/* A CHECK of the product failed, or worse. */
static void on_signal(int number)
{
    if (current != NULL) {
        struct run *r = current;

        current = NULL;
        r->result->violated = true;
        snprintf(r->result->id, sizeof r->result->id, "CHECK");
        snprintf(r->result->text, sizeof r->result->text,
                 "the broker stopped itself (signal %d)", number);
        fill(r);
        if (!r->o->quiet)
            report(r);
        longjmp(r->out, 1);
    }
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- what the parts ask --------------------------------------------------------------
 */

static void deliver(void *ctx, int broker, unsigned way, struct request *q)
{
    struct run *r = ctx;

    sim_broker_deliver(&r->brokers[broker], way, q);
}

static bool is_up(void *ctx, int broker, unsigned *life)
{
    struct run *r = ctx;

    *life = r->brokers[broker].lives;
    return r->brokers[broker].life == BROKER_UP && !r->brokers[broker].stopping;
}

static bool is_paused(void *ctx, int party)
{
    struct run *r = ctx;

    return party < BROKERS_MAX && r->brokers[party].life == BROKER_PAUSED;
}

static void turned(void *ctx, struct sim_broker *b)
{
    oracle_turned(((struct run *)ctx)->oracle, b);
}

static void promises(void *ctx, struct sim_broker *b)
{
    oracle_promises(((struct run *)ctx)->oracle, b);
}

static void voted(void *ctx, struct sim_broker *b, const struct request *q)
{
    oracle_voted(((struct run *)ctx)->oracle, b, q);
}

static void died(void *ctx, struct sim_broker *b)
{
    oracle_turned(((struct run *)ctx)->oracle, b);
}

static void started(void *ctx, struct sim_broker *b)
{
    oracle_started(((struct run *)ctx)->oracle, b);
}

static void wiped(void *ctx, struct sim_broker *b)
{
    oracle_wiped(((struct run *)ctx)->oracle, b);
}

static void broken(void *ctx, struct sim_broker *b, const char *why)
{
    oracle_violation(((struct run *)ctx)->oracle, "B1", "broker %d: %s", b->number + 1,
                     why);
}

/* ---- building ------------------------------------------------------------------------
 */

static void build_cluster(struct run *r)
{
    const struct swarm *s = &r->o->swarm;
    const struct net_options net = {.latency = s->latency_us * MICROSECOND,
                                    .loss_ppm = s->loss_ppm,
                                    .deliver = deliver,
                                    .is_up = is_up,
                                    .is_paused = is_paused,
                                    .ctx = r};

    world_init(&r->world, r->o->seed);
    r->world.until = r->o->until;
    r->world.loud = r->o->loud;
    r->world.faults = r->o->show_faults;
    r->net = net_new(&r->world, r->o->seed, &net);
    r->oracle = oracle_new(&r->world, s, r->brokers, violated, r);
    r->trouble = trouble_new(&r->world, r->net, s, r->brokers, r->oracle, r->o->seed);
    r->hooks =
        (struct broker_hooks){turned, promises, voted, died, started, wiped, broken, r};
    for (int i = 0; i < (int)s->brokers; i++) {
        struct sim_broker *b = &r->brokers[i];

        b->world = &r->world;
        b->net = r->net;
        b->swarm = s;
        b->hooks = &r->hooks;
        b->number = i;
        sim_broker_init(b, r->o->seed);
    }
    for (int i = 0; i < (int)s->brokers; i++)
        sim_broker_start(&r->brokers[i]);
}

static void build_clients(struct run *r)
{
    const struct swarm *s = &r->o->swarm;

    r->town = (struct town){.world = &r->world, .net = r->net, .swarm = s};
    r->town.oracle = r->oracle;
    r->admin = admin_new(&r->town, r->clients++, r->o->seed);
    for (int64_t i = 0; i < s->producers + s->careless; i++)
        r->producers[r->producer_count++] =
            producer_new(&r->town, r->clients++, r->o->seed, i < s->producers);
    for (int64_t i = 0; i < s->keepers; i++)
        r->keepers[r->keeper_count++] = keeper_new(&r->town, r->clients++, r->o->seed);
    for (int64_t i = 0; i < s->readers; i++)
        r->consumers[r->consumer_count++] =
            consumer_new(&r->town, r->clients++, r->o->seed);
    r->crew = crew_new(&r->town);
    for (int64_t i = 0; i < s->members; i++)
        r->members[r->member_count++] =
            member_new(&r->town, r->crew, r->clients++, r->o->seed);
}

/* ---- phases --------------------------------------------------------------------------
 */

static bool run_until(struct run *r, moment end)
{
    while (r->world.now < end)
        if (!world_step(&r->world))
            return false;
    return true;
}

static bool is_well(struct run *r, char why[static 200])
{
    for (int64_t i = 0; i < r->o->swarm.brokers; i++)
        if (r->brokers[i].life != BROKER_UP && !r->brokers[i].absent)
            return snprintf(why, 200, "L1 broker %d is not up", (int)i + 1) < 0;
    if (!admin_is_done(r->admin, why))
        return false;
    for (size_t i = 0; i < r->producer_count; i++)
        if (!producer_is_done(r->producers[i], why))
            return false;
    if (!oracle_is_settled(r->oracle, why))
        return false;
    for (size_t i = 0; i < r->keeper_count; i++)
        if (!keeper_is_done(r->keepers[i], why))
            return false;
    for (size_t i = 0; i < r->consumer_count; i++)
        if (!consumer_is_done(r->consumers[i], why))
            return false;
    return members_are_done(r->members, r->member_count, why);
}

/* Nothing new is begun; what was begun must end well. */
static bool become_well(struct run *r)
{
    const moment end = r->world.now + CALM_DOWN_SECONDS * SECOND;
    char why[200] = "";
    char id[VIOLATION_ID] = "L1";

    r->town.resting = true;
    while (!is_well(r, why)) {
        if (r->world.now > end) {
            snprintf(id, sizeof id, "%.2s", why);
            oracle_violation(r->oracle, id, "%s", why + 3);
        }
        if (!run_until(r, r->world.now + 250 * MILLISECOND))
            return false;
    }
    return true;
}

/* How many there are whose disk is the one that the set names. */
static int true_voters(const struct run *r)
{
    const struct quorum *q = r->brokers[0].shards[0].node->quorum;
    int n = 0;

    for (int64_t i = 0; i < r->o->swarm.brokers; i++) {
        const struct sim_broker *b = &r->brokers[i];
        const struct raft_key key = {b->number + 1, b->directory};

        n += voter_find(voters_newest(&q->voters), key) != NULL;
    }
    return n == (int)voters_newest(&q->voters)->count ? n : 0;
}

/* What the cluster can do without, it must go on without: enough voters are left, and
 * enough replicas of everything. The groups' topic always wants two in sync. */
static bool go_on_without_one(struct run *r)
{
    const struct swarm *s = &r->o->swarm;
    struct sim_broker *b = &r->brokers[r->o->seed % (uint64_t)s->brokers];

    if (!s->absent || true_voters(r) < 3 || s->replication <= 2)
        return true;
    note(&r->world, 0, "absent", b->number + 1, 0, 0);
    b->absent = true;
    sim_broker_kill(b, SIMDISK_POWER, -1);
    r->town.settled = true;
    r->town.resting = false;
    if (!run_until(r, r->world.now + 3 * SECOND) || !become_well(r))
        return false;
    b->absent = false;
    sim_broker_start(b);
    return become_well(r);
}

/* Everything that is on no disk is gone; then the logs are read again from their
 * beginnings and compared with what was committed. */
static bool end_in_the_dark(struct run *r)
{
    if (!r->o->swarm.dark_end)
        return true;
    note(&r->world, 0, "dark end", 0, 0, 0);
    for (int64_t i = 0; i < r->o->swarm.brokers; i++)
        sim_broker_kill(&r->brokers[i], SIMDISK_POWER, 100 * MILLISECOND);
    oracle_forget_logs(r->oracle);
    return run_until(r, r->world.now + SECOND) && become_well(r);
}

/* Connections that broke without a word are noticed before the rest is judged. */
static bool stay_at_rest(struct run *r)
{
    struct rest rest = {
        .oracle = r->oracle, .brokers = r->brokers, .swarm = &r->o->swarm};

    net_lose_nothing(r->net);
    if (!run_until(r, r->world.now + SETTLE_SECONDS * SECOND) || !become_well(r))
        return false;
    rest_begin(&rest, net_questions(r->net));
    if (!run_until(r, r->world.now + REST_SECONDS * SECOND))
        return false;
    rest_judge(&rest, net_questions(r->net));
    return true;
}

static bool recover(struct run *r)
{
    trouble_end(r->trouble);
    return run_until(r, r->world.now + 2 * SECOND) && become_well(r) &&
           go_on_without_one(r) && end_in_the_dark(r) && stay_at_rest(r);
}

/* Where nothing goes wrong and nobody asks for it, no leader has a reason to change. */
static void judge_calm(struct run *r)
{
    const struct swarm *s = &r->o->swarm;

    if (s->calm && !s->admins && s->crash_op == 0 && s->loss_ppm == 0 &&
        oracle_leader_changes(r->oracle) > 0)
        oracle_violation(r->oracle, "L1",
                         "leaders changed %" PRIu64 " times in a calm world",
                         oracle_leader_changes(r->oracle));
}

bool run_once(const struct run_options *o, struct run_result *result)
{
    struct run *r = must_zalloc(sizeof *r);
    bool more;

    *result = (struct run_result){0};
    r->o = o;
    r->result = result;
    if (setjmp(r->out) != 0) {
        current = NULL;
        return false;
    }
    build_cluster(r);
    current = r;
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    build_clients(r);
    trouble_plan(r->trouble, &o->faults);
    more = run_until(r, o->swarm.seconds * SECOND);
    result->disk_ops = simdisk_ops(r->brokers[0].disk);
    judge_calm(r);
    if (more && recover(r))
        oracle_finish(r->oracle);
    current = NULL;
    fill(r);
    /* Most of what a life takes; the next one in this process finds it warm. */
    for (int64_t i = 0; i < o->swarm.brokers; i++)
        simdisk_free(r->brokers[i].disk);
    return true;
}
