/* SPDX-License-Identifier: Apache-2.0
 *
 * Two brokers on one thread: the calls of one, over TCP, to the real front end of the
 * other, or to a stranger who says what the test tells it to. Time is the test's. */
#include "tests/unit/broker/io/fake_node.h"

#include "broker/io/connection.h"
#include "broker/io/link.h"
#include "broker/io/listener.h"
#include "broker/io/log_sink.h"
#include "broker/io/peers.h"
#include "proto/base/check.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLER = 1, LISTENER = 2, CALLS_MAX = 300, PASSES_MAX = 20000 };

/* A call of the test's, and what became of it. */
struct asked {
    struct peer_call call;
    unsigned ends;
    char message[128];
    size_t answer_bytes;
    struct slice kept;
};

struct pair {
    struct event_base *base;
    struct instant now;
    struct config config;
    struct metrics metrics;
    atomic_uint total;
    struct address at; /* of the listener */
    /* The caller. */
    struct secret secret;
    struct peers *peers;
    struct asked asked[CALLS_MAX];
    unsigned count;
    /* The listener. */
    struct secret their_secret;
    struct node *node;
    struct connections set;
    struct listener *listener;
    unsigned accepted;
    bool deaf; /* it does not even run */
    /* Or a stranger in its place. */
    int stranger_fd, stranger;
};

static struct pair *t;

static void on_accepted(void *ctx, int fd, const char *host)
{
    struct pair *p = ctx;

    p->accepted++;
    p->set.now = p->now;
    connections_add(&p->set, fd, host);
}

static struct secret secret_of(const char *text)
{
    struct secret s = {.len = strlen(text)};

    memcpy(s.bytes, text, s.len);
    return s;
}

