/* SPDX-License-Identifier: Apache-2.0
 *
 * A leader and its followers, as whole brokers: what is acknowledged is on every disk
 * that counts, and nobody who counts is forgotten. */
#include "tests/unit/broker/replication/fleet.h"

#include "proto/record/batch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fleet *f;

static void begin_with(unsigned shards)
{
    f = fleet_new(4, shards);
    fleet_create(f, "t", (const int32_t[]){2, 3, 4}, 3, "2");
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3,4");
}

static void begin(void)
{
    begin_with(1);
}

static void begin_on_two_shards(void)
{
    begin_with(2);
}

static void end(void)
{
    fleet_free(f);
}

static const char *said(int32_t node_id)
{
    return fake_wire_said(fleet_wire(f, node_id));
}

/* What the newest produce request was told. */
static const char *produced(int32_t node_id)
{
    const char *text = said(node_id);

    return strstr(text, "error=") ? strstr(text, "error=") : *text ? "safe" : "waits";
}

static void fetch(int32_t node_id, const char *rack, int64_t offset, int32_t leader_epoch,
                  int32_t last_epoch)
{
    Leat__FetchRequest m = LEAT__FETCH_REQUEST__INIT;
    Leat__FetchTopic t = LEAT__FETCH_TOPIC__INIT, *topics[] = {&t};
    Leat__FetchPartition p = LEAT__FETCH_PARTITION__INIT, *list[] = {&p};

    p.offset = offset;
    p.leader_epoch = leader_epoch;
    p.last_epoch = last_epoch;
    p.max_bytes = 1 << 20;
    t.name = "t";
    t.partitions = list;
    t.n_partitions = 1;
    m.topics = topics;
    m.n_topics = 1;
    m.max_bytes = 1 << 20;
    m.rack = (char *)rack;
    fake_wire_ask(fleet_wire(f, node_id), 0, RPC_FETCH, &m.base, (struct bytes){0});
    fleet_pass_ms(f, 1);
}

START_TEST(records_reach_all_disks_before_they_are_safe)
{
    fleet_hold_disk(f, 4, true);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 100);
    ck_assert_str_eq(produced(2), "waits");
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..0/3");
    ck_assert_str_eq(fleet_log(f, 4, "t"), "0..0/3");
    fleet_hold_disk(f, 4, false);
    fleet_pass_ms(f, 1);
    ck_assert_str_eq(produced(2), "safe");
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..3/3");
}
END_TEST

/* It must hear that its log is the leader's before what becomes durable of it counts, so
 * its first fetch does not wait for records, which may be long in coming. */
START_TEST(who_follows_anew_hears_at_once_where_it_stands)
{
    fleet_move(f, "t", (const int32_t[]){3, 2, 4}, 3);
    fleet_pass_ms(f, 1000);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 10);
    ck_assert_str_eq(fleet_log(f, 4, "t"), "0..0/3");
    fleet_elect(f, "t", false);
    fleet_pass_ms(f, 120);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 3 epoch 4 in-sync 2,3,4");
    ck_assert_str_eq(fleet_log(f, 4, "t"), "0..3/3");
}
END_TEST

/* The leader's own disk is one that counts, too. */
START_TEST(leader_waits_for_its_own_disk)
{
    fleet_hold_disk(f, 2, true);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 100);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..0/3");
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..0/3");
    fleet_hold_disk(f, 2, false);
    fleet_pass_ms(f, 1);
    ck_assert_str_eq(produced(2), "safe");
}
END_TEST

/* The one that goes had a replica to put out as well; the other one still does. */
START_TEST(a_topic_may_go_while_its_set_is_about_to_change)
{
    fleet_create(f, "u", (const int32_t[]){2, 3, 4}, 3, "2");
    fleet_cut(f, 2, 4);
    fleet_produce(f, 2, "u", 3);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 2500);
    ask_delete(fleet_wire(f, 1), "u");
    fleet_pass_ms(f, 2000);
    ck_assert_ptr_null(fleet_partition(f, 2, "u"));
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3");
}
END_TEST

/* Followers learn what is safe with their next fetch. */
START_TEST(followers_learn_the_watermark)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..3/3");
    ck_assert_str_eq(fleet_log(f, 4, "t"), "0..3/3");
}
END_TEST

