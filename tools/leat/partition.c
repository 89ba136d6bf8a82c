/* SPDX-License-Identifier: Apache-2.0
 *
 * leat partition: where partitions are, who leads them, and where they should be. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLICAS_MAX = 32, NAME_BYTES = 256 };

static int describe(struct invocation *i, leat_reply **reply)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_topics_describe(client, NULL, 0, true, false, reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

static bool is_wanted(struct invocation *i, const leat_partition_row *row)
{
    bool leaderless = flag_given(i, "leaderless");
    bool lagging = flag_given(i, "under-replicated");
    bool refusing = flag_given(i, "under-min-isr");

    if (!leaderless && !lagging && !refusing)
        return true;
    return (leaderless && row->leader < 0) ||
           (lagging && row->in_sync_count < row->replica_count - row->adding_count) ||
           (refusing && (int32_t)row->in_sync_count < row->min_in_sync);
}

int run_partition_list(struct invocation *i)
{
    static const struct column columns[] = {
        {"topic", COLUMN_TEXT},    {"partition", COLUMN_NUMBER},
        {"leader", COLUMN_NUMBER}, {"epoch", COLUMN_NUMBER},
        {"replicas", COLUMN_LIST}, {"in_sync", COLUMN_LIST},
        {"eligible", COLUMN_LIST}, {"min_in_sync", COLUMN_NUMBER},
    };
    const leat_partition_row *row;
    leat_reply *reply;
    struct table *t;
    int code = describe(i, &reply);

    if (code != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 8);
    for (size_t at = 0; (row = leat_reply_partition(reply, at)) != NULL; at++) {
        if (row->code != LEAT_OK || !is_wanted(i, row))
            continue;
        table_text(t, row->topic);
        table_number(t, row->partition);
        table_number(t, row->leader);
        table_number(t, row->leader_epoch);
        table_list(t, row->replicas, row->replica_count);
        table_list(t, row->in_sync, row->in_sync_count);
        table_list(t, row->eligible, row->eligible_count);
        table_number(t, row->min_in_sync);
    }
    table_print(t, "no such partition");
    leat_reply_free(reply);
    return EXIT_DONE;
}

static int look_at_moves(struct invocation *i, bool *over)
{
    static const struct column columns[] = {
        {"topic", COLUMN_TEXT},   {"partition", COLUMN_NUMBER}, {"replicas", COLUMN_LIST},
        {"in_sync", COLUMN_LIST}, {"adding", COLUMN_LIST},      {"removing", COLUMN_LIST},
    };
    const leat_partition_row *row;
    leat_reply *reply;
    struct table *t;
    int code = describe(i, &reply);

    if (code != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 6);
    for (size_t at = 0; (row = leat_reply_partition(reply, at)) != NULL; at++) {
        if (row->adding_count == 0 && row->removing_count == 0)
            continue;
        table_text(t, row->topic);
        table_number(t, row->partition);
        table_list(t, row->replicas, row->replica_count);
        table_list(t, row->in_sync, row->in_sync_count);
        table_list(t, row->adding, row->adding_count);
        table_list(t, row->removing, row->removing_count);
    }
    *over = table_rows(t) == 0;
    table_print(t, "nothing is being moved");
    leat_reply_free(reply);
    return EXIT_DONE;
}

int run_partition_moves(struct invocation *i)
{
    return watch(i, look_at_moves);
}

/* "orders/3": the name goes to `topic`. */
static bool parse_partition(struct invocation *i, const char *text, char *topic,
                            int32_t *partition)
{
    const char *slash = strrchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : 0;
    char *end = NULL;
    long number = slash ? strtol(slash + 1, &end, 10) : -1;

    if (slash == NULL || len == 0 || len >= NAME_BYTES || end == slash + 1 ||
        *end != '\0' || number < 0 || number > INT32_MAX) {
        fail(i->output, EXIT_USAGE, "'%s': write TOPIC/PARTITION, as in orders/3", text);
        return false;
    }
    memcpy(topic, text, len);
    topic[len] = '\0';
    *partition = (int32_t)number;
    return true;
}

