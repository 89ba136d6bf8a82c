/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine that counts: its records are numbers, its state their sum. Whatever happens
 * to it, the sum and the number of records stay what was committed. */
#include "proto/record/build.h"
#include "storage/machine.h"
#include "tests/support/simdisk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counter {
    struct simdisk *sim;
    struct disk *disk;
    struct store *store;
    struct machine *machine;
    uint64_t sum;
    int64_t next; /* the offset that must come next */
    unsigned done;
    unsigned applied;
    uint64_t snapshot_bytes;
    struct instant now;
};

static enum status apply(void *ctx, int64_t offset, struct bytes record)
{
    struct counter *c = ctx;

    if (record.len != 8)
        return STATUS_CORRUPT;
    c->sum += load_u64(record.data);
    c->applied++;
    if (offset >= 0) {
        ck_assert(c->next < 0 || offset == c->next);
        c->next = offset + 1;
    }
    return STATUS_OK;
}

static void snapshot(void *ctx, void (*emit)(void *to, struct bytes record), void *to)
{
    const struct counter *c = ctx;
    uint8_t sum[8];

    store_u64(sum, c->sum);
    emit(to, (struct bytes){sum, sizeof sum});
}

static const struct machine_verbs verbs = {.apply = apply, .snapshot = snapshot};

static void on_durable(void *ctx, struct log *log)
{
    struct counter *c = ctx;

    machine_commit(c->machine, log_durable(log));
}

static enum status counter_open(struct counter *c)
{
    struct store_options so = store_options_default;
    struct machine_options mo = {
        .name = "sum", .verbs = &verbs, .ctx = c, .snapshot_bytes = c->snapshot_bytes};
    struct store_recovery recovery;
    char why[256];
    enum status st;

    c->sum = 0;
    c->next = -1;
    c->applied = 0;
    so.journal_file_bytes = JOURNAL_BUFFER;
    so.reserve_bytes = 0;
    so.on_durable = on_durable;
    so.ctx = c;
    st = store_recover(c->disk, &recovery, why);
    if (st == STATUS_OK)
        st = store_open(&c->store, c->disk, &so);
    if (st == STATUS_OK)
        st = machine_open(&c->machine, c->store, c->disk, &mo);
    /* Alone, what is on disk is committed. */
    if (st == STATUS_OK)
        machine_commit(c->machine, log_durable(machine_log(c->machine)));
    return st;
}

static void counter_begin(struct counter *c, uint64_t seed, uint64_t snapshot_bytes)
{
    *c = (struct counter){.sim = simdisk_new(&(struct simdisk_options){.seed = seed}),
                          .snapshot_bytes = snapshot_bytes,
                          .now = {1000, 1700000000000}};
    c->disk = simdisk_disk(c->sim);
    ck_assert_int_eq(counter_open(c), STATUS_OK);
}

static void counter_close(struct counter *c)
{
    machine_close(c->machine);
    ck_assert_int_eq(store_close(c->store), STATUS_OK);
}

static void counter_end(struct counter *c)
{
    counter_close(c);
    simdisk_free(c->sim);
}

static void turn(struct counter *c)
{
    c->now.mono_ms += 100;
    store_turn_end(c->store);
    disk_poll(c->disk, false);
    machine_tick(c->machine, c->now);
}

struct addition {
    struct machine_entry entry;
    struct counter *counter;
    enum status status;
    bool done;
};

static void on_added(struct machine_entry *entry, enum status status)
{
    struct addition *a = (struct addition *)(void *)entry;

    ck_assert(!a->done);
    a->done = true;
    a->status = status;
    /* Its own record was applied before. */
    if (status == STATUS_OK)
        ck_assert_int_ge(machine_applied(a->counter->machine), entry->last_offset + 1);
    a->counter->done++;
}

/* Add `count` numbers as one proposal. */
static void propose(struct counter *c, struct addition *a, uint64_t first, size_t count)
{
    uint8_t numbers[16][8];
    struct bytes records[16];

    for (size_t i = 0; i < count; i++) {
        store_u64(numbers[i], first + i);
        records[i] = (struct bytes){numbers[i], 8};
    }
    *a = (struct addition){.entry.done = on_added, .counter = c};
    machine_propose(c->machine, records, count, 1, c->now, &a->entry);
}

