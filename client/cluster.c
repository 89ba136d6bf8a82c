/* SPDX-License-Identifier: Apache-2.0
 *
 * When to ask, whom to ask, and what is known. What an answer says is read in
 * metadata.c. */
#include "client/cluster.h"

#include "client/metadata.h"
#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { METADATA_PATIENCE_MS = 2000 };

/* ---- bootstrap.servers ---- */

static bool parse_port(const char *text, size_t len, uint16_t *port)
{
    unsigned n = 0;

    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)n;
    return n > 0 && n <= UINT16_MAX;
}

bool cluster_address(const char *text, size_t len, char host[static CONNECTION_HOST_MAX],
                     uint16_t *port)
{
    const char *end = text + len;
    const char *host_end;
    const char *rest;

    if (len > 0 && text[0] == '[') {
        host_end = memchr(text, ']', len);
        if (host_end == NULL)
            return false;
        text++;
        rest = host_end + 1;
    } else {
        host_end = memchr(text, ':', len);
        if (host_end == NULL)
            host_end = end;
        rest = host_end;
    }
    len = (size_t)(host_end - text);
    if (len == 0 || len >= CONNECTION_HOST_MAX || memchr(text, ' ', len) != NULL)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = 9092;
    return rest == end ||
           (*rest == ':' && parse_port(rest + 1, (size_t)(end - rest - 1), port));
}

static enum status add_server(struct cluster *c, const char *host, uint16_t port)
{
    struct server *s = calloc(1, sizeof *s);
    enum status st;

    if (s == NULL)
        return STATUS_NO_MEMORY;
    st = connection_init(&s->connection, c->engine, c->conf, host, port);
    if (st) {
        free(s);
        return st;
    }
    TAILQ_INSERT_TAIL(&c->servers, s, link);
    return STATUS_OK;
}

static enum status add_servers(struct cluster *c, char *text, size_t text_size)
{
    const char *at = conf_text(c->conf, CONF_BOOTSTRAP_SERVERS);
    char host[CONNECTION_HOST_MAX];
    uint16_t port;

    for (;;) {
        size_t len = strcspn(at, ",");
        enum status st;

        while (len > 0 && *at == ' ') {
            at++;
            len--;
        }
        if (!cluster_address(at, len, host, &port)) {
            snprintf(text, text_size,
                     "bootstrap.servers: '%.*s' is not host:port or [v6]:port", (int)len,
                     at);
            return STATUS_INVALID_ARGUMENT;
        }
        st = add_server(c, host, port);
        if (st)
            return st;
        at += len;
        if (*at++ == '\0')
            return STATUS_OK;
    }
}

/* ---- whom to ask ---- */

/* The lower, the sooner it can answer. */
static int reluctance(const struct connection *c)
{
    switch (c->state) {
    case CONNECTION_READY: return 0;
    case CONNECTION_CONNECTING: return 1;
    case CONNECTION_IDLE: return 2;
    case CONNECTION_PAUSE: return 3;
    }
    return 3;
}

/* Pauses are compared by their ends. */
static bool is_sooner(const struct connection *a, const struct connection *b)
{
    if (reluctance(a) == 3 && reluctance(b) == 3)
        return a->timer.node.at_ms < b->timer.node.at_ms;
    return reluctance(a) < reluctance(b);
}

/* All connections in turn: those to the nodes, then those to the servers. */
struct walk {
    size_t node;
    struct server *server;
    bool begun;
};

static struct connection *walk_next(const struct cluster *c, struct walk *w)
{
    struct node *n = w->begun ? NULL : map_next(&c->nodes, &w->node);

    if (n != NULL)
        return &n->connection;
    w->server = w->begun ? TAILQ_NEXT(w->server, link) : TAILQ_FIRST(&c->servers);
    w->begun = true;
    return w->server != NULL ? &w->server->connection : NULL;
}

/* The next one that does not pause, after the one that was asked last. */
static struct connection *next_in_turn(const struct cluster *c)
{
    struct connection *first = NULL, *x;
    struct walk w = {0};
    bool passed = false;

    while ((x = walk_next(c, &w)) != NULL) {
        if (x->state != CONNECTION_PAUSE && passed)
            return x;
        if (x->state != CONNECTION_PAUSE && first == NULL)
            first = x;
        passed = passed || x == c->asked;
    }
    return first;
}

/* What can answer soonest. After a failure one after the other: what one broker does not
 * know another may, and a connection that stands says nothing of who is behind it. */
struct connection *cluster_any(struct cluster *c)
{
    struct connection *best = c->failures > 0 ? next_in_turn(c) : NULL, *x;
    struct walk w = {0};

    if (best != NULL)
        return best;
    while ((x = walk_next(c, &w)) != NULL)
        if (best == NULL || is_sooner(x, best))
            best = x;
    CHECK(best != NULL);
    return best;
}

struct node *cluster_find(struct cluster *c, int32_t node_id)
{
    return map_get(&c->nodes, (struct bytes){(const uint8_t *)&node_id, sizeof node_id});
}

struct connection *cluster_node(struct cluster *c, int32_t node_id)
{
    struct node *n = cluster_find(c, node_id);

    return n != NULL ? &n->connection : NULL;
}

int32_t cluster_leader(struct cluster *c, const char *topic, int32_t partition)
{
    const struct topic *t = map_get(&c->topics, bytes_of(topic));

    if (t == NULL || partition < 0 || partition >= t->partition_count)
        return -1;
    return t->partitions[partition].leader;
}

/* ---- topics ---- */

