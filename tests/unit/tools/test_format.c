/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/format.h"
#include "tools/leat/output.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const leat_header headers[] = {{{"a", 1}, {"1", 1}}, {{"b", 1}, {NULL, 0}}};
static const leat_record record = {
    .size = sizeof record,
    .topic = "orders",
    .partition = 3,
    .offset = 42,
    .timestamp_ms = INT64_C(1700000000123),
    .key = {"k", 1},
    .value = {"v\x1b\0z", 4},
    .headers = headers,
    .header_count = 2,
};

/* What the format prints of the record; to be freed. */
static char *printed(const char *text, bool safe)
{
    struct format f;
    char why[160];
    char *out = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&out, &size);

    ck_assert(format_compile(&f, text, why));
    ck_assert(format_print(&f, &record, to, safe));
    fclose(to);
    format_release(&f);
    return out;
}

static void prints(const char *text, const char *expected)
{
    char *out = printed(text, true);

    ck_assert_str_eq(out, expected);
    free(out);
}

START_TEST(letters_stand_for_parts_of_the_record)
{
    prints("%t/%p@%o %k %s", "orders/3@42 k 4");
    prints("%d %T", "1700000000123 2023-11-14T22:13:20.123Z");
    prints("%h", "a=1,b=");
    prints("100%%\\t.\\n", "100%\t.\n");
    prints("", "");
}
END_TEST

/* A terminal never sees control characters, a file sees the bytes as they are. */
START_TEST(nothing_reaches_a_terminal_raw)
{
    char *raw = printed("%v", false);

    prints("%v", "v\\x1b\\x00z");
    ck_assert_mem_eq(raw, "v\x1b\0z", 4);
    free(raw);
}
END_TEST

START_TEST(unknown_letters_are_refused)
{
    struct format f;
    char why[160];

    ck_assert(!format_compile(&f, "%q", why));
    ck_assert_ptr_nonnull(strstr(why, "%q"));
    format_release(&f);
    ck_assert(!format_compile(&f, "%", why));
    format_release(&f);
}
END_TEST

START_TEST(quantities_read_well)
{
    char out[32];

    ck_assert_str_eq(bytes_text(999, out), "999 B");
    ck_assert_str_eq(bytes_text(12345678, out), "12.3 MB");
    ck_assert_str_eq(duration_text(252000, out), "4m12s");
    ck_assert_str_eq(duration_text(-1, out), "-");
    ck_assert_str_eq(count_text(1203551, out), "1 203 551");
    ck_assert_str_eq(time_text(0, out), "1970-01-01T00:00:00.000Z");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *t = tcase_create("format");
    SRunner *runner;
    int failed;

    tcase_add_test(t, letters_stand_for_parts_of_the_record);
    tcase_add_test(t, nothing_reaches_a_terminal_raw);
    tcase_add_test(t, unknown_letters_are_refused);
    tcase_add_test(t, quantities_read_well);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