static int bind_somewhere(void)
{
    char why[256];
    int fd;

    t->at = (struct address){.host = "127.0.0.1"};
    fd = address_bind(&t->at, why);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void open_front(void)
{
    const struct connections_options front = {.base = t->base,
                                              .node = t->node,
                                              .metrics = &t->metrics,
                                              .config = &t->config,
                                              .total = &t->total,
                                              .secret = &t->their_secret,
                                              .cluster_id = {{7}},
                                              .node_id = LISTENER};

    connections_init(&t->set, &front);
}

static void open_listener(void)
{
    const struct listener_options listener = {.base = t->base,
                                              .fd = bind_somewhere(),
                                              .config = &t->config,
                                              .metrics = &t->metrics,
                                              .total = &t->total,
                                              .accepted = on_accepted,
                                              .ctx = t};

    t->listener = listener_new(&listener);
    ck_assert_ptr_nonnull(t->listener);
}

static void open_peers(void)
{
    const struct peers_options peers = {.base = t->base,
                                        .config = &t->config,
                                        .secret = &t->secret,
                                        .cluster_id = {{7}},
                                        .node_id = CALLER};

    t->peers = peers_new(&peers);
}

static void begin(void)
{
    t = calloc(1, sizeof *t);
    sink_init(STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    config_init(&t->config);
    t->base = event_base_new();
    t->now = (struct instant){1000000, 1700000000000};
    t->secret = t->their_secret = secret_of("a secret of the cluster");
    t->stranger_fd = t->stranger = -1;
    t->node = fake_node_new();
    fake_node(t->node)->node_id = LISTENER;
    open_front();
    open_listener();
    open_peers();
}

static void turn(void)
{
    event_base_loop(t->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    peers_run(t->peers, t->now);
    if (!t->deaf) {
        connections_run(&t->set, t->now);
        connections_flush(&t->set);
    }
    peers_flush(t->peers);
}

static bool is_busy(void)
{
    return peers_are_runnable(t->peers) ||
           (!t->deaf && connections_are_runnable(&t->set));
}

/* Loopback takes its time, but not much. */
static void settle(void)
{
    for (unsigned quiet = 0; quiet < 20;) {
        turn();
        quiet = is_busy() ? 0 : quiet + 1;
        if (quiet > 0)
            usleep(100);
    }
}

static void until_ended(const struct asked *a)
{
    for (unsigned i = 0; a->ends == 0 && i < PASSES_MAX; i++) {
        turn();
        if (!is_busy())
            usleep(100);
    }
    ck_assert_uint_eq(a->ends, 1);
}

static void pass(int64_t ms)
{
    t->now.mono_ms += ms;
    settle();
}

static void end(void)
{
    peers_stop(t->peers);
    settle();
    ck_assert(peers_are_idle(t->peers));
    for (unsigned i = 0; i < t->count; i++) {
        ck_assert_uint_eq(t->asked[i].ends, 1);
        slice_release(&t->asked[i].kept);
    }
    peers_free(t->peers);
    fake_node_let_go(t->node, SIZE_MAX);
    listener_free(t->listener);
    connections_drop(&t->set);
    connections_release(&t->set);
    fake_node_free(t->node);
    config_release(&t->config);
    event_base_free(t->base);
    if (t->stranger_fd >= 0)
        close(t->stranger_fd);
    if (t->stranger >= 0)
        close(t->stranger);
    free(t);
}

/* ---- asking --------------------------------------------------------------------------
 */

static void on_done(struct peer_call *c)
{
    struct asked *a = container_of(c, struct asked, call);

    a->ends++;
    a->answer_bytes = c->answer.len;
    snprintf(a->message, sizeof a->message, "%s", c->message);
    if (c->payload.len > 0)
        a->kept = slice_of(c->payload.buf, c->payload.data, c->payload.len);
}

static struct asked *ask_at(int32_t to, const char *host, uint16_t port, enum rpc_api api,
                            const ProtobufCMessage *header)
{
    struct asked *a = &t->asked[t->count++];

    ck_assert_uint_le(t->count, CALLS_MAX);
    a->call = (struct peer_call){.to = to,
                                 .at = {.port = port},
                                 .api = api,
                                 .header = header,
                                 .timeout_ms = 1000,
                                 .done = on_done};
    snprintf(a->call.at.host, sizeof a->call.at.host, "%s", host);
    peers_call(t->peers, &a->call, t->now);
    ck_assert_uint_eq(a->ends, 0);
    return a;
}

static struct asked *ask(enum rpc_api api, const ProtobufCMessage *header)
{
    return ask_at(LISTENER, t->at.host, t->at.port, api, header);
}

static struct asked *ask_vote(void)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;

    return ask(RPC_VOTE, &q.base);
}

static struct asked *ask_poll(void)
{
    Leat__QuorumFetchRequest q = LEAT__QUORUM_FETCH_REQUEST__INIT;

    return ask(RPC_QUORUM_FETCH, &q.base);
}

static struct asked *ask_records(uint32_t bytes)
{
    Leat__ReplicaFetchRequest q = LEAT__REPLICA_FETCH_REQUEST__INIT;

    q.max_bytes = bytes;
    return ask(RPC_REPLICA_FETCH, &q.base);
}

static void assert_end(const struct asked *a, enum status status)
{
    until_ended(a);
    ck_assert_int_eq(a->call.status, status);
}

/* ---- what works ----------------------------------------------------------------------
 */

/* A call is answered, and the other side knows who has asked. */
START_TEST(calls_are_answered)
{
    struct asked *a = ask_vote();

    assert_end(a, STATUS_OK);
    ck_assert_int_eq(fake_node(t->node)->peer, CALLER);
    ck_assert_str_eq(a->message, "");
}
END_TEST

/* A first contact knows an address only. */
START_TEST(whoever_is_there_may_be_asked)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;

    assert_end(ask_at(-1, t->at.host, t->at.port, RPC_VOTE, &q.base), STATUS_OK);
}
END_TEST

/* Records of any amount arrive as they are, and stay as long as somebody holds them. */
START_TEST(records_arrive_whole)
{
    static const uint32_t sizes[] = {1, 1000, 70000, 262144, 1100000, 7 << 20};
    struct asked *a[6];

    for (unsigned i = 0; i < 6; i++)
        a[i] = ask_records(sizes[i]);
    for (unsigned i = 0; i < 6; i++) {
        assert_end(a[i], STATUS_OK);
        ck_assert_uint_eq(a[i]->kept.len, sizes[i]);
    }
    for (unsigned i = 0; i < 6; i++)
        for (size_t at = 0; at < a[i]->kept.len; at++)
            if (a[i]->kept.data[at] != 'f')
                ck_abort_msg("byte %zu of %u is another", at, sizes[i]);
}
END_TEST

/* A refusal comes with its sentence. */
START_TEST(refusals_are_told)
{
    Leat__BrokerHeartbeatRequest q = LEAT__BROKER_HEARTBEAT_REQUEST__INIT;
    struct asked *a = ask(RPC_BROKER_HEARTBEAT, &q.base);

    assert_end(a, STATUS_STALE_BROKER_EPOCH);
    ck_assert_str_eq(a->message, "you were somebody else before");
    assert_end(ask_vote(), STATUS_OK);
    ck_assert_uint_eq(t->accepted, 1);
}
END_TEST

/* Many calls share one connection; those that move much have one of their own. */
START_TEST(calls_share_a_lane)
{
    struct asked *last;

    for (unsigned i = 0; i < 200; i++)
        last = ask_vote();
    assert_end(last, STATUS_OK);
    ck_assert_uint_eq(t->accepted, 1);
    assert_end(ask_records(1000), STATUS_OK);
    assert_end(ask_records(1000), STATUS_OK);
    ck_assert_uint_eq(t->accepted, 2);
}
END_TEST

/* What waits at the other side holds nobody up. */
START_TEST(polls_hold_nobody_up)
{
    struct asked *poll = ask_poll();

    settle();
    ck_assert_uint_eq(fake_node(t->node)->kept_count, 1);
    assert_end(ask_vote(), STATUS_OK);
    ck_assert_uint_eq(poll->ends, 0);
    fake_node_let_go(t->node, 1);
    assert_end(poll, STATUS_OK);
}
END_TEST

/* A name is looked up, and all its addresses are tried: "localhost" may have two, of
 * which the listener has one. */
START_TEST(names_are_looked_up)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;

    assert_end(ask_at(LISTENER, "localhost", t->at.port, RPC_VOTE, &q.base), STATUS_OK);
}
END_TEST

