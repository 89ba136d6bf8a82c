/* SPDX-License-Identifier: Apache-2.0
 *
 * Start: lock the directory, bind the ports, recover on shard 0, open the nodes one after
 * the other, then let all of them serve. Stop: accept nothing more, let what is under way
 * be answered, wait until no errand is on its way either, close. */
#include "broker/io/broker.h"

#include "broker/io/clock.h"
#include "broker/io/controllers.h"
#include "broker/io/data_dir.h"
#include "broker/io/http.h"
#include "broker/io/log_sink.h"
#include "broker/io/metrics_page.h"
#include "broker/io/process.h"
#include "broker/io/shard.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    SHARDS_MAX = 64,
    POLL_MS = 5,
    HEALTHY_MS = 5000,
    PATIENCE_S = 3, /* before the log says what the start waits for, again and again */
    EXIT_FAILED = 1,
    EXIT_SLOW = 3,
};

enum stage { STARTING, SERVING, LEAVING, STOPPING, CLOSING };

static const char *const stage_reasons[] = {
    [STARTING] = "starting: the journals are being repeated",
    [SERVING] = "serving, but not ready yet",
    [LEAVING] = "stopping: other brokers take over",
    [STOPPING] = "stopping",
    [CLOSING] = "stopping",
};

struct broker {
    struct options *options;
    struct config *config;
    struct data_dir dir;
    struct secret secret;
    struct voter *bootstrap; /* the first controllers, as configured */
    size_t bootstrap_count;
    struct uuid incarnation;
    char *temporary; /* --dev */
    struct event_base *base;
    struct event *news, *interrupt, *terminate, *hangup, *waiting, *left, *drained, *late;
    struct http *http;
    struct address address, http_address, advertised;
    int listen_fd, news_fd;
    struct shard *shards;
    unsigned count;
    atomic_uint total;
    enum stage stage;
    bool told_ready;
    int64_t started_us, started_ms;
    size_t settled; /* errands, when all shards last looked drained */
    int status;
};

/* ---- the operators' port -------------------------------------------------------------
 */

/* For whoever restarts brokers one after the other: serving, and whole again. */
static bool is_ready(void *ctx, char why[static 160])
{
    const struct broker *b = ctx;
    struct shard *first = &b->shards[0];

    snprintf(why, 160, "%s", stage_reasons[b->stage]);
    if (b->stage != SERVING)
        return false;
    pthread_mutex_lock(&first->why_lock);
    if (first->not_ready[0] != '\0')
        snprintf(why, 160, "%s", first->not_ready);
    pthread_mutex_unlock(&first->why_lock);
    return atomic_load(&first->is_ready) && atomic_load(&first->has_caught_up);
}

static bool is_serving(const struct broker *b)
{
    return b->stage == SERVING && atomic_load(&b->shards[0].is_ready);
}

static void show_metrics(void *ctx, struct writer *out)
{
    struct broker *b = ctx;
    const struct metrics *shards[SHARDS_MAX];
    struct metrics_view view = {
        .shards = shards,
        .shard_count = b->count,
        .process = {.started_ms = b->started_ms},
        .disk = b->stage == STARTING ? "" : b->shards[0].disk_kind,
        .ready = is_serving(b),
    };

    for (unsigned i = 0; i < b->count; i++)
        shards[i] = &b->shards[i].metrics;
    process_look(&view.process);
    metrics_page(&view, out);
}

static bool is_healthy(void *ctx, char why[static 160])
{
    const struct broker *b = ctx;
    int64_t now_ms = clock_now().mono_ms;

    for (unsigned i = 0; i < b->count; i++) {
        int64_t turned_ms = atomic_load(&b->shards[i].turned_ms);

        if (shard_state(&b->shards[i]) == SHARD_SERVING && turned_ms > 0 &&
            now_ms - turned_ms > HEALTHY_MS) {
            snprintf(why, 160,
                     "shard %u has been stuck for %lld ms: look at the disk and the "
                     "processors' load; if it lasts, restart the broker",
                     i, (long long)(now_ms - turned_ms));
            return false;
        }
    }
    return true;
}

