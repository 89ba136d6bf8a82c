/* SPDX-License-Identifier: Apache-2.0
 *
 * The secret that brokers share: the file it is read from, what it proves, and the list
 * of controllers, which goes with it. The vectors were computed with another program from
 * the description in leat.proto. */
#include "broker/io/controllers.h"
#include "broker/io/data_dir.h"
#include "broker/io/secret.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[256];

static struct secret known_secret(void)
{
    struct secret s = {.len = 32};

    memcpy(s.bytes, "0123456789abcdef0123456789abcdef", s.len);
    return s;
}

static struct acquaintance known_meeting(void)
{
    struct acquaintance a = {.caller = 1, .listener = 2};

    for (unsigned i = 0; i < NONCE_BYTES; i++) {
        a.caller_nonce[i] = (uint8_t)i;
        a.listener_nonce[i] = (uint8_t)(100 + i);
    }
    for (unsigned i = 0; i < UUID_BYTES; i++)
        a.cluster_id.id[i] = (uint8_t)(200 + i);
    return a;
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char text[2 * PROOF_BYTES + 1];

    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    ck_assert_str_eq(text, hex);
}

/* Proofs are what the description says, on every machine. */
START_TEST(proofs_follow_the_description)
{
    struct secret s = known_secret();
    struct acquaintance a = known_meeting();
    uint8_t proof[PROOF_BYTES];

    secret_prove(&s, &a, SPEAKER_LISTENER, proof);
    assert_hex(proof, sizeof proof,
               "57dac80772bf4703fa7dab3574a54a31c043f6b0f1c0cf7a0a5fa1ffd997edc0");
    secret_prove(&s, &a, SPEAKER_CALLER, proof);
    assert_hex(proof, sizeof proof,
               "6af347c1f7ed72c9b8aa325c700da717d8b76035f106fb63a78b1fe3ba79c4cd");
}
END_TEST

/* All brokers with one secret agree on the cluster's id before they have met. */
START_TEST(cluster_id_follows_from_the_secret)
{
    struct secret s = known_secret();

    assert_hex(secret_cluster_id(&s).id, UUID_BYTES, "86ca5fd859094859b9a302371089be1a");
}
END_TEST

/* Every part of a meeting is signed: change any, and the proof is none. */
START_TEST(proof_is_of_this_meeting_alone)
{
    struct secret s = known_secret();
    struct acquaintance a = known_meeting(), other;
    uint8_t proof[PROOF_BYTES];

    secret_prove(&s, &a, SPEAKER_CALLER, proof);
    ck_assert(secret_check(&s, &a, SPEAKER_CALLER, proof, sizeof proof));
    ck_assert(!secret_check(&s, &a, SPEAKER_LISTENER, proof, sizeof proof));
    ck_assert(!secret_check(&s, &a, SPEAKER_CALLER, proof, sizeof proof - 1));
    for (size_t i = 0; i < sizeof other; i++) {
        other = a;
        ((uint8_t *)&other)[i] ^= 1;
        ck_assert(!secret_check(&s, &other, SPEAKER_CALLER, proof, sizeof proof));
    }
    for (size_t i = 0; i < sizeof proof; i++) {
        proof[i] ^= 128;
        ck_assert(!secret_check(&s, &a, SPEAKER_CALLER, proof, sizeof proof));
        proof[i] ^= 128;
    }
    s.bytes[31] ^= 1;
    ck_assert(!secret_check(&s, &a, SPEAKER_CALLER, proof, sizeof proof));
}
END_TEST

START_TEST(nonces_differ)
{
    uint8_t one[NONCE_BYTES], two[NONCE_BYTES];

    secret_nonce(one);
    secret_nonce(two);
    ck_assert_mem_ne(one, two, NONCE_BYTES);
}
END_TEST

/* ---- the file ------------------------------------------------------------------------
 */

static char *dir;
static char path[512];

static void make_dir(void)
{
    dir = data_dir_temporary();
    ck_assert_ptr_nonnull(dir);
    snprintf(path, sizeof path, "%s/secret", dir);
}

static void remove_dir(void)
{
    data_dir_remove(dir);
    free(dir);
}

static void write_secret(const char *text, size_t len, mode_t mode)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, len, f), len);
    fclose(f);
    ck_assert_int_eq(chmod(path, mode), 0);
}

/* With or without a newline at its end it is the same secret. */
START_TEST(white_space_at_the_end_does_not_count)
{
    struct secret plain = {.len = 0}, padded = {.len = 0};

    write_secret("sixteen bytes are", 17, 0600);
    ck_assert(!secret_read(&plain, path, why));
    ck_assert_uint_eq(plain.len, 17);
    write_secret("sixteen bytes are \r\n\n", 21, 0400);
    ck_assert(!secret_read(&padded, path, why));
    ck_assert_uint_eq(padded.len, 17);
    ck_assert_mem_eq(plain.bytes, padded.bytes, 17);
}
END_TEST

static const struct {
    size_t bytes;
    mode_t mode;
    const char *says;
} bad_files[] = {
    {0, 0600, "less than 16 bytes"}, {15, 0600, "openssl rand -hex 32"},
    {32, 0604, "chmod 600"},         {32, 0620, "chmod 600"},
    {32, 0610, "chmod 600"},         {5000, 0600, "too large"},
};

