/* SPDX-License-Identifier: Apache-2.0
 *
 * The image is the fold over the metadata log: the same records make the same image, a
 * snapshot makes it again, and a record that cannot follow is damage. */
#include "broker/core/image.h"

#include "proto/rpc/metadata.pb-c.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct image image;
static char heard[1024];

static void begin(void)
{
    image_init(&image);
    heard[0] = '\0';
}

static void end(void)
{
    image_release(&image);
}

static void changed(void *ctx, enum image_change change, struct topic *topic,
                    int32_t partition, int64_t offset)
{
    static const char *const names[] = {"added", "removed", "partition", "config",
                                        "trim"};
    size_t len = strlen(heard);

    snprintf(heard + len, sizeof heard - len, "%s %s/%d %d\n", names[change], topic->name,
             partition, (int)offset);
}

static const struct image_watcher watcher = {changed, NULL};

static enum status apply(const Leat__Metadata__Record *r)
{
    uint8_t packed[512];
    size_t len = leat__metadata__record__pack(r, packed);

    return image_apply(&image, image.applied, (struct bytes){packed, len}, &watcher);
}

static uint8_t id_a[UUID_BYTES] = {0xa}, id_b[UUID_BYTES] = {0xb};

static enum status add_topic(uint8_t *id, const char *name)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Topic t = LEAT__METADATA__TOPIC__INIT;

    t.topic_id = (ProtobufCBinaryData){UUID_BYTES, id};
    t.name = (char *)name;
    t.created_ms = 5;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
    r.topic = &t;
    return apply(&r);
}

static enum status add_partition(uint8_t *id, int32_t number, int32_t epoch)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Partition p = LEAT__METADATA__PARTITION__INIT;
    int32_t replicas[] = {1, 2, 3};

    p.topic_id = (ProtobufCBinaryData){UUID_BYTES, id};
    p.partition = number;
    p.replicas = replicas;
    p.n_replicas = 3;
    p.in_sync = replicas;
    p.n_in_sync = 2;
    p.leader = 1;
    p.leader_epoch = epoch;
    r.kind_case = LEAT__METADATA__RECORD__KIND_PARTITION;
    r.partition = &p;
    return apply(&r);
}

static enum status set_key(uint8_t *id, const char *key, const char *value)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__TopicConfig c = LEAT__METADATA__TOPIC_CONFIG__INIT;

    c.topic_id = (ProtobufCBinaryData){UUID_BYTES, id};
    c.key = (char *)key;
    c.value = (char *)value;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC_CONFIG;
    r.topic_config = &c;
    return apply(&r);
}

static enum status remove_topic(uint8_t *id)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__RemoveTopic t = LEAT__METADATA__REMOVE_TOPIC__INIT;

    t.topic_id = (ProtobufCBinaryData){UUID_BYTES, id};
    r.kind_case = LEAT__METADATA__RECORD__KIND_REMOVE_TOPIC;
    r.remove_topic = &t;
    return apply(&r);
}

static enum status trim(uint8_t *id, int32_t number, int64_t offset)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Trim t = LEAT__METADATA__TRIM__INIT;

    t.topic_id = (ProtobufCBinaryData){UUID_BYTES, id};
    t.partition = number;
    t.offset = offset;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TRIM;
    r.trim = &t;
    return apply(&r);
}

START_TEST(watcher_hears_every_change)
{
    struct topic *found;

    ck_assert(!add_topic(id_a, "orders"));
    ck_assert(!add_partition(id_a, 0, 0));
    ck_assert(!set_key(id_a, "retention.ms", "1d"));
    ck_assert(!add_partition(id_a, 1, 0));
    ck_assert(!add_partition(id_a, 0, 1));
    ck_assert(!trim(id_a, 1, 42));
    ck_assert(!remove_topic(id_a));
    ck_assert_str_eq(heard, "added orders/-1 0\n"
                            "partition orders/0 0\n"
                            "config orders/-1 0\n"
                            "partition orders/1 0\n"
                            "partition orders/0 0\n"
                            "trim orders/1 42\n"
                            "removed orders/-1 0\n");
    ck_assert_int_eq(image.applied, 7);
    ck_assert(image_find(&image, bytes_of("orders"), (struct bytes){0}, &found));
}
END_TEST

