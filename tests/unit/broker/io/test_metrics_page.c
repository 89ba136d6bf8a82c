/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics page keeps Prometheus' rules: every name is valid, told once, introduced by
 * HELP and TYPE, and counters end in _total. */
#include "broker/io/metrics_page.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *render(const struct metrics *a, const struct metrics *b)
{
    const struct metrics *shards[] = {a, b};
    const struct metrics_view view = {
        .shards = shards,
        .shard_count = 2,
        .process = {.started_ms = 1700000000042, .cpu_us = 1500000},
        .disk = "io_uring",
        .ready = true,
    };
    struct writer w = writer_growing();

    metrics_page(&view, &w);
    write_u8(&w, '\0');
    ck_assert(!w.failed);
    return (char *)w.data;
}

/* Shards are added up. */
START_TEST(shards_are_summed)
{
    static struct metrics a, b;
    char *page;

    metric_set(&a, METRIC_CONNECTIONS, 3);
    metric_set(&b, METRIC_CONNECTIONS, 4);
    metrics_add(&a.requests[3], 10);
    metrics_add(&b.requests[3], 5);
    metrics_add(&b.micros[3], 2500001);
    page = render(&a, &b);
    ck_assert_ptr_nonnull(strstr(page, "\nleat_connections 7\n"));
    ck_assert_ptr_nonnull(strstr(page, "\nleat_requests_total{api=\"produce\"} 15\n"));
    ck_assert_ptr_nonnull(
        strstr(page, "\nleat_request_seconds_total{api=\"produce\"} 2.500001\n"));
    ck_assert_ptr_nonnull(strstr(page, "\nprocess_start_time_seconds 1700000000.042\n"));
    ck_assert_ptr_nonnull(strstr(page, "\nprocess_cpu_seconds_total 1.500000\n"));
    free(page);
}
END_TEST

static bool is_name(const char *name, size_t len)
{
    if (len == 0 || !(isalpha((unsigned char)name[0]) || name[0] == '_'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_')
            return false;
    return true;
}

struct family {
    char name[96];
    bool counter;
};

/* HELP, then TYPE, of a family that was not seen before. */
static void begin_family(struct family *f, const char *help, const char *type,
                         const char *page)
{
    char again[128], kind[16];

    ck_assert_int_eq(sscanf(help, "# HELP %95s ", f->name), 1);
    ck_assert_uint_gt(strlen(help), strlen(f->name) + 8);
    ck_assert_int_eq(sscanf(type, "# TYPE %127s %15s", again, kind), 2);
    ck_assert_str_eq(f->name, again);
    f->counter = !strcmp(kind, "counter");
    ck_assert(f->counter || !strcmp(kind, "gauge"));
    snprintf(again, sizeof again, "# HELP %s ", f->name);
    ck_assert_ptr_null(strstr(strstr(page, again) + 1, again));
}

START_TEST(page_is_well_formed)
{
    static struct metrics none;
    char *page = render(&none, &none), *copy = strdup(page), *rest = copy, *line;
    struct family f = {0};
    unsigned samples = 0;

    while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
        size_t len = strcspn(line, "{ ");

        if (line[0] == '#') {
            begin_family(&f, line, strsep(&rest, "\n"), page);
            continue;
        }
        ck_assert(is_name(line, len));
        ck_assert(strlen(f.name) == len && !memcmp(f.name, line, len));
        ck_assert(f.counter == (len > 6 && !memcmp(line + len - 6, "_total", 6)));
        ck_assert(isdigit((unsigned char)strrchr(line, ' ')[1]));
        samples++;
    }
    ck_assert_uint_ge(samples, METRIC_COUNT);
    ck_assert_uint_le(samples, 300);
    free(copy);
    free(page);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics_page");
    TCase *c = tcase_create("metrics_page");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(c, shards_are_summed);
    tcase_add_test(c, page_is_well_formed);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
