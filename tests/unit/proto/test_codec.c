/* SPDX-License-Identifier: Apache-2.0
 *
 * Protobuf headers come out of one door, into an arena that has a limit. */
#include "proto/rpc/codec.h"

#include "proto/base/prng.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

START_TEST(table_names_every_request_once)
{
    const struct rpc_api_row *row;

    for (size_t i = 0; (row = rpc_api_at(i)) != NULL; i++) {
        ck_assert_ptr_eq(rpc_api_row(row->api), row);
        ck_assert_ptr_nonnull(strstr(row->request->name, "Request"));
        ck_assert_ptr_nonnull(strstr(row->response->name, "Response"));
    }
    ck_assert_uint_eq(rpc_api_row(RPC_PRODUCE)->api, 3);
    ck_assert_str_eq(rpc_api_row(RPC_LIST_OFFSETS)->name, "list_offsets");
    ck_assert_ptr_null(rpc_api_row(0));
    ck_assert_ptr_null(rpc_api_row(UINT16_MAX));
}
END_TEST

static struct writer packed_metadata(size_t topics)
{
    Leat__MetadataRequest q = LEAT__METADATA_REQUEST__INIT;
    struct writer out = writer_growing();

    q.topics = calloc(topics, sizeof(char *));
    for (q.n_topics = 0; q.n_topics < topics; q.n_topics++)
        q.topics[q.n_topics] = (char *)"t";
    rpc_pack(&q.base, &out);
    ck_assert_int_eq(writer_status(&out), STATUS_OK);
    ck_assert_uint_eq(out.len, rpc_packed_size(&q.base));
    free(q.topics);
    return out;
}

START_TEST(what_is_packed_is_unpacked)
{
    struct writer out = packed_metadata(3);
    ProtobufCMessage *m;
    struct arena arena;

    arena_init(&arena, 100000);
    ck_assert_int_eq(rpc_unpack(&leat__metadata_request__descriptor,
                                (struct bytes){out.data, out.len}, &arena, &m),
                     STATUS_OK);
    ck_assert_uint_eq(((Leat__MetadataRequest *)m)->n_topics, 3);
    ck_assert_str_eq(((Leat__MetadataRequest *)m)->topics[2], "t");

    /* An empty message is a message, with or without an address. */
    ck_assert_int_eq(
        rpc_unpack(&leat__metadata_request__descriptor, (struct bytes){0}, &arena, &m),
        STATUS_OK);
    ck_assert_uint_eq(((Leat__MetadataRequest *)m)->n_topics, 0);
    arena_release(&arena);
    writer_release(&out);
}
END_TEST

/* Three bytes on the wire become dozens in memory: the arena is the wall. */
START_TEST(hostile_message_meets_the_wall)
{
    struct writer out = packed_metadata(100000);
    ProtobufCMessage *m;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    ck_assert_int_eq(rpc_unpack(&leat__metadata_request__descriptor,
                                (struct bytes){out.data, out.len}, &arena, &m),
                     STATUS_INVALID_REQUEST);
    ck_assert_uint_le(arena.used, 1 << 20);
    arena_release(&arena);
    arena_init(&arena, 64 << 20);
    ck_assert_int_eq(rpc_unpack(&leat__metadata_request__descriptor,
                                (struct bytes){out.data, out.len}, &arena, &m),
                     STATUS_OK);
    arena_release(&arena);
    writer_release(&out);
}
END_TEST

static enum status unpack_commit(const char *name, const char *metadata)
{
    Leat__OffsetPartition p = LEAT__OFFSET_PARTITION__INIT;
    Leat__OffsetTopic t = LEAT__OFFSET_TOPIC__INIT;
    Leat__OffsetCommitRequest q = LEAT__OFFSET_COMMIT_REQUEST__INIT;
    struct writer out = writer_growing();
    ProtobufCMessage *m;
    struct arena arena;
    enum status st;

    p.metadata = (char *)(uintptr_t)metadata;
    t.name = (char *)(uintptr_t)name;
    t.n_partitions = q.n_topics = 1;
    t.partitions = (Leat__OffsetPartition *[]){&p};
    q.topics = (Leat__OffsetTopic *[]){&t};
    rpc_pack(&q.base, &out);
    arena_init(&arena, 0);
    st = rpc_unpack(&leat__offset_commit_request__descriptor,
                    (struct bytes){out.data, out.len}, &arena, &m);
    arena_release(&arena);
    writer_release(&out);
    return st;
}

/* However deep it stands: a broken text would come back in somebody else's answer. */
START_TEST(texts_are_utf8)
{
    static const char *const good[] = {"",
                                       "orders",
                                       "\x7f",
                                       "\xc2\x80",
                                       "gr\xc3\xbc\xc3\x9f",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "a\xc3z",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(unpack_commit(good[i], "m"), STATUS_OK);
        ck_assert_int_eq(unpack_commit("t", good[i]), STATUS_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(unpack_commit(bad[i], "m"), STATUS_INVALID_REQUEST);
        ck_assert_int_eq(unpack_commit("t", bad[i]), STATUS_INVALID_REQUEST);
    }
}
END_TEST

/* Bytes that are no message, and the n-th allocation failing, for every request. */
START_TEST(noise_is_refused_or_understood)
{
    const struct rpc_api_row *row;
    struct prng random;
    uint8_t noise[64];

    prng_init(&random, 31);
    for (size_t i = 0; (row = rpc_api_at(i)) != NULL; i++)
        for (int n = 0; n < 2000; n++) {
            size_t len = prng_below(&random, sizeof noise);
            struct arena arena;
            ProtobufCMessage *m;
            enum status st;

            for (size_t at = 0; at < len; at++)
                noise[at] = (uint8_t)(prng_next(&random) % (n % 2 ? 256 : 24));
            arena_init(&arena, 64 + prng_below(&random, 2000));
            st = rpc_unpack(n % 4 < 2 ? row->request : row->response,
                            (struct bytes){noise, len}, &arena, &m);
            ck_assert(st == STATUS_OK || st == STATUS_INVALID_REQUEST);
            arena_release(&arena);
        }
}
END_TEST

SUITE_MAIN("codec", table_names_every_request_once, what_is_packed_is_unpacked,
           hostile_message_meets_the_wall, texts_are_utf8, noise_is_refused_or_understood)
