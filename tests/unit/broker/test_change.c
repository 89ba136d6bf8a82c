/* SPDX-License-Identifier: Apache-2.0
 *
 * Somebody asks for a change of the metadata; it is refused with a sentence, or the image
 * that its records make is what was asked for. */
#include "broker/core/change.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct image image;
static struct topic_config defaults;
static struct change_rules rules;
static struct arena arena;
static struct prng prng;
static char said[512];

static void begin(void)
{
    image_init(&image);
    arena_init(&arena, 0);
    prng_init(&prng, 7);
    defaults = topic_config_fallback();
    rules = (struct change_rules){.topics_max = 3,
                                  .partitions_max = 20,
                                  .default_partitions = 2,
                                  .default_replication = 1,
                                  .node_id = 4,
                                  .topic_defaults = &defaults};
}

static void end(void)
{
    image_release(&image);
    arena_release(&arena);
}

/* "OK" or the status' name and the sentence. */
static const char *verdict(const struct change *c, enum status st)
{
    if (st)
        snprintf(said, sizeof said, "%s: %s", status_name(st), c->why);
    for (size_t i = 0; i < c->count && !st; i++)
        ck_assert(!image_apply(&image, image.applied, c->records[i], NULL));
    return st ? said : "OK";
}

struct wish {
    const char *name;
    int32_t partitions, replication;
    const char *keys[4]; /* key, value, key, value */
};

static const char *create(const struct wish *w)
{
    Leat__CreateTopicRequest q = LEAT__CREATE_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry entries[2] = {LEAT__CONFIG_ENTRY__INIT, LEAT__CONFIG_ENTRY__INIT};
    Leat__ConfigEntry *list[2] = {&entries[0], &entries[1]};
    struct change c = change_of(&arena);
    int32_t partitions, replication;

    q.name = (char *)w->name;
    q.partitions = w->partitions;
    q.replication = w->replication;
    q.config = list;
    for (; q.n_config < 2 && w->keys[2 * q.n_config] != NULL; q.n_config++) {
        entries[q.n_config].key = (char *)w->keys[2 * q.n_config];
        entries[q.n_config].value = (char *)w->keys[2 * q.n_config + 1];
    }
    return verdict(&c, change_create(&c, &image, &rules, &q, uuid_random(&prng), 1000,
                                     &partitions, &replication));
}

START_TEST(topics_are_created_or_refused_with_a_sentence)
{
    static const struct {
        struct wish wish;
        const char *verdict;
    } rows[] = {
        {{"orders", 0, 0, {0}}, "OK"},
        {{"orders", 1, 1, {0}}, "TOPIC_EXISTS: topic 'orders' exists already"},
        {{"a/b", 1, 1, {0}},
         "INVALID_TOPIC: the topic name is not valid: use 1 to 249 of "
         "[a-zA-Z0-9._-], not '.' or '..'"},
        {{"..", 1, 1, {0}},
         "INVALID_TOPIC: the topic name is not valid: use 1 to 249 of "
         "[a-zA-Z0-9._-], not '.' or '..'"},
        {{"__own", 1, 1, {0}},
         "INVALID_TOPIC: names that begin with two underscores are "
         "the broker's own"},
        {{"p", -1, 1, {0}},
         "INVALID_PARTITIONS: a topic has at least one partition, not -1"},
        {{"p", 19, 1, {0}},
         "TOO_MANY: 2 partitions exist and 19 more would exceed "
         "partitions.max, which is 20"},
        {{"p", 1, 3, {0}},
         "INVALID_REPLICATION_FACTOR: replication factor 3 is not "
         "possible: the cluster has 1 broker"},
        {{"p", 1, -1, {0}},
         "INVALID_REPLICATION_FACTOR: replication factor -1 is not "
         "possible: the cluster has 1 broker"},
        {{"p", 1, 1, {"retention.ms", "soon"}},
         "INVALID_CONFIG: retention.ms: 'soon' is not a valid duration: use -1 or more"},
        {{"p", 1, 1, {"retention.ms", "1d", "retention.ms", "2d"}},
         "INVALID_CONFIG: retention.ms is named twice"},
        {{"p", 1, 1, {"min.insync.replicas", "2"}},
         "INVALID_CONFIG: min.insync.replicas is 2 but the topic has 1: nothing could be "
         "published with acks=all"},
        {{"clicks", 3, 1, {"retention.ms", "1d", "segment.bytes", "1M"}}, "OK"},
        {{"third", 1, 1, {0}}, "OK"},
        {{"fourth", 1, 1, {0}}, "TOO_MANY: there are 3 topics and topics.max is 3"},
    };
    struct topic *clicks;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_str_eq(create(&rows[i].wish), rows[i].verdict);

    ck_assert_int_eq(image_topic(&image, bytes_of("orders"))->partition_count, 2);
    clicks = image_topic(&image, bytes_of("clicks"));
    ck_assert_int_eq(clicks->partition_count, 3);
    ck_assert_int_eq(clicks->partitions[2].leader, 4);
    ck_assert_int_eq(topic_config_get(&clicks->config, &defaults, TOPIC_KEY_RETENTION_MS),
                     86400000);
    ck_assert_int_eq(image.partition_count, 6);
}
END_TEST

