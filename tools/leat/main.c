/* SPDX-License-Identifier: Apache-2.0
 *
 * leat NOUN VERB: find the command, read its flags, run it. */
#include "tools/leat/command.h"
#include "tools/leat/output.h"
#include "tools/leat/session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct flag global_flags[] = {
    {'b', "brokers", "HOST:PORT[,...]", "brokers to connect to first (LEAT_BROKERS)",
     false},
    {'P', "profile", "NAME", "settings from this profile (LEAT_PROFILE)", false},
    {'X', "set", "KEY=VALUE", "a setting of the client library", true},
    {'o', "output", "text|json|tsv", "how results are printed (LEAT_OUTPUT)", false},
    {'q', "quiet", NULL, "say nothing but results and errors", false},
    {0, "timeout", "DURATION", "how long to wait for brokers, default 10s", false},
    {'y', "yes", NULL, "do not ask before something destructive", false},
    {'n', "dry-run", NULL, "say what would be done, and do nothing", false},
    {0, "no-header", NULL, "tables without their header line", false},
    {'h', "help", NULL, "this help", false},
    {0, NULL, NULL, NULL, false},
};

static int read_output(const struct invocation *i, struct output *o)
{
    const char *format = flag_text(i, "output", getenv("LEAT_OUTPUT"));

    if (format == NULL || strcmp(format, "text") == 0)
        o->format = OUTPUT_TEXT;
    else if (strcmp(format, "json") == 0)
        o->format = OUTPUT_JSON;
    else if (strcmp(format, "tsv") == 0)
        o->format = OUTPUT_TSV;
    else
        return fail(o, EXIT_USAGE, "output '%s': choose text, json or tsv", format);
    o->quiet = flag_given(i, "quiet");
    o->header = o->format == OUTPUT_TEXT && !flag_given(i, "no-header");
    o->color = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    return EXIT_DONE;
}

static int run(struct invocation *i, char **words, int count)
{
    struct output output = {.header = true};
    char why[256];
    int code;

    i->output = &output;
    if (invocation_parse(i, words, count, why) != EXIT_DONE)
        return fail(&output, EXIT_USAGE, "%s", why);
    if (flag_given(i, "help")) {
        help_print(i->command);
        return EXIT_DONE;
    }
    code = read_output(i, &output);
    if (code == EXIT_DONE)
        code = session_open(&i->session, i);
    if (code != EXIT_DONE)
        return code;
    code = i->command->run(i);
    session_close(i->session);
    if (fflush(stdout) != 0 && code == EXIT_DONE)
        code = fail(&output, EXIT_REFUSED, "could not write to stdout");
    return code;
}

int main(int argc, char **argv)
{
    static struct invocation invocation;
    struct output plain = {.header = true};
    char why[256];
    int taken = 0;

    /* A reader that goes away (head) is found out by the failing write. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_print(NULL);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = "version";
    invocation.command = command_find(argv + 1, argc - 1, &taken, why);
    if (invocation.command == NULL)
        return fail(&plain, EXIT_USAGE, "%s", why);
    return run(&invocation, argv + 1 + taken, argc - 1 - taken);
}
