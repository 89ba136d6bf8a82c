/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/quorum/quorums.h"

#include "broker/core/config.h"
#include "broker/core/node_state.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "proto/rpc/metadata.pb-c.h"
#include "storage/store.h"
#include "tests/support/simdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DELAY_MS = 4, COMMITTED_MAX = 100000 };

struct member {
    struct quorums *owner;
    struct wire wire;
    struct node node; /* only what requests look at */
    struct metrics metrics;
    struct simdisk *sim;
    struct store *store;
    struct quorum *quorum;
    struct image image;
    struct uuid directory;
    unsigned configured; /* how many first controllers it was told of */
    bool up, silent, cut;
    int64_t applied;
    unsigned replaced, warnings;
    char failure[256];
};

struct letter {
    struct letter *next;
    TAILQ_ENTRY(letter) link; /* of all there are */
    struct quorums *owner;
    int64_t at_ms;
    unsigned from, to;
    struct peer_call *call;
    enum rpc_api api;
    int64_t timeout_ms;
    bool answer;
    bool ended; /* the asker has stopped */
    enum status status;
    char message[256];
    struct writer packed;
    struct slice payload;
};

struct asked {
    struct request request;
    struct letter *letter; /* NULL: a client's */
    struct quorums *owner;
};

struct wish {
    struct proposal proposal;
    struct arena arena;
    struct quorums *owner;
    uint64_t number;
    unsigned bulk;
    unsigned broker; /* registers this node instead */
};

struct quorums {
    struct prng random;
    struct instant now;
    unsigned count, lost;
    struct member members[QUORUMS_MAX];
    struct letter *mail;
    TAILQ_HEAD(, letter) letters;
    uint64_t wishes;
    unsigned accepted, refused, waiting;
    uint64_t *kept; /* numbers of accepted wishes */
    uint64_t hashes[COMMITTED_MAX];
    enum status altered;
    char description[256];
};

/* ---- the network -------------------------------------------------------------- */

static void letter_free(struct letter *l)
{
    TAILQ_REMOVE(&l->owner->letters, l, link);
    writer_release(&l->packed);
    slice_release(&l->payload);
    free(l);
}

static void post(struct quorums *s, struct letter *l, int64_t delay_ms)
{
    struct letter **at = &s->mail;

    l->at_ms = s->now.mono_ms + delay_ms;
    while (*at != NULL && (*at)->at_ms <= l->at_ms)
        at = &(*at)->next;
    l->next = *at;
    *at = l;
}

/* An answer of the network itself. */
static void give_back(struct quorums *s, struct letter *l, enum status status,
                      int64_t delay_ms)
{
    l->answer = true;
    l->status = status;
    l->packed.len = 0;
    post(s, l, delay_ms);
}

static bool is_lost(struct quorums *s, const struct letter *l)
{
    return s->members[l->from].cut || s->members[l->to].cut ||
           prng_below(&s->random, 1000) < s->lost;
}

static void call(struct wire *wire, struct peer_call *c)
{
    struct member *m = container_of(wire, struct member, wire);
    struct quorums *s = m->owner;
    struct letter *l = must_zalloc(sizeof *l);

    l->owner = s;
    TAILQ_INSERT_TAIL(&s->letters, l, link);
    l->from = (unsigned)(m - s->members);
    l->to = (unsigned)c->to - 1;
    l->call = c;
    l->api = c->api;
    l->timeout_ms = c->timeout_ms;
    l->packed = writer_growing();
    CHECK(c->to >= 1 && c->to <= (int)s->count && l->to != l->from);
    rpc_pack(c->header, &l->packed);
    if (is_lost(s, l))
        give_back(s, l, STATUS_TIMED_OUT, c->timeout_ms);
    else
        post(s, l, 1 + (int64_t)prng_below(&s->random, DELAY_MS));
}