/* A topic deleted and created anew is not taken for the old one. */
START_TEST(topic_is_found_by_name_and_id)
{
    struct topic *found;

    ck_assert(!add_topic(id_a, "orders"));
    ck_assert(!image_find(&image, bytes_of("orders"), (struct bytes){0}, &found));
    ck_assert(!image_find(&image, bytes_of("orders"), (struct bytes){id_a, UUID_BYTES},
                          &found));
    ck_assert(
        image_find(&image, bytes_of("orders"), (struct bytes){id_b, UUID_BYTES}, &found));
    ck_assert(image_find(&image, bytes_of("orders"), (struct bytes){id_a, 3}, &found));
}
END_TEST

START_TEST(record_that_cannot_follow_is_damage)
{
    ck_assert(!add_topic(id_a, "orders"));
    ck_assert(!add_partition(id_a, 0, 3));

    ck_assert(add_topic(id_a, "other") == STATUS_CORRUPT);
    ck_assert(add_topic(id_b, "orders") == STATUS_CORRUPT);
    ck_assert(add_topic(id_b, "or/ders") == STATUS_CORRUPT);
    ck_assert(add_partition(id_b, 0, 0) == STATUS_CORRUPT);
    ck_assert(add_partition(id_a, 2, 0) == STATUS_CORRUPT);
    ck_assert(add_partition(id_a, -1, 0) == STATUS_CORRUPT);
    ck_assert(add_partition(id_a, 0, 2) == STATUS_CORRUPT);
    ck_assert(set_key(id_a, "no.such.key", "1") == STATUS_CORRUPT);
    ck_assert(remove_topic(id_b) == STATUS_CORRUPT);
    ck_assert(trim(id_a, 1, 0) == STATUS_CORRUPT);
    ck_assert(image_apply(&image, 9, bytes_of("\xff\xff\xff"), NULL) == STATUS_CORRUPT);
    ck_assert(image_apply(&image, 9, (struct bytes){0}, NULL) == STATUS_CORRUPT);
}
END_TEST

static void copy_record(void *to, struct bytes record)
{
    ck_assert(!image_apply(to, -1, record, NULL));
}

static void append_record(void *to, struct bytes record)
{
    write_bytes(to, record.data, record.len);
}

START_TEST(snapshot_makes_the_same_image)
{
    struct writer before = writer_growing(), after = writer_growing();
    struct image copy;

    for (uint8_t t = 0; t < 40; t++) {
        uint8_t id[UUID_BYTES] = {t, 1};
        char name[16];

        snprintf(name, sizeof name, "topic-%d", t);
        ck_assert(!add_topic(id, name));
        for (int32_t p = 0; p <= t; p++)
            ck_assert(!add_partition(id, p, p));
        ck_assert(!set_key(id, "segment.bytes", "1M"));
        if (t % 3 == 0)
            ck_assert(!remove_topic(id));
        heard[0] = '\0';
    }
    image_init(&copy);
    image_snapshot(&image, copy_record, &copy);
    image_snapshot(&image, append_record, &before);
    image_snapshot(&copy, append_record, &after);
    ck_assert_uint_eq(before.len, after.len);
    ck_assert_mem_eq(before.data, after.data, before.len);
    ck_assert_int_eq(copy.partition_count, image.partition_count);
    image_release(&copy);
    writer_release(&before);
    writer_release(&after);
}
END_TEST

START_TEST(names_are_checked)
{
    char longest[251];

    memset(longest, 'x', sizeof longest);
    ck_assert(name_is_valid((struct bytes){(uint8_t *)longest, 249}));
    ck_assert(!name_is_valid((struct bytes){(uint8_t *)longest, 250}));
    ck_assert(!name_is_valid((struct bytes){0}));
    ck_assert(name_is_valid(bytes_of("a.b_c-D9")));
    ck_assert(name_is_valid(bytes_of("...")));
    ck_assert(!name_is_valid(bytes_of(".")));
    ck_assert(!name_is_valid(bytes_of("..")));
    ck_assert(!name_is_valid(bytes_of("a b")));
    ck_assert(!name_is_valid(bytes_of("a/b")));
    ck_assert(!name_is_valid(bytes_of("\xc3\xa9")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *tc = tcase_create("image");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, watcher_hears_every_change);
    tcase_add_test(tc, topic_is_found_by_name_and_id);
    tcase_add_test(tc, record_that_cannot_follow_is_damage);
    tcase_add_test(tc, snapshot_makes_the_same_image);
    tcase_add_test(tc, names_are_checked);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
