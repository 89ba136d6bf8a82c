/* SPDX-License-Identifier: Apache-2.0
 *
 * Who says that it is a broker must prove it. The listening side of a meeting: callers
 * that can, callers that cannot, and callers that try tricks. */
#include "tests/unit/broker/io/fake_node.h"
#include "tests/unit/broker/io/scene.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLER = 1 };

static const uint8_t nonce[NONCE_BYTES] = {1, 2, 3, 4};

static struct scene *t;
static struct writer w;

static struct secret secret_of(const char *text)
{
    struct secret s = {.len = strlen(text)};

    memcpy(s.bytes, text, s.len);
    return s;
}

static void begin(void)
{
    t = scene_start("1MiB", "1MiB");
    t->secret = secret_of("the cluster's secret");
    fake_node(t->node)->node_id = SCENE_NODE;
    w = writer_growing();
}

static void end(void)
{
    writer_release(&w);
    scene_stop(t);
}

static void send_all(void)
{
    scene_send(t, w.data, w.len);
    w.len = 0;
    scene_read(t);
}

static void greet(int32_t node_id, size_t nonce_bytes)
{
    Leat__HelloRequest hello = LEAT__HELLO_REQUEST__INIT;

    hello.client_id = (char *)(uintptr_t) "broker-1";
    hello.node_id = node_id;
    hello.nonce = (ProtobufCBinaryData){nonce_bytes, (uint8_t *)(uintptr_t)nonce};
    say_preface(&w);
    say(&w, RPC_HELLO, 0, 1, &hello.base, 0);
    send_all();
}

/* What the listener has said, and proved. */
static struct acquaintance meet(uint8_t proof[static PROOF_BYTES])
{
    struct acquaintance a = {
        .caller = CALLER, .listener = SCENE_NODE, .cluster_id = {{7}}};
    struct heard h;
    Leat__HelloResponse *r;

    greet(CALLER, NONCE_BYTES);
    h = scene_heard(t);
    ck_assert_uint_eq(h.errors, 0);
    r = leat__hello_response__unpack(NULL, h.last_header.len, h.last_header.data);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->nonce.len, NONCE_BYTES);
    ck_assert_uint_eq(r->proof.len, PROOF_BYTES);
    memcpy(a.caller_nonce, nonce, NONCE_BYTES);
    memcpy(a.listener_nonce, r->nonce.data, NONCE_BYTES);
    memcpy(proof, r->proof.data, PROOF_BYTES);
    leat__hello_response__free_unpacked(r, NULL);
    return a;
}

static void say_proof(const uint8_t *proof, size_t len)
{
    Leat__PeerProofRequest q = LEAT__PEER_PROOF_REQUEST__INIT;

    q.proof = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)proof};
    say(&w, RPC_PEER_PROOF, 0, 2, &q.base, 0);
}

static void say_vote(uint32_t correlation)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;

    say(&w, RPC_VOTE, 0, correlation, &q.base, 0);
}

static void prove(const struct acquaintance *a, const struct secret *s)
{
    uint8_t proof[PROOF_BYTES];

    secret_prove(s, a, SPEAKER_CALLER, proof);
    say_proof(proof, sizeof proof);
}

static void assert_refused(enum status status)
{
    ck_assert_int_eq(scene_heard(t).last_error, status);
    ck_assert(t->closed);
}

/* Both prove that they know the secret; from then on requests come from that broker. */
START_TEST(brokers_meet)
{
    uint8_t proof[PROOF_BYTES];
    struct acquaintance a = meet(proof);

    ck_assert(secret_check(&t->secret, &a, SPEAKER_LISTENER, proof, sizeof proof));
    prove(&a, &t->secret);
    say_vote(3);
    send_all();
    ck_assert_uint_eq(scene_heard(t).answers, 3);
    ck_assert_uint_eq(scene_heard(t).errors, 0);
    ck_assert_int_eq(fake_node(t->node)->peer, CALLER);
}
END_TEST

/* Another secret is noticed, logged, and the connection ends. */
START_TEST(wrong_secret_is_refused)
{
    struct secret other = secret_of("another cluster's secret");
    uint8_t proof[PROOF_BYTES];
    struct acquaintance a = meet(proof);

    prove(&a, &other);
    say_vote(3);
    send_all();
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
    ck_assert_uint_eq(fake_node(t->node)->asked, 1);
    ck_assert_uint_eq(metric_get(&t->metrics, METRIC_CONNECTIONS_REFUSED), 1);
}
END_TEST

/* The listener's own proof, sent back to it, proves nothing. */
START_TEST(reflected_proof_is_refused)
{
    uint8_t proof[PROOF_BYTES];

    meet(proof);
    say_proof(proof, sizeof proof);
    send_all();
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
}
END_TEST

/* Whoever has overheard a meeting cannot repeat it: the listener's nonce is new. */
START_TEST(replayed_proof_is_refused)
{
    uint8_t proof[PROOF_BYTES], mine[PROOF_BYTES];
    struct acquaintance first = meet(proof), second;

    secret_prove(&t->secret, &first, SPEAKER_CALLER, mine);
    say_proof(mine, sizeof mine);
    send_all();
    ck_assert_uint_eq(scene_heard(t).errors, 0);
    close(scene_connect(t));
    second = meet(proof);
    ck_assert_mem_ne(first.listener_nonce, second.listener_nonce, NONCE_BYTES);
    say_proof(mine, sizeof mine);
    send_all();
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
}
END_TEST

static const size_t wrong_lengths[] = {0, 1, PROOF_BYTES - 1, PROOF_BYTES + 1};