static void add(struct counter *c, uint64_t first, size_t count)
{
    struct addition a;

    propose(c, &a, first, count);
    while (!a.done)
        turn(c);
    ck_assert_int_eq(a.status, STATUS_OK);
}

/* A proposal is answered after its records were applied, all of them at once. */
START_TEST(proposals_are_applied_in_order_once_committed)
{
    struct counter c;
    struct addition a, b;

    counter_begin(&c, 1, UINT64_MAX);
    propose(&c, &a, 1, 3);
    propose(&c, &b, 10, 2);
    ck_assert_uint_eq(c.applied, 0);
    while (!b.done)
        turn(&c);
    ck_assert(a.done);
    ck_assert_uint_eq(c.sum, 1 + 2 + 3 + 10 + 11);
    ck_assert_int_eq(machine_applied(c.machine), 5);
    counter_end(&c);
}
END_TEST

/* After a restart the state is built from the log alone, or from a snapshot and the rest
 * of the log: it is the same. */
START_TEST(restart_rebuilds_the_state)
{
    const uint64_t snapshot_bytes[] = {UINT64_MAX, 500, 3000};

    for (size_t i = 0; i < 3; i++) {
        struct counter c;
        uint64_t sum;

        counter_begin(&c, 2 + i, snapshot_bytes[i]);
        for (uint64_t n = 0; n < 200; n++)
            add(&c, n, 1 + n % 4);
        sum = c.sum;
        counter_close(&c);
        ck_assert_int_eq(counter_open(&c), STATUS_OK);
        ck_assert_uint_eq(c.sum, sum);
        add(&c, 5, 1);
        ck_assert_uint_eq(c.sum, sum + 5);
        if (snapshot_bytes[i] == 500)
            ck_assert_uint_lt(c.applied, 30);
        counter_end(&c);
    }
}
END_TEST

/* The newest snapshot that is whole wins; a damaged one is passed over as long as the log
 * still reaches back to an older one, otherwise the machine does not open. */
START_TEST(damaged_snapshot_is_not_believed)
{
    struct counter c;
    struct disk_op list = {.kind = DISK_LIST, .path = "machines"};
    char path[256];
    unsigned count = 0;

    counter_begin(&c, 6, 500);
    for (uint64_t n = 0; n < 50; n++)
        add(&c, n, 1);
    counter_close(&c);
    ck_assert_int_eq(disk_call(c.disk, &list), STATUS_OK);
    for (const char *at = list.names; *at != '\0'; at += strlen(at) + 1) {
        snprintf(path, sizeof path, "machines/%s", at);
        count++;
    }
    free(list.names);
    ck_assert_uint_eq(count, 1);
    ck_assert(simdisk_flip(c.sim, path, 20, 1));
    ck_assert_int_eq(counter_open(&c), STATUS_CORRUPT);
    ck_assert_int_eq(store_close(c.store), STATUS_OK);
    simdisk_free(c.sim);
}
END_TEST

/* Wherever the power goes, what was answered is in the state afterwards. */
START_TEST(crashes_lose_no_answered_proposal)
{
    for (uint64_t at = 0; at < 400; at += 3) {
        struct counter c;
        struct addition a;
        uint64_t answered = 0, n = 0;

        counter_begin(&c, 100 + at, 600);
        simdisk_die_at(c.sim, simdisk_ops(c.sim) + at, (enum simdisk_moment)(at % 3));
        while (!simdisk_is_dead(c.sim) && n < 200) {
            propose(&c, &a, ++n, 1);
            for (int i = 0; i < 1000 && !a.done && !simdisk_is_dead(c.sim); i++)
                turn(&c);
            if (a.done && a.status == STATUS_OK)
                answered = n;
        }
        machine_close(c.machine);
        ck_assert(store_close(c.store) == STATUS_OK || simdisk_is_dead(c.sim));
        simdisk_crash(c.sim, at % 2 ? SIMDISK_POWER : SIMDISK_PROCESS);
        ck_assert_int_eq(counter_open(&c), STATUS_OK);
        ck_assert(c.sum == answered * (answered + 1) / 2 ||
                  c.sum == (answered + 1) * (answered + 2) / 2);
        counter_end(&c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine");
    TCase *tc = tcase_create("machine");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, proposals_are_applied_in_order_once_committed);
    tcase_add_test(tc, restart_rebuilds_the_state);
    tcase_add_test(tc, damaged_snapshot_is_not_believed);
    tcase_add_test(tc, crashes_lose_no_answered_proposal);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
