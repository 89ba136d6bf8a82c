/* SPDX-License-Identifier: Apache-2.0
 *
 * What a leader may conclude from what it is told. First the rules one by one, then all
 * of them under a storm of late, lost and repeated messages: whatever the leader calls
 * safe must be on the disks of everybody who could be elected. */
#include "broker/core/replication/leader.h"
#include "proto/base/prng.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { LAG_MS = 1000, BROKERS = 4 };

static struct image image;
static struct image_broker brokers[BROKERS];
static int32_t replicas[] = {1, 2, 3};
static int32_t in_sync[BROKERS];
static struct image_partition record;
static struct leader *l;
static struct leader_proposal proposal;

static struct instant at(int64_t ms)
{
    return (struct instant){ms, ms};
}

static void set_in_sync(const char *ids)
{
    record.in_sync_count = strlen(ids);
    for (size_t i = 0; i < record.in_sync_count; i++)
        in_sync[i] = ids[i] - '0';
    record.partition_epoch++;
}

/* Broker 1 leads under epoch 7; its log ends at 100. */
static void lead(const char *ids)
{
    memset(&image, 0, sizeof image);
    image.brokers = brokers;
    image.broker_count = BROKERS;
    for (int32_t i = 0; i < BROKERS; i++)
        brokers[i] = (struct image_broker){
            .node_id = i + 1, .state = BROKER_ACTIVE, .epoch = 10 * (i + 1)};
    record = (struct image_partition){.leader = 1,
                                      .leader_epoch = 7,
                                      .replicas = replicas,
                                      .replica_count = 3,
                                      .in_sync = in_sync};
    set_in_sync(ids);
    if (l != NULL)
        leader_free(l);
    l = leader_new(1, &record, 100, at(0));
}

static void begin(void)
{
    lead("123");
}

static void end(void)
{
    leader_free(l);
    l = NULL;
}

static bool fetch_as(int32_t id, int64_t epoch, int64_t offset, int64_t durable,
                     int64_t our_end, int64_t ms)
{
    return leader_on_fetch(l,
                           &(struct leader_fetch){.node_id = id,
                                                  .broker_epoch = epoch,
                                                  .offset = offset,
                                                  .durable = durable,
                                                  .our_end = our_end},
                           at(ms));
}

static bool fetch(int32_t id, int64_t offset, int64_t durable, int64_t our_end,
                  int64_t ms)
{
    return fetch_as(id, 10 * id, offset, durable, our_end, ms);
}

static bool propose(int64_t our_end, int64_t high_watermark, int64_t ms)
{
    return leader_propose(l, &image, our_end, high_watermark, LAG_MS, at(ms), &proposal);
}

/* "123": whom the newest proposal names. */
static const char *proposed(void)
{
    static char text[BROKERS + 1];

    for (size_t i = 0; i < proposal.count; i++)
        text[i] = (char)('0' + proposal.in_sync[i]);
    text[proposal.count] = '\0';
    return text;
}

/* ---- what counts ---------------------------------------------------------------------
 */

START_TEST(both_sides_of_the_evidence_must_meet)
{
    static const struct {
        int64_t offset, durable, ack, held;
    } cases[] = {
        {100, 90, 0, 90},   {100, 100, 0, 100},  {100, 90, 100, 100},
        {100, 90, 95, 95},  {100, 90, 120, 100}, /* more than was found the same */
        {100, 120, 0, 100}, {100, 95, 90, 95},   /* an older word comes late */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lead("12");
        ck_assert(fetch(2, cases[i].offset, cases[i].durable, 150, 1));
        if (cases[i].ack > 0)
            ck_assert(leader_on_ack(l, 2, 20, cases[i].ack));
        ck_assert_int_eq(leader_watermark(l, 150, 0, 1), cases[i].held);
        ck_assert_int_eq(leader_replica_end(l, 2), cases[i].held);
    }
}
END_TEST

