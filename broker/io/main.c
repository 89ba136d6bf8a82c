/* SPDX-License-Identifier: Apache-2.0
 *
 * leatd: read the options, then be a broker. Exit status: 0 after a graceful stop, 1 when
 * it cannot start or its disk fails, 2 for a wrong command line or configuration, 3 when
 * it had to stop before everything was closed. */
#include "broker/io/broker.h"
#include "broker/io/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int refuse(const char *why)
{
    fprintf(stderr, "leatd: %s\nTry 'leatd --help'.\n", why);
    return EXIT_USAGE;
}

static int run(struct options *o, int64_t started_us)
{
    bool has_data = config_text(&o->config, CONFIG_DATA)[0] != '\0';

    switch (o->task) {
    case OPTIONS_HELP: options_print_help(stdout); return 0;
    case OPTIONS_VERSION: puts("leatd " LEAT_VERSION); return 0;
    case OPTIONS_PRINT_CONFIG: options_print_config(&o->config, stdout); return 0;
    case OPTIONS_CHECK:
    case OPTIONS_RUN: break;
    }
    if (!has_data && !o->dev)
        return refuse("where shall the data be kept? Say 'leatd --data DIR', or "
                      "'leatd --dev' to try it on a directory that is removed at exit.");
    if (has_data && o->dev)
        return refuse("--dev brings a directory of its own: leave --data out, or --dev.");
    if (o->task == OPTIONS_CHECK) {
        puts("the configuration is valid");
        return 0;
    }
    return broker_run(o, started_us);
}

int main(int argc, char **argv)
{
    int64_t started_us = clock_mono_us();
    struct options o;
    char why[320];
    int status;

    if (options_read(&o, argc, argv, environ, why))
        return refuse(why);
    status = run(&o, started_us);
    options_release(&o);
    return status;
}
