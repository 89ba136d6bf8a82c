/* SPDX-License-Identifier: Apache-2.0
 *
 * leat topic: list, describe, create, change, delete. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/settings.h"
#include "tools/leat/units.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int describe(struct invocation *i, const char *const *topics, size_t count,
                    bool internal, leat_reply **reply)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_topics_describe(client, topics, count, internal, true, reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

struct totals {
    int32_t partitions;
    size_t replicas;
    int64_t records;
    uint64_t bytes;
};

/* Add up the rows of the topic that begins at `at`; returns the row after it. */
static size_t sum_topic(const leat_reply *reply, size_t at, struct totals *t)
{
    const leat_partition_row *first = leat_reply_partition(reply, at), *row = first;

    *t = (struct totals){0};
    for (; row != NULL && strcmp(row->topic, first->topic) == 0;
         row = leat_reply_partition(reply, ++at)) {
        t->partitions++;
        t->replicas = row->replica_count;
        t->bytes += row->bytes;
        if (row->high_watermark > row->log_start)
            t->records += row->high_watermark - row->log_start;
    }
    return at;
}

int run_topic_list(struct invocation *i)
{
    static const struct column columns[] = {
        {"name", COLUMN_TEXT},       {"partitions", COLUMN_NUMBER},
        {"replicas", COLUMN_NUMBER}, {"records", COLUMN_NUMBER},
        {"bytes", COLUMN_BYTES},
    };
    leat_reply *reply;
    struct table *t;
    int code = describe(i, NULL, 0, flag_given(i, "internal"), &reply);

    if (code != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 5);
    for (size_t at = 0; at < leat_reply_len(reply);) {
        const char *name = leat_reply_partition(reply, at)->topic;
        struct totals sum;

        at = sum_topic(reply, at, &sum);
        if (i->argument_count > 0 && fnmatch(i->arguments[0], name, 0) != 0)
            continue;
        table_text(t, name);
        table_number(t, sum.partitions);
        table_number(t, (int64_t)sum.replicas);
        table_number(t, sum.records);
        table_number(t, (int64_t)sum.bytes);
    }
    table_print(t, i->argument_count > 0
                       ? "no topic matches"
                       : "no topics (make one: leat topic create NAME)");
    leat_reply_free(reply);
    return EXIT_DONE;
}