static void topic_free(struct topic *t)
{
    free(t->partitions);
    free(t->name);
    free(t);
}

struct topic *cluster_topic(struct cluster *c, const char *name)
{
    struct topic *t = map_get(&c->topics, bytes_of(name));

    if (t != NULL)
        return t;
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->name = strdup(name);
    if (t->name == NULL || !map_put(&c->topics, bytes_of(t->name), t)) {
        topic_free(t);
        return NULL;
    }
    cluster_refresh(c);
    return t;
}

/* ---- when to ask ---- */

static int64_t backoff_ms(const struct cluster *c)
{
    int64_t most = conf_number(c->conf, CONF_RETRY_BACKOFF_MAX);
    int64_t pause = conf_number(c->conf, CONF_RETRY_BACKOFF);

    for (unsigned i = 1; i < c->failures && pause < most; i++)
        pause *= 2;
    return pause < most ? pause : most;
}

void cluster_refresh(struct cluster *c)
{
    int64_t due;

    c->wanted = true;
    if (c->request != NULL || c->closed)
        return;
    due = c->asked_ms + backoff_ms(c);
    if (c->asked_ms == 0 || due <= engine_now_ms())
        task_queue(c->engine, &c->task);
    else if (!timer_is_set(&c->timer) || due < c->timer.node.at_ms)
        timer_set_at(c->engine, &c->timer, due);
}

static void tell(struct cluster *c, enum status status)
{
    struct listeners round = LIST_HEAD_INITIALIZER(round);
    struct cluster_listener *l;

    while ((l = LIST_FIRST(&c->listeners)) != NULL) {
        LIST_REMOVE(l, link);
        LIST_INSERT_HEAD(&round, l, link);
    }
    while ((l = LIST_FIRST(&round)) != NULL) {
        LIST_REMOVE(l, link);
        LIST_INSERT_HEAD(&c->listeners, l, link);
        l->changed(l, status);
    }
}

static void on_metadata(void *owner, const struct answer *answer)
{
    struct cluster *c = owner;
    enum status st = answer->status;

    c->request = NULL;
    if (!st)
        st = metadata_apply(c, (const void *)answer->message);
    c->last = st;
    snprintf(c->last_text, sizeof c->last_text, "%s", st ? answer->text : "");
    if (st) {
        c->failures++;
        c->wanted = c->wanted || !LIST_EMPTY(&c->listeners);
    } else {
        c->failures = 0;
        timer_set_at(c->engine, &c->timer,
                     engine_now_ms() + conf_number(c->conf, CONF_METADATA_MAX_AGE));
    }
    if (c->wanted)
        cluster_refresh(c);
    tell(c, st);
}

/* Another broker knows as well: one that is silent is not waited for long. */
static int64_t patience_ms(const struct cluster *c)
{
    int64_t most = conf_number(c->conf, CONF_REQUEST_TIMEOUT);

    return most < METADATA_PATIENCE_MS ? most : METADATA_PATIENCE_MS;
}

static void ask(struct engine_task *t)
{
    struct cluster *c = container_of(t, struct cluster, task);
    struct connection *via = cluster_any(c);
    struct writer w = writer_growing();
    enum status st = metadata_request(c, &w);

    c->asked = via;
    c->asked_ms = engine_now_ms();
    c->wanted = false;
    if (!st)
        st = connection_send(via, RPC_METADATA, 0, (struct bytes){w.data, w.len}, NULL, 0,
                             c->asked_ms + patience_ms(c), c, on_metadata, &c->request);
    writer_release(&w);
    if (st) {
        c->failures++;
        cluster_refresh(c);
    }
}

static void on_timer(struct engine_timer *t)
{
    struct cluster *c = container_of(t, struct cluster, timer);

    if (c->request == NULL)
        task_queue(c->engine, &c->task);
}

void cluster_listen(struct cluster *c, struct cluster_listener *l)
{
    LIST_INSERT_HEAD(&c->listeners, l, link);
}

void cluster_unlisten(struct cluster *c, struct cluster_listener *l)
{
    (void)c;
    LIST_REMOVE(l, link);
}

/* ---- life ---- */

enum status cluster_init(struct cluster *c, struct engine *e,
                         const struct leat_conf *conf, char *text, size_t text_size)
{
    enum status st;

    *c = (struct cluster){.engine = e, .conf = conf, .controller_id = -1};
    TAILQ_INIT(&c->servers);
    LIST_INIT(&c->listeners);
    map_init(&c->nodes);
    map_init(&c->topics);
    task_init(&c->task, ask);
    text[0] = '\0';
    st = timer_init(e, &c->timer, on_timer);
    if (st)
        return st;
    st = add_servers(c, text, text_size);
    if (st)
        cluster_release(c);
    return st;
}

void cluster_release(struct cluster *c)
{
    struct server *s;
    struct node *n;
    struct topic *t;

    c->closed = true;
    if (c->request != NULL)
        request_abandon(c->request);
    c->request = NULL;
    for (size_t i = 0; (n = map_next(&c->nodes, &i)) != NULL;) {
        connection_release(&n->connection);
        free(n);
    }
    while ((s = TAILQ_FIRST(&c->servers)) != NULL) {
        TAILQ_REMOVE(&c->servers, s, link);
        connection_release(&s->connection);
        free(s);
    }
    task_cancel(c->engine, &c->task);
    timer_release(c->engine, &c->timer);
    for (size_t i = 0; (t = map_next(&c->topics, &i)) != NULL;)
        topic_free(t);
    map_release(&c->nodes);
    map_release(&c->topics);
}
