/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles: named sets of settings in ~/.config/leat/profiles.conf (XDG_CONFIG_HOME is
 * obeyed), one [section] each with `key = value` lines; `current = NAME` before the first
 * section says which one is in use. */
#pragma once

#include "tools/leat/output.h"

/* Hand each setting of the profile (NULL: the current one, if any) to `each`. A profile
 * that was named but does not exist is EXIT_NOT_FOUND with a message; a file that does
 * not parse EXIT_USAGE. */
int profile_each(const struct output *o, const char *name,
                 void (*each)(void *to, const char *key, const char *value), void *to);
