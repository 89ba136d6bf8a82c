/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cluster.h"
#include "client/conf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static leat_conf *conf;
static leat_error error;

static void setup(void)
{
    conf = leat_conf_new();
    ck_assert_ptr_nonnull(conf);
}

static void teardown(void)
{
    leat_conf_free(conf);
}

/* Sizes and durations take the units that people write. */
START_TEST(units_are_understood)
{
    ck_assert_int_eq(leat_conf_set(conf, "batch.bytes", "128K", &error), LEAT_OK);
    ck_assert_int_eq(conf_number(conf, CONF_BATCH_BYTES), 128 * 1024);
    ck_assert_int_eq(leat_conf_set(conf, "buffer.bytes", "1GiB", &error), LEAT_OK);
    ck_assert_int_eq(conf_number(conf, CONF_BUFFER_BYTES), 1 << 30);
    ck_assert_int_eq(leat_conf_set(conf, "linger.ms", "2s", &error), LEAT_OK);
    ck_assert_int_eq(conf_number(conf, CONF_LINGER), 2000);
    ck_assert_int_eq(leat_conf_set(conf, "linger.ms", "7", &error), LEAT_OK);
    ck_assert_int_eq(conf_number(conf, CONF_LINGER), 7);
}
END_TEST

/* A typing mistake is answered with the key that was probably meant. */
START_TEST(unknown_keys_name_the_nearest)
{
    ck_assert_int_eq(leat_conf_set(conf, "batch.size", "64K", &error),
                     LEAT_E_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "there is no such key; did you mean batch.bytes?");
    ck_assert_int_eq(leat_conf_set(conf, "boostrap.server", "a", &error),
                     LEAT_E_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.text, "bootstrap.servers"));
}
END_TEST

/* An impossible value says what is possible, and changes nothing. */
START_TEST(impossible_values_name_the_range)
{
    static const struct {
        const char *key;
        const char *value;
        const char *text;
    } rows[] = {
        {"max.in.flight", "0", "use a number from 1 to 1000"},
        {"max.in.flight", "3K", "use a number from 1 to 1000"},
        {"linger.ms", "-1", "use a duration from 0 to 1h"},
        {"linger.ms", "5 s", "use a duration from 0 to 1h"},
        {"batch.bytes", "99999999999999999999", "use a size from 128 to 16"},
        {"batch.bytes", "9999999999999G", "use a size from 128 to 16"},
        {"batch.bytes", "", "use a size from 128 to 16"},
        {"acks", "some", "use one of none|leader|all|0|1|-1"},
        {"acks", "", "use one of none|leader|all|0|1|-1"},
        {"acks", "none|leader", "use one of none|leader|all|0|1|-1"},
        {"enable.auto.commit", "maybe", "use true or false"},
        {"auto.offset.reset", "first", "use earliest, latest or @<ms since 1970>"},
        {"auto.offset.reset", "@", "use earliest, latest or @<ms since 1970>"},
        {"auto.offset.reset", "@12x", "use earliest, latest or @<ms since 1970>"},
    };
    char before[64];
    char after[64];

    conf_format(conf, CONF_ACKS, before, sizeof before);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(leat_conf_set(conf, rows[i].key, rows[i].value, &error),
                         LEAT_E_INVALID_ARGUMENT);
        ck_assert_msg(strncmp(error.text, rows[i].text, strlen(rows[i].text)) == 0,
                      "%s=%s: %s", rows[i].key, rows[i].value, error.text);
    }
    conf_format(conf, CONF_ACKS, after, sizeof after);
    ck_assert_str_eq(before, after);
}
END_TEST

static void set_again(const char *key, const char *value, const char *fallback,
                      const char *text, void *arg)
{
    int *count = arg;

    ck_assert_msg(leat_conf_set(conf, key, value, &error) == LEAT_OK, "%s=%s: %s", key,
                  value, error.text);
    ck_assert_msg(leat_conf_set(conf, key, fallback, &error) == LEAT_OK, "%s=%s", key,
                  fallback);
    ck_assert_uint_gt(strlen(text), 10);
    ++*count;
}

/* What leat_conf_each prints can be set again, and so can every default. */
START_TEST(every_value_can_be_set_again)
{
    leat_conf *copy;
    int count = 0;

    ck_assert_int_eq(leat_conf_set(conf, "auto.offset.reset", "@1700000000000", &error),
                     LEAT_OK);
    ck_assert_int_eq(leat_conf_set(conf, "group.id", "readers", &error), LEAT_OK);
    copy = conf_copy(conf);
    leat_conf_each(copy, set_again, &count);
    ck_assert_int_eq(count, CONF_COUNT);
    ck_assert_str_eq(conf_text(copy, CONF_GROUP_ID), "readers");
    leat_conf_free(copy);
}
END_TEST

/* Addresses: names, IPv4 and bracketed IPv6, with a port or Kafka's default one. */
START_TEST(addresses_are_read_or_refused)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
    } rows[] = {
        {"localhost", "localhost", 9092},
        {"b1.example:1", "b1.example", 1},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"[::1]:9093", "::1", 9093},
        {"[::1]", "::1", 9092},
        {"[::1", NULL, 0},
        {"", NULL, 0},
        {":9092", NULL, 0},
        {"a:", NULL, 0},
        {"a:0", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:9x", NULL, 0},
        {"[]:1", NULL, 0},
        {"[::1]9", NULL, 0},
        {"a b:1", NULL, 0},
    };
    char host[CONNECTION_HOST_MAX];
    uint16_t port;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool ok = cluster_address(rows[i].text, strlen(rows[i].text), host, &port);

        ck_assert_msg(ok == (rows[i].host != NULL), "%s", rows[i].text);
        if (ok) {
            ck_assert_str_eq(host, rows[i].host);
            ck_assert_uint_eq(port, rows[i].port);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conf");
    TCase *t = tcase_create("conf");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, units_are_understood);
    tcase_add_test(t, unknown_keys_name_the_nearest);
    tcase_add_test(t, impossible_values_name_the_range);
    tcase_add_test(t, every_value_can_be_set_again);
    tcase_add_test(t, addresses_are_read_or_refused);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
