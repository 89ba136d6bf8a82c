/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines: what they look like, that nobody can forge one, and that none is a flood. */
#include "broker/io/log_sink.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct sink_field fields[] = {
    {"peer", "10.0.0.7:51312", 0},
    {"client", "a \"b\"\nc\x1b[2J", 0},
    {"ms", NULL, -3},
};

static struct sink_line line_of(void)
{
    return (struct sink_line){
        .wall_ms = 1700000000123,
        .level = LOG_LEVEL_WARN,
        .event = "connection.refused",
        .sentence = "it speaks HTTP",
        .fields = fields,
        .count = 3,
    };
}

START_TEST(text_is_for_people)
{
    struct sink_line line = line_of();
    char out[512];
    size_t len = sink_format_text(&line, out, sizeof out);

    out[len] = '\0';
    ck_assert_str_eq(
        out, "2023-11-14T22:13:20.123Z warn  connection.refused: it speaks HTTP"
             "  peer=10.0.0.7:51312  client=\"a \\\"b\\\"\\nc\\u001b[2J\"  ms=-3\n");
}
END_TEST

START_TEST(json_is_for_machines)
{
    struct sink_line line = line_of();
    char out[512];
    size_t len;

    line.suppressed = 412;
    len = sink_format_json(&line, out, sizeof out);
    out[len] = '\0';
    ck_assert_str_eq(out,
                     "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\","
                     "\"event\":\"connection.refused\",\"message\":\"it speaks HTTP\","
                     "\"peer\":\"10.0.0.7:51312\","
                     "\"client\":\"a \\\"b\\\"\\nc\\u001b[2J\",\"ms\":-3,"
                     "\"suppressed\":412}\n");
}
END_TEST

/* Whatever the room, a line is whole: fields that do not fit are left out. */
START_TEST(long_lines_are_cut_between_fields)
{
    char text[4000], out[4096];
    struct sink_line line = line_of();

    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t size = 160; size < 400; size++) {
        const struct sink_field two[] = {{"a", "b", 0}, {"long", text, 0}};
        size_t len;

        line.fields = two;
        line.count = 2;
        len = sink_format_json(&line, out, size);
        ck_assert_uint_le(len, size);
        ck_assert_int_eq(out[len - 2], '}');
        ck_assert_int_eq(out[len - 3], '"');
        len = sink_format_text(&line, out, size);
        ck_assert_uint_le(len, size);
        ck_assert_int_eq(out[len - 1], '\n');
        ck_assert_int_eq(out[len - 2], 'b');
    }
}
END_TEST

static size_t count_lines(int fd)
{
    char text[65536];
    ssize_t n = read(fd, text, sizeof text);
    size_t lines = 0;

    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

/* An event that repeats is written a few times a second, others are not affected; what is
 * below the level is not written at all. */
START_TEST(floods_are_held_back)
{
    int pipes[2];
    size_t lines;

    ck_assert_int_eq(pipe2(pipes, O_NONBLOCK), 0);
    sink_init(pipes[1], LOG_FORMAT_AUTO, LOG_LEVEL_INFO);
    for (unsigned i = 0; i < 1000; i++)
        SAY(WARN, "flood", "again", NUM("i", i));
    /* The second may have changed on the way. */
    lines = count_lines(pipes[0]);
    ck_assert_uint_ge(lines, SINK_BURST);
    ck_assert_uint_le(lines, 2 * SINK_BURST);
    SAY(INFO, "other", NULL);
    SAY(DEBUG, "detail", NULL);
    ck_assert_uint_eq(count_lines(pipes[0]), 1);
    sink_set_level(LOG_LEVEL_DEBUG);
    SAY(DEBUG, "detail", NULL);
    ck_assert_uint_eq(count_lines(pipes[0]), 1);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log_sink");
    TCase *c = tcase_create("log_sink");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(c, text_is_for_people);
    tcase_add_test(c, json_is_for_machines);
    tcase_add_test(c, long_lines_are_cut_between_fields);
    tcase_add_test(c, floods_are_held_back);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
