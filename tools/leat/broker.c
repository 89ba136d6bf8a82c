/* SPDX-License-Identifier: Apache-2.0
 *
 * leat broker: who is in the cluster, and who shall leave it. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int describe(struct invocation *i, leat_reply **reply)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_brokers_describe(client, reply, NULL, session_timeout_ms(i->session),
                              &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

void brokers_print(const struct output *o, const leat_reply *reply, int32_t only)
{
    static const struct column columns[] = {
        {"node", COLUMN_NUMBER},     {"address", COLUMN_TEXT},
        {"rack", COLUMN_TEXT},       {"state", COLUMN_TEXT},
        {"draining", COLUMN_BOOL},   {"voter", COLUMN_BOOL},
        {"controller", COLUMN_BOOL}, {"leaders", COLUMN_NUMBER},
        {"replicas", COLUMN_NUMBER}, {"out_of_sync", COLUMN_NUMBER},
        {"version", COLUMN_TEXT},
    };
    struct table *t = table_new(o, columns, 11);
    const leat_broker_row *row;

    for (size_t at = 0; (row = leat_reply_broker_state(reply, at)) != NULL; at++) {
        char address[300];

        if (only > 0 && row->node_id != only)
            continue;
        snprintf(address, sizeof address, "%s:%u", row->host, row->port);
        table_number(t, row->node_id);
        table_text(t, address);
        table_text(t, row->rack);
        table_text(t, row->state);
        table_number(t, row->draining);
        table_number(t, row->voter);
        table_number(t, row->controller);
        table_number(t, (int64_t)row->leaders);
        table_number(t, (int64_t)row->replicas);
        table_number(t, (int64_t)row->out_of_sync);
        table_text(t, row->version);
    }
    table_print(t, "no broker has registered");
}

static bool parse_node(struct invocation *i, int32_t *node)
{
    char *end;
    long id = strtol(i->arguments[0], &end, 10);

    if (*end == '\0' && id > 0 && id <= INT32_MAX) {
        *node = (int32_t)id;
        return true;
    }
    fail(i->output, EXIT_USAGE, "'%s' is no node id: 'leat broker list' shows them",
         i->arguments[0]);
    return false;
}

int run_broker_list(struct invocation *i)
{
    leat_reply *reply;
    int code = describe(i, &reply);

    if (code != EXIT_DONE)
        return code;
    brokers_print(i->output, reply, 0);
    leat_reply_free(reply);
    return EXIT_DONE;
}

int run_broker_describe(struct invocation *i)
{
    const leat_broker_row *row;
    leat_reply *reply;
    int32_t node;
    bool found = false;
    int code;

    if (!parse_node(i, &node))
        return EXIT_USAGE;
    code = describe(i, &reply);
    if (code != EXIT_DONE)
        return code;
    for (size_t at = 0; (row = leat_reply_broker_state(reply, at)) != NULL; at++)
        found |= row->node_id == node;
    if (found)
        brokers_print(i->output, reply, node);
    else
        code = fail(i->output, EXIT_NOT_FOUND, "no broker %d has registered", node);
    leat_reply_free(reply);
    return code;
}

static int alter(struct invocation *i, int32_t node, enum leat_broker_action action,
                 const char *result, const char *sentence)
{
    leat_client *client = session_client(i->session);
    uint64_t replicas, leaders;
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_broker_alter(client, node, action, flag_given(i, "dry-run"), &replicas,
                          &leaders, session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    done(i->output, flag_given(i, "dry-run") ? "valid" : result, i->arguments[0],
         "%s%s broker %d%s", flag_given(i, "dry-run") ? "would have " : "", sentence,
         node,
         action == LEAT_DRAIN && replicas > 0
             ? "; its replicas move away ('leat partition moves' shows how far)"
             : "");
    return EXIT_DONE;
}

int run_broker_drain(struct invocation *i)
{
    int32_t node;

    return parse_node(i, &node) ? alter(i, node, LEAT_DRAIN, "draining", "drained")
                                : EXIT_USAGE;
}

int run_broker_undrain(struct invocation *i)
{
    int32_t node;

    return parse_node(i, &node) ? alter(i, node, LEAT_UNDRAIN, "undrained", "undrained")
                                : EXIT_USAGE;
}

int run_broker_remove(struct invocation *i)
{
    int32_t node;
    bool go;
    int code;

    if (!parse_node(i, &node))
        return EXIT_USAGE;
    code =
        session_confirm(i, &go, "forget broker %d, which must be down and empty", node);
    return go ? alter(i, node, LEAT_REMOVE, "removed", "removed") : code;
}