START_TEST(whoever_stays_away_is_not_waited_for_and_comes_back)
{
    fleet_cut(f, 2, 4);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 2900);
    ck_assert_str_eq(produced(2), "waits");
    fleet_pass_ms(f, 1500);
    ck_assert_str_eq(produced(2), "safe");
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3");
    fleet_heal(f);
    fleet_pass_ms(f, 3000);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3,4");
    ck_assert_str_eq(fleet_log(f, 4, "t"), "0..3/3");
}
END_TEST

/* Its network is fine, and it fetches ahead; but nothing of it gets to its disk. */
START_TEST(whoever_never_writes_falls_behind)
{
    fleet_hold_disk(f, 4, true);
    for (int i = 0; i < 50; i++) {
        fleet_produce(f, 2, "t", 1);
        fleet_pass_ms(f, 100);
    }
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3");
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..50/50");
    fleet_hold_disk(f, 4, false);
    fleet_pass_ms(f, 1000);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3,4");
}
END_TEST

START_TEST(too_few_disks_refuse_records_beforehand)
{
    fleet_stop(f, 3);
    fleet_stop(f, 4);
    fleet_pass_ms(f, 5000);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2");
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 10);
    ck_assert_ptr_nonnull(strstr(said(2), "NOT_ENOUGH_REPLICAS"));
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..0/0");
    fleet_start(f, 3);
    fleet_pass_ms(f, 3000);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 10);
    ck_assert_str_eq(produced(2), "safe");
}
END_TEST

/* Records that came when there were enough, and then the others went. */
START_TEST(stopping_leader_answers_who_waits_for_others)
{
    fleet_cut(f, 2, 3);
    fleet_cut(f, 2, 4);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 4500);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2");
    ck_assert_str_eq(produced(2), "waits");
    fleet_stop(f, 2);
    ck_assert_ptr_nonnull(strstr(said(2), "SHUTTING_DOWN"));
    fleet_start(f, 2);
}
END_TEST

/* Alone with the controller out of reach, the old leader can write but not commit; what
 * it wrote is cut when it follows. */
START_TEST(what_a_lost_leader_wrote_is_cut)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    said(2);
    fleet_cut(f, 2, 1);
    fleet_cut(f, 2, 3);
    fleet_cut(f, 2, 4);
    fleet_produce(f, 2, "t", 5);
    fleet_pass_ms(f, 4000);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..3/8");
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 3 epoch 4 in-sync 3,4");
    fleet_produce(f, 3, "t", 1);
    fleet_pass_ms(f, 10);
    ck_assert_str_eq(produced(3), "safe");
    /* It has not been heard for so long that it does not believe in itself any more. */
    fleet_produce(f, 2, "t", 1);
    fleet_heal(f);
    fleet_pass_ms(f, 3000);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..4/4");
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 3 epoch 4 in-sync 2,3,4");
    ck_assert_ptr_nonnull(strstr(said(2), "NOT_LEADER"));
}
END_TEST

/* A new process leads nothing before it was given it anew: not even while it reads in the
 * metadata what was given to the one before it. */
START_TEST(old_leaderships_end_with_their_process)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    fleet_stop(f, 2);
    fleet_start(f, 2);
    for (int i = 0; i < 1000; i++) {
        const struct partition *p = fleet_partition(f, 2, "t");

        ck_assert(p == NULL || p->role != ROLE_LEADER);
        fleet_pass_ms(f, 1);
    }
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 3 epoch 4 in-sync 2,3,4");
}
END_TEST

/* The new leader knows what is safe only after it has heard of the others. */
START_TEST(new_leader_does_not_tell_the_end_before_it_knows)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 10);
    fleet_cut(f, 3, 4);
    fleet_stop(f, 2);
    fleet_pass_ms(f, 2500);
    said(3);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..0/3");
    ask_list(fleet_wire(f, 3), "t", 0, -1);
    fleet_pass_ms(f, 1);
    ck_assert_ptr_nonnull(strstr(said(3), "error=OFFSET_NOT_AVAILABLE"));
    ask_list(fleet_wire(f, 3), "t", 0, -2);
    fleet_pass_ms(f, 1);
    ck_assert_ptr_null(strstr(said(3), "error"));
    fetch(3, "", 3, 0, 0); /* a consumer that was told more by the leader before */
    ck_assert_ptr_null(strstr(said(3), "error"));
    fleet_heal(f);
    fleet_pass_ms(f, 3000); /* what the net has swallowed must time out first */
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..3/3");
    ask_list(fleet_wire(f, 3), "t", 0, -1);
    fleet_pass_ms(f, 1);
    ck_assert_ptr_nonnull(strstr(said(3), "offset=3"));
}
END_TEST

