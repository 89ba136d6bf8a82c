/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a partition's record, from seeds: brokers fall silent, come back, lose
 * their disks; logs break and open again; leaders propose who is in sync; operators move
 * replicas and think better of it. Beside it we keep what the record only speaks about:
 * what each broker really has. Whoever is in sync or eligible must have everything that
 * was ever committed, whatever happens, so no election without consent can lose a record
 * (KIP-966). */
#include "broker/core/cluster/elect.h"
#include "proto/base/prng.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

enum { BROKERS = 6, STEPS = 300, SEEDS = 800 };

static struct image_broker brokers[BROKERS];
static struct image image;
static struct draft record; /* only its `p` counts */
static bool has_all[BROKERS + 1];
static bool broken[BROKERS + 1]; /* its log does not open */
static int32_t minimum;
static struct prng prng;
static char story[64];

static int32_t some_broker(void)
{
    return 1 + (int32_t)prng_below(&prng, BROKERS);
}

static bool is_active(int32_t id)
{
    return brokers[id - 1].state == BROKER_ACTIVE;
}

static int32_t effective_minimum(void)
{
    int32_t most = (int32_t)(record.p.replica_count - record.p.adding_count);

    return minimum < most ? minimum : most;
}

static struct elect_rules rules(void)
{
    struct elect_rules r = {.image = &image, .min_in_sync = effective_minimum()};

    for (int32_t id = 1; id <= BROKERS; id++)
        if (broken[id])
            r.faulty[r.faulty_count++] = id;
    return r;
}

static bool in_sync(int32_t id)
{
    return image_has(record.p.in_sync, record.p.in_sync_count, id);
}

static bool eligible(int32_t id)
{
    return image_has(record.p.eligible, record.p.eligible_count, id);
}

static bool replica(int32_t id)
{
    return image_has(record.p.replicas, record.p.replica_count, id);
}

/* ---- what must always be true --------------------------------------------------------
 */

static void require(bool holds, const char *what, int32_t id)
{
    if (!holds)
        ck_abort_msg("%s: broker %d %s", story, id, what);
}

static void check_record(void)
{
    const struct image_partition *p = &record.p;

    for (int32_t id = 1; id <= BROKERS; id++) {
        require(!in_sync(id) || has_all[id], "is in sync and lacks some", id);
        require(!eligible(id) || has_all[id], "is eligible and lacks some", id);
        require(!in_sync(id) || !eligible(id), "is in sync and eligible", id);
        require(replica(id) || (!in_sync(id) && !eligible(id)), "is a stranger", id);
    }
    require(p->leader < 0 ||
                (in_sync(p->leader) && is_active(p->leader) && !broken[p->leader]),
            "cannot lead", p->leader);
    require(p->replica_count > p->adding_count, "and nobody else is left", p->leader);
    require(p->in_sync_count + p->eligible_count > 0, "and nobody could lead", p->leader);
}

/* Somebody who could lead is up, so somebody leads. */
static void check_led(void)
{
    for (int32_t id = 1; id <= BROKERS && record.p.leader < 0; id++)
        require(!is_active(id) || broken[id] || (!in_sync(id) && !eligible(id)),
                "could lead, and nobody does", id);
}

static void commit_record(struct draft *d)
{
    const struct image_partition before = record.p;
    bool changed = draft_finish(d, &before);
    bool removed = false;

    for (size_t i = 0; i < before.replica_count; i++)
        removed |= !image_has(d->p.replicas, d->p.replica_count, before.replicas[i]);
    require(d->p.partition_epoch == before.partition_epoch + changed,
            "leads, and the partition epoch is wrong", d->p.leader);
    require(d->p.leader_epoch ==
                before.leader_epoch + (d->p.leader != before.leader || removed),
            "leads, and its epoch is wrong", d->p.leader);
    draft_init(&record, &d->p);
    for (int32_t id = 1; id <= BROKERS; id++)
        has_all[id] = has_all[id] && replica(id); /* a removed replica is deleted */
    for (int32_t id = 1; id <= BROKERS; id++)
        broken[id] = broken[id] && replica(id);
    check_record();
}