/* An acknowledgement and the fetch before it may overtake each other. */
START_TEST(fetch_does_not_take_back_what_was_acknowledged)
{
    lead("12");
    fetch(2, 100, 90, 150, 1);
    leader_on_ack(l, 2, 20, 110);
    fetch(2, 110, 95, 150, 2);
    ck_assert_int_eq(leader_watermark(l, 150, 0, 1), 110);
}
END_TEST

START_TEST(nothing_counts_before_a_fetch_was_found_right)
{
    lead("12");
    ck_assert(!leader_on_ack(l, 2, 20, 100));
    ck_assert_int_eq(leader_watermark(l, 150, 40, 1), 40);
}
END_TEST

START_TEST(strangers_and_ourselves_do_not_count)
{
    ck_assert(!fetch(4, 100, 100, 100, 1));
    ck_assert(!fetch(1, 100, 100, 100, 1));
    ck_assert(!leader_on_ack(l, 4, 40, 100));
    ck_assert(!leader_on_ack(l, 1, 10, 100));
    ck_assert_int_eq(leader_replica_end(l, 4), -1);
}
END_TEST

/* A wiped disk comes back with the same id (KIP-903). */
START_TEST(another_process_begins_with_nothing)
{
    lead("12");
    fetch(2, 100, 100, 100, 1);
    ck_assert(fetch_as(2, 25, 0, 0, 100, 2));
    ck_assert_int_eq(leader_watermark(l, 100, 0, 1), 0);
    ck_assert(!leader_on_ack(l, 2, 20, 100)); /* the former one's last words */
    ck_assert(!fetch_as(2, 20, 100, 100, 100, 3));
    ck_assert_int_eq(leader_watermark(l, 100, 0, 1), 0);
}
END_TEST

START_TEST(watermark_waits_for_all_in_sync_and_never_goes_back)
{
    fetch(2, 90, 90, 100, 1);
    ck_assert_int_eq(leader_watermark(l, 100, 10, 1), 10);
    fetch(3, 80, 80, 100, 1);
    ck_assert_int_eq(leader_watermark(l, 100, 10, 1), 80);
    ck_assert_int_eq(leader_watermark(l, 100, 85, 1), 85);
    ck_assert_int_eq(leader_watermark(l, 70, 10, 1), 70);
}
END_TEST

/* Below the minimum nothing is committed, so that those who left hold everything that was
 * (KIP-966). */
START_TEST(watermark_stands_below_the_minimum)
{
    lead("1");
    ck_assert_int_eq(leader_watermark(l, 100, 10, 2), 10);
    ck_assert_int_eq(leader_watermark(l, 100, 10, 1), 100);
}
END_TEST

/* ---- who comes in --------------------------------------------------------------------
 */