/* ---- what fails ----------------------------------------------------------------------
 */

/* A name that nobody knows costs its calls, and no more than their time. */
START_TEST(unknown_names_are_unreachable)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;
    struct asked *a = ask_at(LISTENER, "no-such-broker.invalid", 9092, RPC_VOTE, &q.base);

    turn();
    t->now.mono_ms += 1000;
    assert_end(a, STATUS_UNREACHABLE);
    pass(LINK_MAKING_MS);
}
END_TEST

/* An answer that does not come in time is not waited for, and not mistaken for another's
 * when it comes. */
START_TEST(late_answers_are_dropped)
{
    struct asked *poll = ask_poll(), *vote;

    settle();
    t->now.mono_ms += 500;
    assert_end(ask_vote(), STATUS_OK);
    t->now.mono_ms += 500;
    assert_end(poll, STATUS_TIMED_OUT);
    vote = ask_vote();
    fake_node_let_go(t->node, 1);
    assert_end(vote, STATUS_OK);
    ck_assert_uint_eq(t->accepted, 1);
}
END_TEST

/* After a cut nothing comes any more, not even an error. Who has been silent for long is
 * called anew instead of being waited for. */
START_TEST(silent_peers_are_called_anew)
{
    struct asked *first, *second;

    assert_end(ask_vote(), STATUS_OK);
    t->deaf = true;
    first = ask_vote();
    pass(1000);
    ck_assert_int_eq(first->call.status, STATUS_TIMED_OUT);
    second = ask_vote();
    pass(1000);
    ck_assert_int_eq(second->call.status, STATUS_TIMED_OUT);
    t->deaf = false;
    pass(LINK_BACKOFF_MOST_MS);
    assert_end(ask_vote(), STATUS_OK);
    ck_assert_uint_eq(t->accepted, 2);
}
END_TEST

/* A peer that takes nothing is not written to for ever. */
START_TEST(what_is_unsent_is_bounded)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;
    uint8_t *large = calloc(1, 1 << 20);
    unsigned refused = 0;

    assert_end(ask_vote(), STATUS_OK);
    t->deaf = true;
    q.bootstrap = (ProtobufCBinaryData){1 << 20, large};
    for (unsigned i = 0; i < 40; i++)
        ask(RPC_VOTE, &q.base);
    settle();
    for (unsigned i = 1; i < t->count; i++)
        refused += t->asked[i].ends == 1 && t->asked[i].call.status == STATUS_UNREACHABLE;
    ck_assert_uint_ge(refused, 20);
    ck_assert_uint_lt(refused, 40);
    free(large);
}
END_TEST