/* ---- what may happen -----------------------------------------------------------------
 */

static void falls_silent(int32_t id)
{
    struct elect_rules r = rules();
    struct draft d;

    brokers[id - 1].state = BROKER_FENCED;
    draft_init(&d, &record.p);
    r.gone = id;
    draft_leave(&d, id, false, &r);
    draft_elect(&d, &r);
    commit_record(&d);
}

static bool others_have_all(int32_t id)
{
    for (int32_t other = 1; other <= BROKERS; other++)
        if (other != id && (in_sync(other) || eligible(other)))
            return true;
    return false;
}

/* Damaged, or the disk is short of something. Of the last who has all an operator brings
 * the files back. */
static void log_breaks(int32_t id)
{
    bool damaged = prng_below(&prng, 2) > 0;
    struct elect_rules r;
    struct draft d;

    broken[id] = true;
    has_all[id] &= !damaged || !others_have_all(id);
    r = rules();
    draft_init(&d, &record.p);
    draft_fail(&d, id, damaged, &r);
    draft_elect(&d, &r);
    commit_record(&d);
    check_led();
}

static void log_opens(int32_t id)
{
    struct elect_rules r;
    struct draft d;

    broken[id] = false;
    r = rules();
    draft_init(&d, &record.p);
    draft_elect(&d, &r);
    commit_record(&d);
    check_led();
}

/* As long as somebody else has all; else nothing could go on. */
static void loses_its_disk(int32_t id)
{
    struct elect_rules r = rules();
    struct draft d;

    if (!others_have_all(id))
        return;
    broken[id] = false;
    brokers[id - 1].state = BROKER_FENCED;
    has_all[id] = false;
    draft_init(&d, &record.p);
    r.gone = id;
    draft_leave(&d, id, true, &r);
    draft_elect(&d, &r);
    commit_record(&d);
}

static void comes_back(int32_t id)
{
    struct elect_rules r = rules();
    struct draft d;

    draft_init(&d, &record.p);
    r.come = id;
    draft_elect(&d, &r);
    brokers[id - 1].state = BROKER_ACTIVE;
    commit_record(&d);
    check_led();
}

/* A record is committed when all in sync have it, and enough are. */
static void commits(void)
{
    if (record.p.leader < 0 || (int32_t)record.p.in_sync_count < effective_minimum())
        return;
    for (int32_t id = 1; id <= BROKERS; id++)
        has_all[id] = in_sync(id);
    check_record();
}

static void leader_proposes(void)
{
    int32_t wanted[BROKERS];
    struct elect_rules r = rules();
    struct draft d;
    size_t count = 0;

    if (record.p.leader < 0)
        return;
    for (size_t i = 0; i < record.p.replica_count; i++) {
        int32_t id = record.p.replicas[i];

        if (id == record.p.leader ||
            (has_all[id] && is_active(id) && !broken[id] && prng_below(&prng, 3) > 0))
            wanted[count++] = id;
    }
    draft_init(&d, &record.p);
    draft_in_sync(&d, wanted, count, &r);
    commit_record(&d);
}

static void moves(void)
{
    int32_t target[BROKERS], wanted = 1 + (int32_t)prng_below(&prng, 4);
    struct elect_rules r = rules();
    struct draft d;
    size_t count = 0;

    while ((int32_t)count < wanted) {
        int32_t id = some_broker();

        if (!image_has(target, count, id))
            target[count++] = id;
    }
    draft_init(&d, &record.p);
    require(draft_move(&d, target, count, &r) || record.p.adding_count > 0,
            "leads, and a first move is refused", record.p.leader);
    commit_record(&d);
}

