/* SPDX-License-Identifier: Apache-2.0
 *
 * Which segments may go: a table for the cases that one would draw at the whiteboard,
 * then every small case against a slower statement of the same rule. */
#include "storage/retention.h"

#include <check.h>
#include <stdlib.h>

enum { NOW = 1000 };

struct row {
    const char *story;
    struct retention limits;
    struct retention_segment segments[4];
    size_t count;
    size_t gone;
};

static const struct row rows[] = {
    {"no limit keeps everything", {-1, -1}, {{9, 1}, {9, 2}, {9, 3}}, 3, 0},
    {"one segment is the active one", {0, 0}, {{9, 1}}, 1, 0},
    {"the active one stays, however old", {-1, 10}, {{9, 1}, {9, 2}}, 2, 1},
    {"young ones stay", {-1, 10}, {{9, 990}, {9, 995}, {9, 999}}, 3, 0},
    {"exactly at the limit stays", {-1, 10}, {{9, 990}, {9, 999}}, 2, 0},
    {"just over the limit goes", {-1, 10}, {{9, 989}, {9, 999}}, 2, 1},
    {"an old one behind a young one stays", {-1, 10}, {{9, 995}, {9, 1}, {9, 999}}, 3, 0},
    {"no timestamps, no age", {-1, 10}, {{9, -1}, {9, 1}, {9, 999}}, 3, 0},
    {"timestamps of the future stay", {-1, 10}, {{9, 5000}, {9, 999}}, 2, 0},
    {"what stays is at least the size", {20, -1}, {{10, 1}, {10, 1}, {10, 1}}, 3, 1},
    {"a byte less and it stays", {21, -1}, {{10, 1}, {10, 1}, {10, 1}}, 3, 0},
    {"size zero empties all but the active", {0, -1}, {{5, 1}, {5, 1}, {5, 1}}, 3, 2},
    {"either limit suffices", {25, 10}, {{10, 1}, {10, 999}, {10, 999}}, 3, 1},
    {"no segment at all", {0, 0}, {{0, 0}}, 0, 0},
};

START_TEST(whiteboard_cases)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        size_t gone = retention_choose(&r->limits, r->segments, r->count, NOW);

        ck_assert_msg(gone == r->gone, "%s: %zu go", r->story, gone);
    }
}
END_TEST

/* The rule once more: the longest prefix of which every segment is too old, or whose
 * removal leaves enough bytes. */
static size_t slow_choice(const struct retention *r, const struct retention_segment *s,
                          size_t count)
{
    size_t gone = 0;

    for (; gone + 1 < count; gone++) {
        uint64_t rest = 0;

        for (size_t i = gone + 1; i < count; i++)
            rest += s[i].bytes;
        if (r->bytes >= 0 && rest >= (uint64_t)r->bytes)
            continue;
        if (r->ms >= 0 && s[gone].max_timestamp >= 0 &&
            NOW - s[gone].max_timestamp > r->ms)
            continue;
        break;
    }
    return gone;
}

START_TEST(every_small_case)
{
    static const int64_t times[] = {-1, 1, 989, 990, 999, 1001};
    static const int64_t bytes[] = {-1, 0, 1, 2, 3, 4, 5, 6};
    static const int64_t ages[] = {-1, 0, 10, 2000};

    for (unsigned code = 0; code < 18 * 18 * 18; code++) {
        struct retention_segment s[3];
        unsigned rest = code;

        for (int i = 0; i < 3; i++, rest /= 18)
            s[i] = (struct retention_segment){rest % 3, times[rest / 3 % 6]};
        for (size_t count = 0; count <= 3; count++)
            for (size_t b = 0; b < 8; b++)
                for (size_t a = 0; a < 4; a++) {
                    struct retention r = {bytes[b], ages[a]};

                    ck_assert_uint_eq(retention_choose(&r, s, count, NOW),
                                      slow_choice(&r, s, count));
                }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retention");
    TCase *tc = tcase_create("retention");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, whiteboard_cases);
    tcase_add_test(tc, every_small_case);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
