/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line and the environment: what wins, and what is said about mistakes. */
#include "broker/io/listener.h"
#include "broker/io/options.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char *no_environment[] = {NULL};
static char why[320];

static enum status read_line(struct options *o, const char *line, char **environment)
{
    char *copy = strdup(line), *argv[32] = {"leatd"}, *rest = copy, *word;
    int argc = 1;
    enum status st;

    while ((word = strsep(&rest, " ")) != NULL)
        if (*word != '\0')
            argv[argc++] = word;
    st = options_read(o, argc, argv, environment, why);
    o->file = NULL; /* it was borrowed from `copy` */
    free(copy);
    return st;
}

/* Each setting is a flag, in both spellings. */
START_TEST(settings_are_flags)
{
    struct options o;

    ck_assert(!read_line(&o, "--data /var/x --num.partitions=7 --retention.ms 2d --dev",
                         no_environment));
    ck_assert_str_eq(config_text(&o.config, CONFIG_DATA), "/var/x");
    ck_assert_int_eq(config_number(&o.config, CONFIG_NUM_PARTITIONS), 7);
    ck_assert_int_eq(o.config.topic_defaults.value[TOPIC_KEY_RETENTION_MS], 172800000);
    ck_assert(o.dev && o.task == OPTIONS_RUN);
    options_release(&o);
}
END_TEST

/* A flag beats the environment wherever it stands. */
START_TEST(flag_beats_environment)
{
    char *environment[] = {"LEAT_NUM_PARTITIONS=3", "LEAT_CONNECTIONS_MAX=9",
                           "LEAT_BROKERS=somewhere:1", "PATH=/bin", NULL};
    struct options o;

    ck_assert(!read_line(&o, "--num.partitions 5", environment));
    ck_assert_int_eq(config_number(&o.config, CONFIG_NUM_PARTITIONS), 5);
    ck_assert_int_eq(config_number(&o.config, CONFIG_CONNECTIONS_MAX), 9);
    options_release(&o);
}
END_TEST

static const struct {
    const char *line;
    const char *says;
} mistakes[] = {
    {"--lisen x", "did you mean --listen"},
    {"--verson", "did you mean --version"},
    {"--data", "needs a value"},
    {"--dev=yes", "takes no value"},
    {"--set shards", "KEY=VALUE"},
    {"--set shards=x", "shards"},
    {"--ready-fd abc", "--ready-fd"},
    {"broker", "'broker' is no flag"},
    {"--", "is no flag"},
    {"--config /nowhere/at/all", "/nowhere/at/all"},
};

/* Mistakes are named, with what was meant. */
START_TEST(mistakes_are_named)
{
    struct options o;

    ck_assert_int_eq(read_line(&o, mistakes[_i].line, no_environment),
                     STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, mistakes[_i].says));
}
END_TEST

/* The environment is not guessed at either. */
START_TEST(unknown_variables_are_named)
{
    char *unknown[] = {"LEAT_SHARD=3", NULL}, *wrong[] = {"LEAT_SHARDS=x", NULL};
    struct options o;

    ck_assert(read_line(&o, "", unknown));
    ck_assert_ptr_nonnull(strstr(why, "LEAT_SHARD "));
    ck_assert(read_line(&o, "", wrong));
    ck_assert_ptr_nonnull(strstr(why, "LEAT_SHARDS"));
    /* Whoever asks for help gets it all the same. */
    ck_assert(!read_line(&o, "--help", unknown));
    ck_assert_int_eq(o.task, OPTIONS_HELP);
    options_release(&o);
}
END_TEST

/* What is printed as configuration can be read back as one. */
START_TEST(printed_configuration_reads_back)
{
    struct options o;
    struct config again;
    char *text = NULL, reason[160];
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    ck_assert(!read_line(&o, "--shards 3 --retention.ms 90m", no_environment));
    options_print_config(&o.config, f);
    fclose(f);
    config_init(&again);
    ck_assert(!config_parse(&again, (struct bytes){(uint8_t *)text, len},
                            CONFIG_FROM_FILE, reason));
    for (unsigned i = 0; i < CONFIG_COUNT; i++)
        ck_assert_int_eq(config_number(&again, (enum config_key)i),
                         config_number(&o.config, (enum config_key)i));
    ck_assert_int_eq(again.topic_defaults.value[TOPIC_KEY_RETENTION_MS], 5400000);
    config_release(&again);
    options_release(&o);
    free(text);
}
END_TEST

static const struct {
    const char *text, *host;
    int port; /* -1: no address */
} addresses[] = {
    {"127.0.0.1:9092", "127.0.0.1", 9092},
    {"[::1]:1", "::1", 1},
    {":0", "", 0},
    {"localhost:65535", "localhost", 65535},
    {"localhost:65536", "", -1},
    {"localhost", "", -1},
    {"::1:9092", "", -1},
    {"a:", "", -1},
    {"a:-1", "", -1},
    {"a: 1", "", -1},
    {"", "", -1},
};

START_TEST(addresses_are_read)
{
    struct address a;
    char text[ADDRESS_TEXT];
    enum status st = address_parse(addresses[_i].text, &a);

    if (addresses[_i].port < 0) {
        ck_assert_int_eq(st, STATUS_INVALID_CONFIG);
        return;
    }
    ck_assert_int_eq(st, STATUS_OK);
    ck_assert_str_eq(a.host, addresses[_i].host);
    ck_assert_int_eq(a.port, addresses[_i].port);
    address_format(&a, text);
    ck_assert_str_eq(text, addresses[_i].text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("options");
    TCase *c = tcase_create("options");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(c, settings_are_flags);
    tcase_add_test(c, flag_beats_environment);
    tcase_add_loop_test(c, mistakes_are_named, 0, sizeof mistakes / sizeof mistakes[0]);
    tcase_add_test(c, unknown_variables_are_named);
    tcase_add_test(c, printed_configuration_reads_back);
    tcase_add_loop_test(c, addresses_are_read, 0, sizeof addresses / sizeof addresses[0]);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