static void finished(struct request *r)
{
    struct asked *a = container_of(r, struct asked, request);
    struct letter *l = a->letter;
    struct quorums *s = a->owner;

    l->answer = true;
    l->status = r->status;
    snprintf(l->message, sizeof l->message, "%s", r->message ? r->message : "");
    l->packed.len = 0;
    if (!r->status) {
        size_t bytes = 0, at = 0;

        rpc_pack(r->answer, &l->packed);
        for (size_t i = 0; i < r->slice_count; i++)
            bytes += r->slices[i].len;
        if (bytes > 0) {
            struct buf *buf = buf_new(bytes);

            for (size_t i = 0; i < r->slice_count; at += r->slices[i++].len)
                memcpy(buf->data + at, r->slices[i].data, r->slices[i].len);
            l->payload = slice_of(buf, buf->data, bytes);
            buf_unref(buf);
        }
    }
    for (size_t i = 0; i < r->slice_count; i++)
        slice_release(&r->slices[i]);
    arena_release(&r->arena);
    if (is_lost(s, l) || s->members[l->to].silent)
        give_back(s, l, STATUS_TIMED_OUT, l->timeout_ms);
    else
        post(s, l, 1 + (int64_t)prng_below(&s->random, DELAY_MS));
    free(a);
}

static void request_begin(struct quorums *s, struct asked *a, unsigned to,
                          enum rpc_api api, struct bytes packed)
{
    struct request *r = &a->request;
    ProtobufCMessage *header;

    a->owner = s;
    arena_init(&r->arena, 16 * 1024 * 1024);
    r->row = rpc_api_row((uint16_t)api);
    CHECK(!rpc_unpack(r->row->request, packed, &r->arena, &header));
    r->header = header;
    r->client_id = "test";
    r->host = "elsewhere";
    r->node = &s->members[to].node;
    r->arrived = s->now;
    quorum_request(s->members[to].quorum, r, s->now);
}

static void ask(struct quorums *s, struct letter *l)
{
    struct asked *a = must_zalloc(sizeof *a);

    a->letter = l;
    a->request.peer = (int32_t)l->from + 1;
    a->request.finished = finished;
    request_begin(s, a, l->to, l->api, (struct bytes){l->packed.data, l->packed.len});
}

static void tell_asker(struct letter *l)
{
    struct peer_call *c = l->call;

    c->status = l->status;
    c->message = l->message;
    c->answer = (struct bytes){l->packed.data, l->packed.len};
    c->payload = l->payload;
    c->done(c);
}

static void deliver(struct quorums *s, struct letter *l)
{
    if (l->answer && !l->ended)
        tell_asker(l);
    if (l->answer || l->ended)
        letter_free(l);
    else if (!s->members[l->to].up)
        give_back(s, l, STATUS_UNREACHABLE, 1);
    else
        ask(s, l);
}

/* ---- what a quorum tells ------------------------------------------------------ */

static uint64_t hash_of(struct bytes record)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < record.len; i++)
        hash = (hash ^ record.data[i]) * 1099511628211u;
    return hash | 1;
}

static void on_committed(void *ctx, int64_t offset, struct bytes record)
{
    struct member *m = ctx;
    uint64_t hash = hash_of(record);

    CHECK(offset == m->applied && offset < COMMITTED_MAX);
    m->applied = offset + 1;
    if (m->owner->hashes[offset] == 0)
        m->owner->hashes[offset] = hash;
    CHECK(m->owner->hashes[offset] == hash);
}

static void on_replaced(void *ctx, struct image *before)
{
    struct member *m = ctx;

    CHECK(m->image.applied > before->applied);
    m->applied = m->image.applied;
    m->replaced++;
}

static void on_leader_changed(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const char *what)
{
    struct member *m = ctx;

    snprintf(m->failure, sizeof m->failure, "%s", what);
}

static void on_log(void *ctx, int level, const char *event, const char *text)
{
    struct member *m = ctx;

    m->warnings += level == LOG_LEVEL_WARN;
    if (getenv("VERBOSE") != NULL)
        fprintf(stderr, "%ld node %d: %s: %s\n", (long)m->owner->now.mono_ms,
                (int)(m - m->owner->members) + 1, event, text);
}