/* When a connection breaks all its calls end; then there is a pause, then a new one. */
START_TEST(broken_connections_end_their_calls)
{
    struct asked *poll = ask_poll(), *other = ask_poll(), *early;

    settle();
    connections_drop(&t->set);
    assert_end(poll, STATUS_UNREACHABLE);
    assert_end(other, STATUS_UNREACHABLE);
    early = ask_vote();
    assert_end(early, STATUS_UNREACHABLE);
    ck_assert_uint_eq(t->accepted, 1);
    pass(LINK_BACKOFF_LEAST_MS);
    assert_end(ask_vote(), STATUS_OK);
    ck_assert_uint_eq(t->accepted, 2);
}
END_TEST

/* Nobody listens there: the kernel says so at once. The pauses grow, up to a second. */
START_TEST(refused_connections_are_unreachable)
{
    listener_free(t->listener);
    t->listener = NULL;
    for (unsigned i = 0; i < 8; i++) {
        assert_end(ask_vote(), STATUS_UNREACHABLE);
        pass(LINK_BACKOFF_MOST_MS);
    }
    open_listener();
    pass(LINK_BACKOFF_MOST_MS);
    assert_end(ask_vote(), STATUS_OK);
}
END_TEST

/* It is somebody, but not one of us: nothing is asked, and nothing told. */
START_TEST(another_secret_is_no_peer)
{
    t->their_secret = secret_of("a secret of others");
    assert_end(ask_vote(), STATUS_UNREACHABLE);
    ck_assert_uint_eq(fake_node(t->node)->asked, 1);
}
END_TEST

START_TEST(another_node_is_no_peer)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;

    assert_end(ask_at(3, t->at.host, t->at.port, RPC_VOTE, &q.base), STATUS_UNREACHABLE);
    ck_assert_uint_eq(fake_node(t->node)->asked, 1);
}
END_TEST

START_TEST(another_cluster_is_no_peer)
{
    peers_free(t->peers);
    t->peers = peers_new(&(struct peers_options){.base = t->base,
                                                 .config = &t->config,
                                                 .secret = &t->secret,
                                                 .cluster_id = {{8}},
                                                 .node_id = CALLER});
    assert_end(ask_vote(), STATUS_UNREACHABLE);
    ck_assert_uint_eq(fake_node(t->node)->asked, 1);
}
END_TEST

START_TEST(who_has_no_secret_is_no_peer)
{
    t->their_secret.len = 0;
    assert_end(ask_vote(), STATUS_UNREACHABLE);
    t->secret.len = 0;
    assert_end(ask_vote(), STATUS_UNREACHABLE);
    ck_assert_uint_eq(fake_node(t->node)->asked, 0);
}
END_TEST

/* ---- strangers -----------------------------------------------------------------------
 */