static const char *alter(const char *name, int32_t partitions, const char *set_key,
                         const char *set_value, const char *unset)
{
    Leat__AlterTopicRequest q = LEAT__ALTER_TOPIC_REQUEST__INIT;
    Leat__ConfigEntry entry = LEAT__CONFIG_ENTRY__INIT;
    Leat__ConfigEntry *list[1] = {&entry};
    char *unsets[1] = {(char *)unset};
    struct change c = change_of(&arena);
    int32_t total;

    q.name = (char *)name;
    q.partitions = partitions;
    entry.key = (char *)set_key;
    entry.value = (char *)set_value;
    q.set = list;
    q.n_set = set_key != NULL;
    q.unset = unsets;
    q.n_unset = unset != NULL;
    return verdict(&c, change_alter(&c, &image, &rules, &q, &total));
}

START_TEST(topics_grow_and_change_their_settings)
{
    struct topic *topic;

    ck_assert_str_eq(create(&(struct wish){.name = "t", .partitions = 2}), "OK");
    topic = image_topic(&image, bytes_of("t"));
    ck_assert_str_eq(alter("t", 5, "retention.ms", "1h", NULL), "OK");
    ck_assert_int_eq(topic->partition_count, 5);
    ck_assert_int_eq(topic->config.value[TOPIC_KEY_RETENTION_MS], 3600000);
    ck_assert_str_eq(alter("t", 0, NULL, NULL, "retention.ms"), "OK");
    ck_assert_uint_eq(topic->config.set, 0);
    ck_assert_int_eq(topic->partition_count, 5);

    ck_assert_str_eq(alter("t", 4, NULL, NULL, NULL),
                     "INVALID_PARTITIONS: topic 't' has 5 partitions; their number can "
                     "only grow, not become 4");
    ck_assert_str_eq(alter("t", 99, NULL, NULL, NULL),
                     "TOO_MANY: 5 partitions exist and 94 more would exceed "
                     "partitions.max, which is 20");
    ck_assert_str_eq(alter("u", 4, NULL, NULL, NULL),
                     "UNKNOWN_TOPIC_OR_PARTITION: there is no topic 'u'");
    ck_assert_str_eq(alter("t", 0, "retention.ms", "1h", "retention.ms"),
                     "INVALID_CONFIG: retention.ms is named twice");
}
END_TEST

START_TEST(deleted_name_is_free_again)
{
    struct change c = change_of(&arena);
    struct uuid first, second;

    ck_assert_str_eq(create(&(struct wish){.name = "t"}), "OK");
    ck_assert_str_eq(verdict(&c, change_delete(&c, &image, "t", &first)), "OK");
    ck_assert_ptr_null(image_topic(&image, bytes_of("t")));
    ck_assert_int_eq(image.partition_count, 0);
    c = change_of(&arena);
    ck_assert_str_eq(verdict(&c, change_delete(&c, &image, "t", &first)),
                     "UNKNOWN_TOPIC_OR_PARTITION: there is no topic 't'");
    ck_assert_str_eq(create(&(struct wish){.name = "t"}), "OK");
    second = image_topic(&image, bytes_of("t"))->id;
    ck_assert(!uuid_equal(first, second));
}
END_TEST

/* A message that decodes into more than it weighs meets the arena's limit. */
START_TEST(change_without_memory_is_refused)
{
    arena_release(&arena);
    arena_init(&arena, 256);
    rules.partitions_max = 100000;
    ck_assert_str_eq(create(&(struct wish){.name = "t", .partitions = 1000}),
                     "THROTTLED: the change is too large for the request's memory");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("change");
    TCase *tc = tcase_create("change");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, topics_are_created_or_refused_with_a_sentence);
    tcase_add_test(tc, topics_grow_and_change_their_settings);
    tcase_add_test(tc, deleted_name_is_free_again);
    tcase_add_test(tc, change_without_memory_is_refused);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