/* Consumers that know epochs hear when they do not fit (KIP-320). */
START_TEST(consumers_of_another_epoch_are_told)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 10);
    said(2);
    fetch(2, "", 0, 2, 0);
    ck_assert_ptr_nonnull(strstr(said(2), "FENCED_LEADER_EPOCH"));
    fetch(2, "", 0, 4, 0);
    ck_assert_ptr_nonnull(strstr(said(2), "UNKNOWN_LEADER_EPOCH"));
    fetch(2, "", 3, 3, 2); /* it read a record of epoch 2 there, which is gone */
    ck_assert_ptr_nonnull(strstr(said(2), "diverging_end"));
    fetch(2, "", 0, 3, 0);
    ck_assert_ptr_nonnull(strstr(said(2), "[0..2]"));
}
END_TEST

/* A follower in sync serves whoever comes to it on purpose; the leader sends those who
 * stand nearer to it (KIP-392). */
START_TEST(consumers_read_from_the_replica_in_their_rack)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    said(2);
    fetch(2, "r3", 0, 0, 0);
    ck_assert_ptr_nonnull(strstr(said(2), "preferred_replica=3"));
    fetch(2, "r2", 0, 0, 0);
    ck_assert_ptr_nonnull(strstr(said(2), "[0..2]"));
    fetch(2, "elsewhere", 0, 0, 0);
    ck_assert_ptr_nonnull(strstr(said(2), "[0..2]"));
    fetch(3, "r3", 0, 0, 0);
    ck_assert_ptr_nonnull(strstr(said(3), "[0..2]"));
    fetch(3, "", 0, 0, 0);
    ck_assert_ptr_nonnull(strstr(said(3), "NOT_LEADER"));
    fetch(3, "r3", 7, 0, 0);
    ck_assert_ptr_nonnull(strstr(said(3), "OFFSET_NOT_AVAILABLE"));
    fleet_cut(f, 2, 3);
    fleet_produce(f, 2, "t", 1);
    fleet_pass_ms(f, 5000);
    said(2);
    fetch(2, "r3", 0, 0, 0); /* not in sync any more */
    ck_assert_ptr_nonnull(strstr(said(2), "[0..2]"));
}
END_TEST

/* What is trimmed goes from all replicas; one that missed more than the leader has begins
 * anew where the leader begins. */
START_TEST(replicas_trim_with_their_leader)
{
    fleet_produce(f, 2, "t", 3);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    ask_trim(fleet_wire(f, 2), "t", 0, 3);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "3..6/6");
    fleet_stop(f, 4);
    fleet_produce(f, 2, "t", 4);
    fleet_pass_ms(f, 5000);
    ask_trim(fleet_wire(f, 2), "t", 0, 10);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "10..10/10");
    fleet_start(f, 4);
    fleet_pass_ms(f, 3000);
    ck_assert_str_eq(fleet_log(f, 4, "t"), "10..10/10");
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3,4");
    fleet_produce(f, 2, "t", 1);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_log(f, 4, "t"), "10..11/11");
}
END_TEST

/* Somebody has accepted loss: whoever had more gives it up, although it was committed. */
START_TEST(after_an_unclean_election_all_follow)
{
    fleet_cut(f, 4, 2);
    fleet_cut(f, 4, 3);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 5000); /* 4 is out, and knows nothing */
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3");
    fleet_stop(f, 2);
    fleet_pass_ms(f, 4000);
    fleet_stop(f, 3);
    fleet_pass_ms(f, 4000);
    ck_assert_str_eq(fleet_tell(f, "t"), "leader -1 epoch 5 in-sync");
    fleet_elect(f, "t", true);
    fleet_pass_ms(f, 100);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "leader 4"));
    fleet_produce(f, 4, "t", 1);
    fleet_heal(f);
    fleet_start(f, 2);
    fleet_start(f, 3);
    fleet_pass_ms(f, 4000);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..0/0");
    ck_assert_str_eq(fleet_log(f, 4, "t"), "0..0/0");
    fleet_produce(f, 4, "t", 1);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..1/1");
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..1/1");
}
END_TEST

