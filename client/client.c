/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "proto/base/check.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { STOP_GRACE_MS = 50 };

static void client_free(struct leat_client *client)
{
    engine_lock(&client->engine);
    cluster_release(&client->cluster);
    engine_unlock(&client->engine);
    engine_release(&client->engine);
    leat_conf_free(client->conf);
    free(client);
}

/* Our thread outlived the client, in a name lookup; now it is through. */
static void on_late_end(struct engine *e)
{
    client_free(container_of(e, struct leat_client, engine));
}

/* Members of a group are named from it, so two programs that start in the same
 * millisecond must not share it. */
static uint64_t seed(void)
{
    uint64_t bits;

    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits)
        bits = (uint64_t)engine_wall_ms() << 20 ^ (uint64_t)getpid();
    return bits;
}

leat_client *leat_client_open(const leat_conf *conf, leat_error *error)
{
    struct leat_client *client = calloc(1, sizeof *client);
    char text[CONNECTION_HOST_MAX + 64] = "";
    enum status st = STATUS_NO_MEMORY;

    if (client == NULL)
        goto fail;
    client->conf = conf != NULL ? conf_copy(conf) : leat_conf_new();
    if (client->conf == NULL)
        goto fail_client;
    TAILQ_INIT(&client->attachments);
    prng_init(&client->random, seed());
    st = engine_open(&client->engine, conf_number(client->conf, CONF_CLIENT_THREADS) > 0);
    if (st)
        goto fail_conf;
    engine_lock(&client->engine);
    st = cluster_init(&client->cluster, &client->engine, client->conf, text, sizeof text);
    engine_unlock(&client->engine);
    if (st)
        goto fail_engine;
    error_clear(error);
    return client;

fail_engine:
    /* Nothing was started, so the thread cannot be stuck. */
    engine_stop(&client->engine, INT64_MAX, NULL);
    engine_release(&client->engine);
fail_conf:
    leat_conf_free(client->conf);
fail_client:
    free(client);
fail:
    error_set(error, (int)st, text, "open client");
    return NULL;
}

/* The memory may have been in the middle of a change when the process was forked, and the
 * connections are the parent's: a child only lets go of its copies of the descriptors. */
static int close_in_child(struct leat_client *client)
{
    engine_abandon(&client->engine);
    return LEAT_OK;
}

static int left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - engine_now_ms();

    return left < 0 ? 0 : left > INT32_MAX ? -1 : (int)left;
}

int leat_client_close(leat_client *client, int timeout_ms)
{
    int64_t deadline_ms = engine_deadline(timeout_ms);
    int64_t grace_ms = engine_now_ms() + STOP_GRACE_MS;
    struct attachment *a;

    if (client == NULL)
        return LEAT_OK;
    if (engine_forked(&client->engine))
        return close_in_child(client);
    if (engine_is_dispatching(&client->engine))
        return LEAT_E_BAD_STATE; /* the callback that asks is still being run */
    engine_lock(&client->engine);
    while ((a = TAILQ_FIRST(&client->attachments)) != NULL) {
        engine_unlock(&client->engine);
        a->close(a, left_ms(deadline_ms));
        engine_lock(&client->engine);
    }
    engine_unlock(&client->engine);
    if (deadline_ms < grace_ms)
        deadline_ms = grace_ms;
    if (!engine_stop(&client->engine, deadline_ms, on_late_end))
        return LEAT_E_TIMED_OUT;
    client_free(client);
    return LEAT_OK;
}

int leat_client_fd(const leat_client *client)
{
    return engine_fd(&client->engine);
}

int leat_client_dispatch(leat_client *client, int max)
{
    return engine_forked(&client->engine) ? 0 : engine_dispatch(&client->engine, max);
}

int leat_client_wait(leat_client *client, int timeout_ms)
{
    if (engine_forked(&client->engine))
        return 0;
    return engine_wait(&client->engine, engine_deadline(timeout_ms));
}

void client_attach(struct leat_client *client, struct attachment *a)
{
    TAILQ_INSERT_TAIL(&client->attachments, a, link);
}

void client_detach(struct leat_client *client, struct attachment *a)
{
    TAILQ_REMOVE(&client->attachments, a, link);
}

int client_check(const struct leat_client *client, leat_error *error)
{
    if (engine_forked(&client->engine))
        return error_set(error, LEAT_E_FORKED, NULL, "client");
    return LEAT_OK;
}