static bool open_http(struct broker *b)
{
    const struct http_pages pages = {show_metrics, is_healthy, is_ready, b};
    const char *text = config_text(b->config, CONFIG_HTTP_LISTEN);
    char why[256];
    int fd;

    if (text[0] == '\0')
        return true;
    if (address_parse(text, &b->http_address)) {
        SAY(ERROR, "broker.start", "http.listen is no HOST:PORT", TEXT("value", text));
        return false;
    }
    fd = address_bind(&b->http_address, why);
    if (fd < 0) {
        SAY(ERROR, "broker.start", why, TEXT("setting", "http.listen"));
        return false;
    }
    b->http = http_new(b->base, fd, &pages);
    if (b->http != NULL)
        return true;
    SAY(ERROR, "broker.start", "cannot listen for HTTP", TEXT("value", text));
    close(fd);
    return false;
}

/* ---- starting ------------------------------------------------------------------------
 */

static void announce(struct broker *b, const char *address)
{
    char line[ADDRESS_TEXT + 1];
    int fd = b->options->ready_fd;
    int len = snprintf(line, sizeof line, "%s\n", address);

    if (fd >= 0) {
        if (write(fd, line, (size_t)len) != len)
            SAY(WARN, "broker.ready_fd", "nobody reads the descriptor of --ready-fd");
        close(fd);
    }
    if (b->options->dev) {
        printf("leatd serves on %s; everything is gone when it ends (^C)\n", address);
        fflush(stdout);
    }
    process_notify("READY=1\nSTATUS=serving");
}

static void tell_ready(struct broker *b)
{
    const struct shard *first = &b->shards[0];
    char address[ADDRESS_TEXT], http[ADDRESS_TEXT] = "none";

    address_format(&b->address, address);
    if (b->http != NULL)
        address_format(&b->http_address, http);
    SAY(INFO, "broker.ready", "accepting connections", TEXT("address", address),
        TEXT("http", http), TEXT("data", b->dir.path), NUM("shards", b->count),
        TEXT("disk", first->disk_kind), TEXT("disk_reason", first->disk_reason),
        NUM("recovered_frames", first->recovery.frames),
        NUM("recovered_bytes", first->recovery.bytes),
        NUM("torn_journals", first->recovery.torn), NUM("logs", first->recovery.logs),
        NUM("ready_ms", (clock_mono_us() - b->started_us) / 1000),
        TEXT("version", LEAT_VERSION));
    announce(b, address);
}

static bool all_are(const struct broker *b, enum shard_state state)
{
    for (unsigned i = 0; i < b->count; i++)
        if (shard_state(&b->shards[i]) != state)
            return false;
    return true;
}

static void order_all(struct broker *b, enum shard_order order)
{
    for (unsigned i = 0; i < b->count; i++)
        shard_command(&b->shards[i], order);
}

static void give_up(struct broker *b, const struct shard *s)
{
    SAY(ERROR, "broker.start", s->why[0] ? s->why : status_text(s->status),
        TEXT("error", status_text(s->status)), TEXT("data", b->dir.path),
        NUM("shard", s->index));
    b->status = EXIT_FAILED;
    event_base_loopbreak(b->base);
}

/* The ports are open; ready is who the cluster has taken in as well. */
static void look_ready(struct broker *b)
{
    if (b->told_ready || !atomic_load(&b->shards[0].is_ready))
        return;
    b->told_ready = true;
    event_del(b->waiting);
    tell_ready(b);
}

static void on_waiting(evutil_socket_t fd, short what, void *arg)
{
    const struct broker *b = arg;
    char why[160], status[200];

    if (is_serving(b) || is_ready(arg, why) || b->stage != SERVING)
        return;
    SAY(INFO, "broker.waiting", why);
    snprintf(status, sizeof status, "STATUS=waiting: %s", why);
    process_notify(status);
}

static void start_waiting(struct broker *b)
{
    const struct timeval patience = {PATIENCE_S, 0};

    b->stage = SERVING;
    event_add(b->waiting, &patience);
    look_ready(b);
}

/* The nodes open one after the other: the later ones copy the first one's image. */
static void go_on_starting(struct broker *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct shard *s = &b->shards[i];
        enum shard_state state = shard_state(s);

        if (state == SHARD_FAILED) {
            give_up(b, s);
            return;
        }
        if (state == SHARD_OPENING && s->thread == 0 && shard_start(s)) {
            snprintf(s->why, sizeof s->why, "no thread can be started");
            give_up(b, s);
            return;
        }
        if (state < SHARD_OPENED)
            return;
    }
    if (all_are(b, SHARD_OPENED)) {
        order_all(b, SHARD_SERVE);
    } else if (all_are(b, SHARD_SERVING)) {
        start_waiting(b);
    }
}

/* ---- stopping ------------------------------------------------------------------------
 */

static void start_closing(struct broker *b)
{
    b->stage = CLOSING;
    event_del(b->drained);
    order_all(b, SHARD_CLOSE);
}