/* The same, with followers that were never away and know what was committed. */
START_TEST(unclean_election_cuts_below_what_followers_know)
{
    fleet_cut(f, 4, 2);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 5000);
    fleet_produce(f, 2, "t", 1);
    fleet_pass_ms(f, 600);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..4/4");
    fleet_cut(f, 2, 1);
    fleet_cut(f, 2, 3);
    fleet_cut(f, 3, 1);
    fleet_pass_ms(f, 4000); /* 2 and 3 run, but nobody sees them */
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "leader -1"));
    fleet_elect(f, "t", true);
    fleet_pass_ms(f, 500);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "leader 4"));
    fleet_heal(f);
    fleet_pass_ms(f, 5000);
    ck_assert_str_eq(fleet_log(f, 2, "t"), "0..0/0");
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..0/0");
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "in-sync 2,3,4"));
}
END_TEST

/* ---- a leader, or a network, that errs -----------------------------------------------
 */

static unsigned forged;

/* Only answers that bring records, of one partition: this one's result. */
static Leat__ReplicaFetchResult *brings_records(const Leat__ReplicaFetchResponse *a)
{
    Leat__ReplicaFetchResult *found = NULL;

    for (size_t i = 0; i < a->n_partitions; i++)
        if (a->partitions[i]->batch_bytes > 0) {
            if (found != NULL)
                return NULL;
            found = a->partitions[i];
        }
    return found;
}

static void flip_a_byte(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    if (!brings_records(a))
        return;
    payload->data[payload->len - 1] ^= 1;
    forged++;
}

static void lose_the_end(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    if (!brings_records(a))
        return;
    payload->len -= 10;
    forged++;
}

static void lose_the_end_and_say_so(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    if (!brings_records(a))
        return;
    payload->len -= 10;
    brings_records(a)->batch_bytes -= 10;
    forged++;
}

static void move_the_offset(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    if (!brings_records(a))
        return;
    payload->data[BATCH_AT_BASE_OFFSET] ^= 1; /* not covered by the checksum */
    forged++;
}

static void come_from_the_future(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    if (!brings_records(a))
        return;
    payload->data[BATCH_AT_LEADER_EPOCH] = 9;
    forged++;
}

static void forget_a_partition(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    if (!brings_records(a))
        return;
    a->n_partitions = 0;
    forged++;
}

/* None of it gets into the log; and when the trouble is over, all of it does. */
START_TEST(followers_take_only_what_is_whole_and_follows)
{
    static fleet_forge *const forges[] = {
        flip_a_byte,     lose_the_end,         lose_the_end_and_say_so,
        move_the_offset, come_from_the_future, forget_a_partition};

    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    for (size_t i = 0; i < sizeof forges / sizeof *forges; i++) {
        int64_t end = log_end(fleet_partition(f, 2, "t")->log);

        forged = 0;
        fleet_forge_answers(f, 2, forges[i]);
        fleet_produce(f, 2, "t", 1);
        fleet_pass_ms(f, 1000);
        ck_assert_uint_ge(forged, 2);
        ck_assert_uint_le(forged, 60); /* and patiently */
        ck_assert_int_eq(log_end(fleet_partition(f, 3, "t")->log), end);
        ck_assert_int_eq(fleet_partition(f, 2, "t")->high_watermark, end);
        fleet_forge_answers(f, 2, NULL);
        fleet_pass_ms(f, 2000);
        ck_assert_int_eq(log_end(fleet_partition(f, 3, "t")->log), end + 1);
        ck_assert_int_eq(fleet_partition(f, 2, "t")->high_watermark, end + 1);
    }
    ck_assert_str_eq(fleet_tell(f, "t"), "leader 2 epoch 3 in-sync 2,3,4");
}
END_TEST

static void promise_too_much(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    Leat__ReplicaFetchResult *r = brings_records(a);

    if (r == NULL)
        return;
    r->high_watermark = 1000000;
    forged++;
}

/* What a leader calls safe is safe here only as far as it is on our disk. */
START_TEST(watermark_of_a_follower_stays_below_its_own_disk)
{
    fleet_forge_answers(f, 2, promise_too_much);
    fleet_hold_disk(f, 3, true);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 100);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..0/3");
    fleet_hold_disk(f, 3, false);
    fleet_pass_ms(f, 100);
    ck_assert_str_eq(fleet_log(f, 3, "t"), "0..3/3");
}
END_TEST

static int64_t diverging_end;

static void tell_to_cut(Leat__ReplicaFetchResponse *a, struct writer *payload)
{
    Leat__ReplicaFetchResult *r = brings_records(a);

    if (r == NULL)
        return;
    r->diverging_epoch = 3;
    r->diverging_end = diverging_end;
    forged++;
}

