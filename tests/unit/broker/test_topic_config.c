/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic keeps what was set on it and follows the broker in everything else. */
#include "broker/core/topic_config.h"

#include <check.h>
#include <stdlib.h>

static char why[160];

START_TEST(unset_keys_follow_the_defaults)
{
    struct topic_config defaults = topic_config_fallback();
    struct topic_config topic = {0};

    ck_assert_int_eq(topic_config_get(&topic, &defaults, TOPIC_KEY_SEGMENT_BYTES),
                     1 << 30);
    defaults.value[TOPIC_KEY_SEGMENT_BYTES] = 1 << 20;
    ck_assert_int_eq(topic_config_get(&topic, &defaults, TOPIC_KEY_SEGMENT_BYTES),
                     1 << 20);
    ck_assert(!topic_config_set(&topic, bytes_of("segment.bytes"), "2M", why));
    ck_assert_int_eq(topic_config_get(&topic, &defaults, TOPIC_KEY_SEGMENT_BYTES),
                     2 << 20);
    ck_assert(!topic_config_set(&topic, bytes_of("segment.bytes"), NULL, why));
    ck_assert_int_eq(topic_config_get(&topic, &defaults, TOPIC_KEY_SEGMENT_BYTES),
                     1 << 20);
}
END_TEST

START_TEST(values_are_checked)
{
    static const struct {
        const char *key, *value;
        bool ok;
    } rows[] = {
        {"retention.ms", "-1", true},
        {"retention.ms", "-2", false},
        {"retention.ms", "7d", true},
        {"retention.bytes", "-1", true},
        {"segment.bytes", "-1", false},
        {"segment.bytes", "64K", true},
        {"segment.bytes", "65535", false},
        {"cleanup.policy", "delete", true},
        {"cleanup.policy", "compact", false},
        {"message.timestamp.type", "LogAppendTime", true},
        {"message.timestamp.type", "logappendtime", true},
        {"message.timestamp.type", "Later", false},
        {"compression.type", "producer", true},
        {"compression.type", "zstd", false},
        {"min.insync.replicas", "0", false},
        {"flush.messages", "10000", true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct topic_config topic = {0};
        enum status st =
            topic_config_set(&topic, bytes_of(rows[i].key), rows[i].value, why);

        ck_assert_msg((st == STATUS_OK) == rows[i].ok, "%s = %s", rows[i].key,
                      rows[i].value);
        ck_assert((topic.set != 0) == rows[i].ok);
    }
}
END_TEST

START_TEST(mistyped_key_is_told_the_nearest)
{
    struct topic_config topic = {0};

    ck_assert(topic_config_set(&topic, bytes_of("retention.m"), "1", why) ==
              STATUS_INVALID_CONFIG);
    ck_assert_str_eq(why, "no topic setting is called 'retention.m'; did you mean "
                          "'retention.ms'?");
}
END_TEST

START_TEST(fallbacks_are_legal_and_read_back)
{
    struct topic_config fallback = topic_config_fallback();

    for (unsigned i = 0; i < TOPIC_KEY_COUNT; i++) {
        struct topic_config topic = {0};
        char text[96];

        topic_config_format(i, fallback.value[i], text, sizeof text);
        ck_assert_msg(
            !topic_config_set(&topic, bytes_of(topic_key_row(i)->name), text, why), "%s",
            why);
        ck_assert_int_eq(topic.value[i], fallback.value[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topic_config");
    TCase *tc = tcase_create("topic_config");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, unset_keys_follow_the_defaults);
    tcase_add_test(tc, values_are_checked);
    tcase_add_test(tc, mistyped_key_is_told_the_nearest);
    tcase_add_test(tc, fallbacks_are_legal_and_read_back);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