/* A secret that is short, or that others can read, is none, and the sentence helps. */
START_TEST(bad_secrets_are_refused)
{
    struct secret s = {.len = 0};
    char text[8192];

    memset(text, 'x', sizeof text);
    write_secret(text, bad_files[_i].bytes, bad_files[_i].mode);
    ck_assert_int_eq(secret_read(&s, path, why), STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, bad_files[_i].says));
    ck_assert_ptr_nonnull(strstr(why, path));
}
END_TEST

/* Root may let a group read it: that is how services without privileges are given
 * secrets. Anybody else's group has no business with it. */
START_TEST(only_root_may_show_it_to_a_group)
{
    struct secret s = {.len = 0};
    enum status st;

    write_secret("sixteen bytes are", 17, 0640);
    st = secret_read(&s, path, why);
    ck_assert_int_eq(st, geteuid() == 0 ? STATUS_OK : STATUS_INVALID_CONFIG);
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chown(path, 65534, 65534), 0);
    ck_assert_int_eq(secret_read(&s, path, why), STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, "chmod 600"));
}
END_TEST

START_TEST(missing_secret_is_refused)
{
    struct secret s = {.len = 0};

    ck_assert_int_eq(secret_read(&s, "/nowhere/at/all", why), STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, "No such file"));
}
END_TEST

/* ---- the controllers -----------------------------------------------------------------
 */

START_TEST(controllers_are_read)
{
    struct voter *list;
    size_t count;

    ck_assert(
        !controllers_parse("1@one:9092, 2@[::1]:9093,7@10.0.0.3:1", &list, &count, why));
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(list[0].node_id, 1);
    ck_assert_str_eq(list[0].at.host, "one");
    ck_assert_str_eq(list[1].at.host, "::1");
    ck_assert_uint_eq(list[1].at.port, 9093);
    ck_assert_int_eq(list[2].node_id, 7);
    ck_assert(controllers_are_others(list, count, 1));
    ck_assert(controllers_are_others(list, 1, 2));
    ck_assert(!controllers_are_others(list, 1, 1));
    ck_assert(!controllers_are_others(list, 0, 1));
    free(list);
    ck_assert(!controllers_parse("", &list, &count, why));
    ck_assert_uint_eq(count, 0);
    free(list);
}
END_TEST

static const struct {
    const char *text, *says;
} bad_lists[] = {
    {"one:9092", "ID@HOST:PORT"},
    {"1", "ID@HOST:PORT"},
    {"0@one:1", "ID@HOST:PORT"},
    {"-1@one:1", "ID@HOST:PORT"},
    {"99999999999@one:1", "ID@HOST:PORT"},
    {"1@one", "no host and port"},
    {"1@:9092", "no host and port"},
    {"1@one:0", "no host and port"},
    {"1@one:65536", "no host and port"},
    {"1@one:1,1@two:2", "'1@two:2' has the id"},
    {"1@one:1,2@one:1", "'2@one:1' has the host and port"},
};

START_TEST(bad_controllers_are_named)
{
    struct voter *list;
    size_t count;

    ck_assert_int_eq(controllers_parse(bad_lists[_i].text, &list, &count, why),
                     STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, bad_lists[_i].says));
}
END_TEST

START_TEST(more_controllers_than_a_quorum_has_are_refused)
{
    char text[1024] = "";
    struct voter *list;
    size_t count;

    for (unsigned i = 1; i <= 32; i++)
        snprintf(text + strlen(text), 32, "%u@h:%u,", i, i);
    ck_assert_int_eq(controllers_parse(text, &list, &count, why), STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, "31"));
}
END_TEST

/* The entry with our id is us, by the port that we listen on or by the advertised one. */
START_TEST(own_entry_must_be_us)
{
    const struct address listen = {.host = "0.0.0.0", .port = 9092};
    const struct address told = {.host = "gate", .port = 30001};
    struct voter *list;
    size_t count;

    ck_assert(
        !controllers_parse("1@one:9092,2@two:30001,3@three:9999", &list, &count, why));
    ck_assert(!controllers_check(list, count, 1, &listen, &told, why));
    ck_assert(!controllers_check(list, count, 2, &listen, &told, why));
    ck_assert(!controllers_check(list, count, 4, &listen, &told, why));
    ck_assert_int_eq(controllers_check(list, count, 3, &listen, &told, why),
                     STATUS_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(why, "9999"));
    free(list);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("secret");
    TCase *c = tcase_create("secret"), *files = tcase_create("files");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(c, proofs_follow_the_description);
    tcase_add_test(c, cluster_id_follows_from_the_secret);
    tcase_add_test(c, proof_is_of_this_meeting_alone);
    tcase_add_test(c, nonces_differ);
    tcase_add_test(c, controllers_are_read);
    tcase_add_loop_test(c, bad_controllers_are_named, 0,
                        sizeof bad_lists / sizeof bad_lists[0]);
    tcase_add_test(c, more_controllers_than_a_quorum_has_are_refused);
    tcase_add_test(c, own_entry_must_be_us);
    suite_add_tcase(s, c);
    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_test(files, white_space_at_the_end_does_not_count);
    tcase_add_loop_test(files, bad_secrets_are_refused, 0,
                        sizeof bad_files / sizeof bad_files[0]);
    tcase_add_test(files, only_root_may_show_it_to_a_group);
    tcase_add_test(files, missing_secret_is_refused);
    suite_add_tcase(s, files);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
