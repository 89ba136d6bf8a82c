/* SPDX-License-Identifier: Apache-2.0
 *
 * The crash sweep. A script of appends, rolls, truncations, trims, deletions, logs begun
 * anew, checkpoints and a journal that is full now and then runs until the disk dies at a
 * chosen operation: before it, in the middle of it, or right after it, by power cut or by
 * kill. Then recovery runs (and may die as well), and every log must be what was
 * promised: what was durable is there byte for byte, offsets have no holes, and nothing
 * comes back that was cut. Then life goes on, to show that the directory is sound. */
#include "proto/base/prng.h"
#include "tests/unit/storage/store_scene.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOGS = 4, STEPS = 120 };

static int64_t some_boundary(struct model_log *m, struct prng *p, int64_t upto)
{
    size_t n = 0;

    while (n < m->count && m->batches[n].base <= upto)
        n++;
    return n == 0 ? m->start : m->batches[prng_below(p, n)].base;
}

static void step(struct scene *s, struct prng *p)
{
    unsigned n = (unsigned)prng_below(p, LOGS);
    struct model_log *m = &s->logs[n];
    int64_t offset;

    switch (prng_below(p, 26)) {
    case 0:
        if (m->log == NULL || m->begun_anew)
            break;
        offset = some_boundary(m, p, INT64_MAX);
        if (offset >= m->start)
            scene_truncate(s, n, offset);
        break;
    case 1:
        if (m->log == NULL)
            break;
        offset = some_boundary(m, p, log_durable(m->log));
        if (offset > m->start && offset <= log_durable(m->log))
            scene_trim(s, n, offset);
        break;
    case 2:
        if (m->log != NULL && n == LOGS - 1)
            scene_delete(s, n);
        break;
    case 3:
        s->now.mono_ms += 6000;
        store_tick(s->store, s->now);
        break;
    case 4:
    case 5:
        for (int i = 0; i < 30; i++)
            scene_turn(s);
        break;
    case 6: scene_settle(s); break;
    case 7:
        if (m->log != NULL && m->old == NULL)
            scene_begin_anew(s, n, log_end(m->log) + (int64_t)prng_below(p, 3));
        break;
    case 8: /* nobody asked whether there is room */
        s->anonymous = true;
        for (int i = (int)prng_below(p, 40); i > 0 && !m->deleted; i--)
            scene_append(s, n, 3, 10000);
        s->anonymous = false;
        break;
    default:
        if (store_admit(s->store) == STATUS_OK && !m->deleted)
            scene_append(s, n, 1 + (int)prng_below(p, 3),
                         prng_below(p, 4) ? prng_below(p, 500) : prng_below(p, 12000));
        break;
    }
    scene_turn(s);
}

static void run_script(struct scene *s, uint64_t seed)
{
    struct prng p;

    prng_init(&p, seed);
    for (int i = 0; i < STEPS && s->failures == 0 && !simdisk_is_dead(s->sim); i++)
        step(s, &p);
    /* The last steps wind up, so that the sweep covers a clean close, too. */
    if (s->failures == 0 && !simdisk_is_dead(s->sim))
        scene_settle(s);
}

static void begin(struct scene *s, uint64_t seed)
{
    scene_begin(s, seed);
    s->config.segment_bytes = 24 * 1024;
    s->config.index_interval_bytes = 512;
    s->options.hot_bytes = JOURNAL_BUFFER;
}

static uint64_t script_ops(uint64_t seed, uint64_t *close_ops)
{
    struct scene s;
    uint64_t ops;

    begin(&s, seed);
    *close_ops = simdisk_ops(s.sim);
    run_script(&s, seed);
    ck_assert_uint_eq(s.failures, 0);
    ck_assert_int_eq(scene_close(&s), STATUS_OK);
    ops = simdisk_ops(s.sim);
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    for (unsigned n = 0; n < LOGS; n++)
        if (s.logs[n].log != NULL)
            scene_verify(&s, n);
    scene_end(&s);
    return ops;
}

/* Recover, perhaps dying in the middle of that a few times first. */
static void come_back(struct scene *s, struct prng *p, enum simdisk_crash_kind kind)
{
    for (int deaths = (int)prng_below(p, 3); deaths > 0; deaths--) {
        enum status st;

        simdisk_die_at(s->sim, simdisk_ops(s->sim) + prng_below(p, 60),
                       (enum simdisk_moment)prng_below(p, 3));
        s->failures = 0;
        st = scene_open(s);
        if (st == STATUS_OK && !simdisk_is_dead(s->sim))
            scene_turn(s);
        if (s->store == NULL)
            simdisk_crash(s->sim, kind);
        else
            scene_crash(s, kind);
    }
    s->failures = 0;
    ck_assert_int_eq(scene_open(s), STATUS_OK);
}

