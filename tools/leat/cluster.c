/* SPDX-License-Identifier: Apache-2.0
 *
 * leat cluster and leat config: the brokers and their settings. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/settings.h"
#include "tools/leat/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WAIT_ASK_MS = 2000, WAIT_PAUSE_NS = 200 * 1000 * 1000 };

/* Everything is served. */
static bool is_sound(const leat_cluster_health *h)
{
    return h->controller_id >= 0 && h->leaderless == 0;
}

static bool is_healthy(const leat_reply *brokers, const leat_cluster_health *h)
{
    const leat_broker_row *row;
    size_t absent = 0;

    for (size_t at = 0; (row = leat_reply_broker_state(brokers, at)) != NULL; at++)
        absent += strcmp(row->state, "active") != 0 || row->faulty > 0;
    return is_sound(h) && h->under_replicated == 0 && absent == 0;
}

/* What is wrong, and what to do about it. */
static void print_health(const leat_reply *brokers, const leat_cluster_health *h)
{
    const leat_broker_row *row;

    printf("%s: %" PRIu64 " topics, %" PRIu64 " partitions, %" PRIu64
           " without a leader, %" PRIu64 " under-replicated\n",
           !is_sound(h)             ? "unhealthy"
           : is_healthy(brokers, h) ? "healthy"
                                    : "degraded",
           h->topics, h->partitions, h->leaderless, h->under_replicated);
    if (h->controller_id < 0)
        printf("  no controller: most of the voters must be up and reach each other "
               "('leat cluster quorum')\n");
    for (size_t at = 0; (row = leat_reply_broker_state(brokers, at)) != NULL; at++)
        if (strcmp(row->state, "fenced") == 0)
            printf("  broker %d is silent: start it, or check its network; if it is gone "
                   "for good, 'leat broker drain %d'\n",
                   row->node_id, row->node_id);
    for (size_t at = 0; (row = leat_reply_broker_state(brokers, at)) != NULL; at++)
        if (row->out_of_sync > 0 && strcmp(row->state, "active") == 0)
            printf("  broker %d has %" PRIu64 " of its %" PRIu64
                   " replicas out of sync: until they have caught up, stop no other "
                   "broker\n",
                   row->node_id, row->out_of_sync, row->replicas);
    for (size_t at = 0; (row = leat_reply_broker_state(brokers, at)) != NULL; at++)
        if (row->faulty > 0)
            printf("  broker %d has %" PRIu64
                   " replicas whose logs do not open; replica_damaged and "
                   "replica_offline in its log name them and say what to do\n",
                   row->node_id, row->faulty);
    for (size_t at = 0; (row = leat_reply_broker_state(brokers, at)) != NULL; at++)
        if (row->draining && row->homeless > 0)
            printf("  broker %d is being drained, but %" PRIu64
                   " of its replicas have nowhere to go: add a broker, or 'leat broker "
                   "undrain %d'\n",
                   row->node_id, row->homeless, row->node_id);
    if (h->offline > 0)
        printf("  %" PRIu64 " partitions wait for a replica that holds everything; start "
               "the brokers named by 'leat partition list --leaderless'\n",
               h->offline);
    if (h->under_min_in_sync > 0)
        printf("  %" PRIu64 " partitions refuse acks=all until more replicas are in "
               "sync ('leat partition list --under-min-isr')\n",
               h->under_min_in_sync);
    if (h->moving > 0)
        printf("  %" PRIu64 " partitions are being moved ('leat partition moves')\n",
               h->moving);
}

