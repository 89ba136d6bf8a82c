/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/decide.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/base/prng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 6, TOPICS = 3, WIRE = 64 };

/* A client believes; it works on what it was told, sooner or later. */
struct client {
    char id[16]; /* empty: not a member */
    unsigned
        life; /* grows with each join: it knows which answers are to its former self */
    int32_t epoch;
    struct share told;
    struct share owned;
};

/* On its way: a report of a client, or an answer to it. Either may be lost, late, or
 * arrive twice. */
struct letter {
    bool answer;
    size_t client;
    unsigned life;
    char id[16];
    int32_t epoch;
    struct share share;
};

struct world {
    struct groups groups;
    struct writer log; /* length, record; for replay */
    struct prng random;
    struct client clients[CLIENTS];
    struct letter wire[WIRE];
    size_t letters;
    int32_t partitions[TOPICS]; /* 0: the topic is not there */
    uint8_t generation[TOPICS];
    unsigned names; /* members so far */
    unsigned steps;
};

static char *const topic_names[TOPICS] = {(char *)"a", (char *)"b", (char *)"c"};

static bool find_topic(const void *from, const char *name, struct uuid *id,
                       int32_t *partitions)
{
    const struct world *w = from;
    size_t t = (size_t)(name[0] - 'a');

    *id = (struct uuid){{(uint8_t)(t + 1), w->generation[t]}};
    *partitions = w->partitions[t];
    return w->partitions[t] > 0;
}

static void settle(struct world *w)
{
    struct catalog catalog = {find_topic, w};
    struct group *g = groups_find(&w->groups, "g");

    if (g != NULL)
        group_settle(g, &catalog);
}

static void carry_out(struct world *w, struct records *r)
{
    for (size_t i = 0; i < r->count; i++) {
        ck_assert_int_eq(groups_apply(&w->groups, r->items[i]), STATUS_OK);
        write_u32(&w->log, (uint32_t)r->items[i].len);
        write_bytes(&w->log, r->items[i].data, r->items[i].len);
    }
    records_release(r);
    settle(w);
}

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.partitions = {4, 2, 0}, .log = writer_growing()};
    groups_init(&w->groups);
    prng_init(&w->random, seed);
}

static void letter_drop(struct world *w, size_t i)
{
    share_release(&w->wire[i].share);
    w->wire[i] = w->wire[--w->letters];
}

static void world_release(struct world *w)
{
    while (w->letters > 0)
        letter_drop(w, 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        share_release(&w->clients[i].told);
        share_release(&w->clients[i].owned);
    }
    groups_release(&w->groups);
    writer_release(&w->log);
}

static struct member *member_of(struct world *w, const char *id)
{
    struct group *g = groups_find(&w->groups, "g");

    return g != NULL && id[0] != '\0' ? group_member(g, id) : NULL;
}

static void post(struct world *w, const struct letter *l)
{
    if (w->letters == WIRE)
        return; /* lost */
    w->wire[w->letters] = *l;
    w->wire[w->letters++].share = share_copy(&l->share);
}

/* ---- what clients do -------------------------------------------------------------- */

static void client_forget(struct client *c)
{
    share_release(&c->told);
    share_release(&c->owned);
    c->id[0] = '\0';
    c->epoch = 0;
}

static void client_report(struct world *w, size_t i)
{
    struct client *c = &w->clients[i];
    struct letter l = {
        .client = i, .life = c->life, .epoch = c->epoch, .share = c->owned};

    memcpy(l.id, c->id, sizeof l.id);
    if (c->id[0] != '\0' && c->epoch > 0)
        post(w, &l);
}

static void client_hear(struct world *w, const struct letter *l)
{
    struct client *c = &w->clients[l->client];

    if (strcmp(c->id, l->id) != 0 || c->life != l->life)
        return;
    if (l->epoch < 0) {
        client_forget(c); /* fenced */
        return;
    }
    if (l->epoch < c->epoch)
        return;
    c->epoch = l->epoch;
    share_replace(&c->told, share_copy(&l->share));
}

/* Stop one partition that it lost, or begin one that it got. */
static void client_work(struct world *w, struct client *c, bool everything)
{
    struct share lost = share_without(&c->owned, &c->told);
    struct share got = share_without(&c->told, &c->owned);

    if (everything) {
        share_replace(&c->owned, share_copy(&c->told));
    } else if (lost.count > 0) {
        struct share one = share_of(&lost.items[prng_below(&w->random, lost.count)], 1);

        share_replace(&c->owned, share_without(&c->owned, &one));
        share_release(&one);
    } else if (got.count > 0) {
        struct share one = share_of(&got.items[prng_below(&w->random, got.count)], 1);

        share_replace(&c->owned, share_either(&c->owned, &one));
        share_release(&one);
    }
    share_release(&lost);
    share_release(&got);
}