/* A follower that is told to give up what was committed keeps it, for whoever will look
 * into it, and follows nobody until another leader tells otherwise. */
START_TEST(nobody_gives_up_what_was_committed)
{
    static const int64_t ends[] = {0, 100};

    for (size_t i = 0; i < 2; i++) {
        fleet_create(f, i ? "b" : "a", (const int32_t[]){2, 3}, 2, "1");
        fleet_produce(f, 2, i ? "b" : "a", 3);
        fleet_pass_ms(f, 600);
        diverging_end = ends[i];
        forged = 0;
        fleet_forge_answers(f, 2, tell_to_cut);
        fleet_produce(f, 2, i ? "b" : "a", 2);
        fleet_pass_ms(f, 1000);
        fleet_forge_answers(f, 2, NULL);
        ck_assert_uint_ge(forged, 1);
        ck_assert_str_eq(fleet_log(f, 3, i ? "b" : "a"), "0..3/3");
        fleet_pass_ms(f, 4000);
        ck_assert_str_eq(fleet_log(f, 3, i ? "b" : "a"), "0..3/3");
        ck_assert_ptr_nonnull(strstr(fleet_tell(f, i ? "b" : "a"), "in-sync 2"));
    }
    fleet_stop(f, 2);
    fleet_start(f, 2);
    fleet_pass_ms(f, 4000);
    ck_assert_str_eq(fleet_tell(f, "a"), "leader 2 epoch 4 in-sync 2,3");
    ck_assert_str_eq(fleet_log(f, 3, "a"), "0..5/5");
}
END_TEST

/* ---- replicas that err ---------------------------------------------------------------
 */

enum { FORMER = 1000000 }; /* at 3, by the process before */

struct replica_ask {
    int32_t peer, node_id, leader_epoch, last_epoch;
    int64_t offset;
    const char *answer;
};

static void fetch_as(const struct replica_ask *ask)
{
    Leat__ReplicaFetchRequest q = LEAT__REPLICA_FETCH_REQUEST__INIT;
    Leat__ReplicaFetchPartition p = LEAT__REPLICA_FETCH_PARTITION__INIT, *list[] = {&p};
    const struct partition *local = fleet_partition(f, 2, "t");
    const struct image_broker *me =
        image_broker(node_image(fake_wire_node(fleet_wire(f, 2), 0)), ask->node_id);

    q.node_id = ask->node_id;
    q.broker_epoch = me != NULL ? me->epoch - (ask->offset == FORMER) : 1;
    q.max_bytes = 1 << 20;
    q.partitions = list;
    q.n_partitions = 1;
    p.topic_id = (ProtobufCBinaryData){UUID_BYTES, (uint8_t *)local->topic_id.id};
    p.leader_epoch = ask->leader_epoch;
    p.offset = ask->offset == FORMER ? 3 : ask->offset;
    p.durable = p.offset;
    p.last_epoch = ask->last_epoch;
    p.max_bytes = 1 << 20;
    fake_wire_pose_as(fleet_wire(f, 2), ask->peer);
    fake_wire_ask(fleet_wire(f, 2), 0, RPC_REPLICA_FETCH, &q.base, (struct bytes){0});
    fake_wire_pose_as(fleet_wire(f, 2), -1);
    fleet_pass_ms(f, 1);
}

START_TEST(leader_serves_only_its_replicas_and_only_of_its_epoch)
{
    static const struct replica_ask asks[] = {
        {-1, 3, 3, 3, 0, "replica_fetch"}, /* a client */
        {4, 3, 3, 3, 0, "it comes from another broker"},
        {1, 1, 3, 3, 3, "error=NOT_LEADER"}, /* none of the replicas */
        {3, 3, 0, 3, 0, "error=FENCED_LEADER_EPOCH"},
        {3, 3, 2, 3, 0, "error=FENCED_LEADER_EPOCH"},
        {3, 3, 4, 3, 0, "error=UNKNOWN_LEADER_EPOCH"},
        {3, 3, 3, 3, 4, "diverging_epoch=3 diverging_end=3"}, /* beyond the end */
        {3, 3, 3, 2, 3, "diverging_epoch=2}"}, /* nothing in common: cut all */
        {3, 3, 3, 9, 3, "diverging_epoch=3 diverging_end=3"},
        {3, 3, 3, -1, 3, "error=OFFSET_OUT_OF_RANGE"},
        {3, 3, 3, -7, 2, "error=OFFSET_OUT_OF_RANGE"},
        {3, 3, 3, 3, -1, "error=OFFSET_OUT_OF_RANGE"},
        {3, 3, 3, 3, FORMER, "error=NOT_LEADER"},
        {3, 3, 3, -1, 0, "[0..2]"},
    };

    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 600);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        const char *text;

        said(2);
        fetch_as(&asks[i]);
        text = said(2);
        ck_assert_msg(strstr(text, asks[i].answer) != NULL, "%zu: %s", i, text);
        ck_assert_msg(asks[i].answer[0] == '[' || strstr(text, "[0..2]") == NULL,
                      "%zu: %s", i, text);
    }
}
END_TEST

