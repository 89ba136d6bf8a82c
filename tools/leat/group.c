/* SPDX-License-Identifier: Apache-2.0
 *
 * leat group: list, describe, lag, delete. */
#include "tools/leat/lag.h"
#include "tools/leat/run.h"
#include "tools/leat/units.h"
#include "tools/leat/watch.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int list(struct invocation *i, leat_reply **reply)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_groups_list(client, reply, session_timeout_ms(i->session), &error) !=
        LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

int run_group_list(struct invocation *i)
{
    static const struct column columns[] = {
        {"name", COLUMN_TEXT},    {"state", COLUMN_TEXT},    {"members", COLUMN_NUMBER},
        {"epoch", COLUMN_NUMBER}, {"assignor", COLUMN_TEXT},
    };
    const leat_group_row *row;
    leat_reply *reply;
    struct table *t;
    int code = list(i, &reply);

    if (code != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 5);
    for (size_t at = 0; (row = leat_reply_group(reply, at)) != NULL; at++) {
        if (i->argument_count > 0 && fnmatch(i->arguments[0], row->group, 0) != 0)
            continue;
        table_text(t, row->group);
        table_text(t, row->state);
        table_number(t, row->members);
        table_number(t, row->epoch);
        table_text(t, row->assignor);
    }
    table_print(t, "no groups (make one by joining: leat consume TOPIC -g GROUP)");
    leat_reply_free(reply);
    return EXIT_DONE;
}

/* "orders:0,1,2 returns:0" */
static void print_partitions(struct table *t, const leat_partition *list_of, size_t count)
{
    char *text = NULL;
    const char *last = "";
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    for (size_t n = 0; f != NULL && n < count; n++) {
        bool same = strcmp(last, list_of[n].topic) == 0;

        if (same)
            fprintf(f, ",%d", list_of[n].partition);
        else
            fprintf(f, "%s%s:%d", n > 0 ? " " : "", list_of[n].topic,
                    list_of[n].partition);
        last = list_of[n].topic;
    }
    if (f != NULL)
        fclose(f);
    table_text(t, text);
    free(text);
}

static int describe_members(struct invocation *i, const char *group)
{
    static const struct column columns[] = {
        {"member", COLUMN_TEXT},      {"client", COLUMN_TEXT},
        {"host", COLUMN_TEXT},        {"epoch", COLUMN_NUMBER},
        {"heartbeat_age", COLUMN_MS}, {"partitions", COLUMN_TEXT},
    };
    leat_client *client = session_client(i->session);
    const leat_member_row *row;
    leat_error error;
    leat_reply *reply;
    struct table *t;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_group_describe(client, group, &reply, session_timeout_ms(i->session),
                            &error) != LEAT_OK)
        return fail_error(i->output, &error);
    t = table_new(i->output, columns, 6);
    for (size_t at = 0; (row = leat_reply_member(reply, at)) != NULL; at++) {
        if (row->member_id == NULL)
            continue;
        table_text(t, row->member_id);
        table_text(t, row->client_id);
        table_text(t, row->host);
        table_number(t, row->epoch);
        table_number(t, row->heartbeat_age_ms);
        print_partitions(t, row->assigned, row->assigned_count);
    }
    table_print(t, "the group has no members");
    leat_reply_free(reply);
    return EXIT_DONE;
}

static int look_at_group(struct invocation *i, bool *over)
{
    static const struct column columns[] = {
        {"topic", COLUMN_TEXT},       {"partition", COLUMN_NUMBER},
        {"committed", COLUMN_NUMBER}, {"end", COLUMN_NUMBER},
        {"lag", COLUMN_NUMBER},       {"committed_at", COLUMN_TIME},
        {"client", COLUMN_TEXT},
    };
    struct table *t;
    struct lag lag;
    int code;

    if (flag_given(i, "members"))
        return describe_members(i, i->arguments[0]);
    code = lag_read(i, i->arguments[0], &lag);
    if (code != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 7);
    for (size_t n = 0; n < lag.count; n++) {
        const struct lag_row *row = &lag.rows[n];
        const int64_t numbers[] = {row->committed, row->end, row->lag};

        table_text(t, row->topic);
        table_number(t, row->partition);
        for (size_t c = 0; c < 3; c++)
            if (numbers[c] < 0)
                table_absent(t);
            else
                table_number(t, numbers[c]);
        if (row->committed < 0)
            table_absent(t);
        else
            table_number(t, row->committed_ms);
        table_text(t, row->member);
    }
    table_print(t, "the group has committed nothing yet");
    lag_release(&lag);
    return EXIT_DONE;
}

int run_group_describe(struct invocation *i)
{
    return watch(i, look_at_group);
}

/* One row per topic of the group. */
static void add_lag(struct table *t, const char *group, const struct lag *lag,
                    int64_t over)
{
    for (size_t n = 0; n < lag->count;) {
        const char *topic = lag->rows[n].topic;
        int64_t records = 0, partitions = 0;

        for (; n < lag->count && strcmp(lag->rows[n].topic, topic) == 0; n++) {
            partitions++;
            records += lag->rows[n].lag > 0 ? lag->rows[n].lag : 0;
        }
        if (records <= over)
            continue;
        table_text(t, group);
        table_text(t, topic);
        table_number(t, partitions);
        table_number(t, records);
    }
}

int run_group_lag(struct invocation *i)
{
    static const struct column columns[] = {
        {"group", COLUMN_TEXT},
        {"topic", COLUMN_TEXT},
        {"partitions", COLUMN_NUMBER},
        {"records", COLUMN_NUMBER},
    };
    struct table *t;
    leat_reply *reply = NULL;
    struct lag lag;
    int64_t over;
    int code = EXIT_DONE;
    size_t at = 0;

    if (!flag_number(i, "over", -1, 0, INT64_MAX, &over))
        return EXIT_USAGE;
    if (i->argument_count == 0 && (code = list(i, &reply)) != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 4);
    do {
        const leat_group_row *row = reply != NULL ? leat_reply_group(reply, at) : NULL;
        const char *group = row != NULL ? row->group : i->arguments[0];

        if (reply != NULL && row == NULL)
            break;
        code = lag_read(i, group, &lag);
        if (code != EXIT_DONE)
            break;
        add_lag(t, group, &lag, over);
        lag_release(&lag);
    } while (reply != NULL && leat_reply_group(reply, ++at) != NULL);
    table_print(t, code == EXIT_DONE ? "nobody is behind" : NULL);
    if (reply != NULL)
        leat_reply_free(reply);
    return code;
}

int run_group_delete(struct invocation *i)
{
    leat_client *client;
    leat_error error;
    bool go;
    int code =
        session_confirm(i, &go, "forget group %s%s and what it committed",
                        i->arguments[0], i->argument_count > 1 ? " and others" : "");

    client = go ? session_client(i->session) : NULL;
    for (unsigned n = 0; client != NULL && n < i->argument_count; n++) {
        if (leat_group_delete(client, i->arguments[n], session_timeout_ms(i->session),
                              &error) != LEAT_OK)
            code = fail_error(i->output, &error);
        else
            done(i->output, "deleted", i->arguments[n], "deleted group %s",
                 i->arguments[n]);
    }
    return code;
}
