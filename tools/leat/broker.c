/* SPDX-License-Identifier: Apache-2.0
 *
 * leat broker: who is in the cluster, and who shall leave it. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        {"version", COLUMN_TEXT},    {"homeless", COLUMN_NUMBER},
        {"faulty", COLUMN_NUMBER},
    };
    struct table *t = table_new(o, columns, 13);
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
        if (row->draining)
            table_number(t, (int64_t)row->homeless);
        else
            table_absent(t);
        table_number(t, (int64_t)row->faulty);
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

/* NULL, having said so, if there is none. */
static const leat_broker_row *find(struct invocation *i, const leat_reply *reply,
                                   int32_t node)
{
    const leat_broker_row *row;

    for (size_t at = 0; (row = leat_reply_broker_state(reply, at)) != NULL; at++)
        if (row->node_id == node)
            return row;
    fail(i->output, EXIT_NOT_FOUND, "no broker %d has registered", node);
    return NULL;
}

int run_broker_describe(struct invocation *i)
{
    leat_reply *reply;
    int32_t node;
    int code;

    if (!parse_node(i, &node))
        return EXIT_USAGE;
    code = describe(i, &reply);
    if (code != EXIT_DONE)
        return code;
    if (find(i, reply, node) != NULL)
        brokers_print(i->output, reply, node);
    else
        code = EXIT_NOT_FOUND;
    leat_reply_free(reply);
    return code;
}

static int alter(struct invocation *i, int32_t node, enum leat_broker_action action)
{
    leat_client *client = session_client(i->session);
    uint64_t replicas, leaders;
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_broker_alter(client, node, action, flag_given(i, "dry-run"), &replicas,
                          &leaders, session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

/* As `alter`, and say that it was done. */
static int alter_and_tell(struct invocation *i, int32_t node,
                          enum leat_broker_action action, const char *result)
{
    bool dry = flag_given(i, "dry-run");
    int code = alter(i, node, action);

    if (code == EXIT_DONE)
        done(i->output, dry ? "valid" : result, i->arguments[0], "%s%s broker %d",
             dry ? "would have " : "", result, node);
    return code;
}

/* ---- draining ------------------------------------------------------------------------
 */

static int tell_progress(struct invocation *i, const leat_broker_row *row, bool *over)
{
    bool dry = flag_given(i, "dry-run");

    if (row->replicas == 0) {
        *over = true;
        done(i->output, "drained", i->arguments[0], "broker %d holds nothing any more",
             row->node_id);
        return EXIT_DONE;
    }
    if (row->homeless == 0) {
        done(i->output, dry ? "valid" : "draining", i->arguments[0],
             "broker %d holds %" PRIu64 " replicas and leads %" PRIu64
             " of them; they %s",
             row->node_id, row->replicas, row->leaders,
             dry ? "would move away" : "move away ('leat partition moves')");
        return EXIT_DONE;
    }
    *over = row->homeless == row->replicas;
    done(i->output, "stuck", i->arguments[0],
         "broker %d holds %" PRIu64 " replicas, and %" PRIu64
         " of them have nowhere to go: every other broker that is up and not being "
         "drained has a replica of the same partition. Add a broker, start those that "
         "are down, or 'leat broker undrain %d'",
         row->node_id, row->replicas, row->homeless, row->node_id);
    return EXIT_UNMET;
}

static int look_at_drain(struct invocation *i, bool *over)
{
    const leat_broker_row *row;
    leat_reply *reply;
    int32_t node = 0;
    int code = parse_node(i, &node) ? describe(i, &reply) : EXIT_USAGE;

    if (code != EXIT_DONE)
        return code;
    row = find(i, reply, node);
    *over = row == NULL;
    code = row ? tell_progress(i, row, over) : EXIT_NOT_FOUND;
    leat_reply_free(reply);
    return code;
}

int run_broker_drain(struct invocation *i)
{
    bool over = false;
    int32_t node;
    int code;

    if (!parse_node(i, &node))
        return EXIT_USAGE;
    code = alter(i, node, LEAT_DRAIN);
    if (code != EXIT_DONE)
        return code;
    return flag_given(i, "dry-run") ? look_at_drain(i, &over) : watch(i, look_at_drain);
}

int run_broker_undrain(struct invocation *i)
{
    int32_t node;

    return parse_node(i, &node) ? alter_and_tell(i, node, LEAT_UNDRAIN, "undrained")
                                : EXIT_USAGE;
}

/* ---- removal -------------------------------------------------------------------------
 */

/* What keeps the broker from being forgotten, and who has to do something about it; false
 * if nothing does. */
static bool tell_obstacle(const struct invocation *i, const leat_broker_row *row)
{
    if (row->replicas > 0 && row->draining)
        done(i->output, "waiting", i->arguments[0],
             "broker %d still holds %" PRIu64 " replicas; they move away", row->node_id,
             row->replicas);
    else if (row->replicas > 0)
        done(i->output, "waiting", i->arguments[0],
             "broker %d still holds %" PRIu64 " replicas: 'leat broker drain %d'",
             row->node_id, row->replicas, row->node_id);
    else if (row->voter)
        done(i->output, "waiting", i->arguments[0],
             "broker %d is a voter of the quorum: 'leat cluster quorum --remove %d'",
             row->node_id, row->node_id);
    else if (strcmp(row->state, "fenced") != 0)
        done(i->output, "waiting", i->arguments[0],
             "broker %d is %s: stop it, then its session has to end", row->node_id,
             row->state);
    else
        return false;
    return true;
}

static int look_at_removal(struct invocation *i, bool *over)
{
    const leat_broker_row *row;
    leat_reply *reply;
    int32_t node = 0;
    int code = parse_node(i, &node) ? describe(i, &reply) : EXIT_USAGE;

    *over = code != EXIT_DONE;
    if (*over)
        return code;
    row = find(i, reply, node);
    if (row == NULL)
        code = EXIT_NOT_FOUND;
    *over = row == NULL || !tell_obstacle(i, row);
    leat_reply_free(reply);
    return *over && code == EXIT_DONE ? alter_and_tell(i, node, LEAT_REMOVE, "removed")
                                      : code;
}

/* With -n the controller says whether it would, so there is nothing to confirm. */
int run_broker_remove(struct invocation *i)
{
    bool go = flag_given(i, "dry-run");
    int32_t node;
    int code = EXIT_DONE;

    if (!parse_node(i, &node))
        return EXIT_USAGE;
    if (!go)
        code = session_confirm(i, &go, "forget broker %d, which must be down and empty",
                               node);
    if (!go)
        return code;
    return flag_given(i, "watch") && !flag_given(i, "dry-run")
               ? watch(i, look_at_removal)
               : alter_and_tell(i, node, LEAT_REMOVE, "removed");
}