/* Drained shards may still have errands between them: only when two looks in a row find
 * as many received as sent, and as many as before, all of them are at home. */
static void on_drained(evutil_socket_t fd, short what, void *arg)
{
    struct broker *b = arg;
    size_t sent = 0, received = 0;

    for (unsigned i = 0; i < b->count; i++)
        received += atomic_load(&b->shards[i].received);
    for (unsigned i = 0; i < b->count; i++)
        sent += atomic_load(&b->shards[i].sent);
    if (!all_are(b, SHARD_DRAINED) || sent != received) {
        b->settled = SIZE_MAX;
        return;
    }
    if (b->count == 1 || b->settled == sent)
        start_closing(b);
    b->settled = sent;
}

static void stop_all(struct broker *b)
{
    const struct timeval soon = {0, POLL_MS * 1000};

    if (b->stage != LEAVING)
        return;
    b->stage = STOPPING;
    b->settled = SIZE_MAX;
    event_del(b->left);
    order_all(b, SHARD_STOP);
    event_add(b->drained, &soon);
}

/* The others had their time to take over. */
static void on_left(evutil_socket_t fd, short what, void *arg)
{
    stop_all(arg);
}

/* First the cluster takes our leaderships away, then we stop. */
static void stop(struct broker *b, const char *reason)
{
    int64_t limit_ms = config_number(b->config, CONFIG_STOP_TIMEOUT);
    int64_t leave_ms = atomic_load(&b->shards[0].is_ready) ? limit_ms / 2 : 0;
    const struct timeval late = {limit_ms / 1000, limit_ms % 1000 * 1000};
    const struct timeval left = {leave_ms / 1000, leave_ms % 1000 * 1000};

    SAY(INFO, "broker.stopping", "answering what is under way", TEXT("reason", reason));
    process_notify("STOPPING=1\nSTATUS=stopping");
    b->stage = LEAVING;
    evtimer_add(b->late, &late);
    evtimer_add(b->left, &left);
    shard_command(&b->shards[0], SHARD_LEAVE);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    struct broker *b = arg;

    SAY(WARN, "broker.stopped", "stop.timeout.ms is over; the next start will recover");
    if (b->temporary != NULL)
        data_dir_remove(b->temporary);
    _exit(EXIT_SLOW);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct broker *b = arg;
    const char *name = number == SIGINT ? "SIGINT" : "SIGTERM";

    if (b->stage == SERVING) {
        stop(b, name);
        return;
    }
    /* Before it serves there is nothing to lose; a second signal means it. */
    SAY(WARN, "broker.stopped", "at once; the next start will recover",
        TEXT("reason", name));
    if (b->temporary != NULL)
        data_dir_remove(b->temporary);
    _exit(b->stage == STARTING ? 0 : EXIT_SLOW);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
    SAY(INFO, "broker.hangup",
        "SIGHUP does nothing: settings change with 'leat config set', or by a restart");
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct broker *b = arg;
    uint64_t count;

    if (read(fd, &count, sizeof count) < 0)
        return;
    if (b->stage == STARTING)
        go_on_starting(b);
    else if (b->stage == SERVING)
        look_ready(b);
    else if (b->stage == LEAVING && atomic_load(&b->shards[0].may_stop))
        stop_all(b);
    else if (b->stage == CLOSING && all_are(b, SHARD_CLOSED))
        event_base_loopbreak(b->base);
}

/* ---- life ----------------------------------------------------------------------------
 */

/* Of a new directory: as configured, or what the secret says, or anything. */
static struct uuid cluster_id(const struct broker *b, struct prng *random)
{
    const char *text = config_text(b->config, CONFIG_CLUSTER_ID);
    struct uuid id;

    if (uuid_parse(text, strlen(text), &id))
        return id;
    return b->secret.len > 0 ? secret_cluster_id(&b->secret) : uuid_random(random);
}