static void move_ends(bool cancelled)
{
    struct elect_rules r = rules();
    struct draft d;

    draft_init(&d, &record.p);
    if (cancelled)
        draft_cancel(&d, &r);
    else if (draft_settle(&d, &r))
        draft_elect(&d, &r);
    commit_record(&d);
}

static void goes_home(void)
{
    struct elect_rules r = rules();
    struct draft d;

    draft_init(&d, &record.p);
    require(!draft_prefer(&d, &r) || d.p.leader == record.p.replicas[0],
            "leads, and is not preferred", d.p.leader);
    commit_record(&d);
}

static void step(void)
{
    int32_t id = some_broker();

    switch (prng_below(&prng, 14)) {
    case 0:
    case 1:
        if (is_active(id))
            falls_silent(id);
        break;
    case 2: loses_its_disk(id); break;
    case 3:
    case 4:
        if (!is_active(id))
            comes_back(id);
        break;
    case 5: /* catches up with the leader */
        has_all[id] |=
            record.p.leader >= 0 && is_active(id) && replica(id) && !broken[id];
        break;
    case 6: moves(); break;
    case 7: move_ends(false); break;
    case 8: move_ends(true); break;
    case 9: goes_home(); break;
    case 10: commits(); break;
    case 11:
        if (replica(id))
            log_breaks(id);
        break;
    case 12:
        if (broken[id])
            log_opens(id);
        break;
    default: leader_proposes(); break;
    }
}

static void begin(int seed)
{
    static int32_t first[] = {1, 2, 3};
    const struct image_partition p = {.replicas = first,
                                      .replica_count = 3,
                                      .in_sync = first,
                                      .in_sync_count = 3,
                                      .leader = 1,
                                      .leader_epoch = 1};

    prng_init(&prng, (uint64_t)seed);
    image_init(&image);
    image.brokers = brokers;
    image.broker_count = BROKERS;
    for (int32_t id = 1; id <= BROKERS; id++) {
        brokers[id - 1] = (struct image_broker){.node_id = id, .state = BROKER_ACTIVE};
        has_all[id] = id <= 3;
        broken[id] = false;
    }
    minimum = 1 + (int32_t)prng_below(&prng, 3);
    draft_init(&record, &p);
}

START_TEST(nobody_leads_who_lacks_what_was_committed)
{
    for (int seed = _i * SEEDS; seed < (_i + 1) * SEEDS; seed++) {
        begin(seed);
        for (int n = 0; n < STEPS; n++) {
            snprintf(story, sizeof story, "seed %d step %d", seed, n);
            step();
        }
    }
}
END_TEST

/* ---- single scenes -------------------------------------------------------------------
 */

static void set_record(size_t in_sync_count, size_t eligible_count, int32_t leader)
{
    static int32_t all[] = {1, 2, 3};
    const struct image_partition p = {.replicas = all,
                                      .replica_count = 3,
                                      .in_sync = all,
                                      .in_sync_count = in_sync_count,
                                      .eligible = all + in_sync_count,
                                      .eligible_count = eligible_count,
                                      .leader = leader,
                                      .leader_epoch = 4};

    draft_init(&record, &p);
}

/* The last one in sync falls silent: it stays eligible, and when another comes up that
 * held nothing, the partition waits; unless somebody accepts the loss. */
START_TEST(an_outsider_leads_only_where_loss_is_accepted)
{
    struct elect_rules r;
    struct draft d;

    begin(1);
    minimum = 1;
    set_record(1, 0, 1);
    brokers[0].state = BROKER_FENCED;
    r = rules();
    draft_init(&d, &record.p);
    draft_leave(&d, 1, false, &r);
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, -1);
    ck_assert_int_eq(d.p.last_leader, 1);
    ck_assert_uint_eq(d.p.in_sync_count, 0);
    ck_assert(image_has(d.p.eligible, d.p.eligible_count, 1));
    ck_assert(!d.p.recovering);

    r.unclean = true;
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, 2);
    ck_assert_uint_eq(d.p.in_sync_count, 1);
    ck_assert_uint_eq(d.p.eligible_count, 0);
    ck_assert(d.p.recovering);
}
END_TEST