/* ---- what the coordinator does ---------------------------------------------------- */

static void answer(struct world *w, size_t client, unsigned life, const struct member *m)
{
    struct letter l = {.answer = true,
                       .client = client,
                       .life = life,
                       .epoch = m->epoch,
                       .share = m->assigned};

    memcpy(l.id, w->clients[client].id, sizeof l.id);
    post(w, &l);
}

static void join(struct world *w, size_t i, bool again)
{
    struct client *c = &w->clients[i];
    struct join j = {.group = "g", .client_id = "", .host = "", .assignor = "sticky"};
    char *topics[TOPICS];
    struct records r;

    c->life++;
    if (!again) {
        client_forget(c);
        snprintf(c->id, sizeof c->id, "m%u", ++w->names);
    } else {
        share_release(&c->owned);
        share_release(&c->told);
        c->epoch = 0;
    }
    for (size_t t = 0; t < TOPICS; t++)
        if (prng_below(&w->random, 4) > 0)
            topics[j.topic_count++] = topic_names[t];
    j.topics = topics;
    j.member_id = c->id;
    records_init(&r);
    decide_join(groups_find(&w->groups, "g"), &j, 0, &r);
    carry_out(w, &r);
    records_init(&r);
    if (decide_step(member_of(w, c->id), NULL, &r))
        carry_out(w, &r);
    else
        records_release(&r);
    answer(w, i, c->life, member_of(w, c->id));
}

static void put_out(struct world *w, const char *id)
{
    struct member *m = member_of(w, id);
    struct records r;

    if (m == NULL)
        return;
    records_init(&r);
    decide_leave(m, 0, &r);
    carry_out(w, &r);
}

static void heartbeat(struct world *w, const struct letter *l)
{
    struct member *m = member_of(w, l->id);
    struct letter fenced = {
        .answer = true, .client = l->client, .life = l->life, .epoch = -1};
    struct records r;

    memcpy(fenced.id, l->id, sizeof fenced.id);
    if (m == NULL || member_claim(m, l->epoch) == CLAIM_FENCED) {
        /* To a client that has heard of a later epoch this is an old answer. */
        if (m == NULL)
            post(w, &fenced);
        return;
    }
    records_init(&r);
    if (member_claim(m, l->epoch) == CLAIM_CURRENT && decide_step(m, &l->share, &r)) {
        int32_t before = m->epoch;
        struct share had = share_copy(&m->assigned);

        carry_out(w, &r);
        ck_assert_int_eq(m->epoch > before, !share_equal(&had, &m->assigned));
        ck_assert_int_ge(m->epoch, before);
        share_release(&had);
    } else {
        records_release(&r);
    }
    answer(w, l->client, l->life, m);
}

static void topic_change(struct world *w)
{
    size_t t = prng_below(&w->random, TOPICS);
    struct group *g = groups_find(&w->groups, "g");
    struct uuid id = {{(uint8_t)(t + 1), w->generation[t]}};
    struct records r;

    if (prng_below(&w->random, 3) > 0) {
        w->partitions[t] += w->partitions[t] < 12;
    } else if (w->partitions[t] > 0) {
        w->partitions[t] = 0;
        w->generation[t]++;
        records_init(&r);
        records_remove_topic(&r, id);
        carry_out(w, &r);
    }
    if (g != NULL)
        g->stale = true;
    settle(w);
}

/* ---- what must hold --------------------------------------------------------------- */

/* Partitions of topics that were removed are nobody's business. */
static bool exists(const struct world *w, const struct topic_partition *p)
{
    size_t t = p->topic.id[0] - 1u;

    return w->partitions[t] > 0 && w->generation[t] == p->topic.id[1];
}

static void check_safe(struct world *w)
{
    struct group *g = groups_find(&w->groups, "g");

    for (size_t i = 0; g != NULL && i < CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        const struct member *m = member_of(w, c->id);

        for (size_t k = 0; m != NULL && k < c->owned.count; k++) {
            const struct topic_partition *p = &c->owned.items[k];

            if (!exists(w, p))
                continue;
            ck_assert_msg(member_may_commit(m, CLAIM_CURRENT, p),
                          "works on what it does not have");
            ck_assert_msg(!group_holds(g, m, p), "two members have one partition");
        }
    }
}