/* Who the others are, and what we share with them. */
static bool read_cluster(struct broker *b)
{
    const char *path = config_text(b->config, CONFIG_CLUSTER_SECRET);
    const char *id = config_text(b->config, CONFIG_CLUSTER_ID);
    int32_t self = (int32_t)config_number(b->config, CONFIG_NODE_ID);
    char why[256] = "";
    struct uuid parsed;

    if (id[0] != '\0' && !uuid_parse(id, strlen(id), &parsed))
        snprintf(why, sizeof why, "cluster.id is no id: it has 32 hexadecimal digits");
    else if (path[0] == '\0' || !secret_read(&b->secret, path, why))
        (void)!controllers_parse(config_text(b->config, CONFIG_CONTROLLERS),
                                 &b->bootstrap, &b->bootstrap_count, why);
    if (why[0] == '\0' && b->secret.len == 0 &&
        controllers_are_others(b->bootstrap, b->bootstrap_count, self))
        snprintf(
            why, sizeof why,
            "'controllers' names other brokers, but there is no cluster.secret.file: "
            "make one with 'openssl rand -hex 32' (or 'leat cluster format') and give "
            "it to all of them");
    if (why[0] == '\0')
        return true;
    SAY(ERROR, "broker.start", why);
    return false;
}

/* The directory's cluster is the one that we are told to belong to. */
static bool is_our_cluster(const struct broker *b, struct uuid told)
{
    char ours[UUID_TEXT], theirs[UUID_TEXT], text[320];

    if ((b->secret.len == 0 && config_text(b->config, CONFIG_CLUSTER_ID)[0] == '\0') ||
        uuid_equal(told, b->dir.cluster_id))
        return true;
    uuid_format(told, ours);
    uuid_format(b->dir.cluster_id, theirs);
    snprintf(
        text, sizeof text,
        "the data directory belongs to cluster %s, but %s says %s; to go on with the "
        "directory's, set cluster.id to it on all brokers",
        theirs,
        config_text(b->config, CONFIG_CLUSTER_ID)[0] ? "cluster.id"
                                                     : "cluster.secret.file",
        ours);
    SAY(ERROR, "broker.start", text, TEXT("data", b->dir.path));
    return false;
}

static bool open_data(struct broker *b)
{
    const char *path = config_text(b->config, CONFIG_DATA);
    char why[256];
    struct uuid cluster;
    struct prng random;
    uint64_t seed;

    if (b->options->dev && path[0] == '\0')
        path = b->temporary = data_dir_temporary();
    if (path == NULL) {
        SAY(ERROR, "broker.start", "no temporary directory can be made");
        return false;
    }
    CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    prng_init(&random, seed);
    cluster = cluster_id(b, &random);
    b->incarnation = uuid_random(&random);
    if (data_dir_open(&b->dir, path, (int32_t)config_number(b->config, CONFIG_NODE_ID),
                      cluster, uuid_random(&random), why)) {
        SAY(ERROR, "broker.start", why, TEXT("data", path));
        return false;
    }
    if (is_our_cluster(b, cluster))
        return true;
    data_dir_close(&b->dir);
    return false;
}

static bool open_port(struct broker *b)
{
    const char *listen = config_text(b->config, CONFIG_LISTEN);
    const char *advertise = config_text(b->config, CONFIG_ADVERTISE);
    char why[256];

    if (address_parse(listen, &b->address)) {
        SAY(ERROR, "broker.start", "listen is no HOST:PORT", TEXT("value", listen));
        return false;
    }
    if (advertise[0] != '\0' && address_parse(advertise, &b->advertised)) {
        SAY(ERROR, "broker.start", "advertise is no HOST:PORT", TEXT("value", advertise));
        return false;
    }
    b->listen_fd = address_bind(&b->address, why);
    if (b->listen_fd < 0) {
        SAY(ERROR, "broker.start", why, TEXT("setting", "listen"));
        return false;
    }
    if (advertise[0] == '\0')
        b->advertised = b->address;
    if (!controllers_check(b->bootstrap, b->bootstrap_count,
                           (int32_t)config_number(b->config, CONFIG_NODE_ID), &b->address,
                           &b->advertised, why))
        return true;
    SAY(ERROR, "broker.start", why, TEXT("setting", "controllers"));
    close(b->listen_fd);
    return false;
}

/* What clients are told must be something they can connect to. */
static void settle_advertised(struct broker *b)
{
    const char *host = b->advertised.host;

    if (host[0] != '\0' && strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0)
        return;
    if (gethostname(b->advertised.host, sizeof b->advertised.host - 1) != 0)
        snprintf(b->advertised.host, sizeof b->advertised.host, "localhost");
    SAY(INFO, "broker.advertise",
        "'listen' means every address, so clients are told the host's name; 'advertise' "
        "sets another",
        TEXT("host", b->advertised.host));
}

static unsigned shard_count(const struct config *c)
{
    int64_t wish = config_number(c, CONFIG_SHARDS);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (wish == 0)
        wish = processors / 2;
    if (wish < 1)
        wish = 1;
    return wish > SHARDS_MAX ? SHARDS_MAX : (unsigned)wish;
}

