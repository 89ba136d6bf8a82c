/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line, the environment and the file, folded into one configuration. Every
 * setting is a flag as well: --key value, --key=value. */
#pragma once

#include "broker/core/config.h"

#include <stdio.h>

enum options_task {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_CHECK,
    OPTIONS_PRINT_CONFIG,
};

struct options {
    enum options_task task;
    struct config config;
    const char *file; /* --config, borrowed from argv; NULL: none */
    bool dev;         /* a temporary data directory */
    int ready_fd;     /* -1: none */
};

/* Read them all. INVALID_CONFIG with a sentence in `why`. The environment is a list of
 * NAME=VALUE like environ. */
STATUS_MUST_CHECK enum status options_read(struct options *o, int argc, char **argv,
                                           char **environment, char why[static 320]);
void options_release(struct options *o);

void options_print_help(FILE *out);
/* The configuration in force, each setting with where it comes from. */
void options_print_config(const struct config *c, FILE *out);