/* ---- at rest -------------------------------------------------------------------------
 */

/* Replicas at rest ask now and then, no more. */
START_TEST(quiet_replicas_are_quiet)
{
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 1000);
    fleet_calls(f, RPC_REPLICA_FETCH);
    fleet_calls(f, RPC_REPLICA_ACK);
    fleet_calls(f, RPC_ALTER_PARTITIONS);
    fleet_pass_ms(f, 10000);
    /* Two followers, one fetch in 500 ms; and the groups' partition, once. */
    ck_assert_uint_le(fleet_calls(f, RPC_REPLICA_FETCH), 150);
    ck_assert_uint_eq(fleet_calls(f, RPC_REPLICA_ACK), 0);
    ck_assert_uint_eq(fleet_calls(f, RPC_ALTER_PARTITIONS), 0);
}
END_TEST

/* A leader without a controller asks again, but not all the time. */
START_TEST(proposals_are_repeated_patiently)
{
    fleet_cut(f, 2, 4);
    fleet_cut(f, 2, 1);
    fleet_produce(f, 2, "t", 3);
    fleet_pass_ms(f, 20000);
    ck_assert_uint_le(fleet_calls(f, RPC_ALTER_PARTITIONS), 20);
    fleet_heal(f);
    fleet_pass_ms(f, 4000);
    ck_assert_ptr_nonnull(strstr(fleet_tell(f, "t"), "in-sync 2,3,4"));
}
END_TEST

static void add(Suite *s, const char *name, void (*setup)(void))
{
    TCase *c = tcase_create(name);

    tcase_add_checked_fixture(c, setup, end);
    tcase_set_timeout(c, 0);
    tcase_add_test(c, records_reach_all_disks_before_they_are_safe);
    tcase_add_test(c, who_follows_anew_hears_at_once_where_it_stands);
    tcase_add_test(c, leader_waits_for_its_own_disk);
    tcase_add_test(c, a_topic_may_go_while_its_set_is_about_to_change);
    tcase_add_test(c, followers_learn_the_watermark);
    tcase_add_test(c, whoever_stays_away_is_not_waited_for_and_comes_back);
    tcase_add_test(c, whoever_never_writes_falls_behind);
    tcase_add_test(c, too_few_disks_refuse_records_beforehand);
    tcase_add_test(c, stopping_leader_answers_who_waits_for_others);
    tcase_add_test(c, what_a_lost_leader_wrote_is_cut);
    tcase_add_test(c, old_leaderships_end_with_their_process);
    tcase_add_test(c, new_leader_does_not_tell_the_end_before_it_knows);
    tcase_add_test(c, consumers_of_another_epoch_are_told);
    tcase_add_test(c, consumers_read_from_the_replica_in_their_rack);
    tcase_add_test(c, replicas_trim_with_their_leader);
    tcase_add_test(c, after_an_unclean_election_all_follow);
    tcase_add_test(c, unclean_election_cuts_below_what_followers_know);
    tcase_add_test(c, followers_take_only_what_is_whole_and_follows);
    tcase_add_test(c, watermark_of_a_follower_stays_below_its_own_disk);
    tcase_add_test(c, nobody_gives_up_what_was_committed);
    tcase_add_test(c, leader_serves_only_its_replicas_and_only_of_its_epoch);
    tcase_add_test(c, quiet_replicas_are_quiet);
    tcase_add_test(c, proposals_are_repeated_patiently);
    suite_add_tcase(s, c);
}

int main(void)
{
    Suite *s = suite_create("replication");
    SRunner *runner = srunner_create(s);
    int failed;

    add(s, "one shard", begin);
    add(s, "two shards", begin_on_two_shards);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
