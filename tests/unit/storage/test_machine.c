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
    bool follows; /* what is committed is told it by its leader */
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

static void reset(void *ctx)
{
    struct counter *c = ctx;

    c->sum = 0;
    c->next = -1;
}

static const struct machine_verbs verbs = {
    .apply = apply, .reset = reset, .snapshot = snapshot};

static void on_durable(void *ctx, struct log *log)
{
    struct counter *c = ctx;

    if (!c->follows)
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
    if (st == STATUS_OK && !c->follows)
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

/* ---- replicas -----------------------------------------------------------------------
 */

static void until_durable(struct counter *c)
{
    for (int i = 0; i < 1000; i++) {
        if (log_durable(machine_log(c->machine)) == log_end(machine_log(c->machine)))
            return;
        turn(c);
    }
    ck_abort_msg("nothing becomes durable");
}

static void turns(struct counter *c, int n)
{
    while (n-- > 0)
        turn(c);
}

static void on_read(struct log_read *read)
{
    read->upto = -1;
}

/* Everything that `to` lacks of `from`'s log, batch by batch. */
static void catch_up(struct counter *to, const struct counter *from)
{
    struct log *log = machine_log(from->machine);

    while (log_end(machine_log(to->machine)) < log_end(log)) {
        struct log_read r = {.from = log_end(machine_log(to->machine)),
                             .upto = log_end(log),
                             .max_bytes = 1,
                             .first_whole = true,
                             .done = on_read};
        struct batch b;

        if (!log_read_hot(log, &r)) {
            log_read_cold(log, &r);
            while (r.upto >= 0)
                disk_poll(from->disk, true);
        }
        ck_assert_int_eq(r.status, STATUS_OK);
        ck_assert_int_eq(
            batch_parse((struct bytes){r.slices[0].data, r.slices[0].len}, &b),
            STATUS_OK);
        machine_append_replica(to->machine, &b, r.slices[0].data, to->now);
        log_read_release(&r);
    }
}

struct heard {
    uint64_t sum;
    int64_t first, last;
    int32_t epoch;
    unsigned count;
};

static void hear(void *to, int64_t offset, int32_t epoch, struct bytes record)
{
    struct heard *h = to;

    h->sum += load_u64(record.data);
    h->first = h->count == 0 ? offset : h->first;
    h->last = offset;
    h->epoch = epoch;
    h->count++;
}

/* What was found in the log at the start waits as well: nobody here knows what of it was
 * committed. But it can be looked at. */
START_TEST(nothing_is_applied_before_it_is_committed)
{
    struct counter c;
    struct heard h = {0};

    counter_begin(&c, 7, UINT64_MAX);
    add(&c, 1, 3);
    add(&c, 10, 2);
    counter_close(&c);
    c.follows = true;
    ck_assert_int_eq(counter_open(&c), STATUS_OK);
    ck_assert_int_eq(machine_applied(c.machine), 0);
    ck_assert_uint_eq(c.sum, 0);
    machine_each_pending(c.machine, hear, &h);
    ck_assert_uint_eq(h.sum, 1 + 2 + 3 + 10 + 11);
    ck_assert_int_eq(h.first, 0);
    ck_assert_int_eq(h.last, 4);
    ck_assert_int_eq(h.epoch, 1);
    machine_commit(c.machine, 3);
    ck_assert_uint_eq(c.sum, 6);
    machine_commit(c.machine, 5);
    ck_assert_uint_eq(c.sum, 27);
    counter_end(&c);
}
END_TEST

START_TEST(what_is_cut_off_is_told_so)
{
    struct counter c;
    struct addition a, b;

    counter_begin(&c, 8, UINT64_MAX);
    c.follows = true;
    propose(&c, &a, 1, 2);
    propose(&c, &b, 10, 2);
    machine_truncate(c.machine, 2);
    ck_assert(!a.done);
    ck_assert(b.done);
    ck_assert_int_eq(b.status, STATUS_NOT_LEADER);
    ck_assert_int_eq(machine_tail_epoch(c.machine), 1);
    propose(&c, &b, 20, 1);
    until_durable(&c);
    machine_commit(c.machine, 3);
    ck_assert_uint_eq(c.sum, 1 + 2 + 20);
    ck_assert(a.done && b.done);
    counter_end(&c);
}
END_TEST

/* The content of the newest snapshot, in pieces of `piece` bytes. */
static void on_piece(struct machine_read *r)
{
    r->max_bytes = 0;
}

static struct writer read_snapshot(struct counter *c, size_t piece, int64_t *offset)
{
    struct writer out = writer_growing();
    struct machine_read r = {0};

    do {
        r.max_bytes = piece;
        r.done = on_piece;
        machine_read_snapshot(c->machine, &r);
        while (r.max_bytes != 0)
            disk_poll(c->disk, true);
        ck_assert_int_eq(r.status, STATUS_OK);
        write_bytes(&out, r.data.data, r.data.len);
        r.position += r.data.len;
        slice_release(&r.data);
    } while (r.position < r.size);
    *offset = r.offset;
    ck_assert_int_eq(r.epoch, 1);
    return out;
}

/* The same state at the same offset: the same bytes, whoever wrote them. */
START_TEST(replicas_write_the_same_snapshots)
{
    struct counter leader, follower;
    struct writer a, b;
    int64_t at, same;

    counter_begin(&leader, 9, 900);
    counter_begin(&follower, 10, 900);
    follower.follows = true;
    for (uint64_t n = 0; n < 50; n++) {
        add(&leader, n, 2);
        catch_up(&follower, &leader);
        until_durable(&follower);
        machine_commit(follower.machine, machine_applied(leader.machine));
        turns(&leader, 200);
        turns(&follower, 200);
    }
    ck_assert_uint_eq(follower.sum, leader.sum);
    ck_assert_int_gt(machine_snapshot_offset(leader.machine), 0);
    a = read_snapshot(&leader, 7, &at);
    b = read_snapshot(&follower, 1000, &same);
    ck_assert_int_eq(at, same);
    ck_assert_uint_eq(a.len, b.len);
    ck_assert_int_eq(memcmp(a.data, b.data, a.len), 0);
    writer_release(&a);
    writer_release(&b);
    counter_end(&leader);
    counter_end(&follower);
}
END_TEST

struct installation {
    struct machine_install install;
    enum status status;
    bool done;
};

static void on_installed(struct machine_install *i, enum status status)
{
    struct installation *installation = (struct installation *)(void *)i;

    installation->status = status;
    installation->done = true;
}

static enum status install(struct counter *c, struct bytes data)
{
    struct installation i = {.install = {.done = on_installed, .data = data}};

    machine_install(c->machine, &i.install);
    for (int n = 0; n < 1000 && !i.done; n++)
        turn(c);
    return i.done ? i.status : STATUS_IO;
}

/* A leader that has let go of its log's beginning. */
static void lead(struct counter *leader, struct writer *snapshot, int64_t *offset)
{
    counter_begin(leader, 11, 900);
    for (uint64_t n = 0; n < 80; n++) {
        add(leader, n, 1);
        turns(leader, 120);
    }
    *snapshot = read_snapshot(leader, 1000, offset);
    ck_assert_int_gt(*offset, 0);
    add(leader, 1000, 3);
}

/* Whatever it had is forgotten, who waits is told, and the log goes on behind the
 * snapshot; before and after a restart. */
START_TEST(a_snapshot_replaces_a_machine_that_is_behind)
{
    struct counter leader, follower;
    struct addition a;
    struct writer data;
    int64_t offset;

    lead(&leader, &data, &offset);
    counter_begin(&follower, 12, UINT64_MAX);
    add(&follower, 77, 5);
    follower.follows = true;
    propose(&follower, &a, 1, 1);
    ck_assert_int_eq(install(&follower, (struct bytes){data.data, data.len}), STATUS_OK);
    ck_assert(a.done);
    ck_assert_int_eq(a.status, STATUS_NOT_LEADER);
    ck_assert_int_eq(machine_applied(follower.machine), offset);
    ck_assert_int_eq(machine_tail_epoch(follower.machine), 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(machine_snapshot_offset(follower.machine), offset);
        ck_assert_int_eq(log_start(machine_log(follower.machine)), offset);
        if (i == 1)
            catch_up(&follower, &leader);
        machine_commit(follower.machine, log_end(machine_log(follower.machine)));
        if (i >= 1)
            ck_assert_uint_eq(follower.sum, leader.sum);
        until_durable(&follower);
        counter_close(&follower);
        ck_assert_int_eq(counter_open(&follower), STATUS_OK);
    }
    writer_release(&data);
    counter_end(&leader);
    counter_end(&follower);
}
END_TEST

START_TEST(damaged_or_old_snapshots_are_not_installed)
{
    struct counter leader, follower;
    struct writer data;
    int64_t offset;

    lead(&leader, &data, &offset);
    counter_begin(&follower, 13, UINT64_MAX);
    add(&follower, 77, 5);
    data.data[data.len - 1] ^= 1;
    ck_assert_int_eq(install(&follower, (struct bytes){data.data, data.len}),
                     STATUS_CORRUPT);
    ck_assert_int_eq(install(&follower, (struct bytes){data.data, 3}), STATUS_CORRUPT);
    data.data[data.len - 1] ^= 1;
    ck_assert_int_eq(install(&leader, (struct bytes){data.data, data.len}),
                     STATUS_CORRUPT);
    ck_assert_uint_eq(follower.sum, 77 + 78 + 79 + 80 + 81);
    add(&follower, 1, 1);
    ck_assert_uint_eq(follower.sum, 77 + 78 + 79 + 80 + 81 + 1);
    writer_release(&data);
    counter_end(&leader);
    counter_end(&follower);
}
END_TEST

/* What is forgotten does not come back, and the next record is the first one again. */
START_TEST(forgotten_machine_begins_anew)
{
    struct counter c;
    bool begun;

    counter_begin(&c, 17, UINT64_MAX);
    add(&c, 3, 4);
    ck_assert(machine_forget(c.machine, &begun));
    ck_assert_uint_eq(c.sum, 0);
    ck_assert_int_eq(machine_applied(c.machine), 0);
    add(&c, 7, 1);
    counter_close(&c);
    ck_assert_int_eq(counter_open(&c), STATUS_OK);
    ck_assert_uint_eq(c.sum, 7);
    ck_assert_int_eq(machine_applied(c.machine), 1);
    counter_end(&c);
}
END_TEST

static void forget(struct counter *c)
{
    bool begun;

    for (int i = 0; i < 1000 && !simdisk_is_dead(c->sim); i++) {
        if (machine_forget(c->machine, &begun))
            return;
        turn(c);
    }
}

/* A start would begin with the snapshot, so that goes as well. */
START_TEST(snapshots_are_forgotten_too)
{
    struct counter c;
    bool begun;

    counter_begin(&c, 18, 500);
    while (machine_snapshot_offset(c.machine) == 0)
        add(&c, 3, 4);
    ck_assert(!machine_forget(c.machine, &begun));
    ck_assert(begun);
    forget(&c);
    ck_assert_int_eq(machine_snapshot_offset(c.machine), 0);
    ck_assert_uint_eq(c.sum, 0);
    add(&c, 7, 1);
    counter_close(&c);
    ck_assert_int_eq(counter_open(&c), STATUS_OK);
    ck_assert_uint_eq(c.sum, 7);
    counter_end(&c);
}
END_TEST

/* A follower that is a little behind finds what it lacks in the log. */
START_TEST(the_log_reaches_back_behind_the_newest_snapshot)
{
    struct counter c;
    int64_t newest = 0, before = 0;

    counter_begin(&c, 14, 3000);
    for (uint64_t n = 0; n < 300; n++) {
        add(&c, n, 1);
        turns(&c, 5);
        if (machine_snapshot_offset(c.machine) > newest) {
            before = newest;
            newest = machine_snapshot_offset(c.machine);
        }
        ck_assert_int_le(log_start(machine_log(c.machine)), before);
    }
    ck_assert_int_gt(before, 0);
    counter_end(&c);
}
END_TEST

static void crash_while_installing(const struct counter *leader, struct bytes data,
                                   int64_t offset, uint64_t at, int how)
{
    const uint64_t sum = 77 + 78 + 79 + 80 + 81;
    struct counter c;
    uint64_t installed = 0;

    counter_begin(&c, 200 + at, UINT64_MAX);
    add(&c, 77, 5);
    simdisk_die_at(c.sim, simdisk_ops(c.sim) + at, (enum simdisk_moment)(how % 3));
    if (install(&c, data) == STATUS_OK)
        installed = c.sum;
    for (int i = 0; i < 20 && !simdisk_is_dead(c.sim); i++)
        turn(&c);
    machine_close(c.machine);
    ck_assert(store_close(c.store) == STATUS_OK || simdisk_is_dead(c.sim));
    simdisk_crash(c.sim, how < 3 ? SIMDISK_POWER : SIMDISK_PROCESS);
    c.follows = true;
    ck_assert_int_eq(counter_open(&c), STATUS_OK);
    if (machine_applied(c.machine) == offset) {
        ck_assert_int_eq(log_end(machine_log(c.machine)), offset);
    } else {
        ck_assert_uint_eq(installed, 0);
        ck_assert_int_eq(machine_applied(c.machine), 0);
        machine_commit(c.machine, log_end(machine_log(c.machine)));
        ck_assert_uint_eq(c.sum, sum);
        ck_assert_int_eq(install(&c, data), STATUS_OK);
    }
    catch_up(&c, leader);
    until_durable(&c);
    machine_commit(c.machine, machine_applied(leader->machine));
    ck_assert_uint_eq(c.sum, leader->sum);
    counter_end(&c);
}

START_TEST(crashes_leave_the_old_state_or_the_installed_one)
{
    struct counter leader;
    struct writer data;
    int64_t offset;

    lead(&leader, &data, &offset);
    for (uint64_t at = 0; at < 24; at++)
        for (int how = 0; how < 6; how++)
            crash_while_installing(&leader, (struct bytes){data.data, data.len}, offset,
                                   at, how);
    writer_release(&data);
    counter_end(&leader);
}
END_TEST

static void crash_while_forgetting(uint64_t at, int how)
{
    struct addition a = {.done = false};
    struct counter c;
    uint64_t before;

    counter_begin(&c, 300 + at, 500);
    while (machine_snapshot_offset(c.machine) == 0)
        add(&c, 3, 4);
    before = c.sum;
    simdisk_die_at(c.sim, simdisk_ops(c.sim) + at, (enum simdisk_moment)(how % 3));
    forget(&c);
    if (!simdisk_is_dead(c.sim))
        propose(&c, &a, 7, 1);
    for (int i = 0; i < 1000 && !a.done && !simdisk_is_dead(c.sim); i++)
        turn(&c);
    machine_close(c.machine);
    ck_assert(store_close(c.store) == STATUS_OK || simdisk_is_dead(c.sim));
    simdisk_crash(c.sim, how < 3 ? SIMDISK_POWER : SIMDISK_PROCESS);
    ck_assert_int_eq(counter_open(&c), STATUS_OK);
    if (a.done && a.status == STATUS_OK)
        ck_assert_uint_eq(c.sum, 7);
    else
        ck_assert(c.sum == 0 || c.sum == 7 || (c.sum % 18 == 0 && c.sum <= before));
    counter_end(&c);
}

/* Never a state that was put together of both. */
START_TEST(crashes_leave_the_old_state_or_what_came_after_it_was_forgotten)
{
    for (uint64_t at = 0; at < 24; at++)
        for (int how = 0; how < 6; how++)
            crash_while_forgetting(at, how);
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
    tcase_add_test(tc, nothing_is_applied_before_it_is_committed);
    tcase_add_test(tc, what_is_cut_off_is_told_so);
    tcase_add_test(tc, replicas_write_the_same_snapshots);
    tcase_add_test(tc, a_snapshot_replaces_a_machine_that_is_behind);
    tcase_add_test(tc, damaged_or_old_snapshots_are_not_installed);
    tcase_add_test(tc, forgotten_machine_begins_anew);
    tcase_add_test(tc, snapshots_are_forgotten_too);
    tcase_add_test(tc, crashes_leave_the_old_state_or_what_came_after_it_was_forgotten);
    tcase_add_test(tc, the_log_reaches_back_behind_the_newest_snapshot);
    tcase_add_test(tc, crashes_leave_the_old_state_or_the_installed_one);
    tcase_add_test(tc, crashes_lose_no_answered_proposal);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