static void go_on(struct scene *s)
{
    for (unsigned n = 0; n < LOGS; n++)
        scene_verify_survivors(s, n);
    for (unsigned n = 0; n < LOGS; n++)
        if (s->logs[n].log != NULL)
            for (int i = 0; i < 3; i++)
                scene_append(s, n, 2, 3000);
    scene_settle(s);
    ck_assert_uint_eq(s->failures, 0);
    scene_restart(s);
    for (unsigned n = 0; n < LOGS; n++)
        if (s->logs[n].log != NULL)
            scene_verify(s, n);
}

static void crash_once(uint64_t seed, uint64_t op, int how)
{
    enum simdisk_moment moment = (enum simdisk_moment)(how % 3);
    enum simdisk_crash_kind kind = how < 3 ? SIMDISK_POWER : SIMDISK_PROCESS;
    struct prng p;
    struct scene s;

    prng_init(&p, seed * 1000003 + op * 7 + (uint64_t)moment);
    begin(&s, seed);
    simdisk_die_at(s.sim, op, moment);
    run_script(&s, seed);
    if (!simdisk_is_dead(s.sim) && scene_close(&s) == STATUS_OK &&
        !simdisk_is_dead(s.sim)) {
        ck_assert_int_eq(scene_open(&s), STATUS_OK);
    } else {
        scene_crash(&s, kind);
        come_back(&s, &p, kind);
    }
    go_on(&s);
    scene_end(&s);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void trace(uint64_t seed, uint64_t op, int how)
{
    if (getenv("SWEEP_TRACE") != NULL)
        fprintf(stderr, "seed %lu op %lu how %d\n", (unsigned long)seed,
                (unsigned long)op, how);
}

/* SWEEP_SEED to SWEEP_SEEDS, every SWEEP_STRIDE-th operation of each; SWEEP_OP and
 * SWEEP_HOW replay one failure, SWEEP_TRACE tells which it was. */
static void sweep(int ways, void (*life)(uint64_t seed, uint64_t op, int how))
{
    uint64_t first = from_environment("SWEEP_SEED", 1);
    uint64_t last = from_environment("SWEEP_SEEDS", first + 11);
    uint64_t stride = from_environment("SWEEP_STRIDE", 53);
    uint64_t only_op = from_environment("SWEEP_OP", 0);
    uint64_t only_how = from_environment("SWEEP_HOW", UINT64_MAX);

    for (uint64_t seed = first; seed <= last; seed++) {
        uint64_t begun, ops = script_ops(seed, &begun);
        uint64_t op = only_op > 0 ? only_op : begun + seed % stride;

        for (; op < (only_op > 0 ? only_op + 1 : ops); op += stride)
            for (int how = 0; how < ways; how++) {
                if (only_how != UINT64_MAX && only_how != (uint64_t)how)
                    continue;
                trace(seed, op, how);
                life(seed, op, how);
            }
    }
}

START_TEST(nothing_promised_is_lost_wherever_it_crashes)
{
    sweep(6, crash_once);
}
END_TEST

/* An operation fails, or the process is killed at it, and the next process finds names
 * and bytes in view that the disk has not got. It may build on them only once they are
 * synced: the power goes at once, or after it has worked for a while. */
static void go_after_process(uint64_t seed, uint64_t op, int how)
{
    bool fails = how % 2, works = how / 2;
    struct scene s;

    begin(&s, seed);
    if (fails)
        simdisk_fail_at(s.sim, op, STATUS_IO);
    else
        simdisk_die_at(s.sim, op, SIMDISK_BEFORE);
    run_script(&s, seed);
    scene_crash(&s, SIMDISK_PROCESS);
    s.failures = 0;
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    for (unsigned n = 0; n < LOGS; n++)
        scene_verify_survivors(&s, n);
    if (works)
        run_script(&s, seed + 1);
    scene_crash(&s, SIMDISK_POWER);
    s.failures = 0;
    ck_assert_int_eq(scene_open(&s), STATUS_OK);
    go_on(&s);
    scene_end(&s);
}

START_TEST(nothing_is_trusted_that_another_process_left)
{
    sweep(4, go_after_process);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store crash sweep");
    TCase *tc = tcase_create("sweep");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, nothing_promised_is_lost_wherever_it_crashes);
    tcase_add_test(tc, nothing_is_trusted_that_another_process_left);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