START_TEST(only_those_come_in_who_hold_what_was_committed)
{
    static const struct {
        int64_t end, high_watermark, our_end;
        bool in;
    } cases[] = {
        {100, 100, 100, true},  {100, 90, 150, true},
        {99, 90, 150, false},   /* not what was there at the election (KAFKA-7128) */
        {110, 120, 150, false}, /* not what is committed */
        {120, 120, 150, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lead("12");
        fetch(2, cases[i].our_end, cases[i].our_end, cases[i].our_end, 1);
        fetch(3, cases[i].end, cases[i].end, cases[i].our_end, 1);
        ck_assert_int_eq(propose(cases[i].our_end, cases[i].high_watermark, 2),
                         cases[i].in);
        if (cases[i].in)
            ck_assert_str_eq(proposed(), "123");
    }
}
END_TEST

START_TEST(only_the_process_that_is_known_comes_in)
{
    static const enum broker_state states[] = {BROKER_FENCED, BROKER_STOPPING};

    for (size_t i = 0; i < 2; i++) {
        lead("12");
        brokers[2].state = states[i];
        fetch(2, 100, 100, 100, 1);
        fetch(3, 100, 100, 100, 1);
        ck_assert(!propose(100, 100, 2));
    }
    lead("12");
    fetch(2, 100, 100, 100, 1);
    fetch_as(3, 31, 100, 100, 100, 1); /* the metadata knows it as 30 */
    ck_assert(!propose(100, 100, 2));
    brokers[2].epoch = 31;
    ck_assert(propose(100, 100, 3));
    ck_assert_int_eq(proposal.epochs[2], 31);
}
END_TEST

/* The controller may have taken it in already: from the moment the proposal leaves, it is
 * waited for. */
START_TEST(whoever_may_come_in_counts_at_once)
{
    lead("12");
    fetch(2, 120, 120, 120, 1);
    fetch(3, 110, 110, 120, 1);
    ck_assert_int_eq(leader_watermark(l, 120, 105, 1), 120);
    ck_assert(propose(120, 105, 2));
    ck_assert_int_eq(leader_watermark(l, 120, 105, 1), 110);
    leader_answered(l, STATUS_INELIGIBLE_REPLICA, 0, NULL, 0);
    ck_assert_int_eq(leader_watermark(l, 120, 105, 1), 120);
}
END_TEST

/* Alone in sync, a leader that stops may promise that its own disk is enough: unless it
 * has proposed somebody, heard or not. */
START_TEST(whoever_may_come_in_is_waited_for)
{
    lead("1");
    ck_assert(!leader_waits_for_others(l));
    ck_assert(fetch(2, 100, 100, 100, 1));
    ck_assert(!leader_waits_for_others(l));
    ck_assert(propose(100, 100, 1));
    ck_assert(leader_waits_for_others(l));
    leader_answered(l, STATUS_TIMED_OUT, 0, NULL, 0);
    ck_assert(leader_waits_for_others(l));
    lead("12");
    ck_assert(leader_waits_for_others(l));
}
END_TEST

/* The first attempt may still be on its way when the second is refused, and be welcome
 * when it arrives: it counts until what is has got another partition epoch. */
START_TEST(what_may_still_arrive_is_made_void)
{
    int32_t both[] = {1, 2};

    lead("12");
    fetch(2, 120, 120, 120, 1);
    fetch(3, 110, 110, 120, 1);
    ck_assert(propose(120, 105, 2));
    leader_answered(l, STATUS_TIMED_OUT, 0, NULL, 0);
    ck_assert(propose(120, 105, 3));
    leader_answered(l, STATUS_INELIGIBLE_REPLICA, 0, NULL, 0);
    ck_assert_int_eq(leader_watermark(l, 120, 105, 1), 110);
    ck_assert(propose(120, 105, 4));
    ck_assert_str_eq(proposed(), "12");
    ck_assert_int_eq(leader_watermark(l, 120, 105, 1), 110);
    leader_answered(l, STATUS_OK, record.partition_epoch + 1, both, 2);
    ck_assert_int_eq(leader_watermark(l, 120, 105, 1), 120);
}
END_TEST

/* Between two attempts the replica came back with an empty disk: what is repeated names
 * the process that was looked at, and is refused. */
START_TEST(repetition_names_the_process_that_was_looked_at)
{
    lead("12");
    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(propose(100, 100, 2));
    ck_assert_int_eq(proposal.epochs[2], 30);
    leader_answered(l, STATUS_UNREACHABLE, 0, NULL, 0);
    fetch_as(3, 35, 0, 0, 100, 3);
    brokers[2].epoch = 35;
    ck_assert(propose(100, 100, 4));
    ck_assert_str_eq(proposed(), "123");
    ck_assert_int_eq(proposal.epochs[2], 30);
    leader_answered(l, STATUS_INELIGIBLE_REPLICA, 0, NULL, 0);
    ck_assert(propose(100, 100, 5));
    ck_assert_str_eq(proposed(), "12");
}
END_TEST

/* ---- who goes ------------------------------------------------------------------------
 */

START_TEST(whoever_falls_behind_goes_when_the_controller_says_so)
{
    int32_t left[] = {1, 2};

    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(!leader_is_unsettled(l, 100)); /* nothing to wait for */
    fetch(2, 120, 120, 120, 900);
    ck_assert(leader_is_ahead(l, 120));
    ck_assert(leader_is_unsettled(l, 120));
    ck_assert(!propose(120, 100, 1000));
    ck_assert(propose(120, 100, 1001));
    ck_assert_str_eq(proposed(), "12");
    ck_assert_int_eq(leader_watermark(l, 120, 100, 1), 100); /* not yet */
    ck_assert(!propose(120, 100, 1002));                     /* one at a time */
    ck_assert(leader_is_unsettled(l, 100));
    leader_answered(l, STATUS_OK, record.partition_epoch + 1, left, 2);
    ck_assert_int_eq(leader_watermark(l, 120, 100, 1), 120);
    ck_assert(leader_has_outsiders(l));
    ck_assert(!leader_is_unsettled(l, 120)); /* it will come by itself */
}
END_TEST

/* The watermark stands, so it holds everything below it for ever; that is no reason to
 * take it back. Catching up is one. */
START_TEST(whoever_has_gone_comes_back_when_it_moves)
{
    int32_t left[] = {1};

    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(propose(120, 100, LAG_MS + 1));
    ck_assert_str_eq(proposed(), "1");
    leader_answered(l, STATUS_OK, record.partition_epoch + 1, left, 1);
    ck_assert(!propose(120, 100, LAG_MS + 2));
    fetch(2, 110, 110, 120, LAG_MS + 3);
    ck_assert(!propose(120, 100, LAG_MS + 4));
    fetch(2, 120, 120, 130, LAG_MS + 5);
    ck_assert(propose(130, 100, LAG_MS + 6));
    ck_assert_str_eq(proposed(), "12");
}
END_TEST

START_TEST(whoever_has_everything_stays_however_silent)
{
    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(!propose(100, 100, 1000000));
}
END_TEST

/* It always reaches what we had at its fetch before, and that is not long ago. */
START_TEST(whoever_keeps_up_stays_though_never_at_the_end)
{
    int64_t end = 100;

    lead("12");
    for (int64_t ms = 0; ms < 10 * LAG_MS; ms += 100, end += 50) {
        fetch(2, end - 50, end - 100, end, ms);
        ck_assert(!propose(end, 0, ms));
        leader_on_ack(l, 2, 20, end - 50);
    }
}
END_TEST

START_TEST(whoever_fetches_but_never_writes_goes)
{
    lead("12");
    fetch(2, 100, 100, 100, 0);
    for (int64_t ms = 1; ms < LAG_MS; ms += 100) {
        fetch(2, 100 + ms, 100, 100 + ms, ms);
        ck_assert(!propose(100 + ms, 100, ms));
    }
    ck_assert(propose(5000, 100, LAG_MS + 2));
    ck_assert_str_eq(proposed(), "1");
}
END_TEST

/* ---- metadata and answers ------------------------------------------------------------
 */

START_TEST(larger_partition_epoch_wins)
{
    int32_t both[] = {1, 2};

    lead("12");
    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(propose(100, 100, 2));
    set_in_sync("1"); /* meanwhile the controller has fenced 2 */
    leader_update(l, &record, at(3));
    leader_answered(l, STATUS_OK, record.partition_epoch - 1, both, 2);
    fetch(3, 100, 100, 120, 4);
    ck_assert_int_eq(leader_watermark(l, 120, 0, 1), 120);
    record.partition_epoch--;
    leader_update(l, &record, at(5)); /* old news */
    ck_assert_int_eq(leader_watermark(l, 120, 0, 1), 120);
}
END_TEST

/* The answer may tell of a reassignment's epoch before the metadata tells whom it adds:
 * he is taken in all the same, and nothing that was proposed since is forgotten. */
START_TEST(replicas_come_with_the_metadata)
{
    int32_t more[] = {1, 2, 3, 4}, both[] = {1, 2};

    lead("12");
    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(propose(100, 100, 2));
    leader_answered(l, STATUS_OK, record.partition_epoch + 1, both, 2);
    ck_assert(propose(100, 100, 3));
    ck_assert(!fetch(4, 100, 100, 100, 4));
    record.replicas = more;
    record.replica_count = 4;
    set_in_sync("12");
    leader_update(l, &record, at(5));
    ck_assert(fetch(4, 100, 100, 100, 6));
    ck_assert(leader_has_outsiders(l));
    ck_assert(!propose(100, 100, 7)); /* one is under way */
    ck_assert_int_eq(leader_watermark(l, 120, 0, 1), 100);
}
END_TEST

/* Asking again is of no use before the metadata has told; afterwards it is. */
START_TEST(overtaken_proposal_waits_for_the_metadata)
{
    lead("12");
    fetch(2, 100, 100, 100, 1);
    fetch(3, 100, 100, 100, 1);
    ck_assert(propose(100, 100, 2));
    leader_answered(l, STATUS_INVALID_UPDATE_VERSION, 0, NULL, 0);
    ck_assert(!propose(100, 100, 3));
    set_in_sync("12");
    leader_update(l, &record, at(4));
    ck_assert(propose(100, 100, 5));
    /* And if the metadata was quicker than the answer, nothing is waited for. */
    set_in_sync("12");
    leader_update(l, &record, at(6));
    leader_answered(l, STATUS_INVALID_UPDATE_VERSION, 0, NULL, 0);
    ck_assert(propose(100, 100, 7));
}
END_TEST

/* After an unclean election the leader first says that its log is whole; nobody comes in
 * before that is committed. */
START_TEST(recovery_comes_before_company)
{
    int32_t alone[] = {1};

    lead("1");
    record.recovering = true;
    set_in_sync("1");
    leader_update(l, &record, at(0));
    fetch(2, 100, 100, 100, 1);
    ck_assert(propose(100, 100, 2));
    ck_assert_str_eq(proposed(), "1");
    ck_assert(proposal.recovered);
    leader_answered(l, STATUS_OK, record.partition_epoch + 1, alone, 1);
    ck_assert(propose(100, 100, 3));
    ck_assert_str_eq(proposed(), "12");
    ck_assert(!proposal.recovered);
}
END_TEST

/* ---- under a storm -------------------------------------------------------------------
 */

/* A follower in truth, and the controller's truth, which the leader only hears of. */
struct follower {
    int64_t epoch, matched, durable;
    bool active;
};

struct message {
    enum { FETCH, ACK, ALTER, ANSWER, METADATA } kind;
    int32_t id;
    int64_t epoch, offset, durable, our_end;
    int32_t partition_epoch, leader_partition_epoch;
    enum status status;
    struct leader_proposal proposal;
    int32_t set[BROKERS];
    size_t count;
};

enum { ON_ITS_WAY_MAX = 24 };

struct storm {
    struct prng random;
    struct follower f[BROKERS + 1];
    int64_t end, durable, high_watermark;
    int32_t true_in_sync[BROKERS];
    size_t true_count;
    int32_t true_epoch;
    struct message way[ON_ITS_WAY_MAX];
    size_t count;
    int64_t ms;
    uint64_t commits, joins, leaves;
};

static uint64_t roll(struct storm *s, uint64_t n)
{
    return prng_below(&s->random, n);
}

static void post(struct storm *s, const struct message *m)
{
    if (s->count < ON_ITS_WAY_MAX)
        s->way[s->count++] = *m;
}

static bool truly_in_sync(const struct storm *s, int32_t id)
{
    return image_has(s->true_in_sync, s->true_count, id);
}

static void set_truth(struct storm *s, const int32_t *set, size_t count)
{
    struct message m = {.kind = METADATA};

    s->true_count = count;
    memcpy(s->true_in_sync, set, count * sizeof *set);
    s->true_epoch++;
    m.partition_epoch = s->true_epoch;
    m.count = count;
    memcpy(m.set, set, count * sizeof *set);
    post(s, &m);
}

/* The rule that all is about: who may be elected holds what was called safe. */
static void check_truth(const struct storm *s, uint64_t seed)
{
    if (s->high_watermark > s->durable)
        ck_abort_msg("seed %llu: safe, but not on our own disk",
                     (unsigned long long)seed);
    for (size_t i = 0; i < s->true_count; i++) {
        int32_t id = s->true_in_sync[i];

        if (id != 1 && s->f[id].durable < s->high_watermark)
            ck_abort_msg("seed %llu: %d holds %lld of %lld", (unsigned long long)seed, id,
                         (long long)s->f[id].durable, (long long)s->high_watermark);
    }
}

static void leave(struct storm *s, int32_t id)
{
    int32_t left[BROKERS];
    size_t count = 0;

    if (!truly_in_sync(s, id))
        return;
    for (size_t i = 0; i < s->true_count; i++)
        if (s->true_in_sync[i] != id)
            left[count++] = s->true_in_sync[i];
    set_truth(s, left, count);
}

/* The controller decides, in the order of D11. */
static void decide(struct storm *s, const struct message *m)
{
    struct message answer = {.kind = ANSWER, .status = STATUS_OK};

    if (m->proposal.partition_epoch < s->true_epoch) {
        bool same = m->proposal.count == s->true_count;

        for (size_t i = 0; i < m->proposal.count; i++)
            same = same && truly_in_sync(s, m->proposal.in_sync[i]);
        answer.status = same ? STATUS_OK : STATUS_INVALID_UPDATE_VERSION;
    } else {
        for (size_t i = 0; i < m->proposal.count; i++) {
            int32_t id = m->proposal.in_sync[i];

            if (id != 1 && (!s->f[id].active || s->f[id].epoch != m->proposal.epochs[i]))
                answer.status = STATUS_INELIGIBLE_REPLICA;
        }
        if (!answer.status) {
            s->joins += m->proposal.count > s->true_count;
            s->leaves += m->proposal.count < s->true_count;
            set_truth(s, m->proposal.in_sync, m->proposal.count);
        }
    }
    answer.partition_epoch = s->true_epoch;
    answer.count = s->true_count;
    memcpy(answer.set, s->true_in_sync, sizeof answer.set);
    if (m->id == 0) /* else the asker has given up waiting */
        post(s, &answer);
}

static void arrive(struct storm *s, const struct message *m)
{
    switch (m->kind) {
    case FETCH: fetch_as(m->id, m->epoch, m->offset, m->durable, s->end, s->ms); break;
    case ACK: leader_on_ack(l, m->id, m->epoch, m->durable); break;
    case ALTER: decide(s, m); break;
    case ANSWER:
        leader_answered(l, m->status, m->partition_epoch, m->set, m->count);
        break;
    case METADATA:
        record.partition_epoch = m->partition_epoch;
        record.in_sync_count = m->count;
        memcpy(in_sync, m->set, sizeof in_sync);
        for (int32_t id = 2; id < BROKERS; id++) {
            brokers[id - 1].epoch = s->f[id].epoch;
            brokers[id - 1].state = s->f[id].active ? BROKER_ACTIVE : BROKER_FENCED;
        }
        leader_update(l, &record, at(s->ms));
        break;
    }
}

static void follow(struct storm *s, int32_t id)
{
    struct follower *x = &s->f[id];

    switch (roll(s, 6)) {
    case 0: /* what it asked for arrives */
        if (x->matched < s->end)
            x->matched += 1 + (int64_t)roll(s, (uint64_t)(s->end - x->matched));
        break;
    case 1: x->durable = x->matched; break;
    case 2:
    case 3:
        post(s, &(struct message){.kind = FETCH,
                                  .id = id,
                                  .epoch = x->epoch,
                                  .offset = x->matched,
                                  .durable = x->durable});
        break;
    case 4:
        post(s, &(struct message){
                    .kind = ACK, .id = id, .epoch = x->epoch, .durable = x->durable});
        break;
    case 5:
        if (roll(s, 4) > 0)
            break;
        x->active = !x->active;
        if (!x->active) {
            leave(s, id);
        } else if (roll(s, 2) == 0) { /* another process, perhaps with an empty disk */
            x->epoch++;
            x->durable = roll(s, 2) ? 0 : x->durable;
            x->matched = x->durable;
            leave(s, id);
        }
        break;
    }
}

static void storm_turn(struct storm *s)
{
    struct message m = {.kind = ALTER};
    int64_t before = s->high_watermark;

    s->ms += (int64_t)roll(s, 40);
    switch (roll(s, 5)) {
    case 0: s->end += roll(s, 4) == 0 ? (int64_t)roll(s, 10) : 0; break;
    case 1: s->durable = s->end; break;
    case 2:
    case 3: follow(s, 2 + (int32_t)roll(s, 2)); break;
    case 4:
        if (s->count > 0) { /* in any order; and now and then twice */
            size_t i = roll(s, s->count);

            m = s->way[i];
            if (roll(s, 6) > 0 || m.kind == ANSWER || m.kind == ALTER)
                s->way[i] = s->way[--s->count];
            arrive(s, &m);
        }
        break;
    }
    if (s->count < ON_ITS_WAY_MAX - 4 && propose(s->end, s->high_watermark, s->ms)) {
        m = (struct message){.kind = ALTER, .id = roll(s, 4) == 0, .proposal = proposal};
        post(s, &m);
        if (m.id != 0)
            leader_answered(l, STATUS_TIMED_OUT, 0, NULL, 0);
    }
    s->high_watermark = leader_watermark(l, s->durable, s->high_watermark, 1);
    s->commits += s->high_watermark > before;
}

START_TEST(what_is_safe_is_on_all_disks_that_count)
{
    const char *one = getenv("SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t commits = 0, joins = 0, leaves = 0;

    for (uint64_t seed = first; seed < first + (one ? 1 : 4000); seed++) {
        struct storm s = {.end = 100, .durable = 100, .true_count = 3};

        prng_init(&s.random, seed);
        lead("123");
        s.true_epoch = record.partition_epoch;
        memcpy(s.true_in_sync, in_sync, sizeof in_sync);
        for (int32_t id = 2; id < BROKERS; id++)
            s.f[id] = (struct follower){10 * id, 100, 100, true};
        for (int i = 0; i < 1500; i++) {
            storm_turn(&s);
            check_truth(&s, seed);
        }
        commits += s.commits;
        joins += s.joins;
        leaves += s.leaves;
    }
    /* The storm was not a calm. */
    if (one == NULL) {
        ck_assert_uint_gt(commits, 10000);
        ck_assert_uint_gt(joins, 400);
        ck_assert_uint_gt(leaves, 1000);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("leader");
    TCase *c = tcase_create("leader");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, begin, end);
    tcase_set_timeout(c, 0);
    tcase_add_test(c, both_sides_of_the_evidence_must_meet);
    tcase_add_test(c, fetch_does_not_take_back_what_was_acknowledged);
    tcase_add_test(c, nothing_counts_before_a_fetch_was_found_right);
    tcase_add_test(c, strangers_and_ourselves_do_not_count);
    tcase_add_test(c, another_process_begins_with_nothing);
    tcase_add_test(c, watermark_waits_for_all_in_sync_and_never_goes_back);
    tcase_add_test(c, watermark_stands_below_the_minimum);
    tcase_add_test(c, only_those_come_in_who_hold_what_was_committed);
    tcase_add_test(c, only_the_process_that_is_known_comes_in);
    tcase_add_test(c, whoever_may_come_in_counts_at_once);
    tcase_add_test(c, whoever_may_come_in_is_waited_for);
    tcase_add_test(c, what_may_still_arrive_is_made_void);
    tcase_add_test(c, repetition_names_the_process_that_was_looked_at);
    tcase_add_test(c, whoever_falls_behind_goes_when_the_controller_says_so);
    tcase_add_test(c, whoever_has_gone_comes_back_when_it_moves);
    tcase_add_test(c, whoever_has_everything_stays_however_silent);
    tcase_add_test(c, whoever_keeps_up_stays_though_never_at_the_end);
    tcase_add_test(c, whoever_fetches_but_never_writes_goes);
    tcase_add_test(c, larger_partition_epoch_wins);
    tcase_add_test(c, replicas_come_with_the_metadata);
    tcase_add_test(c, overtaken_proposal_waits_for_the_metadata);
    tcase_add_test(c, recovery_comes_before_company);
    tcase_add_test(c, what_is_safe_is_on_all_disks_that_count);
    suite_add_tcase(s, c);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
