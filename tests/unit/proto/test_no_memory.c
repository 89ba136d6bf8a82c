/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library promises that running out of memory is an error to its caller, never
 * an abort. So what proto does for it is done here once for every allocation, and that
 * allocation fails. What is asserted meanwhile is a CHECK: the test library allocates. */
#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/check.h"
#include "proto/base/heap.h"
#include "proto/base/map.h"
#include "proto/record/build.h"
#include "proto/rpc/codec.h"
#include "tests/support/fail_alloc.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

enum { ALLOCATIONS_MAX = 1000 };

/* Run `work` with the first allocation failing, then the second, until none is left that
 * could fail: then it must succeed, before that it may not. */
static void sweep(bool (*work)(void))
{
    for (int n = 1; n < ALLOCATIONS_MAX; n++) {
        bool done, failed;

        fail_alloc_arm(n);
        done = work();
        failed = fail_alloc_disarm();
        ck_assert_msg(done == !failed, "allocation %d failed and nobody said so", n);
        if (!failed) {
            ck_assert_int_gt(n, 1);
            return;
        }
    }
    ck_abort_msg("too many allocations");
}

static bool build_and_read(void)
{
    static const uint8_t value[3000];
    struct build b;
    struct bytes out;
    struct iterate it;
    struct record r;
    enum status st;

    build_init(&b);
    build_begin(&b);
    for (int i = 0; i < 40; i++)
        build_add(&b, i, bytes_of("key"), (struct bytes){value, sizeof value}, NULL, 0);
    st = build_finish(&b, CODEC_LZ4, (struct build_producer){-1, -1, -1}, &out);
    if (st == STATUS_OK) {
        st = iterate_begin(&it, out, 1 << 20);
        while (st == STATUS_OK)
            st = iterate_next(&it, &r);
        iterate_end(&it);
    }
    build_release(&b);
    if (st != STATUS_AGAIN)
        CHECK(st == STATUS_NO_MEMORY);
    return st == STATUS_AGAIN;
}

START_TEST(batches_say_that_memory_is_out)
{
    sweep(build_and_read);
}
END_TEST

/* What was in before stays in, what could not be put in is not there. */
static bool fill_map_and_heap(void)
{
    static char names[100][4];
    static struct heap_node nodes[100];
    struct map m;
    struct heap h;
    size_t n = 0;
    bool ok = true;

    memset(nodes, 0, sizeof nodes);
    map_init(&m);
    heap_init(&h);
    for (; n < 100 && ok; n++) {
        memcpy(names[n], (char[]){(char)('a' + n / 26), (char)('a' + n % 26), 0}, 3);
        ok = map_put(&m, bytes_of(names[n]), names[n]);
        if (ok && !heap_set(&h, &nodes[n], (int64_t)(n % 7))) {
            CHECK(!heap_contains(&nodes[n]));
            CHECK(map_remove(&m, bytes_of(names[n])) == names[n]);
            ok = false;
        }
    }
    for (size_t i = 0; i < n - !ok; i++)
        CHECK(map_get(&m, bytes_of(names[i])) == names[i]);
    CHECK(m.count == n - !ok);
    CHECK(h.len == n - !ok);
    map_release(&m);
    heap_release(&h);
    return ok;
}

START_TEST(collections_stay_whole)
{
    sweep(fill_map_and_heap);
}
END_TEST

static bool unpack_message(void)
{
    Leat__MetadataRequest q = LEAT__METADATA_REQUEST__INIT;
    char *topics[400];
    struct writer out = writer_growing();
    struct arena arena;
    ProtobufCMessage *m;
    enum status st;

    for (q.n_topics = 0; q.n_topics < 400; q.n_topics++)
        topics[q.n_topics] = (char *)"a-name-of-some-length";
    q.topics = topics;
    rpc_pack(&q.base, &out);
    st = writer_status(&out);
    arena_init(&arena, 0);
    if (st == STATUS_OK)
        st = rpc_unpack(q.base.descriptor, (struct bytes){out.data, out.len}, &arena, &m);
    arena_release(&arena);
    writer_release(&out);
    CHECK(st == STATUS_OK || st == STATUS_NO_MEMORY);
    return st == STATUS_OK;
}

START_TEST(messages_say_that_memory_is_out)
{
    sweep(unpack_message);
}
END_TEST

static bool make_buf(void)
{
    struct buf *b = buf_new(100);

    buf_unref(b);
    return b != NULL;
}

START_TEST(buffers_say_that_memory_is_out)
{
    sweep(make_buf);
}
END_TEST

SUITE_MAIN("no memory", batches_say_that_memory_is_out, collections_stay_whole,
           messages_say_that_memory_is_out, buffers_say_that_memory_is_out)