static void emit(void *to, struct bytes record)
{
    write_u32(to, (uint32_t)record.len);
    write_bytes(to, record.data, record.len);
}

static struct writer snapshot_of(const struct groups *gs)
{
    struct writer w = writer_growing();

    groups_snapshot(gs, emit, &w);
    ck_assert_int_eq(writer_status(&w), STATUS_OK);
    return w;
}

/* What a snapshot does not show by being equal to another snapshot. */
static void check_same_members(const struct groups *x, const struct groups *y)
{
    const struct group *g;
    const struct member *m;

    for (size_t i = 0; (g = map_next(&x->by_name, &i)) != NULL;)
        for (size_t j = 0; (m = map_next(&g->members, &j)) != NULL;) {
            const struct member *n = group_member(groups_find(y, g->name), m->id);

            ck_assert_int_eq(m->epoch, n->epoch);
            ck_assert_int_eq(m->previous_epoch, n->previous_epoch);
            ck_assert(share_equal(&m->assigned, &n->assigned));
            ck_assert(share_equal(&m->revoking, &n->revoking));
        }
}

static void check_fold_of(const struct writer *records, const struct groups *expected)
{
    struct reader r = reader_of(records->data, records->len);
    struct writer a = snapshot_of(expected), b;
    struct groups folded;

    groups_init(&folded);
    while (reader_left(&r) > 0) {
        struct bytes record = read_bytes(&r, read_u32(&r));

        ck_assert_int_eq(groups_apply(&folded, record), STATUS_OK);
    }
    b = snapshot_of(&folded);
    ck_assert_uint_eq(a.len, b.len);
    ck_assert(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
    ck_assert_uint_eq(folded.member_count, expected->member_count);
    ck_assert_uint_eq(folded.offset_count, expected->offset_count);
    check_same_members(expected, &folded);
    writer_release(&a);
    writer_release(&b);
    groups_release(&folded);
}

/* What the log says and what a snapshot says are what is. */
static void check_durable(struct world *w)
{
    struct writer snapshot = snapshot_of(&w->groups);

    check_fold_of(&w->log, &w->groups);
    check_fold_of(&snapshot, &w->groups);
    writer_release(&snapshot);
}

static void deliver(struct world *w, size_t i)
{
    struct letter l = w->wire[i];

    l.share = share_copy(&l.share);
    if (prng_below(&w->random, 8) > 0)
        letter_drop(w, i); /* otherwise it will arrive once more */
    if (l.answer)
        client_hear(w, &l);
    else
        heartbeat(w, &l);
    share_release(&l.share);
}

static void something_happens(struct world *w)
{
    size_t i = prng_below(&w->random, CLIENTS);
    struct client *c = &w->clients[i];

    switch (prng_below(&w->random, 40)) {
    case 0: join(w, i, false); break;
    case 1:
        if (c->id[0] != '\0')
            join(w, i, true);
        break;
    case 2:
        put_out(w, c->id); /* leaves */
        client_forget(c);
        break;
    case 3: put_out(w, c->id); break; /* was too silent, and does not know */
    case 4: client_forget(c); break;  /* crashes; the coordinator does not know */
    case 5: topic_change(w); break;
    case 6:
        if (w->letters > 0)
            letter_drop(w, prng_below(&w->random, w->letters));
        break;
    default:
        if (prng_below(&w->random, 3) == 0)
            client_report(w, i);
        else if (prng_below(&w->random, 2) == 0)
            client_work(w, c, false);
        else if (w->letters > 0)
            deliver(w, prng_below(&w->random, w->letters));
        break;
    }
}

static bool all_settled(struct world *w)
{
    struct group *g = groups_find(&w->groups, "g");

    return g == NULL || strcmp(group_state(g), "reconciling") != 0;
}

/* Quiet: sessions of the dead run out, everybody reports and hears the answer. */
static unsigned rounds_to_settle(struct world *w)
{
    struct group *g = groups_find(&w->groups, "g");
    struct member *m;
    unsigned rounds = 0;

    while (w->letters > 0)
        letter_drop(w, 0);
    for (size_t i = 0; g != NULL && (m = map_next(&g->members, &i)) != NULL;) {
        bool alive = false;

        for (size_t k = 0; k < CLIENTS; k++)
            alive |= strcmp(w->clients[k].id, m->id) == 0 && w->clients[k].epoch > 0 &&
                     member_claim(m, w->clients[k].epoch) != CLAIM_FENCED;
        if (!alive)
            put_out(w, m->id);
    }
    for (; !all_settled(w); rounds++)
        for (size_t i = 0; i < CLIENTS; i++) {
            client_report(w, i);
            while (w->letters > 0)
                deliver(w, 0);
            client_work(w, &w->clients[i], true);
            check_safe(w);
            ck_assert_uint_lt(rounds, 10);
        }
    return rounds;
}

/* Joins, leaves, crashes, expiries, topics that come and go, letters lost, late and
 * repeated: never do two members work on one partition, and the log tells it all. */
START_TEST(no_partition_ever_has_two_owners)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world w;

        world_init(&w, seed);
        for (int i = 0; i < 1000; i++) {
            something_happens(&w);
            check_safe(&w);
        }
        check_durable(&w);
        world_release(&w);
    }
}
END_TEST

