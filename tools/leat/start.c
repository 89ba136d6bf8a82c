/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/start.h"

#include "tools/leat/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool wanted(const struct invocation *i, int32_t partition)
{
    const char *text;
    int64_t number;

    for (unsigned n = 0; (text = flag_nth(i, "partition", n)) != NULL; n++)
        if (parse_number(text, 0, INT32_MAX, &number) && number == partition)
            return true;
    return flag_nth(i, "partition", 0) == NULL;
}

static int gather(struct invocation *i, struct start *s)
{
    size_t rows = leat_reply_len(s->partitions);
    const leat_partition_row *row;

    s->from = calloc(rows + 1, sizeof *s->from);
    s->ends = calloc(rows + 1, sizeof *s->ends);
    if (s->from == NULL || s->ends == NULL)
        return fail(i->output, EXIT_REFUSED, "out of memory");
    for (size_t at = 0; (row = leat_reply_partition(s->partitions, at)) != NULL; at++) {
        if (row->code != LEAT_OK)
            return fail(i->output, exit_code_of(row->code), "topic %s: %s", row->topic,
                        leat_code_text(row->code));
        if (!wanted(i, row->partition))
            continue;
        s->from[s->count] =
            (leat_offset){.topic = row->topic, .partition = row->partition};
        s->ends[s->count] = s->from[s->count];
        s->count++;
    }
    if (s->count == 0)
        return fail(i->output, EXIT_NOT_FOUND, "there is no such partition");
    return EXIT_DONE;
}

static int look_up(struct invocation *i, int64_t when, leat_offset *rows, size_t count)
{
    leat_error error;

    if (leat_offsets_list(session_client(i->session), when, rows, count,
                          session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    for (size_t n = 0; n < count; n++)
        if (rows[n].code != LEAT_OK)
            return fail(i->output, exit_code_of(rows[n].code), "%s/%d: %s", rows[n].topic,
                        rows[n].partition, leat_code_text(rows[n].code));
    return EXIT_DONE;
}

/* +N counts from the start, -N back from the end, a plain number is an offset. */
static int resolve_number(struct invocation *i, struct start *s, const char *where)
{
    int64_t n;
    int code;

    if (!parse_number(where, -INT64_MAX, INT64_MAX, &n))
        return fail(i->output, EXIT_USAGE,
                    "-O '%s': earliest, latest, OFFSET, +N, -N or @TIME", where);
    code = look_up(i, LEAT_OFFSET_EARLIEST, s->from, s->count);
    for (size_t p = 0; code == EXIT_DONE && p < s->count; p++) {
        int64_t first = s->from[p].offset, last = s->ends[p].offset;
        int64_t at = where[0] == '+' ? first + n : where[0] == '-' ? last + n : n;

        s->from[p].offset = at < first ? first : at > last ? last : at;
    }
    return code;
}

int start_resolve(struct invocation *i, struct start *s)
{
    const char *where = flag_text(i, "offset", "earliest");
    leat_error error;
    int64_t when;
    int code;

    *s = (struct start){0};
    if (leat_topics_describe(session_client(i->session), i->arguments, i->argument_count,
                             true, false, &s->partitions, session_timeout_ms(i->session),
                             &error) != LEAT_OK)
        return fail_error(i->output, &error);
    code = gather(i, s);
    if (code == EXIT_DONE)
        code = look_up(i, LEAT_OFFSET_LATEST, s->ends, s->count);
    if (code != EXIT_DONE)
        return code;
    if (strcmp(where, "earliest") == 0)
        return look_up(i, LEAT_OFFSET_EARLIEST, s->from, s->count);
    if (strcmp(where, "latest") == 0)
        return look_up(i, LEAT_OFFSET_LATEST, s->from, s->count);
    if (where[0] != '@')
        return resolve_number(i, s, where);
    if (!parse_time(where + 1, (int64_t)time(NULL) * 1000, &when))
        return fail(i->output, EXIT_USAGE, "-O '%s': no such time", where);
    return look_up(i, when, s->from, s->count);
}

void start_release(struct start *s)
{
    free(s->from);
    free(s->ends);
    if (s->partitions != NULL)
        leat_reply_free(s->partitions);
    *s = (struct start){0};
}

bool start_is_reached(const struct start *s, leat_consumer *consumer)
{
    int64_t position;

    for (size_t n = 0; n < s->count; n++) {
        if (s->from[n].offset >= s->ends[n].offset)
            continue;
        if (leat_consumer_position(consumer, s->from[n].topic, s->from[n].partition,
                                   &position) != LEAT_OK ||
            position < s->ends[n].offset)
            return false;
    }
    return true;
}

bool start_is_past(const struct start *s, const leat_record *record)
{
    for (size_t n = 0; n < s->count; n++)
        if (s->ends[n].partition == record->partition &&
            strcmp(s->ends[n].topic, record->topic) == 0)
            return record->offset >= s->ends[n].offset;
    return false;
}

const char *start_as_reset(const char *where)
{
    static char text[32];
    int64_t when;

    if (strcmp(where, "earliest") == 0 || strcmp(where, "latest") == 0)
        return where;
    if (where[0] != '@' || !parse_time(where + 1, (int64_t)time(NULL) * 1000, &when))
        return NULL;
    snprintf(text, sizeof text, "@%lld", (long long)when);
    return text;
}
