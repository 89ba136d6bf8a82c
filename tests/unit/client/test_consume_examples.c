/* SPDX-License-Identifier: Apache-2.0
 *
 * The two consumer examples do what their first lines promise. Their paths are given on
 * the command line. */
#include "proto/record/build.h"
#include "tests/support/fake_broker.h"
#include "tests/support/fake_groups.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char **paths; /* of consume and consume_loop */
static struct fake_broker *broker;
static struct fake_groups *groups;

static void setup(void)
{
    struct build b;
    struct bytes out;

    broker = fake_broker_start();
    groups = fake_groups_start(broker, 20);
    fake_broker_topic(broker, "orders", 1);
    fake_groups_topic(groups, "orders", 1);
    build_init(&b);
    build_begin(&b);
    build_add(&b, 1, bytes_of("k"), bytes_of("tea"), NULL, 0);
    build_add(&b, 2, bytes_of("k"), bytes_of("milk"), NULL, 0);
    ck_assert_int_eq(
        build_finish(&b, CODEC_NONE, (struct build_producer){-1, -1, -1}, &out),
        STATUS_OK);
    fake_broker_append(broker, "orders", 0, out);
    build_release(&b);
}

static void teardown(void)
{
    fake_broker_stop(broker);
    fake_groups_free(groups);
}

/* A running example: its standard input and output. */
struct child {
    pid_t pid;
    int in, out;
};

static struct child run(const char *path)
{
    int in[2], out[2];
    struct child child;

    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    child = (struct child){.pid = fork(), .in = in[1], .out = out[0]};
    ck_assert_int_ge(child.pid, 0);
    if (child.pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]);
        close(out[0]);
        execl(path, path, fake_broker_servers(broker), "billing", "orders", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return child;
}

/* Wait until it has printed this. */
static void await_output(struct child *child, const char *expected)
{
    char text[512] = "";
    size_t len = 0;

    while (len < strlen(expected)) {
        const ssize_t n = read(child->out, text + len, sizeof text - 1 - len);

        ck_assert_int_gt(n, 0);
        len += (size_t)n;
    }
    ck_assert_str_eq(text, expected);
}

static void assert_ends_well(struct child *child)
{
    int status;

    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    close(child->out);
}

START_TEST(a_member_prints_until_it_is_terminated)
{
    struct child child = run(paths[1]);

    await_output(&child, "orders/0@0 tea\norders/0@1 milk\n");
    ck_assert_int_eq(kill(child.pid, SIGTERM), 0);
    assert_ends_well(&child);
    close(child.in);
    /* The second record was printed, but perhaps the next one was not yet asked for. */
    ck_assert_int_ge(fake_broker_committed(broker, "billing", "orders", 0), 1);
}
END_TEST

START_TEST(a_foreign_loop_prints_until_its_input_ends)
{
    struct child child = run(paths[2]);

    await_output(&child, "orders/0@0 tea\norders/0@1 milk\n");
    close(child.in);
    assert_ends_well(&child);
    ck_assert_int_eq(fake_broker_committed(broker, "billing", "orders", 0), 2);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("client consume examples");
    TCase *t = tcase_create("examples");
    SRunner *runner;
    int failed;

    paths = argv;
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_member_prints_until_it_is_terminated);
    tcase_add_test(t, a_foreign_loop_prints_until_its_input_ends);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed || argc != 3 ? EXIT_FAILURE : EXIT_SUCCESS;
}
