/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tool says about itself: help, man page, completion, version. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"

#include <stdio.h>
#include <string.h>

int run_help(struct invocation *i)
{
    const struct command *command;
    char why[256], *words[2];
    int taken;

    if (flag_given(i, "json")) {
        help_json();
        return EXIT_DONE;
    }
    if (i->argument_count == 0) {
        help_print(NULL);
        return EXIT_DONE;
    }
    for (unsigned n = 0; n < i->argument_count; n++)
        words[n] = (char *)i->arguments[n];
    command = command_find(words, (int)i->argument_count, &taken, why);
    if (command != NULL) {
        help_print(command);
        return EXIT_DONE;
    }
    for (const struct command *c = commands; c->noun != NULL && i->argument_count == 1;
         c++)
        if (strcmp(c->noun, i->arguments[0]) == 0) {
            help_noun(i->arguments[0]);
            return EXIT_DONE;
        }
    return fail(i->output, EXIT_USAGE, "%s", why);
}

int run_man(struct invocation *i)
{
    (void)i;
    help_man();
    return EXIT_DONE;
}

int run_version(struct invocation *i)
{
    if (i->output->format == OUTPUT_JSON)
        printf("{\"tool\":\"%s\",\"library\":\"%s\"}\n", LEAT_VERSION, leat_version());
    else
        printf("leat %s, libleat %s\n", LEAT_VERSION, leat_version());
    return EXIT_DONE;
}

int run_completion(struct invocation *i)
{
    if (strcmp(i->arguments[0], "bash") != 0)
        return fail(i->output, EXIT_USAGE, "there is a completion script for bash only");
    completion_bash();
    return EXIT_DONE;
}

/* Asked for by the completion script: quick, and silent when it cannot answer. */
int run_complete(struct invocation *i)
{
    enum { PATIENCE_MS = 300 };
    leat_client *client = session_client(i->session);
    bool groups = strcmp(i->arguments[0], "groups") == 0;
    leat_reply *reply;
    const char *last = "";

    if (client == NULL)
        return EXIT_DONE;
    if ((groups ? leat_groups_list(client, &reply, PATIENCE_MS, NULL)
                : leat_topics_describe(client, NULL, 0, false, false, &reply, PATIENCE_MS,
                                       NULL)) != LEAT_OK)
        return EXIT_DONE;
    for (size_t at = 0; at < leat_reply_len(reply); at++) {
        const char *name = groups ? leat_reply_group(reply, at)->group
                                  : leat_reply_partition(reply, at)->topic;

        if (strcmp(name, last) != 0)
            puts(name);
        last = name;
    }
    leat_reply_free(reply);
    return EXIT_DONE;
}
