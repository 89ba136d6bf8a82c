/* SPDX-License-Identifier: Apache-2.0
 *
 * Many members, many requests under way at once, a disk that makes durable what and when
 * it likes, and crashes: whatever the order, every request has one answer, nobody works
 * on what is another's, and what was acknowledged is there. */
#include "broker/core/group/operation.h"
#include "tests/unit/broker/group/scene.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 5, PARTITIONS = 6, COMMITS = 32 };

struct commit_call {
    struct call *call;
    int32_t partition;
    int64_t offset;
};

struct storm {
    struct scene s;
    struct prng random;
    struct worker workers[WORKERS];
    struct call *pending[WORKERS]; /* one join or heartbeat at a time, as a client does */
    struct commit_call commits[COMMITS];
    size_t commit_count;
    int64_t next_offset;
    int64_t acknowledged[PARTITIONS];
    unsigned accepted;
};

static struct storm storm;

static void forget(struct worker *w)
{
    w->id[0] = '\0';
    w->epoch = 0;
    w->owned_count = 0;
}

static void hear(struct storm *t, size_t i)
{
    struct call *call = t->pending[i];

    t->pending[i] = NULL;
    if (call->r.status == STATUS_UNKNOWN_MEMBER ||
        call->r.status == STATUS_FENCED_MEMBER_EPOCH)
        forget(&t->workers[i]);
    scene_hear(&t->workers[i], call);
}

static void report_or_join(struct storm *t, size_t i)
{
    struct worker *w = &t->workers[i];

    if (t->pending[i] != NULL && t->pending[i]->answered)
        hear(t, i);
    else if (t->pending[i] == NULL && w->id[0] == '\0')
        t->pending[i] = scene_send_join(&t->s, w, "g", "orders");
    else if (t->pending[i] == NULL)
        t->pending[i] = scene_send_beat(&t->s, w);
}

/* Offsets only grow, so what is committed is never less than what was acknowledged. */
static void send_commit(struct storm *t, size_t i)
{
    const struct worker *w = &t->workers[i];
    struct commit_call *c;

    if (w->owned_count == 0 || t->commit_count == COMMITS)
        return;
    c = &t->commits[t->commit_count++];
    c->partition = w->owned[prng_below(&t->random, w->owned_count)];
    c->offset = ++t->next_offset;
    c->call = scene_send_commit(&t->s, w, "g", "orders", c->partition, c->offset);
}

static void collect_commits(struct storm *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->commit_count; i++) {
        const struct commit_call *c = &t->commits[i];

        if (!c->call->answered) {
            t->commits[kept++] = *c;
            continue;
        }
        /* Under its own epoch an honest member is never refused its own partition. */
        ck_assert_str_ne(c->call->text, "");
        if (strcmp(c->call->text, "OK") == 0) {
            t->acknowledged[c->partition] = c->offset;
            t->accepted++;
        }
    }
    t->commit_count = kept;
}

static void check_owners(const struct storm *t)
{
    const struct topic *topic = image_topic(&t->s.image, bytes_of("orders"));
    const struct group *g = groups_find(&t->s.c->groups, "g");

    for (size_t i = 0; g != NULL && i < WORKERS; i++) {
        const struct worker *w = &t->workers[i];
        const struct member *m = group_member(g, w->id);

        for (size_t k = 0; m != NULL && k < w->owned_count; k++) {
            struct topic_partition at = {topic->id, w->owned[k]};

            ck_assert(member_may_commit(m, CLAIM_CURRENT, &at));
            ck_assert(!group_holds(g, m, &at));
        }
    }
}

static void check_committed(const struct storm *t)
{
    const struct topic *topic = image_topic(&t->s.image, bytes_of("orders"));
    const struct group *g = groups_find(&t->s.c->groups, "g");

    for (int32_t p = 0; p < PARTITIONS; p++) {
        struct topic_partition at = {topic->id, p};
        const struct committed *o = g != NULL ? group_offset(g, &at) : NULL;

        if (t->acknowledged[p] > 0) {
            ck_assert_ptr_nonnull(o);
            ck_assert_int_ge(o->offset, t->acknowledged[p]);
        }
    }
}

/* Nobody hears of it: answers on their way are lost with the process. */
static void crash(struct storm *t)
{
    collect_commits(t);
    scene_crash(&t->s);
    t->commit_count = 0;
    memset(t->pending, 0, sizeof t->pending);
    check_committed(t);
}

static void something_happens(struct storm *t)
{
    size_t i = prng_below(&t->random, WORKERS);

    switch (prng_below(&t->random, 60)) {
    case 0: forget(&t->workers[i]), t->pending[i] = NULL; break; /* dies */
    case 1: scene_pass_ms(&t->s, (int64_t)prng_below(&t->random, 30000)); break;
    case 2: scene_durable(&t->s); break;
    default:
        if (prng_below(&t->random, 2) == 0)
            report_or_join(t, i);
        else if (prng_below(&t->random, 2) == 0)
            send_commit(t, i);
        else
            scene_durable_one(&t->s);
        break;
    }
    collect_commits(t);
}

START_TEST(storm_loses_nothing_that_was_acknowledged)
{
    unsigned accepted = 0;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct storm *t = &storm;

        *t = (struct storm){0};
        prng_init(&t->random, seed);
        scene_open(&t->s);
        scene_topic(&t->s, "orders", PARTITIONS);
        for (size_t i = 0; i < WORKERS; i++)
            t->workers[i].name = "worker";
        for (int life = 0; life < 5; life++) {
            for (int i = 0; i < 240; i++) {
                something_happens(t);
                check_owners(t);
            }
            crash(t);
        }
        accepted += t->accepted;
        scene_close(&t->s);
    }
    ck_assert_uint_gt(accepted, 5000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group: storm");
    TCase *tc = tcase_create("storm");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, storm_loses_nothing_that_was_acknowledged);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