static void on_durable(void *ctx, struct log *log)
{
    struct member *m = ctx;

    if (m->quorum != NULL && log == quorum_log(m->quorum))
        quorum_durable(m->quorum, m->owner->now);
}

static void on_failed(void *ctx, enum status status, const char *what)
{
    (void)ctx;
    (void)status;
    (void)what;
}

/* ---- lives -------------------------------------------------------------------- */

static struct endpoint endpoint_of(unsigned node)
{
    struct endpoint at = {.port = (uint16_t)(9000 + node)};

    snprintf(at.host, sizeof at.host, "node%u", node + 1);
    return at;
}

static enum status open_quorum(struct quorums *s, unsigned node, char why[static 256])
{
    struct member *m = &s->members[node];
    struct voter voters[QUORUMS_MAX];
    struct quorum_options o = {
        .store = m->store,
        .disk = simdisk_disk(m->sim),
        .wire = &m->wire,
        .image = &m->image,
        .node_id = (int32_t)node + 1,
        .directory = m->directory,
        .at = endpoint_of(node),
        .bootstrap = voters,
        .bootstrap_count = m->configured,
        .times = {.fetch_timeout = 600,
                  .election_timeout = 300,
                  .fetch_wait = 200,
                  .request_timeout = 600},
        .committed = on_committed,
        .replaced = on_replaced,
        .leader_changed = on_leader_changed,
        .fatal = on_fatal,
        .on_log = on_log,
        .ctx = m,
    };

    for (unsigned i = 0; i < m->configured; i++)
        voters[i] = (struct voter){.node_id = (int32_t)i + 1, .at = endpoint_of(i)};
    prng_init(&o.random, prng_next(&s->random));
    return quorum_open(&m->quorum, &o, s->now, why);
}

enum status quorums_try_start(struct quorums *s, unsigned node, char why[static 256])
{
    struct member *m = &s->members[node - 1];
    struct store_options so = store_options_default;
    struct store_recovery recovery;
    enum status st;

    CHECK(!m->up);
    so.journal_file_bytes = 8 * 1024 * 1024;
    so.reserve_bytes = 0;
    so.on_durable = on_durable;
    so.on_failed = on_failed;
    so.ctx = m;
    CHECK(!store_recover(simdisk_disk(m->sim), &recovery, why));
    CHECK(!store_open(&m->store, simdisk_disk(m->sim), &so));
    image_init(&m->image);
    m->silent = false;
    m->failure[0] = '\0';
    st = open_quorum(s, node - 1, why);
    m->up = !st;
    if (st) {
        CHECK(!store_close(m->store));
        image_release(&m->image);
        return st;
    }
    m->applied = m->image.applied;
    return st;
}

void quorums_start(struct quorums *s, unsigned node)
{
    char why[256];

    CHECK(!quorums_try_start(s, node, why));
}

/* Calls end at the latest when the node stops. */
static void end_calls(struct quorums *s, unsigned node)
{
    struct letter *l;

    TAILQ_FOREACH (l, &s->letters, link) {
        if (l->from != node || l->ended)
            continue;
        l->ended = true;
        l->status = STATUS_CLOSED;
        tell_asker(l);
    }
}

static void turn(struct quorums *s, unsigned node)
{
    struct member *m = &s->members[node];

    m->node.now = s->now;
    disk_poll(simdisk_disk(m->sim), false);
    if (quorum_deadline(m->quorum) <= s->now.mono_ms)
        quorum_tick(m->quorum, s->now);
    quorum_turn(m->quorum, s->now);
    store_turn_end(m->store);
}

