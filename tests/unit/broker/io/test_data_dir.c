/* SPDX-License-Identifier: Apache-2.0
 *
 * A data directory has one owner and one identity, and says no clearly. */
#include "broker/io/data_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct uuid ours = {{1, 2, 3}}, others = {{9}}, own = {{5}};
static char *dir;
static char path[512], why[256];

static void make_dir(void)
{
    dir = data_dir_temporary();
    ck_assert_ptr_nonnull(dir);
    snprintf(path, sizeof path, "%s/data", dir);
}

static void remove_dir(void)
{
    data_dir_remove(dir);
    ck_assert_int_ne(access(dir, F_OK), 0);
    free(dir);
}

static void write_file(const char *name, const char *text)
{
    char file[600];
    FILE *f;

    snprintf(file, sizeof file, "%s/%s", path, name);
    f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* The first start gives it an identity, later ones find it. */
START_TEST(identity_is_given_once)
{
    struct data_dir d;

    ck_assert(!data_dir_open(&d, path, 1, ours, own, why));
    ck_assert(d.created);
    data_dir_close(&d);
    ck_assert(!data_dir_open(&d, path, 1, others, others, why));
    ck_assert(!d.created && uuid_equal(d.cluster_id, ours));
    ck_assert(uuid_equal(d.directory, own));
    data_dir_close(&d);
}
END_TEST

/* The second owner is told who is the first. */
START_TEST(second_owner_is_refused)
{
    struct data_dir d, second;
    char pid[32];

    snprintf(pid, sizeof pid, "(process %ld)", (long)getpid());
    ck_assert(!data_dir_open(&d, path, 1, ours, own, why));
    ck_assert_int_eq(data_dir_open(&second, path, 1, ours, own, why), STATUS_BUSY);
    ck_assert_ptr_nonnull(strstr(why, pid));
    data_dir_close(&d);
    ck_assert(!data_dir_open(&d, path, 1, ours, own, why));
    data_dir_close(&d);
}
END_TEST

START_TEST(another_nodes_directory_is_refused)
{
    struct data_dir d;

    ck_assert(!data_dir_open(&d, path, 1, ours, own, why));
    data_dir_close(&d);
    ck_assert_int_eq(data_dir_open(&d, path, 2, ours, own, why), STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, "node 1"));
}
END_TEST

/* A directory with other people's files is not taken over; the rest of an unfinished
 * first start is no obstacle. */
START_TEST(other_peoples_files_are_left_alone)
{
    struct data_dir d;

    ck_assert(!data_dir_open(&d, path, 1, ours, own, why));
    data_dir_close(&d);
    write_file("identity.tmp", "half");
    ck_assert(!data_dir_open(&d, path, 1, ours, own, why));
    data_dir_close(&d);
    write_file("thesis.txt", "precious");
    snprintf(path + strlen(path), 16, "/identity");
    ck_assert_int_eq(unlink(path), 0);
    path[strlen(path) - strlen("/identity")] = '\0';
    ck_assert_int_eq(data_dir_open(&d, path, 1, ours, own, why), STATUS_EXISTS);
    ck_assert_ptr_nonnull(strstr(why, "thesis.txt"));
}
END_TEST

START_TEST(missing_parent_is_an_error)
{
    struct data_dir d;

    ck_assert_int_eq(data_dir_open(&d, "/nowhere/at/all", 1, ours, own, why), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(why, "No such file"));
}
END_TEST

/* Every damaged byte of an identity is noticed, and a newer version is called so. */
START_TEST(damage_is_noticed)
{
    char text[1024];
    size_t len = identity_format(DATA_DIR_VERSION, ours, own, 7, text, sizeof text);
    struct uuid id, directory;
    int32_t node;
    enum status st;

    ck_assert(!identity_parse(text, len, &id, &directory, &node, why));
    ck_assert(uuid_equal(id, ours) && uuid_equal(directory, own) && node == 7);
    for (size_t i = 0; i + 1 < len; i++) {
        char good = text[i];

        text[i] ^= 4;
        st = identity_parse(text, len, &id, &directory, &node, why);
        ck_assert(st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED_VERSION);
        text[i] = good;
        ck_assert_int_eq(identity_parse(text, i, &id, &directory, &node, why),
                         STATUS_CORRUPT);
    }
    len = identity_format(DATA_DIR_VERSION + 1, ours, own, 7, text, sizeof text);
    ck_assert_int_eq(identity_parse(text, len, &id, &directory, &node, why),
                     STATUS_UNSUPPORTED_VERSION);
    ck_assert_ptr_nonnull(strstr(why, "version 2"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("data_dir");
    TCase *c = tcase_create("data_dir");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, identity_is_given_once);
    tcase_add_test(c, second_owner_is_refused);
    tcase_add_test(c, another_nodes_directory_is_refused);
    tcase_add_test(c, other_peoples_files_are_left_alone);
    tcase_add_test(c, missing_parent_is_an_error);
    tcase_add_test(c, damage_is_noticed);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
