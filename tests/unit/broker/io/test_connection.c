/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection over a socket pair: whatever comes in, in whatever pieces, the node sees
 * whole requests, the peer sees whole answers, and memory stays bounded. */
#include "tests/unit/broker/io/fake_node.h"
#include "tests/unit/broker/io/scene.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* However the bytes are cut, the same requests arrive. */
START_TEST(frames_may_be_cut_anywhere)
{
    struct writer w = writer_growing();

    say_hello(&w);
    say_metadata(&w, 2);
    say_produce(&w, 3, 100);
    say_metadata(&w, 4);
    for (size_t cut = 1; cut < w.len; cut++) {
        struct scene *t = scene_start("1MiB", "16MiB");
        struct heard h;

        ck_assert(scene_send(t, w.data, cut));
        ck_assert(scene_send(t, w.data + cut, w.len - cut));
        fake_node_let_go(t->node, 1);
        scene_read(t);
        h = scene_heard(t);
        ck_assert_uint_eq(h.answers, 4);
        ck_assert_uint_eq(h.errors, 0);
        ck_assert_uint_eq(fake_node(t->node)->payload_bytes, 100);
        ck_assert(h.whole && !t->closed);
        scene_stop(t);
    }
    writer_release(&w);
}
END_TEST

/* Byte by byte works too, and costs next to nothing while it lasts. */
START_TEST(bytes_may_come_one_by_one)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    say_produce(&w, 2, 300);
    for (size_t i = 0; i < w.len; i++) {
        ck_assert(scene_send(t, w.data + i, 1));
        if (i + 1 < w.len)
            ck_assert_uint_le(t->set.held, 1024);
    }
    ck_assert_uint_eq(fake_node(t->node)->kept_count, 1);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* A chunk carries many frames, and every one of them is answered. */
START_TEST(pipelined_requests_are_all_answered)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    struct heard h;

    say_hello(&w);
    for (uint32_t i = 2; i <= 5000; i++)
        say_metadata(&w, i);
    for (size_t at = 0; at < w.len;) {
        size_t n = w.len - at < 30000 ? w.len - at : 30000;

        ck_assert(scene_send(t, w.data + at, n));
        scene_read(t);
        at += n;
    }
    h = scene_heard(t);
    ck_assert_uint_eq(h.answers, 5000);
    ck_assert_uint_eq(h.last_correlation, 5000);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* A batch of some megabytes arrives whole, though memory for it is only lent as it
 * arrives. */