static int print_config(struct invocation *i, const char *topic)
{
    leat_error error;
    leat_client *client = session_client(i->session);
    leat_reply *reply;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_config_describe(client, LEAT_TOPIC, topic, &reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    settings_print(i->output, reply, NULL, false);
    leat_reply_free(reply);
    return EXIT_DONE;
}

/* Without a leader that can be asked nobody knows. */
static void put_log(struct table *t, const leat_partition_row *row)
{
    bool known = row->log_start >= 0;
    const int64_t numbers[] = {row->log_start, row->high_watermark, (int64_t)row->bytes,
                               row->segments};

    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
        if (known)
            table_number(t, numbers[n]);
        else
            table_absent(t);
}

static int print_partitions(struct invocation *i)
{
    static const struct column columns[] = {
        {"topic", COLUMN_TEXT},    {"partition", COLUMN_NUMBER},
        {"leader", COLUMN_NUMBER}, {"epoch", COLUMN_NUMBER},
        {"replicas", COLUMN_LIST}, {"in_sync", COLUMN_LIST},
        {"start", COLUMN_NUMBER},  {"end", COLUMN_NUMBER},
        {"bytes", COLUMN_BYTES},   {"segments", COLUMN_NUMBER},
    };
    leat_reply *reply;
    struct table *t;
    const leat_partition_row *row;
    int code = describe(i, i->arguments, i->argument_count, true, &reply);

    if (code != EXIT_DONE)
        return code;
    t = table_new(i->output, columns, 10);
    for (size_t at = 0; (row = leat_reply_partition(reply, at)) != NULL; at++) {
        if (row->code != LEAT_OK) {
            code = fail(i->output, exit_code_of(row->code), "topic %s: %s", row->topic,
                        leat_code_text(row->code));
            continue;
        }
        table_text(t, row->topic);
        table_number(t, row->partition);
        table_number(t, row->leader);
        table_number(t, row->leader_epoch);
        table_list(t, row->replicas, row->replica_count);
        table_list(t, row->in_sync, row->in_sync_count);
        put_log(t, row);
    }
    if (code == EXIT_DONE || table_rows(t) > 0 || i->output->format != OUTPUT_JSON)
        table_print(t, NULL);
    leat_reply_free(reply);
    return code;
}

int run_topic_describe(struct invocation *i)
{
    int code = EXIT_DONE;

    if (!flag_given(i, "config"))
        return print_partitions(i);
    for (unsigned n = 0; n < i->argument_count; n++) {
        int one = print_config(i, i->arguments[n]);

        if (one != EXIT_DONE)
            code = one;
    }
    return code;
}

int run_topic_create(struct invocation *i)
{
    int64_t partitions, replication;
    bool dry = flag_given(i, "dry-run");
    struct settings settings;
    leat_client *client;
    leat_error error;
    int code = EXIT_DONE;

    if (!flag_number(i, "partitions", 0, 1, 1000000, &partitions) ||
        !flag_number(i, "replication", 0, 1, 32, &replication))
        return EXIT_USAGE;
    settings_init(&settings);
    for (unsigned n = 0; flag_nth(i, "config", n) != NULL; n++)
        if (!settings_add(&settings, flag_nth(i, "config", n)))
            code = fail(i->output, EXIT_USAGE, "-c %s: write key=value",
                        flag_nth(i, "config", n));
    client = code == EXIT_DONE ? session_client(i->session) : NULL;
    if (client == NULL && code == EXIT_DONE)
        code = EXIT_REFUSED;
    for (unsigned n = 0; client != NULL && n < i->argument_count; n++) {
        const char *topic = i->arguments[n];
        int result = leat_topic_create(
            client, topic, (int32_t)partitions, (int32_t)replication, settings.list,
            settings.count, dry, session_timeout_ms(i->session), &error);

        if (result == LEAT_E_TOPIC_EXISTS && flag_given(i, "if-missing"))
            done(i->output, "exists", topic, "%s exists already", topic);
        else if (result != LEAT_OK)
            code = fail_error(i->output, &error);
        else
            done(i->output, dry ? "valid" : "created", topic, "%s %s",
                 dry ? "would create" : "created", topic);
    }
    settings_release(&settings);
    return code;
}

/* Send one change of one topic and report it. */
static int alter(struct invocation *i, int32_t partitions,
                 const struct settings *settings, const char *what)
{
    const char *topic = i->arguments[0];
    bool dry = flag_given(i, "dry-run");
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_topic_alter(client, topic, partitions, settings ? settings->list : NULL,
                         settings ? settings->count : 0, dry,
                         session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    done(i->output, dry ? "valid" : "changed", topic, "%s %s: %s",
         dry ? "would change" : "changed", topic, what);
    return EXIT_DONE;
}

int run_topic_set(struct invocation *i)
{
    struct settings settings;
    char what[64];
    int code;

    settings_init(&settings);
    for (unsigned n = 1; n < i->argument_count; n++)
        if (!settings_add(&settings, i->arguments[n])) {
            settings_release(&settings);
            return fail(i->output, EXIT_USAGE, "'%s': write key=value", i->arguments[n]);
        }
    snprintf(what, sizeof what, "%zu setting%s", settings.count,
             settings.count == 1 ? "" : "s");
    code = alter(i, 0, &settings, what);
    settings_release(&settings);
    return code;
}

int run_topic_unset(struct invocation *i)
{
    struct settings settings;
    int code;

    settings_init(&settings);
    for (unsigned n = 1; n < i->argument_count; n++)
        settings_add_unset(&settings, i->arguments[n]);
    code = alter(i, 0, &settings, "back to the default");
    settings_release(&settings);
    return code;
}

int run_topic_grow(struct invocation *i)
{
    int64_t partitions;
    char what[64];

    if (!flag_number(i, "partitions", 0, 1, 1000000, &partitions))
        return EXIT_USAGE;
    if (partitions == 0)
        return fail(i->output, EXIT_USAGE, "give the new total with -p N");
    snprintf(what, sizeof what, "%lld partitions", (long long)partitions);
    return alter(i, (int32_t)partitions, NULL, what);
}

static int delete_one(struct invocation *i, leat_client *client, const char *topic)
{
    leat_error error;
    int result = leat_topic_delete(client, topic, session_timeout_ms(i->session), &error);

    if (result == LEAT_E_UNKNOWN_TOPIC_OR_PARTITION && flag_given(i, "if-exists"))
        return EXIT_DONE;
    if (result != LEAT_OK)
        return fail_error(i->output, &error);
    done(i->output, "deleted", topic, "deleted %s", topic);
    return EXIT_DONE;
}

int run_topic_delete(struct invocation *i)
{
    char records[32], bytes[32];
    struct totals sum, all = {0};
    leat_client *client;
    leat_reply *reply;
    bool go;
    int code = describe(i, i->arguments, i->argument_count, true, &reply);

    if (code != EXIT_DONE)
        return code;
    for (size_t at = 0; at < leat_reply_len(reply);) {
        at = sum_topic(reply, at, &sum);
        all.records += sum.records;
        all.bytes += sum.bytes;
    }
    leat_reply_free(reply);
    code = session_confirm(i, &go, "delete %s%s with %s records, %s", i->arguments[0],
                           i->argument_count > 1 ? " and others" : "",
                           count_text((uint64_t)all.records, records),
                           bytes_text(all.bytes, bytes));
    client = go ? session_client(i->session) : NULL;
    for (unsigned n = 0; client != NULL && n < i->argument_count; n++) {
        int one = delete_one(i, client, i->arguments[n]);

        if (one != EXIT_DONE)
            code = one;
    }
    return code;
}

int run_topic_options(struct invocation *i)
{
    leat_client *client = session_client(i->session);
    leat_error error;
    leat_reply *reply;
    int code = EXIT_DONE;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_config_describe(client, LEAT_TOPIC_OPTIONS, "", &reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    if (i->argument_count == 0)
        settings_print(i->output, reply, NULL, false);
    else
        code = settings_print_one(i->output, reply, i->arguments[0]);
    leat_reply_free(reply);
    return code;
}

/* ---- trim ----------------------------------------------------------------------------
 */

static bool wanted_partition(const struct invocation *i, int32_t partition)
{
    char text[16];

    if (flag_nth(i, "partition", 0) == NULL)
        return true;
    snprintf(text, sizeof text, "%d", partition);
    for (unsigned n = 0; flag_nth(i, "partition", n) != NULL; n++)
        if (strcmp(flag_nth(i, "partition", n), text) == 0)
            return true;
    return false;
}

/* Fill the offset before which each row is to be trimmed. */
static int resolve_before(struct invocation *i, leat_client *client, const char *before,
                          leat_offset *rows, size_t count)
{
    leat_error error;
    int64_t value;

    if (strcmp(before, "latest") == 0) {
        for (size_t n = 0; n < count; n++)
            rows[n].offset = LEAT_OFFSET_LATEST;
        return EXIT_DONE;
    }
    if (before[0] == '@') {
        if (!parse_time(before + 1, (int64_t)time(NULL) * 1000, &value))
            return fail(i->output, EXIT_USAGE, "'%s' is no time", before + 1);
        if (leat_offsets_list(client, value, rows, count, session_timeout_ms(i->session),
                              &error) != LEAT_OK)
            return fail_error(i->output, &error);
        return EXIT_DONE;
    }
    if (!parse_number(before, 0, INT64_MAX, &value))
        return fail(i->output, EXIT_USAGE, "--before '%s': an offset, @TIME or latest",
                    before);
    for (size_t n = 0; n < count; n++)
        rows[n].offset = value;
    return EXIT_DONE;
}

static int print_trimmed(struct invocation *i, const leat_offset *rows, size_t count)
{
    static const struct column columns[] = {{"topic", COLUMN_TEXT},
                                            {"partition", COLUMN_NUMBER},
                                            {"start", COLUMN_NUMBER},
                                            {"error", COLUMN_TEXT}};
    struct table *t = table_new(i->output, columns, 4);
    int code = EXIT_DONE;

    for (size_t n = 0; n < count; n++) {
        table_text(t, rows[n].topic);
        table_number(t, rows[n].partition);
        if (rows[n].code == LEAT_OK) {
            table_number(t, rows[n].offset);
            table_absent(t);
        } else {
            table_absent(t);
            table_text(t, leat_code_text(rows[n].code));
            code = EXIT_REFUSED;
        }
    }
    table_print(t, NULL);
    return code;
}

static int trim(struct invocation *i, leat_client *client, leat_offset *rows,
                size_t count)
{
    const char *before = flag_text(i, "before", NULL);
    leat_error error;
    bool go;
    int code = resolve_before(i, client, before, rows, count);

    if (code != EXIT_DONE)
        return code;
    code =
        session_confirm(i, &go, "give up the records before %s in %zu partition%s of %s",
                        before, count, count == 1 ? "" : "s", i->arguments[0]);
    if (!go)
        return code;
    if (leat_topic_trim(client, rows, count, session_timeout_ms(i->session), &error) !=
        LEAT_OK)
        return fail_error(i->output, &error);
    return print_trimmed(i, rows, count);
}

int run_topic_trim(struct invocation *i)
{
    leat_client *client;
    leat_offset *rows;
    leat_reply *reply;
    const leat_partition_row *row;
    size_t count = 0;
    int code;

    if (!flag_given(i, "before"))
        return fail(i->output, EXIT_USAGE, "say --before OFFSET, @TIME or latest");
    code = describe(i, i->arguments, 1, true, &reply);
    if (code != EXIT_DONE)
        return code;
    rows = calloc(leat_reply_len(reply) + 1, sizeof *rows);
    if (rows == NULL)
        code = fail(i->output, EXIT_REFUSED, "out of memory");
    for (size_t at = 0; rows != NULL && (row = leat_reply_partition(reply, at)) != NULL;
         at++) {
        if (row->code != LEAT_OK)
            code = fail(i->output, exit_code_of(row->code), "topic %s: %s", row->topic,
                        leat_code_text(row->code));
        else if (wanted_partition(i, row->partition))
            rows[count++] =
                (leat_offset){.topic = row->topic, .partition = row->partition};
    }
    if (code == EXIT_DONE && count == 0)
        code =
            fail(i->output, EXIT_NOT_FOUND, "%s has no such partition", i->arguments[0]);
    client = session_client(i->session);
    if (code == EXIT_DONE)
        code = trim(i, client, rows, count);
    free(rows);
    leat_reply_free(reply);
    return code;
}