static void make_shards(struct broker *b)
{
    b->shards = must_zalloc(b->count * sizeof *b->shards);
    for (unsigned i = 0; i < b->count; i++) {
        struct shard *s = &b->shards[i];

        *s = (struct shard){
            .index = i,
            .count = b->count,
            .all = b->shards,
            .config = b->config,
            .data = b->dir.path,
            .cluster_id = b->dir.cluster_id,
            .directory = b->dir.directory,
            .incarnation = b->incarnation,
            .secret = &b->secret,
            .bootstrap = b->bootstrap,
            .bootstrap_count = b->bootstrap_count,
            .advertised = b->advertised,
            .listen_fd = i == 0 ? b->listen_fd : -1,
            .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
            .news_fd = b->news_fd,
            .total = &b->total,
        };
        CHECK(s->wake_fd >= 0);
        CHECK(getrandom(&s->seed, sizeof s->seed, 0) == sizeof s->seed);
        shard_init(s);
    }
}

/* libevent would write to stderr, into the middle of our lines. */
static void on_event_log(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        SAY(WARN, "libevent", text);
    else
        SAY(INFO, "libevent", text);
}

static void open_events(struct broker *b)
{
    event_set_log_callback(on_event_log);
    b->base = event_base_new();
    CHECK(b->base != NULL);
    b->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(b->news_fd >= 0);
    b->news = event_new(b->base, b->news_fd, EV_READ | EV_PERSIST, on_news, b);
    b->drained = event_new(b->base, -1, EV_PERSIST, on_drained, b);
    b->waiting = event_new(b->base, -1, EV_PERSIST, on_waiting, b);
    b->late = evtimer_new(b->base, on_late, b);
    b->left = evtimer_new(b->base, on_left, b);
    b->terminate = evsignal_new(b->base, SIGTERM, on_signal, b);
    b->interrupt = evsignal_new(b->base, SIGINT, on_signal, b);
    b->hangup = evsignal_new(b->base, SIGHUP, on_hangup, b);
    event_add(b->news, NULL);
    event_add(b->terminate, NULL);
    event_add(b->interrupt, NULL);
    event_add(b->hangup, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void close_events(struct broker *b)
{
    http_free(b->http);
    event_free(b->news);
    event_free(b->waiting);
    event_free(b->drained);
    event_free(b->late);
    event_free(b->left);
    event_free(b->terminate);
    event_free(b->interrupt);
    event_free(b->hangup);
    event_base_free(b->base);
    close(b->news_fd);
}

/* All threads have ended. */
static void close_shards(struct broker *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct shard *s = &b->shards[i];

        pthread_join(s->thread, NULL);
        if (s->status) {
            SAY(ERROR, "broker.close", "a shard did not close cleanly", NUM("shard", i),
                TEXT("error", status_text(s->status)));
            b->status = EXIT_FAILED;
        }
        shard_release(s);
    }
    free(b->shards);
}

static void serve(struct broker *b)
{
    b->count = shard_count(b->config);
    settle_advertised(b);
    make_shards(b);
    go_on_starting(b);
    event_base_dispatch(b->base);
    if (b->status != 0) {
        /* It failed to start: other shards may wait for an order that will not come. */
        if (b->temporary != NULL)
            data_dir_remove(b->temporary);
        _exit(b->status);
    }
    close_shards(b);
    SAY(INFO, "broker.stopped", "everything is on disk");
}

int broker_run(struct options *o, int64_t started_us)
{
    struct broker b = {
        .options = o,
        .config = &o->config,
        .started_us = started_us,
        .started_ms = clock_now().wall_ms,
    };

    sink_init(STDERR_FILENO,
              (enum log_format)config_number(&o->config, CONFIG_LOG_FORMAT),
              (enum log_level)config_number(&o->config, CONFIG_LOG_LEVEL));
    process_return_memory();
    process_raise_files();
    b.status = EXIT_FAILED;
    if (!read_cluster(&b) || !open_data(&b))
        goto fail_temporary;
    open_events(&b);
    if (!open_port(&b))
        goto fail_events;
    if (!open_http(&b)) {
        close(b.listen_fd);
        goto fail_events;
    }
    b.status = 0;
    serve(&b);
fail_events:
    close_events(&b);
    data_dir_close(&b.dir);
fail_temporary:
    if (b.temporary != NULL)
        data_dir_remove(b.temporary);
    free(b.temporary);
    free(b.bootstrap);
    return b.status;
}