/* A proof has 32 bytes; the beginning of the right one is none. */
START_TEST(cut_proof_is_refused)
{
    uint8_t proof[PROOF_BYTES], mine[PROOF_BYTES + 1] = {0};
    struct acquaintance a = meet(proof);

    secret_prove(&t->secret, &a, SPEAKER_CALLER, mine);
    say_proof(mine, wrong_lengths[_i]);
    send_all();
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
}
END_TEST

/* A client may not ask what brokers ask each other, but it may go on otherwise. */
START_TEST(clients_may_not_ask_as_brokers)
{
    say_hello(&w);
    say_vote(2);
    send_all();
    ck_assert_int_eq(scene_heard(t).last_error, STATUS_CLUSTER_AUTHORIZATION_FAILED);
    ck_assert_uint_eq(fake_node(t->node)->asked, 1);
    say_metadata(&w, 3);
    send_all();
    ck_assert_uint_eq(scene_heard(t).answers, 3);
    ck_assert_uint_eq(scene_heard(t).errors, 1);
    ck_assert_int_eq(fake_node(t->node)->peer, -1);
    ck_assert(!t->closed);
}
END_TEST

/* A client that sends a proof all the same has nothing that it could prove. */
START_TEST(proof_without_greeting_is_refused)
{
    static const uint8_t zeros[PROOF_BYTES];

    say_hello(&w);
    say_proof(zeros, sizeof zeros);
    send_all();
    ck_assert_int_eq(scene_heard(t).last_error, STATUS_CLUSTER_AUTHORIZATION_FAILED);
    ck_assert_int_eq(fake_node(t->node)->peer, -1);
}
END_TEST

/* Between HELLO and proof nothing else is heard, not even what clients may ask. */
START_TEST(brokers_prove_first)
{
    uint8_t proof[PROOF_BYTES];

    meet(proof);
    say_metadata(&w, 2);
    send_all();
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
    ck_assert_uint_eq(fake_node(t->node)->asked, 1);
}
END_TEST

/* ... and not for long. */
START_TEST(proof_must_come_in_time)
{
    uint8_t proof[PROOF_BYTES];

    meet(proof);
    scene_pass(t, CONNECTION_GREETING_MS - 1);
    ck_assert_uint_eq(atomic_load(&t->total), 1);
    scene_pass(t, 1);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
}
END_TEST

static const struct {
    int32_t node_id;
    size_t nonce_bytes;
} strange[] = {{CALLER, 31},
               {CALLER, 1},
               {0, NONCE_BYTES},
               {-3, NONCE_BYTES},
               {SCENE_NODE, NONCE_BYTES}};

/* A broker has a number of its own, and random bytes enough. */
START_TEST(strange_brokers_are_refused)
{
    greet(strange[_i].node_id, strange[_i].nonce_bytes);
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
    ck_assert_uint_eq(fake_node(t->node)->asked, 0);
}
END_TEST

/* A broker without a secret is alone, and lets nobody in. */
START_TEST(lone_brokers_let_nobody_in)
{
    t->secret.len = 0;
    greet(CALLER, NONCE_BYTES);
    assert_refused(STATUS_CLUSTER_AUTHORIZATION_FAILED);
}
END_TEST

/* Records that wait for the other brokers fill the memory: these must be heard all the
 * same, or they would wait for ever. */
START_TEST(brokers_are_heard_when_memory_is_short)
{
    uint8_t proof[PROOF_BYTES];
    struct acquaintance a;
    int client;

    say_hello(&w);
    send_all();
    say_produce(&w, 2, 100000);
    for (unsigned i = 0; i < 100 && scene_send(t, w.data, w.len); i++)
        ;
    w.len = 0;
    ck_assert(t->set.over);
    client = scene_connect(t);
    a = meet(proof);
    prove(&a, &t->secret);
    for (uint32_t i = 3; i < 1000; i++)
        say_vote(i);
    send_all();
    ck_assert(t->set.over);
    ck_assert_uint_eq(scene_heard(t).answers, 999);
    close(client);
}
END_TEST

/* However many clients there are, brokers find a place. */
START_TEST(last_places_are_the_brokers)
{
    uint8_t proof[PROOF_BYTES];
    struct acquaintance a;
    char why[160];

    ck_assert(
        !config_set(&t->config, bytes_of("connections.max"), "1", CONFIG_FROM_FLAG, why));
    atomic_store(&t->total, 2);
    say_hello(&w);
    send_all();
    assert_refused(STATUS_THROTTLED);
    scene_pass(t, CONNECTION_CLOSING_MS);
    close(scene_connect(t));
    a = meet(proof);
    prove(&a, &t->secret);
    send_all();
    ck_assert_uint_eq(scene_heard(t).errors, 0);
    atomic_fetch_sub(&t->total, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof");
    TCase *c = tcase_create("proof");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, brokers_meet);
    tcase_add_test(c, wrong_secret_is_refused);
    tcase_add_test(c, reflected_proof_is_refused);
    tcase_add_test(c, replayed_proof_is_refused);
    tcase_add_loop_test(c, cut_proof_is_refused, 0, 4);
    tcase_add_test(c, clients_may_not_ask_as_brokers);
    tcase_add_test(c, proof_without_greeting_is_refused);
    tcase_add_test(c, brokers_prove_first);
    tcase_add_test(c, proof_must_come_in_time);
    tcase_add_loop_test(c, strange_brokers_are_refused, 0, 5);
    tcase_add_test(c, lone_brokers_let_nobody_in);
    tcase_add_test(c, brokers_are_heard_when_memory_is_short);
    tcase_add_test(c, last_places_are_the_brokers);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