/* Somebody else listens where the broker was said to be, and says `text`. */
static void let_stranger_say(const void *text, size_t len)
{
    for (unsigned i = 0; t->stranger < 0 && i < PASSES_MAX; i++) {
        turn();
        t->stranger = accept(t->stranger_fd, NULL, NULL);
        if (t->stranger < 0)
            usleep(100);
    }
    ck_assert_int_ge(t->stranger, 0);
    ck_assert_int_eq(send(t->stranger, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void put_stranger(void)
{
    listener_free(t->listener);
    t->listener = NULL;
    t->stranger_fd = bind_somewhere();
    ck_assert_int_eq(listen(t->stranger_fd, 8), 0);
    evutil_make_socket_nonblocking(t->stranger_fd);
}

#define GREETING "LEAT\0\1\r\n"
static const struct {
    const char *text;
    size_t len;
} nonsense[] = {
    {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
    {"LEAT\0\2\r\n", 8},
    /* A head that claims 512 MiB, one that is a request, one that contradicts itself, an
     * answer to nothing, a HELLO that is no message, a refusal. */
    {GREETING "\x20\0\0\0\0\1\0\1\0\0\0\0\0\0\0\0", 24},
    {GREETING "\0\0\0\x0c\0\1\0\0\0\0\0\0\0\0\0\0", 24},
    {GREETING "\0\0\0\x0c\0\1\0\1\0\0\0\0\0\0\0\x63", 24},
    {GREETING "\0\0\0\x0c\0\x3c\0\1\0\0\0\0\0\0\0\0", 24},
    {GREETING "\0\0\0\x0d\0\1\0\1\0\0\0\0\0\0\0\1\xff", 25},
    {GREETING "\0\0\0\x0c\0\1\0\3\0\0\0\0\0\0\0\0", 24},
    {GREETING "\0\0\0\x0c\0\1\0\1\0\0\0\0\0\0\0\0", 24},
};

/* Nothing that a stranger says gets it a call, or us into trouble. */
START_TEST(strangers_get_nothing)
{
    uint8_t heard[512];
    struct asked *a;
    ssize_t n;

    put_stranger();
    a = ask_vote();
    let_stranger_say(nonsense[_i].text, nonsense[_i].len);
    assert_end(a, STATUS_UNREACHABLE);
    n = recv(t->stranger, heard, sizeof heard, 0);
    ck_assert_int_ge(n, FRAME_PREFACE + FRAME_HEAD);
    ck_assert_uint_eq(load_u16(heard + FRAME_PREFACE + 4), RPC_HELLO);
    ck_assert_int_eq(n, FRAME_PREFACE + 4 + load_u32(heard + FRAME_PREFACE));
    ck_assert_int_le(recv(t->stranger, heard, sizeof heard, 0), 0);
}
END_TEST

/* Nor does one that says nothing. */
START_TEST(silence_is_no_greeting)
{
    struct asked *a, *late;

    put_stranger();
    a = ask_vote();
    settle();
    pass(1000);
    assert_end(a, STATUS_UNREACHABLE);
    late = ask_vote();
    late->call.timeout_ms = 0;
    pass(LINK_MAKING_MS - 1000);
    assert_end(late, STATUS_UNREACHABLE);
    assert_end(ask_vote(), STATUS_UNREACHABLE);
}
END_TEST

/* ---- the end -------------------------------------------------------------------------
 */

/* What nobody uses is closed, and made again when it is needed. */
START_TEST(idle_links_are_closed)
{
    assert_end(ask_vote(), STATUS_OK);
    ck_assert_int_eq(peers_deadline(t->peers), t->now.mono_ms + LINK_IDLE_MS);
    pass(LINK_IDLE_MS - 1);
    ck_assert_uint_eq(atomic_load(&t->total), 1);
    pass(1);
    ck_assert_uint_eq(atomic_load(&t->total), 0);
    ck_assert_int_eq(peers_deadline(t->peers), INT64_MAX);
    assert_end(ask_vote(), STATUS_OK);
}
END_TEST

/* Stopping ends what is under way, wherever it is, and everything that comes later. */
START_TEST(stop_ends_all_calls)
{
    Leat__VoteRequest q = LEAT__VOTE_REQUEST__INIT;
    struct asked *open = ask_poll(), *early, *named;

    settle();
    early = ask_records(1000);
    named = ask_at(LISTENER, "no-such-broker.invalid", 9092, RPC_VOTE, &q.base);
    peers_stop(t->peers);
    ck_assert(!peers_are_idle(t->peers));
    assert_end(open, STATUS_CLOSED);
    assert_end(early, STATUS_CLOSED);
    assert_end(named, STATUS_CLOSED);
    assert_end(ask_vote(), STATUS_CLOSED);
    ck_assert(peers_are_idle(t->peers));
}
END_TEST

static void add_failures(Suite *s)
{
    TCase *c = tcase_create("failures");

    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, unknown_names_are_unreachable);
    tcase_add_test(c, late_answers_are_dropped);
    tcase_add_test(c, silent_peers_are_called_anew);
    tcase_add_test(c, what_is_unsent_is_bounded);
    tcase_add_test(c, broken_connections_end_their_calls);
    tcase_add_test(c, refused_connections_are_unreachable);
    tcase_add_test(c, another_secret_is_no_peer);
    tcase_add_test(c, another_node_is_no_peer);
    tcase_add_test(c, another_cluster_is_no_peer);
    tcase_add_test(c, who_has_no_secret_is_no_peer);
    tcase_add_loop_test(c, strangers_get_nothing, 0,
                        sizeof nonsense / sizeof nonsense[0]);
    tcase_add_test(c, silence_is_no_greeting);
    suite_add_tcase(s, c);
}

int main(void)
{
    Suite *s = suite_create("peers");
    TCase *c = tcase_create("peers");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, calls_are_answered);
    tcase_add_test(c, whoever_is_there_may_be_asked);
    tcase_add_test(c, records_arrive_whole);
    tcase_add_test(c, refusals_are_told);
    tcase_add_test(c, calls_share_a_lane);
    tcase_add_test(c, polls_hold_nobody_up);
    tcase_add_test(c, names_are_looked_up);
    tcase_add_test(c, idle_links_are_closed);
    tcase_add_test(c, stop_ends_all_calls);
    suite_add_tcase(s, c);
    add_failures(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
