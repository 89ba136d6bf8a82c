/* SPDX-License-Identifier: Apache-2.0
 *
 * leat group reset: plan, ask, save what it undoes, carry out. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS_MAX = 100000 };

struct reset {
    enum leat_reset to;
    int64_t value;
    leat_offset *rows;
    size_t count;
};

static bool add_row(struct reset *r, const char *topic, size_t len, int32_t partition,
                    int64_t offset)
{
    leat_offset *rows = realloc(r->rows, (r->count + 1) * sizeof *rows);

    if (rows == NULL || r->count == ROWS_MAX)
        return false;
    r->rows = rows;
    rows[r->count++] = (leat_offset){
        .topic = strndup(topic, len), .partition = partition, .offset = offset};
    return true;
}

static void release(struct reset *r)
{
    for (size_t n = 0; n < r->count; n++)
        free((char *)r->rows[n].topic);
    free(r->rows);
}

/* "orders", "orders:0,2" */
static int read_topic(struct invocation *i, struct reset *r, const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    int64_t partition;
    char number[16];

    if (colon == NULL)
        return add_row(r, text, len, -1, 0) ? EXIT_DONE : EXIT_REFUSED;
    do {
        const char *at = colon + 1, *end = strchr(at, ',');
        size_t digits = end != NULL ? (size_t)(end - at) : strlen(at);

        snprintf(number, sizeof number, "%.*s", (int)digits, at);
        if (digits >= sizeof number || !parse_number(number, 0, INT32_MAX, &partition) ||
            !add_row(r, text, len, (int32_t)partition, 0))
            return fail(i->output, EXIT_USAGE, "-t %s: write TOPIC or TOPIC:P,P", text);
        colon = end;
    } while (colon != NULL);
    return EXIT_DONE;
}

/* Lines of topic, partition, offset: what an earlier reset has saved. */
static int read_file(struct invocation *i, struct reset *r, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    int number = 0, code = EXIT_DONE;

    if (f == NULL)
        return fail(i->output, EXIT_USAGE, "%s: %s", path, strerror(errno));
    while (code == EXIT_DONE && getline(&line, &size, f) >= 0) {
        char topic[256];
        int partition;
        long long offset;

        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (sscanf(line, "%255s %d %lld", topic, &partition, &offset) != 3 ||
            partition < 0 || offset < 0 ||
            !add_row(r, topic, strlen(topic), partition, offset))
            code = fail(i->output, EXIT_USAGE, "%s:%d: write topic, partition, offset",
                        path, number);
    }
    free(line);
    fclose(f);
    if (code == EXIT_DONE && r->count == 0)
        code = fail(i->output, EXIT_USAGE, "%s holds no offsets", path);
    return code;
}

static int read_target(struct invocation *i, struct reset *r)
{
    const char *to = flag_text(i, "to", NULL), *shift = flag_text(i, "shift", NULL);
    const char *file = flag_text(i, "file", NULL);

    if ((to != NULL) + (shift != NULL) + (file != NULL) != 1)
        return fail(i->output, EXIT_USAGE, "say one of --to, --shift and --file");
    if (file != NULL) {
        r->to = LEAT_EXPLICIT;
        return flag_given(i, "topic")
                   ? fail(i->output, EXIT_USAGE, "--file names the topics")
                   : read_file(i, r, file);
    }
    if (shift != NULL) {
        r->to = LEAT_SHIFT;
        if (!parse_number(shift, -INT64_MAX, INT64_MAX, &r->value))
            return fail(i->output, EXIT_USAGE, "--shift '%s': a number of records",
                        shift);
    } else if (strcmp(to, "earliest") == 0) {
        r->to = LEAT_TO_EARLIEST;
    } else if (strcmp(to, "latest") == 0) {
        r->to = LEAT_TO_LATEST;
    } else if (to[0] == '@') {
        r->to = LEAT_TO_TIME;
        if (!parse_time(to + 1, (int64_t)time(NULL) * 1000, &r->value))
            return fail(i->output, EXIT_USAGE, "--to '%s': no such time", to);
    } else {
        r->to = LEAT_TO_OFFSET;
        if (!parse_number(to, 0, INT64_MAX, &r->value))
            return fail(i->output, EXIT_USAGE,
                        "--to '%s': earliest, latest, an offset or @TIME", to);
    }
    for (unsigned n = 0; flag_nth(i, "topic", n) != NULL; n++) {
        int code = read_topic(i, r, flag_nth(i, "topic", n));

        if (code != EXIT_DONE)
            return code;
    }
    return EXIT_DONE;
}