START_TEST(large_frames_grow_with_what_arrives)
{
    struct scene *t = scene_start("8MiB", "64MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    w.len = 0;
    say_produce(&w, 2, 5 << 20);
    for (size_t at = 0, n; at < w.len; at += n) {
        n = w.len - at < 10000 ? w.len - at : 10000;
        ck_assert(scene_send(t, w.data + at, n));
        ck_assert_uint_le(t->set.held, 2 * at + CHUNK_HUGE);
        if (at < 20000)
            ck_assert_uint_le(t->set.held, CHUNK_LARGE);
    }
    ck_assert_uint_eq(fake_node(t->node)->payload_bytes, 5 << 20);
    ck_assert_uint_eq(fake_node(t->node)->kept_count, 1);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Whoever claims a frame beyond the limit hears why, and is let go. */
START_TEST(oversized_frame_is_refused)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    struct frame f = {.length = 1 << 30, .api = RPC_PRODUCE, .correlation = 77};
    uint8_t head[FRAME_HEAD];
    struct heard h;

    say_hello(&w);
    frame_write(head, &f);
    write_bytes(&w, head, sizeof head);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    h = scene_heard(t);
    ck_assert_int_eq(h.last_error, STATUS_FRAME_TOO_LARGE);
    ck_assert_uint_eq(h.last_correlation, 77);
    ck_assert(t->closed);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Before HELLO a peer has 16 KiB to say so. */
START_TEST(greeting_is_small)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    struct frame f = {.length = 20000, .api = RPC_HELLO, .header_bytes = 19000};
    uint8_t head[FRAME_HEAD];

    say_preface(&w);
    frame_write(head, &f);
    write_bytes(&w, head, sizeof head);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    ck_assert_int_eq(scene_heard(t).last_error, STATUS_FRAME_TOO_LARGE);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

static const char *const strangers[] = {
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01",
    "LEAX\x00\x01\r\n",
    "SSH-2.0-OpenSSH\r\n",
    "\xff",
};

/* Who speaks another language gets not one byte. */
START_TEST(strangers_are_closed)
{
    struct scene *t = scene_start("1MiB", "16MiB");

    ck_assert(scene_send(t, strangers[_i], strlen(strangers[_i])));
    scene_read(t);
    ck_assert(t->closed);
    ck_assert_uint_eq(t->got.len, 0);
    ck_assert_uint_eq(metric_get(&t->metrics, METRIC_CONNECTIONS_REFUSED), 1);
    scene_stop(t);
}
END_TEST

/* A preface of another version is answered with ours, and a sentence. */
START_TEST(other_versions_hear_ours)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    uint8_t preface[FRAME_PREFACE];

    preface_write(preface, 9);
    ck_assert(scene_send(t, preface, sizeof preface));
    scene_read(t);
    ck_assert_int_eq(scene_heard(t).last_error, STATUS_UNSUPPORTED_VERSION);
    ck_assert(t->closed);
    scene_stop(t);
}
END_TEST

/* The first request is HELLO, and there is but one. */
START_TEST(hello_comes_first_and_once)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    Leat__HelloRequest hello = LEAT__HELLO_REQUEST__INIT;

    say_hello(&w);
    say(&w, RPC_HELLO, 0, 2, &hello.base, 0);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    ck_assert_int_eq(scene_heard(t).last_error, STATUS_INVALID_REQUEST);
    ck_assert_uint_eq(scene_heard(t).answers, 2);
    ck_assert(!t->closed);
    scene_stop(t);

    t = scene_start("1MiB", "16MiB");
    w.len = 0;
    say_preface(&w);
    say_metadata(&w, 5);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    ck_assert_int_eq(scene_heard(t).last_error, STATUS_INVALID_REQUEST);
    ck_assert(t->closed);
    ck_assert_uint_eq(fake_node(t->node)->asked, 0);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Mistakes inside a frame cost that frame only. */
START_TEST(bad_frames_in_step_are_answered)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    Leat__MetadataRequest q = LEAT__METADATA_REQUEST__INIT;
    struct frame f = {.length = FRAME_HEAD - 4 + 5,
                      .api = RPC_METADATA,
                      .correlation = 3,
                      .header_bytes = 5};
    uint8_t head[FRAME_HEAD];
    struct heard h;

    say_hello(&w);
    say(&w, (enum rpc_api)999, 0, 2, &q.base, 10);
    frame_write(head, &f);
    write_bytes(&w, head, sizeof head);
    write_bytes(&w, "\xff\xff\xff\xff\xff", 5);
    say_metadata(&w, 4);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    h = scene_heard(t);
    ck_assert_uint_eq(h.answers, 4);
    ck_assert_uint_eq(h.errors, 2);
    ck_assert_uint_eq(h.last_correlation, 4);
    ck_assert_int_eq(h.last_error, STATUS_INVALID_REQUEST);
    ck_assert(!t->closed);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* A head that contradicts itself means that the stream is lost. */
START_TEST(lost_stream_is_closed)
{
    static const struct frame lost[] = {
        {.length = 3},
        {.length = 20, .header_bytes = 100},
        {.length = 20, .flags = 0x8000},
        {.length = 12, .api = RPC_METADATA, .flags = FRAME_RESPONSE},
    };
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    uint8_t head[FRAME_HEAD];

    say_hello(&w);
    frame_write(head, &lost[_i]);
    write_bytes(&w, head, sizeof head);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    ck_assert(t->closed);
    ck_assert_uint_eq(scene_heard(t).answers, 1);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Random bytes after a good greeting: nothing crashes, nothing stays. */
START_TEST(garbage_is_survived)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    struct prng random;

    prng_init(&random, (uint64_t)_i);
    say_hello(&w);
    for (unsigned i = 0; i < 4000; i++)
        write_u8(&w, (uint8_t)(prng_below(&random, 4) ? 0 : prng_next(&random)));
    scene_send(t, w.data, w.len);
    scene_read(t);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* acks=none: the request is carried out, and nothing comes back. */
START_TEST(one_way_requests_are_not_answered)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();
    Leat__ProduceRequest q = LEAT__PRODUCE_REQUEST__INIT;

    say_hello(&w);
    say(&w, RPC_PRODUCE, FRAME_ONE_WAY, 2, &q.base, 10);
    ck_assert(scene_send(t, w.data, w.len));
    fake_node_let_go(t->node, 1);
    scene_read(t);
    ck_assert_uint_eq(scene_heard(t).answers, 1);
    ck_assert_uint_eq(t->set.calls, 0);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Who closes its sending side still hears the answers it is owed. */
START_TEST(half_closed_peer_gets_its_answers)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    say_produce(&w, 2, 10);
    ck_assert(scene_send(t, w.data, w.len));
    shutdown(t->peer, SHUT_WR);
    scene_read(t);
    ck_assert(!t->closed);
    fake_node_let_go(t->node, 1);
    scene_settle(t);
    connections_flush(&t->set);
    scene_read(t);
    ck_assert_uint_eq(scene_heard(t).answers, 2);
    ck_assert(t->closed);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* A peer that asks and asks and never reads is stopped at the connection's limit; when it
 * reads again, everything is there. */
START_TEST(slow_reader_is_not_read_from)
{
    struct scene *t = scene_start("256KiB", "64MiB");
    struct writer w = writer_growing(), ask = writer_growing();
    unsigned asked = 1;
    struct heard h;

    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    say_fetch(&ask, 2, 50000);
    while (asked < 100000) {
        if (!scene_send(t, ask.data, ask.len))
            break;
        asked++;
    }
    ck_assert_uint_lt(asked, 100000);
    ck_assert_uint_lt(t->set.held, 256 * 1024 + 2 * CHUNK_LARGE + 50000);
    scene_read(t);
    h = scene_heard(t);
    ck_assert_uint_ge(h.answers + 1, asked);
    ck_assert_uint_eq(h.errors, 0);
    writer_release(&ask);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Requests that wait for the disk count as well; reading resumes when half has gone. */
START_TEST(unanswered_requests_stop_reading)
{
    struct scene *t = scene_start("256KiB", "64MiB");
    struct writer w = writer_growing();
    size_t kept;

    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    w.len = 0;
    say_produce(&w, 2, 20000);
    while (scene_send(t, w.data, w.len))
        ck_assert_uint_lt(fake_node(t->node)->kept_count, 40);
    kept = fake_node(t->node)->kept_count;
    ck_assert_uint_ge(kept, 10);
    ck_assert_uint_le(kept, 14);
    fake_node_let_go(t->node, kept * 3 / 4);
    scene_settle(t);
    ck_assert_uint_gt(fake_node(t->node)->asked, kept + 1);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* All connections of a shard share one budget. */
START_TEST(budget_of_the_shard_holds)
{
    struct scene *t = scene_start("16MiB", "1MiB");
    struct writer w = writer_growing();
    size_t asked;

    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    w.len = 0;
    say_produce(&w, 2, 100000);
    for (unsigned i = 0; i < 100 && scene_send(t, w.data, w.len); i++)
        ;
    ck_assert_uint_lt(fake_node(t->node)->kept_count, 14);
    ck_assert(t->set.over);
    fake_node_let_go(t->node, SIZE_MAX);
    scene_settle(t);
    ck_assert(!t->set.over);
    asked = fake_node(t->node)->asked;
    ck_assert(scene_send(t, t->rest.data, t->rest.len));
    ck_assert_uint_gt(fake_node(t->node)->asked, asked);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Sending fails on a peer that has gone away with answers unread: the end of its
 * connection, and of nothing else. */
START_TEST(peer_that_left_answers_unread_is_let_go)
{
    struct scene *t = scene_start("256KiB", "64MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    w.len = 0;
    say_fetch(&w, 2, 50000);
    while (scene_send(t, w.data, w.len))
        ;
    close(t->peer);
    scene_settle(t);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    ck_assert_uint_eq(t->set.held, 0);
    scene_connect(t);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* A peer that goes away while its requests are at the node leaves nothing behind. */
START_TEST(answers_for_the_gone_are_dropped)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    say_produce(&w, 2, 1000);
    ck_assert(scene_send(t, w.data, w.len));
    connections_drop(&t->set);
    ck_assert(!connections_are_drained(&t->set));
    fake_node_let_go(t->node, 1);
    ck_assert(connections_are_drained(&t->set));
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Patience has limits: for a greeting, for a frame, for a silent peer. */
START_TEST(those_who_keep_us_waiting_are_let_go)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();

    scene_pass(t, CONNECTION_GREETING_MS - 1);
    ck_assert_uint_eq(atomic_load(&t->total), 1);
    scene_pass(t, 1);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    scene_stop(t);

    t = scene_start("1MiB", "16MiB");
    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    w.len = 0;
    say_produce(&w, 2, 640000);
    ck_assert(scene_send(t, w.data, w.len / 2));
    scene_pass(t, CONNECTION_FRAME_MS + 9000);
    ck_assert_uint_eq(atomic_load(&t->total), 1);
    scene_pass(t, 2000);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    scene_stop(t);

    t = scene_start("1MiB", "16MiB");
    w.len = 0;
    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    scene_pass(t, 599999);
    ck_assert_uint_eq(atomic_load(&t->total), 1);
    scene_pass(t, 1);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    scene_stop(t);
    writer_release(&w);
}
END_TEST

/* A peer that reads nothing for half a minute is let go. */
START_TEST(stalled_reader_is_let_go)
{
    struct scene *t = scene_start("1MiB", "64MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    say_fetch(&w, 2, 4 << 20);
    ck_assert(scene_send(t, w.data, w.len));
    scene_pass(t, CONNECTION_STALL_MS - 1);
    ck_assert_uint_eq(atomic_load(&t->total), 1);
    scene_pass(t, 1);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Idle connections hold next to nothing. */
START_TEST(idle_connection_holds_no_buffer)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    ck_assert(scene_send(t, w.data, w.len));
    scene_read(t);
    ck_assert_uint_eq(t->set.held, 0);
    ck_assert_uint_le(sizeof(struct connection), 1024);
    writer_release(&w);
    scene_stop(t);
}
END_TEST

/* Stopping: nothing new is taken, what is owed is sent, then the connection ends. */
START_TEST(stop_answers_then_closes)
{
    struct scene *t = scene_start("1MiB", "16MiB");
    struct writer w = writer_growing();

    say_hello(&w);
    say_produce(&w, 2, 10);
    ck_assert(scene_send(t, w.data, w.len));
    connections_stop(&t->set, t->now);
    scene_send(t, w.data, w.len);
    ck_assert_uint_eq(fake_node(t->node)->asked, 2);
    fake_node_let_go(t->node, 1);
    scene_settle(t);
    connections_flush(&t->set);
    scene_read(t);
    ck_assert_uint_eq(scene_heard(t).answers, 2);
    ck_assert(t->closed);
    scene_pass(t, CONNECTION_STOP_LINGER_MS);
    ck_assert(connections_are_drained(&t->set));
    writer_release(&w);
    scene_stop(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("connection");
    TCase *c = tcase_create("connection");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(c, frames_may_be_cut_anywhere);
    tcase_add_test(c, bytes_may_come_one_by_one);
    tcase_add_test(c, pipelined_requests_are_all_answered);
    tcase_add_test(c, large_frames_grow_with_what_arrives);
    tcase_add_test(c, oversized_frame_is_refused);
    tcase_add_test(c, greeting_is_small);
    tcase_add_loop_test(c, strangers_are_closed, 0,
                        sizeof strangers / sizeof strangers[0]);
    tcase_add_test(c, other_versions_hear_ours);
    tcase_add_test(c, hello_comes_first_and_once);
    tcase_add_test(c, bad_frames_in_step_are_answered);
    tcase_add_loop_test(c, lost_stream_is_closed, 0, 4);
    tcase_add_loop_test(c, garbage_is_survived, 0, 20);
    tcase_add_test(c, one_way_requests_are_not_answered);
    tcase_add_test(c, half_closed_peer_gets_its_answers);
    tcase_add_test(c, slow_reader_is_not_read_from);
    tcase_add_test(c, unanswered_requests_stop_reading);
    tcase_add_test(c, budget_of_the_shard_holds);
    tcase_add_test(c, peer_that_left_answers_unread_is_let_go);
    tcase_add_test(c, answers_for_the_gone_are_dropped);
    tcase_add_test(c, those_who_keep_us_waiting_are_let_go);
    tcase_add_test(c, stalled_reader_is_let_go);
    tcase_add_test(c, idle_connection_holds_no_buffer);
    tcase_add_test(c, stop_answers_then_closes);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
