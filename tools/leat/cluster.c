/* SPDX-License-Identifier: Apache-2.0
 *
 * leat cluster and leat config: the brokers and their settings. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/settings.h"

#include <stdio.h>
#include <string.h>

static void print_brokers(const struct output *o, const leat_reply *reply)
{
    static const struct column columns[] = {
        {"node", COLUMN_NUMBER},     {"address", COLUMN_TEXT}, {"rack", COLUMN_TEXT},
        {"controller", COLUMN_BOOL}, {"version", COLUMN_TEXT}, {"cluster", COLUMN_TEXT},
    };
    struct table *t = table_new(o, columns, 6);
    const leat_cluster_row *row;

    for (size_t at = 0; (row = leat_reply_broker(reply, at)) != NULL; at++) {
        char address[300];

        snprintf(address, sizeof address, "%s:%u", row->host, row->port);
        table_number(t, row->node_id);
        table_text(t, address);
        table_text(t, row->rack);
        table_number(t, row->controller);
        table_text(t, row->version);
        table_text(t, row->cluster_id);
    }
    table_print(t, NULL);
}

/* One sentence about the partitions; EXIT_UNMET when some are without a leader. */
static int print_health(struct invocation *i, const leat_reply *reply,
                        bool has_controller)
{
    size_t partitions = 0, leaderless = 0, lagging = 0, topics = 0;
    const char *last = "";
    const leat_partition_row *row;

    for (size_t at = 0; (row = leat_reply_partition(reply, at)) != NULL; at++) {
        partitions++;
        topics += strcmp(row->topic, last) != 0;
        last = row->topic;
        leaderless += row->leader < 0;
        lagging += row->in_sync_count < row->replica_count;
    }
    if (i->output->format == OUTPUT_TEXT)
        printf("%s: %zu topics, %zu partitions, %zu without a leader, %zu "
               "under-replicated\n",
               leaderless > 0 || !has_controller ? "unhealthy"
               : lagging > 0                     ? "degraded"
                                                 : "healthy",
               topics, partitions, leaderless, lagging);
    return leaderless > 0 || !has_controller ? EXIT_UNMET : EXIT_DONE;
}

int run_cluster_status(struct invocation *i)
{
    leat_client *client = session_client(i->session);
    leat_reply *brokers, *partitions;
    const leat_cluster_row *row;
    bool has_controller = false;
    leat_error error;
    int code;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_cluster_describe(client, &brokers, session_timeout_ms(i->session), &error) !=
        LEAT_OK)
        return fail_error(i->output, &error);
    for (size_t at = 0; (row = leat_reply_broker(brokers, at)) != NULL; at++)
        has_controller |= row->controller;
    print_brokers(i->output, brokers);
    leat_reply_free(brokers);
    if (leat_topics_describe(client, NULL, 0, true, false, &partitions,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    code = print_health(i, partitions, has_controller);
    leat_reply_free(partitions);
    return code;
}

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