static int ask(struct invocation *i, leat_reply **brokers, leat_cluster_health *health)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_brokers_describe(client, brokers, health, session_timeout_ms(i->session),
                              &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

static int look_at_status(struct invocation *i, bool *over)
{
    leat_cluster_health health;
    leat_reply *brokers;
    int code = ask(i, &brokers, &health);

    if (code != EXIT_DONE)
        return code;
    brokers_print(i->output, brokers, 0);
    if (i->output->format == OUTPUT_TEXT)
        print_health(brokers, &health);
    *over = flag_given(i, "exit-when") && is_healthy(brokers, &health);
    leat_reply_free(brokers);
    return is_sound(&health) ? EXIT_DONE : EXIT_UNMET;
}

int run_cluster_status(struct invocation *i)
{
    const char *when = flag_text(i, "exit-when", "healthy");

    if (strcmp(when, "healthy") != 0)
        return fail(i->output, EXIT_USAGE, "--exit-when knows one condition: healthy");
    if (flag_given(i, "exit-when") && !flag_given(i, "watch"))
        return fail(i->output, EXIT_USAGE, "--exit-when ends a --watch");
    return watch(i, look_at_status);
}

/* ---- waiting for it ------------------------------------------------------------------
 */

static bool is_met(struct invocation *i, int64_t wanted, char *why, size_t size)
{
    leat_client *client = session_client(i->session);
    const leat_broker_row *row;
    leat_cluster_health h;
    leat_reply *brokers;
    leat_error error;
    int64_t active = 0;

    if (client == NULL ||
        leat_brokers_describe(client, &brokers, &h, WAIT_ASK_MS, &error) != LEAT_OK) {
        snprintf(why, size, "%s", client ? error.text : "no broker can be reached");
        return false;
    }
    for (size_t at = 0; (row = leat_reply_broker_state(brokers, at)) != NULL; at++)
        active += strcmp(row->state, "active") == 0;
    leat_reply_free(brokers);
    snprintf(why, size,
             "%" PRId64 " brokers are active, %" PRIu64 " partitions without a leader, "
             "%" PRIu64 " under-replicated",
             active, h.leaderless, h.under_replicated);
    return active >= wanted && h.controller_id >= 0 &&
           (!flag_given(i, "healthy") || (h.leaderless == 0 && h.under_replicated == 0));
}

int run_cluster_wait(struct invocation *i)
{
    const struct timespec pause = {.tv_nsec = WAIT_PAUSE_NS};
    int64_t wanted, waited_ms = 0;
    char why[320] = "";

    if (!flag_number(i, "count", 1, 1, 10000, &wanted))
        return EXIT_USAGE;
    for (; waited_ms < session_timeout_ms(i->session) && !session_interrupted();
         waited_ms += WAIT_PAUSE_NS / 1000000) {
        if (is_met(i, wanted, why, sizeof why)) {
            done(i->output, "met", "cluster", "%s", why);
            return EXIT_DONE;
        }
        nanosleep(&pause, NULL);
    }
    return fail(i->output, session_interrupted() ? EXIT_INTERRUPTED : EXIT_UNMET,
                "not yet: %s", why);
}

/* ---- the quorum ----------------------------------------------------------------------
 */

static int print_quorum(struct invocation *i, leat_client *client)
{
    static const struct column columns[] = {
        {"node", COLUMN_NUMBER}, {"address", COLUMN_TEXT}, {"voter", COLUMN_BOOL},
        {"leader", COLUMN_BOOL}, {"epoch", COLUMN_NUMBER}, {"log_end", COLUMN_NUMBER},
        {"lag", COLUMN_NUMBER},  {"silent", COLUMN_MS},    {"directory", COLUMN_TEXT},
    };
    const leat_quorum_row *row;
    leat_reply *reply;
    leat_error error;
    struct table *t;

    if (leat_quorum_describe(client, &reply, session_timeout_ms(i->session), &error) !=
        LEAT_OK)
        return fail_error(i->output, &error);
    t = table_new(i->output, columns, 9);
    for (size_t at = 0; (row = leat_reply_quorum(reply, at)) != NULL; at++) {
        char address[300];

        snprintf(address, sizeof address, "%s:%u", row->host, row->port);
        table_number(t, row->node_id);
        table_text(t, address);
        table_number(t, row->voter);
        table_number(t, row->leader);
        table_number(t, row->epoch);
        if (row->log_end < 0)
            table_absent(t);
        else
            table_number(t, row->log_end);
        if (row->lag < 0)
            table_absent(t);
        else
            table_number(t, row->lag);
        if (row->silent_ms < 0)
            table_absent(t);
        else
            table_number(t, row->silent_ms);
        table_text(t, row->directory_id);
    }
    table_print(t, "nobody follows the metadata");
    leat_reply_free(reply);
    return EXIT_DONE;
}

int run_cluster_quorum(struct invocation *i)
{
    leat_client *client;
    int64_t add, remove;
    leat_error error;

    if (!flag_number(i, "add", 0, 1, INT32_MAX, &add) ||
        !flag_number(i, "remove", 0, 1, INT32_MAX, &remove))
        return EXIT_USAGE;
    client = session_client(i->session);
    if (client == NULL)
        return EXIT_REFUSED;
    if (add == 0 && remove == 0)
        return print_quorum(i, client);
    if (leat_quorum_alter(client, (int32_t)add, (int32_t)remove,
                          session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    done(i->output, "changed", "quorum", "%s broker %" PRId64,
         add > 0 ? "the voters have got" : "the voters have lost",
         add > 0 ? add : remove);
    return EXIT_DONE;
}

/* ---- settings ------------------------------------------------------------------------
 */

static int describe_broker(struct invocation *i, leat_reply **reply)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_config_describe(client, LEAT_BROKER, "", reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

int run_config_list(struct invocation *i)
{
    leat_reply *reply;
    int code = describe_broker(i, &reply);

    if (code != EXIT_DONE)
        return code;
    settings_print(i->output, reply, i->argument_count > 0 ? i->arguments[0] : NULL,
                   flag_given(i, "changed"));
    leat_reply_free(reply);
    return EXIT_DONE;
}

int run_config_get(struct invocation *i)
{
    leat_reply *reply;
    int code = describe_broker(i, &reply);

    if (code != EXIT_DONE)
        return code;
    code = settings_print_one(i->output, reply, i->arguments[0]);
    leat_reply_free(reply);
    return code;
}

static int alter(struct invocation *i, const struct settings *settings)
{
    leat_client *client = session_client(i->session);
    bool dry = flag_given(i, "dry-run");
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_config_alter(client, settings->list, settings->count, dry,
                          session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    for (size_t n = 0; n < settings->count; n++)
        done(i->output, dry ? "valid" : "changed", settings->list[n].key, "%s%s%s%s",
             dry ? "would set " : "", settings->list[n].key,
             settings->list[n].value ? " = " : " is back to what it was",
             settings->list[n].value ? settings->list[n].value : "");
    return EXIT_DONE;
}

int run_config_set(struct invocation *i)
{
    struct settings settings;
    int code = EXIT_DONE;

    settings_init(&settings);
    for (unsigned n = 0; n < i->argument_count; n++)
        if (!settings_add(&settings, i->arguments[n]))
            code = fail(i->output, EXIT_USAGE, "'%s': write key=value", i->arguments[n]);
    if (code == EXIT_DONE)
        code = alter(i, &settings);
    settings_release(&settings);
    return code;
}

int run_config_unset(struct invocation *i)
{
    struct settings settings;
    int code;

    settings_init(&settings);
    for (unsigned n = 0; n < i->argument_count; n++)
        settings_add_unset(&settings, i->arguments[n]);
    code = alter(i, &settings);
    settings_release(&settings);
    return code;
}
