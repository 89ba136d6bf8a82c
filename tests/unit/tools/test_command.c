/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line, on a table of three commands. */
#include "tools/leat/command.h"

#include <check.h>
#include <string.h>

static const struct flag flags[] = {
    {'c', "count", "N", "", false},
    {'H', "header", "H", "", true},
    {'e', "exit", NULL, "", false},
    {0, NULL, NULL, NULL, false},
};

const struct command commands[] = {
    {"topic", "list", "[GLOB]", 0, 1, "", NULL, NULL, flags, NULL, false},
    {"topic", "create", "TOPIC...", 1, ARGUMENTS_ANY, "", NULL, NULL, NULL, NULL, false},
    {"consume", NULL, "TOPIC...", 1, ARGUMENTS_ANY, "", NULL, NULL, flags, NULL, false},
    {0},
};

const struct flag global_flags[] = {
    {'q', "quiet", NULL, "", false},
    {'h', "help", NULL, "", false},
    {0, NULL, NULL, NULL, false},
};

static char why[256];

static int parse(struct invocation *i, int count, const char *const *words)
{
    int taken = 0;

    memset(i, 0, sizeof *i);
    i->command = command_find((char *const *)words, count, &taken, why);
    ck_assert_ptr_nonnull(i->command);
    return invocation_parse(i, (char *const *)words + taken, count - taken, why);
}

#define PARSE(i, ...)                                                     \
    parse(i, (int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)), \
          (const char *const[]){__VA_ARGS__})

START_TEST(flags_come_in_every_form)
{
    static struct invocation i;
    int64_t count;

    ck_assert_int_eq(PARSE(&i, "consume", "t", "-c", "5", "-eq"), EXIT_DONE);
    ck_assert(flag_number(&i, "count", 0, 1, 9, &count));
    ck_assert_int_eq(count, 5);
    ck_assert(flag_given(&i, "exit") && flag_given(&i, "quiet"));
    ck_assert_int_eq(PARSE(&i, "consume", "-c7", "t"), EXIT_DONE);
    ck_assert_str_eq(flag_text(&i, "count", ""), "7");
    ck_assert_int_eq(PARSE(&i, "consume", "--count=8", "t", "u"), EXIT_DONE);
    ck_assert_str_eq(flag_text(&i, "count", ""), "8");
    ck_assert_uint_eq(i.argument_count, 2);
    ck_assert_int_eq(PARSE(&i, "consume", "--count", "-1", "t"), EXIT_DONE);
    ck_assert_str_eq(flag_text(&i, "count", ""), "-1");
    ck_assert_int_eq(PARSE(&i, "consume", "-H", "a:1", "t", "-H", "b:2"), EXIT_DONE);
    ck_assert_str_eq(flag_nth(&i, "header", 1), "b:2");
    ck_assert_ptr_null(flag_nth(&i, "header", 2));
    ck_assert_int_eq(PARSE(&i, "consume", "--", "-e"), EXIT_DONE);
    ck_assert_str_eq(i.arguments[0], "-e");
    ck_assert(!flag_given(&i, "exit"));
}
END_TEST

START_TEST(wrong_usage_is_explained)
{
    static struct invocation i;

    ck_assert_int_eq(PARSE(&i, "consume"), EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(why, "usage: leat consume TOPIC..."));
    ck_assert_int_eq(PARSE(&i, "consume", "t", "--cout", "5"), EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(why, "did you mean --count?"));
    ck_assert_int_eq(PARSE(&i, "consume", "t", "-c"), EXIT_USAGE);
    ck_assert_int_eq(PARSE(&i, "consume", "t", "-c", "1", "-c", "2"), EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(why, "twice"));
    ck_assert_int_eq(PARSE(&i, "consume", "t", "--exit=yes"), EXIT_USAGE);
    ck_assert_int_eq(PARSE(&i, "consume", "t", "-x"), EXIT_USAGE);
    ck_assert_int_eq(PARSE(&i, "topic", "list", "a", "b"), EXIT_USAGE);
    ck_assert_int_eq(PARSE(&i, "topic", "create", "-h"), EXIT_DONE);
}
END_TEST

START_TEST(unknown_commands_name_the_nearest)
{
    const char *noun[] = {"topc"}, *verb[] = {"topic", "lst"}, *none[] = {"topic"};
    int taken;

    ck_assert_ptr_null(command_find((char *const *)noun, 1, &taken, why));
    ck_assert_ptr_nonnull(strstr(why, "did you mean 'topic'?"));
    ck_assert_ptr_null(command_find((char *const *)verb, 2, &taken, why));
    ck_assert_ptr_nonnull(strstr(why, "did you mean 'topic list'?"));
    ck_assert_ptr_null(command_find((char *const *)none, 1, &taken, why));
    ck_assert_ptr_nonnull(strstr(why, "needs a verb"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command");
    TCase *t = tcase_create("command");
    SRunner *runner;
    int failed;

    tcase_add_test(t, flags_come_in_every_form);
    tcase_add_test(t, wrong_usage_is_explained);
    tcase_add_test(t, unknown_commands_name_the_nearest);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