/* Questions to a dead node that it will never answer. */
static void end(struct quorums *s, unsigned node)
{
    struct member *m = &s->members[node];

    turn(s, node);
    end_calls(s, node);
    quorum_close(m->quorum);
    m->quorum = NULL;
    if (store_close(m->store))
        CHECK(simdisk_is_dead(m->sim));
    image_release(&m->image);
    m->up = false;
}

void quorums_crash(struct quorums *s, unsigned node)
{
    struct member *m = &s->members[node - 1];
    bool cut = m->cut;

    m->silent = m->cut = true;
    simdisk_die_at(m->sim, simdisk_ops(m->sim), SIMDISK_BEFORE);
    quorum_stop(m->quorum, s->now);
    end(s, node - 1);
    simdisk_crash(m->sim, SIMDISK_POWER);
    m->cut = cut;
}

void quorums_stop(struct quorums *s, unsigned node)
{
    quorum_stop(s->members[node - 1].quorum, s->now);
    quorums_run_ms(s, 20);
    end(s, node - 1);
}

void quorums_wipe(struct quorums *s, unsigned node)
{
    struct member *m = &s->members[node - 1];

    CHECK(!m->up);
    if (m->sim != NULL)
        simdisk_free(m->sim);
    m->sim = simdisk_new(&(struct simdisk_options){.seed = prng_next(&s->random)});
    m->directory = uuid_random(&s->random);
}

void quorums_misconfigure(struct quorums *s, unsigned node, unsigned voters)
{
    s->members[node - 1].configured = voters;
}

struct quorums *quorums_new(unsigned nodes, unsigned voters, uint64_t seed)
{
    struct quorums *s = must_zalloc(sizeof *s);

    CHECK(nodes <= QUORUMS_MAX);
    s->count = nodes;
    s->now = (struct instant){1000, 1700000000000};
    prng_init(&s->random, seed);
    TAILQ_INIT(&s->letters);
    for (unsigned i = 0; i < nodes; i++) {
        struct member *m = &s->members[i];

        m->owner = s;
        m->wire.call = call;
        m->node.o.wire = &m->wire;
        m->node.o.metrics = &m->metrics;
        m->configured = voters;
        quorums_wipe(s, i + 1);
        quorums_start(s, i + 1);
    }
    return s;
}

void quorums_free(struct quorums *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        s->members[i].cut = true;
        if (s->members[i].up)
            quorum_stop(s->members[i].quorum, s->now);
    }
    quorums_run_ms(s, 2000);
    for (unsigned i = 0; i < s->count; i++) {
        if (s->members[i].up)
            end(s, i);
        simdisk_free(s->members[i].sim);
    }
    while (s->mail != NULL) {
        struct letter *l = s->mail;

        s->mail = l->next;
        letter_free(l);
    }
    CHECK(s->waiting == 0);
    free(s->kept);
    free(s);
}

struct instant quorums_now(const struct quorums *s)
{
    return s->now;
}

void quorums_run_ms(struct quorums *s, int64_t ms)
{
    for (int64_t until = s->now.mono_ms + ms; s->now.mono_ms < until;) {
        s->now.mono_ms++;
        s->now.wall_ms++;
        while (s->mail != NULL && s->mail->at_ms <= s->now.mono_ms) {
            struct letter *l = s->mail;

            s->mail = l->next;
            deliver(s, l);
        }
        for (unsigned i = 0; i < s->count; i++)
            if (s->members[i].up)
                turn(s, i);
    }
}

void quorums_lose(struct quorums *s, unsigned per_mille)
{
    s->lost = per_mille;
}

void quorums_cut_off(struct quorums *s, unsigned node, bool cut)
{
    s->members[node - 1].cut = cut;
}

bool quorums_is_up(const struct quorums *s, unsigned node)
{
    return s->members[node - 1].up;
}

unsigned quorums_leader(const struct quorums *s)
{
    unsigned leader = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (s->members[i].up && quorum_is_active(s->members[i].quorum) &&
            (leader == 0 || quorum_epoch(s->members[i].quorum) >
                                quorum_epoch(s->members[leader - 1].quorum)))
            leader = i + 1;
    return leader;
}

