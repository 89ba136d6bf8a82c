/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator writes settings in a file, in the environment and on the command line, and
 * mistypes some. */
#include "broker/core/config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct config config;
static char why[160];

static void begin(void)
{
    config_init(&config);
    why[0] = '\0';
}

static void end(void)
{
    config_release(&config);
}

static enum status set(const char *key, const char *value, enum config_origin origin)
{
    return config_set(&config, bytes_of(key), value, origin, why);
}

/* What --print-config shows can be fed back, for every key and its limits. */
START_TEST(every_value_reads_back_as_it_is_written)
{
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row((enum config_key)i);
        const int64_t values[] = {row->quantity.min, row->quantity.max,
                                  config_number(&config, (enum config_key)i)};
        char text[256];

        if (row->quantity.unit == UNIT_TEXT || row->quantity.unit == UNIT_LIST)
            continue;
        for (size_t v = 0; v < 3; v++) {
            config.values[i].number = values[v];
            config_format(&config, (enum config_key)i, text, sizeof text);
            ck_assert_msg(!set(row->name, text, CONFIG_FROM_FLAG), "%s = %s: %s",
                          row->name, text, why);
            ck_assert_int_eq(config_number(&config, (enum config_key)i), values[v]);
        }
    }
}
END_TEST

START_TEST(people_write_quantities_in_units)
{
    static const struct {
        const char *key, *text;
        int64_t value; /* -1: refused */
    } rows[] = {
        {"memory.hot", "64M", 64 << 20},
        {"memory.hot", "64MiB", 64 << 20},
        {"memory.hot", "64mb", 64 << 20},
        {"memory.hot", "67108864", 64 << 20},
        {"memory.hot", "1G", 1 << 30},
        {"memory.hot", "1.5G", -1},
        {"memory.hot", "64 M", -1},
        {"memory.hot", "64X", -1},
        {"memory.hot", "", -1},
        {"memory.hot", "1K", -1},
        {"memory.hot", "99999999999999999999", -1},
        {"memory.hot", "99999999T", -1},
        {"stop.timeout.ms", "30s", 30000},
        {"stop.timeout.ms", "1500", 1500},
        {"stop.timeout.ms", "1m30s", 90000},
        {"stop.timeout.ms", "1s500ms", 1500},
        {"stop.timeout.ms", "1h", 3600000},
        {"stop.timeout.ms", "1h1ms", -1},
        {"stop.timeout.ms", "5x", -1},
        {"stop.timeout.ms", "m", -1},
        {"stop.timeout.ms", "-1", -1},
        {"log.level", "warn", LOG_LEVEL_WARN},
        {"log.level", "loud", -1},
        {"topics.max", "5", 5},
        {"topics.max", "5k", -1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum config_key key;
        enum status st = set(rows[i].key, rows[i].text, CONFIG_FROM_FLAG);

        ck_assert(config_find(bytes_of(rows[i].key), &key));
        ck_assert_msg((st == STATUS_INVALID_CONFIG) == (rows[i].value == -1), "%s = %s",
                      rows[i].key, rows[i].text);
        if (!st)
            ck_assert_int_eq(config_number(&config, key), rows[i].value);
    }
}
END_TEST

START_TEST(refusals_say_what_to_write_instead)
{
    ck_assert(set("topics.mux", "5", CONFIG_FROM_FILE) == STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why,
                     "no setting is called 'topics.mux'; did you mean 'topics.max'?");
    ck_assert(set("qwertyuiop", "5", CONFIG_FROM_FILE) == STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why, "no setting is called 'qwertyuiop'");
    ck_assert(set("group.max.size", "0", CONFIG_FROM_FILE) == STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why, "group.max.size: '0' is not a valid int: use 1 .. 100000");
    ck_assert(set("disk.io", "uring", CONFIG_FROM_FILE) == STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why,
                     "disk.io: 'uring' is not a valid choice: use auto|io_uring|posix");
}
END_TEST

/* Flag beats environment beats file beats default, in whatever order they are read. */
START_TEST(higher_origin_wins)
{
    ck_assert(!set("topics.max", "3", CONFIG_FROM_FLAG));
    ck_assert(!set("topics.max", "1", CONFIG_FROM_FILE));
    ck_assert(!set("topics.max", "2", CONFIG_FROM_ENVIRONMENT));
    ck_assert_int_eq(config_number(&config, CONFIG_TOPICS_MAX), 3);
    ck_assert_str_eq(config_origin_name(config.values[CONFIG_TOPICS_MAX].origin), "flag");
}
END_TEST

START_TEST(dynamic_change_can_be_taken_back)
{
    ck_assert(!set("topics.max", "3", CONFIG_FROM_FILE));
    ck_assert(!set("topics.max", "9", CONFIG_FROM_DYNAMIC));
    ck_assert_int_eq(config_number(&config, CONFIG_TOPICS_MAX), 9);
    ck_assert(!config_unset_dynamic(&config, bytes_of("topics.max"), why));
    ck_assert_int_eq(config_number(&config, CONFIG_TOPICS_MAX), 3);
    ck_assert(config.values[CONFIG_TOPICS_MAX].origin == CONFIG_FROM_FILE);

    ck_assert(set("listen", "x:1", CONFIG_FROM_DYNAMIC) == STATUS_INVALID_CONFIG);
    ck_assert(config_unset_dynamic(&config, bytes_of("listen"), why));
    ck_assert(set("retention.ms", "1d", CONFIG_FROM_DYNAMIC) == STATUS_INVALID_CONFIG);
}
END_TEST

START_TEST(file_is_read_line_by_line)
{
    static const char good[] = "# a comment\n"
                               "\n"
                               "  listen = 0.0.0.0:9092 \r\n"
                               "retention.ms = 1d\n"
                               "topics.max=7";

    ck_assert(!config_parse(&config, bytes_of(good), CONFIG_FROM_FILE, why));
    ck_assert_str_eq(config_text(&config, CONFIG_LISTEN), "0.0.0.0:9092");
    ck_assert_int_eq(config_number(&config, CONFIG_TOPICS_MAX), 7);
    ck_assert_int_eq(config.topic_defaults.value[TOPIC_KEY_RETENTION_MS], 86400000);

    ck_assert(config_parse(&config, bytes_of("topics.max = 1\n\nnonsense\n"),
                           CONFIG_FROM_FILE, why) == STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why, "line 3: not of the form 'key = value'");
    ck_assert(config_parse(&config, (struct bytes){(const uint8_t *)"a=\0b", 4},
                           CONFIG_FROM_FILE, why) == STATUS_INVALID_CONFIG);
}
END_TEST

START_TEST(environment_has_names_for_all_keys)
{
    char name[64];

    config_environment_name(CONFIG_HTTP_LISTEN, name, sizeof name);
    ck_assert_str_eq(name, "LEAT_HTTP_LISTEN");
}
END_TEST

/* A change is tried on a copy before it is made. */
START_TEST(copy_is_independent)
{
    struct config copy;

    config_init(&copy);
    ck_assert(!set("listen", "a:1", CONFIG_FROM_FILE));
    config_copy(&copy, &config);
    ck_assert(!set("listen", "b:2", CONFIG_FROM_FLAG));
    ck_assert_str_eq(config_text(&copy, CONFIG_LISTEN), "a:1");
    config_release(&copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, every_value_reads_back_as_it_is_written);
    tcase_add_test(tc, people_write_quantities_in_units);
    tcase_add_test(tc, refusals_say_what_to_write_instead);
    tcase_add_test(tc, higher_origin_wins);
    tcase_add_test(tc, dynamic_change_can_be_taken_back);
    tcase_add_test(tc, file_is_read_line_by_line);
    tcase_add_test(tc, environment_has_names_for_all_keys);
    tcase_add_test(tc, copy_is_independent);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
