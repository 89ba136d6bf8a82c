/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings that change while the broker runs, on a disk that forgets: whatever moment the
 * machine goes down at, what was acknowledged is there afterwards, and the file is the
 * one before or the one after, never a mixture. */
#include "broker/core/dynamic.h"

#include "proto/base/check.h"
#include "tests/support/simdisk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct wish {
    struct dynamic_change change;
    int64_t value;
    bool answered;
    enum status status;
};

static enum status apply(struct dynamic_change *c, struct config *config)
{
    struct wish *w = container_of(c, struct wish, change);
    char text[32], why[160];

    snprintf(text, sizeof text, "%d", (int)w->value);
    return config_set(config, bytes_of("topics.max"), text, CONFIG_FROM_DYNAMIC, why);
}

static void on_done(struct dynamic_change *c, enum status status)
{
    struct wish *w = container_of(c, struct wish, change);

    w->answered = true;
    w->status = status;
}

static int64_t in_force(struct simdisk *disk)
{
    struct config config;
    struct dynamic *d;
    char why[256];
    int64_t value;

    config_init(&config);
    ck_assert_msg(!dynamic_open(&d, simdisk_disk(disk), &config, why), "%s", why);
    value = config_number(&config, CONFIG_TOPICS_MAX);
    dynamic_close(d);
    config_release(&config);
    return value;
}

/* Change the setting three times; returns the last value that was acknowledged. */
static int64_t change_thrice(struct simdisk *disk)
{
    struct wish wishes[3];
    struct config config;
    struct dynamic *d;
    char why[256];
    int64_t acknowledged;

    config_init(&config);
    if (dynamic_open(&d, simdisk_disk(disk), &config, why)) {
        config_release(&config);
        return 0;
    }
    acknowledged = config_number(&config, CONFIG_TOPICS_MAX);
    for (int i = 0; i < 3; i++) {
        wishes[i] = (struct wish){{.apply = apply, .done = on_done}, .value = i + 1};
        dynamic_submit(d, &wishes[i].change);
        while (!wishes[i].answered) {
            dynamic_turn(d);
            disk_poll(simdisk_disk(disk), false);
        }
        if (!wishes[i].status)
            acknowledged = wishes[i].value;
        ck_assert_int_eq(config_number(&config, CONFIG_TOPICS_MAX), acknowledged);
    }
    dynamic_close(d);
    config_release(&config);
    return acknowledged;
}

START_TEST(acknowledged_change_survives_any_crash)
{
    uint64_t ops;
    struct simdisk *disk = simdisk_new(&(struct simdisk_options){.seed = 1});

    ck_assert_int_eq(change_thrice(disk), 3);
    ops = simdisk_ops(disk);
    simdisk_free(disk);
    ck_assert_uint_gt(ops, 20);
    for (uint64_t op = 0; op < ops; op++) {
        for (int moment = SIMDISK_BEFORE; moment <= SIMDISK_AFTER; moment++) {
            int64_t acknowledged, found;

            disk = simdisk_new(&(struct simdisk_options){.seed = op});
            simdisk_die_at(disk, op, (enum simdisk_moment)moment);
            acknowledged = change_thrice(disk);
            simdisk_crash(disk, SIMDISK_POWER);
            found = in_force(disk);
            if (acknowledged == 0 || acknowledged == 10000)
                ck_assert(found == 10000 || found <= 3);
            else
                ck_assert_int_ge(found, acknowledged);
            ck_assert(found == 10000 || (found >= 1 && found <= 3));
            simdisk_free(disk);
        }
    }
}
END_TEST

START_TEST(change_that_was_not_kept_is_not_made)
{
    static const enum disk_kind kinds[] = {DISK_OPEN, DISK_WRITE, DISK_SYNC, DISK_CLOSE,
                                           DISK_RENAME};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct simdisk *disk = simdisk_new(&(struct simdisk_options){.seed = i});
        struct wish wish = {{.apply = apply, .done = on_done}, .value = 7};
        struct config config;
        struct dynamic *d;
        char why[256];

        config_init(&config);
        ck_assert(!dynamic_open(&d, simdisk_disk(disk), &config, why));
        simdisk_fail(disk, kinds[i], 1, STATUS_NO_SPACE);
        dynamic_submit(d, &wish.change);
        while (!wish.answered) {
            dynamic_turn(d);
            disk_poll(simdisk_disk(disk), false);
        }
        ck_assert_int_eq(wish.status, STATUS_NO_SPACE);
        ck_assert_int_eq(config_number(&config, CONFIG_TOPICS_MAX), 10000);
        dynamic_close(d);
        config_release(&config);
        ck_assert_int_eq(change_thrice(disk), 3); /* and the next one works */
        simdisk_free(disk);
    }
}
END_TEST

START_TEST(damaged_file_is_told_with_its_line)
{
    static const char text[] = "topics.max = many\n";
    struct simdisk *disk = simdisk_new(&(struct simdisk_options){.seed = 3});
    struct config config;
    struct dynamic *d;
    char why[256];

    ck_assert(
        !disk_replace(simdisk_disk(disk), ".", "dynamic.conf", text, sizeof text - 1));
    config_init(&config);
    ck_assert(dynamic_open(&d, simdisk_disk(disk), &config, why) ==
              STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why, "dynamic.conf: line 1: topics.max: 'many' is not a valid int: "
                          "use 1 .. 1000000");
    config_release(&config);
    simdisk_free(disk);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dynamic");
    TCase *tc = tcase_create("dynamic");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, acknowledged_change_survives_any_crash);
    tcase_add_test(tc, change_that_was_not_kept_is_not_made);
    tcase_add_test(tc, damaged_file_is_told_with_its_line);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