struct quorum *quorums_at(const struct quorums *s, unsigned node)
{
    return s->members[node - 1].quorum;
}

struct simdisk *quorums_disk(const struct quorums *s, unsigned node)
{
    return s->members[node - 1].sim;
}

const char *quorums_failure(const struct quorums *s, unsigned node)
{
    return s->members[node - 1].failure;
}

unsigned quorums_replaced(const struct quorums *s, unsigned node)
{
    return s->members[node - 1].replaced;
}

unsigned quorums_warnings(const struct quorums *s, unsigned node)
{
    return s->members[node - 1].warnings;
}

/* ---- proposals ---------------------------------------------------------------- */

static void put(struct change *c, const Leat__Metadata__Record *r)
{
    size_t size = leat__metadata__record__get_packed_size(r);
    uint8_t *copy = arena_alloc(c->arena, size);

    leat__metadata__record__pack(r, copy);
    c->records[c->count++] = (struct bytes){copy, size};
}

static struct uuid id_of(uint64_t number)
{
    struct uuid id = {{9}};

    store_u64(id.id + 8, number);
    return id;
}

static void put_topic(struct wish *w, struct change *c)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Topic topic = LEAT__METADATA__TOPIC__INIT;
    struct uuid id = id_of(w->number);
    char name[32];

    snprintf(name, sizeof name, "topic%lu", (unsigned long)w->number);
    topic.topic_id = (ProtobufCBinaryData){UUID_BYTES, id.id};
    topic.name = name;
    r.kind_case = LEAT__METADATA__RECORD__KIND_TOPIC;
    r.topic = &topic;
    put(c, &r);
}

/* Large, and the newest is all that an image keeps of them. */
static void put_broker(struct change *c, int32_t node_id, struct uuid id)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Broker broker = LEAT__METADATA__BROKER__INIT;
    char rack[251];

    memset(rack, 'r', sizeof rack - 1);
    rack[sizeof rack - 1] = '\0';
    broker.node_id = node_id;
    broker.incarnation = broker.directory_id = (ProtobufCBinaryData){UUID_BYTES, id.id};
    broker.host = "somewhere";
    broker.port = 9;
    broker.rack = broker.software_version = rack;
    r.kind_case = LEAT__METADATA__RECORD__KIND_BROKER;
    r.broker = &broker;
    put(c, &r);
}

static enum status decide(struct proposal *p, struct change *c)
{
    struct wish *w = container_of(p, struct wish, proposal);

    c->records = arena_alloc(c->arena, (w->bulk + 1) * sizeof *c->records);
    for (unsigned i = 0; i < w->bulk; i++)
        put_broker(c, 77, id_of(w->number));
    if (w->broker > 0)
        put_broker(c, (int32_t)w->broker, w->owner->members[w->broker - 1].directory);
    else if (w->bulk == 0)
        put_topic(w, c);
    return STATUS_OK;
}

static void on_done(struct proposal *p, enum status status)
{
    struct wish *w = container_of(p, struct wish, proposal);
    struct quorums *s = w->owner;

    s->waiting--;
    if (status) {
        s->refused++;
    } else {
        s->kept = must_realloc(s->kept, (s->accepted + 1) * sizeof *s->kept);
        s->kept[s->accepted++] = w->bulk > 0 || w->broker > 0 ? 0 : w->number;
    }
    arena_release(&w->arena);
    free(w);
}

static void propose(struct quorums *s, unsigned node, unsigned bulk, unsigned broker)
{
    struct wish *w;

    if (!quorums_is_up(s, node))
        return;
    w = must_zalloc(sizeof *w);
    w->owner = s;
    w->number = ++s->wishes;
    w->bulk = bulk;
    w->broker = broker;
    arena_init(&w->arena, 0);
    w->proposal.decide = decide;
    w->proposal.done = on_done;
    w->proposal.change = (struct change){.arena = &w->arena};
    s->waiting++;
    quorum_propose(quorums_at(s, node), &w->proposal);
}