static bool parse_replicas(struct invocation *i, int32_t *out, size_t *count)
{
    const char *text = flag_text(i, "to", NULL);

    *count = 0;
    while (text != NULL && *text != '\0' && *count < REPLICAS_MAX) {
        char *end;
        long id = strtol(text, &end, 10);

        if (end == text || id < 1 || id > INT32_MAX || (*end != ',' && *end != '\0'))
            break;
        out[(*count)++] = (int32_t)id;
        text = *end == ',' ? end + 1 : end;
    }
    if (*count > 0 && *text == '\0')
        return true;
    fail(i->output, EXIT_USAGE, "--to wants node ids, as in --to 1,2,3");
    return false;
}

/* Each partition's outcome; EXIT_REFUSED if any was refused. */
static int tell(struct invocation *i, leat_reply *reply, const char *result,
                const char *sentence)
{
    const leat_outcome_row *row;
    int code = EXIT_DONE;

    for (size_t at = 0; (row = leat_reply_outcome(reply, at)) != NULL; at++) {
        char name[NAME_BYTES + 16];

        snprintf(name, sizeof name, "%s/%d", row->topic, row->partition);
        if (row->code != LEAT_OK)
            code = fail(i->output, EXIT_REFUSED, "%s: %s", name,
                        row->text[0] ? row->text : leat_code_text(row->code));
        else
            done(i->output, result, name, "%s %s (leader %d)", sentence, name,
                 row->leader);
    }
    if (leat_reply_len(reply) == 0)
        say(i->output, "nothing to do");
    leat_reply_free(reply);
    return code;
}

static int move(struct invocation *i, const leat_move *moves, size_t count,
                const char *result, const char *sentence)
{
    leat_client *client = session_client(i->session);
    bool dry = flag_given(i, "dry-run");
    leat_reply *reply;
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_partitions_move(client, moves, count, dry, &reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return tell(i, reply, dry ? "valid" : result, dry ? "could be done:" : sentence);
}

int run_partition_move(struct invocation *i)
{
    int32_t replicas[REPLICAS_MAX];
    char topic[NAME_BYTES];
    leat_move m = {.topic = topic, .replicas = replicas};

    if (!parse_partition(i, i->arguments[0], topic, &m.partition) ||
        !parse_replicas(i, replicas, &m.replica_count))
        return EXIT_USAGE;
    return move(i, &m, 1, "moving", "moving");
}

static int cancel_all(struct invocation *i)
{
    const leat_partition_row *row;
    leat_reply *reply;
    leat_move *moves;
    size_t count = 0;
    int code = describe(i, &reply);

    if (code != EXIT_DONE)
        return code;
    moves = calloc(leat_reply_len(reply) + 1, sizeof *moves);
    for (size_t at = 0; moves && (row = leat_reply_partition(reply, at)) != NULL; at++)
        if (row->adding_count > 0 || row->removing_count > 0)
            moves[count++] =
                (leat_move){.topic = row->topic, .partition = row->partition};
    code = moves ? move(i, moves, count, "cancelled", "cancelled the move of")
                 : fail(i->output, EXIT_REFUSED, "no memory");
    free(moves);
    leat_reply_free(reply);
    return code;
}

int run_partition_cancel(struct invocation *i)
{
    char topic[NAME_BYTES];
    leat_move m = {.topic = topic};

    if (flag_given(i, "all"))
        return cancel_all(i);
    if (i->argument_count == 0)
        return fail(i->output, EXIT_USAGE, "which one? name TOPIC/PARTITION, or --all");
    if (!parse_partition(i, i->arguments[0], topic, &m.partition))
        return EXIT_USAGE;
    return move(i, &m, 1, "cancelled", "cancelled the move of");
}

int run_partition_elect(struct invocation *i)
{
    bool unclean = flag_given(i, "unclean"), go = true;
    leat_client *client;
    leat_offset one = {0};
    char topic[NAME_BYTES];
    leat_reply *reply;
    leat_error error;

    if (unclean) {
        int code = session_confirm(
            i, &go,
            "let any replica that is up lead: records that only the others have "
            "are lost for good");

        if (!go)
            return code;
    }
    if (i->argument_count > 0) {
        if (!parse_partition(i, i->arguments[0], topic, &one.partition))
            return EXIT_USAGE;
        one.topic = topic;
    }
    client = session_client(i->session);
    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_leaders_elect(client, unclean, i->argument_count > 0 ? &one : NULL,
                           i->argument_count > 0, &reply, session_timeout_ms(i->session),
                           &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return tell(i, reply, "elected", "elected a leader for");
}