/* Once nothing more happens everybody has its target after a handful of heartbeats: hear
 * of the smaller share, confirm, hear of the larger one, whoever was first. */
START_TEST(quiet_group_settles_in_five_rounds)
{
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct world w;

        world_init(&w, seed);
        for (int i = 0; i < 300; i++)
            something_happens(&w);
        ck_assert_uint_le(rounds_to_settle(&w), 5);
        world_release(&w);
    }
}
END_TEST

/* ---- single records --------------------------------------------------------------- */

static void commit(struct world *w, uint8_t topic, int32_t partition, int64_t offset)
{
    Leat__Group__Offset o = LEAT__GROUP__OFFSET__INIT;
    struct records r;

    o.group = (char *)"g";
    o.partition = partition;
    o.offset = offset;
    o.metadata = (char *)"here";
    o.committed_ms = 7;
    records_init(&r);
    if (groups_find(&w->groups, "g") == NULL)
        decide_group("g", "", 5, &r);
    records_offset(&r, &o, (struct uuid){{topic}});
    carry_out(w, &r);
}

/* Offsets belong to the topic's id: when it is removed they go, others stay. */
START_TEST(removed_topic_takes_its_offsets_along)
{
    struct topic_partition gone = {{{1}}, 0}, stays = {{{2}}, 1};
    const struct group *g;
    struct records r;
    struct world w;

    world_init(&w, 1);
    commit(&w, 1, 0, 10);
    commit(&w, 1, 0, 12);
    commit(&w, 2, 1, 20);
    g = groups_find(&w.groups, "g");
    ck_assert_int_eq(group_offset(g, &gone)->offset, 12);
    ck_assert_uint_eq(w.groups.offset_count, 2);
    records_init(&r);
    records_remove_topic(&r, gone.topic);
    carry_out(&w, &r);
    ck_assert_ptr_null(group_offset(g, &gone));
    ck_assert_str_eq(group_offset(g, &stays)->metadata, "here");
    ck_assert_int_eq(g->active_ms, 7);
    check_durable(&w);
    world_release(&w);
}
END_TEST

/* A log that contradicts itself is damage, not a reason to guess. */
START_TEST(records_that_cannot_follow_are_corrupt)
{
    Leat__Group__Assignment a = LEAT__GROUP__ASSIGNMENT__INIT;
    struct topic_partition p = {{{1}}, 0};
    struct share one = share_of(&p, 1), none = {0};
    struct bytes garbage = {(const uint8_t *)"\xff\xff\xff", 3};
    struct records r;
    struct world w;

    world_init(&w, 1);
    w.partitions[0] = w.partitions[1] = 0;
    join(&w, 0, false);
    join(&w, 1, false);
    a.group = (char *)"g";
    a.epoch = 100;
    records_init(&r);
    a.member_id = (char *)"m1";
    records_assignment(&r, &a, &one, &none);
    a.member_id = (char *)"m2";
    records_assignment(&r, &a, &none, &one);
    records_remove_group(&r, "nobody");
    ck_assert_int_eq(groups_apply(&w.groups, garbage), STATUS_CORRUPT);
    ck_assert_int_eq(groups_apply(&w.groups, (struct bytes){0}), STATUS_CORRUPT);
    ck_assert_int_eq(groups_apply(&w.groups, r.items[0]), STATUS_OK);
    ck_assert_int_eq(groups_apply(&w.groups, r.items[1]), STATUS_CORRUPT);
    ck_assert_int_eq(groups_apply(&w.groups, r.items[2]), STATUS_CORRUPT);
    records_release(&r);
    share_release(&one);
    world_release(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group: state");
    TCase *tc = tcase_create("group");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, no_partition_ever_has_two_owners);
    tcase_add_test(tc, quiet_group_settles_in_five_rounds);
    tcase_add_test(tc, removed_topic_takes_its_offsets_along);
    tcase_add_test(tc, records_that_cannot_follow_are_corrupt);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