void quorums_propose(struct quorums *s, unsigned node)
{
    propose(s, node, 0, 0);
}

void quorums_propose_bulk(struct quorums *s, unsigned node, unsigned records)
{
    propose(s, node, records, 0);
}

void quorums_propose_registration(struct quorums *s, unsigned node, unsigned broker)
{
    propose(s, node, 0, broker);
}

unsigned quorums_accepted(const struct quorums *s)
{
    return s->accepted;
}

unsigned quorums_refused(const struct quorums *s)
{
    return s->refused;
}

unsigned quorums_open(const struct quorums *s)
{
    return s->waiting;
}

/* ---- an operator's requests --------------------------------------------------- */

static void on_altered(struct request *r)
{
    struct asked *a = container_of(r, struct asked, request);

    a->owner->altered = r->status;
    if (getenv("VERBOSE") != NULL && r->status)
        fprintf(stderr, "alter: %s\n", r->message);
    arena_release(&r->arena);
    free(a);
}

static void ask_as_client(struct quorums *s, unsigned node, enum rpc_api api,
                          const ProtobufCMessage *header, void (*done)(struct request *))
{
    struct asked *a = must_zalloc(sizeof *a);
    struct writer packed = writer_growing();

    rpc_pack(header, &packed);
    a->request.peer = -1;
    a->request.finished = done;
    request_begin(s, a, node - 1, api, (struct bytes){packed.data, packed.len});
    writer_release(&packed);
}

void quorums_alter(struct quorums *s, unsigned node, int32_t add, int32_t remove)
{
    Leat__AlterQuorumRequest q = LEAT__ALTER_QUORUM_REQUEST__INIT;

    q.add = add;
    q.remove = remove;
    s->altered = STATUS_AGAIN;
    ask_as_client(s, node, RPC_ALTER_QUORUM, &q.base, on_altered);
}

enum status quorums_altered(const struct quorums *s)
{
    return s->altered;
}

static void on_described(struct request *r)
{
    struct asked *a = container_of(r, struct asked, request);
    const Leat__DescribeQuorumResponse *d = (const void *)r->answer;
    char *at = a->owner->description;
    const char *end = at + sizeof a->owner->description;

    CHECK(!r->status);
    *at = '\0';
    for (int voters = 1; voters >= 0; voters--)
        for (int32_t id = 1; id <= QUORUMS_MAX; id++)
            for (size_t i = 0; i < d->n_members; i++)
                if (d->members[i]->node_id == id && d->members[i]->voter == voters)
                    at += snprintf(at, (size_t)(end - at), voters ? "%d " : "(%d) ", id);
    arena_release(&r->arena);
    free(a);
}

const char *quorums_describe(struct quorums *s, unsigned node)
{
    Leat__DescribeQuorumRequest q = LEAT__DESCRIBE_QUORUM_REQUEST__INIT;

    ask_as_client(s, node, RPC_DESCRIBE_QUORUM, &q.base, on_described);
    return s->description;
}

/* ---- what must hold in the end ------------------------------------------------ */

static void emit(void *to, struct bytes record)
{
    write_bytes(to, record.data, record.len);
}

void quorums_check(struct quorums *s)
{
    struct writer first = writer_growing(), other = writer_growing();
    bool have = false;

    for (unsigned i = 0; i < s->count; i++) {
        const struct member *m = &s->members[i];

        if (!m->up)
            continue;
        for (unsigned k = 0; k < s->accepted; k++)
            CHECK(s->kept[k] == 0 || image_topic_by_id(&m->image, id_of(s->kept[k])));
        other.len = 0;
        image_snapshot(&m->image, emit, have ? &other : &first);
        CHECK(!have || bytes_equal((struct bytes){first.data, first.len},
                                   (struct bytes){other.data, other.len}));
        have = true;
    }
    writer_release(&first);
    writer_release(&other);
}