static int ask_broker(struct invocation *i, const struct reset *r, bool plan,
                      leat_reply **reply)
{
    leat_client *client = session_client(i->session);
    leat_error error;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_group_reset(client, i->arguments[0], r->to, r->value, r->rows, r->count,
                         plan, reply, session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

/* Print the plan (or what was done); EXIT_REFUSED if a row failed. */
static int print_rows(struct invocation *i, const leat_reply *reply)
{
    static const struct column columns[] = {
        {"topic", COLUMN_TEXT},   {"partition", COLUMN_NUMBER}, {"before", COLUMN_NUMBER},
        {"after", COLUMN_NUMBER}, {"error", COLUMN_TEXT},
    };
    struct table *t = table_new(i->output, columns, 5);
    const leat_group_offset_row *row;
    int code = EXIT_DONE;

    for (size_t at = 0; (row = leat_reply_group_offset(reply, at)) != NULL; at++) {
        table_text(t, row->topic);
        table_number(t, row->partition);
        if (row->before < 0)
            table_absent(t);
        else
            table_number(t, row->before);
        if (row->code == LEAT_OK) {
            table_number(t, row->offset);
            table_absent(t);
        } else {
            table_absent(t);
            table_text(t, leat_code_text(row->code));
            code = EXIT_REFUSED;
        }
    }
    table_print(t, "nothing to move: the group has committed nothing there");
    return code;
}

/* A new file named after the group and the time; a number keeps two of one second apart.
 */
static FILE *create_file(const char *group, char path[static 320])
{
    enum { TRIES = 100 };
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    FILE *f = NULL;

    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    for (int n = 1; f == NULL && n < TRIES; n++) {
        char number[8] = "";

        if (n > 1)
            snprintf(number, sizeof number, "-%d", n);
        snprintf(path, 320, "%s-%s%s.tsv", group, stamp, number);
        f = fopen(path, "wx");
        if (f == NULL && errno != EEXIST)
            break;
    }
    return f;
}

/* The offsets as they were, in a file that --file takes back. */
static int save(struct invocation *i, const leat_reply *plan, char path[static 320])
{
    const leat_group_offset_row *row;
    FILE *f = create_file(i->arguments[0], path);

    if (f == NULL)
        return fail(i->output, EXIT_REFUSED, "%s: %s; nothing was done", path,
                    strerror(errno));
    fprintf(f, "# committed offsets of %s before a reset: topic, partition, offset\n",
            i->arguments[0]);
    for (size_t at = 0; (row = leat_reply_group_offset(plan, at)) != NULL; at++)
        if (row->before >= 0)
            fprintf(f, "%s\t%d\t%lld\n", row->topic, row->partition,
                    (long long)row->before);
    if (fclose(f) != 0)
        return fail(i->output, EXIT_REFUSED, "%s: %s; nothing was done", path,
                    strerror(errno));
    return EXIT_DONE;
}

static int carry_out(struct invocation *i, const struct reset *r, const leat_reply *plan)
{
    leat_reply *reply;
    char path[320];
    int code = save(i, plan, path);

    if (code != EXIT_DONE)
        return code;
    code = ask_broker(i, r, false, &reply);
    if (code != EXIT_DONE)
        return code;
    code = print_rows(i, reply);
    leat_reply_free(reply);
    say(i->output, "previous offsets saved in %s (undo: leat group reset %s --file %s)",
        path, i->arguments[0], path);
    return code;
}

static int64_t moved_back(const leat_reply *plan, int64_t *forward)
{
    const leat_group_offset_row *row;
    int64_t back = 0;

    *forward = 0;
    for (size_t at = 0; (row = leat_reply_group_offset(plan, at)) != NULL; at++) {
        if (row->code != LEAT_OK || row->before < 0)
            continue;
        if (row->offset < row->before)
            back += row->before - row->offset;
        else
            *forward += row->offset - row->before;
    }
    return back;
}

int run_group_reset(struct invocation *i)
{
    struct reset r = {0};
    leat_reply *plan = NULL;
    char back[32], skipped[32];
    bool go = false;
    int code = read_target(i, &r);

    if (code == EXIT_DONE)
        code = ask_broker(i, &r, true, &plan);
    if (code == EXIT_DONE && flag_given(i, "dry-run")) {
        code = print_rows(i, plan);
    } else if (code == EXIT_DONE) {
        int64_t forward, records = moved_back(plan, &forward);

        code = session_confirm(
            i, &go,
            "move %zu partitions of group %s: %s records to read again, "
            "%s to skip",
            leat_reply_len(plan), i->arguments[0], count_text((uint64_t)records, back),
            count_text((uint64_t)forward, skipped));
        if (go)
            code = carry_out(i, &r, plan);
    }
    if (plan != NULL)
        leat_reply_free(plan);
    release(&r);
    return code;
}
