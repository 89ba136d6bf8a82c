/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as the tool takes them (key=value) and shows them: for topics and brokers
 * alike. */
#pragma once

#include "tools/leat/output.h"

#include <stddef.h>

struct settings {
    leat_setting list[256];
    size_t count;
};

void settings_init(struct settings *s);
void settings_release(struct settings *s);
/* "key=value"; false if there is no '=' or no more room. */
bool settings_add(struct settings *s, const char *pair);
bool settings_add_unset(struct settings *s, const char *key);

/* A table of what a describe-config answer holds; `glob` (may be NULL) chooses keys,
 * `changed` those that are not at their default. */
void settings_print(const struct output *o, const leat_reply *reply, const char *glob,
                    bool changed);
/* Everything about one key. EXIT_NOT_FOUND with a message if it is not there. */
int settings_print_one(const struct output *o, const leat_reply *reply, const char *key);
