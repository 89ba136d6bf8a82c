/* SPDX-License-Identifier: Apache-2.0
 *
 * leat consume: print records, as a member of a group or on one's own. */
#include "tools/leat/format.h"
#include "tools/leat/output.h"
#include "tools/leat/progress.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"
#include "tools/leat/start.h"
#include "tools/leat/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reading {
    struct invocation *i;
    leat_consumer *consumer;
    struct format format;
    bool json, safe, grouped, exit_at_end;
    int64_t left; /* records that may still be printed; -1: no limit */
    int64_t idle_ms, last_ms;
    struct start start; /* without a group: the partitions and where they end */
};

/* For the signal handler. */
static leat_consumer *waiting;

static void wake(void)
{
    if (waiting != NULL)
        leat_consumer_wakeup(waiting);
}

static int read_flags(struct reading *r)
{
    const char *text = flag_text(r->i, "format", "%v\\n"), *idle;
    char why[160];

    r->json = r->i->output->format == OUTPUT_JSON;
    r->safe = isatty(STDOUT_FILENO);
    r->grouped = flag_given(r->i, "group");
    r->exit_at_end = flag_given(r->i, "exit");
    idle = flag_text(r->i, "idle", NULL);
    r->idle_ms = -1;
    if (idle != NULL && !parse_duration(idle, &r->idle_ms))
        return fail(r->i->output, EXIT_USAGE, "--idle '%s': write a duration like 10s",
                    idle);
    if (!flag_number(r->i, "count", -1, 1, INT64_MAX, &r->left))
        return EXIT_USAGE;
    if (r->grouped && flag_given(r->i, "partition"))
        return fail(r->i->output, EXIT_USAGE, "with -g the group chooses the partitions");
    if (!format_compile(&r->format, text, why))
        return fail(r->i->output, EXIT_USAGE, "-f: %s", why);
    return EXIT_DONE;
}

static int open_consumer(struct reading *r)
{
    const char *group = flag_text(r->i, "group", NULL);
    const char *reset = start_as_reset(flag_text(r->i, "offset", "earliest"));
    leat_client *client = session_client(r->i->session);
    leat_conf *conf = client != NULL ? session_conf(r->i->session) : NULL;
    int code = EXIT_DONE;
    leat_error error;

    if (conf == NULL)
        return EXIT_REFUSED;
    if (r->grouped && reset == NULL)
        code =
            fail(r->i->output, EXIT_USAGE,
                 "with -g, -O says where to begin when nothing is committed: earliest, "
                 "latest or @TIME");
    if (code == EXIT_DONE && r->grouped &&
        (leat_conf_set(conf, "group.id", group, &error) != LEAT_OK ||
         leat_conf_set(conf, "auto.offset.reset", reset, &error) != LEAT_OK))
        code = fail_error(r->i->output, &error);
    if (code == EXIT_DONE) {
        r->consumer = leat_consumer_open(client, conf, &error);
        if (r->consumer == NULL)
            code = fail_error(r->i->output, &error);
    }
    leat_conf_free(conf);
    return code;
}

static int begin(struct reading *r)
{
    leat_error error;
    int code;

    if (r->grouped) {
        if (leat_consumer_subscribe(r->consumer, r->i->arguments, r->i->argument_count,
                                    &error) != LEAT_OK)
            return fail_error(r->i->output, &error);
        return EXIT_DONE;
    }
    code = start_resolve(r->i, &r->start);
    if (code == EXIT_DONE && leat_consumer_assign(r->consumer, r->start.from,
                                                  r->start.count, &error) != LEAT_OK)
        code = fail_error(r->i->output, &error);
    return code;
}

/* Whether everything that was there has been printed. */
static bool at_end(struct reading *r)
{
    enum { ASSIGNMENT_MAX = 4096 };
    static leat_offset assigned[ASSIGNMENT_MAX];
    size_t count;
    int64_t lag;

    if (!r->grouped)
        return start_is_reached(&r->start, r->consumer);
    count = leat_consumer_assignment(r->consumer, assigned, ASSIGNMENT_MAX);
    for (size_t n = 0; n < count && n < ASSIGNMENT_MAX; n++)
        if (leat_consumer_lag(r->consumer, assigned[n].topic, assigned[n].partition,
                              &lag) != LEAT_OK ||
            lag > 0)
            return false;
    return count > 0;
}

static bool print(struct reading *r, const leat_record *record)
{
    if (r->json)
        return format_json(record);
    return format_print(&r->format, record, stdout, r->safe);
}

/* Print a batch, then mark what reached stdout as done: that and no more is committed. */
static bool print_batch(struct reading *r, leat_batch *batch)
{
    const leat_record *last = NULL;
    size_t len = leat_batch_len(batch);
    bool written = true;

    for (size_t n = 0; n < len && r->left != 0 && !session_interrupted(); n++) {
        const leat_record *record = leat_batch_at(batch, n);

        if (!r->grouped && start_is_past(&r->start, record) && r->exit_at_end)
            continue;
        written = print(r, record);
        if (!written)
            break;
        last = record;
        if (r->left > 0)
            r->left--;
    }
    written = fflush(stdout) == 0 && written;
    if (written && last != NULL && leat_consumer_ack(r->consumer, last) != LEAT_OK)
        say(r->i->output, "partition %d was taken away: another member prints on",
            last->partition);
    leat_batch_free(batch);
    return written;
}

static int read_on(struct reading *r)
{
    enum { POLL_MS = 250 };
    leat_batch *batch;
    leat_error error;

    r->last_ms = monotonic_ms();
    while (r->left != 0 && !session_interrupted()) {
        int n = leat_consumer_poll(r->consumer, &batch, POLL_MS, &error);

        if (n < 0 && (error.fatal || !error.retriable))
            return fail_error(r->i->output, &error);
        if (n < 0)
            say(r->i->output, "leat: %s: %s; trying again", error.where, error.text);
        if (n > 0) {
            r->last_ms = monotonic_ms();
            if (!print_batch(r, batch))
                return EXIT_DONE; /* the reader of our output has gone */
        }
        if (r->exit_at_end && at_end(r))
            break;
        if (r->idle_ms >= 0 && monotonic_ms() - r->last_ms >= r->idle_ms)
            break;
    }
    return session_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static int finish(struct reading *r, int code)
{
    leat_error error;
    int closed;

    waiting = NULL;
    if (r->grouped &&
        leat_consumer_commit(r->consumer, NULL, 0, session_timeout_ms(r->i->session),
                             &error) != LEAT_OK &&
        code != EXIT_REFUSED)
        code = fail_error(r->i->output, &error);
    closed = leat_consumer_close(r->consumer, session_timeout_ms(r->i->session));
    if (closed != LEAT_OK && r->grouped &&
        (code == EXIT_DONE || code == EXIT_INTERRUPTED))
        code = fail(r->i->output, exit_code_of(closed), "leaving the group: %s",
                    leat_code_text(closed));
    return code;
}

int run_consume(struct invocation *i)
{
    struct reading r = {.i = i};
    int code = read_flags(&r);

    if (code == EXIT_DONE)
        code = open_consumer(&r);
    if (r.consumer != NULL) {
        waiting = r.consumer;
        session_on_interrupt(wake);
        code = begin(&r);
        if (code == EXIT_DONE)
            code = read_on(&r);
        code = finish(&r, code);
    }
    start_release(&r.start);
    format_release(&r.format);
    return code;
}