/* A damaged log is lost where another one is whole; the last one waits for its files, and
 * nobody who lacks some takes its place. */
START_TEST(the_last_whole_log_is_waited_for_even_if_it_does_not_open)
{
    struct elect_rules r;
    struct draft d;

    begin(1);
    minimum = 2;
    set_record(2, 0, 1);
    broken[1] = true;
    r = rules();
    draft_init(&d, &record.p);
    draft_fail(&d, 1, true, &r);
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, 2);
    ck_assert_uint_eq(d.p.eligible_count, 0);

    broken[2] = true;
    r = rules();
    draft_fail(&d, 2, true, &r);
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, -1);
    ck_assert(image_has(d.p.eligible, d.p.eligible_count, 2));

    broken[1] = broken[2] = false;
    r = rules();
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, 2);
}
END_TEST

/* One that may open later is like one that is silent: eligible while too few are in sync.
 */
START_TEST(a_log_that_may_open_later_stays_eligible)
{
    struct elect_rules r;
    struct draft d;

    begin(1);
    minimum = 2;
    set_record(2, 0, 1);
    broken[1] = true;
    r = rules();
    draft_init(&d, &record.p);
    draft_fail(&d, 1, false, &r);
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, 2);
    ck_assert(image_has(d.p.eligible, d.p.eligible_count, 1));
}
END_TEST

/* Only a replica that a move brought holds everything: no other target may drop it. */
START_TEST(another_target_does_not_drop_the_last_who_has_all)
{
    struct elect_rules r;
    struct draft d;

    begin(1);
    minimum = 1;
    set_record(3, 0, 1);
    r = rules();
    draft_init(&d, &record.p);
    ck_assert(draft_move(&d, (int32_t[]){4, 5}, 2, &r));
    draft_in_sync(&d, (int32_t[]){4}, 1, &r);
    brokers[0].state = brokers[1].state = brokers[2].state = BROKER_FENCED;
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, 4);
    ck_assert(!draft_move(&d, (int32_t[]){5, 6}, 2, &r));
    ck_assert(!draft_cancel(&d, &r));
    ck_assert(draft_move(&d, (int32_t[]){6, 4}, 2, &r));
    ck_assert_int_eq(d.p.leader, 4);
}
END_TEST

/* With consent, too, who holds everything comes first. */
START_TEST(consent_to_loss_costs_nothing_while_somebody_has_all)
{
    struct elect_rules r;
    struct draft d;

    begin(1);
    minimum = 2;
    set_record(1, 1, 1);
    brokers[0].state = BROKER_FENCED;
    r = rules();
    r.unclean = true;
    draft_init(&d, &record.p);
    draft_leave(&d, 1, false, &r);
    draft_elect(&d, &r);
    ck_assert_int_eq(d.p.leader, 2); /* the eligible one, not 3 */
    ck_assert(!d.p.recovering);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elect");
    TCase *life = tcase_create("life"), *scenes = tcase_create("scenes");
    SRunner *runner;
    int failed;

    tcase_set_timeout(life, 60);
    tcase_add_loop_test(life, nobody_leads_who_lacks_what_was_committed, 0, 10);
    tcase_add_test(scenes, an_outsider_leads_only_where_loss_is_accepted);
    tcase_add_test(scenes, the_last_whole_log_is_waited_for_even_if_it_does_not_open);
    tcase_add_test(scenes, a_log_that_may_open_later_stays_eligible);
    tcase_add_test(scenes, another_target_does_not_drop_the_last_who_has_all);
    tcase_add_test(scenes, consent_to_loss_costs_nothing_while_somebody_has_all);
    suite_add_tcase(suite, life);
    suite_add_tcase(suite, scenes);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
